# SPDX-License-Identifier: MIT
"""Which voxels every ray crosses, from where to where, front to back: every ray against every voxel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.cameras import Camera
from engine.constants import NEAR
from engine.octree import Octree, order_keys

_PAIRS_AT_ONCE = 2_000_000  # ray-voxel pairs tested together: bounds the memory to some hundred megabytes


@dataclass(frozen=True, eq=False)
class Segments:
    """The rays of a view and their S segments, S of the busiest ray. Lengths are along the ray, in engine units.

    `origins`, `directions [N,3]`, `z_per_t [N]` (camera z gained per unit along the ray); `voxel_idx int64 [N,S]`,
    `t_in`, `t_out [N,S]`, nearest first. A ray with fewer segments ends in empty ones: voxel 0, t_in = t_out = 0.
    """

    origins: np.ndarray
    directions: np.ndarray
    z_per_t: np.ndarray
    voxel_idx: np.ndarray
    t_in: np.ndarray
    t_out: np.ndarray


def box_intervals(
    origins: np.ndarray, directions: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return (t_in, t_out) [N,V] of rays [N,3] through boxes [V,3]; a ray misses a box where t_out <= t_in.

    A ray parallel to a pair of faces is inside or outside them for good, inside if low <= origin < high: so a ray that
    runs within the face of two voxels meets one of them.
    """
    t_in = np.full((len(origins), len(low)), -np.inf)
    t_out = np.full_like(t_in, np.inf)
    for axis in range(3):
        o, d = origins[:, axis, None], directions[:, axis, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            a, b = (low[:, axis] - o) / d, (high[:, axis] - o) / d
        inside = (low[:, axis] <= o) & (o < high[:, axis])
        enter = np.where(d == 0.0, np.where(inside, -np.inf, np.inf), np.minimum(a, b))
        leave = np.where(d == 0.0, np.where(inside, np.inf, -np.inf), np.maximum(a, b))
        t_in, t_out = np.maximum(t_in, enter), np.minimum(t_out, leave)
    return t_in, t_out


def find_segments(octree: Octree, camera: Camera) -> Segments:
    """Return the segments of all pixels, row by row. They start at the near plane at the earliest."""
    origins, directions = (a.reshape(-1, 3) for a in camera.rays())
    z_per_t = directions @ camera.forward
    direction = camera.forward if camera.orthographic else None
    order = np.argsort(order_keys(octree.path, camera.position, octree.root_size, direction))
    half = 0.5 * octree.size[order, None].astype(np.float64)
    low, high = octree.center[order] - half, octree.center[order] + half
    rays_at_once = max(1, _PAIRS_AT_ONCE // max(1, len(order)))
    parts = []
    for start in range(0, len(origins), rays_at_once):
        part = slice(start, start + rays_at_once)
        t_in, t_out = box_intervals(origins[part], directions[part], low, high)
        t_in = np.maximum(t_in, (NEAR / z_per_t[part])[:, None])
        ray, column = np.nonzero(t_out > t_in)
        parts.append((ray + start, order[column], t_in[ray, column], t_out[ray, column]))
    ray, voxel, t_in, t_out = (np.concatenate(values) for values in zip(*parts, strict=True))
    counts = np.bincount(ray, minlength=len(origins))
    place = np.arange(len(ray)) - np.repeat(np.cumsum(counts) - counts, counts)
    shape = (len(origins), int(counts.max()))
    table = [np.zeros(shape, dtype=np.int64), np.zeros(shape), np.zeros(shape)]
    for padded, values in zip(table, (voxel, t_in, t_out), strict=True):
        padded[ray, place] = values
    return Segments(origins, directions, z_per_t, *table)
