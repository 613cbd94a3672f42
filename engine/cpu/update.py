# SPDX-License-Identifier: MIT
"""From gradient rows to new parameters, touching only what the view saw: reduce, SH backward, Adam, in one pass.

Adam as published, with the bias correction counted per row: a row that is rarely seen is corrected by how often it was
updated, not by how long training has run. Rows are added in a fixed order, so any number of threads gives the same result.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.cpu.raster_grad import ROW, ROW_PRIORITY, ROW_WEIGHT
from engine.cpu.shade import MAX_COEFFICIENTS, direction_to, sh_basis_into
from engine.cpu.simd import fetch_add, fma, load, splat, store, vsqrt
from engine.cpu.tile_math import corner_gradients

# Entries of the `adam` array (float32).
BETA1, BETA2, EPS, RATE_DENSITY, RATE_SH0, RATE_SHS, TV = range(7)
N_ADAM = 7

_CHANNEL = np.array([[1.0 if lane % 3 == c else 0.0 for lane in range(48)] for c in range(3)], dtype=np.float32)


@njit(cache=True, nogil=True)
def sum_rows(voxel, first, rect, pair_slot, pair_live, rows, total):
    """Add up a voxel's live rows into total [16]; return how many pairs it has and whether any was live."""
    box = rect[voxel]
    pairs = ((box[2] >> 4) - (box[0] >> 4) + 1) * ((box[3] >> 4) - (box[1] >> 4) + 1)
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
    return pairs, live


@njit(cache=True, nogil=True)
def _total_variation(density, corners, out, weight):
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
def update_voxels(
    counter, chunks, visible, n_visible, rect, chunk_pair, pair_slot, pair_live, rows,
    soa, stride, view, rgb, corner_idx, density, degree, adam, correction1, correction2, step,
    sh, sh_m, sh_v, age, v_corners, stamp, priority, heaviest, footprint,
):  # fmt: skip
    """Update the colour coefficients of every voxel that the view saw; leave its corner gradients for `update_points`.

    Inputs: rows of `raster_gradients`; adam, see above; correction1/2 float32: 1 / (1 - beta^n) by n.
    In and out: sh, sh_m, sh_v [V, row]; age uint16 [V]; priority, heaviest, footprint [V] (accumulated |dL/dalpha alpha|,
    heaviest weight, smallest pixel footprint). Outputs: v_corners [V,8], valid where stamp [V] == step.
    Parallel over: chunks.
    """
    n_chunks = chunks.shape[0]
    total = np.zeros(16, dtype=np.float32)
    basis = np.empty(MAX_COEFFICIENTS, dtype=np.float32)
    wide = np.zeros(3 * MAX_COEFFICIENTS, dtype=np.float32)
    rate = np.full(3 * MAX_COEFFICIENTS, adam[RATE_SHS], dtype=np.float32)
    rate[:3] = adam[RATE_SH0]
    n_basis = (degree + 1) * (degree + 1)
    n_vectors = (3 * n_basis + 15) // 16
    b1, b2, eps = adam[BETA1], adam[BETA2], adam[EPS]
    one = np.float32(1.0)
    last = correction1.shape[0] - 1
    row_stride = sh.shape[1]
    flat_sh, flat_m, flat_v = sh.reshape(-1), sh_m.reshape(-1), sh_v.reshape(-1)
    while True:
        first = fetch_add(counter, 0, 4)
        if first >= n_chunks:
            break
        for chunk in range(first, min(first + 4, n_chunks)):
            start, slot = chunks[chunk, 0], chunk_pair[chunk]
            for n in range(start, start + n_visible[chunk]):
                voxel = visible[n]
                pairs, live = sum_rows(voxel, slot, rect, pair_slot, pair_live, rows, total)
                slot += pairs
                if not live:
                    continue
                stamp[voxel] = step
                corners = corner_gradients(
                    total[0], total[1], total[2], total[3], total[4], total[5], total[6], total[7]
                )
                for c in range(8):
                    v_corners[voxel, c] = corners[c]
                if adam[TV] > 0.0:
                    _total_variation(density, corner_idx[voxel], v_corners[voxel], adam[TV])
                priority[voxel] += total[ROW_PRIORITY]
                heaviest[voxel] = max(heaviest[voxel], total[ROW_WEIGHT])
                depth = (
                    (soa[voxel] - view[9]) * view[6]
                    + (soa[stride + voxel] - view[10]) * view[7]
                    + (soa[2 * stride + voxel] - view[11]) * view[8]
                )
                pixel = (1.0 if view[19] > 0.5 else max(depth, view[18])) / view[12]
                footprint[voxel] = min(footprint[voxel], np.float32(pixel))
                x, y, z = direction_to(soa, stride, voxel, view)
                sh_basis_into(x, y, z, degree, basis)
                for k in range(n_basis):
                    wide[3 * k] = basis[k]
                    wide[3 * k + 1] = basis[k]
                    wide[3 * k + 2] = basis[k]
                # a colour clamped at 0 hears only gradients that would raise it
                v_r = total[8] if rgb[voxel, 0, 0] > 0.0 or total[8] < 0.0 else np.float32(0.0)
                v_g = total[9] if rgb[voxel, 0, 1] > 0.0 or total[9] < 0.0 else np.float32(0.0)
                v_b = total[10] if rgb[voxel, 0, 2] > 0.0 or total[10] < 0.0 else np.float32(0.0)
                rounds = min(np.int64(age[voxel]) + 1, last)
                age[voxel] = rounds
                c1, c2 = correction1[rounds], correction2[rounds]
                at = voxel * row_stride
                for j in range(n_vectors):
                    lane = 16 * j
                    g = load(_CHANNEL[0], lane) * v_r + load(_CHANNEL[1], lane) * v_g + load(_CHANNEL[2], lane) * v_b
                    g = g * load(wide, lane)
                    m = fma(load(flat_m, at + lane), b1, g * (one - b1))
                    v = fma(load(flat_v, at + lane), b2, g * g * (one - b2))
                    store(flat_m, at + lane, m)
                    store(flat_v, at + lane, v)
                    delta = load(rate, lane) * m * c1 / (vsqrt(v * c2) + eps)
                    store(flat_sh, at + lane, load(flat_sh, at + lane) - delta)


@njit(cache=True, nogil=True)
def update_points(
    counter, owner_start, owners, v_corners, stamp, step, adam, correction1, correction2, density, m, v, age
):
    """Sum each grid point's gradient over the voxel corners that meet in it and take an Adam step where one was seen.

    Inputs: owner_start int32 [G+1], owners int32 [8 V] (voxel * 8 + corner), see `owners_of_points`.
    In and out: density, m, v float32 [G]; age uint16 [G]. Parallel over: runs of points.
    """
    n = density.shape[0]
    b1, b2, eps, rate = adam[BETA1], adam[BETA2], adam[EPS], adam[RATE_DENSITY]
    one = np.float32(1.0)
    last = correction1.shape[0] - 1
    run = 2048
    while True:
        first = fetch_add(counter, 0, run)
        if first >= n:
            break
        for point in range(first, min(first + run, n)):
            g = np.float32(0.0)
            seen = False
            for k in range(owner_start[point], owner_start[point + 1]):
                item = owners[k]
                if stamp[item >> 3] == step:
                    g += v_corners[item >> 3, item & 7]
                    seen = True
            if not seen:
                continue
            rounds = min(np.int64(age[point]) + 1, last)
            age[point] = rounds
            m[point] = b1 * m[point] + (one - b1) * g
            v[point] = b2 * v[point] + (one - b2) * g * g
            density[point] -= rate * m[point] * correction1[rounds] / (np.sqrt(v[point] * correction2[rounds]) + eps)


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
