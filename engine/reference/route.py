# SPDX-License-Identifier: MIT
"""Routing of samples to nodes as published: descend from the root until a node is fine enough. Readable, float64."""

from __future__ import annotations

import numpy as np

from engine.node_tree import NodeTree


def route(
    tree: NodeTree,
    positions: np.ndarray,  # [M,3] engine units
    radii: np.ndarray,  # [M] footprint radius in engine units
    resident: np.ndarray | None = None,  # bool [N]; None: all are
) -> np.ndarray:
    """Return the node int32 [M] of each sample: the first on its way down with r >= gsd, else the last (resident) there is."""
    positions, radii = np.asarray(positions, np.float64), np.asarray(radii, np.float64)
    resident = np.ones(tree.nodes, dtype=bool) if resident is None else resident
    nodes = np.zeros(len(radii), dtype=np.int32)
    unit = (positions - tree.centre) / (2.0 * tree.half) + 0.5
    inside = np.flatnonzero(np.all((unit >= 0.0) & (unit < 1.0), axis=1))
    _descend(tree, 0, 0, inside, positions, radii, resident, nodes)
    return nodes


def _descend(
    tree: NodeTree, node: int, best: int, samples: np.ndarray, positions: np.ndarray, radii: np.ndarray,
    resident: np.ndarray, nodes: np.ndarray,
) -> None:  # fmt: skip
    """Give `samples`, all in the node's cube, to it (or `best`, when it is not resident) or to its children."""
    best = node if resident[node] else best
    nodes[samples] = best
    finer = samples[radii[samples] < float(tree.gsd(tree.depth[node]))]
    middle = tree.lower(np.array([node]))[0] + 0.5 * tree.edge(np.array([node]))[0]
    octant = (positions[finer] >= middle) @ np.array([4, 2, 1])
    for digit, child in enumerate(tree.children[node]):
        if child >= 0 and np.any(octant == digit):
            _descend(tree, int(child), best, finer[octant == digit], positions, radii, resident, nodes)
