# SPDX-License-Identifier: MIT
"""Plenoxels on a GPU: the same model, its grid as tensors on a device, every ray marched by CUDA kernels.

What differs from `model.Plenoxels` is here: training, surveys and pictures. Structure changes are rare and large, so they
stay on the host: `settle` brings the field back, `lay_out` carries the new one over. Checkpoints are those of the CPU, so a
run may change sides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine import devices
from engine.cameras import Camera
from engine.cpu.grid_update import TV_EPSILON
from engine.cpu.march import Complete, Marched
from engine.cuda import march as cuda
from engine.cuda.launch import launch as launch_on_gpu
from engine.cuda.lists import Launch, upload
from engine.cuda.warm_up import compile_all
from engine.datasets.scene import Scene
from engine.methods.common import Buffers, Frozen
from engine.methods.plenoxels import schedule
from engine.methods.plenoxels.config import PlenoxelsConfig
from engine.methods.plenoxels.march_view import march_view
from engine.methods.plenoxels.model import Plenoxels
from engine.methods.plenoxels.optimiser import row_rates
from engine.voxel_grid import Grid, LossTerms, MarchOptions


class PlenoxelsOnCuda(Plenoxels):
    """A sparse grid in training on one scene, on a CUDA device. Gradients are added in an order left to chance."""

    def __init__(
        self,
        scene: Scene,
        config: PlenoxelsConfig,
        seed: int = 0,
        *,
        device: torch.device | str = "cuda",
        launch: Launch = launch_on_gpu,
    ) -> None:
        self._device, self._launch = torch.device(device), launch
        self.card = devices.card_name(str(device))
        if self._device.type == "cuda":
            torch.cuda.set_device(self._device)  # of this thread, which is the model's own
        super().__init__(scene, config, seed)
        self._carry_over()

    # --- structure ------------------------------------------------------------------------------------------------

    def _carry_over(self) -> None:
        """Lay out the grid and what its optimiser remembers on the device."""
        self.there = self._tensors(self.grid)
        self.gradients = cuda.Gradients.of(self.there)
        optimiser = self.optimiser
        self._squares = cuda.own(optimiser.squares, self._device)
        self._means = None if optimiser.means is None else cuda.own(optimiser.means, self._device)
        self._surveyed: tuple[Grid, np.ndarray, cuda.GridTensors, Tensor] | None = None
        self._ahead = False  # whether the device has come further than the host

    def _tensors(self, grid: Grid) -> cuda.GridTensors:
        return cuda.GridTensors.of(grid, self._device, self._launch)

    def lay_out(self, grid: Grid, rows: np.ndarray | None) -> None:
        """Go on with another grid; see `Plenoxels.lay_out`."""
        super().lay_out(grid, rows)
        self._carry_over()

    def settle(self) -> None:
        """Bring back what training, and a survey, have come to."""
        if self._surveyed is not None:
            self._surveyed[1][:] = self._surveyed[3].cpu().numpy()
        if not self._ahead:
            return
        self.grid.density[:] = self.there.density.cpu().numpy()
        self.grid.sh[:] = self.there.sh.cpu().numpy()
        self.optimiser.squares[:] = self._squares.cpu().numpy()
        if self._means is not None:
            self.optimiser.means[:] = self._means.cpu().numpy()
        self._ahead = False

    def look_along(self, grid: Grid, rays_o: np.ndarray, rays_d: np.ndarray, heaviest: np.ndarray) -> None:
        """Raise `heaviest` along rays; the array itself hears of it in `settle`."""
        found = self._surveyed
        if found is None or found[0] is not grid or found[1] is not heaviest:
            tensors = self.there if grid is self.grid else self._tensors(grid)
            found = self._surveyed = grid, heaviest, tensors, cuda.own(heaviest, self._device)
        told = cuda.option_tensor(self.survey_options(), LossTerms(), self._device)
        cuda.heaviest_weights(found[2], *self._rays(rays_o, rays_d), told, found[3])

    # --- training and looking -------------------------------------------------------------------------------------

    def _rays(self, *arrays: np.ndarray) -> list[Tensor]:
        return [upload(array.astype(np.float32, copy=False), self._device) for array in arrays]

    def _goal(self, target: np.ndarray | Complete) -> Tensor | cuda.Complete:
        """Return a target as the device takes it; what completes pictures does so on the host."""
        if not callable(target):
            return self._rays(target)[0]

        def complete(rgb: Tensor, log_trans: Tensor) -> tuple[Tensor, Tensor]:
            seen = rgb.cpu().numpy(), log_trans.cpu().numpy()
            v_rgb, v_log_trans = self._rays(*target(0, len(rgb), *seen))
            return v_rgb, v_log_trans

        return complete

    def _descend(
        self, rays_o: np.ndarray, rays_d: np.ndarray, target: np.ndarray | Complete, terms: LossTerms
    ) -> float:
        """Go one step down the gradients; see `Plenoxels._descend`."""
        rays, goal = self._rays(rays_o, rays_d), self._goal(target)
        squared = cuda.march_gradients(self.there, *rays, goal, self.march_options(), terms, self.gradients)
        self._add_variation()
        rates = self.active.rates
        rate, eps = row_rates(self.grid.n_basis, self.there.stride, rates, self.step)
        cuda.step(
            self.there, self.gradients, self._squares, self._means,
            rates=upload(rate, self._device), eps=upload(eps, self._device), betas=(rates.beta1, rates.beta2),
        )  # fmt: skip
        self._ahead = True
        return float(squared)

    def _add_variation(self) -> None:
        losses = self.active.losses
        weights = schedule.tv_weights(losses, self.finer)
        if weights == (0.0, 0.0):
            return
        cells, unit = self.grid.links.size, schedule.UNIT
        cuda.total_variation(
            self.there, self.gradients, (weights[0] / unit, weights[1]), (TV_EPSILON * unit * unit, TV_EPSILON),
            int(self.rng.integers(cells)), max(1, int(losses.tv_share * cells)),
        )  # fmt: skip

    def _marched(
        self, grid: Grid, rays_o: np.ndarray, rays_d: np.ndarray, options: MarchOptions, *_: Any
    ) -> Marched:
        """Return what rays see of the grid on the device, as arrays."""
        told = cuda.option_tensor(options, LossTerms(), self._device)
        seen = cuda.march(self.there, *self._rays(rays_o, rays_d), told)
        return Marched(
            *(tensor.cpu().numpy() for tensor in (seen.rgb, seen.log_trans, seen.depth, seen.live))
        )

    def render(
        self,
        camera: Camera,
        want: frozenset[str] = frozenset(),
        *,
        supersample: float | None = None,
        background: tuple[float, float, float] | None = None,
    ) -> Buffers:
        """Render a view by marching a ray for each pixel; see `engine.methods.common.Method.render`."""
        tail, options = self._behind_everything(background), self.march_options()
        seen = march_view(self.grid, self.space, camera, options, tail, want, self._view_room, self._marched)
        return self._with_spheres(seen, camera, background)

    def frozen(self) -> Frozen:
        """Return a copy that only renders, on the same device."""
        other, there = self._without_training(), self.there
        other.there = replace(there, density=there.density.clone(), sh=there.sh.clone())
        other.gradients = other._squares = other._means = other._surveyed = None
        return Frozen(other, other.there.density.nbytes + other.there.sh.nbytes)

    def warm_up(self, progress: Callable[[str, int, int], None] | None = None) -> None:
        """Compile every kernel file that was never compiled on this machine."""
        compile_all(self._device, progress)

    # --- state ----------------------------------------------------------------------------------------------------

    def load_state(self, tensors: dict[str, np.ndarray], header: dict[str, Any]) -> None:
        """Take over a state written by either side."""
        super().load_state(tensors, header)
        self._carry_over()
