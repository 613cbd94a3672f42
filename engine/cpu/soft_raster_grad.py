# SPDX-License-Identifier: MIT
"""The soft rasteriser on the CPU: tiles forward, loss and backward in one go, while their lists are in cache.

Computes: the blend of `soft_raster.py`; the loss of `tile_loss.py`, or given gradients of the picture; then per pixel the
gradients of its entries' alphas and depths (`soft_order.give_back`), and per record those of densities and colours: one row of
sums per (voxel, tile) pair, laid out as `raster_grad.ROW`. With `posed` also the camera's (`soft_pose`).
Parallel over: tiles, handed out one by one. What a tile writes depends on no other, so any number of threads gives the same bits.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.cpu.raster import NO_TERMS, corner_from_camera, gather_corners
from engine.cpu.raster_grad import ROW, ROW_WEIGHT, grown
from engine.cpu.simd import (
    fetch_add,
    fma,
    lane_max,
    load,
    load_1_of_4,
    load_2_of_4,
    load_3_of_4,
    load_4_of_4,
    load_window,
    select,
    splat,
    store,
    sums_of_12,
    vmax,
)
from engine.cpu.soft_lists import (
    R_SLOPE,
    R_V_ALPHA,
    R_V_DEPTH,
    R_WEIGHT,
    RECORD,
    grown_lists,
    place_of,
)
from engine.cpu.soft_order import ALPHA, BLUE, GAIN, GREEN, RED, TRANS, V_ALPHA, V_DEPTH, give_back
from engine.cpu.soft_order import DEPTH as ENTRY_DEPTH
from engine.cpu.soft_pose import add_pose, pose_of_tile
from engine.cpu.soft_raster import (
    INV_TAU,
    N_SOFT_FIELDS,
    ORDER,
    REACH,
    blend,
    clamped_position,
    cover,
    lay_out,
    roomy_entries,
    set_up_pixels,
    write_picture,
)
from engine.cpu.tile_loss import VB, VD, VG, VR, W_T_CONCENTRATION, T, drop_masked, tile_loss
from engine.cpu.tile_math import (
    ROWS,
    SQUARES,
    TILE_PIXELS,
    aligned,
    box_corner,
    clear_tile,
    exp_linear,
    exp_linear_slope,
    segment,
    set_up_rays,
    trilinear,
)


@njit(cache=True, nogil=True)
def _of_entries(
    lists, room, counts, starts, records, soft, entries, pitch, posed, given, v_trans, background, weights,
    x0, y0, s, base,
):  # fmt: skip
    """Write each record's R_WEIGHT, R_V_ALPHA and, with `posed`, R_V_DEPTH from the gradients of the tile's pixels."""
    inv_tau, order = np.float32(soft[INV_TAU]), np.int64(soft[ORDER])
    undecided = weights[W_T_CONCENTRATION] * 2.0
    for pixel in range(TILE_PIXELS):
        n = counts[pixel]
        if n == 0:
            continue
        start, at = starts[pixel], base + pixel
        v_r, v_g, v_b = s[at + VR * TILE_PIXELS], s[at + VG * TILE_PIXELS], s[at + VB * TILE_PIXELS]
        v_depth, light = s[at + VD * TILE_PIXELS], s[at + T * TILE_PIXELS]
        rest = light * (np.float32(1.0) - light)
        v_end = v_r * background[0] + v_g * background[1] + v_b * background[2]
        v_end += rest * (1.0 - 2.0 * light) * undecided
        if given:
            v_end += v_trans[y0 + (pixel >> 4), x0 + (pixel & 15)]
        for k in range(start, start + n, 16):
            gain = fma(load(entries, RED * pitch + k), v_r, load(entries, GREEN * pitch + k) * v_g)
            gain = fma(load(entries, BLUE * pitch + k), v_b, gain)
            gain = fma(load(entries, ENTRY_DEPTH * pitch + k), v_depth, gain)
            store(entries, GAIN * pitch + k, gain)
            if posed is not None:
                weight = load(entries, ALPHA * pitch + k) * load(entries, TRANS * pitch + k)
                store(entries, V_DEPTH * pitch + k, weight * v_depth)
        give_back(entries, pitch, start, n, order, np.float32(light * v_end), inv_tau, posed)
        for k in range(n):
            place = place_of(lists[pixel * room + k])
            records[place + R_WEIGHT] = (
                entries[ALPHA * pitch + start + k] * entries[TRANS * pitch + start + k]
            )
            records[place + R_V_ALPHA] = entries[V_ALPHA * pitch + start + k]
            if posed is not None:
                records[place - (place % RECORD // 4) * 3 + R_V_DEPTH] = entries[V_DEPTH * pitch + start + k]


@njit(cache=True, nogil=True)
def _rows(
    n, records, record_keys, view, pair_voxel, box, corner_idx, density, samples, soft, posed, rows, s, base
):
    """Walk the records and write one row per pair."""
    ortho, near, reach = view[19] > 0.5, view[18], np.float32(soft[REACH])
    at, zero = 0, splat(0.0)
    while at < n:
        pair = record_keys[at] >> 9
        voxel = pair_voxel[pair]
        size = box[voxel, 3]
        inv_size = np.float32(1.0) / size
        beyond = size * np.float32(0.5) * (reach - np.float32(1.0))
        low_x, low_y, low_z = corner_from_camera(box, voxel, view)
        terms = NO_TERMS
        if samples > 1 or posed is not None:
            terms = gather_corners(voxel, corner_idx, density)
        m0, mx, my, mz, mxy, mxz, myz, mxyz = zero, zero, zero, zero, zero, zero, zero, zero
        sum_r, sum_g, sum_b, priority, heaviest = zero, zero, zero, zero, zero
        while at < n and record_keys[at] >> 9 == pair:
            start = (record_keys[at] >> 1) & 255
            pitch = ROWS if record_keys[at] & 1 else SQUARES
            i, r = base + start, at * RECORD
            at += 1
            alpha, weight, v_alpha = load_1_of_4(records, r), load_3_of_4(records, r), load_4_of_4(records, r)
            on = alpha > 0.0
            sum_r = fma(weight, load_window(s, i + VR * TILE_PIXELS, pitch), sum_r)
            sum_g = fma(weight, load_window(s, i + VG * TILE_PIXELS, pitch), sum_g)
            sum_b = fma(weight, load_window(s, i + VB * TILE_PIXELS, pitch), sum_b)
            priority = priority + vmax(v_alpha, -v_alpha) * alpha
            heaviest = vmax(heaviest, weight)
            v_sigma = v_alpha * load(records, r + R_SLOPE)
            ax, ay, az = box_corner(s, i, pitch, ortho, low_x, low_y, low_z)
            t_in, step = load_2_of_4(records, r), zero
            if samples > 1:
                t_in, t_out = segment(s, i, pitch, ax - beyond, ay - beyond, az - beyond, size * reach, near)
                step = t_out - t_in
            for k in range(samples):
                t = fma(step, (k + 0.5) / samples, t_in)
                x, y, z = clamped_position(s, i, pitch, ax, ay, az, inv_size, t)
                v_raw = v_sigma
                if samples > 1:
                    raw = trilinear(terms, x, y, z)
                    v_raw = v_raw * exp_linear_slope(raw, exp_linear(raw))
                v_raw = select(on, v_raw, 0.0)
                vx, vy, vz = v_raw * x, v_raw * y, v_raw * z
                m0, mx, my, mz = m0 + v_raw, mx + vx, my + vy, mz + vz
                mxy, mxz, myz, mxyz = fma(vx, y, mxy), fma(vx, z, mxz), fma(vy, z, myz), fma(vx * y, z, mxyz)
            if posed is not None:
                add_pose(
                    s,
                    i,
                    pitch,
                    ax,
                    ay,
                    az,
                    size,
                    near,
                    samples,
                    soft,
                    terms,
                    on,
                    v_alpha,
                    load(records, r + R_V_DEPTH),
                )
        store(
            rows, pair * ROW, sums_of_12(m0, mx, my, mz, mxy, mxz, myz, mxyz, sum_r, sum_g, sum_b, priority)
        )
        rows[pair * ROW + ROW_WEIGHT] = lane_max(heaviest)


@njit(cache=True, nogil=True)
def soft_tiles(
    counter, view, tile_start, pair_voxel, rect, box, corner_idx, density, rgb, samples, soft,
    mode, shrink, target, masked, keep, given, v_rgb, v_trans, v_depth, background, weights,
    pictured, back, posed, image, plane, pair_live, rows, tile_sums, tile_pose,
):  # fmt: skip
    """Rasterise all tiles softly; form the loss and go back.

    Inputs: as `raster_grad.raster_gradients`, rect and lists of the dilated voxels; soft float64 [N_SOFT].
    Outputs: with `pictured` image float32 [H,W,4] (T, r, g, b without background) and plane [H,W], the depth; with `back`
    pair_live uint8 [P], rows float32 [P * ROW], tile_sums float64 [T, N_SUMS]; with `posed`, None or True and told apart by
    type, so that only what is wanted is compiled, also tile_pose float64 [T,12]: the gradient of world_from_cam's upper rows.
    """
    width, height = np.int64(view[16]), np.int64(view[17])
    tiles_x = (width + 15) >> 4
    n_tiles = tile_start.shape[0] - 1
    s, base = aligned(N_SOFT_FIELDS * TILE_PIXELS)
    records, record_keys = np.empty(256 * RECORD, dtype=np.float32), np.empty(256, dtype=np.int64)
    room = 32
    lists, spare = np.empty(room * TILE_PIXELS, dtype=np.int64), np.empty(room, dtype=np.int64)
    counts, starts = np.empty(TILE_PIXELS, dtype=np.int64), np.empty(TILE_PIXELS, dtype=np.int64)
    entries = np.empty(0, dtype=np.float32)
    while True:
        tile = fetch_add(counter, 0, 1)
        if tile >= n_tiles:
            break
        tile_x, tile_y = tile % tiles_x, tile // tiles_x
        x0, y0 = tile_x * 16, tile_y * 16
        n_columns, n_rows = min(16, width - x0), min(16, height - y0)
        clear_tile(s, base, T, N_SOFT_FIELDS, n_columns, n_rows)
        alive = n_columns * n_rows
        if masked:
            alive -= drop_masked(keep, shrink, x0, y0, n_columns, n_rows, s, base)
        first, last = tile_start[tile], tile_start[tile + 1]
        n, most, limit = 0, 0, np.float32(1e30)
        counts[:] = 0
        if last > first:
            set_up_rays(view, tile_x, tile_y, s, base)
            set_up_pixels(s, base, T, soft)
        while first < last:
            first, alive, n, most, limit = cover(
                first, last, alive, n, most, limit, view, x0, y0, pair_voxel, rect, box, corner_idx, density, samples, soft,
                pair_live, s, base, records, record_keys, lists, room, counts,
            )  # fmt: skip
            if first < last and most == room:
                lists, room = grown_lists(lists, room, counts), 2 * room
                spare = np.empty(room, dtype=np.int64)
            elif first < last:
                records, record_keys = grown(records, n * RECORD + 16), grown(record_keys, n)
        total = lay_out(counts, starts)
        entries = roomy_entries(entries, total)
        blend(
            lists, room, counts, starts, records, record_keys, pair_voxel, rgb, soft, entries, total, s, base, spare
        )  # fmt: skip
        if pictured:
            write_picture(image, plane, x0, y0, n_columns, n_rows, s, base)
        if back:
            sums = tile_sums[tile]
            sums[:] = 0.0
            tile_loss(
                x0, y0, n_columns, n_rows, mode, shrink, target, masked, keep, given, v_rgb, v_trans, v_depth, background,
                weights, s, base, sums,
            )  # fmt: skip
            _of_entries(
                lists, room, counts, starts, records, soft, entries, total, posed, given, v_trans, background, weights,
                x0, y0, s, base,
            )  # fmt: skip
            _rows(
                n, records, record_keys, view, pair_voxel, box, corner_idx, density, samples, soft, posed, rows, s, base
            )  # fmt: skip
            if posed is not None:
                pose_of_tile(view, x0, y0, n_columns, n_rows, s, base, tile_pose[tile])
