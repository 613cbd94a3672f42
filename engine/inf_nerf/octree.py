# SPDX-License-Identifier: MIT
"""The octree as the library's model sees it: nodes with names, built from points, and which of them evaluates a sample.

The tree itself is `engine.node_tree.NodeTree`; here are its tensors, on the device of the model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from engine.inf_nerf.settings import InfNeRFConfig
from engine.node_fields import contract
from engine.node_tree import FOOTPRINT_RADIUS, NodeTree


@dataclass(frozen=True)
class OctreeNode:
    """A node: `center` and `extent` (its edge) in scene units; `gsd` is the finest detail that its field resolves.

    `children` has the numbers of those there are, by octant x << 2 | y << 1 | z; where None stands this node renders itself.
    """

    index: int
    depth: int
    center: tuple[float, float, float]
    extent: float
    gsd: float
    parent: int | None
    children: tuple[int | None, ...]

    @property
    def is_leaf(self) -> bool:
        """Whether it has no children."""
        return all(child is None for child in self.children)


def root_only(config: InfNeRFConfig) -> NodeTree:
    """Return the tree of a model that has seen no points."""
    return NodeTree.of(
        np.asarray(config.scene_center), config.scene_bound, _root_gsd(config), np.zeros(1), np.zeros((1, 3))
    )


def build_octree(points: np.ndarray, radii: np.ndarray, config: InfNeRFConfig) -> NodeTree:
    """Return the tree that points [P,3] with footprints [P] ask for, in scene units.

    A node keeps the points whose footprint it resolves; the others go to its octants, and an octant with more than
    `min_points` of them becomes a child, down to `max_depth` levels.
    """
    from engine.methods.infnerf.build import build_tree  # with the method, which a renderer does without

    return build_tree(
        points, radii, np.asarray(config.scene_center), config.scene_bound, max_res=config.grid_size,
        gsd_divisor=config.gsd_divisor, max_depth=config.max_depth, min_points=config.min_points,
    )  # fmt: skip


def _root_gsd(config: InfNeRFConfig) -> float:
    return 2.0 * config.scene_bound / (config.grid_size * config.gsd_divisor)


def footprint_radius(t: Tensor, pixel_width: Tensor | float, focal_length: Tensor | float) -> Tensor:
    """Return the radius of a sample's footprint at distance t: that of the disc as large as the pixel there."""
    return FOOTPRINT_RADIUS * t * pixel_width / focal_length


class TreeTensors(nn.Module):
    """A `NodeTree` as buffers that move with a model; they are not in its `state_dict`, the tree has a place of its own."""

    def __init__(self, tree: NodeTree) -> None:
        super().__init__()
        self.tree = tree
        nodes = np.arange(tree.nodes)
        for name, array in {
            "depth": tree.depth.astype(np.int64), "child": tree.children.astype(np.int64),
            "parent": tree.parent.astype(np.int64), "lower": tree.lower(nodes), "edge": tree.edge(nodes),
            "corner": tree.centre - tree.half,
        }.items():  # fmt: skip
            values = torch.from_numpy(np.array(array))
            self.register_buffer(
                name, values.float() if values.is_floating_point() else values, persistent=False
            )

    def nodes(self) -> Iterator[OctreeNode]:
        """Yield the nodes, the root first, each after its parent."""
        tree = self.tree
        center = tree.lower(np.arange(tree.nodes)) + 0.5 * tree.edge(np.arange(tree.nodes))[:, None]
        for i in range(tree.nodes):
            yield OctreeNode(
                i, int(tree.depth[i]), tuple(center[i].tolist()), float(tree.edge(np.array(i))),
                float(tree.gsd(int(tree.depth[i]))), None if i == 0 else int(tree.parent[i]),
                tuple(None if c < 0 else int(c) for c in tree.children[i]),
            )  # fmt: skip

    def route(
        self,
        positions: Tensor,  # [M,3]
        radii: Tensor,  # [M]
        resident: Tensor | None = None,  # bool [N]; None: all
    ) -> Tensor:
        """Return the node int64 [M] that evaluates each sample.

        It is the deepest one above the sample that is not finer than its footprint asks for: depth at most
        ceil(log2(root's gsd / radius)), and resident; outside the cube the root, which always counts as resident.
        """
        tree, deepest = self.tree, self.tree.levels - 1
        mantissa, exponent = torch.frexp(tree.root_gsd / radii.double().clamp(min=1e-300))
        wanted = (
            torch.where(mantissa == 0.5, exponent - 1, exponent).clamp(0, deepest).long()
        )  # exact ceil(log2)
        place = (positions.double() - self.corner) * (0.5 / tree.half)
        inside = ((place >= 0.0) & (place < 1.0)).all(dim=-1)
        wanted = torch.where(inside, wanted, 0)
        cells = (place.clamp(0.0, 1.0) * (1 << deepest)).long()
        node = torch.zeros_like(wanted)
        best = node
        for depth in range(deepest):
            bits = (cells >> (deepest - 1 - depth)) & 1
            child = self.child[node, bits[:, 0] << 2 | bits[:, 1] << 1 | bits[:, 2]]
            goes = (child >= 0) & (wanted > depth) & (self.depth[node] == depth)
            node = torch.where(goes, child, node)
            best = node if resident is None else torch.where(resident[node], node, best)
        return best

    def unit(self, nodes: Tensor, positions: Tensor, background: bool) -> Tensor:
        """Return [M,3] in [0,1]: where positions lie in their nodes' cubes. With `background` the root's is contracted."""
        place = (positions.double() - self.lower[nodes]) / self.edge[nodes][:, None]
        if background:
            contracted = (
                contract(2.0 * (positions.double() - self.lower[0]) / self.edge[0] - 1.0) + 2.0
            ) / 4.0
            place = torch.where((nodes == 0)[:, None], contracted, place)
        return place.clamp(0.0, 1.0).to(positions.dtype)
