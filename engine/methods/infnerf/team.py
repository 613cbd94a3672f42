# SPDX-License-Identifier: MIT
"""InfNeRF trained by several processes. Every rank draws the same batch and the same places; what they compute is divided.

Data-parallel: each rank has the whole model and takes a part of the rays; gradients of touched nodes are summed, and what nodes
remember of their densities put together, so that all ranks stay the same. Subtree-parallel: the top levels are
everybody's, each rank has the parameters and the optimiser's state of its own subtrees only. Every sample is evaluated by who
has its node (samples of shared nodes are dealt out), densities and colours are exchanged, everybody composites all rays and
takes the gradients back into its own nodes; those of shared nodes are summed. Both give the step of one process, up to
the order in which numbers are added.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.cpu.crew import crew
from engine.cpu.node_field import backward, forward
from engine.methods.infnerf.field_tree import FieldTree
from engine.options import flatten
from engine.parallel import Ranks, bits

if TYPE_CHECKING:
    from engine.methods.infnerf.model import InfNeRF

CHECK_EVERY = 100  # steps; the models are compared when the tree changed, too
Back = Callable[[np.ndarray, "np.ndarray | None"], np.ndarray]


@dataclass(frozen=True)
class Asked:
    """What fields said of M samples; `back(v_density, v_rgb)` adds gradients and returns those of the rays' appearance."""

    density: np.ndarray
    rgb: np.ndarray | None
    back: Back


@dataclass(frozen=True)
class Along:
    """What colours need of samples: `ray` int32 [M], unit `directions [Q,3]`, `looks [Q,A]` or None."""

    ray: np.ndarray
    directions: np.ndarray
    looks: np.ndarray | None


class Alone:
    """The only process of a training."""

    rank, size = 0, 1

    def begin(self, model: InfNeRF) -> None:
        """Make ready for a step."""

    def rays(self, count: int) -> tuple[int, int]:
        """Return the first of `count` rays that this rank marches, and the one behind the last."""
        return 0, count

    def scene(self, model: InfNeRF) -> FieldTree:
        """Return what samples are placed by."""
        return model.field_tree

    def ask(
        self, model: InfNeRF, nodes: np.ndarray, positions: np.ndarray, along: Along | None = None
    ) -> Asked:
        """Return what fields say of samples [M] of nodes at positions [M,3], ready to take gradients back."""
        return asked_here(model, model.field_tree, nodes, positions, along)

    def density(self, model: InfNeRF, nodes: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Return densities [M] at places that all ranks have drawn alike."""
        return model.field_tree.density(nodes, positions, crew(), model.room)

    def takes_turn(self, model: InfNeRF) -> bool:
        """Whether this rank does what one of them has to do in a step."""
        return True

    def merge(self, model: InfNeRF, numbers: np.ndarray, asked: np.ndarray, v_looks: np.ndarray) -> None:
        """Put together what ranks found in a step: losses, errors by node [N], gradients of all the batch's appearances."""

    def planted(self, model: InfNeRF) -> None:
        """Hear of a tree and fields that the model has just taken."""

    def gathers(self, name: str) -> bool:
        """Whether a method call of that name needs what other ranks have."""
        return False

    def gather(self, model: InfNeRF, everyone: bool) -> None:
        """Let the first rank, or everyone, have the whole model until the next step."""


def asked_here(
    model: InfNeRF, scene: FieldTree, nodes: np.ndarray, positions: np.ndarray, along: Along | None
) -> Asked:
    more = (None, None, None) if along is None else (along.ray, along.directions, along.looks)
    inputs = scene.inputs(nodes, positions, crew(), *more)
    seen = forward(scene.fields, inputs, crew(), model.room, keep=True)

    def back(v_density: np.ndarray, v_rgb: np.ndarray | None) -> np.ndarray:
        return backward(scene.fields, inputs, seen, v_density, v_rgb, model.gradients, crew(), model.room)

    return Asked(seen.density, seen.rgb, back)


class Team(Alone):
    """What both kinds have in common."""

    def __init__(self, ranks: Ranks) -> None:
        self.ranks, self.rank, self.size = ranks, ranks.rank, ranks.size
        self._checked, self._nodes = -1, 0

    def begin(self, model: InfNeRF) -> None:
        """Make ready for a step; now and then compare the ranks, and stop with a sentence where they differ."""
        first = self._checked < 0
        if not first and model.tree.nodes == self._nodes and model.step - self._checked < CHECK_EVERY:
            return
        self._checked, self._nodes = model.step, model.tree.nodes
        if first:
            self.ranks.check_same("photos and options", _fingerprint(model))
        self.ranks.check_same("nodes", zlib.crc32(np.ascontiguousarray(model.tree.cell)) ^ model.step)
        self.ranks.check_same("fields", self._bits(model) ^ bits(model.occupancy.density))

    def _bits(self, model: InfNeRF) -> int:
        return bits(model.fields.tables) ^ bits(model.fields.mlp)


class DataTeam(Team):
    """Ranks with a whole model each and a part of the rays."""

    def rays(self, count: int) -> tuple[int, int]:
        """Return this rank's part of `count` rays."""
        return self.rank * count // self.size, (self.rank + 1) * count // self.size

    def density(self, model: InfNeRF, nodes: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Return densities [M]; each rank asks its part of them."""
        first, last = self.rays(len(nodes))
        found = np.zeros(len(nodes), dtype=np.float32)
        found[first:last] = super().density(model, nodes[first:last], positions[first:last])
        self.ranks.total(found)
        return found

    def takes_turn(self, model: InfNeRF) -> bool:
        """Ranks take turns."""
        return model.step // model.config.losses.every % self.size == self.rank

    def merge(self, model: InfNeRF, numbers: np.ndarray, asked: np.ndarray, v_looks: np.ndarray) -> None:
        """Sum losses, errors and gradients; a remembered density is the largest that any rank found."""
        for values in (numbers, asked, v_looks):
            if values.size:
                self.ranks.total(values)
        gradients = model.gradients
        self.ranks.largest(gradients.touched)
        nodes = np.flatnonzero(gradients.touched)
        for values in (gradients.tables, gradients.mlp):
            _on_rows(values, nodes, self.ranks.total)
        _on_rows(model.occupancy.density, nodes, self.ranks.largest)


def _on_rows(values: np.ndarray, rows: np.ndarray, together: Callable[[np.ndarray], None]) -> None:
    """Compute rows of an array together, in place; those of the others have nothing to add."""
    if len(rows) == len(values):
        together(values)
    elif len(rows):
        some = values[rows]
        together(some)
        values[rows] = some


def _fingerprint(model: InfNeRF) -> int:
    """Return a number of everything that training begins with."""
    parts = [repr(flatten(model.config)), repr((model.seed, model.step, sorted(model.photos.excluded)))]
    parts += [f"{view.name} {view.camera}" for view in model.scene.train.views]
    return zlib.crc32("\n".join(parts).encode())
