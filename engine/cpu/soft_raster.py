# SPDX-License-Identifier: MIT
"""The soft rasteriser on the CPU, the way there: each voxel of a tile's list to coverage, alpha and depth at its pixels.

Computes what `engine.reference.soft_rasterize` says. Voxels outside, windows of sixteen pixels inside, as in `raster.py`; each
window a voxel covers leaves a record, each pixel it covers an entry in the pixel's list (`soft_lists`), which is sorted by depth
and blended (`soft_order`) once the tile's voxels are through.
Early exits: where the entries so far let less than STOP_TRANS through, a pixel takes no more voxels that lie LOGISTIC_CUT tau
behind the deepest of them, and a tile is done with those behind all its pixels' limits.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.constants import LOGISTIC_CUT, MAX_ALPHA, MIN_ALPHA, STOP_TRANS
from engine.cpu.raster import AHEAD, NO_TERMS, corner_from_camera, gather_corners
from engine.cpu.simd import (
    any_lane,
    count_lanes,
    fma,
    lane_max,
    lane_sum,
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
from engine.cpu.soft_lists import (
    R_SLOPE,
    R_V_DEPTH,
    RECORD,
    append,
    gather,
    sort,
)
from engine.cpu.soft_order import ALPHA, BLUE, GREEN, N_ENTRY_FIELDS, RED, TRANS, receive
from engine.cpu.soft_order import DEPTH as ENTRY_DEPTH
from engine.cpu.tile_loss import DEPTH, N_FIELDS, B, G, R, T
from engine.cpu.tile_math import (
    DIR_X,
    DIR_Y,
    DIR_Z,
    ROWS,
    SCALE,
    TILE_PIXELS,
    box_corner,
    cell_position,
    exp_linear,
    exp_linear_slope,
    segment,
    trilinear,
    window_start,
    windows_of,
)

# Fields of a tile's pixels behind those of `tile_loss`: 1 / (|d_i| + |d_j|) of the axes' pairs; the depth from which on voxels
# are passed over, how much light the entries so far let through, the deepest of them; what the ray's origin and direction hear.
W_XY, W_YZ, W_ZX, LIMIT, LIGHT, DEEPEST = range(N_FIELDS, N_FIELDS + 6)
V_OX, V_OY, V_OZ, V_DX, V_DY, V_DZ = range(N_FIELDS + 6, N_FIELDS + 12)
SPREAD = N_FIELDS + 12  # divides SCALE
N_SOFT_FIELDS = N_FIELDS + 13

# Entries of the array `soft` (float64): see `engine.cpu.soft_view.soft_array`.
FALL, REACH, INV_TAU, TAU, ORDER = range(5)  # 1 / (2 sigma^2), 1 + KAPPA sigma, ...
ALONG, ACROSS, WIDTH = range(5, 8)  # `softness.spread_terms`
N_SOFT = 8

_FAR = 1e30
_TINY = 1e-9


@njit(cache=True, nogil=True)
def share_of(r, width):
    """Return k of `softness.spread_terms`."""
    turn = 1.0 / (1.0 + width)
    rest = 1.0 - r
    return select(r > turn, 1.0 - rest * rest / (vmax(r, turn) * (2.0 * width)), r * (1.0 + 0.5 * width))


@njit(cache=True, nogil=True)
def set_up_pixels(s, base, trans_field, soft):
    """Write W_*, LIMIT, LIGHT, DEEPEST and SPREAD of a tile whose rays are set up, and divide SCALE by the spread.

    A pixel whose T is 0 takes no voxel.
    """
    along, across, width = np.float32(soft[ALONG]), np.float32(soft[ACROSS]), np.float32(soft[WIDTH])
    for i in range(base, base + TILE_PIXELS, 16):
        dx, dy, dz = (
            load(s, i + DIR_X * TILE_PIXELS),
            load(s, i + DIR_Y * TILE_PIXELS),
            load(s, i + DIR_Z * TILE_PIXELS),
        )
        dx, dy, dz = vmax(dx, -dx), vmax(dy, -dy), vmax(dz, -dz)
        store(s, i + W_XY * TILE_PIXELS, 1.0 / vmax(dx + dy, _TINY))
        store(s, i + W_YZ * TILE_PIXELS, 1.0 / vmax(dy + dz, _TINY))
        store(s, i + W_ZX * TILE_PIXELS, 1.0 / vmax(dz + dx, _TINY))
        most = 1.0 / vmax(vmax(dx, dy), dz)
        shares = share_of(dx * most, width) + share_of(dy * most, width) + share_of(dz * most, width)
        spread = fma(shares - 1.0, across, splat(along))
        store(s, i + SPREAD * TILE_PIXELS, spread)
        store(s, i + SCALE * TILE_PIXELS, load(s, i + SCALE * TILE_PIXELS) / spread)
        taken = load(s, i + trans_field * TILE_PIXELS) > 0.0
        store(s, i + LIMIT * TILE_PIXELS, select(taken, splat(_FAR), -_FAR))
        store(s, i + LIGHT * TILE_PIXELS, select(taken, splat(1.0), 0.0))
        store(s, i + DEEPEST * TILE_PIXELS, splat(0.0))


@njit(cache=True, nogil=True)
def largest_ratio(s, i, pitch, px, py, pz, dx, dy, dz):
    """Return max |p_i d_j - p_j d_i| / (|d_i| + |d_j|): 1 + miss in half edges, times the half edge."""
    xy, yz, zx = fma(px, dy, -(py * dx)), fma(py, dz, -(pz * dy)), fma(pz, dx, -(px * dz))
    xy = vmax(xy, -xy) * load_window(s, i + W_XY * TILE_PIXELS, pitch)
    yz = vmax(yz, -yz) * load_window(s, i + W_YZ * TILE_PIXELS, pitch)
    zx = vmax(zx, -zx) * load_window(s, i + W_ZX * TILE_PIXELS, pitch)
    return vmax(vmax(xy, yz), zx)


@njit(cache=True, nogil=True)
def directions(s, i, pitch):
    """Return the rays' directions."""
    return (
        load_window(s, i + DIR_X * TILE_PIXELS, pitch),
        load_window(s, i + DIR_Y * TILE_PIXELS, pitch),
        load_window(s, i + DIR_Z * TILE_PIXELS, pitch),
    )


@njit(cache=True, nogil=True)
def clamped_position(s, i, pitch, ax, ay, az, inv_size, t):
    """Return the point at t in the box's own coordinates, clamped to the box."""
    x, y, z = cell_position(s, i, pitch, ax, ay, az, inv_size, t)
    return vmin(vmax(x, 0.0), 1.0), vmin(vmax(y, 0.0), 1.0), vmin(vmax(z, 0.0), 1.0)


@njit(cache=True, nogil=True)
def _nearest_depth(view, low_x, low_y, low_z, half, reach):
    """Return a z-depth in front of which no segment of a dilated voxel begins; low_* are relative to the camera."""
    middle = (low_x + half) * view[6] + (low_y + half) * view[7] + (low_z + half) * view[8]
    return middle - half * reach * (abs(view[6]) + abs(view[7]) + abs(view[8])) - 1e-5


@njit(cache=True, nogil=True)
def _limit_of_tile(s, base):
    """Return the largest LIMIT of the tile's pixels."""
    limit = splat(-_FAR)
    for i in range(base, base + TILE_PIXELS, 16):
        limit = vmax(limit, load(s, i + LIMIT * TILE_PIXELS))
    return lane_max(limit)


@njit(cache=True, nogil=True)
def cover(
    first, last, alive, n, most, limit, view, x0, y0, pair_voxel, rect, box, corner_idx, density, samples, soft, pair_live,
    s, base, records, record_keys, lists, room, counts,
):  # fmt: skip
    """Record pairs [first, last) while there is room; return (the first pair left, alive, n, most, limit).

    `alive` pixels have no LIMIT yet; `n` records are written; the longest list has `most` entries; voxels behind `limit`
    touch nothing.
    """
    ortho, near = view[19] > 0.5, view[18]
    fall, reach = np.float32(soft[FALL]), np.float32(soft[REACH])
    behind = np.float32(LOGISTIC_CUT * soft[TAU])
    for pair in range(first, last):
        if (n + 16) * RECORD + 32 > records.shape[0] or most == room:
            return pair, alive, n, most, limit
        pair_live[pair] = 0
        ahead = pair_voxel[min(pair + AHEAD, last - 1)]
        prefetch(box, 4 * ahead)
        prefetch(corner_idx, 8 * ahead)
        prefetch(rect, 4 * ahead)
        voxel = pair_voxel[pair]
        size = box[voxel, 3]
        half, inv_size = size * np.float32(0.5), np.float32(1.0) / size
        low_x, low_y, low_z = corner_from_camera(box, voxel, view)
        nearest = _nearest_depth(view, low_x, low_y, low_z, half, reach)
        if nearest > limit:
            continue
        beyond, wide = half * (reach - np.float32(1.0)), size * reach
        first_window, pitch, across, n_windows = windows_of(rect, voxel, x0, y0)
        terms, gathered = NO_TERMS, False
        for window in range(n_windows):
            start = window_start(first_window, pitch, across, window)
            i = base + start
            bound = load_window(s, i + LIMIT * TILE_PIXELS, pitch)
            hit = bound > nearest
            if not any_lane(hit):
                continue
            ax, ay, az = box_corner(s, i, pitch, ortho, low_x, low_y, low_z)
            t_in, t_out = segment(s, i, pitch, ax - beyond, ay - beyond, az - beyond, wide, near)
            hit = hit & (t_out > t_in)
            if not any_lane(hit):
                continue
            if not gathered:
                terms, gathered = gather_corners(voxel, corner_idx, density), True
            covered = splat(1.0)
            if fall > 0.0:
                dx, dy, dz = directions(s, i, pitch)
                miss = fma(
                    largest_ratio(s, i, pitch, ax + half, ay + half, az + half, dx, dy, dz),
                    2.0 * inv_size,
                    splat(-1.0),
                )
                miss = vmax(miss, 0.0)
                covered = vexp(miss * miss * -fall)
            step = t_out - t_in
            long = step * load_window(s, i + SCALE * TILE_PIXELS, pitch) * (1.0 / samples)
            middle = (t_in + t_out) * 0.5
            if samples == 1:
                x, y, z = clamped_position(s, i, pitch, ax, ay, az, inv_size, middle)
                raw = trilinear(terms, x, y, z)
                sigma = exp_linear(raw)
                depth = sigma * long
                long = long * exp_linear_slope(raw, sigma)
            else:
                total = splat(0.0)
                for k in range(samples):
                    t = fma(step, (k + 0.5) / samples, t_in)
                    x, y, z = clamped_position(s, i, pitch, ax, ay, az, inv_size, t)
                    total = total + exp_linear(trilinear(terms, x, y, z))
                depth = total * long
            clear = vexp(-depth)
            solid = vmin(1.0 - clear, MAX_ALPHA)
            alpha = covered * solid
            hit = hit & (alpha >= MIN_ALPHA) & (middle <= bound)
            if not any_lane(hit):
                continue
            alpha = select(hit, alpha, 0.0)
            at = n * RECORD
            store_pixels(records, at, 16, alpha, middle, splat(0.0), splat(0.0))
            store(records, at + R_SLOPE, select(solid < MAX_ALPHA, covered * clear * long, 0.0))
            store(records, at + R_V_DEPTH, splat(0.0))
            record_keys[n] = (pair << 9) | (start << 1) | (1 if pitch == ROWS else 0)
            pair_live[pair] = 1
            n += 1
            most = max(most, append(lists, room, counts, start, pitch, hit, records, at))
            before = load_window(s, i + LIGHT * TILE_PIXELS, pitch)
            after = before * (1.0 - alpha)
            deepest = load_window(s, i + DEEPEST * TILE_PIXELS, pitch)
            deepest = vmax(deepest, select(hit, middle, 0.0))
            store_window(s, i + LIGHT * TILE_PIXELS, pitch, after)
            store_window(s, i + DEEPEST * TILE_PIXELS, pitch, deepest)
            done = (after < STOP_TRANS) & (before >= STOP_TRANS)
            if any_lane(done):
                store_window(s, i + LIMIT * TILE_PIXELS, pitch, select(done, deepest + behind, bound))
                alive -= count_lanes(done)
                if alive == 0:
                    limit = _limit_of_tile(s, base)
    return last, alive, n, most, limit


@njit(cache=True, nogil=True)
def blend(
    lists, room, counts, starts, records, record_keys, pair_voxel, rgb, soft, entries, pitch, s, base, spare
):
    """Sort and blend the pixels' lists into the fields T, R, G, B and DEPTH; leave the entries."""
    inv_tau, order = np.float32(soft[INV_TAU]), np.int64(soft[ORDER])
    for pixel in range(TILE_PIXELS):
        n = counts[pixel]
        if n == 0:
            continue
        first, start = pixel * room, starts[pixel]
        sort(lists, first, n, spare)
        gather(lists, first, n, records, record_keys, pair_voxel, rgb, inv_tau, entries, pitch, start)
        s[base + T * TILE_PIXELS + pixel] = receive(entries, pitch, start, n, order)
        red, green, blue, depth = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
        for k in range(start, start + n, 16):
            weight = load(entries, ALPHA * pitch + k) * load(entries, TRANS * pitch + k)
            red = fma(weight, load(entries, RED * pitch + k), red)
            green = fma(weight, load(entries, GREEN * pitch + k), green)
            blue = fma(weight, load(entries, BLUE * pitch + k), blue)
            depth = fma(weight, load(entries, ENTRY_DEPTH * pitch + k), depth)
        s[base + R * TILE_PIXELS + pixel] = lane_sum(red)
        s[base + G * TILE_PIXELS + pixel] = lane_sum(green)
        s[base + B * TILE_PIXELS + pixel] = lane_sum(blue)
        s[base + DEPTH * TILE_PIXELS + pixel] = lane_sum(depth)


@njit(cache=True, nogil=True)
def lay_out(counts, starts):
    """Write where in the entries each pixel's list starts, a multiple of 16; return how long all are together."""
    total = 0
    for pixel in range(TILE_PIXELS):
        starts[pixel] = total
        total += (counts[pixel] + 15) & ~15
    return total


@njit(cache=True, nogil=True)
def roomy_entries(entries, total):
    """Return entries with room for `total` a field: the same, or new ones."""
    if entries.shape[0] >= N_ENTRY_FIELDS * total:
        return entries
    return np.empty(N_ENTRY_FIELDS * (total + total // 2), dtype=np.float32)


@njit(cache=True, nogil=True)
def write_picture(image, planes, x0, y0, columns, rows, s, base):
    """Write a tile's T, r, g, b to image [H,W,4] and its depth to planes [H,W]."""
    for row in range(rows):
        for column in range(columns):
            at = base + 16 * row + column
            for channel in range(4):
                image[y0 + row, x0 + column, channel] = s[at + (T + channel) * TILE_PIXELS]
            planes[y0 + row, x0 + column] = s[at + DEPTH * TILE_PIXELS]
