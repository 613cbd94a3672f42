# SPDX-License-Identifier: MIT
"""A tree and its fields, wherever they lie: all that rays need. The model in training has one, so has a store of nodes."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from engine.cpu.crew import Crew
from engine.cpu.lists import Workspace
from engine.cpu.node_field import Inputs, forward
from engine.cpu.node_place import place_in_nodes
from engine.node_fields import NodeFields
from engine.node_occupancy import Occupancy
from engine.node_tree import NodeTree


@dataclass(frozen=True, eq=False)
class FieldTree:
    """The nodes of a tree, the fields of some or all of them, and what is known to be empty.

    `slots` int32 [N] says where in `fields` a node's lies, -1 where it is not there and an ancestor stands in; the root's is
    always there. None: node n's is field n. With a `background` the root shows what is around its cube, by contraction.
    """

    tree: NodeTree
    fields: NodeFields
    occupancy: Occupancy
    background: bool
    slots: np.ndarray | None = None

    @cached_property
    def stand_in(self) -> np.ndarray:
        """The node int32 [N] whose field shows each node: itself where it is there, else its nearest ancestor that is."""
        found = np.arange(self.tree.nodes, dtype=np.int32)
        if self.slots is not None:
            for first, last in itertools.pairwise(
                self.tree.level_start[1:]
            ):  # parents come before their children
                nodes = found[first:last]
                found[first:last] = np.where(self.slots[nodes] >= 0, nodes, found[self.tree.parent[nodes]])
        return found

    def shown(self, nodes: np.ndarray) -> np.ndarray:
        """Return the node int32 [M] whose field shows each of some nodes [M]."""
        return nodes if self.slots is None else self.stand_in[nodes]

    def inputs(
        self,
        nodes: np.ndarray,  # [M] int32
        positions: np.ndarray,  # [M,3] engine units
        crew: Crew,
        ray: np.ndarray | None = None,  # [M] int32
        directions: np.ndarray | None = None,  # [Q,3] unit
        appearance: np.ndarray | None = None,  # [Q,A]
    ) -> Inputs:
        """Return samples as the field kernels take them, each with the field that shows its node."""
        nodes = self.shown(nodes)
        place = place_in_nodes(self.tree, nodes, positions, crew, background=self.background)
        slot = nodes if self.slots is None else self.slots[nodes]
        return Inputs.of(self.fields, slot, place, ray, directions, appearance)

    def density(self, nodes: np.ndarray, positions: np.ndarray, crew: Crew, room: Workspace) -> np.ndarray:
        """Return densities float32 [M] per engine unit at positions [M,3], each as its node sees it."""
        return forward(self.fields, self.inputs(nodes, positions, crew), crew, room).density
