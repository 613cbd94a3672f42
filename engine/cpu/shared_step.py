# SPDX-License-Identifier: MIT
"""A training step on the CPU that several processes take together, each with a view of its own.

Instead of the fused update of `train_view`: what the view says of each voxel is collected, gradients are added up over all ranks,
and every rank takes the same Adam step along their mean. First the ranks tell each other which voxels they saw; then only rows
that somebody saw travel, in one message: (3 K + 1) floats a voxel and one a grid point.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.cpu.apply_step import FieldGradients, apply_gradients
from engine.cpu.crew import Crew
from engine.cpu.lists import ViewLists, VoxelTable, Workspace
from engine.cpu.shade import GROUP
from engine.cpu.shared_update import (
    FOUND,
    collect_points,
    collect_voxels,
    seen_groups,
    spread_groups,
)
from engine.cpu.train_view import FieldArrays, view_gradients
from engine.parallel import Ranks, Solo


@dataclass(frozen=True, eq=False)
class SharedStep:
    """What one view says, before anybody has taken the step: the loss sums [N_SUMS] and, by voxel, `found` and `seen`.

    See `shared_update.collect_voxels`. Valid until the workspace is used for another view.
    """

    sums: np.ndarray
    found: np.ndarray
    seen: np.ndarray
    table: VoxelTable
    field: FieldArrays
    owners: tuple[np.ndarray, np.ndarray]
    v_corners: np.ndarray
    lists: ViewLists
    crew: Crew
    room: Workspace
    degree: int
    adam: np.ndarray
    corrections: tuple[np.ndarray, np.ndarray]

    def take(self, ranks: Ranks | Solo, extra: np.ndarray) -> None:
        """Take the step with all ranks. `extra` float32 [E] travels with the gradients and is replaced by its sum.

        Nothing is changed if a rank is lost on the way.
        """
        table, field, run = self.table, self.field, self.crew.run
        ranks.largest(self.seen)
        groups = seen_groups(self.seen)
        shape = (len(groups), 3 * (self.degree + 1) ** 2 + 1, GROUP)
        colours, points = int(np.prod(shape)), len(field.density)
        message = self.room.take("shared_gradients", (colours + points + len(extra),), np.float32)
        gradients = message[:colours].reshape(shape)
        v_density = message[colours : colours + points]
        run(
            spread_groups,
            groups,
            table.soa,
            table.stride,
            self.lists.view,
            self.degree,
            self.found,
            gradients,
        )
        run(collect_points, *self.owners, self.v_corners, v_density)
        message[colours + points :] = extra
        ranks.total(message)
        extra[:] = message[colours + points :]
        apply_gradients(
            field, FieldGradients(groups, gradients, v_density, self.seen), self.crew,
            degree=self.degree, adam=self.adam, corrections=self.corrections, share=1.0 / ranks.size,
        )  # fmt: skip


def shared_step(
    table: VoxelTable,
    field: FieldArrays,
    owners: tuple[np.ndarray, np.ndarray],
    scratch: tuple[np.ndarray, np.ndarray],
    lists: ViewLists,
    rgb: np.ndarray,
    crew: Crew,
    room: Workspace,
    *,
    degree: int,
    adam: np.ndarray,
    corrections: tuple[np.ndarray, np.ndarray],
    **loss: Any,
) -> SharedStep:
    """Return the step that a view asks for. Takes what `train_view.train_on_view` takes, and changes nothing yet."""
    live, rows, sums = view_gradients(table, field.density, lists, rgb, crew, room, **loss)
    n = table.n_voxels
    found = room.take("found", (-(-n // GROUP), FOUND, GROUP), np.float32)
    seen = room.take("seen", (2, n), np.float32)
    v_corners, has_gradient = scratch
    crew.run(
        collect_voxels, lists.rect, lists.first_pair, lists.pair_slot, live, rows, table.soa, table.stride, lists.view,
        rgb, table.corner_idx, field.density, adam, v_corners, has_gradient, found, seen,
    )  # fmt: skip
    return SharedStep(
        sums, found, seen, table, field, owners, v_corners, lists, crew, room, degree, adam, corrections
    )
