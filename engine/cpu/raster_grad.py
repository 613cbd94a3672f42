# SPDX-License-Identifier: MIT
"""The training rasteriser: forward, loss and backward of a tile in one go, while its records are in cache.

Computes: the blend of `raster.py` with a record per (voxel, window); the photometric loss's gradient at each pixel, or a given
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
from engine.cpu.raster import (
    AHEAD,
    NO_TERMS,
    blend_colours,
    corner_colours,
    corner_from_camera,
    gather_corners,
    mean_trilinear,
)
from engine.cpu.simd import (
    any_lane,
    count_lanes,
    fetch_add,
    fma,
    lane_max,
    lane_sum,
    load,
    load_window,
    prefetch,
    select,
    splat,
    store,
    store_window,
    sums_of_12,
    vexp,
    vmax,
    vmin,
)
from engine.cpu.tile_loss import (
    DEPTH,
    DIST,
    DISTORTION_KNEE,
    GB,
    GG,
    GR,
    MALL,
    MSUM,
    N_FIELDS,
    REM,
    SUM_R_CONCENTRATION,
    VB,
    VD,
    VG,
    VR,
    W_DISTORTION,
    W_R_CONCENTRATION,
    WALL,
    WSUM,
    T,
    drop_masked,
    tile_loss,
)
from engine.cpu.tile_math import (
    ROWS,
    SCALE,
    SQUARES,
    TILE_PIXELS,
    add_scaled,
    aligned,
    box_corner,
    cell_position,
    clear_tile,
    exp_linear,
    exp_linear_slope,
    segment,
    set_up_rays,
    trilinear,
    window_start,
    windows_of,
)

ROW = 16  # floats per pair: 8 density moments (1 x y z xy xz yz xyz), 3 rgb, priority, heaviest weight, 3 unused
ROW_PRIORITY, ROW_WEIGHT = 11, 12
COLOUR_ROW = 32  # floats per pair with eight colours: 8 moments for r, for g, for b, 8 unused

_RECORD = 64  # floats per record: alpha, t_in, t_out, dI/draw (one sample) or step * scale (several)


@njit(cache=True, nogil=True)
def grown(array, used):
    """Return a copy of an array's first `used` entries with twice the room."""
    bigger = np.empty(2 * array.shape[0], dtype=array.dtype)
    for i in range(used):  # a loop, not a slice: assigning slices takes Numba seconds to compile
        bigger[i] = array[i]
    return bigger


@njit(cache=True, nogil=True)
def contracted(t, knee):
    """Return mip-NeRF 360's contraction of a distance in units of `knee`: t below 1, 2 - 1/t above."""
    u = t * (1.0 / knee)
    return select(u < 1.0, u, 2.0 - 1.0 / vmax(u, 1.0))


@njit(cache=True, nogil=True)
def _forward(
    first, last, alive, n, view, x0, y0, pair_voxel, rect, box, corner_idx, density, rgb, eight, samples, knee, deep,
    pair_live, s, base, records, keys,
):  # fmt: skip
    """Blend and record pairs [first, last) while there is room; return (the first pair left, alive, n).

    `alive` pixels have not stopped, `n` records are written. A key is pair << 9 | start of the window << 1 | whether it is a
    row. `deep`: depth is wanted, too. Growing the records here would count references for every pair.
    """
    ortho, near = view[19] > 0.5, view[18]
    for pair in range(first, last):
        if (n + 16) * _RECORD + 32 > records.shape[0]:
            return pair, alive, n
        pair_live[pair] = 0
        if alive == 0:
            continue
        ahead = pair_voxel[min(pair + AHEAD, last - 1)]
        prefetch(box, 4 * ahead)
        prefetch(corner_idx, 8 * ahead)
        prefetch(rgb, rgb.shape[1] * 3 * ahead)
        prefetch(rect, 4 * ahead)
        voxel = pair_voxel[pair]
        first_window, pitch, across, n_windows = windows_of(rect, voxel, x0, y0)
        size = box[voxel, 3]
        inv_size = np.float32(1.0) / size
        low_x, low_y, low_z = corner_from_camera(box, voxel, view)
        terms, gathered = NO_TERMS, False
        for window in range(n_windows):
            start = window_start(first_window, pitch, across, window)
            i = base + start
            trans = load_window(s, i + T * TILE_PIXELS, pitch)
            hit = trans >= STOP_TRANS
            if not any_lane(hit):
                continue
            ax, ay, az = box_corner(s, i, pitch, ortho, low_x, low_y, low_z)
            t_in, t_out = segment(s, i, pitch, ax, ay, az, size, near)
            hit = hit & (t_out > t_in)
            if not any_lane(hit):
                continue
            if not gathered:
                terms, gathered = gather_corners(voxel, corner_idx, density), True
            step = (t_out - t_in) * (1.0 / samples)
            reach = step * load_window(s, i + SCALE * TILE_PIXELS, pitch)
            if samples == 1:
                x, y, z = cell_position(s, i, pitch, ax, ay, az, inv_size, (t_in + t_out) * 0.5)
                raw = trilinear(terms, x, y, z)
                sigma = exp_linear(raw)
                depth = sigma * reach
                reach = reach * exp_linear_slope(raw, sigma)
            else:
                total = splat(0.0)
                for k in range(samples):
                    x, y, z = cell_position(s, i, pitch, ax, ay, az, inv_size, fma(step, k + 0.5, t_in))
                    total = total + exp_linear(trilinear(terms, x, y, z))
                depth = total * reach
            alpha = vmin(1.0 - vexp(-depth), MAX_ALPHA)
            alpha = select(hit & (alpha >= MIN_ALPHA), alpha, 0.0)
            if not any_lane(alpha > 0.0):
                continue
            weight = trans * alpha
            after = trans - weight
            store_window(s, i + T * TILE_PIXELS, pitch, after)
            blend_colours(s, i, pitch, weight, voxel, rgb, eight, ax, ay, az, inv_size, t_in, t_out, samples)
            if deep:
                middle = select(weight > 0.0, (t_in + t_out) * 0.5, 0.0)
                add_scaled(s, i + DEPTH * TILE_PIXELS, pitch, weight, middle)
            if knee > 0.0:
                _add_distortion(s, i, pitch, weight, t_in, t_out, knee)
            alive -= count_lanes(hit & (after < STOP_TRANS))
            at = n * _RECORD
            store(records, at, alpha)
            store(records, at + 16, t_in)
            store(records, at + 32, t_out)
            store(records, at + 48, reach)
            keys[n] = (pair << 9) | (start << 1) | (1 if pitch == ROWS else 0)
            pair_live[pair] = 1
            n += 1
    return last, alive, n


@njit(cache=True, nogil=True)
def _contracted_segment(s, i, pitch, t_in, t_out, knee):
    """Return the segment's contracted middle and length, in ray distance."""
    length = load_window(s, i + SCALE * TILE_PIXELS, pitch) * (1.0 / DENSITY_SCALE)
    a, b = contracted(t_in * length, knee), contracted(t_out * length, knee)
    return (a + b) * 0.5, b - a


@njit(cache=True, nogil=True)
def _add_distortion(s, i, pitch, weight, t_in, t_out, knee):
    """Add a segment to sum w, sum w m and sum_ij w_i w_j |m_i - m_j| + 1/3 sum w_i^2 len_i."""
    middle, length = _contracted_segment(s, i, pitch, t_in, t_out, knee)
    middle = select(weight > 0.0, middle, 0.0)
    length = select(weight > 0.0, length, 0.0)
    before, moment = (
        load_window(s, i + WSUM * TILE_PIXELS, pitch),
        load_window(s, i + MSUM * TILE_PIXELS, pitch),
    )
    pairs = 2.0 * weight * (middle * before - moment)
    loss = load_window(s, i + DIST * TILE_PIXELS, pitch) + pairs + weight * weight * length * (1.0 / 3.0)
    store_window(s, i + DIST * TILE_PIXELS, pitch, loss)
    store_window(s, i + WSUM * TILE_PIXELS, pitch, before + weight)
    store_window(s, i + MSUM * TILE_PIXELS, pitch, fma(weight, middle, moment))


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
    deep,
    rows,
    colour_rows,
    s,
    base,
):
    """Walk the records front to back and write one row per pair. Scratch T must be 1 again, REM the whole outcome."""
    ortho = view[19] > 0.5
    knee = weights[DISTORTION_KNEE] if weights[W_DISTORTION] > 0.0 else 0.0
    concentrate = weights[W_R_CONCENTRATION] * 2.0
    at, zero = 0, splat(0.0)
    concentration = zero
    while at < n:
        pair = keys[at] >> 9
        voxel = pair_voxel[pair]
        size = box[voxel, 3]
        inv_size = np.float32(1.0) / size
        low_x, low_y, low_z = corner_from_camera(box, voxel, view)
        red, green, blue = rgb[voxel, 0, 0], rgb[voxel, 0, 1], rgb[voxel, 0, 2]
        terms = gather_corners(voxel, corner_idx, density) if samples > 1 else NO_TERMS
        m0, mx, my, mz, mxy, mxz, myz, mxyz = zero, zero, zero, zero, zero, zero, zero, zero
        sum_r, sum_g, sum_b, priority, heaviest = zero, zero, zero, zero, zero
        if eight is not None:
            colour_rows[pair, :] = 0.0
        while at < n and keys[at] >> 9 == pair:
            i = base + ((keys[at] >> 1) & 255)
            pitch = ROWS if keys[at] & 1 else SQUARES
            r = at * _RECORD
            at += 1
            alpha, t_in, t_out, reach = (
                load(records, r),
                load(records, r + 16),
                load(records, r + 32),
                load(records, r + 48),
            )
            on = alpha > 0.0
            trans = load_window(s, i + T * TILE_PIXELS, pitch)
            weight = trans * alpha
            after = trans - weight
            store_window(s, i + T * TILE_PIXELS, pitch, after)
            v_r, v_g, v_b = (
                load_window(s, i + VR * TILE_PIXELS, pitch),
                load_window(s, i + VG * TILE_PIXELS, pitch),
                load_window(s, i + VB * TILE_PIXELS, pitch),
            )
            ax, ay, az = box_corner(s, i, pitch, ortho, low_x, low_y, low_z)
            if eight is not None:
                c_r = mean_trilinear(
                    s, i, pitch, ax, ay, az, inv_size, t_in, t_out, samples, corner_colours(rgb, voxel, 0)
                )
                c_g = mean_trilinear(
                    s, i, pitch, ax, ay, az, inv_size, t_in, t_out, samples, corner_colours(rgb, voxel, 1)
                )
                c_b = mean_trilinear(
                    s, i, pitch, ax, ay, az, inv_size, t_in, t_out, samples, corner_colours(rgb, voxel, 2)
                )
                c_r, c_g, c_b = select(on, c_r, 0.0), select(on, c_g, 0.0), select(on, c_b, 0.0)
            else:
                c_r, c_g, c_b = splat(red), splat(green), splat(blue)
            g = fma(v_r, c_r, fma(v_g, c_g, v_b * c_b))
            if deep:
                middle = select(on, (t_in + t_out) * 0.5, 0.0)
                g = fma(load_window(s, i + VD * TILE_PIXELS, pitch), middle, g)
            if knee > 0.0:
                g = g + weights[W_DISTORTION] * _distortion_slope(s, i, pitch, weight, t_in, t_out, knee, on)
            rem = load_window(s, i + REM * TILE_PIXELS, pitch) - weight * g
            store_window(s, i + REM * TILE_PIXELS, pitch, rem)
            v_depth = after * g - rem
            v_depth = select(on & (alpha < MAX_ALPHA), v_depth, 0.0)
            ratio = alpha / (1.0 - alpha)
            priority = priority + vmax(v_depth, -v_depth) * ratio
            heaviest = vmax(heaviest, weight)
            if concentrate > 0.0:
                e_r = c_r - load_window(s, i + GR * TILE_PIXELS, pitch)
                e_g = c_g - load_window(s, i + GG * TILE_PIXELS, pitch)
                e_b = c_b - load_window(s, i + GB * TILE_PIXELS, pitch)
                concentration = fma(weight, fma(e_r, e_r, fma(e_g, e_g, e_b * e_b)), concentration)
                v_r, v_g, v_b = (
                    fma(e_r, concentrate, v_r),
                    fma(e_g, concentrate, v_g),
                    fma(e_b, concentrate, v_b),
                )
            w_r, w_g, w_b = weight * v_r, weight * v_g, weight * v_b
            sum_r, sum_g, sum_b = sum_r + w_r, sum_g + w_g, sum_b + w_b
            step = (t_out - t_in) * (1.0 / samples)
            for k in range(samples):
                x, y, z = cell_position(s, i, pitch, ax, ay, az, inv_size, fma(step, k + 0.5, t_in))
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
    return lane_sum(concentration)


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
def _distortion_slope(s, i, pitch, weight, t_in, t_out, knee, on):
    """Return d(distortion)/dw_i = 2/3 w len + 2 [m (W_< - W_>) - (M_< - M_>)] and step past the segment.

    WSUM and MSUM hold what lies at or behind the segment, WALL and MALL the pixel's totals.
    """
    middle, length = _contracted_segment(s, i, pitch, t_in, t_out, knee)
    middle, length = select(on, middle, 0.0), select(on, length, 0.0)
    own_m = weight * middle
    behind_w = load_window(s, i + WSUM * TILE_PIXELS, pitch) - weight
    behind_m = load_window(s, i + MSUM * TILE_PIXELS, pitch) - own_m
    store_window(s, i + WSUM * TILE_PIXELS, pitch, behind_w)
    store_window(s, i + MSUM * TILE_PIXELS, pitch, behind_m)
    before_w = load_window(s, i + WALL * TILE_PIXELS, pitch) - behind_w - weight
    before_m = load_window(s, i + MALL * TILE_PIXELS, pitch) - behind_m - own_m
    sides = middle * (before_w - behind_w) - (before_m - behind_m)
    return weight * length * (2.0 / 3.0) + sides * 2.0


@njit(cache=True, nogil=True)
def raster_gradients(
    counter, view, tile_start, pair_voxel, rect, box, corner_idx, density, rgb, eight, samples,
    mode, shrink, target, masked, keep, given, v_rgb, v_trans, v_depth, background, weights,
    pair_live, rows, colour_rows, tile_sums,
):  # fmt: skip
    """Rasterise all tiles, form the loss and go back: gradient rows per pair.

    Inputs: as `raster.raster_tiles`; mode GIVEN, MSE, L1 or HUBER against target uint8 [H/shrink, W/shrink, 3]; with
    `masked` only the pixels where keep uint8 [H/shrink, W/shrink] is not 0 are rendered and count; with `given` also
    v_rgb [H,W,3], v_trans [H,W], v_depth [H,W]; background float32 [3]; weights float64 [N_WEIGHTS].
    Outputs: pair_live uint8 [P]; rows float32 [P * ROW], valid where live; colour_rows float32 [P, COLOUR_ROW] with
    `eight`; tile_sums float64 [T, N_SUMS].
    """
    width, height = np.int64(view[16]), np.int64(view[17])
    tiles_x = (width + 15) >> 4
    n_tiles = tile_start.shape[0] - 1
    s, base = aligned(N_FIELDS * TILE_PIXELS)
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
        clear_tile(s, base, T, VR, n_columns, n_rows)
        n_pixels = n_columns * n_rows
        if masked:
            n_pixels -= drop_masked(keep, shrink, x0, y0, n_columns, n_rows, s, base)
        first, last = tile_start[tile], tile_start[tile + 1]
        n = 0
        if last > first:
            set_up_rays(view, tile_x, tile_y, s, base)
        while first < last:
            first, n_pixels, n = _forward(
                first, last, n_pixels, n, view, x0, y0, pair_voxel, rect, box, corner_idx, density, rgb, eight, samples,
                knee, given, pair_live, s, base, records, keys,
            )  # fmt: skip
            if first < last:
                records, keys = grown(records, n * _RECORD + 16), grown(keys, n)
        sums = tile_sums[tile]
        sums[:] = 0.0
        tile_loss(
            x0, y0, n_columns, n_rows, mode, shrink, target, masked, keep, given, v_rgb, v_trans, v_depth, background, weights,
            s, base, sums,
        )  # fmt: skip
        if n > 0:
            s[base + T * TILE_PIXELS : base + (T + 1) * TILE_PIXELS] = 1.0
            concentration = _backward(
                n, records, keys, view, pair_voxel, box, corner_idx, density, rgb, eight, samples, weights, given, rows,
                colour_rows, s, base,
            )  # fmt: skip
            sums[SUM_R_CONCENTRATION] = weights[W_R_CONCENTRATION] * concentration
