# SPDX-License-Identifier: MIT
"""The losses on densities at random places: a parent agrees with its children, and what nobody sees is transparent.

The readable twin of both is `engine.reference.node_losses`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.methods.infnerf.config import LossOptions
from engine.node_tree import NodeTree

TAPS = 7  # a place and its neighbours along the axes
_STEPS = np.concatenate([np.zeros((1, 3)), np.eye(3), -np.eye(3)])  # [7,3] ground sampling distances


@dataclass(frozen=True)
class Places:
    """M places: K children with 7 taps of n points each and their parents' n, then n points in each of T nodes.

    `node [M]` int32, `position [M,3]` float32 engine units; `parents` of the K children are different nodes.
    """

    node: np.ndarray
    position: np.ndarray
    children: int
    parents: int
    points: int

    @property
    def level_end(self) -> int:
        """How many of the places are of the level loss; they come first."""
        return self.children * (TAPS + 1) * self.points


def draw_places(tree: NodeTree, options: LossOptions, background: bool, rng: np.random.Generator) -> Places:
    """Return places for both losses, or for those that have a weight.

    With a `background` the root's are normally distributed about it, because it also shows what is around it.
    """
    n = options.points
    nodes, positions = [np.zeros(0, np.int32)], [np.zeros((0, 3))]
    inner = np.flatnonzero((tree.children >= 0).any(axis=1)) if options.level > 0.0 else np.zeros(0, np.int64)
    parents = rng.choice(inner, size=min(options.nodes, len(inner)), replace=False)
    below = tree.children[parents]
    children = below[below >= 0]
    for child in children:
        step = float(tree.gsd(int(tree.depth[child])))
        chance = rng.random((n, 3))
        middle = tree.lower(child) + step + chance * max(0.0, float(tree.edge(child)) - 2.0 * step)
        positions += [(middle + step * _STEPS[:, None]).reshape(-1, 3), middle]
        nodes += [np.full(TAPS * n, child, np.int32), np.full(n, tree.parent[child], np.int32)]
    if options.transparency > 0.0:
        for node in rng.choice(tree.nodes, size=min(options.nodes, tree.nodes), replace=False):
            edge = float(tree.edge(node))
            if node == 0 and background:
                positions.append(tree.centre + edge * rng.normal(size=(n, 3)))
            else:
                positions.append(tree.lower(node) + edge * rng.random((n, 3)))
            nodes.append(np.full(n, node, np.int32))
    position = np.ascontiguousarray(np.concatenate(positions), dtype=np.float32)
    return Places(np.concatenate(nodes), position, len(children), len(parents), n)


def level_and_transparency(
    places: Places, density: np.ndarray, options: LossOptions, length: float
) -> tuple[float, float, np.ndarray]:
    """Return both losses, without their weights, and the gradient float32 [M] of their weighted sum in the densities [M].

    `length` is the stretch that densities are compared over, half the root's edge, as published.
    """
    through = np.exp(-density.astype(np.float64) * length)
    v_density = np.zeros(len(density))
    n, end, level, transparency = places.points, places.level_end, 0.0, 0.0
    if places.children:
        rows = through[:end].reshape(places.children, TAPS + 1, n)
        error = rows[:, :TAPS].mean(axis=1) - rows[:, TAPS]
        level = float(np.square(error).sum() / (n * places.parents))
        v_error = (2.0 * options.level / (n * places.parents)) * error
        v_rows = np.repeat(v_error[:, None] / TAPS, TAPS + 1, axis=1)
        v_rows[:, TAPS] = -v_error
        v_density[:end] = (v_rows * rows).reshape(-1) * -length
    if end < len(density):
        count = len(density) - end
        transparency = float((1.0 - through[end:]).sum() / count)
        v_density[end:] = (options.transparency * length / count) * through[end:]
    return level, transparency, v_density.astype(np.float32)
