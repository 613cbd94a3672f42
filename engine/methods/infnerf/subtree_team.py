# SPDX-License-Identifier: MIT
"""A team whose ranks own subtrees, see `engine.methods.infnerf.team`: nobody but for saving and looking has the whole model."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.cpu.crew import Crew, crew
from engine.cpu.lists import Workspace
from engine.cpu.node_adam import FieldMoments
from engine.cpu.node_field import FieldGradients
from engine.methods.infnerf.field_tree import FieldTree
from engine.methods.infnerf.subtrees import SHARED, Subtrees, responsible
from engine.methods.infnerf.team import Alone, Along, Asked, DataTeam, Team, asked_here
from engine.node_fields import NodeFields, empty_fields
from engine.parallel import Ranks, bits

if TYPE_CHECKING:
    from engine.methods.infnerf.model import InfNeRF

log = logging.getLogger(__name__)

GATHER_BYTES = 1 << 26  # of parameters that travel at once
FOR_ALL = ("prune_now", "subdivide_now")  # every rank changes its whole tree
FOR_ONE = ("state", "render", "march", "query", "density", "preview_adapt")  # the first needs all nodes


@dataclass(frozen=True, eq=False)
class _Exchanged(FieldTree):
    """A tree whose densities come from whoever has the nodes."""

    ask: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None

    def density(self, nodes: np.ndarray, positions: np.ndarray, crew: Crew, room: Workspace) -> np.ndarray:
        """Return densities float32 [M] at positions [M,3]."""
        return self.ask(nodes, positions)


class SubtreeTeam(Team):
    """Ranks that own subtrees. Between steps the first may hold the whole model: `gather`."""

    def __init__(self, ranks: Ranks, shared_levels: int) -> None:
        super().__init__(ranks)
        self.shared_levels = shared_levels
        self.parts: Subtrees | None = None
        self._whole = ""  # "first": only rank 0 has all nodes now; "all": everyone has

    def planted(self, model: InfNeRF) -> None:
        """Divide a tree that all ranks have now."""
        self.parts = Subtrees.of(model.tree, self.rank, self.size, self.shared_levels)
        self._whole = "all"
        nodes = len(self.parts.mine)
        log.info(
            "%s nodes=%d/%d share=%.1f%% bytes=%d shared=%d", self.ranks.name, nodes, model.tree.nodes,
            100.0 * nodes / model.tree.nodes, nodes * model.fields.shape.node_bytes, self.parts.shared,
        )  # fmt: skip

    def begin(self, model: InfNeRF) -> None:
        """Keep only the own nodes."""
        if self._whole and model.fields.slots == model.tree.nodes:
            rows = self.parts.mine
            model.fields = NodeFields(model.fields.shape, model.fields.tables[rows], model.fields.mlp[rows])
            moments = {name: array[rows] for name, array in model.moments.arrays().items()}
            model.moments = FieldMoments(**moments)
            model.gradients = FieldGradients.of(model.fields)
        self._whole = ""
        super().begin(model)

    def _bits(self, model: InfNeRF) -> int:
        shared = self.parts.shared
        return bits(model.fields.tables[:shared]) ^ bits(model.fields.mlp[:shared])

    def scene(self, model: InfNeRF) -> FieldTree:
        """Return what samples are placed by: nodes are all there, if not all here."""
        parts = self._part(model)
        return _Exchanged(**vars(parts), ask=lambda nodes, positions: self.density(model, nodes, positions))

    def _part(self, model: InfNeRF) -> FieldTree:
        return FieldTree(model.tree, model.fields, model.occupancy, model.has_background, self.parts.slots)

    def ask(
        self, model: InfNeRF, nodes: np.ndarray, positions: np.ndarray, along: Along | None = None
    ) -> Asked:
        """Return what fields say of samples, each asked where its node is; gradients go back there."""
        mine = np.flatnonzero(responsible(self.parts.owner, nodes, self.size) == self.rank)
        part = None if along is None else Along(along.ray[mine], along.directions, along.looks)
        own = asked_here(model, self._part(model), nodes[mine], positions[mine], part)
        values = np.zeros((len(nodes), 1 if along is None else 4), dtype=np.float32)
        values[mine, 0] = own.density
        if own.rgb is not None:
            values[mine, 1:] = own.rgb
        self.ranks.total(values)

        def back(v_density: np.ndarray, v_rgb: np.ndarray | None) -> np.ndarray:
            return own.back(v_density[mine], None if v_rgb is None else v_rgb[mine])

        density = np.ascontiguousarray(values[:, 0])
        return Asked(density, None if along is None else np.ascontiguousarray(values[:, 1:]), back)

    def density(self, model: InfNeRF, nodes: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Return densities [M], each asked where its node is."""
        mine = np.flatnonzero(responsible(self.parts.owner, nodes, self.size) == self.rank)
        found = np.zeros(len(nodes), dtype=np.float32)
        found[mine] = self._part(model).density(nodes[mine], positions[mine], crew(), model.room)
        self.ranks.total(found)
        return found

    def merge(self, model: InfNeRF, numbers: np.ndarray, asked: np.ndarray, v_looks: np.ndarray) -> None:
        """Sum gradients of shared nodes and appearances; all else is the same everywhere."""
        if v_looks.size:
            self.ranks.total(v_looks)
        gradients, shared = model.gradients, slice(0, self.parts.shared)
        self.ranks.largest(gradients.touched[shared])
        self.ranks.total(gradients.tables[shared])
        self.ranks.total(gradients.mlp[shared])

    def gathers(self, name: str) -> bool:
        """Whether a call needs nodes of other ranks."""
        return self._whole != "all" if name in FOR_ALL else self._whole == "" and name in FOR_ONE

    def gather(self, model: InfNeRF, everyone: bool) -> None:
        """Let the first rank, or everyone, have all nodes until the next step; some at a time travel."""
        keeps = everyone or self.rank == 0
        if model.fields.slots == model.tree.nodes:  # the first has them already, and gives its own once more
            rows = self.parts.mine
            held = [a[rows] for a in self._arrays(model.fields, model.moments)]
        else:
            held = self._arrays(model.fields, model.moments)
        fields = empty_fields(model.fields.shape, model.tree.nodes if keeps else 0)
        moments = FieldMoments.of(fields)
        given = self.parts.owner == self.rank
        if self.rank == 0:  # one of them gives what all have
            given |= self.parts.owner == SHARED
        for own, whole in zip(held, self._arrays(fields, moments), strict=True):
            self._collect(own, whole if keeps else None, given)
        if keeps:
            model.fields, model.moments = fields, moments
            model.gradients = FieldGradients.of(empty_fields(fields.shape, 0))
        self._whole = "all" if everyone else "first"

    def _collect(self, own: np.ndarray, whole: np.ndarray | None, given: np.ndarray) -> None:
        row = int(np.prod(own.shape[1:], dtype=np.int64)) * 4
        step = max(1, GATHER_BYTES // max(row, 1))
        kind = np.float32 if own.dtype == np.float32 else np.int32
        for first in range(0, len(given), step):
            nodes = np.arange(first, min(first + step, len(given)))
            some = nodes[given[nodes]]
            buffer = np.zeros((len(nodes), *own.shape[1:]), dtype=kind)
            buffer[some - first] = own[self.parts.slots[some]]
            self.ranks.total(buffer)
            if whole is not None:
                whole[nodes] = buffer

    @staticmethod
    def _arrays(fields: NodeFields, moments: FieldMoments) -> list[np.ndarray]:
        return [fields.tables, fields.mlp, *moments.arrays().values()]


def team_of(model: InfNeRF, ranks: Ranks) -> Alone:
    """Return the team that a model's options ask for."""
    options = model.config.parallel
    return DataTeam(ranks) if options.kind == "data" else SubtreeTeam(ranks, options.shared_levels)
