# SPDX-License-Identifier: MIT
"""Rays through a regular grid of voxels: where they are worth sampling, and which voxels they cross.

Grid coordinates: voxel i of an axis with R voxels has its centre at i and the grid covers [-0.5, R - 0.5]. The readable twin
is `engine/reference/voxel_rays.py`. Rays are handed out to the crew in runs; each writes its own rows, so any number of
threads gives the same result.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.cpu.crew import Crew
from engine.cpu.simd import fetch_add

RUN = 64  # rays that a thread takes at a time
NO_LINKS = np.zeros((0, 0, 0), dtype=np.int32)  # says that the densities are dense


def live_samples(
    crew: Crew,
    rays_o: np.ndarray,  # [N,3] float64, grid coordinates
    rays_d: np.ndarray,  # [N,3] float64, unit length in grid coordinates
    world: np.ndarray,  # [N] float64, world units per unit of t
    bounds: tuple[float, float],  # near and far, world units
    step: float,  # voxels
    links: np.ndarray,  # [X,Y,Z] int32, or NO_LINKS
    density: np.ndarray,  # [rows] float32 raw density per world unit; dense: [X*Y*Z]
    resolution: tuple[int, int, int],
    threshold: float,  # densities up to this do not count
    stop: float,  # a ray ends once its transmittance is below
    most: int,  # samples of a ray
) -> tuple[np.ndarray, np.ndarray]:
    """Return `t [N,most]` float32 in voxels and `counts [N]` int32: the samples whose density counts, then zeros."""
    t, counts = np.zeros((len(rays_o), most), dtype=np.float32), np.zeros(len(rays_o), dtype=np.int32)
    crew.run(
        _live_samples, rays_o, rays_d, world, bounds, step, links, density.reshape(-1),
        np.array(resolution, dtype=np.int64), threshold, stop, t, counts,
    )  # fmt: skip
    return t, counts


def crossed_voxels(
    crew: Crew,
    rays_o: np.ndarray,  # [N,3] float64, grid coordinates
    rays_d: np.ndarray,  # [N,3] float64, grid units per unit of t
    bounds: tuple[float, float],  # of t
    resolution: tuple[int, int, int],
    most: int,  # voxels of a ray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return `voxel [N,most,3]` int32, `t_in`, `t_out [N,most]` float32 and `counts [N]` int32 (Amanatides and Woo 1987)."""
    n = len(rays_o)
    voxel = np.full((n, most, 3), -1, dtype=np.int32)
    t_in, t_out = np.zeros((n, most), dtype=np.float32), np.zeros((n, most), dtype=np.float32)
    counts = np.zeros(n, dtype=np.int32)
    sides = np.array(resolution, dtype=np.int64)
    crew.run(_crossed_voxels, rays_o, rays_d, bounds, sides, voxel, t_in, t_out, counts)
    return voxel, t_in, t_out, counts


@njit(cache=True, nogil=True)
def span_in_box(o, d, sides, first, last):
    """Return where a ray is inside [-0.5, R - 0.5]^3, cut to [first, last]; nothing where the first is the larger."""
    for axis in range(3):
        if d[axis] == 0.0:
            if o[axis] < -0.5 or o[axis] > sides[axis] - 0.5:
                return 1.0, 0.0
            continue
        a, b = (-0.5 - o[axis]) / d[axis], (sides[axis] - 0.5 - o[axis]) / d[axis]
        first, last = max(first, min(a, b)), min(last, max(a, b))
    return first, last


@njit(cache=True, nogil=True)
def density_at(x, y, z, links, density, sides):
    """Return the trilinear density at a point in grid coordinates, clamped to the centres; empty corners are 0."""
    x, y, z = (
        min(max(x, 0.0), sides[0] - 1.0),
        min(max(y, 0.0), sides[1] - 1.0),
        min(max(z, 0.0), sides[2] - 1.0),
    )
    i = max(0, min(int(x), sides[0] - 2))
    j = max(0, min(int(y), sides[1] - 2))
    k = max(0, min(int(z), sides[2] - 2))
    fx, fy, fz = x - i, y - j, z - k
    total = 0.0
    for corner in range(8):
        a, b, c = corner >> 2, corner >> 1 & 1, corner & 1
        weight = (fx if a else 1.0 - fx) * (fy if b else 1.0 - fy) * (fz if c else 1.0 - fz)
        if weight == 0.0:  # also where an axis has a single voxel, whose upper neighbour is not there
            continue
        if links.size:
            row = np.int64(links[i + a, j + b, k + c])
        else:
            row = ((i + a) * sides[1] + j + b) * sides[2] + k + c
        if row >= 0:
            total += weight * density[row]
    return total


@njit(cache=True, nogil=True)
def _live_samples(
    counter, rays_o, rays_d, world, bounds, step, links, density, sides, threshold, stop, t_out, counts
):
    rays, most = t_out.shape
    while True:
        first = fetch_add(counter, 0, RUN)
        if first >= rays:
            return
        for ray in range(first, min(first + RUN, rays)):
            o, d = rays_o[ray], rays_d[ray]
            start, end = span_in_box(o, d, sides, bounds[0] / world[ray], bounds[1] / world[ray])
            depth, n, i = 0.0, 0, 0
            while n < most and start + i * step <= end:
                t = start + i * step
                i += 1
                sigma = density_at(o[0] + t * d[0], o[1] + t * d[1], o[2] + t * d[2], links, density, sides)
                if sigma > threshold:
                    t_out[ray, n] = t
                    n += 1
                    depth += sigma * step * world[ray]
                    if np.exp(-depth) < stop:
                        break
            counts[ray] = n


@njit(cache=True, nogil=True)
def _crossed_voxels(counter, rays_o, rays_d, bounds, sides, voxel, t_in, t_out, counts):
    rays, most = t_in.shape
    at, turn, after, pace = np.zeros(3, np.int64), np.zeros(3, np.int64), np.zeros(3), np.zeros(3)
    while True:
        first = fetch_add(counter, 0, RUN)
        if first >= rays:
            return
        for ray in range(first, min(first + RUN, rays)):
            o, d = rays_o[ray], rays_d[ray]
            t, end = span_in_box(o, d, sides, bounds[0], bounds[1])
            if t >= end:
                continue
            for axis in range(3):
                # The middle of a voxel has a whole coordinate, so its walls lie half a unit from it.
                at[axis] = max(0, min(int(np.floor(o[axis] + t * d[axis] + 0.5)), sides[axis] - 1))
                turn[axis] = 1 if d[axis] > 0.0 else -1
                wall = at[axis] + 0.5 * turn[axis]
                after[axis] = (wall - o[axis]) / d[axis] if d[axis] != 0.0 else np.inf
                pace[axis] = abs(1.0 / d[axis]) if d[axis] != 0.0 else np.inf
            n = 0
            while n < most and t < end:
                axis = np.argmin(after)
                leave = min(after[axis], end)
                if leave > t:
                    voxel[ray, n, 0], voxel[ray, n, 1], voxel[ray, n, 2] = at[0], at[1], at[2]
                    t_in[ray, n], t_out[ray, n] = t, leave
                    n += 1
                    t = leave
                at[axis] += turn[axis]
                after[axis] += pace[axis]
                if at[axis] < 0 or at[axis] >= sides[axis]:
                    break
            counts[ray] = n
