# SPDX-License-Identifier: MIT
"""From ordered chunks to one front-to-back voxel list per screen tile: count, prefix sum, scatter. Stable, so no sort."""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.cpu.simd import fetch_add

GROUPS = 16  # the ordered chunks are cut into this many groups, counted and scattered independently


@njit(cache=True, nogil=True)
def group_bounds(order, n_visible, bounds):
    """Cut the ordered chunks into GROUPS runs with about equally many visible voxels: bounds [GROUPS + 1]."""
    total = 0
    for chunk in order:
        total += n_visible[chunk]
    bounds[:] = order.shape[0]
    bounds[0] = 0
    seen, group = 0, 1
    for position in range(order.shape[0]):
        seen += n_visible[order[position]]
        while group < GROUPS and seen * GROUPS >= total * group:
            bounds[group] = position + 1
            group += 1


@njit(cache=True, nogil=True)
def count_pairs(counter, chunks, order, bounds, visible, n_visible, rect, tiles_x, counts):
    """Count, per group and tile, the voxels that touch the tile: counts int32 [GROUPS, T]. Parallel over: groups."""
    while True:
        group = fetch_add(counter, 0, 1)
        if group >= GROUPS:
            break
        row = counts[group]
        row[:] = 0
        for position in range(bounds[group], bounds[group + 1]):
            chunk = order[position]
            start = chunks[chunk, 0]
            for k in range(start, start + n_visible[chunk]):
                voxel = visible[k]
                left, right = np.int64(rect[voxel, 0]) >> 4, (np.int64(rect[voxel, 2]) >> 4) + 1
                for ty in range(np.int64(rect[voxel, 1]) >> 4, (np.int64(rect[voxel, 3]) >> 4) + 1):
                    for tx in range(left, right):
                        row[ty * tiles_x + tx] += 1


@njit(cache=True, nogil=True)
def prefix_sums(counts, tile_start):
    """Turn counts into first positions, tile by tile and group by group; tile_start int64 [T + 1]. Returns the total."""
    total = 0
    for tile in range(counts.shape[1]):
        tile_start[tile] = total
        for group in range(GROUPS):
            n = counts[group, tile]
            counts[group, tile] = total
            total += n
    tile_start[counts.shape[1]] = total
    return total


@njit(cache=True, nogil=True)
def scatter_pairs(
    counter,
    chunks,
    order,
    bounds,
    visible,
    n_visible,
    rect,
    tiles_x,
    counts,
    chunk_pair,
    first_pair,
    pair_voxel,
    pair_slot,
    keep,
):
    """Write pair_voxel int32 [P], the voxels of each tile nearest first. Parallel over: groups.

    With `keep`, also record where each voxel's pairs went: they stand in pair_slot[first_pair[voxel] : ...], tile by tile in
    row order; chunk c's voxels begin at chunk_pair[c].
    """
    while True:
        group = fetch_add(counter, 0, 1)
        if group >= GROUPS:
            break
        cursor = counts[group]
        for position in range(bounds[group], bounds[group + 1]):
            chunk = order[position]
            start = chunks[chunk, 0]
            base = chunk_pair[chunk]
            for k in range(start, start + n_visible[chunk]):
                voxel = visible[k]
                first_pair[voxel] = base
                left, right = np.int64(rect[voxel, 0]) >> 4, (np.int64(rect[voxel, 2]) >> 4) + 1
                for ty in range(np.int64(rect[voxel, 1]) >> 4, (np.int64(rect[voxel, 3]) >> 4) + 1):
                    for tx in range(left, right):
                        tile = ty * tiles_x + tx
                        slot = cursor[tile]
                        cursor[tile] = slot + 1
                        pair_voxel[slot] = voxel
                        if keep:
                            pair_slot[base] = slot
                        base += 1
