# SPDX-License-Identifier: MIT
"""Which nodes a trained tree can do without: leaves that show next to nothing, and leaves that show what their parents do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from engine.inf_nerf.model import InfNeRF

_AT_ONCE = 1 << 18  # probes


@torch.no_grad()
def worth_keeping(model: InfNeRF, opacity: float, difference: float, probes: int) -> Tensor:
    """Return the numbers int64 [n], ascending, of the nodes that a model should keep.

    A leaf goes if over a footprint's length, its ground sampling distance, it stops less light than `opacity` at any of
    `probes` random places, and its parent, which takes over, differs there by less than `difference` in the mean
    square of exp(-density); then the parent may be a leaf that goes, and so on up to the root, which stays.
    """
    tree, octree = model.tree, model.octree
    kept = torch.ones(tree.nodes, dtype=torch.bool, device=model.device)
    children = (octree.child >= 0).sum(dim=1)
    generator = torch.Generator().manual_seed(model.config.seed)
    for depth in range(tree.levels - 1, 0, -1):
        leaves = torch.nonzero((octree.depth == depth) & (children == 0))[:, 0]
        for part in leaves.split(max(1, _AT_ONCE // probes)):
            chance = torch.rand(len(part), probes, 3, generator=generator, dtype=torch.float64).to(
                part.device
            )
            places = octree.lower[part][:, None] + chance * octree.edge[part][:, None, None]
            own, above = (
                _through(model, nodes, places, float(tree.gsd(depth)))
                for nodes in (part, octree.parent[part])
            )
            empty = (1.0 - own).amax(dim=1) < opacity
            kept[part[empty & ((own - above).square().mean(dim=1) < difference)]] = False
        gone = leaves[~kept[leaves]]
        children.index_add_(0, octree.parent[gone], -torch.ones_like(gone))
    return torch.nonzero(kept)[:, 0]


def _through(model: InfNeRF, nodes: Tensor, places: Tensor, length: float) -> Tensor:
    """Return what nodes [n] let through [n,P] over a length, by their densities at places [n,P,3]."""
    probes = places.shape[1]
    density = model.density_at(nodes.repeat_interleave(probes), places.reshape(-1, 3).float())
    return torch.exp(-density.view(len(nodes), probes) * length)
