# SPDX-License-Identifier: MIT
"""Training in the processes that torchrun started: the rays of a batch are divided, or the nodes of the tree.

See `engine.methods.infnerf.team`, whose division of nodes is used here too. Either way a step is that of one process with the
whole batch, up to the order in which numbers are added.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from engine.errors import OptionError
from engine.inf_nerf.fields import Fields, HashFields
from engine.inf_nerf.model import InfNeRF
from engine.inf_nerf.optimizer import TouchedAdam
from engine.methods.infnerf.subtrees import SHARED, Subtrees, responsible
from engine.node_tree import NodeTree
from engine.parallel import ParallelError, Ranks, Solo, join, place_from_env

log = logging.getLogger(__name__)

PER_NODE = ("tables", "mlp")  # parameters of hash fields that have a row for each node


class Division:
    """One process, or several that divide the rays. `rank` 0 writes files and validates."""

    def __init__(self, ranks: Ranks | Solo) -> None:
        self.ranks, self.rank, self.size = ranks, ranks.rank, ranks.size

    def rays(self, count: int) -> tuple[int, int]:
        """Return the first of `count` rays that this rank takes, and the one behind the last."""
        return self.rank * count // self.size, (self.rank + 1) * count // self.size

    def takes_turn(self, step: int) -> bool:
        """Whether this rank computes what is not about rays in a step."""
        return step % self.size == self.rank

    def divide(self, trainer: Any) -> None:
        """Keep what this rank needs of a model that all have alike, and of the optimiser's state."""

    def reduce(self, model: InfNeRF) -> None:
        """Sum the gradients over the ranks."""
        if self.size > 1:
            for parameter in model.fields.parameters():
                self._total_of(parameter)

    def _total_of(self, parameter: nn.Parameter) -> None:
        if parameter.numel():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            self.ranks.total(parameter.grad)

    def sums(self, values: dict[str, float]) -> dict[str, float]:
        """Return numbers summed over the ranks, which have the same names."""
        array = np.array(list(values.values()), dtype=np.float64)
        self.ranks.total(array)
        return dict(zip(values, array.tolist()))

    @contextlib.contextmanager
    def whole(self, trainer: Any) -> Iterator[None]:
        """Let the model be whole, and the optimiser know all of it, for as long as the block lasts."""
        yield

    def same(self, value: float) -> float:
        """Return what the first rank has."""
        array = np.array([value if self.rank == 0 else 0.0])
        self.ranks.total(array)
        return float(array[0])

    def close(self) -> None:
        """Leave the others."""
        if isinstance(self.ranks, Ranks):
            self.ranks.close()


class PartialFields(Fields):
    """The hash fields of some nodes of a tree. Other ranks are asked for the rest, at the same time as they ask here."""

    def __init__(self, own: HashFields, parts: Subtrees, ranks: Ranks) -> None:
        super().__init__(own.config)
        self.own, self.parts, self.ranks = own, parts, ranks
        self.register_buffer("slots", torch.from_numpy(parts.slots.astype(np.int64)), persistent=False)

    @property
    def nodes(self) -> int:
        """How many nodes the tree has."""
        return len(self.parts.owner)

    @property
    def node_bytes(self) -> int:
        """Bytes of a node's parameters."""
        return self.own.node_bytes

    def evaluate(
        self, node: Tensor, unit: Tensor, ray: Tensor, directions: Tensor, photo: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """What `forward` computes: samples of others' nodes are constants here."""
        mine = self._mine(node)
        density, rgb = self.own.evaluate(self.slots[node[mine]], unit[mine], ray[mine], directions, photo)
        return self._exchanged(mine, len(node), density), self._exchanged(mine, len(node), rgb)

    def density(self, node: Tensor, unit: Tensor) -> Tensor:
        """Return densities [M]."""
        mine = self._mine(node)
        return self._exchanged(mine, len(node), self.own.density(self.slots[node[mine]], unit[mine]))

    def keep(self, rows: Tensor) -> None:
        """Refuse: nodes change only where the model is whole."""
        raise ParallelError(
            "Nodes cannot be dropped while other processes hold some of them; prune after training."
        )

    def _mine(self, node: Tensor) -> Tensor:
        who = responsible(self.parts.owner, node.cpu().numpy(), self.ranks.size)
        return torch.from_numpy(np.flatnonzero(who == self.ranks.rank)).to(node.device)

    def _exchanged(self, mine: Tensor, samples: int, values: Tensor) -> Tensor:
        """Return what all ranks found [M,...]; only our own has gradients."""
        found = values.detach().new_zeros(samples, *values.shape[1:])
        found[mine] = values.detach()
        self.ranks.total(found)
        return found.index_copy(0, mine, values)


class SubtreeDivision(Division):
    """Ranks that own subtrees, and march all rays together."""

    def __init__(self, ranks: Ranks, shared_levels: int = 1) -> None:
        super().__init__(ranks)
        self.shared_levels = shared_levels

    def rays(self, count: int) -> tuple[int, int]:
        """All ranks have all rays."""
        return 0, count

    def takes_turn(self, step: int) -> bool:
        """All ranks take part in everything."""
        return True

    def divide(self, trainer: Any) -> None:
        """Keep the own nodes and the shared ones."""
        model, fields = trainer.model, trainer.model.fields
        if not isinstance(fields, HashFields):
            raise OptionError(
                "InfNeRFTrainerConfig.parallel 'subtree' divides models of hash grids; with a field_factory choose 'data'."
            )
        parts, nodes = self._parts(model.tree), model.tree.nodes
        rows = torch.from_numpy(parts.mine).to(model.device)
        fields.keep(rows)
        trainer.optimizer = trainer.optimizer.carried(fields.parameters(), rows, nodes)
        model.fields = PartialFields(fields, parts, self.ranks).to(model.device)
        log.info(
            "%s nodes=%d/%d share=%.1f%% bytes=%d shared=%d", self.ranks.name, len(rows), nodes,
            100.0 * len(rows) / nodes, len(rows) * fields.node_bytes, parts.shared,
        )  # fmt: skip

    def _parts(self, tree: NodeTree) -> Subtrees:
        return Subtrees.of(tree, self.rank, self.size, self.shared_levels)

    def reduce(self, model: InfNeRF) -> None:
        """Sum the gradients of shared nodes, and of photos' appearances."""
        shared = model.fields.parts.shared
        for name, parameter in model.fields.own.named_parameters():
            if name not in PER_NODE:
                self._total_of(parameter)
            else:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                self.ranks.total(parameter.grad[:shared])

    def sums(self, values: dict[str, float]) -> dict[str, float]:
        """All ranks have the same numbers."""
        return values

    @contextlib.contextmanager
    def whole(self, trainer: Any) -> Iterator[None]:
        """Let every rank have the whole model and the optimiser's state for as long as the block lasts."""
        model = trainer.model
        if not isinstance(model.fields, PartialFields):  # it is whole already
            yield
            return
        partial, optimizer, tree = model.fields, trainer.optimizer, model.tree
        model.fields, trainer.optimizer = self._gathered(partial, optimizer)
        try:
            yield
        finally:
            if model.tree is tree:
                model.fields, trainer.optimizer = partial, optimizer
            else:  # pruned meanwhile
                self.divide(trainer)

    def _gathered(self, partial: PartialFields, optimizer: TouchedAdam) -> tuple[HashFields, TouchedAdam]:
        """Return the fields of all nodes, and the optimiser with their state."""
        own, parts = partial.own, partial.parts
        whole = HashFields(own.config, 0)
        for name, parameter in own.named_parameters():
            values = parameter.detach()
            setattr(
                whole, name, nn.Parameter(self._all(values, parts) if name in PER_NODE else values.clone())
            )
        found = TouchedAdam(whole.parameters(), **optimizer.defaults)
        for name, parameter in own.named_parameters():
            state = optimizer.state.get(parameter) or optimizer.fresh(parameter)
            if name in PER_NODE:
                state = {key: self._all_rows(value, parts) for key, value in state.items()}
            found.state[whole.get_parameter(name)] = state
        return whole, found

    def _all_rows(self, values: Tensor, parts: Subtrees) -> Tensor:
        """Return an optimiser's state of all nodes: of moments [n,...], or of ages, as many as a node has rows."""
        nodes = len(parts.mine)
        return self._all(values.view(nodes, -1), parts).reshape(-1, *values.shape[1:])

    def _all(self, values: Tensor, parts: Subtrees) -> Tensor:
        """Return values [n,...] of the own nodes as those of all nodes [N,...]; the first rank gives what is shared."""
        given = parts.owner == self.rank
        if self.rank == 0:
            given |= parts.owner == SHARED
        nodes = np.flatnonzero(given)
        found = values.new_zeros(len(parts.owner), *values.shape[1:])
        found[torch.from_numpy(nodes)] = values[torch.from_numpy(parts.slots[nodes].astype(np.int64))]
        self.ranks.total(found)
        return found


def division_of(distributed: bool, kind: str, local_rank: int | None, device: torch.device) -> Division:
    """Return how a trainer's configuration divides the work; joins the other processes where there are any."""
    if not distributed:
        return Division(Solo())
    place = place_from_env()
    if place is None and "RANK" in os.environ:  # torchrun started one
        return Division(Solo())
    if place is None:
        raise ParallelError(
            "InfNeRFTrainerConfig.distributed needs several processes; start the program with "
            "torchrun --nproc-per-node N, or set distributed=False."
        )
    if device.type == "cuda":
        torch.cuda.set_device(place.local_rank if local_rank is None else local_rank)
    ranks = join(place, nccl=device.type == "cuda")
    return Division(ranks) if kind == "data" else SubtreeDivision(ranks)
