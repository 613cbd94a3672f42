# SPDX-License-Identifier: MIT
"""The inference rasteriser: each screen tile blends its voxels front to back.

Computes, per pixel, over voxels i nearest first, with T = 1 before the first:
    I_i = len * (t_out - t_in) / K * sum_k exp_linear(raw(q_k)),  alpha_i = min(MAX_ALPHA, 1 - exp(-I_i)),
    w_i = T alpha_i,  rgb += w_i c_i,  T *= 1 - alpha_i;
skipping alpha_i < MIN_ALPHA, stopping a pixel at T < STOP_TRANS and a tile when all its pixels have stopped.
Cells of a grid (Plenoxels) have density max(0, raw) instead, and a colour field max(0, c(q)) interpolated between their
corners; each of the K parts of a segment is then blended by itself, for within a cell density may rise from 0 to a wall.
Parallel over: tiles, handed out one by one. Order of work: voxels outside, windows of 16 pixels inside.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.constants import MAX_ALPHA, MIN_ALPHA, NORMAL_EPS, STOP_TRANS
from engine.cpu.halves import eight_halves
from engine.cpu.simd import (
    any_lane,
    count_lanes,
    fetch_add,
    fma,
    lane_max,
    load,
    load_window,
    prefetch,
    select,
    splat,
    store,
    store_pixels,
    store_window,
    vexp,
    vmax,
    vmin,
)
from engine.cpu.tile_math import (
    RAY_FIELDS,
    SCALE,
    TILE_PIXELS,
    add_scaled,
    add_to,
    aligned,
    box_corner,
    cell_position,
    clear_tile,
    exp_linear,
    log_1_to_2,
    segment,
    set_up_rays,
    trilinear,
    trilinear_terms,
    window_start,
    windows_of,
)

WANT_DEPTH, WANT_MEDIAN, WANT_NORMAL, WANT_COUNT, WANT_WEIGHT = 1, 2, 4, 8, 16

# Fields of a tile's pixels behind the rays: the image's four channels T, r, g, b, then the planes.
_T, R_FIELD, _G, _B, _DEPTH, _MEDIAN, _NX, _NY, _NZ, _COUNT = range(RAY_FIELDS, RAY_FIELDS + 10)
CHANNELS = 4
PLANE_DEPTH, PLANE_MEDIAN, PLANE_NORMAL, PLANE_COUNT, N_PLANES = 0, 1, 2, 5, 6
_FIELDS = RAY_FIELDS + CHANNELS + N_PLANES


AHEAD = 6  # pairs between asking for a voxel's memory and using it
NO_TERMS = (np.float32(0.0),) * 8


def planes_of(want: int) -> int:
    """Return how many planes an image needs that holds what is wanted: all up to the last one."""
    if want & WANT_COUNT:
        return N_PLANES
    if want & WANT_NORMAL:
        return PLANE_NORMAL + 3
    return PLANE_MEDIAN + 1 if want & WANT_MEDIAN else int(bool(want & WANT_DEPTH))


@njit(cache=True, nogil=True)
def gather_corners(voxel, corner_idx, density):
    """Return the eight raw corner densities of a voxel as trilinear coefficients.

    Without `corner_idx` they are gathered already: `density` holds halves [V,8].
    """
    if corner_idx is None:
        d = eight_halves(density, 8 * voxel)
        return trilinear_terms(d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7])
    return trilinear_terms(
        density[corner_idx[voxel, 0]],
        density[corner_idx[voxel, 1]],
        density[corner_idx[voxel, 2]],
        density[corner_idx[voxel, 3]],
        density[corner_idx[voxel, 4]],
        density[corner_idx[voxel, 5]],
        density[corner_idx[voxel, 6]],
        density[corner_idx[voxel, 7]],
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
def optical_depth(s, i, pitch, ax, ay, az, inv_size, t_in, t_out, samples, terms):
    """Return the optical depth of lanes' segments: `samples` midpoints, activation after interpolation."""
    step = (t_out - t_in) * (1.0 / samples)
    total = splat(0.0)
    for k in range(samples):
        x, y, z = cell_position(s, i, pitch, ax, ay, az, inv_size, fma(step, k + 0.5, t_in))
        total = total + exp_linear(trilinear(terms, x, y, z))
    return total * step * load_window(s, i + SCALE * TILE_PIXELS, pitch)


@njit(cache=True, nogil=True)
def corner_colours(corner_rgb, voxel, channel):
    return trilinear_terms(
        corner_rgb[voxel, 0, channel],
        corner_rgb[voxel, 1, channel],
        corner_rgb[voxel, 2, channel],
        corner_rgb[voxel, 3, channel],
        corner_rgb[voxel, 4, channel],
        corner_rgb[voxel, 5, channel],
        corner_rgb[voxel, 6, channel],
        corner_rgb[voxel, 7, channel],
    )


@njit(cache=True, nogil=True)
def point_colours(corner_idx, rgb, voxel, channel):
    """Return one channel of a voxel's corner points' colours [G,1,3] as trilinear coefficients."""
    return trilinear_terms(
        rgb[corner_idx[voxel, 0], 0, channel],
        rgb[corner_idx[voxel, 1], 0, channel],
        rgb[corner_idx[voxel, 2], 0, channel],
        rgb[corner_idx[voxel, 3], 0, channel],
        rgb[corner_idx[voxel, 4], 0, channel],
        rgb[corner_idx[voxel, 5], 0, channel],
        rgb[corner_idx[voxel, 6], 0, channel],
        rgb[corner_idx[voxel, 7], 0, channel],
    )


@njit(cache=True, nogil=True)
def cell_light(s, i, pitch, ax, ay, az, inv_size, t_in, t_out, samples, terms, red, green, blue):
    """Return the optical depth of lanes' segments in a cell and the light (r, g, b) that leaves it, its parts blended.

    Lanes without a segment get garbage.
    """
    step = (t_out - t_in) * (1.0 / samples)
    reach = step * load_window(s, i + SCALE * TILE_PIXELS, pitch)
    depth, before, zero = splat(0.0), splat(1.0), splat(0.0)
    r, g, b = zero, zero, zero
    for k in range(samples):
        x, y, z = cell_position(s, i, pitch, ax, ay, az, inv_size, fma(step, k + 0.5, t_in))
        depth = fma(vmax(trilinear(terms, x, y, z), 0.0), reach, depth)
        after = vexp(-depth)
        part = before - after
        r = fma(part, vmax(trilinear(red, x, y, z), 0.0), r)
        g = fma(part, vmax(trilinear(green, x, y, z), 0.0), g)
        b = fma(part, vmax(trilinear(blue, x, y, z), 0.0), b)
        before = after
    return depth, r, g, b


@njit(cache=True, nogil=True)
def mean_trilinear(s, i, pitch, ax, ay, az, inv_size, t_in, t_out, samples, terms):
    """Return the mean of a trilinear quantity over the segment's sample points."""
    step = (t_out - t_in) * (1.0 / samples)
    total = splat(0.0)
    for k in range(samples):
        x, y, z = cell_position(s, i, pitch, ax, ay, az, inv_size, fma(step, k + 0.5, t_in))
        total = total + trilinear(terms, x, y, z)
    return total * (1.0 / samples)


@njit(cache=True, nogil=True)
def corner_from_camera(box, voxel, view):
    """Return a voxel's low corner relative to the camera."""
    return (
        np.float32(box[voxel, 0] - view[9]),
        np.float32(box[voxel, 1] - view[10]),
        np.float32(box[voxel, 2] - view[11]),
    )


@njit(cache=True, nogil=True)
def blend_colours(s, i, pitch, weight, voxel, rgb, eight, ax, ay, az, inv_size, t_in, t_out, samples):
    """Add weight * colour to a window's fields R, G, B: the voxel's one colour, or the mean of its eight's trilinear field."""
    for channel in range(3):
        field = i + (R_FIELD + channel) * TILE_PIXELS
        if eight is not None:
            colours = corner_colours(rgb, voxel, channel)
            colour = mean_trilinear(s, i, pitch, ax, ay, az, inv_size, t_in, t_out, samples, colours)
            # a lane without a segment has no midpoint: keep its garbage out of the sum
            add_to(s, field, pitch, select(weight > 0.0, weight * colour, 0.0))
        else:
            add_scaled(s, field, pitch, weight, rgb[voxel, 0, channel])


@njit(cache=True, nogil=True)
def _raster_tile(
    first,
    last,
    view,
    x0,
    y0,
    n_pixels,
    pair_voxel,
    rect,
    box,
    corner_idx,
    density,
    rgb,
    eight,
    cells,
    samples,
    want,
    pair_weight,
    s,
    base,
):
    """Blend one tile's pairs [first, last) into scratch; x0, y0 is its top left pixel, n_pixels lie inside the image."""
    ortho, near = view[19] > 0.5, view[18]
    alive = n_pixels
    for pair in range(first, last):
        voxel = pair_voxel[pair]
        ahead = pair_voxel[min(pair + AHEAD, last - 1)]
        prefetch(box, 4 * ahead)
        if corner_idx is None:
            prefetch(density, 8 * ahead)
        else:
            prefetch(corner_idx, 8 * ahead)
        if cells is None:
            prefetch(rgb, rgb.shape[1] * 3 * ahead)
        prefetch(rect, 4 * ahead)
        if want & WANT_WEIGHT:
            pair_weight[pair] = 0.0
        first_window, pitch, across, n_windows = windows_of(rect, voxel, x0, y0)
        size = box[voxel, 3]
        inv_size = np.float32(1.0) / size
        low_x, low_y, low_z = corner_from_camera(box, voxel, view)
        terms, gathered = NO_TERMS, False
        if cells is not None:
            red, green, blue = NO_TERMS, NO_TERMS, NO_TERMS
        heaviest = splat(0.0)
        for n in range(n_windows):
            i = base + window_start(first_window, pitch, across, n)
            trans = load_window(s, i + _T * TILE_PIXELS, pitch)
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
                if cells is not None:
                    red = point_colours(corner_idx, rgb, voxel, 0)
                    green = point_colours(corner_idx, rgb, voxel, 1)
                    blue = point_colours(corner_idx, rgb, voxel, 2)
            if cells is not None:
                depth, r, g, b = cell_light(
                    s, i, pitch, ax, ay, az, inv_size, t_in, t_out, samples, terms, red, green, blue
                )
            elif samples == 1:  # in line: the general case is a call
                x, y, z = cell_position(s, i, pitch, ax, ay, az, inv_size, (t_in + t_out) * 0.5)
                reach = (t_out - t_in) * load_window(s, i + SCALE * TILE_PIXELS, pitch)
                depth = exp_linear(trilinear(terms, x, y, z)) * reach
            else:
                depth = optical_depth(s, i, pitch, ax, ay, az, inv_size, t_in, t_out, samples, terms)
            alpha = vmin(1.0 - vexp(-depth), MAX_ALPHA)
            alpha = select(hit & (alpha >= MIN_ALPHA), alpha, 0.0)
            weight = trans * alpha
            after = trans - weight
            store_window(s, i + _T * TILE_PIXELS, pitch, after)
            if cells is not None:
                on = weight > 0.0
                add_to(s, i + R_FIELD * TILE_PIXELS, pitch, select(on, trans * r, 0.0))
                add_to(s, i + _G * TILE_PIXELS, pitch, select(on, trans * g, 0.0))
                add_to(s, i + _B * TILE_PIXELS, pitch, select(on, trans * b, 0.0))
            else:
                blend_colours(
                    s, i, pitch, weight, voxel, rgb, eight, ax, ay, az, inv_size, t_in, t_out, samples
                )
            alive -= count_lanes(hit & (after < STOP_TRANS))
            if want == 0:
                continue
            if want & WANT_DEPTH:
                middle = select(weight > 0.0, (t_in + t_out) * 0.5, 0.0)
                add_scaled(s, i + _DEPTH * TILE_PIXELS, pitch, weight, middle)
            if want & WANT_MEDIAN:
                field = i + _MEDIAN * TILE_PIXELS
                crosses = (trans > 0.5) & (after <= 0.5)
                share = log_1_to_2(vmin(vmax(trans * 2.0, 1.0), 2.0)) / vmax(depth, 1e-12)
                here = fma(t_out - t_in, vmin(share, 1.0), t_in)
                store_window(s, field, pitch, select(crosses, here, load_window(s, field, pitch)))
            if want & WANT_NORMAL:
                nx, ny, nz = facing_normal(terms)
                add_scaled(s, i + _NX * TILE_PIXELS, pitch, weight, nx)
                add_scaled(s, i + _NY * TILE_PIXELS, pitch, weight, ny)
                add_scaled(s, i + _NZ * TILE_PIXELS, pitch, weight, nz)
            if want & WANT_COUNT:
                add_to(s, i + _COUNT * TILE_PIXELS, pitch, select(weight > 0.0, splat(1.0), 0.0))
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
    cells,
    samples,
    want,
    image,
    planes,
    pair_weight,
):
    """Rasterise all tiles into image [H, W, 4]: T, r, g, b (no background), and planes [n, H, W]: PLANE_*.

    Inputs: view, see project.VIEW_*; tile_start int64 [T + 1]; pair_voxel int32 [P]; rect uint16 [V,4]; box float32 [V,4]
    low corner and edge; corner_idx int32 [V,8]; density float32 [G] raw, or with `corner_idx` None int16 [V,8], the bits of
    halves (`halves.py`); rgb float32 [V,1,3] with `eight` None, [V,8,3] with
    `eight` True, or of the points [G,1,3] with `cells` True: told apart by type, so that only the branch in use is compiled.
    Outputs: image; planes, n = planes_of(want), zero where one is not wanted; with WANT_WEIGHT also pair_weight float32
    [P], each pair's heaviest pixel.
    """
    width, height = np.int64(view[16]), np.int64(view[17])
    tiles_x = (width + 15) >> 4
    n_tiles = tile_start.shape[0] - 1
    s, base = aligned(_FIELDS * TILE_PIXELS)
    n_planes = planes.shape[0]
    flat, flat_planes = image.reshape(-1), planes.reshape(-1)
    while True:
        tile = fetch_add(counter, 0, 1)
        if tile >= n_tiles:
            break
        tile_x, tile_y = tile % tiles_x, tile // tiles_x
        x0, y0 = tile_x * 16, tile_y * 16
        n_columns, n_rows = min(16, width - x0), min(16, height - y0)
        clear_tile(s, base, _T, _DEPTH + n_planes, n_columns, n_rows)
        first, last = tile_start[tile], tile_start[tile + 1]
        if last > first:
            set_up_rays(view, tile_x, tile_y, s, base)
            _raster_tile(
                first, last, view, x0, y0, n_columns * n_rows, pair_voxel, rect, box, corner_idx, density, rgb, eight, cells,
                samples, want, pair_weight, s, base,
            )  # fmt: skip
        for row in range(n_rows):
            at = base + _T * TILE_PIXELS + 16 * row
            start = (y0 + row) * width + x0
            if n_columns == 16:
                store_pixels(
                    flat, start * CHANNELS, 16, load(s, at), load(s, at + TILE_PIXELS), load(s, at + 2 * TILE_PIXELS),
                    load(s, at + 3 * TILE_PIXELS),
                )  # fmt: skip
                for plane in range(n_planes):
                    store(
                        flat_planes,
                        plane * height * width + start,
                        load(s, at + (CHANNELS + plane) * TILE_PIXELS),
                    )
                continue
            for column in range(n_columns):
                for channel in range(CHANNELS):
                    image[y0 + row, x0 + column, channel] = s[at + column + channel * TILE_PIXELS]
                for plane in range(n_planes):
                    planes[plane, y0 + row, x0 + column] = s[at + column + (CHANNELS + plane) * TILE_PIXELS]
