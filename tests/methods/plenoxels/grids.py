# SPDX-License-Identifier: MIT
"""Grids of coloured balls for the tests of looking at Plenoxels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.methods.plenoxels.grid import dense_grid, links_of
from engine.voxel_grid import Grid

BALLS = [((0.0, 0.0, 0.0), 0.25), ((0.25, 0.1, 0.1), 0.12), ((-0.2, 0.2, -0.1), 0.15)]


def ball_grid(
    resolution: Sequence[int] = (20, 20, 20),
    radius: Sequence[float] = (0.5, 0.5, 0.5),
    center: Sequence[float] = (0.0, 0.0, 0.0),
    sharpness: float = 1.0,
) -> Grid:
    """Return a grid with three balls, raw densities below 0 around them, colours of degree 2 all over."""
    grid = dense_grid(resolution, 2, 0.0, center, radius)
    places = np.stack(np.meshgrid(*[np.arange(r) for r in resolution], indexing="ij"), axis=-1)
    p = grid.world_from_grid(places.reshape(-1, 3).astype(float))
    edge = 1.0 / grid.scale.mean()
    inside = np.max([r - np.linalg.norm(p - np.array(c), axis=1) for c, r in BALLS], axis=0)
    grid.density[:] = np.clip(sharpness * inside / edge, -2.0, 2.0) / edge * 3.0
    colours = grid.coefficients
    colours[:, :, 0] = np.sin(p * 20.0) * 1.2
    colours[:, :, 1:4] = np.cos(p[:, :, None] * 15.0) * 0.3
    colours[:, :, 4:] = 0.1 * np.sin(p[:, :, None] * 30.0 + np.arange(5))
    return grid


def sparse_grid(grid: Grid, keep: np.ndarray) -> Grid:
    """Return a grid with the rows where `keep` [X,Y,Z] is true."""
    rows = grid.links[keep]
    return Grid(links_of(keep), grid.density[rows], grid.sh[rows], grid.degree, grid.center, grid.radius)
