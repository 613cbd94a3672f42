# SPDX-License-Identifier: MIT
"""The demo's ray caster: one view of the still life, with exact depth.

Order of work: every pixel's centre ray first, which also gives its depth; then, where neighbours differ, more rays,
which take shadow and openness from the centre ray where they meet the same face.
"""

from __future__ import annotations

import math

import numpy as np

from engine.datasets.demo_light import light_at, lit, normal_at, trace
from engine.datasets.demo_shapes import NOTHING, inner, kernel

_SAME_FACE = 0.9  # cosine between normals up to which the rays of a pixel share their shadow
_EDGE = 0.20  # neighbouring pixels that differ by more than this get more rays
_OFFSETS = np.array([[-0.34, -0.16], [0.30, -0.27], [0.04, 0.36]])  # with the centre: four spread evenly


@inner
def _encoded(light):  # type: ignore[no-untyped-def]
    """Linear light to an sRGB value in [0,1], bright light rolled off as on film."""
    shown = 1.0 - math.exp(-1.05 * light)
    if shown <= 0.0031308:
        return 12.92 * shown
    return 1.055 * shown ** (1.0 / 2.4) - 0.055


@inner
def _differs(rgba, i, j):  # type: ignore[no-untyped-def]
    """Whether a pixel's colour or coverage differs from one of its four neighbours."""
    for k in range(4):
        y = i + (1 if k == 0 else (-1 if k == 1 else 0))
        x = j + (1 if k == 2 else (-1 if k == 3 else 0))
        if 0 <= y < rgba.shape[0] and 0 <= x < rgba.shape[1]:
            for c in range(4):
                if abs(rgba[i, j, c] - rgba[y, x, c]) > _EDGE:
                    return True
    return False


@inner
def _near_end(depth_z, i, j):  # type: ignore[no-untyped-def]
    """The smallest z-depth among a pixel and its neighbours, less a margin: extra rays start there."""
    least = 1e9
    for y in range(max(i - 1, 0), min(i + 2, depth_z.shape[0])):
        for x in range(max(j - 1, 0), min(j + 2, depth_z.shape[1])):
            if 0.0 < depth_z[y, x] < least:
                least = depth_z[y, x]
    return max(least - 0.03, 0.0)


@inner
def _look(grid, pose, u, v, z_start, seen, reuse, out):  # type: ignore[no-untyped-def]
    """Fill `out [4]` (sRGB times coverage, coverage) for the ray through (u, v, 1); return its z-depth, 0 for none.

    `seen [6]` is what the pixel's centre ray met: thing, normal, lamp, room. With `reuse` a ray that meets the same
    face takes its light from there, else it is filled in.
    """
    dx = pose[0, 0] * u + pose[0, 1] * v + pose[0, 2]
    dy = pose[1, 0] * u + pose[1, 1] * v + pose[1, 2]
    dz = pose[2, 0] * u + pose[2, 1] * v + pose[2, 2]
    length = math.sqrt(dx * dx + dy * dy + dz * dz)
    dx, dy, dz = dx / length, dy / length, dz / length
    t, which = trace(grid, pose[0, 3], pose[1, 3], pose[2, 3], dx, dy, dz, z_start * length)
    if which == NOTHING:
        out[0], out[1], out[2], out[3] = 0.0, 0.0, 0.0, 0.0
        if not reuse:
            seen[0] = NOTHING
        return 0.0
    x, y, z = pose[0, 3] + t * dx, pose[1, 3] + t * dy, pose[2, 3] + t * dz
    nx, ny, nz = normal_at(which, x, y, z)
    if reuse and seen[0] == which and seen[1] * nx + seen[2] * ny + seen[3] * nz > _SAME_FACE:
        lamp, openness = seen[4], seen[5]
    else:
        lamp, openness = light_at(grid, which, x, y, z, nx, ny, nz)
    if not reuse:
        seen[0], seen[1], seen[2], seen[3], seen[4], seen[5] = which, nx, ny, nz, lamp, openness
    r, g, b = lit(grid, which, x, y, z, dx, dy, dz, nx, ny, nz, lamp, openness)
    out[0], out[1], out[2], out[3] = _encoded(r), _encoded(g), _encoded(b), 1.0
    return t / length


@kernel
def render_view(grid, pose, focal, rgba, depth_z):  # type: ignore[no-untyped-def]
    """Fill `rgba [H,W,4]` uint8 (sRGB times coverage, coverage) and `depth_z [H,W]` float32 at pixel centres.

    `grid` is `free_distances()`; `pose [4,4]` is world_from_cam with OpenCV axes; the principal point is the image's centre.
    """
    height, width = depth_z.shape
    centre = np.empty((height, width, 4))
    seen = np.empty((height, width, 6))
    total, sample = np.empty(4), np.empty(4)
    rays = height * width
    for ray in range(2 * rays):
        first = ray < rays
        i, j = (ray % rays) // width, ray % width
        u, v = (j + 0.5 - 0.5 * width) / focal, (i + 0.5 - 0.5 * height) / focal
        if not first and not _differs(centre, i, j):
            for c in range(4):
                rgba[i, j, c] = int(255.0 * centre[i, j, c] + 0.5)
            continue
        for c in range(4):
            total[c] = 0.0
        z_start = 0.0 if first else _near_end(depth_z, i, j)
        for k in range(1 if first else _OFFSETS.shape[0]):
            ou = 0.0 if first else _OFFSETS[k, 0] / focal
            ov = 0.0 if first else _OFFSETS[k, 1] / focal
            z = _look(grid, pose, u + ou, v + ov, z_start, seen[i, j], not first, sample)
            for c in range(4):
                total[c] += sample[c]
        if first:
            depth_z[i, j] = z
        for c in range(4):
            if first:
                centre[i, j, c] = total[c]
            else:
                mean = (total[c] + centre[i, j, c]) / (1.0 + _OFFSETS.shape[0])
                rgba[i, j, c] = int(255.0 * mean + 0.5)
