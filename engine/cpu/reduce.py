# SPDX-License-Identifier: MIT
"""Gradient rows per (voxel, tile) pair to gradients per voxel, in a fixed order."""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.cpu.tile_math import corner_gradients
from engine.cpu.update import sum_rows


@njit(cache=True, nogil=True)
def reduce_rows(rect, first_pair, pair_slot, pair_live, rows, colour_rows, v_corners, v_colours):
    """Add up each visible voxel's rows: v_corners float32 [V,8], v_colours float32 [V,1,3] or [V,8,3], zero before."""
    total = np.zeros(16, dtype=np.float32)
    eight = v_colours.shape[1] == 8
    moments = np.zeros(24, dtype=np.float32)
    for voxel in range(rect.shape[0]):
        if first_pair[voxel] < 0 or not sum_rows(
            voxel, first_pair[voxel], rect, pair_slot, pair_live, rows, total
        ):
            continue
        corners = corner_gradients(
            total[0], total[1], total[2], total[3], total[4], total[5], total[6], total[7]
        )
        for c in range(8):
            v_corners[voxel, c] = corners[c]
        if not eight:
            for channel in range(3):
                v_colours[voxel, 0, channel] = total[8 + channel]
            continue
        box = rect[voxel]
        pairs = ((box[2] >> 4) - (box[0] >> 4) + 1) * ((box[3] >> 4) - (box[1] >> 4) + 1)
        moments[:] = 0.0
        for k in range(first_pair[voxel], first_pair[voxel] + pairs):
            slot = pair_slot[k]
            if pair_live[slot]:
                for j in range(24):
                    moments[j] += colour_rows[slot, j]
        for channel in range(3):
            m = moments[8 * channel : 8 * channel + 8]
            corners = corner_gradients(m[0], m[1], m[2], m[3], m[4], m[5], m[6], m[7])
            for c in range(8):
                v_colours[voxel, c, channel] = corners[c]


@njit(cache=True, nogil=True)
def heaviest_of_voxels(pair_voxel, pair_weight, heaviest):
    """Raise heaviest float32 [V] to the largest weight of each voxel's pairs."""
    for pair in range(pair_voxel.shape[0]):
        heaviest[pair_voxel[pair]] = max(heaviest[pair_voxel[pair]], pair_weight[pair])
