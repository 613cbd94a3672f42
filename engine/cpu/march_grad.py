# SPDX-License-Identifier: MIT
"""The way back of the march: gradients of recorded samples, sorted by where they lie, added to the voxels' rows.

Computes, per ray from its last live sample to its first, with A = v_logT + T_end <g, background> behind the last:
    s = <g, c_i>,  dL/dsigma_i = delta (s T_(i+1) - A),  A += w_i s,  dL/dsh = w_i g Y where the colour is not clamped,
times the eight trilinear weights. g = 2 (rgb - target) / (3 Q), or given.
Order of work: `march_backward` finds runs of a ray's samples in one cell and counts them per slab of the grid,
`sort_runs` lists them by slab in the order of rays, `scatter_runs` adds each slab's, first even slabs, then odd ones. No
two threads ever write to one row and the order of additions is fixed: any number of threads gives the same bits.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.cpu.cell_map import peek, poke
from engine.cpu.march_rays import (
    AFTER,
    BLUE,
    FX,
    FY,
    FZ,
    GREEN,
    PER_UNIT,
    RECORD,
    RED,
    RUN_RAYS,
    SIGMA,
    STEP,
    WEIGHT,
    corner_weights,
    write_basis,
)
from engine.cpu.simd import fetch_add, fma, load, prefetch, splat, store

# Entries of `terms`, float64: loss weights per ray or sample, and the number of rays that means are over.
BACKGROUND, BETA, CAUCHY, L1, N_RAYS, N_TERMS = range(6)
AHEAD = 4  # runs between asking for memory and using it
_BETA_EPS = 1e-3  # keeps the gradient of log(1 - T) finite where nothing was hit, as published


@njit(cache=True, nogil=True, inline="always")
def clamped(records, i):
    """Return three bits: which channels of a record's colour are held at 0."""
    return (
        np.int64(records[i + RED] <= 0.0)
        + 2 * np.int64(records[i + GREEN] <= 0.0)
        + 4 * np.int64(records[i + BLUE] <= 0.0)
    )


@njit(cache=True, nogil=True, inline="always")
def _samples_back(at, n, delta, g0, g1, g2, behind, terms, records):
    """Replace AFTER of n records by dL/dsigma."""
    cauchy, l1 = terms[CAUCHY], terms[L1]
    for k in range(at + n - 1, at - 1, -1):
        i = k * RECORD
        s = g0 * records[i + RED] + g1 * records[i + GREEN] + g2 * records[i + BLUE]
        v = delta * (s * records[i + AFTER] - behind) + l1
        if cauchy != 0.0:
            sigma = np.float64(records[i + SIGMA])
            v += cauchy * 4.0 * sigma / (1.0 + 2.0 * sigma * sigma)
        behind += s * records[i + WEIGHT]
        records[i + AFTER] = v


@njit(cache=True, nogil=True, inline="always")
def _find_runs(at, n, plane, thickness, chunk, cells, records, runs, histogram):
    """Write each run's length to runs[its first record] and count it in histogram[slab, chunk]."""
    k = at
    while k < at + n:
        cell, bits, end = cells[k], clamped(records, k * RECORD), k + 1
        while end < at + n and cells[end] == cell and clamped(records, end * RECORD) == bits:
            end += 1
        runs[k] = end - k
        histogram[np.int64(cell) // plane // thickness, chunk] += 1
        k = end


@njit(cache=True, nogil=True)
def march_backward(
    counter, first, last, rays_d, geometry, starts, counts, params, terms, degree, rgb, log_trans, target,
    given, v_rgb, v_log_trans, plane, thickness, cells, records, runs, histogram, outer, squared,
):  # fmt: skip
    """Turn the records of rays first .. last - 1 into gradients per sample.

    Inputs: rgb without background; target float32 [Q,3], or with `given` v_rgb [Q,3] and v_log_trans [Q] (read in both cases).
    Outputs: AFTER of each record: dL/dsigma; runs int32, as records; histogram int32 [slabs, chunks]; outer float32
    [rays, S] flat: g Y of each ray in the order of a row; squared float64 [Q]: squared error of the pixel.
    Parallel over: chunks of RUN_RAYS rays.
    """
    n_basis = (degree + 1) * (degree + 1)
    stride = (3 * n_basis + 16) // 16 * 16
    basis = np.zeros(n_basis, dtype=np.float64)
    while True:
        begin = fetch_add(counter, 0, RUN_RAYS) + first
        if begin >= last:
            break
        for q in range(begin, min(begin + RUN_RAYS, last)):
            trans = np.exp(np.float64(log_trans[q]))
            if given:
                g0, g1, g2 = np.float64(v_rgb[q, 0]), np.float64(v_rgb[q, 1]), np.float64(v_rgb[q, 2])
            else:
                white = trans * terms[BACKGROUND]
                g0 = rgb[q, 0] + white - target[q, 0]
                g1 = rgb[q, 1] + white - target[q, 1]
                g2 = rgb[q, 2] + white - target[q, 2]
                squared[q] = g0 * g0 + g1 * g1 + g2 * g2
                share = 2.0 / (3.0 * terms[N_RAYS])
                g0, g1, g2 = g0 * share, g1 * share, g2 * share
            n = counts[q]
            if n == 0:
                continue
            behind = v_log_trans[q] + terms[BETA] / terms[N_RAYS] * (1.0 - trans / (1.0 - trans + _BETA_EPS))
            if not given:
                behind += trans * terms[BACKGROUND] * (g0 + g1 + g2)
            at = starts[q] - starts[first]
            delta = params[STEP] / geometry[q, PER_UNIT]
            _samples_back(at, n, delta, g0, g1, g2, behind, terms, records)
            _find_runs(at, n, plane, thickness, (q - first) // RUN_RAYS, cells, records, runs, histogram)
            write_basis(rays_d[q, 0], rays_d[q, 1], rays_d[q, 2], degree, basis, 0, 1)
            row = (q - first) * stride
            for k in range(n_basis):
                outer[row + k] = basis[k] * g0
                outer[row + n_basis + k] = basis[k] * g1
                outer[row + 2 * n_basis + k] = basis[k] * g2
            for k in range(3 * n_basis, stride):
                outer[row + k] = 0.0


@njit(cache=True, nogil=True)
def sort_runs(counter, first, last, starts, counts, plane, thickness, cells, runs, cursor, order, order_ray):
    """List the runs by slab: cursor int32 [slabs, chunks] holds where each chunk's go; order int32: their first record."""
    while True:
        begin = fetch_add(counter, 0, RUN_RAYS) + first
        if begin >= last:
            break
        chunk = (begin - first) // RUN_RAYS
        for q in range(begin, min(begin + RUN_RAYS, last)):
            k = starts[q] - starts[first]
            end = k + counts[q]
            while k < end:
                slab = np.int64(cells[k]) // plane // thickness
                place = cursor[slab, chunk]
                cursor[slab, chunk] = place + 1
                order[place], order_ray[place] = k, q - first
                k += runs[k]


@njit(cache=True, nogil=True, inline="always")
def _fetch_run(order, place, rows, sums, touched, stride):
    """Ask for what the run at `place` will be added to."""
    k = np.int64(peek(order, place)) * 8
    for c in range(8):
        voxel = np.int64(peek(rows, k + c))
        prefetch(touched, voxel)
        for lane in range(0, stride, 16):
            prefetch(sums, voxel * stride + lane)


@njit(cache=True, nogil=True)
def scatter_runs(
    counter, odd, slab_start, order, order_ray, runs, rows, records, outer, degree, sums, touched,
):  # fmt: skip
    """Add the gradients of every second slab's runs to sums float32 [N,S] flat; touched uint8 [N] becomes 1."""
    n_slabs = slab_start.shape[0] - 1
    n_basis = (degree + 1) * (degree + 1)
    stride = (3 * n_basis + 16) // 16 * 16
    free = np.zeros(
        8 * stride, dtype=np.float32
    )  # per pattern of clamped channels: 1 where a gradient passes
    for bits in range(8):
        for channel in range(3):
            for k in range(n_basis):
                free[bits * stride + channel * n_basis + k] = 0.0 if (bits >> channel) & 1 else 1.0
    unit = np.zeros(stride, dtype=np.float32)
    unit[3 * n_basis] = 1.0
    share = np.zeros(16, dtype=np.float32)
    while True:
        slab = 2 * fetch_add(counter, 0, 1) + odd
        if slab >= n_slabs:
            break
        last = slab_start[slab + 1]
        for place in range(slab_start[slab], last):
            prefetch(rows, np.int64(peek(order, min(place + 2 * AHEAD, last - 1))) * 8)
            prefetch(records, np.int64(peek(order, min(place + 2 * AHEAD, last - 1))) * RECORD)
            _fetch_run(order, min(place + AHEAD, last - 1), rows, sums, touched, stride)
            k = np.int64(peek(order, place))
            store(share, 0, splat(0.0))
            for i in range(k * RECORD, (k + peek(runs, k)) * RECORD, RECORD):
                weights = corner_weights(peek(records, i + FX), peek(records, i + FY), peek(records, i + FZ))
                w, v = peek(records, i + WEIGHT), peek(records, i + AFTER)
                for c in range(8):
                    share[c] += weights[c] * w
                    share[8 + c] += weights[c] * v
            pattern, source = clamped(records, k * RECORD) * stride, np.int64(peek(order_ray, place)) * stride
            for c in range(8):
                voxel = np.int64(peek(rows, 8 * k + c))
                if voxel < 0:
                    continue
                poke(touched, voxel, np.uint8(1))
                for lane in range(0, stride, 16):
                    at = voxel * stride + lane
                    value = fma(load(unit, lane), peek(share, 8 + c), load(sums, at))
                    colour = load(outer, source + lane) * load(free, pattern + lane)
                    store(sums, at, fma(colour, peek(share, c), value))
