# SPDX-License-Identifier: MIT
"""A number for each voxel, and how such numbers are distributed: for looking at a structure, not for training."""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.constants import DENSITY_SCALE, EXP_LINEAR_KNEE
from engine.cpu.crew import Crew
from engine.cpu.simd import fetch_add

_KNEE = EXP_LINEAR_KNEE
_KNEE_SHIFT = float(np.log(EXP_LINEAR_KNEE)) - 1.0
_RUN = 4096
_PARTS = 16  # of the voxels, counted by themselves


@njit(cache=True, nogil=True)
def centre_densities(counter, density, corner_idx, out):
    """Write the density float32 [V] per engine unit in the middle of each voxel, from raw ones [G] at the points.

    Parallel over: runs of voxels.
    """
    n = corner_idx.shape[0]
    while True:
        first = fetch_add(counter, 0, _RUN)
        if first >= n:
            break
        for voxel in range(first, min(first + _RUN, n)):
            raw = np.float32(0.0)
            for corner in range(8):
                raw += density[corner_idx[voxel, corner]]
            raw *= np.float32(0.125)
            active = raw if raw > _KNEE else np.exp(raw * (1.0 / _KNEE) + _KNEE_SHIFT)
            out[voxel] = DENSITY_SCALE * active


@njit(cache=True, nogil=True)
def _count_bins(counter, values, bits, level, row_of_level, inner, first_bin, counts):
    """Count values float32 [V], none negative, in bins: into counts int64 [parts,L,B], each part for whoever takes it.

    Inputs: bits uint32 [V] of the values; row_of_level int64 [17], -1 for levels that are left out; inner float32 [B-1], the
    edges between bins; first_bin int16 [2^15], the bin of the smallest value whose upper half of bits is the index.
    """
    n, parts, last = values.shape[0], counts.shape[0], counts.shape[2] - 1
    while True:
        part = fetch_add(counter, 0, 1)
        if part >= parts:
            break
        for voxel in range(part * n // parts, (part + 1) * n // parts):
            row = row_of_level[level[voxel]]
            if row < 0:
                continue
            at = np.int64(first_bin[bits[voxel] >> 16])
            while at < last and values[voxel] >= inner[at]:
                at += 1
            counts[part, row, at] += 1


def count_bins(
    values: np.ndarray,  # float32 [V], none negative
    level: np.ndarray,  # int8 [V]
    row_of_level: np.ndarray,  # int64 [17], -1 for levels that are left out
    rows: int,
    edges: np.ndarray,  # float32 [B+1]
    crew: Crew,
) -> np.ndarray:
    """Return counts int64 [rows,B] of values per level and bin; what lies beyond the edges goes to the outermost bins."""
    inner = np.ascontiguousarray(edges[1:-1])
    starts = (np.arange(1 << 15, dtype=np.uint32) << 16).view(
        np.float32
    )  # the last ones are NaN: they count as large
    first_bin = np.searchsorted(inner, starts, side="right").astype(np.int16)
    values = np.ascontiguousarray(values, dtype=np.float32)
    counts = np.zeros((_PARTS, rows, len(edges) - 1), dtype=np.int64)
    crew.run(_count_bins, values, values.view(np.uint32), level, row_of_level, inner, first_bin, counts)
    return counts.sum(axis=0)
