# SPDX-License-Identifier: MIT
"""How many nodes there are, which leaves show nothing, which should be split. A friend of `model.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.methods.common import AdaptReport, StructureStats
from engine.node_occupancy import Occupancy
from engine.node_tree import NodeTree
from engine.region import Region

if TYPE_CHECKING:
    from engine.methods.infnerf.model import InfNeRF

_LEVELS = 17  # that `StructureStats` tells apart


def count_nodes(tree: NodeTree, held_bytes: int, entries: int, budget: int) -> StructureStats:
    """Return the nodes per level, `entries` of a node's table each, and which share of a full tree they are."""
    per_level = np.bincount(tree.depth, minlength=_LEVELS)
    full = sum(8.0**depth for depth in range(tree.levels))
    counts = tuple(int(n) for n in per_level[:_LEVELS])
    return StructureStats(tree.nodes, tree.nodes * entries, counts, held_bytes, budget, tree.nodes / full)


def node_boxes(tree: NodeTree, levels: tuple[int, ...], limit: int) -> np.ndarray:
    """Return up to `limit` nodes of the given levels as [n,4] float32: centre x y z and edge, for wireframes."""
    return boxes_at(tree, np.flatnonzero(np.isin(tree.depth, levels)), limit)


def boxes_at(tree: NodeTree, chosen: np.ndarray, limit: int) -> np.ndarray:
    """Return up to `limit` of some nodes as `node_boxes` does."""
    if len(chosen) > limit:
        chosen = chosen[np.linspace(0, len(chosen) - 1, limit).astype(np.int64)]
    edge = tree.edge(chosen)[:, None]
    return np.concatenate([tree.lower(chosen) + 0.5 * edge, edge], axis=1).astype(np.float32)


# --- pruning ------------------------------------------------------------------------------------------------------


def thin_leaves(model: InfNeRF, region: Region | None = None) -> np.ndarray:
    """Return the leaves int64 [n] in which no place found stops as much light as `adapt.opacity` over its node's pixel.

    With a region, only those whose centre lies in it.
    """
    tree, options = model.tree, model.config.adapt
    leaves = _within(tree, np.flatnonzero((tree.children < 0).all(axis=1) & (tree.depth > 0)), region)
    if not len(leaves):
        return leaves
    rng = np.random.default_rng((model.seed, model.step))  # a stream of its own: a preview changes nothing
    nodes = np.repeat(leaves, options.probes)
    position = tree.lower(nodes) + tree.edge(nodes)[:, None] * rng.random((len(nodes), 3))
    density = model.density(nodes.astype(np.int32), position.astype(np.float32))
    densest = density.reshape(len(leaves), -1).max(axis=1)
    return leaves[-np.expm1(-densest * tree.gsd(tree.depth[leaves])) < options.opacity]


def _within(tree: NodeTree, nodes: np.ndarray, region: Region | None) -> np.ndarray:
    if region is None or not len(nodes):
        return nodes
    return nodes[region.contains(tree.lower(nodes) + 0.5 * tree.edge(nodes)[:, None])]


def prune(model: InfNeRF, reason: str, region: Region | None = None) -> AdaptReport:
    """Drop the leaves that show nothing; their parents take over."""
    before, gone = model.tree.nodes, thin_leaves(model, region)
    keep = np.ones(before, dtype=bool)
    keep[gone] = False
    if len(gone):
        tree, rows = model.tree.subset(keep)
        model.lay_out(tree, rows)
    return AdaptReport(model.step, before, len(gone), 0, model.tree.nodes, reason)


# --- splitting ----------------------------------------------------------------------------------------------------


def asking_nodes(model: InfNeRF, region: Region | None = None) -> np.ndarray:
    """Return the nodes int64 [n] to split: the largest error where finer nodes were wanted than there are."""
    tree, adapt = model.tree, model.config.adapt
    room = adapt.max_nodes - tree.nodes
    may = (
        (tree.children < 0).any(axis=1) & (tree.depth < model.config.tree.max_depth - 1) & (model.asked > 0.0)
    )
    chosen = np.flatnonzero(may)
    chosen = chosen[np.argsort(-model.asked[chosen], kind="stable")][: adapt.splits]
    new = np.cumsum([len(_new_octants(model, node)) for node in chosen])
    return _within(tree, chosen[: int(np.searchsorted(new, room, side="right"))], region)


def _new_octants(model: InfNeRF, node: int) -> np.ndarray:
    """Return the octants [k] in which a node has no child though it is not empty there."""
    missing = model.tree.children[node] < 0
    return np.flatnonzero(missing & filled_octants(model.occupancy, node))


def filled_octants(occupancy: Occupancy, node: int) -> np.ndarray:
    """Return in which octants of a node something may be, bool [8]; a cell that nobody has looked at may hold something."""
    cells = occupancy.resolution
    free = occupancy.free[node].reshape(cells, cells, cells)
    if node == 0 and occupancy.contracted:  # its cube is the middle half of its grid
        free = free[cells // 4 : -cells // 4, cells // 4 : -cells // 4, cells // 4 : -cells // 4]
    half = len(free) // 2
    return (free == 0).reshape(2, half, 2, half, 2, half).any(axis=(1, 3, 5)).reshape(8)


def split(model: InfNeRF, reason: str) -> AdaptReport:
    """Give nodes that ask for detail children with fresh fields, in the octants that are not empty."""
    tree, chosen = model.tree, asking_nodes(model)
    depth, cell = [tree.depth], [tree.cell]
    for node in chosen:
        octant = _new_octants(model, int(node))
        bits = np.stack([octant >> 2 & 1, octant >> 1 & 1, octant & 1], axis=1)
        depth.append(np.full(len(octant), tree.depth[node] + 1, np.int32))
        cell.append((2 * tree.cell[node] + bits).astype(np.int32))
    before = tree.nodes
    if sum(map(len, depth[1:])):
        fresh = NodeTree.of(
            tree.centre, tree.half, tree.root_gsd, np.concatenate(depth), np.concatenate(cell)
        )
        model.lay_out(fresh, rows_in(tree, fresh))
    return AdaptReport(model.step, before, 0, len(chosen), model.tree.nodes, reason)


def rows_in(old: NodeTree, new: NodeTree) -> np.ndarray:
    """Return where each node of a new tree was in an old one, int64 [N], -1 for those that it did not have."""
    rows = np.full(new.nodes, -1, dtype=np.int64)
    for depth in range(min(old.levels, new.levels)):
        here = slice(*new.level_start[depth : depth + 2])
        rows[here] = old.find(depth, new.cell[here])
    return rows


def preview(model: InfNeRF) -> AdaptReport:
    """Say what pruning, then splitting, would do."""
    return preview_of(model, thin_leaves(model), asking_nodes(model))


def preview_of(model: InfNeRF, gone: np.ndarray, chosen: np.ndarray) -> AdaptReport:
    """Say what dropping some nodes, then splitting others, would do."""
    before = model.tree.nodes
    born = sum(len(_new_octants(model, int(node))) for node in chosen)
    return AdaptReport(model.step, before, len(gone), len(chosen), before - len(gone) + born, "preview")
