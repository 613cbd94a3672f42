# SPDX-License-Identifier: MIT
"""Which of several processes owns which nodes: the top levels are everybody's, each subtree below them is one process's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.node_tree import NodeTree

SHARED = -1  # the owner of nodes that all have


@dataclass(frozen=True, eq=False)
class Subtrees:
    """`owner` int32 [N]: a rank, or SHARED. `slots` int32 [N]: where this rank keeps a node, -1 for those it does not have.

    `mine` int64 [n] are the nodes that this rank has, ascending, the shared ones first.
    """

    owner: np.ndarray
    slots: np.ndarray
    mine: np.ndarray
    shared: int

    @classmethod
    def of(cls, tree: NodeTree, rank: int, size: int, levels: int) -> Subtrees:
        """Return the division of a tree among `size` ranks, as one of them sees it, with `levels` shared levels."""
        owner = owners(tree, size, levels)
        mine = np.flatnonzero((owner == SHARED) | (owner == rank))
        slots = np.full(tree.nodes, -1, dtype=np.int32)
        slots[mine] = np.arange(len(mine), dtype=np.int32)
        return cls(owner, slots, mine, int(np.count_nonzero(owner == SHARED)))


def owners(tree: NodeTree, size: int, levels: int) -> np.ndarray:
    """Return the owner int32 [N] of every node: subtrees, the largest first, go to who has the fewest nodes so far."""
    top = np.arange(tree.nodes)
    for depth in range(levels + 1, tree.levels):
        here = slice(*tree.level_start[depth : depth + 2])
        top[here] = top[tree.parent[here]]
    owner = np.full(tree.nodes, SHARED, dtype=np.int32)
    below = tree.depth >= levels
    roots, counts = np.unique(top[below], return_counts=True)
    load, given = np.zeros(size, dtype=np.int64), np.zeros(tree.nodes, dtype=np.int32)
    for i in np.lexsort((roots, -counts)):
        rank = int(np.argmin(load))
        given[roots[i]] = rank
        load[rank] += counts[i]
    owner[below] = given[top[below]]
    return owner


def responsible(owner: np.ndarray, nodes: np.ndarray, size: int) -> np.ndarray:
    """Return which rank int32 [M] evaluates samples of nodes [M]: the owner, or for shared nodes each an equal run of them."""
    ranks = owner[nodes]
    shared = np.flatnonzero(ranks == SHARED)
    ranks[shared] = np.arange(len(shared)) * size // max(1, len(shared))
    return ranks
