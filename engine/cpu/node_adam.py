# SPDX-License-Identifier: MIT
"""Adam for the fields of nodes: table entries that have a gradient, and the networks of slots that had samples.

m <- b1 m + (1 - b1) g, v <- b2 v + (1 - b2) g^2, p <- p - rate (m / (1 - b1^n)) / (sqrt(v / (1 - b2^n)) + eps), with n counted
per entry (per slot for networks): one that is rarely seen is corrected by how often it was updated. An entry whose gradient
is 0 keeps value, moments and age. Consumed gradients are set back to 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.cpu.crew import Crew
from engine.cpu.node_adam_step import N_ADAM, scatter_and_step, step_networks, step_tables
from engine.cpu.node_field import FieldGradients, level_numbers
from engine.node_fields import NodeFields


@dataclass(eq=False)
class FieldMoments:
    """Adam's state: m and v of tables [S, entries, F] and mlp [S, mlp_size]; ages uint16 [S, entries] and [S]: updates so far."""

    table_m: np.ndarray
    table_v: np.ndarray
    table_age: np.ndarray
    mlp_m: np.ndarray
    mlp_v: np.ndarray
    mlp_age: np.ndarray

    @classmethod
    def of(cls, fields: NodeFields) -> FieldMoments:
        """Return the state before the first step."""
        slots, entries = fields.tables.shape[:2]
        return cls(
            np.zeros_like(fields.tables), np.zeros_like(fields.tables), np.zeros((slots, entries), np.uint16),
            np.zeros_like(fields.mlp), np.zeros_like(fields.mlp), np.zeros(slots, np.uint16),
        )  # fmt: skip

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays by name, as a checkpoint holds them."""
        return dict(vars(self))


def adam_touched(
    fields: NodeFields,
    gradients: FieldGradients,
    moments: FieldMoments,
    crew: Crew,
    *,
    table_rate: float,
    mlp_rate: float,
    betas: tuple[float, float] = (0.9, 0.99),
    eps: float = 1e-15,
) -> None:
    """Take one Adam step with the gradients and set them to 0. Rates are this call's, so a schedule is the caller's."""
    slots = np.flatnonzero(gradients.touched).astype(np.int32)
    adam = np.zeros(N_ADAM, dtype=np.float32)
    adam[:] = table_rate, mlp_rate, *betas, eps, *np.log(betas)
    state = (moments.table_m.reshape(-1), moments.table_v.reshape(-1), moments.table_age.reshape(-1))
    if gradients.waiting is None:
        crew.run(
            step_tables, slots, fields.shape.entries, adam, fields.tables.reshape(-1), gradients.tables.reshape(-1), *state
        )  # fmt: skip
    else:
        crew.run(
            scatter_and_step, slots, level_numbers(fields.shape), fields.shape.entries, *gradients.waiting.take(), adam,
            fields.tables.reshape(-1), *state,
        )  # fmt: skip
    crew.run(
        step_networks, slots, adam, fields.mlp, gradients.mlp, moments.mlp_m, moments.mlp_v,
        moments.mlp_age,
    )  # fmt: skip
    gradients.touched[slots] = 0
