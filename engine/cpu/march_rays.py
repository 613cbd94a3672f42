# SPDX-License-Identifier: MIT
"""Marching rays through the sparse grid, front to back: kernels that find live samples, weigh and colour them.

Computes, per ray, over samples i at t_i = t_min + i h (h = `step` grid units, world length delta):
    sigma_i = max(0, trilerp(density)),  p_i = delta sigma_i,  w_i = T_i (1 - e^-p_i),  T_(i+1) = T_i e^-p_i,
    c_i = max(0, 1/2 + Y(d) trilerp(sh)),  rgb = sum w_i c_i,  log T = -sum p_i,  depth = sum w_i t_i.
Samples with sigma_i <= sigma_thresh are not live: they count for nothing and get no gradient. A ray ends behind the first
sample with T < stop_thresh. Empty space is crossed by the distances in `links`; positions come from the sample's number i,
so that skipping changes no bit of the result.
Parallel over: rays, in runs of RUN_RAYS. Records of live samples are kept for the way back, or in a thread's own scratch.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.constants import SH_C0, SH_C1, SH_C2, SH_C3
from engine.cpu.cell_map import copy_rows, corner_rows, lowest_bit, peek, poke, rows_density, sixteen_cells
from engine.cpu.simd import fetch_add, fma, lane_sum, load, prefetch, select, splat, store, vexp

RUN_RAYS = 32  # rays per piece of parallel work
BATCH = 32  # samples of a ray that are looked up together

# Entries of `params`, float64.
STEP, SIGMA_THRESH, STOP, NEAR, FAR, N_PARAMS = range(6)

# Columns of a ray's `geometry`, float64: first and last t in grid units, grid units per engine unit, then origin and unit
# direction in grid coordinates.
T_MIN, T_MAX, PER_UNIT, OX, OY, OZ, DX, DY, DZ, N_GEOMETRY = range(10)
MOST_STEPS = 1 << 20

# Floats of a live sample's record.
FX, FY, FZ, SIGMA, WEIGHT, AFTER, RED, GREEN, BLUE, WHERE, RECORD = range(11)

_INSIDE = 1e-3  # grid units that a skip stays clear of the box's face: far more than rounding
_LANE = np.arange(16, dtype=np.float32)
_PARALLEL = 1e-12  # a direction component below this never reaches a face


@njit(cache=True, nogil=True)
def set_up_rays(counter, rays_o, rays_d, scale, offset, resolution, params, geometry, steps):
    """Write each ray's geometry, and in steps int32 [Q] how many samples it has in the box at most."""
    n = rays_o.shape[0]
    while True:
        first = fetch_add(counter, 0, 1024)
        if first >= n:
            break
        for q in range(first, min(first + 1024, n)):
            length = 0.0
            for axis in range(3):
                geometry[q, DX + axis] = rays_d[q, axis] * scale[axis]
                geometry[q, OX + axis] = rays_o[q, axis] * scale[axis] + offset[axis]
                length += geometry[q, DX + axis] ** 2
            length = np.sqrt(length)
            geometry[q, PER_UNIT] = length
            t_min, t_max = params[NEAR] * length, params[FAR] * length
            for axis in range(3):
                geometry[q, DX + axis] /= length
                o, d = geometry[q, OX + axis], geometry[q, DX + axis]
                low, high = -0.5 - o, resolution[axis] - 0.5 - o
                if abs(d) < _PARALLEL:
                    if low > 0.0 or high < 0.0:
                        t_max = -1.0
                    continue
                t_min = max(t_min, min(low / d, high / d))
                t_max = min(t_max, max(low / d, high / d))
            geometry[q, T_MIN], geometry[q, T_MAX] = t_min, t_max
            reach = (t_max - t_min) / params[STEP]
            steps[q] = 0 if reach < 0.0 else min(np.int64(reach), MOST_STEPS) + 1


@njit(cache=True, nogil=True)
def cell_of(p, size):
    """Return (lower value's index, how far beyond it) of a grid coordinate, clamped to the values' range."""
    p = min(max(p, 0.0), size - 1.0)
    low = min(np.int64(p), size - 2)
    return low, np.float32(p - low)


@njit(cache=True, nogil=True)
def _beyond(p, d, n, size):
    """Return how far along an axis a ray from p stays among the cells within n - 1 of its own."""
    if abs(d) < _PARALLEL:
        return 1e30
    low, _ = cell_of(p, size)
    return ((low + n if d > 0.0 else low - (n - 1)) - p) / d


@njit(cache=True, nogil=True)
def _candidates(geometry, q, i, steps, step, cell_map, sizes, links, lane_cells, lane_parts, cells, found):
    """Write the next samples of a ray that lie in cells with rows; return (how many, up to BATCH, and the next i).

    Sixteen samples are looked at together, from number i, a multiple of 16, on; the emptiness around the last of them says
    how many sixteens can be left out. Links are asked for here and read later: memory answers many requests in the time of one.
    """
    ox, oy, oz = geometry[q, OX], geometry[q, OY], geometry[q, OZ]
    dx, dy, dz = geometry[q, DX], geometry[q, DY], geometry[q, DZ]
    t_min, to_world = geometry[q, T_MIN], 1.0 / geometry[q, PER_UNIT]
    along = load(_LANE, 0) * step
    row_y, row_x = sizes[2], sizes[2] * sizes[1]
    k = 0
    while i < steps and k <= BATCH - 16:
        t = t_min + i * step
        x, y, z = fma(along, dx, ox + t * dx), fma(along, dy, oy + t * dy), fma(along, dz, oz + t * dz)
        seen = sixteen_cells(cell_map, x, y, z, sizes[0], sizes[1], sizes[2], lane_cells, lane_parts)
        full, n = seen & 0xFFFF, seen >> 16
        if steps - i < 16:
            full &= (1 << (steps - i)) - 1
        while full != 0:
            lane = lowest_bit(full)
            full &= full - 1
            cell = np.int64(peek(lane_cells, lane))
            prefetch(links, cell)
            prefetch(links, cell + row_y)
            prefetch(links, cell + row_x)
            prefetch(links, cell + row_x + row_y)
            poke(cells, k, np.int32(cell))
            at = k * RECORD
            poke(found, at + FX, peek(lane_parts, lane))
            poke(found, at + FY, peek(lane_parts, 16 + lane))
            poke(found, at + FZ, peek(lane_parts, 32 + lane))
            poke(found, at + WHERE, np.float32((t + lane * step) * to_world))
            k += 1
        i += 16
        if n > 1:
            t += 15.0 * step
            free = min(
                _beyond(ox + t * dx, dx, n, sizes[0]),
                min(_beyond(oy + t * dy, dy, n, sizes[1]), _beyond(oz + t * dz, dz, n, sizes[2])),
            )
            i += np.int64(min(max(free - _INSIDE, 0.0), 1e9) / step) & ~15
    return k, i


@njit(cache=True, nogil=True)
def _look_up(count, links, row_y, row_x, density, found_cells, found_rows):
    """Write the rows of the candidates' corners and ask for their densities."""
    for k in range(count):
        corner_rows(links, np.int64(peek(found_cells, k)), row_y, row_x, found_rows, 8 * k)
        for c in range(8):
            prefetch(density, np.int64(peek(found_rows, 8 * k + c)))


@njit(cache=True, nogil=True)
def _keep_live(
    count, delta, thresh, most, depth, density, found_cells, found_rows, found, n, cells, rows, records
):  # fmt: skip
    """Record the live ones of the candidates from n on; return (next n, optical depth)."""
    for k in range(count):
        r = k * RECORD
        sigma = rows_density(
            found_rows, 8 * k, density, peek(found, r + FX), peek(found, r + FY), peek(found, r + FZ)
        )
        store(records, n * RECORD, load(found, r))
        poke(records, n * RECORD + SIGMA, sigma)
        copy_rows(found_rows, 8 * k, rows, 8 * n)
        poke(cells, n, peek(found_cells, k))
        live = sigma > thresh and depth <= most
        depth += delta * np.float64(sigma) if live else 0.0
        n += np.int64(live)
    return n, depth


@njit(cache=True, nogil=True)
def find_live(
    begin, end, base, geometry, steps, starts, params, cell_map, links, density, sizes, cells, rows, records, counts,
    log_trans,
):  # fmt: skip
    """Record the live samples of rays begin .. end - 1: cell, rows of its corners, position in it, sigma, t.

    Ray q's records begin at starts[q] - base; one behind its last may be written, too. Outputs: counts and log_trans, too.
    Takes many rays at once because Numba counts references to arrays, atomically, at each call of a function like this.
    """
    lane_cells, lane_parts = np.empty(16, dtype=np.int32), np.empty(48, dtype=np.float32)
    found_cells = np.empty(BATCH, dtype=np.int32)
    found_rows = np.empty(8 * BATCH, dtype=np.int32)
    found = np.empty(BATCH * RECORD + 16, dtype=np.float32)
    row_y, row_x, step = sizes[2], sizes[2] * sizes[1], params[STEP]
    thresh, most = np.float32(params[SIGMA_THRESH]), -np.log(params[STOP])
    for q in range(begin, end):
        first = starts[q] - base
        delta = step / geometry[q, PER_UNIT]
        depth, i, n = 0.0, 0, first
        while i < steps[q] and depth <= most:
            count, i = _candidates(
                geometry,
                q,
                i,
                steps[q],
                step,
                cell_map,
                sizes,
                links,
                lane_cells,
                lane_parts,
                found_cells,
                found,
            )
            _look_up(count, links, row_y, row_x, density, found_cells, found_rows)
            n, depth = _keep_live(
                count,
                delta,
                thresh,
                most,
                depth,
                density,
                found_cells,
                found_rows,
                found,
                n,
                cells,
                rows,
                records,
            )
        counts[q], log_trans[q] = n - first, -depth


@njit(cache=True, nogil=True)
def own_records(most):
    """Return room for the cells, rows and records of a run of rays of up to `most` samples."""
    room = RUN_RAYS * (most + 1)
    return (
        np.empty(room, dtype=np.int32),
        np.empty(8 * room, dtype=np.int32),
        np.empty(room * RECORD, dtype=np.float32),
    )


@njit(cache=True, nogil=True)
def one_minus_exp(p):
    """Return 1 - e^-p per lane for p >= 0, with small p's relative accuracy."""
    series = fma(p, splat(1.0 / 5040.0), -1.0 / 720.0)
    for term in (1.0 / 120.0, -1.0 / 24.0, 1.0 / 6.0, -0.5, 1.0):
        series = fma(series, p, term)
    return select(p < 0.3, series * p, 1.0 - vexp(-p))


@njit(cache=True, nogil=True, inline="always")
def weigh(n, delta, at, records, lanes, room):
    """Write weight and transmittance behind of n recorded samples; lanes is scratch, 2 `room` floats."""
    total = 0.0
    for k in range(n):
        p = delta * np.float64(peek(records, (at + k) * RECORD + SIGMA))
        poke(lanes, k, np.float32(p))
        poke(lanes, room + k, np.float32(total))
        total += p
    for k in range(0, n, 16):
        p = load(lanes, k)
        before = vexp(-load(lanes, room + k))
        weight = before * one_minus_exp(p)
        store(lanes, k, weight)
        store(lanes, room + k, before * vexp(-p))
    for k in range(n):
        r = (at + k) * RECORD
        poke(records, r + WEIGHT, peek(lanes, k))
        poke(records, r + AFTER, peek(lanes, room + k))


@njit(cache=True, nogil=True, inline="always")
def write_basis(x, y, z, degree, out, first, step):
    """Write the basis at a unit direction to out[first + k step]; order and signs of `engine.sh`."""
    out[first] = SH_C0
    if degree < 1:
        return
    out[first + step] = -SH_C1 * y
    out[first + 2 * step] = SH_C1 * z
    out[first + 3 * step] = -SH_C1 * x
    if degree < 2:
        return
    xx, yy, zz = x * x, y * y, z * z
    out[first + 4 * step] = SH_C2[0] * x * y
    out[first + 5 * step] = SH_C2[1] * y * z
    out[first + 6 * step] = SH_C2[2] * (2.0 * zz - xx - yy)
    out[first + 7 * step] = SH_C2[3] * x * z
    out[first + 8 * step] = SH_C2[4] * (xx - yy)
    if degree < 3:
        return
    out[first + 9 * step] = SH_C3[0] * y * (3.0 * xx - yy)
    out[first + 10 * step] = SH_C3[1] * x * y * z
    out[first + 11 * step] = SH_C3[2] * y * (4.0 * zz - xx - yy)
    out[first + 12 * step] = SH_C3[3] * z * (2.0 * zz - 3.0 * xx - 3.0 * yy)
    out[first + 13 * step] = SH_C3[4] * x * (4.0 * zz - xx - yy)
    out[first + 14 * step] = SH_C3[5] * z * (xx - yy)
    out[first + 15 * step] = SH_C3[6] * x * (xx - 3.0 * yy)


@njit(cache=True, nogil=True)
def corner_weights(fx, fy, fz):
    """Return the trilinear weights of a cell's corners, corner 4 cx + 2 cy + cz."""
    one = np.float32(1.0)
    x0, y0, z0 = one - fx, one - fy, one - fz
    a, b, c, d = x0 * y0, x0 * fy, fx * y0, fx * fy
    return a * z0, a * fz, b * z0, b * fz, c * z0, c * fz, d * z0, d * fz


@njit(cache=True, nogil=True)
def add_row(sh, row, at, weight, lanes):
    """Return lanes + weight * sixteen floats of a row; an empty voxel's are 0."""
    return fma(load(sh, row + at), weight, lanes) if row >= 0 else lanes


@njit(cache=True, nogil=True, inline="always")
def fetch_rows(sh, stride, rows, at, n):
    """Ask for the coefficients of n records' corners, all at once: memory answers many requests in the time of one."""
    before = np.int32(-2)
    for k in range(at * 8, (at + n) * 8, 8):
        first = peek(rows, k)
        if first == before:
            continue
        before = first
        for c in range(8):
            row = np.int64(peek(rows, k + c)) * stride
            for lane in range(0, stride, 16):
                prefetch(sh, row + lane)


@njit(cache=True, nogil=True, inline="always")
def colour(sh, stride, rows, at, fx, fy, fz, basis):
    """Return the three channels of max(0, 1/2 + Y trilerp(sh)) at a record's rows[8 at ...].

    basis: three times a row's length; the first has Y in red's columns and 0 elsewhere, then green's, then blue's.
    """
    w0, w1, w2, w3, w4, w5, w6, w7 = corner_weights(fx, fy, fz)
    k = at * 8
    l0, l1 = np.int64(peek(rows, k)) * stride, np.int64(peek(rows, k + 1)) * stride
    l2, l3 = np.int64(peek(rows, k + 2)) * stride, np.int64(peek(rows, k + 3)) * stride
    l4, l5 = np.int64(peek(rows, k + 4)) * stride, np.int64(peek(rows, k + 5)) * stride
    l6, l7 = np.int64(peek(rows, k + 6)) * stride, np.int64(peek(rows, k + 7)) * stride
    r, g, b = splat(0.0), splat(0.0), splat(0.0)
    for v in range(0, stride, 16):
        lanes = add_row(sh, l0, v, w0, splat(0.0))
        lanes = add_row(sh, l1, v, w1, lanes)
        lanes = add_row(sh, l2, v, w2, lanes)
        lanes = add_row(sh, l3, v, w3, lanes)
        lanes = add_row(sh, l4, v, w4, lanes)
        lanes = add_row(sh, l5, v, w5, lanes)
        lanes = add_row(sh, l6, v, w6, lanes)
        lanes = add_row(sh, l7, v, w7, lanes)
        r = fma(lanes, load(basis, v), r)
        g = fma(lanes, load(basis, stride + v), g)
        b = fma(lanes, load(basis, 2 * stride + v), b)
    half, zero = np.float32(0.5), np.float32(0.0)
    return max(half + lane_sum(r), zero), max(half + lane_sum(g), zero), max(half + lane_sum(b), zero)


@njit(cache=True, nogil=True)
def march_forward(
    counter, first, last, rays_d, geometry, steps, starts, keep, most, params, cell_map, links, density, sh, degree,
    sizes, cells, rows, records, counts, rgb, log_trans, depth,
):  # fmt: skip
    """March rays first .. last - 1.

    Inputs: links flat, its three sizes; sh flat; starts int64 [Q+1]: ray q may write records from starts[q] on when `keep`,
    else records are a thread's own, of `most` samples.
    Outputs: counts int32 [Q] of live samples; their cells int32 [M], rows int32 [8 M] and records float32 [RECORD M];
    rgb float32 [Q,3] without background, log_trans [Q], depth [Q].
    """
    if not keep:
        cells, rows, records = own_records(most)
    room = (most + 31) // 16 * 16
    lanes = np.zeros(2 * room, dtype=np.float32)
    n_basis = (degree + 1) * (degree + 1)
    stride = (3 * n_basis + 16) // 16 * 16
    basis = np.zeros(3 * stride, dtype=np.float32)
    while True:
        begin = fetch_add(counter, 0, RUN_RAYS) + first
        if begin >= last:
            break
        end = min(begin + RUN_RAYS, last)
        base = starts[first] if keep else starts[begin]
        find_live(
            begin, end, base, geometry, steps, starts, params, cell_map, links, density, sizes, cells, rows, records,
            counts, log_trans,
        )  # fmt: skip
        fetch_rows(sh, stride, rows, starts[begin] - base, counts[begin])
        for q in range(begin, end):
            if q + 1 < end:
                fetch_rows(sh, stride, rows, starts[q + 1] - base, counts[q + 1])
            at, n = starts[q] - base, counts[q]
            r, g, b, z = 0.0, 0.0, 0.0, 0.0
            if n > 0:
                weigh(n, params[STEP] / geometry[q, PER_UNIT], at, records, lanes, room)
                for channel in range(3):
                    start = channel * (stride + n_basis)
                    write_basis(rays_d[q, 0], rays_d[q, 1], rays_d[q, 2], degree, basis, start, 1)
            for k in range(at, at + n):
                i = k * RECORD
                cr, cg, cb = colour(
                    sh,
                    stride,
                    rows,
                    k,
                    peek(records, i + FX),
                    peek(records, i + FY),
                    peek(records, i + FZ),
                    basis,
                )
                poke(records, i + RED, cr)
                poke(records, i + GREEN, cg)
                poke(records, i + BLUE, cb)
                w = np.float64(peek(records, i + WEIGHT))
                r, g, b, z = r + w * cr, g + w * cg, b + w * cb, z + w * peek(records, i + WHERE)
            rgb[q, 0], rgb[q, 1], rgb[q, 2], depth[q] = r, g, b, z
