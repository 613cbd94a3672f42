# SPDX-License-Identifier: MIT
"""Small trees of nodes that several tests share."""

from __future__ import annotations

import numpy as np

from engine.node_tree import NodeTree


def patchy(levels: int = 5, keep: float = 0.6, seed: int = 0) -> NodeTree:
    """Return a tree in which every node has each child with probability `keep`."""
    rng = np.random.default_rng(seed)
    cells = [np.zeros((1, 3), dtype=np.int64)]
    octants = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij"), -1).reshape(-1, 3)
    for _ in range(levels - 1):
        below = (2 * cells[-1][:, None] + octants).reshape(-1, 3)
        cells.append(below[rng.random(len(below)) < keep])
    depth = np.repeat(np.arange(levels), [len(c) for c in cells])
    return NodeTree.of(np.zeros(3), 0.5, 1.0 / 256.0, depth, np.concatenate(cells))


def full(levels: int) -> NodeTree:
    """Return the tree that has every node down to depth levels - 1."""
    return patchy(levels, keep=2.0)


def odd() -> NodeTree:
    """Return a patchy tree in a cube whose numbers are no round ones."""
    tree = patchy(5, seed=3)
    return NodeTree.of(np.array([0.1, -0.2, 0.037]), 0.31, 0.0041, tree.depth, tree.cell)
