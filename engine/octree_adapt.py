# SPDX-License-Identifier: MIT
"""Pruning and splitting leaves, and what happens to the values that live on voxels and points.

Only the midpoints of split leaves are new, so only they are looked up; everything else keeps its identity and is
renumbered. The result is the same, point for point, as building the corners of the new leaves from nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from engine.constants import LATTICE, MAX_LEVEL


@dataclass(frozen=True, eq=False)
class Carry:
    """Where the rows of a new octree come from, for parameters and optimiser state alike.

    A new voxel takes the row `voxel_from int32 [V']` of the old ones (children take their parent's). A new point takes
    sum_j point_weight[j] * old[point_from[j]], `point_from int32 [G',8]`, `point_weight float32 [G',8]`, weights sum to 1.
    A point that existed keeps its value exactly; others are trilinear from the corners of the split voxel around them.
    Several split voxels may own a new point, but never disagree: it lies on an odd multiple of half their edge, so
    they are of one level, and on a shared face or edge the interpolation uses only the shared corners.
    """

    voxel_from: np.ndarray
    point_from: np.ndarray
    point_weight: np.ndarray

    @classmethod
    def selection(cls, voxel_from: np.ndarray, point_from: np.ndarray) -> Carry:
        """Return the map that picks old rows `voxel_from [V']` and `point_from [G']` unchanged."""
        weight = np.zeros((len(point_from), 8), dtype=np.float32)
        weight[:, 0] = 1.0
        return cls(voxel_from, np.repeat(point_from[:, None], 8, axis=1), weight)

    def carry_voxels(self, array: np.ndarray) -> np.ndarray:
        """Return the per-voxel rows [V',...] of the new octree from those [V,...] of the old one."""
        return np.asarray(array)[self.voxel_from]

    def carry_points(self, array: np.ndarray) -> np.ndarray:
        """Return the per-point rows [G',...] of the new octree from floating-point rows [G,...] of the old one."""
        array = np.ascontiguousarray(array)
        if not np.issubdtype(array.dtype, np.floating):
            raise ValueError(
                f"Carry.carry_points(): values must be floating point to interpolate, got {array.dtype}."
            )
        row = array.shape[1:]
        out = np.empty((len(self.point_from), *row), dtype=array.dtype)
        width = int(np.prod(row))
        _carry_rows(array.reshape(-1, width), self.point_from, self.point_weight, out.reshape(-1, width))
        return out


@njit(cache=True, nogil=True)
def _carry_rows(values, point_from, point_weight, out):
    for i in range(out.shape[0]):
        for k in range(out.shape[1]):
            total = 0.0
            for j in range(8):
                weight = point_weight[i, j]
                if weight != 0.0:
                    total += weight * values[point_from[i, j], k]
            out[i, k] = total


@njit(cache=True, nogil=True)
def hash_of_point(x, y, z):
    """Return a well mixed non-negative hash of a lattice point (17 bits an axis, packed into 51)."""
    key = np.uint64(x) | (np.uint64(y) << np.uint64(17)) | (np.uint64(z) << np.uint64(34))
    key ^= key >> np.uint64(29)
    key *= np.uint64(0x9E3779B97F4A7C15)
    return np.int64(key >> np.uint64(33))


@njit(cache=True, nogil=True)
def with_room(table, point_ijk, count):
    """Return a table and a point list twice as long, with the first `count` points entered."""
    longer = np.empty((table.shape[0], 3), np.int32)
    for point in range(count):  # a loop, not a slice: assigning slices takes Numba seconds to compile
        for axis in range(3):
            longer[point, axis] = point_ijk[point, axis]
    return hash_table(longer, count, 2 * table.shape[0]), longer


@njit(cache=True, nogil=True)
def hash_table(point_ijk, count, slots):
    """Return int32 [slots], a power of two: the index of each point at or after its hash, -1 where free."""
    table = np.full(slots, -1, np.int32)
    mask = slots - 1
    for point in range(count):
        slot = hash_of_point(point_ijk[point, 0], point_ijk[point, 1], point_ijk[point, 2]) & mask
        while table[slot] >= 0:
            slot = (slot + 1) & mask
        table[slot] = point
    return table


@njit(cache=True, nogil=True)
def _renumber(corner_idx, n_points):
    """Renumber points in `corner_idx [V,8]` in place by first owner; return the old number of each new one."""
    new_from_old = np.full(n_points, -1, np.int32)
    old_from_new = np.empty(n_points, np.int32)
    count = 0
    for v in range(corner_idx.shape[0]):
        for corner in range(8):
            old = corner_idx[v, corner]
            if new_from_old[old] < 0:
                new_from_old[old] = count
                old_from_new[count] = old
                count += 1
            corner_idx[v, corner] = new_from_old[old]
    return old_from_new[:count].copy()


def keep_leaves(corner_idx: np.ndarray, kept: np.ndarray, n_points: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (corner_idx [V',8], point_from [G']) of the leaves `kept [V']`."""
    selected = corner_idx[kept]
    return selected, _renumber(selected, n_points)


@njit(cache=True, nogil=True)
def _split_points(ijk, level, corner_idx, point_ijk, split):
    """Return (lattice [S,27], points [P,3], owner [P]): the 3 x 3 x 3 points of each split leaf, old points first.

    `owner` is, for a point that is new, 27 times the first split leaf that has it plus its place there.
    """
    n_old, most = point_ijk.shape[0], point_ijk.shape[0] + 19 * split.shape[0]
    points = np.empty((most, 3), np.int32)
    for point in range(n_old):
        for axis in range(3):
            points[point, axis] = point_ijk[point, axis]
    owner = np.empty(most - n_old, np.int64)
    slots = 1024
    while slots < 2 * most:
        slots *= 2
    table = hash_table(points, n_old, slots)
    lattice = np.empty((split.shape[0], 27), np.int32)
    count = n_old
    for s in range(split.shape[0]):
        v = split[s]
        half = LATTICE >> (level[v] + 1)
        for place in range(27):
            a, b, c = place // 9, place // 3 % 3, place % 3
            if a != 1 and b != 1 and c != 1:
                lattice[s, place] = corner_idx[v, 2 * a + b + c // 2]
                continue
            x, y, z = ijk[v, 0] + a * half, ijk[v, 1] + b * half, ijk[v, 2] + c * half
            slot = hash_of_point(x, y, z) & (slots - 1)
            while table[slot] >= 0:
                point = table[slot]
                if points[point, 0] == x and points[point, 1] == y and points[point, 2] == z:
                    break
                slot = (slot + 1) & (slots - 1)
            if table[slot] < 0:
                table[slot] = count
                points[count, 0], points[count, 1], points[count, 2] = x, y, z
                owner[count - n_old] = 27 * s + place
                count += 1
            lattice[s, place] = table[slot]
    return lattice, points[:count], owner[: count - n_old]


@njit(cache=True, nogil=True)
def _emit_leaves(path, level, corner_idx, mask, lattice):
    """Return (path, level, corner_idx, voxel_from) with split leaves replaced by their children, Morton order kept."""
    total = path.shape[0] + 7 * lattice.shape[0]
    new_path, new_level = np.empty(total, np.int64), np.empty(total, np.int8)
    new_corner, voxel_from = np.empty((total, 8), np.int32), np.empty(total, np.int32)
    row = 0
    s = 0
    for v in range(path.shape[0]):
        if not mask[v]:
            new_path[row], new_level[row], voxel_from[row] = path[v], level[v], v
            for corner in range(8):
                new_corner[row, corner] = corner_idx[v, corner]
            row += 1
            continue
        shift = 3 * (MAX_LEVEL - 1 - np.int64(level[v]))
        for child in range(8):
            new_path[row] = path[v] | (np.int64(child) << shift)
            new_level[row], voxel_from[row] = level[v] + 1, v
            low = 9 * (child >> 2) + 3 * ((child >> 1) & 1) + (child & 1)
            for corner in range(8):
                place = low + 9 * (corner >> 2) + 3 * ((corner >> 1) & 1) + (corner & 1)
                new_corner[row, corner] = lattice[s, place]
            row += 1
        s += 1
    return new_path, new_level, new_corner, voxel_from


@njit(cache=True, nogil=True)
def _point_sources(mixed_from_new, n_old, owner, split, corner_idx):
    """Return (point_from, point_weight) [G',8], given each new point's number in the list of `_split_points`."""
    n = mixed_from_new.shape[0]
    point_from = np.empty((n, 8), np.int32)
    weight = np.zeros((n, 8), np.float32)
    for i in range(n):
        mixed = mixed_from_new[i]
        if mixed < n_old:
            point_from[i] = mixed
            weight[i, 0] = 1.0
            continue
        s, place = owner[mixed - n_old] // 27, owner[mixed - n_old] % 27
        a, b, c = 0.5 * (place // 9), 0.5 * (place // 3 % 3), 0.5 * (place % 3)
        for corner in range(8):
            wx = a if corner >> 2 else 1.0 - a
            wy = b if (corner >> 1) & 1 else 1.0 - b
            wz = c if corner & 1 else 1.0 - c
            point_from[i, corner] = corner_idx[split[s], corner]
            weight[i, corner] = wx * wy * wz
    return point_from, weight


def split_leaves(
    path: np.ndarray,
    level: np.ndarray,
    ijk: np.ndarray,
    corner_idx: np.ndarray,
    point_ijk: np.ndarray,
    mask: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, Carry]:
    """Return (path, level, corner_idx, point_ijk, carry) after splitting the leaves where `mask [V]` is true."""
    split = np.flatnonzero(mask)
    lattice, points, owner = _split_points(ijk, level, corner_idx, point_ijk, split)
    new_path, new_level, new_corner, voxel_from = _emit_leaves(path, level, corner_idx, mask, lattice)
    mixed_from_new = _renumber(new_corner, len(points))
    point_from, weight = _point_sources(mixed_from_new, len(point_ijk), owner, split, corner_idx)
    return new_path, new_level, new_corner, points[mixed_from_new], Carry(voxel_from, point_from, weight)
