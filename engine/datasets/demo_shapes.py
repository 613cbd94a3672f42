# SPDX-License-Identifier: MIT
"""The demo's still life: signed distances and colours of the things on a round table.

Engine units, z up; everything lies inside [-0.5, 0.5]^3. `nearest(x, y, z)` gives the distance to the closest thing
above the table and which it is; the table itself is a flat cylinder, met exactly by `demo_light.py`. Distances are
exact or too small by a little, so sphere tracing never steps through a surface.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

# No division here can be by zero; not checking for it makes the loops a third faster.
kernel = njit(cache=True, nogil=True, error_model="numpy")
# For kernels to call, never Python: without the wrapper (which halves compiling) that would crash.
inner = njit(nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)

TABLE_TOP = -0.26
TABLE_BOTTOM = -0.31
TABLE_RADIUS = 0.48
OBJECTS_RADIUS = 0.44  # all things stand inside this cylinder ...
OBJECTS_TOP = 0.31  # ... and below this height
GRID_LOW, CELL = (-OBJECTS_RADIUS, -OBJECTS_RADIUS, TABLE_TOP), 0.0125

NOTHING, TABLE, ARCH, COLUMN, STEPS, FINIAL, GLOBE, TORUS, SPONGE, BALL, CUBES, STAIR, MARBLES = range(-1, 12)

ARCH_AT, ARCH_ANGLE = (0.03, 0.07), 0.45
ARCH_HALF_WIDTH, ARCH_OPENING, ARCH_SPRING = 0.175, 0.105, 0.15
COLUMN_AT, COLUMN_RADIUS, COLUMN_HEIGHT = (-0.27, 0.10), 0.032, 0.46
N_STEPS, STEP_TURN, STEP_RISE = 22, 2.0 * math.pi / 12.0, 0.0185
FINIAL_AT, FINIAL_RADIUS = (-0.27, 0.10, 0.25), 0.048
GLOBE_AT, GLOBE_RADIUS = (0.10, -0.16, TABLE_TOP + 0.085), 0.085
TORUS_AT, TORUS_RADII = (0.30, -0.05, TABLE_TOP + 0.094), (0.070, 0.026)
SPONGE_AT, SPONGE_HALF, SPONGE_ANGLE = (0.17, 0.29, TABLE_TOP + 0.081), 0.081, 0.35
BALL_AT, BALL_RADIUS = (-0.09, -0.20, TABLE_TOP + 0.062), 0.062
CUBES_AT, CUBES_ANGLE = (-0.28, -0.17), 0.30
STAIR_AT, STAIR_ANGLE = (-0.11, 0.31), 0.30

_CUBES = np.array(  # height of the centre above the table, half edge, cosine and sine of the turn
    [
        [height, half, math.cos(angle), math.sin(angle)]
        for height, half, angle in ((0.055, 0.055, CUBES_ANGLE), (0.151, 0.041, 0.95), (0.221, 0.029, 1.75))
    ]
)
MARBLE_PLACES = np.array(  # x, y, radius
    [
        [0.02, -0.31, 0.026],
        [0.085, -0.345, 0.018],
        [0.235, -0.235, 0.030],
        [-0.16, -0.335, 0.022],
        [0.355, 0.155, 0.028],
        [-0.385, -0.03, 0.020],
    ]
)
_STEPS = np.array([[math.cos(i * STEP_TURN), math.sin(i * STEP_TURN)] for i in range(N_STEPS)])


@inner
def box_distance(x, y, z, hx, hy, hz):  # type: ignore[no-untyped-def]
    """Signed distance to a box at the origin with half edges hx, hy, hz."""
    qx, qy, qz = abs(x) - hx, abs(y) - hy, abs(z) - hz
    if qx <= 0.0 and qy <= 0.0 and qz <= 0.0:
        return max(qx, max(qy, qz))
    ax, ay, az = max(qx, 0.0), max(qy, 0.0), max(qz, 0.0)
    return math.sqrt(ax * ax + ay * ay + az * az)


@inner
def turned(x, y, angle):  # type: ignore[no-untyped-def]
    """The point (x, y) in axes turned by `angle`."""
    c, s = math.cos(angle), math.sin(angle)
    return c * x + s * y, c * y - s * x


@inner
def _arch(x, y, h):  # type: ignore[no-untyped-def]
    """Two piers and a round arch under a cornice; `h` is the height above the table."""
    u, v = turned(x - ARCH_AT[0], y - ARCH_AT[1], ARCH_ANGLE)
    wall = box_distance(u, v, h - 0.15, ARCH_HALF_WIDTH, 0.042, 0.15)
    above = max(h - ARCH_SPRING, 0.0)
    opening = math.sqrt(u * u + above * above) - ARCH_OPENING
    d = max(wall, -opening)
    d = min(d, box_distance(u, v, h - 0.312, ARCH_HALF_WIDTH + 0.014, 0.054, 0.010) - 0.002)
    side = abs(u) - 0.5 * (ARCH_HALF_WIDTH + ARCH_OPENING)
    half = 0.5 * (ARCH_HALF_WIDTH - ARCH_OPENING)
    d = min(d, box_distance(side, v, h - 0.014, half + 0.010, 0.052, 0.012) - 0.002)
    return min(d, box_distance(side, v, h - ARCH_SPRING, half + 0.007, 0.048, 0.005) - 0.002)


@inner
def _column(x, y, h):  # type: ignore[no-untyped-def]
    """A fluted shaft with a plinth and a capital."""
    x, y = x - COLUMN_AT[0], y - COLUMN_AT[1]
    r = math.sqrt(x * x + y * y)
    flute = 0.0022 * math.cos(12.0 * math.atan2(y, x)) if r < 0.06 else 0.0022
    side, top = r - COLUMN_RADIUS - flute, abs(h - 0.5 * COLUMN_HEIGHT) - 0.5 * COLUMN_HEIGHT
    d = 0.85 * max(side, top)
    d = min(d, box_distance(x, y, h - 0.012, 0.047, 0.047, 0.010) - 0.002)
    return min(d, box_distance(x, y, h - COLUMN_HEIGHT + 0.006, 0.041, 0.041, 0.006) - 0.002)


@inner
def _steps(x, y, h, best):  # type: ignore[no-untyped-def]
    """Slabs that climb around the column like a winding stair; only what is closer than `best` matters."""
    x, y = x - COLUMN_AT[0], y - COLUMN_AT[1]
    for i in range(N_STEPS):
        rise = h - 0.030 - i * STEP_RISE
        if abs(rise) - 0.007 < best:
            u = _STEPS[i, 0] * x + _STEPS[i, 1] * y
            v = _STEPS[i, 0] * y - _STEPS[i, 1] * x
            best = min(best, box_distance(u - 0.072, v, rise, 0.043, 0.018, 0.005) - 0.002)
    return best


@inner
def _torus(x, y, z):  # type: ignore[no-untyped-def]
    """A ring standing on edge, turned a little."""
    u, v = turned(x - TORUS_AT[0], y - TORUS_AT[1], 0.9)
    w = z - TORUS_AT[2]
    ring = math.sqrt(u * u + w * w) - TORUS_RADII[0]
    return math.sqrt(ring * ring + v * v) - TORUS_RADII[1]


@inner
def _sponge(x, y, z):  # type: ignore[no-untyped-def]
    """A Menger sponge of two generations: a cube less all square tunnels through its thirds."""
    u, v = turned(x - SPONGE_AT[0], y - SPONGE_AT[1], SPONGE_ANGLE)
    w = z - SPONGE_AT[2]
    d = box_distance(u, v, w, SPONGE_HALF, SPONGE_HALF, SPONGE_HALF)
    cell = 2.0 * SPONGE_HALF
    for _ in range(2):
        a = abs((u + SPONGE_HALF) / cell - math.floor((u + SPONGE_HALF) / cell) - 0.5) * cell
        b = abs((v + SPONGE_HALF) / cell - math.floor((v + SPONGE_HALF) / cell) - 0.5) * cell
        c = abs((w + SPONGE_HALF) / cell - math.floor((w + SPONGE_HALF) / cell) - 0.5) * cell
        tunnel = min(max(a, b), min(max(b, c), max(a, c))) - cell / 6.0
        d = max(d, -tunnel)
        cell /= 3.0
    return d


@inner
def _cubes(x, y, h):  # type: ignore[no-untyped-def]
    d = 1e9
    for i in range(3):
        dx, dy = x - CUBES_AT[0], y - CUBES_AT[1]
        u, v = _CUBES[i, 2] * dx + _CUBES[i, 3] * dy, _CUBES[i, 2] * dy - _CUBES[i, 3] * dx
        half = _CUBES[i, 1] - 0.004
        d = min(d, box_distance(u, v, h - _CUBES[i, 0], half, half, half) - 0.004)
    return d


@inner
def _stair(x, y, h):  # type: ignore[no-untyped-def]
    """A small stepped pyramid."""
    u, v = turned(x - STAIR_AT[0], y - STAIR_AT[1], STAIR_ANGLE)
    d = 1e9
    for i in range(6):
        half = 0.092 - 0.015 * i
        d = min(d, box_distance(u, v, h - 0.009 - 0.018 * i, half, half, 0.009))
    return d


@inner
def _sphere(x, y, z, centre, radius):  # type: ignore[no-untyped-def]
    dx, dy, dz = x - centre[0], y - centre[1], z - centre[2]
    return math.sqrt(dx * dx + dy * dy + dz * dz) - radius


@inner
def _closer_than(x, y, z, cx, cy, cz, radius, best):  # type: ignore[no-untyped-def]
    """Whether the ball around a thing is closer than `best`: only then can the thing itself be."""
    dx, dy, dz = x - cx, y - cy, z - cz
    reach = best + radius
    return reach > 0.0 and dx * dx + dy * dy + dz * dz < reach * reach


@inner
def _spheres(x, y, z):  # type: ignore[no-untyped-def]
    """The nearest of all round things: globe, ball, finial and marbles."""
    best, which = _sphere(x, y, z, GLOBE_AT, GLOBE_RADIUS), GLOBE
    d = _sphere(x, y, z, BALL_AT, BALL_RADIUS)
    if d < best:
        best, which = d, BALL
    d = _sphere(x, y, z, FINIAL_AT, FINIAL_RADIUS)
    if d < best:
        best, which = d, FINIAL
    for i in range(MARBLE_PLACES.shape[0]):
        dx, dy, dh = x - MARBLE_PLACES[i, 0], y - MARBLE_PLACES[i, 1], z - TABLE_TOP - MARBLE_PLACES[i, 2]
        reach = best + MARBLE_PLACES[i, 2]
        square = dx * dx + dy * dy + dh * dh
        if reach > 0.0 and square < reach * reach:
            best, which = math.sqrt(square) - MARBLE_PLACES[i, 2], MARBLES
    return best, which


@inner
def nearest(x, y, z):  # type: ignore[no-untyped-def]
    """Return the signed distance to the nearest thing on the table, and which one it is."""
    h = z - TABLE_TOP
    best, which = _spheres(x, y, z)
    if _closer_than(x, y, h, ARCH_AT[0], ARCH_AT[1], 0.15, 0.27, best):
        d = _arch(x, y, h)
        if d < best:
            best, which = d, ARCH
    dx, dy = x - COLUMN_AT[0], y - COLUMN_AT[1]
    if dx * dx + dy * dy < (max(best, 0.0) + 0.13) ** 2:
        d = _column(x, y, h)
        if d < best:
            best, which = d, COLUMN
        d = _steps(x, y, h, best)
        if d < best:
            best, which = d, STEPS
    if _closer_than(x, y, z, TORUS_AT[0], TORUS_AT[1], TORUS_AT[2], 0.097, best):
        d = _torus(x, y, z)
        if d < best:
            best, which = d, TORUS
    if _closer_than(x, y, z, SPONGE_AT[0], SPONGE_AT[1], SPONGE_AT[2], 0.142, best):
        d = _sponge(x, y, z)
        if d < best:
            best, which = d, SPONGE
    if _closer_than(x, y, h, CUBES_AT[0], CUBES_AT[1], 0.125, 0.15, best):
        d = _cubes(x, y, h)
        if d < best:
            best, which = d, CUBES
    if _closer_than(x, y, h, STAIR_AT[0], STAIR_AT[1], 0.04, 0.145, best):
        d = _stair(x, y, h)
        if d < best:
            best, which = d, STAIR
    return best, which


@kernel
def distances(points, out):  # type: ignore[no-untyped-def]
    """Fill `out [N]` with the signed distances of `points [N,3]` to the nearest thing on the table."""
    for i in range(points.shape[0]):
        out[i], _which = nearest(points[i, 0], points[i, 1], points[i, 2])


def free_distances() -> np.ndarray:
    """Return for each cell of a coarse grid how far one may go from anywhere in it without meeting a thing.

    [nx,ny,nz] float32, cells of edge `CELL` from `GRID_LOW` on; below zero where a thing may be in the cell.
    """
    counts = [math.ceil(2.0 * OBJECTS_RADIUS / CELL)] * 2 + [math.ceil((OBJECTS_TOP - TABLE_TOP) / CELL)]
    axes = [low + CELL * (np.arange(count) + 0.5) for low, count in zip(GRID_LOW, counts)]
    centres = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    found = np.empty(len(centres))
    distances(centres, found)
    return (found - 0.5 * math.sqrt(3.0) * CELL).astype(np.float32).reshape(counts)


@inner
def free_distance(grid, x, y, z):  # type: ignore[no-untyped-def]
    """Look a point up in `free_distances()`; -1 outside the grid."""
    i, j = int((x - GRID_LOW[0]) / CELL), int((y - GRID_LOW[1]) / CELL)
    k = int((z - GRID_LOW[2]) / CELL)
    if 0 <= i < grid.shape[0] and 0 <= j < grid.shape[1] and 0 <= k < grid.shape[2]:
        return grid[i, j, k]
    return np.float32(-1.0)
