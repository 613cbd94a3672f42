# SPDX-License-Identifier: MIT
"""What evaluates samples: a hash grid and networks in every node, all in two tensors, or fields of one's own.

`HashFields` is what the app trains as well. `CustomFields` calls a module per node, made by a `FieldFactory`. Both take
samples with the node that each belongs to and the place in that node's cube.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from engine.errors import OptionError
from engine.inf_nerf.octree import OctreeNode, TreeTensors
from engine.inf_nerf.settings import InfNeRFConfig
from engine.node_fields import FieldShape, NodeFields, fresh_fields
from engine.render.node_field import FieldOutput, node_field

FieldFactory = Callable[[InfNeRFConfig, OctreeNode], nn.Module]
APPEARANCE_INIT = 1e-2  # standard deviation that a photo's values begin with


def shape_of(config: InfNeRFConfig) -> FieldShape:
    """Return the sizes of a node's field. Raises OptionError for what the kernels have no room for."""
    return FieldShape(
        levels=config.grid_levels, log2_table=config.log2_hashmap_size, base_res=config.base_resolution,
        max_res=config.grid_size, hidden=config.hidden_dim, geometry=config.geometry_dim,
        appearance=config.appearance_dim, density_unit=config.density_scale,
    )  # fmt: skip


class Fields(nn.Module, ABC):
    """One field per node. Public: `nodes`, `node_bytes`."""

    nodes: int
    node_bytes: int

    def __init__(self, config: InfNeRFConfig) -> None:
        super().__init__()
        self.config = config

    def forward(
        self,
        node: Tensor,  # int64 [M]
        unit: Tensor,  # [M,3] in [0,1]
        ray: Tensor,  # int64 [M]
        directions: Tensor,  # [N,3] of the rays, unit length
        photo: Tensor | None = None,  # int64 [N] of the rays; None: no photo's appearance
    ) -> tuple[Tensor, Tensor]:
        """Return densities [M] and colours [M,3] in [0,1], float32."""
        if self.config.gradient_checkpointing and torch.is_grad_enabled():
            return checkpoint(self.evaluate, node, unit, ray, directions, photo, use_reentrant=False)
        return self.evaluate(node, unit, ray, directions, photo)

    @abstractmethod
    def evaluate(
        self, node: Tensor, unit: Tensor, ray: Tensor, directions: Tensor, photo: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """What `forward` computes."""

    @abstractmethod
    def density(self, node: Tensor, unit: Tensor) -> Tensor:
        """Return densities [M]."""

    @abstractmethod
    def keep(self, rows: Tensor) -> None:
        """Keep the fields of these nodes int64 [n], in this order."""


class HashFields(Fields):
    """Parameters `tables [N,E,F]` and `mlp [N,P]`, as `engine.node_fields.NodeFields` has them, and `appearance [photos,A]`."""

    def __init__(self, config: InfNeRFConfig, nodes: int) -> None:
        super().__init__(config)
        self.shape = shape_of(config)
        rng = np.random.default_rng(config.seed)
        self._hold(fresh_fields(self.shape, nodes, rng))
        rows = config.num_photos if config.appearance_dim else 0
        start = rng.normal(scale=APPEARANCE_INIT, size=(rows, config.appearance_dim)).astype(np.float32)
        self.appearance = nn.Parameter(torch.from_numpy(start))

    def _hold(self, fields: NodeFields) -> None:
        self.tables = nn.Parameter(torch.from_numpy(fields.tables))
        self.mlp = nn.Parameter(torch.from_numpy(fields.mlp))

    @property
    def nodes(self) -> int:
        """How many nodes there are."""
        return len(self.tables)

    @property
    def node_bytes(self) -> int:
        """Bytes of a node's parameters."""
        return self.shape.node_bytes

    def evaluate(
        self, node: Tensor, unit: Tensor, ray: Tensor, directions: Tensor, photo: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """What `forward` computes."""
        looks = self._looks(photo, len(directions)) if self.shape.appearance else None
        found = self._evaluated(node, unit, ray, directions, looks)
        return found.density, found.rgb

    def density(self, node: Tensor, unit: Tensor) -> Tensor:
        """Return densities [M]."""
        return self._evaluated(node, unit).density

    def _evaluated(self, node: Tensor, unit: Tensor, *along: Tensor | None) -> FieldOutput:
        return node_field(self.shape, self.tables, self.mlp, node, unit, *along)

    def _looks(self, photo: Tensor | None, rays: int) -> Tensor:
        """Return each ray's appearance [N,A]: its photo's, or the mean of all where it has none."""
        if not len(self.appearance):
            return self.mlp.new_zeros(rays, self.shape.appearance)
        if photo is None:
            return self.appearance.mean(dim=0).expand(rays, -1)
        return self.appearance[photo % len(self.appearance)]

    def keep(self, rows: Tensor) -> None:
        """Keep the fields of these nodes int64 [n], in this order."""
        self.tables = nn.Parameter(self.tables.detach()[rows])
        self.mlp = nn.Parameter(self.mlp.detach()[rows])


class CustomFields(Fields):
    """A module per node, from `factory(config, node)`: called with (unit [n,3], directions [n,3], photo [n] or None).

    It returns densities [n] per scene unit, 0 or above, and colours [n,3] in [0,1].
    """

    def __init__(self, config: InfNeRFConfig, octree: TreeTensors, factory: FieldFactory) -> None:
        super().__init__(config)
        self.modules_of_nodes = nn.ModuleList(factory(config, node) for node in octree.nodes())

    @property
    def nodes(self) -> int:
        """How many nodes there are."""
        return len(self.modules_of_nodes)

    @property
    def node_bytes(self) -> int:
        """Bytes of the root's parameters."""
        return sum(p.nbytes for p in self.modules_of_nodes[0].parameters())

    def evaluate(
        self, node: Tensor, unit: Tensor, ray: Tensor, directions: Tensor, photo: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """What `forward` computes."""
        order = torch.argsort(node, stable=True)
        found, counts = torch.unique_consecutive(node[order], return_counts=True)
        densities, colours = [unit.new_zeros(0)], [unit.new_zeros(0, 3)]
        for which, rows in zip(found.tolist(), order.split(counts.tolist())):
            own = None if photo is None else photo[ray[rows]]
            density, colour = self.modules_of_nodes[which](unit[rows], directions[ray[rows]], own)
            densities.append(_checked(density, (len(rows),)).float())
            colours.append(_checked(colour, (len(rows), 3)).float())
        back = torch.argsort(order)
        return torch.cat(densities)[back], torch.cat(colours)[back]

    def density(self, node: Tensor, unit: Tensor) -> Tensor:
        """Return densities [M], which may not depend on the direction."""
        ahead = unit.new_tensor([[0.0, 0.0, 1.0]])
        return self.evaluate(node, unit, torch.zeros_like(node), ahead, None)[0]

    def keep(self, rows: Tensor) -> None:
        """Keep the fields of these nodes int64 [n], in this order."""
        self.modules_of_nodes = nn.ModuleList(self.modules_of_nodes[i] for i in rows.tolist())


def _checked(values: Tensor, shape: tuple[int, ...]) -> Tensor:
    if tuple(values.shape) != shape:
        raise OptionError(
            f"A field of a field_factory must return densities [n] and colours [n,3], got {list(values.shape)} for {list(shape)}."
        )
    return values
