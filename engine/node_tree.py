# SPDX-License-Identifier: MIT
"""The octree of nodes of InfNeRF: which cubes own a field, and the ground sampling distance that each field resolves.

Every node, not only a leaf, owns a field for its whole cube. A missing child says "no evidence of finer detail", not "empty":
its parent renders there. Samples outside the root's cube belong to the root.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from engine.constants import MAX_LEVEL
from engine.morton import path_from_ijk

# A pixel is a square, a sample's footprint the disc of equal area: radius = FOOTPRINT_RADIUS * t * pixel_width / focal.
FOOTPRINT_RADIUS = 1.0 / np.sqrt(np.pi)
DEEPEST = MAX_LEVEL - 1  # a cell's coordinates have 16 bits


@dataclass(frozen=True, eq=False)
class NodeTree:
    """N nodes in ascending (depth, Morton key): node 0 is the root, parents come before children.

    `centre [3]` and `half`, half the root's edge, are in engine units, as is `root_gsd`, what the root resolves; each level
    halves it. `depth` int32 [N], the root's is 0; `cell` int32 [N,3], the integer cell at its depth; `parent` int32 [N],
    -1 for the root; `children` int32 [N,8], -1 where there is none, child x << 2 | y << 1 | z.
    """

    centre: np.ndarray
    half: float
    root_gsd: float
    depth: np.ndarray
    cell: np.ndarray
    parent: np.ndarray
    children: np.ndarray

    @classmethod
    def of(
        cls, centre: np.ndarray, half: float, root_gsd: float, depth: np.ndarray, cell: np.ndarray
    ) -> NodeTree:
        """Return the tree of nodes given by `depth [N]` and `cell [N,3]`, in any order; each one's parent must be there."""
        depth, cell = np.asarray(depth, dtype=np.int32), np.asarray(cell, dtype=np.int32).reshape(-1, 3)
        _check_nodes(depth, cell, half, root_gsd)
        key = path_from_ijk(cell)
        order = np.lexsort((key, depth))
        depth, cell, key = depth[order], np.ascontiguousarray(cell[order]), key[order]
        start = np.searchsorted(depth, np.arange(depth[-1] + 2))
        parent = np.full(len(depth), -1, dtype=np.int32)
        children = np.full((len(depth), 8), -1, dtype=np.int32)
        for level in range(1, int(depth[-1]) + 1):
            above, here = key[start[level - 1] : start[level]], key[start[level] : start[level + 1]]
            at = np.searchsorted(above, here >> 3)
            if np.any(np.append(above, -1)[at] != here >> 3) or np.any(here[1:] == here[:-1]):
                raise ValueError(
                    f"NodeTree.of(): every node must be there once and have its parent, but not all of depth {level} do; "
                    "add the ancestors and drop the repeats."
                )
            nodes = np.arange(start[level], start[level + 1], dtype=np.int32)
            parent[nodes] = start[level - 1] + at
            children[parent[nodes], here & 7] = nodes
        return cls(
            np.asarray(centre, np.float64), float(half), float(root_gsd), depth, cell, parent, children
        )

    @property
    def nodes(self) -> int:
        """N, how many nodes there are."""
        return len(self.depth)

    @property
    def levels(self) -> int:
        """The deepest node's depth + 1."""
        return int(self.depth[-1]) + 1

    @cached_property
    def level_start(self) -> np.ndarray:
        """Where each depth's nodes begin, int64 [levels + 1]: depth d owns level_start[d] .. level_start[d + 1] - 1."""
        return np.searchsorted(self.depth, np.arange(self.levels + 1))

    @cached_property
    def key(self) -> np.ndarray:
        """Morton keys int64 [N] of the cells, three bits a level; ascending within a depth."""
        return path_from_ijk(self.cell)

    def gsd(self, depth: np.ndarray | int) -> np.ndarray:
        """Return the ground sampling distance of nodes of a depth, in engine units; of the shape of `depth`."""
        return np.ldexp(self.root_gsd, -np.asarray(depth))

    def edge(self, nodes: np.ndarray) -> np.ndarray:
        """Return the edges float64 [n] of nodes' cubes, in engine units."""
        return np.ldexp(2.0 * self.half, -self.depth[nodes])

    def lower(self, nodes: np.ndarray) -> np.ndarray:
        """Return the low corners float64 [n,3] of nodes' cubes, in engine units."""
        return self.centre - self.half + self.cell[nodes] * self.edge(nodes)[..., None]

    def find(self, depth: int, cell: np.ndarray) -> np.ndarray:
        """Return the nodes int32 [n] at cells [n,3] of one depth, -1 where there is none."""
        cell = np.asarray(cell, dtype=np.int64).reshape(-1, 3)
        found = np.full(len(cell), -1, dtype=np.int32)
        if not 0 <= depth < self.levels:
            return found
        inside = np.flatnonzero(np.all((cell >= 0) & (cell < 1 << depth), axis=1))
        first, last = self.level_start[depth : depth + 2]
        key = path_from_ijk(cell[inside])
        at = np.minimum(np.searchsorted(self.key[first:last], key), last - first - 1)
        hit = self.key[first + at] == key
        found[inside[hit]] = first + at[hit]
        return found

    def subset(self, keep: np.ndarray) -> tuple[NodeTree, np.ndarray]:
        """Return (the tree of the nodes where `keep` bool [N] is true, their numbers here int64 [n]).

        The root must be kept, and with every node its ancestors.
        """
        rows = np.flatnonzero(keep)
        tree = NodeTree.of(self.centre, self.half, self.root_gsd, self.depth[rows], self.cell[rows])
        return tree, rows


def _check_nodes(depth: np.ndarray, cell: np.ndarray, half: float, root_gsd: float) -> None:
    """Raise ValueError unless there is one root and every cell lies in its depth's lattice."""
    if not (half > 0.0 and root_gsd > 0.0):
        raise ValueError(f"NodeTree.of(): half and root_gsd must be above 0, got {half} and {root_gsd}.")
    if len(depth) != len(cell) or np.count_nonzero(depth == 0) != 1:
        raise ValueError(
            f"NodeTree.of(): there must be a cell for each depth and one root, got {len(depth)} depths, {len(cell)} cells "
            f"and {np.count_nonzero(depth == 0)} roots."
        )
    if depth.min() < 0 or depth.max() > DEEPEST:
        raise ValueError(f"NodeTree.of(): depths must be 0 to {DEEPEST}, got {depth.min()} to {depth.max()}.")
    if np.any((cell < 0) | (cell >= (1 << depth)[:, None])):
        raise ValueError(
            "NodeTree.of(): a node's cell must lie within 0 .. 2^depth - 1 per axis; check the source."
        )
