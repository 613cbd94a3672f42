# SPDX-License-Identifier: MIT
"""Less memory for a model: fewer voxels, or none of what only training needs. A friend of `model.py`."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from engine.cpu.lists import Workspace
from engine.cpu.shade import grouped, sh_rows
from engine.methods.common import AdaptReport, Frozen
from engine.methods.svraster.adapt import prune_threshold
from engine.methods.svraster.targets import Targets
from engine.morton import PATH_BITS
from engine.octree import Octree
from engine.octree_adapt import Carry

if TYPE_CHECKING:
    from engine.methods.svraster.model import SVRaster


def prune_to(model: SVRaster, count: int) -> AdaptReport:
    """Come down to `count` voxels: drop what no view needs, merge siblings that look alike, then drop the lightest.

    Buffers are given back; they grow again to what the smaller model needs.
    """
    before = len(model.octree)
    if count < before:
        threshold = prune_threshold(model.active.adapt, model.step)
        _keep_heaviest(model, max(count, int((model._weights_seen() >= threshold).sum())))
        while len(model.octree) > count and _merge(model, len(model.octree) - count):
            pass
        _keep_heaviest(model, count)
    model._room, model._view_room, model._ray_room = Workspace(), Workspace(), None
    after = len(model.octree)
    return AdaptReport(model.step, before, before - after, 0, after, "fit to memory")


def _keep_heaviest(model: SVRaster, count: int) -> None:
    """Drop all but the voxels of the heaviest blending weights."""
    if count < len(model.octree):
        keep = np.zeros(len(model.octree), dtype=bool)
        keep[np.argsort(-model._weights_seen(), kind="stable")[: max(1, count)]] = True
        model.move_to(*model.octree.keep(keep))


def _merge(model: SVRaster, wanted: int) -> bool:
    """Merge siblings, first those whose colours differ least, until about `wanted` voxels are gone; return whether any could."""
    octree, n = model.octree, len(model.octree)
    level = octree.level.astype(np.int64)
    span = np.int64(1) << (PATH_BITS - 3 * (level - 1))
    parent = octree.path & ~(span - 1)
    first = np.searchsorted(octree.path, parent)
    inside = np.searchsorted(octree.path, parent + span) - first  # leaves of any level below the parent
    _, family, members = np.unique(first * 32 + level, return_inverse=True, return_counts=True)
    whole = (members[family] == inside) & (members[family] > 1) & (level > 1)
    weight = np.maximum(model._weights_seen(), 1e-6)
    rows = sh_rows(model.field.sh, n)
    total = np.bincount(family, weight)
    mean = np.stack([np.bincount(family, weight * c) for c in rows.reshape(n, -1).T], axis=1) / total[:, None]
    off = weight * np.abs(rows[:, 0] - mean.reshape(len(mean), -1, 3)[family, 0]).sum(axis=-1)
    cost = np.where(np.bincount(family, whole) > 0, np.bincount(family, off), np.inf)
    order = np.argsort(cost, kind="stable")
    order = order[np.isfinite(cost[order])]
    gained = np.cumsum(members[order] - 1)
    merged = np.zeros(len(members), dtype=bool)
    merged[order[: np.searchsorted(gained, wanted) + 1]] = True
    if not merged.any():
        return False
    heaviest_first = np.lexsort((-weight, family))
    chosen = heaviest_first[np.searchsorted(family[heaviest_first], np.arange(len(members)))]  # one a family
    stays = ~merged[family] | (np.arange(n) == chosen[family])
    kept, families = np.flatnonzero(stays), family[stays]
    one = merged[families]
    path = np.where(one, parent[kept], octree.path[kept])
    in_order = np.argsort(path, kind="stable")
    kept, families, one, path = kept[in_order], families[in_order], one[in_order], path[in_order]
    coarser = Octree.from_leaves(path, (level[kept] - one).astype(octree.level.dtype), octree.root_size)
    points = _points_of(coarser, octree, kept, model.field.density)
    model.move_to(coarser, Carry.selection(kept.astype(np.int32), points))
    rows = rows[kept]
    rows[one] = mean[families[one]].reshape(-1, *rows.shape[1:])
    model.field = replace(model.field, sh=grouped(rows.astype(np.float32)))
    return True


def _points_of(new: Octree, old: Octree, voxel_from: np.ndarray, density: np.ndarray) -> np.ndarray:
    """Return the old point [G'] that each new one takes its density from: the same place, else the emptiest corner near it."""
    scale = np.array([1, 1 << 20, 1 << 40], dtype=np.int64)
    keys, wanted = old.point_ijk.astype(np.int64) @ scale, new.point_ijk.astype(np.int64) @ scale
    order = np.argsort(keys)
    at = np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)
    found = order[at]
    corners = old.corner_idx[voxel_from]
    emptiest = corners[np.arange(len(corners)), density[corners].argmin(axis=1)]
    near = np.empty(new.n_points, dtype=np.int64)
    near[new.corner_idx.reshape(-1)] = np.repeat(emptiest, 8)
    return np.where(keys[found] == wanted, found, near).astype(np.int32)


def frozen(model: SVRaster) -> Frozen:
    """Return a copy of what pictures need. Octrees and their tables are replaced, never changed, so they are shared."""
    other = copy.copy(model)
    rest(other)
    density, sh = model.field.density.copy(), model.field.sh.copy()
    other.field = replace(other.field, density=density, sh=sh)
    other._view_room, other.backdrop = Workspace(), copy.copy(model.backdrop)
    other.scene = model.scene.without_photos()
    other._targets = Targets(other.scene.train)
    other.team = None
    return Frozen(other, density.nbytes + sh.nbytes)


def rest(model: SVRaster) -> None:
    """Drop what only training needs: moments, statistics, buffers, shrunk photos. `load_state` brings everything back.

    The model can still be looked at; its next step, or a change of its voxels, needs its state first.
    """
    field = model.field
    nothing, ages = np.zeros(0, dtype=np.float32), np.zeros(0, dtype=np.uint16)
    model.field = replace(
        field, density_m=nothing, density_v=nothing, density_age=ages, sh_m=nothing, sh_v=nothing, sh_age=ages,
        priority=nothing, heaviest=nothing, footprint=nothing,
    )  # fmt: skip
    model.heaviest_before = nothing
    model._owners = model._scratch = (nothing, nothing)
    model._room, model._ray_room = Workspace(), None
    model._targets = Targets(model.scene.train)
