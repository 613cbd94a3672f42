# SPDX-License-Identifier: MIT
"""The inference rasteriser: each screen tile blends its voxels front to back.

Computes, per pixel, over voxels i nearest first, with T = 1 before the first:
    I_i = len * (t_out - t_in) / K * sum_k exp_linear(raw(q_k)),  alpha_i = min(MAX_ALPHA, 1 - exp(-I_i)),
    w_i = T alpha_i,  rgb += w_i c_i,  T *= 1 - alpha_i;
skipping alpha_i < MIN_ALPHA, stopping a pixel at T < STOP_TRANS and a tile when all its pixels have stopped.
Parallel over: tiles, handed out one by one. Order of work: voxels outside, the 4 x 4 blocks that the voxel touches inside.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.constants import MAX_ALPHA, MIN_ALPHA, NORMAL_EPS, STOP_TRANS
from engine.cpu.simd import any_lane, fetch_add, fma, lane_max, load, select, splat, store, vexp, vmax, vmin
from engine.cpu.tile_math import (
    RAY_FIELDS,
    SCALE,
    TILE_PIXELS,
    aligned,
    box_corner,
    cell_position,
    clear_tile,
    exp_linear,
    log_1_to_2,
    pixel_slot,
    segment,
    set_up_rays,
    trilinear,
    trilinear_terms,
)

WANT_DEPTH, WANT_MEDIAN, WANT_NORMAL, WANT_COUNT, WANT_WEIGHT = 1, 2, 4, 8, 16

# Fields of a tile's pixels behind the rays; also the channels of the output image.
_T, _R, _G, _B, _DEPTH, _MEDIAN, _NX, _NY, _NZ, _COUNT = range(RAY_FIELDS, RAY_FIELDS + 10)
CHANNELS = 10
COLOUR_CHANNELS = 4  # when nothing else is wanted: T, r, g, b
_FIELDS = RAY_FIELDS + CHANNELS


@njit(cache=True, nogil=True)
def gather_corners(voxel, corner_idx, density):
    """Return the eight raw corner densities of a voxel as trilinear coefficients."""
    row = corner_idx[voxel]
    return trilinear_terms(
        density[row[0]],
        density[row[1]],
        density[row[2]],
        density[row[3]],
        density[row[4]],
        density[row[5]],
        density[row[6]],
        density[row[7]],
    )


@njit(cache=True, nogil=True)
def facing_normal(terms):
    """Return the voxel's unit normal, against the mean gradient of its raw density, from its coefficients."""
    gx = terms[1] + np.float32(0.5) * (terms[4] + terms[5]) + np.float32(0.25) * terms[7]
    gy = terms[2] + np.float32(0.5) * (terms[4] + terms[6]) + np.float32(0.25) * terms[7]
    gz = terms[3] + np.float32(0.5) * (terms[5] + terms[6]) + np.float32(0.25) * terms[7]
    scale = np.float32(-1.0 / np.sqrt(gx * gx + gy * gy + gz * gz + NORMAL_EPS))
    return gx * scale, gy * scale, gz * scale


@njit(cache=True, nogil=True)
def optical_depth(s, i, ax, ay, az, inv_size, t_in, t_out, samples, terms):
    """Return the optical depth of lanes' segments: `samples` midpoints, activation after interpolation."""
    step = (t_out - t_in) * (1.0 / samples)
    total = splat(0.0)
    for k in range(samples):
        x, y, z = cell_position(s, i, ax, ay, az, inv_size, fma(step, k + 0.5, t_in))
        total = total + exp_linear(trilinear(terms, x, y, z))
    return total * step * load(s, i + SCALE * TILE_PIXELS)


@njit(cache=True, nogil=True)
def corner_colours(corner_rgb, voxel, channel):
    row = corner_rgb[voxel]
    return trilinear_terms(
        row[0, channel],
        row[1, channel],
        row[2, channel],
        row[3, channel],
        row[4, channel],
        row[5, channel],
        row[6, channel],
        row[7, channel],
    )


@njit(cache=True, nogil=True)
def mean_trilinear(s, i, ax, ay, az, inv_size, t_in, t_out, samples, terms):
    """Return the mean of a trilinear quantity over the segment's sample points."""
    step = (t_out - t_in) * (1.0 / samples)
    total = splat(0.0)
    for k in range(samples):
        x, y, z = cell_position(s, i, ax, ay, az, inv_size, fma(step, k + 0.5, t_in))
        total = total + trilinear(terms, x, y, z)
    return total * (1.0 / samples)


@njit(cache=True, nogil=True)
def _raster_tile(
    first,
    last,
    view,
    x0,
    y0,
    pair_voxel,
    rect,
    box,
    corner_idx,
    density,
    rgb,
    eight,
    samples,
    want,
    pair_weight,
    s,
    base,
):
    """Blend one tile's pairs [first, last) into scratch; x0, y0 is its top left pixel."""
    ortho, near = view[19] > 0.5, view[18]
    alive = 0xFFFF
    for pair in range(first, last):
        voxel = pair_voxel[pair]
        area = rect[voxel]
        bx0, bx1 = max(np.int64(area[0]) - x0, 0) >> 2, min(np.int64(area[2]) - x0, 15) >> 2
        by0, by1 = max(np.int64(area[1]) - y0, 0) >> 2, min(np.int64(area[3]) - y0, 15) >> 2
        touched = 0
        for by in range(by0, by1 + 1):
            touched |= (((1 << (bx1 + 1)) - 1) & ~((1 << bx0) - 1)) << (4 * by)
        touched &= alive
        if want & WANT_WEIGHT:
            pair_weight[pair] = 0.0
        if touched == 0:
            continue
        size = box[voxel, 3]
        inv_size = np.float32(1.0) / size
        low_x = np.float32(box[voxel, 0] - view[9])
        low_y = np.float32(box[voxel, 1] - view[10])
        low_z = np.float32(box[voxel, 2] - view[11])
        terms = gather_corners(voxel, corner_idx, density)
        heaviest = splat(0.0)
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
            depth = optical_depth(s, i, ax, ay, az, inv_size, t_in, t_out, samples, terms)
            alpha = vmin(1.0 - vexp(-depth), MAX_ALPHA)
            alpha = select(hit & (alpha >= MIN_ALPHA), alpha, 0.0)
            weight = trans * alpha
            after = trans - weight
            store(s, i + _T * TILE_PIXELS, after)
            if eight is not None:
                for channel in range(3):
                    field = i + (_R + channel) * TILE_PIXELS
                    colours = corner_colours(rgb, voxel, channel)
                    colour = mean_trilinear(s, i, ax, ay, az, inv_size, t_in, t_out, samples, colours)
                    # a lane without a segment has no midpoint: keep its garbage out of the sum
                    store(s, field, load(s, field) + select(weight > 0.0, weight * colour, 0.0))
            else:
                for channel in range(3):
                    field = i + (_R + channel) * TILE_PIXELS
                    store(s, field, fma(weight, rgb[voxel, 0, channel], load(s, field)))
            if not any_lane(after >= STOP_TRANS):
                alive &= ~(1 << block)
            if want == 0:
                continue
            if want & WANT_DEPTH:
                middle = select(weight > 0.0, (t_in + t_out) * 0.5, 0.0)
                store(s, i + _DEPTH * TILE_PIXELS, fma(weight, middle, load(s, i + _DEPTH * TILE_PIXELS)))
            if want & WANT_MEDIAN:
                crosses = (trans > 0.5) & (after <= 0.5)
                share = log_1_to_2(vmin(vmax(trans * 2.0, 1.0), 2.0)) / vmax(depth, 1e-12)
                here = fma(t_out - t_in, vmin(share, 1.0), t_in)
                store(s, i + _MEDIAN * TILE_PIXELS, select(crosses, here, load(s, i + _MEDIAN * TILE_PIXELS)))
            if want & WANT_NORMAL:
                nx, ny, nz = facing_normal(terms)
                store(s, i + _NX * TILE_PIXELS, fma(weight, nx, load(s, i + _NX * TILE_PIXELS)))
                store(s, i + _NY * TILE_PIXELS, fma(weight, ny, load(s, i + _NY * TILE_PIXELS)))
                store(s, i + _NZ * TILE_PIXELS, fma(weight, nz, load(s, i + _NZ * TILE_PIXELS)))
            if want & WANT_COUNT:
                more = select(weight > 0.0, splat(1.0), 0.0)
                store(s, i + _COUNT * TILE_PIXELS, load(s, i + _COUNT * TILE_PIXELS) + more)
            if want & WANT_WEIGHT:
                heaviest = vmax(heaviest, weight)
        if want & WANT_WEIGHT:
            pair_weight[pair] = lane_max(heaviest)
        if alive == 0:
            if want & WANT_WEIGHT:
                for rest in range(pair + 1, last):
                    pair_weight[rest] = 0.0
            break


@njit(cache=True, nogil=True)
def raster_tiles(
    counter,
    view,
    tile_start,
    pair_voxel,
    rect,
    box,
    corner_idx,
    density,
    rgb,
    eight,
    samples,
    want,
    image,
    pair_weight,
):
    """Rasterise all tiles into image [H, W, CHANNELS]: T, r, g, b (no background), depth, median, normal, count.

    Inputs: view, see project.VIEW_*; tile_start int64 [T + 1]; pair_voxel int32 [P]; rect uint16 [V,4]; box float32 [V,4]
    low corner and edge; corner_idx int32 [V,8]; density float32 [G] raw; rgb float32 [V,1,3] with `eight` None, [V,8,3] with
    `eight` True: told apart by type, so that only the branch in use is compiled.
    Outputs: image, of COLOUR_CHANNELS where `want` is 0; with WANT_WEIGHT also pair_weight float32 [P], each pair's
    heaviest pixel.
    """
    width, height = np.int64(view[16]), np.int64(view[17])
    tiles_x = (width + 15) >> 4
    n_tiles = tile_start.shape[0] - 1
    s, base = aligned(_FIELDS * TILE_PIXELS)
    channels = CHANNELS if want != 0 else COLOUR_CHANNELS
    while True:
        tile = fetch_add(counter, 0, 1)
        if tile >= n_tiles:
            break
        tile_x, tile_y = tile % tiles_x, tile // tiles_x
        x0, y0 = tile_x * 16, tile_y * 16
        clear_tile(s, base, _T, _FIELDS, min(16, width - x0), min(16, height - y0))
        first, last = tile_start[tile], tile_start[tile + 1]
        if last > first:
            set_up_rays(view, tile_x, tile_y, s, base)
            _raster_tile(
                first, last, view, x0, y0, pair_voxel, rect, box, corner_idx, density, rgb, eight, samples, want, pair_weight,
                s, base,
            )  # fmt: skip
        for row in range(min(16, height - y0)):
            for column in range(min(16, width - x0)):
                at = base + pixel_slot(row, column)
                for channel in range(channels):
                    image[y0 + row, x0 + column, channel] = s[at + (_T + channel) * TILE_PIXELS]
