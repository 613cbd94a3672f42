# SPDX-License-Identifier: MIT
"""What the camera's pose hears from the soft rasteriser: the gradients of each ray's origin and direction.

Written from `engine.reference.soft_rasterize`, line by line backwards, for the lanes of one record: sixteen rays and a voxel.
Where the entry is clamped to the near plane, the position to the voxel or alpha to MAX_ALPHA, nothing comes through.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.constants import MAX_ALPHA
from engine.cpu.simd import fma, load_window, select, splat, vexp, vmax, vmin
from engine.cpu.soft_raster import (
    ACROSS,
    FALL,
    REACH,
    SPREAD,
    V_DX,
    V_DY,
    V_DZ,
    V_OX,
    V_OY,
    V_OZ,
    W_XY,
    W_YZ,
    W_ZX,
    WIDTH,
    directions,
)
from engine.cpu.tile_math import (
    INV_X,
    INV_Y,
    INV_Z,
    SCALE,
    TILE_PIXELS,
    add_to,
    cell_position,
    exp_linear,
    exp_linear_slope,
    trilinear,
)


@njit(cache=True, nogil=True)
def _sign(x):
    return select(x < 0.0, splat(-1.0), 1.0)


@njit(cache=True, nogil=True)
def _add_face(s, i, pitch, field, v_t, t, inverse, is_face):
    """Add what an axis of the ray hears from t = (face - o) / d: dt/do = -1/d, dt/dd = -t/d."""
    v = select(is_face, v_t * inverse, 0.0)
    add_to(s, i + (V_OX + field) * TILE_PIXELS, pitch, -v)
    add_to(s, i + (V_DX + field) * TILE_PIXELS, pitch, -(v * t))


@njit(cache=True, nogil=True)
def _slopes(terms, x, y, z):
    """Return the gradient of the trilinear value."""
    return (
        fma(y, fma(z, terms[7], terms[4]), fma(z, terms[5], splat(terms[1]))),
        fma(x, fma(z, terms[7], terms[4]), fma(z, terms[6], splat(terms[2]))),
        fma(x, fma(y, terms[7], terms[5]), fma(y, terms[6], splat(terms[3]))),
    )


@njit(cache=True, nogil=True)
def _share_slope(r, width):
    """Return k'(r) of `softness.spread_terms`."""
    turn = 1.0 / (1.0 + width)
    over = vmax(r, turn)
    return select(r > turn, (1.0 - r * r) / (over * over * (2.0 * width)), splat(1.0 + 0.5 * width))


@njit(cache=True, nogil=True)
def _slopes_of_length(s, i, pitch, dx, dy, dz, soft, v_log):
    """Return what the direction hears from v_log = dL / d ln(|d| / spread(d))."""
    x, y, z = vmax(dx, -dx), vmax(dy, -dy), vmax(dz, -dz)
    width = np.float32(soft[WIDTH])
    largest = vmax(vmax(x, y), z)
    most = 1.0 / largest
    v_share = -v_log * np.float32(soft[ACROSS]) * most / load_window(s, i + SPREAD * TILE_PIXELS, pitch)
    kx, ky, kz = _share_slope(x * most, width), _share_slope(y * most, width), _share_slope(z * most, width)
    turned = (kx * x + ky * y + kz * z) * most  # what the largest hears, whose own k' is 0
    kx = select(x >= largest, -turned, kx)
    ky = select(y >= largest, -turned, ky)
    kz = select(z >= largest, -turned, kz)
    v_length = v_log / fma(dx, dx, fma(dy, dy, dz * dz))
    return (
        fma(v_length, dx, v_share * kx * _sign(dx)),
        fma(v_length, dy, v_share * ky * _sign(dy)),
        fma(v_length, dz, v_share * kz * _sign(dz)),
    )


@njit(cache=True, nogil=True)
def _add_miss(s, i, pitch, px, py, pz, dx, dy, dz, half, v_miss):
    """Add what the ray hears from miss + 1 = max |p_i d_j - p_j d_i| / (half (|d_i| + |d_j|)), where v_miss is not 0."""
    w_xy, w_yz, w_zx = (
        load_window(s, i + W_XY * TILE_PIXELS, pitch),
        load_window(s, i + W_YZ * TILE_PIXELS, pitch),
        load_window(s, i + W_ZX * TILE_PIXELS, pitch),
    )
    xy, yz, zx = fma(px, dy, -(py * dx)), fma(py, dz, -(pz * dy)), fma(pz, dx, -(px * dz))
    r_xy, r_yz, r_zx = vmax(xy, -xy) * w_xy, vmax(yz, -yz) * w_yz, vmax(zx, -zx) * w_zx
    is_xy = (r_xy >= r_yz) & (r_xy >= r_zx)
    is_yz = ~is_xy & (r_yz >= r_zx)
    v = v_miss * (1.0 / half)
    a, b, c = (
        select(is_xy, v * w_xy, 0.0),
        select(is_yz, v * w_yz, 0.0),
        select(~is_xy & ~is_yz, v * w_zx, 0.0),
    )
    n_xy, n_yz, n_zx = a * _sign(xy), b * _sign(yz), c * _sign(zx)
    add_to(s, i + V_OX * TILE_PIXELS, pitch, n_zx * dz - n_xy * dy)
    add_to(s, i + V_OY * TILE_PIXELS, pitch, n_xy * dx - n_yz * dz)
    add_to(s, i + V_OZ * TILE_PIXELS, pitch, n_yz * dy - n_zx * dx)
    a, b, c = a * r_xy, b * r_yz, c * r_zx
    add_to(s, i + V_DX * TILE_PIXELS, pitch, n_zx * pz - n_xy * py - (a + c) * _sign(dx))
    add_to(s, i + V_DY * TILE_PIXELS, pitch, n_xy * px - n_yz * pz - (a + b) * _sign(dy))
    add_to(s, i + V_DZ * TILE_PIXELS, pitch, n_yz * py - n_zx * px - (b + c) * _sign(dz))


@njit(cache=True, nogil=True)
def add_pose(s, i, pitch, ax, ay, az, size, near, samples, soft, terms, on, v_alpha, v_depth):
    """Add a record's part to the fields V_O*, V_D*; ax, ay, az is the voxel's low corner relative to the rays' origins."""
    half, inv_size = size * np.float32(0.5), np.float32(1.0) / size
    wide, fall = half * np.float32(soft[REACH]), np.float32(soft[FALL])
    px, py, pz = ax + half, ay + half, az + half
    dx, dy, dz = directions(s, i, pitch)
    ix, iy, iz = (
        load_window(s, i + INV_X * TILE_PIXELS, pitch),
        load_window(s, i + INV_Y * TILE_PIXELS, pitch),
        load_window(s, i + INV_Z * TILE_PIXELS, pitch),
    )
    rx, ry, rz = wide * vmax(ix, -ix), wide * vmax(iy, -iy), wide * vmax(iz, -iz)
    in_x, in_y, in_z = px * ix - rx, py * iy - ry, pz * iz - rz
    out_x, out_y, out_z = px * ix + rx, py * iy + ry, pz * iz + rz
    t_in = vmax(vmax(in_x, in_y), vmax(in_z, near))
    t_out = vmin(vmin(out_x, out_y), out_z)
    chord = select(on, t_out - t_in, 0.0)
    scale = load_window(s, i + SCALE * TILE_PIXELS, pitch) * (1.0 / samples)
    total = splat(0.0)
    for k in range(samples):
        x, y, z = cell_position(s, i, pitch, ax, ay, az, inv_size, fma(chord, (k + 0.5) / samples, t_in))
        x, y, z = vmin(vmax(x, 0.0), 1.0), vmin(vmax(y, 0.0), 1.0), vmin(vmax(z, 0.0), 1.0)
        total = total + exp_linear(trilinear(terms, x, y, z))
    depth = total * chord * scale
    clear = vexp(-depth)
    solid = vmin(1.0 - clear, MAX_ALPHA)
    covered, miss = splat(1.0), splat(0.0)
    if fall > 0.0:
        w_xy, w_yz, w_zx = (
            load_window(s, i + W_XY * TILE_PIXELS, pitch),
            load_window(s, i + W_YZ * TILE_PIXELS, pitch),
            load_window(s, i + W_ZX * TILE_PIXELS, pitch),
        )
        xy, yz, zx = fma(px, dy, -(py * dx)), fma(py, dz, -(pz * dy)), fma(pz, dx, -(px * dz))
        ratio = vmax(vmax(vmax(xy, -xy) * w_xy, vmax(yz, -yz) * w_yz), vmax(zx, -zx) * w_zx)
        miss = vmax(fma(ratio, 2.0 * inv_size, splat(-1.0)), 0.0)
        covered = vexp(miss * miss * -fall)
        v_miss = v_alpha * solid * covered * miss * (np.float32(-2.0) * fall)
        _add_miss(s, i, pitch, px, py, pz, dx, dy, dz, half, select(on, v_miss, 0.0))
    v_optical = select(on & (solid < MAX_ALPHA), v_alpha * covered * clear, 0.0)
    v_chord = v_optical * total * scale
    v_z = select(on, v_depth, 0.0) * 0.5
    v_in, v_out = v_z - v_chord, v_z + v_chord
    v_dx, v_dy, v_dz = _slopes_of_length(s, i, pitch, dx, dy, dz, soft, v_optical * depth)
    for k in range(samples):
        share = (k + 0.5) / samples
        t = fma(chord, share, t_in)
        x, y, z = cell_position(s, i, pitch, ax, ay, az, inv_size, t)
        cx, cy, cz = vmin(vmax(x, 0.0), 1.0), vmin(vmax(y, 0.0), 1.0), vmin(vmax(z, 0.0), 1.0)
        raw = trilinear(terms, cx, cy, cz)
        v_raw = v_optical * chord * scale * exp_linear_slope(raw, exp_linear(raw)) * inv_size
        gx, gy, gz = _slopes(terms, cx, cy, cz)
        gx = select((x > 0.0) & (x < 1.0), v_raw * gx, 0.0)
        gy = select((y > 0.0) & (y < 1.0), v_raw * gy, 0.0)
        gz = select((z > 0.0) & (z < 1.0), v_raw * gz, 0.0)
        add_to(s, i + V_OX * TILE_PIXELS, pitch, gx)
        add_to(s, i + V_OY * TILE_PIXELS, pitch, gy)
        add_to(s, i + V_OZ * TILE_PIXELS, pitch, gz)
        v_dx, v_dy, v_dz = v_dx + gx * t, v_dy + gy * t, v_dz + gz * t
        v_t = fma(gx, dx, fma(gy, dy, gz * dz))
        v_in, v_out = v_in + v_t * (1.0 - share), v_out + v_t * share
    add_to(s, i + V_DX * TILE_PIXELS, pitch, select(on, v_dx, 0.0))
    add_to(s, i + V_DY * TILE_PIXELS, pitch, select(on, v_dy, 0.0))
    add_to(s, i + V_DZ * TILE_PIXELS, pitch, select(on, v_dz, 0.0))
    entered, zero = on & (t_in > near), 0
    by_x = entered & (in_x >= t_in)
    by_y = entered & ~by_x & (in_y >= t_in)
    _add_face(s, i, pitch, zero, v_in, t_in, ix, by_x)
    _add_face(s, i, pitch, 1, v_in, t_in, iy, by_y)
    _add_face(s, i, pitch, 2, v_in, t_in, iz, entered & ~by_x & ~by_y)
    by_x = on & (out_x <= t_out)
    by_y = on & ~by_x & (out_y <= t_out)
    _add_face(s, i, pitch, zero, v_out, t_out, ix, by_x)
    _add_face(s, i, pitch, 1, v_out, t_out, iy, by_y)
    _add_face(s, i, pitch, 2, v_out, t_out, iz, on & ~by_x & ~by_y)


@njit(cache=True, nogil=True)
def pose_of_tile(view, x0, y0, columns, rows, s, base, out):
    """Write a tile's gradient of world_from_cam[:3] to out float64 [12], row by row.

    With camera coordinates (u, v, 1) a pixel's direction is R (u, v, 1) and its origin the position; without perspective the
    direction is R (0, 0, 1) and the origin the position + R (u, v, 0).
    """
    ortho = view[19] > 0.5
    out[:] = 0.0
    for row in range(rows):
        v = (y0 + row + 0.5 - view[15]) / view[13]
        for column in range(columns):
            u = (x0 + column + 0.5 - view[14]) / view[12]
            at = base + 16 * row + column
            for axis in range(3):
                v_o = np.float64(s[at + (V_OX + axis) * TILE_PIXELS])
                v_d = np.float64(s[at + (V_DX + axis) * TILE_PIXELS])
                across = v_o if ortho else v_d
                out[4 * axis] += across * u
                out[4 * axis + 1] += across * v
                out[4 * axis + 2] += v_d
                out[4 * axis + 3] += v_o
