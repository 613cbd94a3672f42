# SPDX-License-Identifier: MIT
"""Small trees of nodes with fields that tell which node and which writing they are of."""

from __future__ import annotations

import numpy as np

from engine.node_fields import FieldShape
from engine.node_tree import NodeTree

SMALL = FieldShape(levels=2, log2_table=5, base_res=1, max_res=2, hidden=16, geometry=3)
GRID = 4


def quadtree(levels: int = 3) -> NodeTree:
    """Return the root and, at each further depth, all cells of the layer around z just above the middle."""
    depth, cell = [0], [[0, 0, 0]]
    for d in range(1, levels):
        side = 1 << d
        for x in range(side):
            for y in range(side):
                depth.append(d)
                cell.append([x, y, side // 2])
    return NodeTree.of(np.zeros(3), 0.5, 1.0 / 16.0, np.array(depth), np.array(cell))


def marked_rows(tree: NodeTree, value: float) -> dict[str, np.ndarray]:
    """Return rows whose numbers are the node's number plus a value."""
    n = tree.nodes
    marks = np.arange(n, dtype=np.float32) + np.float32(value)
    shapes = {"tables": (SMALL.entries, 2), "mlp": (SMALL.mlp_size,), "density": (GRID**3,)}
    rows = {
        name: np.broadcast_to(marks.reshape(-1, *[1] * len(s)), (n, *s)).copy() for name, s in shapes.items()
    }
    return {**rows, "free": np.ones((n, GRID**3), dtype=np.uint8)}
