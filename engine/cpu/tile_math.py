# SPDX-License-Identifier: MIT
"""What one tile does with one voxel, sixteen pixels at a time: rays, box segments, trilinear density, its activation.

Rays are p(t) = position + offset + t * dir with dir's camera-z component 1, so t *is* z-depth and the near plane is t = near.
Per-tile scratch is one float32 array; field f of the pixel in row y, column x stands at f * 256 + 16 y + x.

Sixteen pixels worked on together are a *window*: four runs of four pixels, `pitch` entries apart in scratch. A pitch of 16
is a square of 4 x 4 pixels wherever it is needed, so that a voxel of a few pixels takes one window instead of up to four
fixed blocks; a pitch of 4 is a whole row of the tile, for voxels wider than two squares.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.constants import DENSITY_SCALE, EXP_LINEAR_KNEE
from engine.cpu.simd import (
    fma,
    load,
    load_window,
    select,
    splat,
    store,
    store_window,
    vexp,
    vmax,
    vmin,
    vsqrt,
)

TILE_PIXELS = 256
DIR_X, DIR_Y, DIR_Z, INV_X, INV_Y, INV_Z, SCALE, OFF_X, OFF_Y, OFF_Z = range(10)
RAY_FIELDS = 10

SQUARES, ROWS = 16, 4  # the two pitches

_LANE = np.arange(16, dtype=np.float32)

_KNEE = EXP_LINEAR_KNEE
_KNEE_SHIFT = float(np.log(EXP_LINEAR_KNEE)) - 1.0
_TINY_DIRECTION = 1e-9  # a ray parallel to a face gets this slope: no NaN from 0 * inf, and no pixel can tell


@njit(cache=True, nogil=True)
def aligned(n):
    """Return a float32 array of n + 16 entries and the index of its first entry on a 64-byte boundary."""
    array = np.empty(n + 16, dtype=np.float32)
    return array, ((64 - (array.ctypes.data & 63)) & 63) >> 2


@njit(cache=True, nogil=True)
def windows_of(rect, voxel, x0, y0):
    """Return (first, pitch, across, count) of the windows that cover a voxel's pixels in the tile whose corner is x0, y0.

    Windows of a voxel do not overlap. See `window_start`. Rows of `rect` are not sliced, here and elsewhere in these kernels:
    a slice counts its references with atomic operations.
    """
    left, right = max(np.int64(rect[voxel, 0]) - x0, 0), min(np.int64(rect[voxel, 2]) - x0, 15)
    top, bottom = max(np.int64(rect[voxel, 1]) - y0, 0), min(np.int64(rect[voxel, 3]) - y0, 15)
    across, down = (right - left + 4) >> 2, (bottom - top + 4) >> 2
    if across > 2:
        return top * 16, ROWS, 1, bottom - top + 1
    left, top = min(left, 16 - 4 * across), min(top, 16 - 4 * down)
    return top * 16 + left, SQUARES, across, across * down


@njit(cache=True, nogil=True)
def window_start(first, pitch, across, n):
    """Return where in a field the n-th window of a voxel starts: squares go row by row, `across` (1 or 2) in a row."""
    if pitch == ROWS:
        return first + 16 * n
    return first + ((n >> (across - 1)) << 6) + ((n & (across - 1)) << 2)


@njit(cache=True, nogil=True)
def add_to(s, at, pitch, value):
    """Add lanes to the window at scratch index `at`."""
    store_window(s, at, pitch, load_window(s, at, pitch) + value)


@njit(cache=True, nogil=True)
def add_scaled(s, at, pitch, weight, value):
    """Add weight * value to the window at scratch index `at`."""
    store_window(s, at, pitch, fma(weight, value, load_window(s, at, pitch)))


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
            s[start + 16 * row + column] = 1.0


@njit(cache=True, nogil=True)
def _inverse(d):
    guarded = select((d < _TINY_DIRECTION) & (d > -_TINY_DIRECTION), _TINY_DIRECTION, d)
    return 1.0 / guarded


@njit(cache=True, nogil=True)
def set_up_rays(view, tile_x, tile_y, s, base):
    """Write the rays of a 16 x 16 tile into scratch `s` from `base`: RAY_FIELDS fields."""
    ortho = view[19] > 0.5
    for line in range(16):
        i = base + line * 16
        u = (load(_LANE, 0) + (tile_x * 16.0 + 0.5) - view[14]) * (1.0 / view[12])
        v = splat(tile_y * 16.0 + line + 0.5 - view[15]) * (1.0 / view[13])
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
def box_corner(s, i, pitch, ortho, low_x, low_y, low_z):
    """Return the box's low corner relative to each lane's ray origin; low_* are relative to the camera."""
    if ortho:
        return (
            low_x - load_window(s, i + OFF_X * TILE_PIXELS, pitch),
            low_y - load_window(s, i + OFF_Y * TILE_PIXELS, pitch),
            low_z - load_window(s, i + OFF_Z * TILE_PIXELS, pitch),
        )
    return splat(low_x), splat(low_y), splat(low_z)


@njit(cache=True, nogil=True)
def segment(s, i, pitch, ax, ay, az, size, near):
    """Return where lanes enter and leave a box, entry clamped to the near plane; a miss has t_out <= t_in."""
    inv_x = load_window(s, i + INV_X * TILE_PIXELS, pitch)
    inv_y = load_window(s, i + INV_Y * TILE_PIXELS, pitch)
    inv_z = load_window(s, i + INV_Z * TILE_PIXELS, pitch)
    x0, y0, z0 = ax * inv_x, ay * inv_y, az * inv_z
    x1, y1, z1 = fma(inv_x, size, x0), fma(inv_y, size, y0), fma(inv_z, size, z0)
    t_in = vmax(vmax(vmin(x0, x1), vmin(y0, y1)), vmax(vmin(z0, z1), near))
    t_out = vmin(vmin(vmax(x0, x1), vmax(y0, y1)), vmax(z0, z1))
    return t_in, t_out


@njit(cache=True, nogil=True)
def cell_position(s, i, pitch, ax, ay, az, inv_size, t):
    """Return the point at t in the box's own coordinates, each in [0, 1]."""
    x = (fma(t, load_window(s, i + DIR_X * TILE_PIXELS, pitch), -ax)) * inv_size
    y = (fma(t, load_window(s, i + DIR_Y * TILE_PIXELS, pitch), -ay)) * inv_size
    z = (fma(t, load_window(s, i + DIR_Z * TILE_PIXELS, pitch), -az)) * inv_size
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
