# SPDX-License-Identifier: MIT
"""The training rasteriser: forward, loss and backward of a tile in one go, while its records are in cache.

Computes: the blend of `raster.py` with a record per (voxel, block); the photometric loss's gradient at each pixel, or a given
one; then, front to back again, with rem = <v, outcome> less what has passed,
    g_i = <v_rgb, c_i> + v_depth t_i + distortion,   rem -= w_i g_i,   dL/dI_i = T_{i+1} g_i - rem,
which needs no division by 1 - alpha. Outputs one row of sums per (voxel, tile) pair: whoever adds a voxel's rows up in a
fixed order gets the same gradient from any number of threads.
Parallel over: tiles. Early exits as in `raster.py`; pairs behind them have live = 0 and no row.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.constants import DENSITY_SCALE, MAX_ALPHA, MIN_ALPHA, STOP_TRANS
from engine.cpu.raster import corner_colours, gather_corners, mean_trilinear
from engine.cpu.simd import (
    any_lane,
    fetch_add,
    fma,
    lane_max,
    lane_sum,
    load,
    select,
    splat,
    store,
    sums_of_12,
    vexp,
    vmax,
    vmin,
)
from engine.cpu.tile_math import (
    RAY_FIELDS,
    SCALE,
    TILE_PIXELS,
    aligned,
    box_corner,
    cell_position,
    clear_tile,
    exp_linear,
    exp_linear_slope,
    pixel_slot,
    segment,
    set_up_rays,
    trilinear,
)

ROW = 16  # floats per pair: 8 density moments (1 x y z xy xz yz xyz), 3 rgb, priority, heaviest weight, 3 unused
ROW_PRIORITY, ROW_WEIGHT = 11, 12
COLOUR_ROW = 32  # floats per pair with eight colours: 8 moments for r, for g, for b, 8 unused

GIVEN, MSE, L1, HUBER = 0, 1, 2, 3
HUBER_KNEE = 0.03

# Columns of the per-tile sums.
SUM_PHOTO, SUM_SQUARED, SUM_T_CONCENTRATION, SUM_R_CONCENTRATION, SUM_DISTORTION, SUM_BACKGROUND = (
    0,
    1,
    2,
    3,
    4,
    5,
)
N_SUMS = 8  # the background's gradient takes three

# Loss weights, in the order of the `weights` array; all are per pixel already.
W_PHOTO, W_T_CONCENTRATION, W_R_CONCENTRATION, W_DISTORTION, DISTORTION_KNEE = 0, 1, 2, 3, 4
N_WEIGHTS = 5

_T, _R, _G, _B, _DEPTH, _WSUM, _MSUM, _DIST = range(RAY_FIELDS, RAY_FIELDS + 8)
_VR, _VG, _VB, _VD, _REM, _GR, _GG, _GB = range(RAY_FIELDS + 8, RAY_FIELDS + 16)
_WALL, _MALL = RAY_FIELDS + 16, RAY_FIELDS + 17
_FIELDS = RAY_FIELDS + 18

_NO_TERMS = (np.float32(0.0),) * 8
_RECORD = 64  # floats per record: alpha, t_in, t_out, dI/draw (one sample) or step * scale (several)


@njit(cache=True, nogil=True)
def _grown(array, used):
    bigger = np.empty(2 * array.shape[0], dtype=array.dtype)
    for i in range(used):  # a loop, not a slice: assigning slices takes Numba seconds to compile
        bigger[i] = array[i]
    return bigger


@njit(cache=True, nogil=True)
def _blocks_of(area, x0, y0):
    """Return the 16-bit set of a tile's blocks that a pixel rectangle touches."""
    bx0, bx1 = max(np.int64(area[0]) - x0, 0) >> 2, min(np.int64(area[2]) - x0, 15) >> 2
    by0, by1 = max(np.int64(area[1]) - y0, 0) >> 2, min(np.int64(area[3]) - y0, 15) >> 2
    touched = 0
    for by in range(by0, by1 + 1):
        touched |= (((1 << (bx1 + 1)) - 1) & ~((1 << bx0) - 1)) << (4 * by)
    return touched


@njit(cache=True, nogil=True)
def contracted(t, knee):
    """Return mip-NeRF 360's contraction of a distance in units of `knee`: t below 1, 2 - 1/t above."""
    u = t * (1.0 / knee)
    return select(u < 1.0, u, 2.0 - 1.0 / vmax(u, 1.0))


@njit(cache=True, nogil=True)
def _forward(
    first, last, view, x0, y0, pair_voxel, rect, box, corner_idx, density, rgb, eight, samples, knee, pair_live, s, base,
    records, keys,
):  # fmt: skip
    """Blend and record. Returns (records, keys, how many): keys holds pair << 4 | block."""
    ortho, near = view[19] > 0.5, view[18]
    alive, n = 0xFFFF, 0
    for pair in range(first, last):
        pair_live[pair] = 0
        if alive == 0:
            continue
        voxel = pair_voxel[pair]
        touched = _blocks_of(rect[voxel], x0, y0) & alive
        if touched == 0:
            continue
        size = box[voxel, 3]
        inv_size = np.float32(1.0) / size
        low_x = np.float32(box[voxel, 0] - view[9])
        low_y = np.float32(box[voxel, 1] - view[10])
        low_z = np.float32(box[voxel, 2] - view[11])
        terms = gather_corners(voxel, corner_idx, density)
        while (n + 16) * _RECORD + 32 > records.shape[0]:
            records, keys = _grown(records, n * _RECORD + 16), _grown(keys, n)
        for block in range(16):
            if not touched & (1 << block):
                continue
            i = base + block * 16
            ax, ay, az = box_corner(s, i, ortho, low_x, low_y, low_z)
            t_in, t_out = segment(s, i, ax, ay, az, size, near)
            trans = load(s, i + _T * TILE_PIXELS)
            hit = (t_out > t_in) & (trans >= STOP_TRANS)
            if not any_lane(hit):
                continue
            step = (t_out - t_in) * (1.0 / samples)
            reach = step * load(s, i + SCALE * TILE_PIXELS)
            if samples == 1:
                x, y, z = cell_position(s, i, ax, ay, az, inv_size, (t_in + t_out) * 0.5)
                raw = trilinear(terms, x, y, z)
                sigma = exp_linear(raw)
                depth = sigma * reach
                reach = reach * exp_linear_slope(raw, sigma)
            else:
                total = splat(0.0)
                for k in range(samples):
                    x, y, z = cell_position(s, i, ax, ay, az, inv_size, fma(step, k + 0.5, t_in))
                    total = total + exp_linear(trilinear(terms, x, y, z))
                depth = total * reach
            alpha = vmin(1.0 - vexp(-depth), MAX_ALPHA)
            alpha = select(hit & (alpha >= MIN_ALPHA), alpha, 0.0)
            if not any_lane(alpha > 0.0):
                continue
            weight = trans * alpha
            after = trans - weight
            store(s, i + _T * TILE_PIXELS, after)
            if eight is not None:
                for channel in range(3):
                    field = i + (_R + channel) * TILE_PIXELS
                    colours = corner_colours(rgb, voxel, channel)
                    colour = mean_trilinear(s, i, ax, ay, az, inv_size, t_in, t_out, samples, colours)
                    store(s, field, load(s, field) + select(weight > 0.0, weight * colour, 0.0))
            else:
                for channel in range(3):
                    field = i + (_R + channel) * TILE_PIXELS
                    store(s, field, fma(weight, rgb[voxel, 0, channel], load(s, field)))
            middle = select(weight > 0.0, (t_in + t_out) * 0.5, 0.0)
            store(s, i + _DEPTH * TILE_PIXELS, fma(weight, middle, load(s, i + _DEPTH * TILE_PIXELS)))
            if knee > 0.0:
                _add_distortion(s, i, weight, t_in, t_out, knee)
            if not any_lane(after >= STOP_TRANS):
                alive &= ~(1 << block)
            at = n * _RECORD
            store(records, at, alpha)
            store(records, at + 16, t_in)
            store(records, at + 32, t_out)
            store(records, at + 48, reach)
            keys[n] = (pair << 4) | block
            pair_live[pair] = 1
            n += 1
    return records, keys, n


@njit(cache=True, nogil=True)
def _contracted_segment(s, i, t_in, t_out, knee):
    """Return the segment's contracted middle and length, in ray distance."""
    length = load(s, i + SCALE * TILE_PIXELS) * (1.0 / DENSITY_SCALE)
    a, b = contracted(t_in * length, knee), contracted(t_out * length, knee)
    return (a + b) * 0.5, b - a


@njit(cache=True, nogil=True)
def _add_distortion(s, i, weight, t_in, t_out, knee):
    """Add a segment to sum w, sum w m and sum_ij w_i w_j |m_i - m_j| + 1/3 sum w_i^2 len_i."""
    middle, length = _contracted_segment(s, i, t_in, t_out, knee)
    middle = select(weight > 0.0, middle, 0.0)
    length = select(weight > 0.0, length, 0.0)
    before, moment = load(s, i + _WSUM * TILE_PIXELS), load(s, i + _MSUM * TILE_PIXELS)
    pairs = 2.0 * weight * (middle * before - moment)
    loss = load(s, i + _DIST * TILE_PIXELS) + pairs + weight * weight * length * (1.0 / 3.0)
    store(s, i + _DIST * TILE_PIXELS, loss)
    store(s, i + _WSUM * TILE_PIXELS, before + weight)
    store(s, i + _MSUM * TILE_PIXELS, fma(weight, middle, moment))


@njit(cache=True, nogil=True)
def _backward(
    n,
    records,
    keys,
    view,
    pair_voxel,
    box,
    corner_idx,
    density,
    rgb,
    eight,
    samples,
    weights,
    rows,
    colour_rows,
    s,
    base,
):
    """Walk the records front to back and write one row per pair. Scratch T must be 1 again, REM the whole outcome."""
    ortho = view[19] > 0.5
    knee = weights[DISTORTION_KNEE] if weights[W_DISTORTION] > 0.0 else 0.0
    concentrate = weights[W_R_CONCENTRATION] * 2.0
    at, concentration = 0, 0.0
    zero = splat(0.0)
    while at < n:
        pair = keys[at] >> 4
        voxel = pair_voxel[pair]
        size = box[voxel, 3]
        inv_size = np.float32(1.0) / size
        low_x = np.float32(box[voxel, 0] - view[9])
        low_y = np.float32(box[voxel, 1] - view[10])
        low_z = np.float32(box[voxel, 2] - view[11])
        red, green, blue = rgb[voxel, 0, 0], rgb[voxel, 0, 1], rgb[voxel, 0, 2]
        terms = gather_corners(voxel, corner_idx, density) if samples > 1 else _NO_TERMS
        m0, mx, my, mz, mxy, mxz, myz, mxyz = zero, zero, zero, zero, zero, zero, zero, zero
        sum_r, sum_g, sum_b, priority, heaviest = zero, zero, zero, zero, zero
        if eight is not None:
            colour_rows[pair, :] = 0.0
        while at < n and keys[at] >> 4 == pair:
            i = base + (keys[at] & 15) * 16
            r = at * _RECORD
            at += 1
            alpha, t_in, t_out, reach = (
                load(records, r),
                load(records, r + 16),
                load(records, r + 32),
                load(records, r + 48),
            )
            on = alpha > 0.0
            trans = load(s, i + _T * TILE_PIXELS)
            weight = trans * alpha
            after = trans - weight
            store(s, i + _T * TILE_PIXELS, after)
            v_r, v_g, v_b = (
                load(s, i + _VR * TILE_PIXELS),
                load(s, i + _VG * TILE_PIXELS),
                load(s, i + _VB * TILE_PIXELS),
            )
            ax, ay, az = box_corner(s, i, ortho, low_x, low_y, low_z)
            if eight is not None:
                c_r = mean_trilinear(
                    s, i, ax, ay, az, inv_size, t_in, t_out, samples, corner_colours(rgb, voxel, 0)
                )
                c_g = mean_trilinear(
                    s, i, ax, ay, az, inv_size, t_in, t_out, samples, corner_colours(rgb, voxel, 1)
                )
                c_b = mean_trilinear(
                    s, i, ax, ay, az, inv_size, t_in, t_out, samples, corner_colours(rgb, voxel, 2)
                )
                c_r, c_g, c_b = select(on, c_r, 0.0), select(on, c_g, 0.0), select(on, c_b, 0.0)
            else:
                c_r, c_g, c_b = splat(red), splat(green), splat(blue)
            middle = select(on, (t_in + t_out) * 0.5, 0.0)
            g = fma(v_r, c_r, fma(v_g, c_g, fma(v_b, c_b, load(s, i + _VD * TILE_PIXELS) * middle)))
            if knee > 0.0:
                g = g + weights[W_DISTORTION] * _distortion_slope(s, i, weight, t_in, t_out, knee, on)
            rem = load(s, i + _REM * TILE_PIXELS) - weight * g
            store(s, i + _REM * TILE_PIXELS, rem)
            v_depth = after * g - rem
            v_depth = select(on & (alpha < MAX_ALPHA), v_depth, 0.0)
            ratio = alpha / (1.0 - alpha)
            priority = priority + vmax(v_depth, -v_depth) * ratio
            heaviest = vmax(heaviest, weight)
            if concentrate > 0.0:
                e_r = c_r - load(s, i + _GR * TILE_PIXELS)
                e_g = c_g - load(s, i + _GG * TILE_PIXELS)
                e_b = c_b - load(s, i + _GB * TILE_PIXELS)
                concentration += lane_sum(weight * fma(e_r, e_r, fma(e_g, e_g, e_b * e_b)))
                v_r, v_g, v_b = (
                    fma(e_r, concentrate, v_r),
                    fma(e_g, concentrate, v_g),
                    fma(e_b, concentrate, v_b),
                )
            w_r, w_g, w_b = weight * v_r, weight * v_g, weight * v_b
            sum_r, sum_g, sum_b = sum_r + w_r, sum_g + w_g, sum_b + w_b
            step = (t_out - t_in) * (1.0 / samples)
            for k in range(samples):
                x, y, z = cell_position(s, i, ax, ay, az, inv_size, fma(step, k + 0.5, t_in))
                x, y, z = select(on, x, 0.0), select(on, y, 0.0), select(on, z, 0.0)
                if samples == 1:
                    v_raw = v_depth * reach
                else:
                    raw = trilinear(terms, x, y, z)
                    v_raw = v_depth * reach * exp_linear_slope(raw, exp_linear(raw))
                v_raw = select(on, v_raw, 0.0)
                vx, vy, vz = v_raw * x, v_raw * y, v_raw * z
                m0, mx, my, mz = m0 + v_raw, mx + vx, my + vy, mz + vz
                mxy, mxz, myz, mxyz = fma(vx, y, mxy), fma(vx, z, mxz), fma(vy, z, myz), fma(vx * y, z, mxyz)
                if eight is not None:
                    _add_colour_moments(colour_rows[pair], w_r, w_g, w_b, x, y, z, 1.0 / samples)
        sums = sums_of_12(m0, mx, my, mz, mxy, mxz, myz, mxyz, sum_r, sum_g, sum_b, priority)
        store(rows, pair * ROW, sums)
        rows[pair * ROW + ROW_WEIGHT] = lane_max(heaviest)
    return concentration


@njit(cache=True, nogil=True)
def _add_colour_moments(row, w_r, w_g, w_b, x, y, z, share):
    """Add one sample's part of the eight colours' gradients, as trilinear moments, to a pair's colour row."""
    xy, xz, yz = x * y, x * z, y * z
    xyz = xy * z
    r, g, b = w_r * share, w_g * share, w_b * share
    first = sums_of_12(r, r * x, r * y, r * z, r * xy, r * xz, r * yz, r * xyz, g, g * x, g * y, g * z)
    second = sums_of_12(
        g * xy, g * xz, g * yz, g * xyz, b, b * x, b * y, b * z, b * xy, b * xz, b * yz, b * xyz
    )
    store(row, 0, load(row, 0) + first)  # lanes 12..15 of both are zero
    store(row, 12, load(row, 12) + second)


@njit(cache=True, nogil=True)
def _distortion_slope(s, i, weight, t_in, t_out, knee, on):
    """Return d(distortion)/dw_i = 2/3 w len + 2 [m (W_< - W_>) - (M_< - M_>)] and step past the segment.

    WSUM and MSUM hold what lies at or behind the segment, WALL and MALL the pixel's totals.
    """
    middle, length = _contracted_segment(s, i, t_in, t_out, knee)
    middle, length = select(on, middle, 0.0), select(on, length, 0.0)
    own_m = weight * middle
    behind_w = load(s, i + _WSUM * TILE_PIXELS) - weight
    behind_m = load(s, i + _MSUM * TILE_PIXELS) - own_m
    store(s, i + _WSUM * TILE_PIXELS, behind_w)
    store(s, i + _MSUM * TILE_PIXELS, behind_m)
    before_w = load(s, i + _WALL * TILE_PIXELS) - behind_w - weight
    before_m = load(s, i + _MALL * TILE_PIXELS) - behind_m - own_m
    sides = middle * (before_w - behind_w) - (before_m - behind_m)
    return weight * length * (2.0 / 3.0) + sides * 2.0


@njit(cache=True, nogil=True)
def _photometric(mode, error):
    """Return (loss, slope) of one channel's error. Huber as published: square below the knee, linear above."""
    size = abs(error)
    if mode == MSE:
        return error * error, 2.0 * error
    sign = 1.0 if error > 0.0 else (-1.0 if error < 0.0 else 0.0)
    if mode == L1:
        return size, sign
    if size < HUBER_KNEE:
        return error * error, 2.0 * error
    return 2.0 * HUBER_KNEE * size - HUBER_KNEE * HUBER_KNEE, 2.0 * HUBER_KNEE * sign


@njit(cache=True, nogil=True)
def _loss(
    x0,
    y0,
    columns,
    rows,
    mode,
    shrink,
    target,
    given,
    v_rgb,
    v_trans,
    v_depth,
    background,
    weights,
    s,
    base,
    sums,
):
    """Write each pixel's output gradients and REM, its whole outcome; add the losses to sums [N_SUMS].

    `shrink` 2 compares the mean of 2 x 2 pixels with one target pixel. With `given`, v_* [H,W,..] are added.
    """
    share = 1.0 / (shrink * shrink)
    for row in range(0, rows, shrink):
        for column in range(0, columns, shrink):
            for channel in range(3):
                slope, goal = 0.0, 0.0
                if mode != GIVEN:
                    mean = 0.0
                    for sub in range(shrink * shrink):
                        p = base + pixel_slot(row + sub // shrink, column + sub % shrink)
                        mean += (
                            s[p + (_R + channel) * TILE_PIXELS]
                            + s[p + _T * TILE_PIXELS] * background[channel]
                        )
                    goal = target[(y0 + row) // shrink, (x0 + column) // shrink, channel] * (1.0 / 255.0)
                    error = mean * share - goal
                    loss, slope = _photometric(mode, error)
                    sums[SUM_PHOTO] += weights[W_PHOTO] * loss
                    sums[SUM_SQUARED] += error * error
                    slope *= weights[W_PHOTO] * share
                for sub in range(shrink * shrink):
                    y, x = row + sub // shrink, column + sub % shrink
                    p = base + pixel_slot(y, x)
                    v = slope + (v_rgb[y0 + y, x0 + x, channel] if given else 0.0)
                    s[p + (_VR + channel) * TILE_PIXELS] = v
                    s[p + (_GR + channel) * TILE_PIXELS] = goal
                    sums[SUM_BACKGROUND + channel] += v * s[p + _T * TILE_PIXELS]
    for row in range(rows):
        for column in range(columns):
            p = base + pixel_slot(row, column)
            trans = s[p + _T * TILE_PIXELS]
            rest = trans * (1.0 - trans)
            sums[SUM_T_CONCENTRATION] += weights[W_T_CONCENTRATION] * rest * rest
            v_t = weights[W_T_CONCENTRATION] * 2.0 * rest * (1.0 - 2.0 * trans)
            if given:
                v_t += v_trans[y0 + row, x0 + column]
                s[p + _VD * TILE_PIXELS] = v_depth[y0 + row, x0 + column]
            outcome = s[p + _VD * TILE_PIXELS] * s[p + _DEPTH * TILE_PIXELS]
            for channel in range(3):
                v = s[p + (_VR + channel) * TILE_PIXELS]
                outcome += v * s[p + (_R + channel) * TILE_PIXELS]
                v_t += v * background[channel]
            distortion = s[p + _DIST * TILE_PIXELS]
            sums[SUM_DISTORTION] += weights[W_DISTORTION] * distortion
            outcome += trans * v_t + 2.0 * weights[W_DISTORTION] * distortion
            s[p + _REM * TILE_PIXELS] = outcome
            s[p + _WALL * TILE_PIXELS] = s[p + _WSUM * TILE_PIXELS]
            s[p + _MALL * TILE_PIXELS] = s[p + _MSUM * TILE_PIXELS]


@njit(cache=True, nogil=True)
def raster_gradients(
    counter, view, tile_start, pair_voxel, rect, box, corner_idx, density, rgb, eight, samples,
    mode, shrink, target, given, v_rgb, v_trans, v_depth, background, weights,
    pair_live, rows, colour_rows, tile_sums,
):  # fmt: skip
    """Rasterise all tiles, form the loss and go back: gradient rows per pair.

    Inputs: as `raster.raster_tiles`; mode GIVEN, MSE, L1 or HUBER against target uint8 [H/shrink, W/shrink, 3]; with
    `given` also v_rgb [H,W,3], v_trans [H,W], v_depth [H,W]; background float32 [3]; weights float64 [N_WEIGHTS].
    Outputs: pair_live uint8 [P]; rows float32 [P * ROW], valid where live; colour_rows float32 [P, COLOUR_ROW] with
    `eight`; tile_sums float64 [T, N_SUMS].
    """
    width, height = np.int64(view[16]), np.int64(view[17])
    tiles_x = (width + 15) >> 4
    n_tiles = tile_start.shape[0] - 1
    s, base = aligned(_FIELDS * TILE_PIXELS)
    records = np.empty(256 * _RECORD, dtype=np.float32)
    keys = np.empty(256, dtype=np.int64)
    knee = weights[DISTORTION_KNEE] if weights[W_DISTORTION] > 0.0 else 0.0
    while True:
        tile = fetch_add(counter, 0, 1)
        if tile >= n_tiles:
            break
        tile_x, tile_y = tile % tiles_x, tile // tiles_x
        x0, y0 = tile_x * 16, tile_y * 16
        n_columns, n_rows = min(16, width - x0), min(16, height - y0)
        clear_tile(s, base, _T, _FIELDS, n_columns, n_rows)
        first, last = tile_start[tile], tile_start[tile + 1]
        n = 0
        if last > first:
            set_up_rays(view, tile_x, tile_y, s, base)
            records, keys, n = _forward(
                first, last, view, x0, y0, pair_voxel, rect, box, corner_idx, density, rgb, eight, samples, knee, pair_live,
                s, base, records, keys,
            )  # fmt: skip
        sums = tile_sums[tile]
        sums[:] = 0.0
        _loss(
            x0,
            y0,
            n_columns,
            n_rows,
            mode,
            shrink,
            target,
            given,
            v_rgb,
            v_trans,
            v_depth,
            background,
            weights,
            s,
            base,
            sums,
        )
        if n > 0:
            s[base + _T * TILE_PIXELS : base + (_T + 1) * TILE_PIXELS] = 1.0
            concentration = _backward(
                n, records, keys, view, pair_voxel, box, corner_idx, density, rgb, eight, samples, weights, rows, colour_rows,
                s, base,
            )  # fmt: skip
            sums[SUM_R_CONCENTRATION] = weights[W_R_CONCENTRATION] * concentration
