# SPDX-License-Identifier: MIT
"""A small grid as files hold it: a coloured ball whose looks depend on the side, and a picture of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from engine.cameras import Camera, look_at
from engine.methods.plenoxels.npz import StoredGrid, grid_of
from engine.reference.march import march
from engine.voxel_grid import MarchOptions

SIZE = 40  # pixels a side


def ball(resolution: int = 24, background: bool = False) -> StoredGrid:
    """Return a ball of radius 0.35 in the cube, dense inside, in colours that change over it and with the direction."""
    rng = np.random.default_rng(3)
    axis = (np.arange(resolution) + 0.5) / resolution - 0.5
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    inside = 0.35 - np.sqrt(x * x + y * y + z * z)
    keep = inside > -0.1
    links = np.where(keep, np.cumsum(keep.reshape(-1)).reshape(keep.shape) - 1, -1).astype(np.int32)
    density = (inside[keep] * 900.0).astype(np.float32)  # negative outside, as trained ones are
    places = np.stack([x[keep], y[keep], z[keep]], axis=-1)
    sh = rng.normal(0.0, 0.08, (len(density), 3, 9))
    sh[:, :, 0] = 1.5 * np.sin(9.0 * places)
    grid = StoredGrid(links, density, sh.reshape(-1, 27).astype(np.float32), np.zeros(3), np.full(3, 0.5))
    if background:
        data = rng.random((32, 3, 4)).astype(np.float32)
        grid = replace(
            grid, background_links=np.arange(32, dtype=np.int32).reshape(8, 4), background_data=data
        )
    return grid


def public_arrays() -> dict[str, np.ndarray]:
    """Return the arrays of a public file, as another program would write one."""
    grid = ball(12)
    return {
        "radius": np.ones(3, np.float32),
        "center": np.zeros(3, np.float32),
        "links": grid.links,
        "density_data": grid.density[:, None] / 2.0,
        "sh_data": grid.sh.astype(np.float16),
        "basis_type": np.int64(1),
    }


def picture(stored: StoredGrid) -> np.ndarray:
    """Return a picture [40,40,3] of a grid on white, by the readable marcher."""
    grid = grid_of(stored)
    pose = look_at(np.array([0.9, -0.6, 0.7]), np.zeros(3), np.array([0.0, 0.0, 1.0]))
    rays = Camera.from_fov(SIZE, SIZE, 0.9, pose).rays()
    rays_o, rays_d = (torch.from_numpy(a.reshape(-1, 3)).float() for a in rays)
    density, colours = torch.from_numpy(grid.density), torch.from_numpy(grid.coefficients.copy())
    seen = march(grid, density, colours, rays_o, rays_d, MarchOptions())
    rgb = seen.rgb + torch.exp(seen.log_trans)[:, None]
    return rgb.reshape(SIZE, SIZE, 3).numpy()
