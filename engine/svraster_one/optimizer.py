# SPDX-License-Identifier: MIT
"""Adam on a grid whose structure changes: its moments move along, wait on the disk in inference mode, and come back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.methods.svraster.schedule import ADAM_EPSILON
from engine.octree import Carry, Octree
from engine.svraster_one.modes import parked_tensor
from engine.svraster_one.settings import TrainingConfig
from engine.svraster_one.voxels import SparseVoxelGrid, carry_points

DENSITY_RATE, SH_RATE = 400.0, 20.0  # of `learning_rate`: 0.4 on raw densities and 0.02 on colours at 1e-3
BETAS = (0.5, 0.99)  # as the app's own training: short memory, for the structure keeps changing
NAMES = ("densities", "sh")
MOMENTS = ("exp_avg", "exp_avg_sq")


class GridAdam:
    """torch's Adam with a group for densities and one for colours. `adam` is new after `bind`."""

    def __init__(self, grid: SparseVoxelGrid) -> None:
        self.grid = grid
        self.adam = self._fresh()

    def _fresh(self) -> torch.optim.Adam:
        groups = [{"params": [getattr(self.grid, name)], "name": name} for name in NAMES]
        return torch.optim.Adam(groups, lr=0.0, betas=BETAS, eps=ADAM_EPSILON)

    def set_rates(self, config: TrainingConfig, share: float) -> None:
        """Set the learning rates to a share of their start."""
        for group, rate in zip(self.adam.param_groups, (DENSITY_RATE, SH_RATE)):
            group["lr"] = rate * config.learning_rate * share

    def states(self) -> list[dict[str, Tensor]]:
        """Return the state of each group, empty before its first step."""
        return [self.adam.state.get(group["params"][0], {}) for group in self.adam.param_groups]

    def bind(self, states: list[dict[str, Tensor]]) -> None:
        """Serve the grid's present parameters with these states."""
        self.adam = self._fresh()
        for group, state in zip(self.adam.param_groups, states):
            if state:
                self.adam.state[group["params"][0]] = state

    def carry(self, carry: Carry, before: Octree, after: Octree) -> None:
        """Move to another structure, every row of the moments with its voxel or point.

        As in the app's training: a child covers a quarter of its parent's pixels and half the length, so its gradients are
        that much smaller, and its moments are scaled alike.
        """
        shrink = after.size / before.size[carry.voxel_from]
        points = np.ones(after.n_points, dtype=np.float32)
        points[after.corner_idx[shrink < 1.0].reshape(-1)] = 0.5
        density, sh = self.states()
        moved: list[dict[str, Tensor]] = [{}, {}]
        for power, name in enumerate(MOMENTS, 1):
            if density:
                scale = torch.from_numpy(points ** (3 * power)).to(density[name])
                moved[0][name] = carry_points(density[name], carry) * scale
            if sh:
                rows = torch.from_numpy(carry.voxel_from).to(sh[name].device).long()
                scale = torch.from_numpy(shrink ** (2 * power)).to(sh[name])
                moved[1][name] = sh[name][rows] * scale[:, None, None]
        for state, new in zip((density, sh), moved):
            if state:
                new["step"] = state["step"]
        self.bind(moved)

    def nbytes(self) -> int:
        """Return the bytes of the moments in memory."""
        return sum(state[name].nbytes for state in self.states() for name in MOMENTS if state)


class ParkedMoments:
    """The moments of an optimiser while they wait on the disk."""

    def __init__(self, optimizer: GridAdam, folder: str | Path | None) -> None:
        states = optimizer.states()
        self.devices = [state["exp_avg"].device if state else torch.device("cpu") for state in states]
        self.bytes = optimizer.nbytes()
        self.states = [
            {
                name: parked_tensor(value, folder) if name in MOMENTS else value
                for name, value in state.items()
            }
            for state in states
        ]
        # parameters, too, must not be kept in memory by who would train them
        optimizer.adam.state.clear()
        for group in optimizer.adam.param_groups:
            group["params"] = []

    def back_into(self, optimizer: GridAdam) -> None:
        """Serve the grid's parameters again, with the same moments."""
        states = [
            {name: value.clone().to(device) if name in MOMENTS else value for name, value in state.items()}
            for state, device in zip(self.states, self.devices)
        ]
        optimizer.bind(states)
