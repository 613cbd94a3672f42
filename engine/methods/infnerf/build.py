# SPDX-License-Identifier: MIT
"""The tree of nodes from points: a node has a child only where points ask for finer detail than it resolves.

A point's radius is what one pixel covers there. Going down, a node keeps the points whose radius it resolves and hands the
others to its octants; an octant becomes a child when it got more than `min_points`. So depth follows the photos, not
the cube: `max_depth` only limits it.
"""

from __future__ import annotations

import numpy as np

from engine.datasets.scene import Scene
from engine.methods.infnerf.points import scene_points
from engine.morton import ijk_from_path, path_from_ijk
from engine.node_tree import DEEPEST, NodeTree
from engine.shapes import check_shapes

FOREGROUND_HALF = 0.5  # engine units: the foreground cube's


def build_tree(
    points: np.ndarray,  # [P,3] engine units
    radii: np.ndarray,  # [P] what one pixel covers there at best, engine units; infinite: nobody looked
    centre: np.ndarray,  # [3] of the root's cube
    half: float,  # half its edge
    *,
    max_res: int,  # cells a side of a node's finest grid
    gsd_divisor: float,  # how much finer than its finest cell a node counts as
    max_depth: int,  # at most this many levels
    min_points: int = 0,  # an octant needs more points than this to become a node
) -> NodeTree:
    """Return the tree in which every point finds a node that resolves it, as far as `max_depth` allows.

    Points outside the cube stay with the root. A point of exactly a node's ground sampling distance is resolved by it.
    """
    check_shapes("build_tree", points=(points, "P 3"), radii=(radii, "P"))
    if not 1 <= max_depth <= DEEPEST + 1:
        raise ValueError(f"build_tree(): max_depth must be 1 to {DEEPEST + 1}, got {max_depth}.")
    centre = np.asarray(centre, dtype=np.float64)
    root_gsd = 2.0 * half / (max_res * gsd_divisor)
    unit = (np.asarray(points, dtype=np.float64) - (centre - half)) / (2.0 * half)
    inside = np.all((unit >= 0.0) & (unit < 1.0), axis=1)
    unit, radii = unit[inside], np.asarray(radii, dtype=np.float64)[inside]
    keys, parents = [np.zeros(1, dtype=np.int64)], np.zeros(1, dtype=np.int64)
    for depth in range(1, max_depth):
        asking = radii < np.ldexp(root_gsd, 1 - depth)
        unit, radii = unit[asking], radii[asking]
        key, count = np.unique(
            path_from_ijk(np.floor(np.ldexp(unit, depth)).astype(np.int64)), return_counts=True
        )
        parents = key[(count > min_points) & np.isin(key >> 3, parents)]
        if not len(parents):
            break
        keys.append(parents)
    depths = np.repeat(np.arange(len(keys)), [len(key) for key in keys])
    return NodeTree.of(centre, half, root_gsd, depths, ijk_from_path(np.concatenate(keys)))


def tree_for_scene(
    scene: Scene, *, max_res: int, gsd_divisor: float, max_depth: int, min_points: int = 0, seed: int = 0
) -> NodeTree:
    """Return the tree of a scene's foreground cube, from its points or what stands in for them: see `scene_points`."""
    points, radii = scene_points(scene, seed)
    return build_tree(
        points, radii, np.zeros(3), FOREGROUND_HALF, max_res=max_res, gsd_divisor=gsd_divisor, max_depth=max_depth,
        min_points=min_points,
    )  # fmt: skip
