# SPDX-License-Identifier: MIT
"""Making and remaking the sparse grid: a start, finer or coarser grids, pruning, skip distances."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.voxel_grid import EMPTY, Grid, row_stride

__all__ = ["EMPTY", "Grid", "dense_grid", "row_stride", "sphere_mask"]

INITIAL_DENSITY = 0.1  # as published


def dense_grid(
    resolution: Sequence[int],
    degree: int = 2,
    density: float = INITIAL_DENSITY,
    center: Sequence[float] = (0.0, 0.0, 0.0),
    radius: Sequence[float] = (0.5, 0.5, 0.5),
    keep: np.ndarray | None = None,  # bool [X,Y,Z]
) -> Grid:
    """Return a grid with the same density everywhere (or where `keep`) and coefficients 0: mid-grey."""
    keep = np.ones(tuple(resolution), dtype=bool) if keep is None else keep
    links = links_of(keep)
    n = int(keep.sum())
    return Grid(
        links=links,
        density=np.full(n, density, dtype=np.float32),
        sh=np.zeros((n, row_stride(degree)), dtype=np.float32),
        degree=degree,
        center=np.asarray(center, dtype=np.float64),
        radius=np.asarray(radius, dtype=np.float64),
    )


def links_of(keep: np.ndarray) -> np.ndarray:
    """Return links int32 [X,Y,Z] that number the voxels of a mask in row-major order; -1 elsewhere."""
    rows = np.cumsum(keep.reshape(-1), dtype=np.int32) - 1
    return np.where(keep, rows.reshape(keep.shape), np.int32(EMPTY))


def sphere_mask(resolution: Sequence[int]) -> np.ndarray:
    """Return bool [X,Y,Z]: the voxels within the sphere that the box holds, plus a voxel's diagonal as published."""
    axes = [(2.0 * np.arange(r) + 1.0) / r - 1.0 for r in resolution]  # centres in [-1, 1]
    x, y, z = (a * a for a in axes)
    reach = 1.0 + np.sqrt(3.0) / max(resolution)
    return x[:, None, None] + y[None, :, None] + z[None, None, :] <= reach * reach
