# SPDX-License-Identifier: MIT
"""A model on the disk, node by node, and pictures of it with only some nodes in memory.

`write` keeps a folder of nodes up to date with a model; `StoredModel` looks at such a folder within a budget of bytes.
Samples are placed by the map of all nodes, so they are the same whatever is in memory; a sample whose node is not there is
shown by its nearest ancestor that is. Once all that a picture needs is there, its bits are those of the whole model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from engine.cameras import Camera
from engine.cpu.crew import crew
from engine.cpu.lists import Workspace
from engine.errors import CheckpointError
from engine.methods.common import Buffers
from engine.methods.infnerf.config import InfNeRFConfig
from engine.methods.infnerf.field_tree import FieldTree
from engine.methods.infnerf.march import Marched, MarchOptions, march, march_options, place_samples
from engine.methods.infnerf.rays import Rays, rays_of
from engine.methods.infnerf.view import view
from engine.node_cache import CacheCounters, NodeCache
from engine.node_occupancy import Occupancy
from engine.node_store import NodeStore, Update, open_store, write_store
from engine.options import flatten, updated

if TYPE_CHECKING:
    from engine.methods.infnerf.model import InfNeRF

_MOST_ROUNDS = 8  # of asking for nodes, where what samples need depends on the fields themselves


def write(model: InfNeRF, folder: str | Path) -> tuple[NodeStore, Update]:
    """Write a model's nodes into a folder, or those that changed since they were written there last."""
    rows = {
        "tables": model.fields.tables,
        "mlp": model.fields.mlp,
        "density": model.occupancy.density,
        "free": model.occupancy.free,
    }
    usual = model.appearance.usual(1)
    options = {
        "method": model.name,
        "values": flatten(model.config),
        "surroundings": model.has_background,
        "behind": [float(value) for value in model.background],
        "appearance": None if usual is None else [float(value) for value in usual[0]],
        "threshold": float(model.occupancy.threshold),
    }
    return write_store(folder, model.tree, model.fields.shape, rows, step=model.step, options=options)


@dataclass(frozen=True)
class Seen:
    """A picture of a stored model: whether all nodes that it wanted were in memory, and what the cache counted."""

    buffers: Buffers
    complete: bool
    counters: CacheCounters
    wanted: np.ndarray  # nodes int32 whose fields the picture would show if all were there, ascending


class StoredModel:
    """Pictures of a folder of nodes. Use it in a `with` block: a thread reads nodes until it is closed."""

    def __init__(self, folder: str | Path, budget_bytes: int) -> None:
        store = open_store(folder)
        options = store.options
        if options.get("method") != "infnerf":
            raise CheckpointError(f"{folder} holds nodes of no InfNeRF model; write the store again.")
        self.config = updated(InfNeRFConfig(), options["values"])
        self.behind = np.array(options["behind"], dtype=np.float32)
        self._surroundings = bool(options["surroundings"])
        self._usual = options["appearance"]
        self.cache = NodeCache(store, budget_bytes)
        density, free = self.cache.map["density"], self.cache.map["free"]
        self._occupancy = Occupancy(
            self.config.sampling.grid, density, free, float(options["threshold"]), self._surroundings
        )
        self._room = Workspace()
        self.breathe: Callable[[], None] = lambda: None  # called between parts of a picture; it may raise

    def __enter__(self) -> StoredModel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cache.close()

    @property
    def field_tree(self) -> FieldTree:
        """The tree with the fields that are in memory now."""
        cache = self.cache
        return FieldTree(cache.store.tree, cache.fields, self._occupancy, self._surroundings, cache.slot_of)

    def wanted(self, camera: Camera) -> np.ndarray:
        """Return the nodes int32, ascending, that a picture would need; nothing is evaluated to find out.

        Only where earlier rounds of samples are evaluated (option sampling.rounds) does it depend on what is in memory.
        """
        scene, options, tree = self.field_tree, self._options(), self.cache.store.tree
        rays, found = rays_of(camera, tree), np.zeros(tree.nodes, dtype=bool)
        for part in self._parts(rays):
            self.breathe()
            found[place_samples(scene, part, options, None, crew(), self._room).node] = True
        return np.flatnonzero(found).astype(np.int32)

    def render(
        self,
        camera: Camera,
        want: frozenset[str] = frozenset(),
        *,
        supersample: float = 1.0,
        background: tuple[float, float, float] | None = None,
    ) -> Seen:
        """Return a picture with what is in memory, and have the rest read in the background. Never waits for the disk.

        Raises UserError, with the number, where the budget is smaller than what the picture needs.
        """
        fine = camera if supersample == 1.0 else camera.scaled(supersample)
        self.cache.request(self.wanted(fine))
        return self._seen(camera, want, supersample, background)

    def render_whole(
        self,
        camera: Camera,
        want: frozenset[str] = frozenset(),
        *,
        supersample: float = 1.0,
        background: tuple[float, float, float] | None = None,
    ) -> Seen:
        """Return a picture as the whole model shows it: wait for every node that it needs."""
        fine = camera if supersample == 1.0 else camera.scaled(supersample)
        for _ in range(_MOST_ROUNDS):
            self.cache.request(self.wanted(fine))
            self.cache.wait()
            if not self.config.sampling.rounds or self.cache.request(self.wanted(fine)):
                break
        return self._seen(camera, want, supersample, background)

    def _seen(
        self, camera: Camera, want: frozenset[str], supersample: float,
        background: tuple[float, float, float] | None,
    ) -> Seen:  # fmt: skip
        scene, options = self.field_tree, self._options()
        behind = self.behind if background is None else np.asarray(background, np.float32)

        wanted = np.zeros(scene.tree.nodes, dtype=bool)

        def along(rays: Rays) -> Marched:
            self.breathe()
            usual = None
            if self._usual is not None:
                usual = np.tile(np.array(self._usual, np.float32), (len(rays.rays_o), 1))
            seen = march(scene, rays, options, behind, crew(), self._room, usual)
            wanted[seen.wanted] = True
            return seen

        buffers, _ = view(scene.tree, camera, want, supersample, along, self.config.schedule.view_rays)
        complete = bool(self.cache.resident[wanted].all())
        return Seen(buffers, complete, self.cache.counters(), np.flatnonzero(wanted).astype(np.int32))

    def _options(self) -> MarchOptions:
        return march_options(self.config.sampling, self.cache.store.tree, self.config.sampling.view_samples)

    def _parts(self, rays: Rays) -> list[Rays]:
        chunk = self.config.schedule.view_rays
        return [rays.part(first, first + chunk) for first in range(0, len(rays.rays_o), chunk)]
