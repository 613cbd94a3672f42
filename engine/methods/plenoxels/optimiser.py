# SPDX-License-Identifier: MIT
"""What a grid's rows need to be trained: gradients, their mean squares (and means), and a step along them."""

from __future__ import annotations

import numpy as np

from engine.cpu.crew import Crew
from engine.cpu.grid_update import adam_rows, rmsprop_rows
from engine.cpu.march import GridGradients
from engine.methods.plenoxels.config import RateOptions
from engine.methods.plenoxels.schedule import UNIT, density_rate, sh_rate
from engine.voxel_grid import Grid


def row_rates(n_basis: int, width: int, rates: RateOptions, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rate and epsilon, float32 [S], of each column of a row at a step."""
    column = 3 * n_basis
    rate, eps = np.zeros(width, np.float32), np.full(width, rates.epsilon, np.float32)
    rate[:column] = sh_rate(rates, step) * rates.sh_rest
    rate[:column:n_basis] = sh_rate(rates, step)
    rate[column] = density_rate(rates, step) * UNIT
    eps[column] = rates.epsilon / UNIT  # a density that is UNIT times larger has a gradient as much smaller
    return rate, eps


class Optimiser:
    """RMSProp as published, or Adam, for one grid. `squares [N,S]` and `means` are laid out like the gradients."""

    def __init__(self, grid: Grid, kind: str) -> None:
        self.gradients = GridGradients.of(grid)
        self.squares = np.zeros_like(self.gradients.rows)
        self.means = np.zeros_like(self.squares) if kind == "adam" else None

    @property
    def nbytes(self) -> int:
        """The bytes held."""
        means = 0 if self.means is None else self.means.nbytes
        return self.gradients.rows.nbytes + self.gradients.touched.nbytes + self.squares.nbytes + means

    def take_rows(self, grid: Grid, rows: np.ndarray) -> None:
        """Go on with a grid that holds some of the rows: int64 [n], in their new order. No gradients may be waiting."""
        self.gradients = GridGradients.of(grid)
        self.squares = self.squares[rows]
        self.means = None if self.means is None else self.means[rows]

    def step(self, grid: Grid, rates: RateOptions, step: int, crew: Crew) -> None:
        """Move the touched rows along their gradients, which are used up."""
        column = 3 * grid.n_basis
        rate, eps = row_rates(grid.n_basis, grid.sh.shape[1], rates, step)
        sh, squares, v_rows = grid.sh.reshape(-1), self.squares.reshape(-1), self.gradients.rows.reshape(-1)
        touched = self.gradients.touched
        if self.means is None:
            crew.run(
                rmsprop_rows,
                grid.density,
                sh,
                squares,
                v_rows,
                touched,
                np.float32(rates.beta2),
                rate,
                eps,
                column,
            )
            return
        crew.run(
            adam_rows, grid.density, sh, squares, self.means.reshape(-1), v_rows, touched,
            np.float32(rates.beta1), np.float32(rates.beta2), rate, eps, column,
        )  # fmt: skip
