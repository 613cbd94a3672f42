# SPDX-License-Identifier: MIT
"""`update.py` cut in two, for views whose gradients are added up before anybody takes a step: collect, spread, apply.

A view's gradients lie in groups of sixteen voxels, as its colours do. Colours hear theirs through the basis of their own view, so
what can be added is the gradient of the coefficients; only groups that some view saw are spread out into it.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.cpu.raster_grad import ROW_PRIORITY, ROW_WEIGHT
from engine.cpu.shade import GROUP, MAX_COEFFICIENTS, RUN_GROUPS, basis_of_group
from engine.cpu.simd import fetch_add, load, splat, store
from engine.cpu.tile_math import corner_gradients
from engine.cpu.update import (
    N_ADAM,
    RATE_SH0,
    RATE_SHS,
    TV,
    adam_group,
    pixel_size,
    sum_rows,
    total_variation,
)

FOUND = 4  # rows of a group in `found`: the gradient of its r, g, b, and |dL/dalpha alpha|


@njit(cache=True, nogil=True)
def collect_voxels(
    counter, rect, first_pair, pair_slot, pair_live, rows,
    soa, stride, view, rgb, corner_idx, density, adam, v_corners, has_gradient, found, seen,
):  # fmt: skip
    """Write what a view says of each voxel, changing no parameter.

    Inputs and v_corners, has_gradient: see `update.update_voxels`. Outputs: found float32 [groups, FOUND, 16], zero where
    unseen; seen float32 [2, V]: the heaviest weight, and minus the pixel size, or 0 and minus infinity where unseen: the larger
    is the heavier and the closer view. Parallel over: runs of groups.
    """
    n_voxels, n_groups = rect.shape[0], found.shape[0]
    total = np.zeros(16, dtype=np.float32)
    zero = np.float32(0.0)
    flat = found.reshape(-1)
    while True:
        first_group = fetch_add(counter, 0, RUN_GROUPS)
        if first_group >= n_groups:
            break
        for group in range(first_group, min(first_group + RUN_GROUPS, n_groups)):
            start = group * GROUP
            at = start * FOUND
            for k in range(FOUND):
                store(flat, at + GROUP * k, splat(0.0))
            for voxel in range(start, min(start + GROUP, n_voxels)):
                lane = at + voxel - start
                live = False
                if first_pair[voxel] >= 0:
                    live = sum_rows(voxel, first_pair[voxel], rect, pair_slot, pair_live, rows, total)
                if not live:
                    seen[0, voxel], seen[1, voxel] = zero, -np.inf
                    if has_gradient[voxel]:
                        for c in range(8):
                            v_corners[voxel, c] = zero
                        has_gradient[voxel] = 0
                    continue
                has_gradient[voxel] = 1
                corners = corner_gradients(
                    total[0], total[1], total[2], total[3], total[4], total[5], total[6], total[7]
                )
                for c in range(8):
                    v_corners[voxel, c] = corners[c]
                if adam[TV] > 0.0:
                    total_variation(density, corner_idx[voxel], v_corners[voxel], adam[TV])
                # the lines above and these are those of `update_voxels`: shared as a function they cost it half its speed
                for channel in range(3):
                    v = total[8 + channel]
                    flat[lane + 16 * channel] = v if rgb[voxel, 0, channel] > 0.0 or v < 0.0 else zero
                flat[lane + 3 * GROUP] = total[ROW_PRIORITY]
                seen[0, voxel] = total[ROW_WEIGHT]
                seen[1, voxel] = -pixel_size(voxel, soa, stride, view)


@njit(cache=True, nogil=True)
def collect_points(counter, owner_start, owners, v_corners, v_density):
    """Write each grid point's gradient float32 [G]; the sums of `update.update_points`. Parallel over: runs of points."""
    n = v_density.shape[0]
    flat = v_corners.reshape(-1)
    run = 2048
    while True:
        first = fetch_add(counter, 0, run)
        if first >= n:
            break
        for point in range(first, min(first + run, n)):
            g = np.float32(0.0)
            for k in range(owner_start[point], owner_start[point + 1]):
                g += flat[owners[k]]
            v_density[point] = g


@njit(cache=True, nogil=True)
def seen_groups(seen):
    """Return int32 the groups with a voxel that some view saw; seen [2, V] of `collect_voxels`."""
    n = seen.shape[1]
    groups = np.empty((n + GROUP - 1) // GROUP, dtype=np.int32)
    count = 0
    for group in range(groups.shape[0]):
        for voxel in range(group * GROUP, min(group * GROUP + GROUP, n)):
            if seen[1, voxel] > -np.inf:
                groups[count] = group
                count += 1
                break
    return groups[:count]


@njit(cache=True, nogil=True)
def spread_groups(counter, groups, soa, stride, view, degree, found, gradients):
    """Write the gradients of the coefficients of some groups: float32 [len(groups), 3 K + 1, 16], the last row of `found`
    behind them. Parallel over: runs of groups.
    """
    basis = np.empty(MAX_COEFFICIENTS * GROUP, dtype=np.float32)
    n_basis = (degree + 1) * (degree + 1)
    flat, out = found.reshape(-1), gradients.reshape(-1)
    while True:
        first = fetch_add(counter, 0, RUN_GROUPS)
        if first >= groups.shape[0]:
            break
        for i in range(first, min(first + RUN_GROUPS, groups.shape[0])):
            start = np.int64(groups[i]) * GROUP
            basis_of_group(soa, stride, start, view, degree, basis)
            lane, at = start * FOUND, i * (3 * n_basis + 1) * GROUP
            for k in range(n_basis):
                value = load(basis, 16 * k)
                for channel in range(3):
                    store(out, at, value * load(flat, lane + GROUP * channel))
                    at += GROUP
            store(out, at, load(flat, lane + 3 * GROUP))


@njit(cache=True, nogil=True)
def apply_groups(
    counter, groups, gradients, share, seen, degree, adam, correction1, correction2,
    sh, sh_m, sh_v, age, priority, heaviest, footprint,
):  # fmt: skip
    """Update the colour coefficients and statistics of every voxel that some view saw, from the sums of `spread_groups`.

    The step is along `share` times the sum of the gradients; see `update.update_voxels` for the rest. Parallel over: runs of
    groups.
    """
    n_voxels, n_rows = age.shape[0], sh.shape[1]
    n_basis = (degree + 1) * (degree + 1)
    lanes, ones = np.zeros(6 * GROUP, dtype=np.float32), np.ones(GROUP, dtype=np.float32)
    last = correction1.shape[0] - 1
    flat_sh, flat_m, flat_v = sh.reshape(-1), sh_m.reshape(-1), sh_v.reshape(-1)
    given = gradients.reshape(-1)
    others = np.empty(N_ADAM, dtype=np.float32)  # `adam` as coefficients behind the first want it
    for i in range(N_ADAM):
        others[i] = adam[RATE_SHS] if i == RATE_SH0 else adam[i]
    while True:
        first = fetch_add(counter, 0, RUN_GROUPS)
        if first >= groups.shape[0]:
            break
        for i in range(first, min(first + RUN_GROUPS, groups.shape[0])):
            start = np.int64(groups[i]) * GROUP
            at = i * (3 * n_basis + 1) * GROUP
            for lane in range(GROUP):
                voxel = start + lane
                lanes[48 + lane] = 0.0
                if voxel >= n_voxels or not seen[1, voxel] > -np.inf:
                    continue
                priority[voxel] += given[at + 3 * n_basis * GROUP + lane]
                heaviest[voxel] = max(heaviest[voxel], seen[0, voxel])
                footprint[voxel] = min(footprint[voxel], -seen[1, voxel])
                rounds = min(np.int64(age[voxel]) + 1, last)
                age[voxel] = rounds
                lanes[48 + lane] = 1.0
                lanes[64 + lane] = correction1[rounds]
                lanes[80 + lane] = correction2[rounds]
            on, c1, c2 = load(lanes, 48) > 0.0, load(lanes, 64), load(lanes, 80)
            for k in range(n_basis):
                for channel in range(3):
                    store(lanes, GROUP * channel, load(given, at + GROUP * (3 * k + channel)) * share)
                adam_group(
                    (start // GROUP * n_rows + 3 * k) * GROUP, 1, lanes, ones, on, adam if k == 0 else others, c1, c2,
                    flat_sh, flat_m, flat_v,
                )  # fmt: skip
