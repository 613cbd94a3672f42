# SPDX-License-Identifier: MIT
"""What one tile does with one voxel, sixteen pixels at a time: rays, box segments, trilinear density, its activation.

A tile's pixels are kept as 16 blocks of 4 x 4; block b holds columns 4 (b % 4) .. and rows 4 (b // 4) .. . Rays are p(t) =
position + offset + t * dir with dir's camera-z component 1, so t *is* z-depth and the near plane is t = near.
Per-tile scratch is one float32 array; field f of block b starts at f * 256 + b * 16.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.constants import DENSITY_SCALE, EXP_LINEAR_KNEE
from engine.cpu.simd import fma, load, select, splat, store, vexp, vmax, vmin, vsqrt

TILE_PIXELS = 256
DIR_X, DIR_Y, DIR_Z, INV_X, INV_Y, INV_Z, SCALE, OFF_X, OFF_Y, OFF_Z = range(10)
RAY_FIELDS = 10

LANE_COLUMN = np.array([0, 1, 2, 3] * 4, dtype=np.float32)
LANE_ROW = np.repeat(np.arange(4, dtype=np.float32), 4)

_KNEE = EXP_LINEAR_KNEE
_KNEE_SHIFT = float(np.log(EXP_LINEAR_KNEE)) - 1.0
_TINY_DIRECTION = 1e-9  # a ray parallel to a face gets this slope: no NaN from 0 * inf, and no pixel can tell


@njit(cache=True, nogil=True)
def aligned(n):
    """Return a float32 array of n + 16 entries and the index of its first entry on a 64-byte boundary."""
    array = np.empty(n + 16, dtype=np.float32)
    return array, ((64 - (array.ctypes.data & 63)) & 63) >> 2


@njit(cache=True, nogil=True)
def pixel_slot(row, column):
    """Return where a tile's pixel stands within a field: block of 4 x 4 by block."""
    return (((row >> 2) << 2) + (column >> 2)) * 16 + ((row & 3) << 2) + (column & 3)


@njit(cache=True, nogil=True)
def clear_tile(s, base, trans_field, n_fields, columns, rows):
    """Set all fields from `trans_field` on to zero, then the transmittance of the pixels inside the image to one.

    Pixels of the last tiles that lie outside the image keep transmittance 0: they count as finished.
    """
    start = base + trans_field * TILE_PIXELS
    s[start : base + n_fields * TILE_PIXELS] = 0.0
    if columns == 16 and rows == 16:
        s[start : start + TILE_PIXELS] = 1.0
        return
    for row in range(rows):
        for column in range(columns):
            s[start + pixel_slot(row, column)] = 1.0


@njit(cache=True, nogil=True)
def _inverse(d):
    guarded = select((d < _TINY_DIRECTION) & (d > -_TINY_DIRECTION), _TINY_DIRECTION, d)
    return 1.0 / guarded


@njit(cache=True, nogil=True)
def set_up_rays(view, tile_x, tile_y, s, base):
    """Write the rays of a 16 x 16 tile into scratch `s` from `base`: RAY_FIELDS fields."""
    ortho = view[19] > 0.5
    for block in range(16):
        i = base + block * 16
        column = load(LANE_COLUMN, 0) + (tile_x * 16.0 + (block & 3) * 4.0 + 0.5)
        row = load(LANE_ROW, 0) + (tile_y * 16.0 + (block >> 2) * 4.0 + 0.5)
        u = (column - view[14]) * (1.0 / view[12])
        v = (row - view[15]) * (1.0 / view[13])
        shift_x = fma(u, view[0], v * view[3])
        shift_y = fma(u, view[1], v * view[4])
        shift_z = fma(u, view[2], v * view[5])
        if ortho:
            dx, dy, dz = splat(view[6]), splat(view[7]), splat(view[8])
            store(s, i + OFF_X * TILE_PIXELS, shift_x)
            store(s, i + OFF_Y * TILE_PIXELS, shift_y)
            store(s, i + OFF_Z * TILE_PIXELS, shift_z)
        else:
            dx, dy, dz = shift_x + view[6], shift_y + view[7], shift_z + view[8]
        store(s, i + DIR_X * TILE_PIXELS, dx)
        store(s, i + DIR_Y * TILE_PIXELS, dy)
        store(s, i + DIR_Z * TILE_PIXELS, dz)
        store(s, i + INV_X * TILE_PIXELS, _inverse(dx))
        store(s, i + INV_Y * TILE_PIXELS, _inverse(dy))
        store(s, i + INV_Z * TILE_PIXELS, _inverse(dz))
        store(s, i + SCALE * TILE_PIXELS, vsqrt(fma(dx, dx, fma(dy, dy, dz * dz))) * DENSITY_SCALE)


@njit(cache=True, nogil=True)
def box_corner(s, i, ortho, low_x, low_y, low_z):
    """Return the box's low corner relative to each lane's ray origin; low_* are relative to the camera."""
    if ortho:
        return (
            low_x - load(s, i + OFF_X * TILE_PIXELS),
            low_y - load(s, i + OFF_Y * TILE_PIXELS),
            low_z - load(s, i + OFF_Z * TILE_PIXELS),
        )
    return splat(low_x), splat(low_y), splat(low_z)


@njit(cache=True, nogil=True)
def segment(s, i, ax, ay, az, size, near):
    """Return where lanes enter and leave a box, entry clamped to the near plane; a miss has t_out <= t_in."""
    inv_x = load(s, i + INV_X * TILE_PIXELS)
    inv_y = load(s, i + INV_Y * TILE_PIXELS)
    inv_z = load(s, i + INV_Z * TILE_PIXELS)
    x0, y0, z0 = ax * inv_x, ay * inv_y, az * inv_z
    x1, y1, z1 = fma(inv_x, size, x0), fma(inv_y, size, y0), fma(inv_z, size, z0)
    t_in = vmax(vmax(vmin(x0, x1), vmin(y0, y1)), vmax(vmin(z0, z1), near))
    t_out = vmin(vmin(vmax(x0, x1), vmax(y0, y1)), vmax(z0, z1))
    return t_in, t_out


@njit(cache=True, nogil=True)
def cell_position(s, i, ax, ay, az, inv_size, t):
    """Return the point at t in the box's own coordinates, each in [0, 1]."""
    x = (fma(t, load(s, i + DIR_X * TILE_PIXELS), -ax)) * inv_size
    y = (fma(t, load(s, i + DIR_Y * TILE_PIXELS), -ay)) * inv_size
    z = (fma(t, load(s, i + DIR_Z * TILE_PIXELS), -az)) * inv_size
    return x, y, z


@njit(cache=True, nogil=True)
def trilinear_terms(d0, d1, d2, d3, d4, d5, d6, d7):
    """Return the coefficients of 1, x, y, z, xy, xz, yz, xyz of a trilinear cell; corner c = 4 cx + 2 cy + cz."""
    return (
        d0,
        d4 - d0,
        d2 - d0,
        d1 - d0,
        (d6 - d4) - (d2 - d0),
        (d5 - d4) - (d1 - d0),
        (d3 - d2) - (d1 - d0),
        ((d7 - d6) - (d5 - d4)) - ((d3 - d2) - (d1 - d0)),
    )


@njit(cache=True, nogil=True)
def corner_gradients(m0, mx, my, mz, mxy, mxz, myz, mxyz):
    """Return the gradients of the eight corners from those of the coefficients: the transpose of `trilinear_terms`."""
    return (
        m0 - mx - my - mz + mxy + mxz + myz - mxyz,
        mz - mxz - myz + mxyz,
        my - mxy - myz + mxyz,
        myz - mxyz,
        mx - mxy - mxz + mxyz,
        mxz - mxyz,
        mxy - mxyz,
        mxyz,
    )


@njit(cache=True, nogil=True)
def trilinear(terms, x, y, z):
    """Return the trilinear value at (x, y, z) lanes: seven multiply-adds."""
    low = fma(y, fma(z, terms[6], terms[2]), fma(z, terms[3], splat(terms[0])))
    high = fma(y, fma(z, terms[7], terms[4]), fma(z, terms[5], splat(terms[1])))
    return fma(x, high, low)


@njit(cache=True, nogil=True)
def exp_linear(raw):
    """Return the density activation: raw above the knee, an exponential with equal value and slope below it."""
    return select(raw > _KNEE, raw, vexp(fma(raw, 1.0 / _KNEE, splat(_KNEE_SHIFT))))


@njit(cache=True, nogil=True)
def exp_linear_slope(raw, sigma):
    """Return d exp_linear / d raw, given sigma = exp_linear(raw)."""
    return select(raw > _KNEE, 1.0, sigma * (1.0 / _KNEE))


@njit(cache=True, nogil=True)
def log_1_to_2(y):
    """Return ln y for y in [1, 2], absolute error below 2e-6: 2 artanh((y - 1) / (y + 1)) as a series."""
    q = (y - 1.0) / (y + 1.0)
    q2 = q * q
    p = fma(q2, 1.0 / 9.0, splat(1.0 / 7.0))
    p = fma(p, q2, 1.0 / 5.0)
    p = fma(p, q2, 1.0 / 3.0)
    p = fma(p, q2, 1.0)
    return 2.0 * q * p
