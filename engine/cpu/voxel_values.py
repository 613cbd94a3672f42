# SPDX-License-Identifier: MIT
"""A number for each voxel, and how such numbers are distributed: for looking at a structure, not for training."""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.constants import DENSITY_SCALE, EXP_LINEAR_KNEE
from engine.cpu.simd import fetch_add

_KNEE = EXP_LINEAR_KNEE
_KNEE_SHIFT = float(np.log(EXP_LINEAR_KNEE)) - 1.0
_RUN = 4096


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
def count_bins(values, level, row_of_level, low, per_bin, logarithmic, counts):
    """Count float32 values [V] in bins of counts int64 [L,B], a row for each level that has one (row_of_level >= 0).

    Bins are 1 / per_bin wide from `low` on, in the natural logarithm if asked for; what lies beyond goes to the outermost.
    """
    last = counts.shape[1] - 1
    for voxel in range(values.shape[0]):
        row = row_of_level[level[voxel]]
        if row < 0:
            continue
        value = values[voxel]
        if logarithmic:
            value = np.log(max(value, np.float32(1e-30)))
        at = (value - low) * per_bin
        counts[row, min(max(np.int64(at), 0), last) if at > 0.0 else 0] += 1
