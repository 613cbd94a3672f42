# SPDX-License-Identifier: MIT
"""The leaves of a sparse octree and the corner points they share.

An octree is data, never changed in place: `keep` and `subdivide` return a new one and the map that carries values over.
Leaves are disjoint and in Morton order; whatever no leaf covers is empty. Points are numbered in the order of their first
owner, so neighbours in space are near in memory and the same leaves always give the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit

from engine.constants import LATTICE, MAX_LEVEL
from engine.morton import PATH_BITS, ijk_from_path, order_keys, path_from_ijk, spread_bits
from engine.octree_adapt import Carry, hash_of_point, keep_leaves, split_leaves, with_room

__all__ = ["Carry", "Octree", "OctreeStats", "order_keys"]


@dataclass(frozen=True)
class OctreeStats:
    """Counts of an octree. `per_level[l]` for l = 0..16; `occupancy` is the covered share of the foreground cube."""

    voxels: int
    points: int
    per_level: tuple[int, ...]
    occupancy: float
    bytes: int


@dataclass(frozen=True, eq=False)
class Octree:
    """Disjoint leaves in Morton order, in a root cube of edge `root_size` (a power of two) centred at the origin.

    `path int64 [V]` has three bits a level, left aligned to 48; `level int8 [V]` is 1..16. `corner_idx int32 [V,8]` are
    rows of the points, corner c = 4 cx + 2 cy + cz; `point_ijk int32 [G,3]` lie on the finest lattice, 0..65536.
    """

    path: np.ndarray
    level: np.ndarray
    root_size: float
    corner_idx: np.ndarray
    point_ijk: np.ndarray

    @classmethod
    def from_leaves(cls, path: np.ndarray, level: np.ndarray, root_size: float = 1.0) -> Octree:
        """Return the octree of leaves given by `path [V]` and `level [V]`, in any order; they must be disjoint.

        Rows of the result are in ascending order of path, whatever the order of the arguments.
        """
        path, level = np.asarray(path, dtype=np.int64), np.asarray(level, dtype=np.int64)
        if path.ndim != 1 or path.shape != level.shape:
            raise ValueError(
                f"Octree.from_leaves(): path and level must be of one length, got {list(path.shape)} and "
                f"{list(level.shape)}."
            )
        order = np.argsort(path, kind="stable")
        path, level = path[order], level[order]
        _check_leaves(path, level, root_size)
        corner_idx, point_ijk = _build_corners(ijk_from_path(path), level.astype(np.int8))
        return cls(path, level.astype(np.int8), float(root_size), corner_idx, point_ijk)

    @classmethod
    def dense(cls, level: int, outside_levels: int = 0) -> Octree:
        """Return 2^level leaves a side in the foreground cube, surrounded by `outside_levels` shells of 56 coarse leaves.

        Shell k reaches from edge 2^(k-1) to edge 2^k of the engine's units; its leaves have edge 2^(k-2).
        """
        inside = level + outside_levels
        if level < 1 or outside_levels < 0 or inside > MAX_LEVEL:
            raise ValueError(
                f"Octree.dense(): level must be at least 1 and level + outside_levels at most {MAX_LEVEL}, got {level} "
                f"and {outside_levels}; choose a coarser level or fewer shells."
            )
        side, low = 1 << level, LATTICE // 2 - (LATTICE >> (outside_levels + 1))
        paths = [path_from_ijk(low + (_grid(side) << (MAX_LEVEL - inside)))]
        levels = [np.full(side**3, inside)]
        for shell in range(1, outside_levels + 1):
            cells = _grid(4)
            cells = cells[~np.all((cells == 1) | (cells == 2), axis=1)]
            low = LATTICE // 2 - (LATTICE >> shell)
            paths.append(path_from_ijk(low + (cells << (MAX_LEVEL - 1 - shell))))
            levels.append(np.full(len(cells), shell + 1))
        return cls.from_leaves(np.concatenate(paths), np.concatenate(levels), 2.0**outside_levels)

    def __len__(self) -> int:
        """The number of leaves V."""
        return len(self.path)

    @property
    def n_points(self) -> int:
        """The number of corner points G."""
        return len(self.point_ijk)

    @cached_property
    def ijk(self) -> np.ndarray:
        """Low corners int32 [V,3] on the finest lattice."""
        return ijk_from_path(self.path)

    @cached_property
    def size(self) -> np.ndarray:
        """Edges float32 [V] in engine units, exact."""
        return np.ldexp(np.float32(self.root_size), -self.level.astype(np.int32)).astype(np.float32)

    @cached_property
    def center(self) -> np.ndarray:
        """Centres float32 [V,3] in engine units, exact: multiples of half a lattice step in 17 bits."""
        return self._position(self.ijk) + 0.5 * self.size[:, None]

    @cached_property
    def point_position(self) -> np.ndarray:
        """Positions float32 [G,3] of the corner points in engine units, exact."""
        return self._position(self.point_ijk)

    def _position(self, ijk: np.ndarray) -> np.ndarray:
        return (ijk - LATTICE // 2).astype(np.float32) * np.float32(self.root_size / LATTICE)

    def keep(self, mask: np.ndarray) -> tuple[Octree, Carry]:
        """Return the octree of the leaves where `mask [V]` is true, and the map that carries values over."""
        kept = np.flatnonzero(self._check_mask("keep", mask)).astype(np.int32)
        corner_idx, point_from = keep_leaves(self.corner_idx, kept, self.n_points)
        octree = Octree(
            self.path[kept], self.level[kept], self.root_size, corner_idx, self.point_ijk[point_from]
        )
        return octree, Carry.selection(kept, point_from)

    def subdivide(self, mask: np.ndarray) -> tuple[Octree, Carry]:
        """Return the octree where leaves with `mask [V]` true are replaced by their eight children, and the carry map.

        Leaves of level 16 stay as they are. See `Carry` for what new points get.
        """
        mask = self._check_mask("subdivide", mask) & (self.level < MAX_LEVEL)
        path, level, corner_idx, point_ijk, carry = split_leaves(
            self.path, self.level, self.ijk, self.corner_idx, self.point_ijk, mask
        )
        return Octree(path, level, self.root_size, corner_idx, point_ijk), carry

    def _check_mask(self, caller: str, mask: np.ndarray) -> np.ndarray:
        mask = np.asarray(mask)
        if mask.shape != self.path.shape or mask.dtype != bool:
            raise ValueError(
                f"Octree.{caller}(): mask must be one bool for each of the {len(self)} voxels, "
                f"got {mask.dtype} {list(mask.shape)}."
            )
        return mask

    def find(self, points: np.ndarray) -> np.ndarray:
        """Return int32 [N]: the leaf that holds each of `points [N,3]` (half-open cells), or -1 where there is none."""
        index = np.empty(len(points), dtype=np.int32)
        points = np.ascontiguousarray(points, dtype=np.float64)
        _find(points, self.path, self.level, LATTICE / self.root_size, index)
        return index

    def stats(self) -> OctreeStats:
        """Count leaves per level, the covered share of the foreground cube [-0.5,0.5]^3, and the memory of the structure."""
        half = 0.5 * self.size[:, None].astype(np.float64)
        overlap = np.minimum(self.center + half, 0.5) - np.maximum(self.center - half, -0.5)
        covered = float(np.prod(np.maximum(overlap, 0.0), axis=1).sum())
        per_level = np.bincount(self.level, minlength=MAX_LEVEL + 1)
        arrays = (self.path, self.level, self.corner_idx, self.point_ijk)
        total = sum(array.nbytes for array in arrays)
        return OctreeStats(len(self), self.n_points, tuple(int(n) for n in per_level), covered, total)


def _grid(side: int) -> np.ndarray:
    """Return the cells [side^3,3] of a cube."""
    return np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)


def _check_leaves(path: np.ndarray, level: np.ndarray, root_size: float) -> None:
    """Raise ValueError unless the leaves (ascending paths) are well formed and disjoint."""
    if not (root_size >= 1 and np.frexp(root_size)[0] == 0.5):
        raise ValueError(
            f"Octree.from_leaves(): root_size must be a power of two of at least 1, got {root_size}."
        )
    if np.any((level < 1) | (level > MAX_LEVEL)):
        raise ValueError(
            f"Octree.from_leaves(): levels must be 1 to {MAX_LEVEL}, got {level.min()} to {level.max()}; check the source."
        )
    span = np.int64(1) << (PATH_BITS - 3 * level)
    if np.any((path < 0) | (path >= 1 << PATH_BITS) | (path & (span - 1) != 0)):
        raise ValueError(
            "Octree.from_leaves(): every path must have 48 bits, zero below its level; check the source."
        )
    overlapping = np.flatnonzero(path[:-1] + span[:-1] > path[1:])
    if len(overlapping):
        first = overlapping[0]
        raise ValueError(
            f"Octree.from_leaves(): leaves must be disjoint, but {len(overlapping)} overlap the next in Morton order "
            f"(first: path {path[first]:#x} of level {level[first]}); drop the coarser or the finer of each pair."
        )


@njit(cache=True, nogil=True)
def _build_corners(ijk, level):
    """Return (corner_idx int32 [V,8], point_ijk int32 [G,3]): corners of leaves, equal ones shared, by first owner."""
    n = ijk.shape[0]
    corner_idx = np.empty((n, 8), np.int32)
    table = np.full(1024, -1, np.int32)
    point_ijk = np.empty((1024, 3), np.int32)
    count = 0
    for v in range(n):
        if count + 8 > table.shape[0] // 2:
            table, point_ijk = with_room(table, point_ijk, count)
        mask = table.shape[0] - 1
        step = LATTICE >> level[v]
        for corner in range(8):
            x = ijk[v, 0] + step * (corner >> 2)
            y = ijk[v, 1] + step * ((corner >> 1) & 1)
            z = ijk[v, 2] + step * (corner & 1)
            slot = hash_of_point(x, y, z) & mask
            while True:
                point = table[slot]
                if point < 0:
                    point = np.int32(count)
                    table[slot] = point
                    point_ijk[point, 0], point_ijk[point, 1], point_ijk[point, 2] = x, y, z
                    count += 1
                    break
                if point_ijk[point, 0] == x and point_ijk[point, 1] == y and point_ijk[point, 2] == z:
                    break
                slot = (slot + 1) & mask
            corner_idx[v, corner] = point
    return corner_idx, point_ijk[:count].copy()


@njit(cache=True, nogil=True)
def _find(points, path, level, cells_per_unit, index):
    """Binary search for the last leaf that starts at or before each point's cell, and a check that it reaches it."""
    half = LATTICE // 2
    for i in range(points.shape[0]):
        x = np.floor(points[i, 0] * cells_per_unit) + half
        y = np.floor(points[i, 1] * cells_per_unit) + half
        z = np.floor(points[i, 2] * cells_per_unit) + half
        index[i] = -1
        if not (0 <= x < LATTICE and 0 <= y < LATTICE and 0 <= z < LATTICE):
            continue
        code = (spread_bits(np.int64(x)) << 2) | (spread_bits(np.int64(y)) << 1) | spread_bits(np.int64(z))
        leaf = np.searchsorted(path, code, side="right") - 1
        if leaf >= 0 and code < path[leaf] + (np.int64(1) << (48 - 3 * np.int64(level[leaf]))):
            index[i] = leaf
