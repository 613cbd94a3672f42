# SPDX-License-Identifier: MIT
"""A training step on a GPU that several processes take together, each with a view of its own: see `engine.cpu.shared_step`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.cuda.gradients import Goal
from engine.cuda.lists import ViewLists, VoxelTable, upload
from engine.cuda.train_view import FieldTensors, Scratch, kernel_moments, view_gradients
from engine.parallel import Ranks, Solo


@dataclass(frozen=True, eq=False)
class SharedStep:
    """What one view says, before anybody has taken the step: the loss sums [N_SUMS], and gradients on the device."""

    sums: np.ndarray
    table: VoxelTable
    field: FieldTensors
    scratch: Scratch
    lists: ViewLists
    v_slot: Tensor
    priority: Tensor  # [V], of this view
    degree: int
    adam: Tensor
    corrections: tuple[Tensor, Tensor]

    def take(self, ranks: Ranks | Solo, extra: np.ndarray) -> None:
        """Take the step with all ranks. `extra` float32 [E] travels with the gradients and is replaced by its sum.

        Nothing is changed if a rank is lost on the way.
        """
        table, field, lists, n, points = (
            self.table,
            self.field,
            self.lists,
            self.table.n_voxels,
            self.table.n_points,
        )
        view = n, lists.n_tiles, lists.slot_end, lists.view, lists.packets, self.v_slot
        seen = torch.empty((2, n), dtype=torch.float32, device=table.device)
        table.run("view_seen", n, *view, seen)
        ranks.largest(seen)
        row_end = torch.cumsum(seen[1] > -torch.inf, 0, dtype=torch.int32)
        n_rows = int(row_end[-1]) if n else 0
        colours = (3 * (self.degree + 1) ** 2 + 1) * n_rows
        message = torch.empty(colours + points + len(extra), dtype=torch.float32, device=table.device)
        gradients, v_density = message[:colours], message[colours : colours + points]
        table.run("spread_colours", n, *view, self.priority, seen, row_end, n_rows, self.degree, gradients)
        v_density.copy_(self.scratch.v_density)
        self.scratch.v_density.zero_()
        message[colours + points :] = upload(extra, table.device)
        ranks.total(message)
        extra[:] = message[colours + points :].cpu().numpy()
        share, steps = 1.0 / ranks.size, (len(self.corrections[0]), *self.corrections)
        suffix, moments = kernel_moments(field)
        table.run(
            f"apply_colours{suffix}", n, n, seen, row_end, n_rows, gradients, share, self.adam, *steps, field.sh.shape[1],
            self.degree, field.sh, *moments, field.sh_age, field.priority, field.heaviest, field.footprint,
        )  # fmt: skip
        v_density *= share
        table.run(
            "update_points", points, points, self.adam, *steps, v_density, field.density, field.density_m,
            field.density_v, field.density_age,
        )  # fmt: skip


def shared_step(
    table: VoxelTable,
    field: FieldTensors,
    scratch: Scratch,
    lists: ViewLists,  # packed
    goal: Goal,
    *,
    samples: int,
    degree: int,
    adam: Tensor,
    corrections: tuple[Tensor, Tensor],
    total_variation: float = 0.0,
) -> SharedStep:
    """Return the step that a view asks for. Takes what `train_view.train_on_view` takes, and changes nothing yet."""
    priority = torch.zeros_like(field.priority)
    got = view_gradients(table, field.density, priority, scratch, lists, goal, samples, total_variation)
    sums = got.sums.cpu().numpy()
    return SharedStep(sums, table, field, scratch, lists, got.v_slot, priority, degree, adam, corrections)
