# SPDX-License-Identifier: MIT
"""The spheres around the box: what rays see of them, there and back, and total variation on them.

`engine/reference/msi.py` is the readable twin and has the formulas. Rows float32 [2R R, S] hold a place (u, v) each, u slow:
layer l in columns 4 l .. 4 l + 3, red, green, blue, raw density; the rest of a row is padding. Gradients are sorted into
slabs of u, of which first the even and then the odd are added up, each by one thread in the rays' order: neighbours
overlap by a place, and any number of threads gives the same result.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from engine.constants import SH_C0
from engine.cpu.crew import Crew
from engine.cpu.simd import fetch_add

RUN = 32  # rays that a thread takes at a time
SLABS = 32  # an even number, each at least two places wide
RECORD = 8  # floats of a sample: u, v, layer, then dL/d red, green, blue, density, and one that is not used
BESIDE = 1e-3  # a sphere that a ray only just touches has no far side to speak of
DARK = -25.0  # log transmittance below which nothing behind the box can be seen
TV_REFERENCE = 256.0


def behind(
    crew: Crew,
    rows: np.ndarray,  # [2R R,S]
    layers: int,
    rays_o: np.ndarray,  # [Q,3] half sides of the box
    rays_d: np.ndarray,  # [Q,3] unit
    brightness: float,
) -> np.ndarray:
    """Return the colours float32 [Q,3] that rays see behind the box, the brightness at the end included."""
    out = np.empty((len(rays_o), 3), dtype=np.float32)
    o, d = (np.ascontiguousarray(a, dtype=np.float64) for a in (rays_o, rays_d))
    crew.run(_behind, rows, layers, o, d, float(brightness), out)
    return out


def behind_gradients(
    crew: Crew,
    rows: np.ndarray,  # [2R R,S]
    layers: int,
    rays_o: np.ndarray,  # [Q,3]
    rays_d: np.ndarray,  # [Q,3] unit
    log_trans: np.ndarray,  # [Q] of the box
    seen: np.ndarray,  # [Q,3] from `behind`
    v_rgb: np.ndarray,  # [Q,3] of the completed colours
    v_rows: np.ndarray,  # [2R R,S] added to
    touched: np.ndarray,  # [2R R] uint8, set
) -> np.ndarray:
    """Add the gradients of the texels; return that of the box's log transmittance, float32 [Q]."""
    n, q = 2 * layers + 2, len(rays_o)
    o, d = (np.ascontiguousarray(a, dtype=np.float64) for a in (rays_o, rays_d))
    records, counts = np.empty((q, n, RECORD), dtype=np.float32), np.zeros(q, dtype=np.int32)
    v_log_trans = np.zeros(q, dtype=np.float32)
    crew.run(_back, rows, layers, o, d, log_trans, seen, v_rgb, records, counts, v_log_trans)
    around = 2 * round(math.sqrt(len(rows) / 2))
    slabs = max(2, min(SLABS, around // 2 // 2 * 2))
    order, starts = np.empty(int(counts.sum()), dtype=np.int32), np.zeros(slabs + 1, dtype=np.int64)
    _sort(records, counts, around, starts, order)
    for odd in (0, 1):
        crew.run(_add_slabs, odd, records.reshape(-1, RECORD), order, starts, layers, v_rows, touched)
    return v_log_trans


@njit(cache=True, nogil=True)
def _inner(o, d):
    """Return o.d, |o|^2 and the radius at which a ray begins to leave spheres."""
    along = o[0] * d[0] + o[1] * d[1] + o[2] * d[2]
    square = o[0] * o[0] + o[1] * o[1] + o[2] * o[2]
    inner = max(1.0, np.sqrt(max(0.0, square - along * along)) + BESIDE)
    if along > 0.0:
        inner = max(inner, np.sqrt(square))
    return along, square, inner


@njit(cache=True, nogil=True)
def _place(o, d, along, square, r, poles, layers):
    """Return u, v, layer of where a ray leaves a sphere."""
    far = np.sqrt(max(0.0, along * along - square + r * r)) - along
    x, y, z = (o[0] + far * d[0]) / r, (o[1] + far * d[1]) / r, (o[2] + far * d[2]) / r
    u = 2.0 * poles * (0.5 + math.atan2(x, z) / (2.0 * math.pi))
    v = poles * (0.5 - math.asin(min(1.0, max(-1.0, y))) / math.pi)
    layer = (1.0 - 1.0 / r) * layers - 0.5
    return u, min(max(v, 0.0), poles - 1.0), min(max(layer, 0.0), layers - 1.0)


@njit(cache=True, nogil=True)
def _corner(u, v, layer, corner, poles, layers):
    """Return the row, the first column and the weight of one of the eight texels around a place."""
    i, j, k = int(u), int(v), int(layer)
    fu, fv, fl = u - i, v - j, layer - k
    a, b, c = corner >> 2, corner >> 1 & 1, corner & 1
    weight = (fu if a else 1.0 - fu) * (fv if b else 1.0 - fv) * (fl if c else 1.0 - fl)
    row = (i + a) % (2 * poles) * poles + min(j + b, poles - 1)
    return row, 4 * min(k + c, layers - 1), weight


@njit(cache=True, nogil=True)
def _values(rows, u, v, layer, poles, layers, out):
    """Write red, green, blue and density at a place to out [4]."""
    out[:] = 0.0
    for corner in range(8):
        row, column, weight = _corner(u, v, layer, corner, poles, layers)
        for k in range(4):
            out[k] += weight * rows[row, column + k]


@njit(cache=True, nogil=True)
def _behind(counter, rows, layers, rays_o, rays_d, brightness, out):
    n, poles = 2 * layers + 2, round(np.sqrt(rows.shape[0] / 2.0))
    value = np.empty(4)
    while True:
        first = fetch_add(counter, 0, RUN)
        if first >= out.shape[0]:
            return
        for q in range(first, min(first + RUN, out.shape[0])):
            o, d = rays_o[q], rays_d[q]
            along, square, before = _inner(o, d)
            light, red, green, blue = 1.0, 0.0, 0.0, 0.0
            for i in range(n):
                r = n / (n - i - 0.5)
                if r < before:
                    continue
                u, v, layer = _place(o, d, along, square, r, poles, layers)
                _values(rows, u, v, layer, poles, layers, value)
                after = light * np.exp(-(1.0 / before - 1.0 / r) * max(0.0, value[3]))
                before, weight, light = r, light - after, after
                red += weight * max(0.0, 0.5 + SH_C0 * value[0])
                green += weight * max(0.0, 0.5 + SH_C0 * value[1])
                blue += weight * max(0.0, 0.5 + SH_C0 * value[2])
            out[q, 0], out[q, 1], out[q, 2] = (
                red + light * brightness,
                green + light * brightness,
                blue + light * brightness,
            )


@njit(cache=True, nogil=True)
def _back(counter, rows, layers, rays_o, rays_d, log_trans, seen, v_rgb, records, counts, v_log_trans):
    """Record the gradients of every sample that shows.

    With g = T v_rgb, and A what the ray sees beyond a sample times g:
        dL/dsigma_i = (1 / r_(i-1) - 1 / r_i) (T_(i+1) c_i.g - A),  dL/dc_i = w_i C0 g where the colour is above 0.
    """
    n, poles = 2 * layers + 2, round(np.sqrt(rows.shape[0] / 2.0))
    value, g, c = np.empty(4), np.empty(3), np.empty(3)
    while True:
        first = fetch_add(counter, 0, RUN)
        if first >= log_trans.shape[0]:
            return
        for q in range(first, min(first + RUN, log_trans.shape[0])):
            if log_trans[q] < DARK:
                continue
            trans, o, d = np.exp(np.float64(log_trans[q])), rays_o[q], rays_d[q]
            beyond = 0.0
            for k in range(3):
                g[k] = trans * v_rgb[q, k]
                beyond += g[k] * seen[q, k]
            v_log_trans[q] = beyond
            along, square, before = _inner(o, d)
            light, count = 1.0, 0
            for i in range(n):
                r = n / (n - i - 0.5)
                if r < before:
                    continue
                u, v, layer = _place(o, d, along, square, r, poles, layers)
                _values(rows, u, v, layer, poles, layers, value)
                way = 1.0 / before - 1.0 / r
                before = r
                if value[3] <= 0.0:
                    continue
                after = light * np.exp(-way * value[3])
                weight, light = light - after, after
                s = 0.0
                for k in range(3):
                    c[k] = 0.5 + SH_C0 * value[k]
                    s += max(0.0, c[k]) * g[k]
                beyond -= weight * s
                record = records[q, count]
                record[0], record[1], record[2] = u, v, layer
                for k in range(3):
                    record[3 + k] = weight * SH_C0 * g[k] if c[k] > 0.0 else 0.0
                record[6] = way * (after * s - beyond)
                count += 1
            counts[q] = count


@njit(cache=True, nogil=True)
def _slab(u, around, slabs):
    return min(int(u) % around * slabs // around, slabs - 1)


@njit(cache=True, nogil=True)
def _sort(records, counts, around, starts, order):
    """Order the samples by slab, within one by ray."""
    n, slabs = records.shape[1], starts.shape[0] - 1
    for q in range(counts.shape[0]):
        for i in range(counts[q]):
            starts[_slab(records[q, i, 0], around, slabs) + 1] += 1
    for slab in range(slabs):
        starts[slab + 1] += starts[slab]
    cursor = starts.copy()
    for q in range(counts.shape[0]):
        for i in range(counts[q]):
            slab = _slab(records[q, i, 0], around, slabs)
            order[cursor[slab]] = q * n + i
            cursor[slab] += 1


@njit(cache=True, nogil=True)
def _add_slabs(counter, odd, records, order, starts, layers, v_rows, touched):
    """Add the samples of every other slab to the texels around them."""
    poles = round(np.sqrt(v_rows.shape[0] / 2.0))
    while True:
        slab = 2 * fetch_add(counter, 0, 1) + odd
        if slab >= starts.shape[0] - 1:
            return
        for at in range(starts[slab], starts[slab + 1]):
            record = records[order[at]]
            for corner in range(8):
                row, column, weight = _corner(
                    np.float64(record[0]), np.float64(record[1]), np.float64(record[2]), corner, poles, layers
                )
                touched[row] = 1
                for k in range(4):
                    v_rows[row, column + k] += weight * record[3 + k]


@njit(cache=True, nogil=True)
def add_total_variation(rows, layers, v_rows, touched, first, count, weights, epsilon):
    """Add the gradient of total variation over a run of texels, row-major with the layer fastest; one thread.

    weights [2]: those of densities and of colours; epsilon keeps the gradient finite where neighbours are equal.
    """
    poles = round(np.sqrt(rows.shape[0] / 2.0))
    around = 2 * poles
    scale = np.array([around, poles, layers]) / TV_REFERENCE
    for n in range(count):
        at = (first + n) % (around * poles * layers)
        u, v, k = at // (poles * layers), at // layers % poles, at % layers
        row, row_u = u * poles + v, (u + 1) % around * poles + v
        row_v, next_k = row + 1 if v + 1 < poles else row, k + 1 if k + 1 < layers else k
        touched[row] = touched[row_u] = touched[row_v] = 1
        for c in range(4):
            here = rows[row, 4 * k + c]
            du, dv = rows[row_u, 4 * k + c] - here, rows[row_v, 4 * k + c] - here
            dk = rows[row, 4 * next_k + c] - here
            factor = weights[0 if c == 3 else 1] / count / np.sqrt(du * du + dv * dv + dk * dk + epsilon)
            du, dv, dk = du * factor * scale[0], dv * factor * scale[1], dk * factor * scale[2]
            v_rows[row_u, 4 * k + c] += du
            v_rows[row_v, 4 * k + c] += dv
            v_rows[row, 4 * next_k + c] += dk
            v_rows[row, 4 * k + c] -= du + dv + dk
