# SPDX-License-Identifier: MIT
"""Making and remaking the sparse grid: a start, finer or coarser grids, pruning, skip distances.

A remake is two steps, so that what to keep can be decided on the new values in between:
    dense = resampled_density(grid, resolution, crew)
    keep = keep_mask(score, threshold, ...)            # of `dense`, or of weights seen by cameras
    grid = resampled(grid, dense, keep, crew)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from engine.cpu.crew import Crew
from engine.cpu.grid_ops import resample_density, resample_rows, sweep_distances
from engine.voxel_grid import EMPTY, Grid, row_stride

__all__ = [
    "EMPTY", "INITIAL_DENSITY", "MAX_ELEMENTS", "Grid", "dense_grid", "dilate", "from_dense", "keep_mask", "links_of",
    "pruned", "resampled", "resampled_density", "row_stride", "sphere_mask", "to_dense", "with_distances",
]  # fmt: skip

INITIAL_DENSITY = 0.1  # as published
MAX_ELEMENTS = 44_000_000  # as published, for 22 GB


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
    if keep.shape != tuple(resolution) or min(keep.shape) < 2:
        raise ValueError(
            f"dense_grid(): keep must be {list(resolution)}, each at least 2, got {list(keep.shape)}."
        )
    n = int(np.count_nonzero(keep))
    return Grid(
        links=with_distances(links_of(keep)),
        density=np.full(n, density, dtype=np.float32),
        sh=np.zeros((n, row_stride(degree)), dtype=np.float32),
        degree=degree,
        center=np.array(center, dtype=np.float64),
        radius=np.array(radius, dtype=np.float64),
    )


def links_of(keep: np.ndarray) -> np.ndarray:
    """Return links int32 [X,Y,Z] that number the voxels of a mask in row-major order; EMPTY elsewhere."""
    rows = np.cumsum(keep.reshape(-1), dtype=np.int32).reshape(keep.shape) - np.int32(1)
    rows[~keep] = EMPTY
    return rows


def with_distances(links: np.ndarray) -> np.ndarray:
    """Return links [X,Y,Z] whose empty voxels hold -n, n the steps to the nearest row: see `Grid.links`."""
    if (links >= 0).all():
        return links
    steps = np.full(tuple(size + 2 for size in links.shape), max(links.shape), dtype=np.int32)
    inner = steps[1:-1, 1:-1, 1:-1]
    inner[links >= 0] = 0
    sweep_distances(steps, 1)
    sweep_distances(steps, -1)
    return np.where(links >= 0, links, -inner)


def sphere_mask(resolution: Sequence[int]) -> np.ndarray:
    """Return bool [X,Y,Z]: the voxels within the sphere that the box holds, plus a voxel's diagonal as published."""
    axes = [(2.0 * np.arange(r) + 1.0) / r - 1.0 for r in resolution]  # centres in [-1, 1]
    x, y, z = (a * a for a in axes)
    reach = 1.0 + np.sqrt(3.0) / max(resolution)
    return x[:, None, None] + y[None, :, None] + z[None, None, :] <= reach * reach


def dilate(mask: np.ndarray, times: int = 1) -> np.ndarray:
    """Return a mask [X,Y,Z] grown by its 26 neighbours, `times` over."""
    grown = mask.copy()
    for _ in range(times):
        for axis in range(3):
            low, high = (np.moveaxis(grown, axis, 0)[part] for part in (slice(None, -1), slice(1, None)))
            up, down = low.copy(), high.copy()
            high |= up
            low |= down
    return grown


def keep_mask(
    score: np.ndarray,  # [X,Y,Z]
    threshold: float,
    max_elements: int = MAX_ELEMENTS,
    dilation: int = 2,
) -> np.ndarray:
    """Return bool [X,Y,Z]: score >= threshold, the best `max_elements` at most, then grown by `dilation` voxels."""
    keep = score >= threshold
    if np.count_nonzero(keep) > max_elements:
        threshold = np.partition(score[keep], -max_elements)[-max_elements]
        keep = score >= threshold
    return dilate(keep, dilation)


def to_dense(grid: Grid, values: np.ndarray) -> np.ndarray:
    """Return values [N] of a grid's rows as [X,Y,Z], 0 where empty."""
    dense = np.zeros(grid.resolution, dtype=values.dtype)
    rows = grid.links >= 0
    dense[rows] = values[grid.links[rows]]
    return dense


def from_dense(grid: Grid, dense: np.ndarray) -> Grid:
    """Return a grid over the box of another with the density [X,Y,Z] where it is not 0, and no colours: for cameras."""
    keep = dense != 0.0
    density = np.ascontiguousarray(dense[keep], dtype=np.float32)
    sh = np.zeros((0, row_stride(0)), dtype=np.float32)
    return replace(grid, links=with_distances(links_of(keep)), density=density, sh=sh, degree=0)


def resampled_density(grid: Grid, resolution: Sequence[int], crew: Crew) -> np.ndarray:
    """Return the raw density float32 [X,Y,Z] at the voxel centres of another resolution over the same box."""
    new = np.empty(tuple(resolution), dtype=np.float32)
    crew.run(resample_density, grid.links.reshape(-1), grid.density, grid.resolution, new)
    return new


def resampled(grid: Grid, dense: np.ndarray, keep: np.ndarray, crew: Crew) -> Grid:
    """Return a grid with the kept voxels of `dense` [X,Y,Z] as densities and coefficients interpolated from `grid`."""
    links = with_distances(links_of(keep))
    density = np.ascontiguousarray(dense[keep], dtype=np.float32)
    sh = np.empty((len(density), grid.sh.shape[1]), dtype=np.float32)
    crew.run(
        resample_rows,
        grid.links.reshape(-1),
        grid.sh.reshape(-1),
        grid.sh.shape[1],
        grid.resolution,
        links,
        sh.reshape(-1),
    )
    return replace(grid, links=links, density=density, sh=sh)


def pruned(grid: Grid, keep: np.ndarray) -> tuple[Grid, np.ndarray]:
    """Return the grid with a row for the voxels of `keep` [X,Y,Z], and each new row's old one int32 [N'], -1 of a new voxel.

    New voxels (a dilated mask may hold some) start at 0. Optimiser state follows by the same indices.
    """
    row_from = grid.links[keep]
    row_from = np.where(row_from < 0, np.int32(EMPTY), row_from)
    density, sh = grid.density[row_from], grid.sh[row_from]
    density[row_from < 0], sh[row_from < 0] = 0.0, 0.0
    return replace(grid, links=with_distances(links_of(keep)), density=density, sh=sh), row_from
