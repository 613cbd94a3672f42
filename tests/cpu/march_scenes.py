# SPDX-License-Identifier: MIT
"""Small sparse grids and rays that the tests of the march share."""

from __future__ import annotations

import numpy as np

from engine.methods.plenoxels.grid import dense_grid
from engine.voxel_grid import Grid


def random_grid(
    degree: int = 2, resolution: tuple[int, int, int] = (9, 12, 10), filled: float = 0.6, seed: int = 0
) -> Grid:
    """Return a grid with holes in a box that is no cube, densities of both signs, colours that are clamped here and there."""
    rng = np.random.default_rng(seed)
    keep = rng.uniform(size=resolution) < filled
    grid = dense_grid(resolution, degree, center=(0.02, 0.03, -0.1), radius=(0.5, 0.6, 0.4), keep=keep)
    grid.density[:] = rng.normal(size=grid.n_voxels) * 20.0 + 5.0
    grid.coefficients[:] = rng.normal(size=grid.coefficients.shape) * 0.5
    return grid


def random_rays(n: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return float32 origins and unit directions [n,3]: from outside, from inside, along axes, and past the grid."""
    rng = np.random.default_rng(seed)
    rays_o = rng.normal(size=(n, 3))
    rays_o *= 1.5 / np.linalg.norm(rays_o, axis=1, keepdims=True)
    towards = rng.uniform(-0.5, 0.5, (n, 3))
    rays_o[: n // 8] = rng.uniform(-0.3, 0.3, (n // 8, 3))
    rays_d = towards - rays_o
    for k, axis in enumerate((0, 1, 2)):
        rays_o[k], rays_d[k] = 0.01, 0.0
        rays_d[k, axis] = -1.0
    rays_o[3], rays_d[3] = (0.7, 0.0, 0.0), (0.0, 1.0, 0.0)
    rays_o[4], rays_d[4] = (2.0, 0.0, 0.0), (1.0, 0.0, 0.0)
    rays_d /= np.linalg.norm(rays_d, axis=1, keepdims=True)
    return rays_o.astype(np.float32), rays_d.astype(np.float32)


def brute_links(links: np.ndarray) -> np.ndarray:
    """Return links [X,Y,Z] that promise nothing about the neighbourhood of empty voxels: nothing can be skipped."""
    return np.maximum(links, -1)
