# SPDX-License-Identifier: MIT
"""The city's ray caster: boxes on a plain, met exactly, with textures averaged over what a ray stands for.

A ray walks through the lots that it crosses below the highest roof and meets the boxes of each; the first box hit is
the nearest, as no box leaves its lot. A pattern is averaged over the ray's footprint before it is sampled, so distant
views show means and no flicker: what a photo of that resolution would show. Colours are sRGB values, and only
arithmetic makes them, no sine, so that every machine sees the same city.
"""

from __future__ import annotations

import math

import numpy as np

from engine.datasets.city_plan import HALF_M, LOTS, PITCH_M, STREET_M, TOP_M
from engine.datasets.demo_shapes import inner, kernel

_RAYS = np.array(
    [[0.0, 0.0], [-0.30, -0.14], [0.14, -0.30], [0.30, 0.14], [-0.14, 0.30]]
)  # of a pixel, middle first
_FAR = 1e30
_SUN = (0.84, 0.66, 0.75, 0.60, 1.0)  # light on walls facing +x, -x, +y, -y, and on what lies flat


@inner
def _chance(i, j, k):  # type: ignore[no-untyped-def]
    """A number in [0,1) that looks random, the same for the same three integers."""
    h = (i * 374761393 + j * 668265263 + k * 974711) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0xFFFFFFFF
    h = ((h ^ (h >> 15)) * 1103515245) & 0xFFFFFFFF
    return (h ^ (h >> 16)) / 4294967296.0


@inner
def _noise(u, v, seed):  # type: ignore[no-untyped-def]
    """Smooth noise in [0,1] with one chance a unit square."""
    i, j = math.floor(u), math.floor(v)
    x, y = u - i, v - j
    x, y = x * x * (3.0 - 2.0 * x), y * y * (3.0 - 2.0 * y)
    i, j = int(i), int(j)
    low = _chance(i, j, seed) * (1.0 - x) + _chance(i + 1, j, seed) * x
    high = _chance(i, j + 1, seed) * (1.0 - x) + _chance(i + 1, j + 1, seed) * x
    return low * (1.0 - y) + high * y


@inner
def _seen(period, footprint):  # type: ignore[no-untyped-def]
    """How much of a detail of that size a ray of that footprint still tells apart: 1 for all, 0 for its mean alone."""
    return min(max(period / footprint - 1.0, 0.0), 1.0)


@inner
def _grain(u, v, size, footprint, seed):  # type: ignore[no-untyped-def]
    """Noise around 0 of three octaves, the largest `size` metres; octaves too fine to be told apart are left out."""
    total, weight = 0.0, 0.5
    for octave in range(3):
        seen = _seen(size, footprint)
        if seen <= 0.0:
            break
        total += weight * seen * (_noise(u / size, v / size, seed + octave) - 0.5)
        size, weight = 0.37 * size, 0.7 * weight
    return total


@inner
def _bars(x, period, width, footprint):  # type: ignore[no-untyped-def]
    """The share of [x - footprint/2, x + footprint/2] on bars [0, width) of a pattern that repeats each period."""
    low, high = (x - 0.5 * footprint) / period, (x + 0.5 * footprint) / period
    width = width / period
    below, above = math.floor(low), math.floor(high)
    covered = (above * width + min(high - above, width)) - (below * width + min(low - below, width))
    return min(max(covered / max(high - low, 1e-9), 0.0), 1.0)


@inner
def _ground(x, y, footprint):  # type: ignore[no-untyped-def]
    """The colour of the ground: roadway with a dashed line, pavement, and courts or parks inside the lots."""
    u, v = (x + HALF_M) / PITCH_M, (y + HALF_M) / PITCH_M
    i, j = math.floor(u), math.floor(v)
    # distances from the nearest street's middle, across and along
    a = PITCH_M * min(u - i, 1.0 - (u - i))
    b = PITCH_M * min(v - j, 1.0 - (v - j))
    near, along = (a, y) if a < b else (b, x)
    if near < 0.5 * STREET_M - 2.5:
        c = 0.30 + 0.16 * _grain(x, y, 6.0, footprint, 11)
        line = _bars(near + 0.18, 1e6, 0.36, footprint) * _bars(along, 6.0, 3.0, footprint)
        stripes = 0.0
        if max(a, b) < 0.5 * STREET_M + 3.0 and max(a, b) > 0.5 * STREET_M:
            stripes = _bars(near, 1.2, 0.6, footprint)
        c += max(0.62 * line, 0.5 * stripes)
        return c, c, c * 1.03
    if near < 0.5 * STREET_M:
        c = 0.60 + 0.2 * _grain(x, y, 3.0, footprint, 23)
        c -= 0.10 * max(_bars(x, 1.5, 0.12, footprint), _bars(y, 1.5, 0.12, footprint))
        return c, c * 0.97, c * 0.90
    g = _grain(x, y, 9.0, footprint, 31)
    if _chance(i, j, 5) < 0.5:
        return 0.30 + 0.35 * g, 0.46 + 0.45 * g, 0.22 + 0.25 * g
    t = _bars(x, 4.0, 2.0, footprint)
    s = _bars(y, 4.0, 2.0, footprint)
    c = 0.50 + 0.16 * (t + s - 2.0 * t * s - 0.5) + 0.25 * g
    return c, c * 0.92, c * 0.82


@inner
def _roof(x, y, paint, footprint, seed):  # type: ignore[no-untyped-def]
    """The colour of a roof: gravel in the colour of the walls, with seams."""
    g = 0.55 + 0.5 * _grain(x, y, 5.0, footprint, seed)
    seams = 0.16 * max(_bars(x, 6.0, 0.5, footprint), _bars(y, 6.0, 0.5, footprint))
    return g * paint[0] + 0.12 - seams, g * paint[1] + 0.12 - seams, g * paint[2] + 0.13 - seams


@inner
def _wall(along, z, paint, storey, bay, footprint, seed):  # type: ignore[no-untyped-def]
    """The colour of a wall: paint with grain, and windows, each of its own brightness."""
    window = _bars(along, bay, 0.62 * bay, footprint) * _bars(z - 0.9, storey, 0.55 * storey, footprint)
    column, row = math.floor(along / bay), math.floor((z - 0.9) / storey)
    lit = 0.30 + 0.34 * _seen(storey, footprint) * (_chance(column, row, seed) - 0.5)
    dirt = 1.0 + 0.35 * _grain(along, z, 7.0, footprint, seed)
    dirt *= 0.80 + 0.20 * min(z / 8.0, 1.0)
    r, g, b = paint[0] * dirt, paint[1] * dirt, paint[2] * dirt
    return r + window * (lit - r), g + window * (lit * 1.10 - g), b + window * (lit * 1.30 - b)


@inner
def _box_entry(box, ox, oy, oz, ix, iy, iz):  # type: ignore[no-untyped-def]
    """Where a ray enters a box, and through which axis (0 x, 1 y, 2 z); `_FAR` where it misses or starts inside."""
    ax, bx = (box[0] - ox) * ix, (box[3] - ox) * ix
    ay, by = (box[1] - oy) * iy, (box[4] - oy) * iy
    az, bz = (box[2] - oz) * iz, (box[5] - oz) * iz
    nx, ny, nz = min(ax, bx), min(ay, by), min(az, bz)
    near = max(nx, max(ny, nz))
    far = min(max(ax, bx), min(max(ay, by), max(az, bz)))
    if near > far or near <= 0.0:
        return _FAR, 0
    return near, 0 if near == nx else (1 if near == ny else 2)


@inner
def _meet(boxes, first, ox, oy, oz, dx, dy, dz):  # type: ignore[no-untyped-def]
    """Return where a ray meets the city first, which box (-1 the ground, -2 nothing) and through which axis."""
    # A component of zero would divide by zero; this one moves no ray by more than a hair over the whole city.
    dx = dx if abs(dx) > 1e-12 else 1e-12
    dy = dy if abs(dy) > 1e-12 else 1e-12
    dz = dz if abs(dz) > 1e-12 else 1e-12
    ix, iy, iz = 1.0 / dx, 1.0 / dy, 1.0 / dz
    t_ground = -oz * iz
    hx, hy = ox + t_ground * dx, oy + t_ground * dy
    on_ground = t_ground > 0.0 and abs(hx) < HALF_M and abs(hy) < HALF_M
    # the part of the ray over the lots and between the ground and the highest roof
    ax, bx = (-HALF_M - ox) * ix, (HALF_M - ox) * ix
    ay, by = (-HALF_M - oy) * iy, (HALF_M - oy) * iy
    az, bz = t_ground, (TOP_M - oz) * iz
    start = max(max(min(ax, bx), min(ay, by)), max(min(az, bz), 0.0))
    end = min(min(max(ax, bx), max(ay, by)), max(az, bz))
    if start < end:
        px, py = ox + start * dx, oy + start * dy
        i = min(max(math.floor((px + HALF_M) / PITCH_M), 0), LOTS - 1)
        j = min(max(math.floor((py + HALF_M) / PITCH_M), 0), LOTS - 1)
        si, sj = (1 if dx > 0.0 else -1), (1 if dy > 0.0 else -1)
        next_x = ((i + (si > 0)) * PITCH_M - HALF_M - ox) * ix
        next_y = ((j + (sj > 0)) * PITCH_M - HALF_M - oy) * iy
        while 0 <= i < LOTS and 0 <= j < LOTS and start < end:
            best, which, axis = _FAR, -1, 0
            for b in range(first[i * LOTS + j], first[i * LOTS + j + 1]):
                t, through = _box_entry(boxes[b], ox, oy, oz, ix, iy, iz)
                if t < best:
                    best, which, axis = t, b, through
            if which >= 0:
                return best, which, axis
            if next_x < next_y:
                start, i = next_x, i + si
                next_x += PITCH_M * abs(ix)
            else:
                start, j = next_y, j + sj
                next_y += PITCH_M * abs(iy)
    if on_ground:
        return t_ground, -1, 2
    return _FAR, -2, 0


@inner
def _colour(x, y, z, which, axis, dx, dy, boxes, paint, storey, bay, footprint):  # type: ignore[no-untyped-def]
    """The colour in [0,1] of a place on the city's surface, seen along (dx, dy)."""
    if which < 0:
        r, g, b = _ground(x, y, footprint)
        light = _SUN[4]
    elif axis == 2:
        r, g, b = _roof(x, y, paint[which], footprint, 100 + 3 * which)
        light = _SUN[4]
    else:
        along = y - boxes[which, 1] if axis == 0 else x - boxes[which, 0]
        r, g, b = _wall(along, z, paint[which], storey[which], bay[which], footprint, 7 * which + axis)
        toward = dx if axis == 0 else dy
        light = _SUN[2 * axis + (1 if toward > 0.0 else 0)]
    return min(max(light * r, 0.0), 1.0), min(max(light * g, 0.0), 1.0), min(max(light * b, 0.0), 1.0)


@kernel
def render_view(boxes, paint, storey, bay, first, pose, focal, rgba, depth_z):  # type: ignore[no-untyped-def]
    """Fill `rgba [H,W,4]` uint8 (sRGB times coverage, coverage) and `depth_z [H,W]` float32 at pixel centres, 0: none.

    The first five are a `Plan`; `pose [4,4]` is world_from_cam with OpenCV axes in metres; the principal point is the
    image's centre.
    """
    height, width = depth_z.shape
    n = _RAYS.shape[0]
    for i in range(height):
        for j in range(width):
            r, g, b, a = 0.0, 0.0, 0.0, 0.0
            for k in range(n):
                u = (j + 0.5 + _RAYS[k, 0] - 0.5 * width) / focal
                v = (i + 0.5 + _RAYS[k, 1] - 0.5 * height) / focal
                dx = pose[0, 0] * u + pose[0, 1] * v + pose[0, 2]
                dy = pose[1, 0] * u + pose[1, 1] * v + pose[1, 2]
                dz = pose[2, 0] * u + pose[2, 1] * v + pose[2, 2]
                t, which, axis = _meet(boxes, first, pose[0, 3], pose[1, 3], pose[2, 3], dx, dy, dz)
                if k == 0:
                    depth_z[i, j] = t if which > -2 else 0.0
                if which == -2:
                    continue
                x, y, z = pose[0, 3] + t * dx, pose[1, 3] + t * dy, pose[2, 3] + t * dz
                across = abs(dx) if axis == 0 else (abs(dy) if axis == 1 else abs(dz))
                slant = max(across / math.sqrt(1.0 + u * u + v * v), 0.3)
                footprint = 0.5 * t / (focal * slant)  # a ray stands for half a pixel each way
                red, green, blue = _colour(x, y, z, which, axis, dx, dy, boxes, paint, storey, bay, footprint)
                r, g, b, a = r + red, g + green, b + blue, a + 1.0
            rgba[i, j, 0] = int(255.0 * r / n + 0.5)
            rgba[i, j, 1] = int(255.0 * g / n + 0.5)
            rgba[i, j, 2] = int(255.0 * b / n + 0.5)
            rgba[i, j, 3] = int(255.0 * a / n + 0.5)
