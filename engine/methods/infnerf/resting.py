# SPDX-License-Identifier: MIT
"""Inference mode: the fields lie on the disk and pictures read what they need into a cache. A friend of `model.py`.

What only training needs is dropped until `load_state` brings it back. While somebody looks around, a picture shows what
is in memory and says how much is on its way; pictures for files and evaluations wait for all of it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.cameras import Camera
from engine.errors import UserError
from engine.methods.common import Buffers, NodeUse
from engine.methods.infnerf.stored import Seen, StoredModel, write

if TYPE_CHECKING:
    from engine.methods.infnerf.model import InfNeRF


class Resting:
    """A model on the disk and the cache that shows it."""

    def __init__(self, folder: Path, budget_bytes: int) -> None:
        self.folder = folder
        self.stored = StoredModel(folder, budget_bytes or _everything(folder))
        self.budget_bytes = budget_bytes
        self.loading = 0
        self._end = weakref.finalize(
            self, self.stored.cache.close
        )  # a model that is let go leaves no thread behind

    def render(
        self,
        camera: Camera,
        want: frozenset[str],
        supersample: float,
        background: tuple[float, float, float] | None,
        whole: bool,
        breathe: Callable[[], None],
    ) -> tuple[Buffers, np.ndarray]:
        """Return a picture and the nodes that it wanted; with `whole` it waits until all of them are there."""
        self.stored.breathe = breathe
        draw = self.stored.render_whole if whole else self.stored.render
        seen: Seen = draw(camera, want, supersample=supersample, background=background)
        cache = self.stored.cache
        missing = seen.wanted[~cache.resident[seen.wanted]]
        self.loading = sum(1 for node in missing if int(node) not in cache.problems)
        return seen.buffers, seen.wanted

    def resize(self, budget_bytes: int) -> None:
        """Take another budget, 0: room for the whole model; what it cannot hold is refused and nothing changes."""
        other = StoredModel(self.folder, budget_bytes or _everything(self.folder))
        self.close()
        self.stored, self.budget_bytes, self.loading = other, budget_bytes, 0
        self._end = weakref.finalize(self, other.cache.close)

    def close(self) -> None:
        """End the thread that reads nodes."""
        self._end()


def _everything(folder: Path) -> int:
    """Return a budget in which all nodes of a folder have room, with one more on its way."""
    from engine.node_store import open_store

    store = open_store(folder)
    return store.model_bytes + 2 * store.node_bytes


def rest(model: InfNeRF, folder: Path) -> None:
    """Write a model's nodes into a folder, and from now on show them from there."""
    write(model, folder)
    resting = Resting(folder, model.cache_budget)
    model.resting = resting
    model.fields, model.moments, model.gradients = resting.stored.cache.fields, None, None
    model.occupancy = resting.stored.field_tree.occupancy
    model.photos = None
    model.forget_buffers()


def wake(model: InfNeRF) -> None:
    """Stop showing the folder: the model is about to be whole again."""
    if model.resting is not None:
        model.resting.close()
        model.resting = None


def use_of(model: InfNeRF) -> NodeUse | None:
    """Return what the last picture needed, None before the first."""
    if not len(model.last_touched):
        return None
    tree, each = model.tree, node_bytes(model)
    per_level = np.bincount(tree.depth[model.last_touched], minlength=tree.levels)
    touched, whole = len(model.last_touched) * each, tree.nodes * each
    counts = tuple(int(n) for n in per_level)
    if model.resting is None:
        return NodeUse(counts, touched, whole, whole, model.cache_budget)
    cache = model.resting.stored.cache.counters()
    return NodeUse(
        counts,
        touched,
        whole,
        cache.resident_bytes,
        model.cache_budget,
        cache.hits,
        cache.misses,
        model.resting.loading,
    )


def node_bytes(model: InfNeRF) -> int:
    """Return the bytes of a node: its field and the densities that are kept of it."""
    return model.fields.shape.node_bytes + model.occupancy.nbytes() // model.tree.nodes


def refuse_budget(budget_bytes: int) -> None:
    """Raise UserError where a budget makes no sense."""
    if budget_bytes < 0:
        raise UserError(
            f"The cache of nodes cannot have {budget_bytes:,} bytes; give it a positive number, or 0 to hold the whole model."
        )
