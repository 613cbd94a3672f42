# SPDX-License-Identifier: MIT
"""What cameras see of each voxel."""

from __future__ import annotations

import numpy as np
import torch

from engine.cpu.crew import Crew
from engine.cpu.lists import Workspace
from engine.cpu.march_weights import PAPER_STOP, raise_heaviest
from engine.methods.plenoxels.grid import dense_grid, from_dense, keep_mask, to_dense
from engine.reference.march import march
from engine.voxel_grid import MarchOptions
from tests.cpu.march_scenes import random_grid, random_rays


def heaviest(grid, rays, options: MarchOptions, threads: int = 2) -> np.ndarray:
    weights = np.zeros(grid.n_voxels, dtype=np.float32)
    raise_heaviest(grid, *rays, options, weights, Crew(threads), Workspace())
    return weights


def test_a_voxel_gets_the_heaviest_weight_of_the_samples_around_it() -> None:
    grid, rays = random_grid(0), random_rays(120)
    options = MarchOptions()
    origin, direction = (torch.tensor(a).double() for a in rays)
    coefficients = torch.tensor(np.ascontiguousarray(grid.coefficients)).double()
    out = march(grid, torch.tensor(grid.density).double(), coefficients, origin, direction, options)
    points = grid.grid_from_world((origin[:, None] + out.t[..., None] * direction[:, None]).numpy())
    points = np.clip(points, 0.0, np.array(grid.resolution) - 1.0)
    low = np.minimum(points.astype(int), np.array(grid.resolution) - 2)
    wanted = np.zeros(grid.n_voxels)
    live = out.live.numpy()
    for corner in np.ndindex(2, 2, 2):
        rows = grid.links[tuple(np.moveaxis(low + corner, -1, 0))]
        seen = live & (rows >= 0)
        np.maximum.at(wanted, rows[seen], out.weight.numpy()[seen])
    weights = heaviest(grid, rays, options)
    assert np.abs(weights - wanted).max() < 2e-6 and weights.max() > 0.1
    assert np.array_equal(weights, heaviest(grid, rays, options, threads=1))


def test_pruning_by_weight_keeps_the_shell_that_is_seen_and_drops_what_it_hides() -> None:
    resolution = (24, 24, 24)
    grid = dense_grid(resolution, 0)
    at = np.stack(np.meshgrid(*[np.arange(24.0)] * 3, indexing="ij"), axis=-1)
    radius = np.linalg.norm(grid.world_from_grid(at), axis=-1)
    dense = np.where(radius < 0.35, 200.0, -1.0).astype(np.float32)
    seen = from_dense(grid, dense)
    rng = np.random.default_rng(0)
    rays_o = rng.normal(size=(20000, 3))
    rays_o *= 1.5 / np.linalg.norm(rays_o, axis=1, keepdims=True)
    rays_d = rng.uniform(-0.4, 0.4, rays_o.shape) - rays_o
    rays_d /= np.linalg.norm(rays_d, axis=1, keepdims=True)
    weights = to_dense(seen, heaviest(seen, (rays_o, rays_d), MarchOptions(stop_thresh=PAPER_STOP)))
    keep = keep_mask(weights, 0.1, dilation=0)
    shell, hidden = (radius > 0.31) & (radius < 0.35), radius < 0.24
    assert shell.any() and hidden.any() and keep[shell].all() and not keep[hidden].any()
    assert not keep[radius > 0.35 + 2 * np.sqrt(3.0) / 24].any(), "nor is empty space kept"
