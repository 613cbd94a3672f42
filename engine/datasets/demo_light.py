# SPDX-License-Identifier: MIT
"""The demo's light: what a ray meets, and how bright that is.

Things are met by sphere tracing, in long strides where the grid of free distances allows; the table is met exactly.
A point is lit by a large lamp (soft shadow), by the room above (darkened where things crowd it) and, where it is
glossy, by what it mirrors, followed for one bounce.
"""

from __future__ import annotations

import math

from engine.datasets.demo_colours import TO_LAMP, material, room
from engine.datasets.demo_shapes import (
    NOTHING,
    OBJECTS_RADIUS,
    OBJECTS_TOP,
    TABLE,
    TABLE_BOTTOM,
    TABLE_RADIUS,
    TABLE_TOP,
    free_distance,
    inner,
    nearest,
)

_SUN = (2.30, 1.98, 1.55)
_SKY = (0.50, 0.56, 0.66)
_GROUND = (0.30, 0.23, 0.17)
_SHADOW_SHARPNESS = 7.0  # 1 / tangent of the lamp's half width as seen from the table
_HIT = 3e-5  # a ray this close to a surface has met it: 1/100 of a pixel
_LIFT = 1e-3  # rays that leave a surface start this far off it, so as not to meet it again
_STRIDE = 0.01  # shorter steps than this are not worth a look into the grid of free distances
_MAX_STEPS = 160


@inner
def _cylinder(ox, oy, oz, dx, dy, dz, radius, low, high):  # type: ignore[no-untyped-def]
    """Where a line enters and leaves an upright cylinder around the z axis; enter > leave if it misses."""
    enter, leave = -1e9, 1e9
    a = dx * dx + dy * dy
    b = ox * dx + oy * dy
    c = ox * ox + oy * oy - radius * radius
    if a > 1e-12:
        inside = b * b - a * c
        if inside <= 0.0:
            return 1.0, 0.0
        root = math.sqrt(inside)
        enter, leave = (-b - root) / a, (-b + root) / a
    elif c > 0.0:
        return 1.0, 0.0
    if abs(dz) > 1e-12:
        t0, t1 = (low - oz) / dz, (high - oz) / dz
        enter, leave = max(enter, min(t0, t1)), min(leave, max(t0, t1))
    elif oz < low or oz > high:
        return 1.0, 0.0
    return enter, leave


@inner
def trace(grid, ox, oy, oz, dx, dy, dz, t_start):  # type: ignore[no-untyped-def]
    """Return the distance along a unit ray to the first surface beyond `t_start`, and what it is, or NOTHING."""
    t_end, which = 1e9, NOTHING
    enter, leave = _cylinder(ox, oy, oz, dx, dy, dz, TABLE_RADIUS, TABLE_BOTTOM, TABLE_TOP)
    if enter < leave and enter > 0.0:
        t_end, which = enter, TABLE
    enter, leave = _cylinder(ox, oy, oz, dx, dy, dz, OBJECTS_RADIUS, TABLE_TOP, OBJECTS_TOP)
    t, leave = max(enter, t_start), min(leave, t_end)
    for _ in range(_MAX_STEPS):
        if t >= leave:
            break
        x, y, z = ox + t * dx, oy + t * dy, oz + t * dz
        free = free_distance(grid, x, y, z)
        if free > _STRIDE:
            t += free
            continue
        d, thing = nearest(x, y, z)
        if d < _HIT:
            return t, thing
        t += d
    return t_end, which


@inner
def _lamp_light(grid, x, y, z):  # type: ignore[no-untyped-def]
    """The share of the lamp seen from a point: how closely the way to its centre passes by other things."""
    lx, ly, lz = TO_LAMP
    share, t, before = 1.0, 0.004, 1e9
    for _ in range(48):
        if z + t * lz > OBJECTS_TOP:
            break
        px, py, pz = x + t * lx, y + t * ly, z + t * lz
        free = free_distance(grid, px, py, pz)
        if free > _STRIDE and _SHADOW_SHARPNESS * free > t:  # too far away to darken anything
            t += free
            before = 1e9
            continue
        d, _which = nearest(px, py, pz)
        if d < 2e-4:
            return 0.0
        # On the way towards a thing the closest pass lies where the spheres of two steps meet (Aaltonen 2018).
        back = d * d / (2.0 * before) if d < before else 0.0
        aside = math.sqrt(max(d * d - back * back, 0.0))
        share = min(share, _SHADOW_SHARPNESS * aside / max(t - back, 1e-3))
        before = d
        t += min(max(d, 0.003), 0.10)
    share = min(max(share, 0.0), 1.0)
    return share * share * (3.0 - 2.0 * share)


@inner
def _openness(x, y, z, nx, ny, nz):  # type: ignore[no-untyped-def]
    """How much of the room a point sees, from the distances a little way off the surface."""
    hidden, weight, reach = 0.0, 1.0, 0.012
    for _ in range(4):
        px, py, pz = x + reach * nx, y + reach * ny, z + reach * nz
        d, _which = nearest(px, py, pz)
        if px * px + py * py < TABLE_RADIUS * TABLE_RADIUS:
            d = min(d, pz - TABLE_TOP)
        hidden += weight * max(reach - d, 0.0) / reach
        weight *= 0.72
        reach *= 1.9
    return max(1.0 - 0.42 * hidden, 0.08)


@inner
def normal_at(which, x, y, z):  # type: ignore[no-untyped-def]
    """Return the outward unit normal of a surface point."""
    if which == TABLE:
        if z > TABLE_TOP - 1e-6:
            return 0.0, 0.0, 1.0
        if z < TABLE_BOTTOM + 1e-6:
            return 0.0, 0.0, -1.0
        return x / TABLE_RADIUS, y / TABLE_RADIUS, 0.0
    e = 4e-4
    a, _which = nearest(x + e, y - e, z - e)
    b, _which = nearest(x - e, y - e, z + e)
    c, _which = nearest(x - e, y + e, z - e)
    d, _which = nearest(x + e, y + e, z + e)
    nx, ny, nz = a - b - c + d, c + d - a - b, b + d - a - c
    length = math.sqrt(nx * nx + ny * ny + nz * nz) + 1e-12
    return nx / length, ny / length, nz / length


@inner
def _matt(colour, nx, ny, nz, lamp, openness):  # type: ignore[no-untyped-def]
    """Light that a matt surface sends back, the same in all directions."""
    facing = max(nx * TO_LAMP[0] + ny * TO_LAMP[1] + nz * TO_LAMP[2], 0.0) * lamp
    up = 0.5 + 0.5 * nz
    r = colour[0] * (facing * _SUN[0] + openness * (_GROUND[0] + up * (_SKY[0] - _GROUND[0])))
    g = colour[1] * (facing * _SUN[1] + openness * (_GROUND[1] + up * (_SKY[1] - _GROUND[1])))
    b = colour[2] * (facing * _SUN[2] + openness * (_GROUND[2] + up * (_SKY[2] - _GROUND[2])))
    return r, g, b


@inner
def _mirrored(grid, x, y, z, dx, dy, dz):  # type: ignore[no-untyped-def]
    """Light arriving along a mirrored ray: another thing, lit without its own shadow, or the room."""
    t, which = trace(grid, x, y, z, dx, dy, dz, 0.0)
    if which == NOTHING:
        return room(dx, dy, dz)
    px, py, pz = x + t * dx, y + t * dy, z + t * dz
    nx, ny, nz = normal_at(which, px, py, pz)
    colour, _mirror = material(which, px, py, pz)
    return _matt(colour, nx, ny, nz, 0.6, 0.8)


@inner
def light_at(grid, which, x, y, z, nx, ny, nz):  # type: ignore[no-untyped-def]
    """Return the share of the lamp and of the room that a surface point sees."""
    lamp = 0.0
    if nx * TO_LAMP[0] + ny * TO_LAMP[1] + nz * TO_LAMP[2] > 0.0:
        lamp = _lamp_light(grid, x + _LIFT * nx, y + _LIFT * ny, z + _LIFT * nz)
    return lamp, _openness(x, y, z, nx, ny, nz)


@inner
def lit(grid, which, x, y, z, dx, dy, dz, nx, ny, nz, lamp, openness):  # type: ignore[no-untyped-def]
    """Light leaving a surface point against the ray that met it, linear."""
    colour, mirror = material(which, x, y, z)
    r, g, b = _matt(colour, nx, ny, nz, lamp, openness)
    if mirror == 0.0:
        return r, g, b
    cosine = -(dx * nx + dy * ny + dz * nz)
    mx, my, mz = dx + 2.0 * cosine * nx, dy + 2.0 * cosine * ny, dz + 2.0 * cosine * nz
    fresnel = mirror + (1.0 - mirror) * max(1.0 - cosine, 0.0) ** 5  # Schlick 1994
    if which == TABLE:
        fresnel *= 0.4  # a satin finish
    if fresnel < 0.015:
        return r, g, b
    er, eg, eb = _mirrored(grid, x + _LIFT * nx, y + _LIFT * ny, z + _LIFT * nz, mx, my, mz)
    glint = lamp * max(mx * TO_LAMP[0] + my * TO_LAMP[1] + mz * TO_LAMP[2], 0.0) ** 60 * 3.0
    er, eg, eb = er + glint, eg + glint, eb + glint
    if mirror > 0.1:  # metal: the reflection takes its colour, little else is left
        keep = 0.25
        return (
            keep * r + fresnel * er * colour[0] * 1.2,
            keep * g + fresnel * eg * colour[1] * 1.2,
            keep * b + fresnel * eb * colour[2] * 1.2,
        )
    return r + fresnel * er, g + fresnel * eg, b + fresnel * eb
