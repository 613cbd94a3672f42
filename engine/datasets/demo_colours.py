# SPDX-License-Identifier: MIT
"""The demo's colours: palette, textures and gloss of every thing on the table, and the room that it mirrors.

Colours are linear light. A material is (red, green, blue, mirror): `mirror` is the reflectance seen head-on, 0 for
plain matt things; below 0.1 the highlight is white as on lacquer, above it takes the thing's colour as on metal.
"""

from __future__ import annotations

import math

import numpy as np

from engine.datasets import demo_shapes as shapes
from engine.datasets.demo_shapes import inner, turned

TAU = 2.0 * math.pi

TO_LAMP = (-0.53, -0.62, 0.58)  # unit length within 1e-3

CREAM = (0.80, 0.67, 0.46)
IVORY = (0.66, 0.52, 0.34)
TERRACOTTA = (0.62, 0.13, 0.055)
TEAL = (0.018, 0.22, 0.24)
NAVY = (0.006, 0.028, 0.10)
MUSTARD = (0.82, 0.42, 0.055)
SAGE = (0.24, 0.42, 0.27)
BLUSH = (0.80, 0.36, 0.27)
GOLD = (0.95, 0.62, 0.20)
COPPER = (0.90, 0.40, 0.24)
WALNUT = (0.20, 0.085, 0.035)

_CUBE_COLOURS = np.array([TEAL, MUSTARD, BLUSH])
_MARBLE_COLOURS = np.array([MUSTARD, TEAL, TERRACOTTA, SAGE, NAVY, BLUSH])
_STEP_COLOURS = np.array([NAVY, TEAL, SAGE, MUSTARD, TERRACOTTA])


@inner
def _mix(a, b, t):  # type: ignore[no-untyped-def]
    return a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1]), a[2] + t * (b[2] - a[2])


@inner
def _shade(a, factor):  # type: ignore[no-untyped-def]
    return a[0] * factor, a[1] * factor, a[2] * factor


@inner
def _chance(i, j):  # type: ignore[no-untyped-def]
    """A number in [0,1) that looks random, the same for the same two indices."""
    value = math.sin(12.9898 * i + 78.233 * j) * 43758.5453
    return value - math.floor(value)


@inner
def table_colour(x, y):  # type: ignore[no-untyped-def]
    """A star in the middle, rings of tiles around it, a rim of walnut."""
    r = math.sqrt(x * x + y * y)
    angle = math.atan2(y, x) / TAU + 0.5
    if r > 0.425:
        plank = math.floor(angle * 24.0)
        grain = math.sin(420.0 * r + 3.0 * math.sin(40.0 * angle) + 20.0 * _chance(plank, 3.0))
        return _shade(WALNUT, 0.85 + 0.35 * _chance(plank, 1.0) + 0.10 * grain)
    if r > 0.415:
        return GOLD
    ring = math.floor(r / 0.0519)
    if ring < 2.0:
        petal = abs(angle * 12.0 - math.floor(angle * 12.0) - 0.5) * 2.0
        reach = 0.030 + 0.068 * petal * petal
        if r < 0.022:
            return MUSTARD
        return TERRACOTTA if r < reach else (TEAL if r < 0.096 else CREAM)
    tiles = 8.0 * ring
    place = angle * tiles + 0.5 * (ring - 2.0 * math.floor(0.5 * ring))
    tile = math.floor(place)
    edge = min(place - tile, tile + 1.0 - place) * TAU * r / tiles
    edge = min(edge, min(r - 0.0519 * ring, 0.0519 * (ring + 1.0) - r))
    if edge < 0.0021:
        return _shade(IVORY, 0.55)
    chance = _chance(ring, tile - tiles * math.floor(tile / tiles))
    even = tile - 2.0 * math.floor(0.5 * tile) == 0.0
    if ring == 4.0:
        return _shade(TEAL if even else CREAM, 0.85 + 0.3 * chance)
    if ring == 7.0:
        return _shade(TERRACOTTA if even else CREAM, 0.85 + 0.3 * chance)
    return _shade(_mix(CREAM, IVORY, chance), 0.92 + 0.12 * _chance(tile, ring))


@inner
def _arch_colour(x, y, z):  # type: ignore[no-untyped-def]
    """Cream and red wedges around the opening, courses of stone elsewhere."""
    u, v = turned(x - shapes.ARCH_AT[0], y - shapes.ARCH_AT[1], shapes.ARCH_ANGLE)
    h = z - shapes.TABLE_TOP
    if h > 0.300 or abs(v) > 0.0425 or h < 0.02:
        return _shade(CREAM, 0.9)
    up = h - shapes.ARCH_SPRING
    r = math.sqrt(u * u + up * up)
    if up > 0.0 and r < shapes.ARCH_OPENING + 0.05:
        wedge = math.floor(math.atan2(up, u) / math.pi * 13.0)
        return TERRACOTTA if wedge - 2.0 * math.floor(0.5 * wedge) == 0.0 else CREAM
    course = math.floor(h / 0.0265)
    along = u / 0.055 + 0.5 * (course - 2.0 * math.floor(0.5 * course))
    brick = math.floor(along)
    near_edge = min(h - 0.0265 * course, 0.0265 * (course + 1.0) - h)
    near_edge = min(near_edge, 0.055 * min(along - brick, brick + 1.0 - along))
    if near_edge < 0.0014:
        return _shade(IVORY, 0.6)
    return _shade(_mix(CREAM, BLUSH, 0.35 * _chance(course, brick)), 0.80 + 0.16 * _chance(brick, course))


@inner
def _step_colour(x, y, z):  # type: ignore[no-untyped-def]
    """Each step has its own colour, from the sea at the foot to fire at the top."""
    step = math.floor((z - shapes.TABLE_TOP - 0.030) / shapes.STEP_RISE + 0.5)
    at = min(max(step / (shapes.N_STEPS - 1.0), 0.0), 1.0) * (_STEP_COLOURS.shape[0] - 1.001)
    low = int(at)
    return _mix(_STEP_COLOURS[low], _STEP_COLOURS[low + 1], at - low)


@inner
def _ball_colour(x, y, z):  # type: ignore[no-untyped-def]
    """Stripes that wind from pole to pole; the axis leans."""
    dx, dz = x - shapes.BALL_AT[0], z - shapes.BALL_AT[2]
    dx, dz = turned(dx, dz, 0.6)
    dy = y - shapes.BALL_AT[1]
    place = math.atan2(dy, dx) / TAU * 7.0 + 14.0 * dz
    stripe = place - math.floor(place)
    if abs(dz) > 0.92 * shapes.BALL_RADIUS:
        return MUSTARD
    return TERRACOTTA if stripe < 0.5 else CREAM


@inner
def _cube_colour(x, y, z):  # type: ignore[no-untyped-def]
    """Three cubes; the lowest carries a chequered pattern."""
    h = z - shapes.TABLE_TOP
    i = 0 if h < 0.110 else (1 if h < 0.192 else 2)
    if i > 0:
        return _CUBE_COLOURS[i, 0], _CUBE_COLOURS[i, 1], _CUBE_COLOURS[i, 2]
    u, v = turned(x - shapes.CUBES_AT[0], y - shapes.CUBES_AT[1], shapes.CUBES_ANGLE)
    # Offset by a third of a square so that no cell border coincides with a face.
    squares = math.floor(u / 0.0275 + 0.1) + math.floor(v / 0.0275 + 0.1) + math.floor(h / 0.0275 + 0.1)
    return TEAL if squares - 2.0 * math.floor(0.5 * squares) == 0.0 else CREAM


@inner
def _marble_colour(x, y):  # type: ignore[no-untyped-def]
    best, which = 1e9, 0
    for i in range(shapes.MARBLE_PLACES.shape[0]):
        d = (x - shapes.MARBLE_PLACES[i, 0]) ** 2 + (y - shapes.MARBLE_PLACES[i, 1]) ** 2
        if d < best:
            best, which = d, i
    return _MARBLE_COLOURS[which, 0], _MARBLE_COLOURS[which, 1], _MARBLE_COLOURS[which, 2]


@inner
def _sponge_colour(x, y, z):  # type: ignore[no-untyped-def]
    """Pale outside, glowing deeper in."""
    u, v = turned(x - shapes.SPONGE_AT[0], y - shapes.SPONGE_AT[1], shapes.SPONGE_ANGLE)
    out = max(abs(u), max(abs(v), abs(z - shapes.SPONGE_AT[2]))) / shapes.SPONGE_HALF
    return _mix(MUSTARD, SAGE, min(max(5.0 * out - 4.0, 0.0), 1.0))


@inner
def material(which, x, y, z):  # type: ignore[no-untyped-def]
    """Return (colour, mirror) of a point on a thing's surface."""
    if which == shapes.TABLE:
        if z < shapes.TABLE_TOP - 1e-4:
            return _shade(WALNUT, 1.0), 0.0
        return table_colour(x, y), 0.02
    if which == shapes.ARCH:
        return _arch_colour(x, y, z), 0.0
    if which == shapes.COLUMN:
        return _shade(CREAM, 0.95), 0.0
    if which == shapes.STEPS:
        return _step_colour(x, y, z), 0.0
    if which == shapes.FINIAL:
        return COPPER, 0.6
    if which == shapes.GLOBE:
        return NAVY, 0.06
    if which == shapes.TORUS:
        return GOLD, 0.6
    if which == shapes.SPONGE:
        return _sponge_colour(x, y, z), 0.0
    if which == shapes.BALL:
        return _ball_colour(x, y, z), 0.04
    if which == shapes.CUBES:
        return _cube_colour(x, y, z), 0.0
    if which == shapes.STAIR:
        course = math.floor((z - shapes.TABLE_TOP) / 0.018 - 1e-3)
        return _mix(TERRACOTTA, MUSTARD, min(max(course / 5.0, 0.0), 1.0)), 0.0
    return _marble_colour(x, y), 0.05


@inner
def room(dx, dy, dz):  # type: ignore[no-untyped-def]
    """The light of a studio from a direction: pale walls, a cool ceiling, one large window, a warm floor."""
    if dz < 0.0:
        return _mix((0.80, 0.76, 0.70), (0.35, 0.28, 0.22), min(-2.0 * dz, 1.0))
    wall = _mix((0.80, 0.78, 0.75), (0.20, 0.33, 0.52), min(1.3 * dz, 1.0))
    side = TO_LAMP[0] * dx + TO_LAMP[1] * dy + TO_LAMP[2] * dz
    window = min(max((side - 0.86) * 14.0, 0.0), 1.0)
    return _mix(wall, (2.6, 2.4, 2.1), window)
