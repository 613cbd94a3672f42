# SPDX-License-Identifier: MIT
"""What every node remembers of its density, in a coarse grid, so that rays need not ask the fields where nothing is.

A node's grid of R^3 cells covers what its hash grid covers: its cube. Where the root shows what is around the cube, its grid
covers the contracted space, of which the middle half is the cube. A cell that nobody has looked at counts as occupied.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from engine.node_tree import NodeTree

DEFAULT_RESOLUTION = 16
UNSEEN = np.float32(-1.0)  # the density of a cell that nobody has looked at


@dataclass(eq=False)
class Occupancy:
    """Cached densities of N nodes, R^3 cells each, cell (i R + j) R + k.

    `density` float32 [N,R^3] per engine unit, UNSEEN where nobody looked. `free` uint8 [N,R^3] is what rays read: 0 where
    something may be, else 1 + s: the aligned cube of 2^s cells a side that holds the cell is empty; an octant at most, for
    a ray in an empty octant may be another node's business in the next. `threshold`: up to this density a cell is empty.
    `contracted`: whether the root's grid reaches to infinity; if not, there is nothing outside the cube.
    """

    resolution: int
    density: np.ndarray
    free: np.ndarray
    threshold: float = 0.0
    contracted: bool = True
    _occupied: np.ndarray | None = field(init=False, repr=False, default=None)

    @classmethod
    def fresh(cls, nodes: int, resolution: int = DEFAULT_RESOLUTION, contracted: bool = True) -> Occupancy:
        """Return the grids of nodes nobody has looked at."""
        if resolution not in (4, 8, 16, 32, 64):
            raise ValueError(
                f"Occupancy.fresh(): resolution must be a power of two from 4 to 64, got {resolution}."
            )
        cells = resolution**3
        density, free = np.full((nodes, cells), UNSEEN, np.float32), np.zeros((nodes, cells), np.uint8)
        return cls(resolution, density, free, contracted=contracted)

    @property
    def nodes(self) -> int:
        """N, how many nodes have a grid."""
        return len(self.density)

    @property
    def seen(self) -> np.ndarray:
        """Bool [N,R^3]: cells that somebody has looked at."""
        return self.density >= 0.0

    @property
    def occupied_share(self) -> float:
        """The share of all cells in which something may be."""
        return float(np.count_nonzero(self.free == 0)) / max(1, self.free.size)

    def occupied(self) -> np.ndarray:
        """Return the cells in which something may be, int64: node R^3 + cell. Found once after each `mark_changed`."""
        if self._occupied is None:
            self._occupied = np.flatnonzero(self.free.reshape(-1) == 0)
        return self._occupied

    def mark_changed(self) -> None:
        """Say that `free` has changed."""
        self._occupied = None

    def nbytes(self) -> int:
        """Return the bytes of all grids."""
        return self.density.nbytes + self.free.nbytes


def positions_in_cells(
    tree: NodeTree, occupancy: Occupancy, nodes: np.ndarray, cells: np.ndarray, within: np.ndarray
) -> np.ndarray:
    """Return positions float32 [n,3] at `within [n,3]`, in [0, 1)^3, of cells [n] of nodes [n].

    A contracted root's cells beyond the cube are led back through the contraction x -> x (2 - 1 / max|x|) / max|x|.
    """
    resolution = occupancy.resolution
    index = np.stack(np.unravel_index(cells, (resolution,) * 3), axis=1)
    unit = (index + within) / resolution
    root = (np.asarray(nodes) == 0) & occupancy.contracted
    contracted = 4.0 * unit[root] - 2.0
    most = np.maximum(np.abs(contracted).max(axis=1, initial=0.0), 1e-9)[:, None]
    beyond = 1.0 / np.maximum(2.0 - most, 1e-3)  # the last thousandth lies a thousand cubes away
    positions = tree.lower(nodes) + unit * tree.edge(nodes)[:, None]
    positions[root] = tree.centre + tree.half * np.where(most <= 1.0, contracted, contracted / most * beyond)
    return positions.astype(np.float32)
