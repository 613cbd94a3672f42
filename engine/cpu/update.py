# SPDX-License-Identifier: MIT
"""From gradient rows to new parameters, touching only what the view saw: reduce, SH backward, Adam, in one pass.

Adam as published, with the bias correction counted per row: a row that is rarely seen is corrected by how often it was
updated, not by how long training has run. Rows are added in a fixed order, so any number of threads gives the same result.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.cpu.raster_grad import ROW, ROW_PRIORITY, ROW_WEIGHT
from engine.cpu.shade import GROUP, MAX_COEFFICIENTS, RUN_GROUPS, basis_of_group
from engine.cpu.simd import fetch_add, fma, load, select, splat, store, vsqrt
from engine.cpu.tile_math import corner_gradients

# Entries of the `adam` array (float32).
BETA1, BETA2, EPS, RATE_DENSITY, RATE_SH0, RATE_SHS, TV = range(7)
N_ADAM = 7


@njit(cache=True, nogil=True)
def sum_rows(voxel, first, rect, pair_slot, pair_live, rows, total):
    """Add up a voxel's live rows into total [16]; return whether any was live."""
    across = (np.int64(rect[voxel, 2]) >> 4) - (np.int64(rect[voxel, 0]) >> 4) + 1
    pairs = across * ((np.int64(rect[voxel, 3]) >> 4) - (np.int64(rect[voxel, 1]) >> 4) + 1)
    live = False
    heaviest = np.float32(0.0)
    lanes = splat(0.0)
    for k in range(first, first + pairs):
        slot = pair_slot[k]
        if pair_live[slot]:
            live = True
            lanes = lanes + load(rows, slot * ROW)
            heaviest = max(heaviest, rows[slot * ROW + ROW_WEIGHT])
    store(total, 0, lanes)
    total[ROW_WEIGHT] = heaviest
    return live


@njit(cache=True, nogil=True)
def total_variation(density, corners, out, weight):
    """Add the gradient of weight * sum over the 12 edges |difference| to out [8]; zero where the ends are equal."""
    for c in range(8):
        for axis in range(3):
            other = c ^ (1 << axis)
            difference = density[corners[c]] - density[corners[other]]
            if difference > 0.0:
                out[c] += weight
            elif difference < 0.0:
                out[c] -= weight


@njit(cache=True, nogil=True)
def pixel_size(voxel, soa, stride, view):
    """Return the world size of a pixel at a voxel's centre."""
    if view[19] > 0.5:
        return np.float32(1.0 / view[12])
    depth = (
        (soa[voxel] - view[9]) * view[6]
        + (soa[stride + voxel] - view[10]) * view[7]
        + (soa[2 * stride + voxel] - view[11]) * view[8]
    )
    return np.float32(max(depth, view[18]) / view[12])


@njit(cache=True, nogil=True)
def adam_group(at, n_basis, lanes, basis, on, adam, c1, c2, sh, sh_m, sh_v):
    """Take one Adam step on a group's coefficients, in the lanes of `on`; lanes [48] holds the colours' gradients."""
    b1, b2, eps = adam[BETA1], adam[BETA2], adam[EPS]
    rest1, rest2 = np.float32(1.0) - b1, np.float32(1.0) - b2
    v_r, v_g, v_b = load(lanes, 0), load(lanes, 16), load(lanes, 32)
    for k in range(n_basis):
        value = load(basis, 16 * k)
        rate = c1 * (adam[RATE_SH0] if k == 0 else adam[RATE_SHS])
        for channel in range(3):
            g = value * (v_r if channel == 0 else (v_g if channel == 1 else v_b))
            old_m, old_v, old = load(sh_m, at), load(sh_v, at), load(sh, at)
            m = fma(old_m, b1, g * rest1)
            v = fma(old_v, b2, g * g * rest2)
            new = old - rate * m / (vsqrt(v * c2) + eps)
            store(sh_m, at, select(on, m, old_m))
            store(sh_v, at, select(on, v, old_v))
            store(sh, at, select(on, new, old))
            at += 16


@njit(cache=True, nogil=True)
def update_voxels(
    counter, rect, first_pair, pair_slot, pair_live, rows,
    soa, stride, view, rgb, corner_idx, density, degree, adam, correction1, correction2,
    sh, sh_m, sh_v, age, v_corners, has_gradient, priority, heaviest, footprint,
):  # fmt: skip
    """Update the colour coefficients of every voxel that the view saw; leave its corner gradients for `update_points`.

    Inputs: first_pair int32 [V], the first entry of pair_slot of a visible voxel, else -1; rows of `raster_gradients`;
    adam, see above; correction1/2 float32: 1 / (1 - beta^n) by n.
    In and out: sh, sh_m, sh_v grouped; age uint16 [V]; priority, heaviest, footprint [V] (accumulated |dL/dalpha alpha|,
    heaviest weight, smallest pixel footprint). Outputs: v_corners [V,8], zero where has_gradient uint8 [V] is 0.
    Parallel over: runs of groups.
    """
    n_voxels, n_groups, n_rows = rect.shape[0], sh.shape[0], sh.shape[1]
    total = np.zeros(16, dtype=np.float32)
    lanes = np.zeros(6 * GROUP, dtype=np.float32)
    basis = np.empty(MAX_COEFFICIENTS * GROUP, dtype=np.float32)
    n_basis = (degree + 1) * (degree + 1)
    zero = np.float32(0.0)
    last = correction1.shape[0] - 1
    flat_sh, flat_m, flat_v = sh.reshape(-1), sh_m.reshape(-1), sh_v.reshape(-1)
    while True:
        first_group = fetch_add(counter, 0, RUN_GROUPS)
        if first_group >= n_groups:
            break
        for group in range(first_group, min(first_group + RUN_GROUPS, n_groups)):
            any_live = False
            start = group * GROUP
            for voxel in range(start, min(start + GROUP, n_voxels)):
                lane = voxel - start
                lanes[48 + lane] = 0.0
                live = False
                if first_pair[voxel] >= 0:
                    live = sum_rows(voxel, first_pair[voxel], rect, pair_slot, pair_live, rows, total)
                if not live:
                    if has_gradient[voxel]:
                        for c in range(8):
                            v_corners[voxel, c] = zero
                        has_gradient[voxel] = 0
                    continue
                any_live = True
                has_gradient[voxel] = 1
                corners = corner_gradients(
                    total[0], total[1], total[2], total[3], total[4], total[5], total[6], total[7]
                )
                for c in range(8):
                    v_corners[voxel, c] = corners[c]
                if adam[TV] > 0.0:
                    total_variation(density, corner_idx[voxel], v_corners[voxel], adam[TV])
                priority[voxel] += total[ROW_PRIORITY]
                heaviest[voxel] = max(heaviest[voxel], total[ROW_WEIGHT])
                footprint[voxel] = min(footprint[voxel], pixel_size(voxel, soa, stride, view))
                # a colour clamped at 0 hears only gradients that would raise it
                for channel in range(3):
                    v = total[8 + channel]
                    lanes[16 * channel + lane] = v if rgb[voxel, 0, channel] > 0.0 or v < 0.0 else zero
                rounds = min(np.int64(age[voxel]) + 1, last)
                age[voxel] = rounds
                lanes[48 + lane] = 1.0
                lanes[64 + lane] = correction1[rounds]
                lanes[80 + lane] = correction2[rounds]
            if any_live:
                basis_of_group(soa, stride, start, view, degree, basis)
                on = load(lanes, 48) > 0.0
                adam_group(
                    group * n_rows * GROUP, n_basis, lanes, basis, on, adam, load(lanes, 64), load(lanes, 80),
                    flat_sh, flat_m, flat_v,
                )  # fmt: skip


@njit(cache=True, nogil=True)
def update_points(
    counter, owner_start, owners, v_corners, adam, correction1, correction2, density, m, v, age
):
    """Sum each grid point's gradient over the voxel corners that meet in it and take an Adam step where it is not zero.

    Inputs: owner_start int32 [G+1], owners int32 [8 V] (voxel * 8 + corner), see `owners_of_points`; v_corners [V,8].
    In and out: density, m, v float32 [G]; age uint16 [G]. Parallel over: runs of points.
    """
    n = density.shape[0]
    b1, b2, eps, rate = adam[BETA1], adam[BETA2], adam[EPS], adam[RATE_DENSITY]
    one = np.float32(1.0)
    last = correction1.shape[0] - 1
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
            if g == 0.0:
                continue
            rounds = min(np.int64(age[point]) + 1, last)
            age[point] = rounds
            m[point] = b1 * m[point] + (one - b1) * g
            v[point] = b2 * v[point] + (one - b2) * g * g
            density[point] -= (
                rate * m[point] * correction1[rounds] / (np.sqrt(v[point] * correction2[rounds]) + eps)
            )


@njit(cache=True, nogil=True)
def owners_of_points(corner_idx, n_points):
    """Return (owner_start int32 [G+1], owners int32 [8 V]): the voxel corners that meet in each grid point, in voxel order."""
    n = corner_idx.shape[0]
    start = np.zeros(n_points + 1, dtype=np.int32)
    for voxel in range(n):
        for c in range(8):
            start[corner_idx[voxel, c] + 1] += 1
    for point in range(n_points):
        start[point + 1] += start[point]
    cursor = start[:-1].copy()
    owners = np.empty(8 * n, dtype=np.int32)
    for voxel in range(n):
        for c in range(8):
            point = corner_idx[voxel, c]
            owners[cursor[point]] = voxel * 8 + c
            cursor[point] += 1
    return start, owners


def bias_corrections(beta: float, n: int) -> np.ndarray:
    """Return 1 / (1 - beta^k) for k = 0..n-1 as float32; entry 0 is 1."""
    powers = 1.0 - np.power(np.float64(beta), np.arange(n))
    powers[0] = 1.0
    return (1.0 / powers).astype(np.float32)
