# SPDX-License-Identifier: MIT
"""What is far away, on spheres around the box, in training: texels, their gradients, their optimiser.

Densities are per half side of the box, as published and as files hold them. Where the box lets no light through nothing is
computed, so this costs little once the foreground stands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from engine.cpu.crew import Crew
from engine.cpu.grid_update import TV_EPSILON, adam_rows, rmsprop_rows
from engine.cpu.msi import DARK, add_total_variation, behind, behind_gradients
from engine.methods.plenoxels.config import RateOptions, SpheresOptions
from engine.methods.plenoxels.schedule import decayed, delay
from engine.voxel_grid import ROW_LANES

VALUES = 4  # red, green, blue, density
Complete = Callable[[int, int, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


class Spheres:
    """The texels `rows [2H H,S]` float32: layer l of a place in columns 4 l .. 4 l + 3, then padding; mid-grey at first.

    `center [3]` and `half`, engine units: the middle and half side of the box that they surround.
    """

    def __init__(self, options: SpheresOptions, kind: str, center: np.ndarray, half: float) -> None:
        self.layers, self.center, self.half = options.layers, np.asarray(center, dtype=np.float64), half
        width = (
            -(-(VALUES * options.layers + 1) // ROW_LANES) * ROW_LANES
        )  # one column more than values: see `step`
        self.rows = np.zeros((2 * options.height * options.height, width), dtype=np.float32)
        self.texels[..., 3] = options.initial_density
        self._kind = kind
        self._start_training()

    def _start_training(self) -> None:
        self.squares = np.zeros_like(self.rows)
        self.means = np.zeros_like(self.rows) if self._kind == "adam" else None
        self._v_rows, self._touched = np.zeros_like(self.rows), np.zeros(len(self.rows), np.uint8)

    def forget_training(self) -> None:
        """Hold texels of one's own, and nothing that only training needs."""
        self.rows, nothing = self.rows.copy(), np.zeros(0, np.float32)
        self.squares, self.means, self._v_rows, self._touched = nothing, None, nothing, np.zeros(0, np.uint8)

    @property
    def height(self) -> int:
        """Texels from pole to pole."""
        return round((len(self.rows) / 2) ** 0.5)

    @property
    def texels(self) -> np.ndarray:
        """The texels [2H,H,L,4] without padding: a view, writing to it writes to the rows."""
        whole = self.rows.reshape(2 * self.height, self.height, -1)
        return whole[..., : VALUES * self.layers].reshape(*whole.shape[:2], self.layers, VALUES)

    @property
    def nbytes(self) -> int:
        """The bytes held."""
        means = 0 if self.means is None else self.means.nbytes
        return 3 * self.rows.nbytes + means + self._touched.nbytes

    # --- looking --------------------------------------------------------------------------------------------------

    def behind(self, rays_o: np.ndarray, rays_d: np.ndarray, brightness: float, crew: Crew) -> np.ndarray:
        """Return the colours float32 [Q,3] that rays (engine units, unit directions) see behind the box."""
        return behind(crew, self.rows, self.layers, (rays_o - self.center) / self.half, rays_d, brightness)

    def completed(
        self, rgb: np.ndarray, log_trans: np.ndarray, rays_o: np.ndarray, rays_d: np.ndarray, brightness: float, crew: Crew
    ) -> np.ndarray:  # fmt: skip
        """Return colours [Q,3]: those of the box in front of what is behind it, where the box lets light through."""
        out = np.array(rgb, dtype=np.float32)
        open_rays = np.flatnonzero(log_trans >= DARK)
        seen = self.behind(rays_o[open_rays], rays_d[open_rays], brightness, crew)
        out[open_rays] += np.exp(log_trans[open_rays])[:, None] * seen
        return out

    # --- training -------------------------------------------------------------------------------------------------

    def completion(
        self, rays_o: np.ndarray, rays_d: np.ndarray, target: np.ndarray, brightness: float, crew: Crew
    ) -> Completion:
        """Return what completes the box's picture of these rays in `march_gradients` and gathers the texels' gradients."""
        return Completion(self, rays_o, rays_d, target, brightness, crew)

    def add_variation(self, options: SpheresOptions, share: float, rng: np.random.Generator) -> None:
        """Add total variation of a run of the texels that begins anywhere."""
        weights = np.array([options.tv_density, options.tv_colour])
        if not weights.any():
            return
        count = 2 * self.height * self.height * self.layers
        first, run = int(rng.integers(count)), max(1, int(share * count))
        add_total_variation(
            self.rows, self.layers, self._v_rows, self._touched, first, run, weights, TV_EPSILON
        )

    def step(self, options: SpheresOptions, rates: RateOptions, step: int, crew: Crew) -> None:
        """Move the touched texels along their gradients, which are used up."""
        width, column = self.rows.shape[1], VALUES * self.layers
        rate, eps = np.zeros(width, np.float32), np.full(width, rates.epsilon, np.float32)
        rate[:column] = decayed(options.colour, options.colour_final, step, rates.decay_steps)
        density = decayed(options.density, options.density_final, step, rates.decay_steps)
        rate[3:column:VALUES] = density * delay(rates, step)
        # The update keeps a grid's densities apart; here they are among the colours, and that column is padding of rate 0.
        apart = np.zeros(len(self.rows), np.float32)
        flat = self.rows.reshape(-1), self.squares.reshape(-1)
        v_rows, beta2 = self._v_rows.reshape(-1), np.float32(rates.beta2)
        if self.means is None:
            crew.run(rmsprop_rows, apart, *flat, v_rows, self._touched, beta2, rate, eps, column)
            return
        crew.run(
            adam_rows, apart, *flat, self.means.reshape(-1), v_rows, self._touched, np.float32(rates.beta1), beta2,
            rate, eps, column,
        )  # fmt: skip

    # --- files ----------------------------------------------------------------------------------------------------

    def tensors(self) -> dict[str, np.ndarray]:
        """Return what a checkpoint holds of it; no gradients may be waiting."""
        tensors = {"spheres.texels": np.ascontiguousarray(self.texels), "spheres.squares": self.squares}
        return tensors if self.means is None else tensors | {"spheres.means": self.means}

    def load(self, tensors: dict[str, np.ndarray]) -> None:
        """Take over what `tensors` returned, or the texels alone, of these sizes."""
        self.texels[:] = tensors["spheres.texels"]
        self._start_training()
        if "spheres.squares" in tensors:
            self.squares[:] = tensors["spheres.squares"]
        if self.means is not None and "spheres.means" in tensors:
            self.means[:] = tensors["spheres.means"]

    def stored(self) -> dict[str, Any]:
        """Return what the public file holds of it; see `stored_texels`."""
        return stored_texels(self.texels)


def stored_texels(texels: np.ndarray) -> dict[str, Any]:
    """Return texels [2H,H,L,4] as the public file has them: `background_links [2H,H]`, `background_data [2H H,L,4]`."""
    data = np.ascontiguousarray(texels.reshape(-1, *texels.shape[2:]))
    links = np.arange(len(data), dtype=np.int32).reshape(texels.shape[:2])
    return {"background_links": links, "background_data": data}


class Completion:
    """Completes the picture of rays, block by block, and gathers gradients; `mse` is over all rays and channels.

    Called by `march_gradients` with (first, last, rgb [n,3], log_trans [n]); returns their gradients. Blocks come one
    after another.
    """

    def __init__(
        self, spheres: Spheres, rays_o: np.ndarray, rays_d: np.ndarray, target: np.ndarray, brightness: float, crew: Crew
    ) -> None:  # fmt: skip
        self._spheres, self._rays, self._target = spheres, (rays_o, rays_d), target
        self._brightness, self._crew, self._squared = brightness, crew, 0.0

    @property
    def mse(self) -> float:
        """The mean squared error of the blocks so far, over all rays."""
        return self._squared / (3.0 * max(len(self._target), 1))

    def __call__(
        self, first: int, last: int, rgb: np.ndarray, log_trans: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return (v_rgb [n,3], v_log_trans [n]) of the mean squared error, adding the texels' gradients."""
        spheres = self._spheres
        rays_o, rays_d = (rays[first:last] for rays in self._rays)
        seen = np.zeros((last - first, 3), np.float32)
        bright = np.flatnonzero(log_trans >= DARK)
        if len(bright):
            seen[bright] = spheres.behind(rays_o[bright], rays_d[bright], self._brightness, self._crew)
        error = rgb + np.exp(log_trans)[:, None] * seen - self._target[first:last]
        self._squared += float(np.square(error, dtype=np.float64).sum())
        v_rgb = (error * (2.0 / (3.0 * len(self._target)))).astype(np.float32)
        v_log_trans = behind_gradients(
            self._crew, spheres.rows, spheres.layers, (rays_o - spheres.center) / spheres.half, rays_d, log_trans, seen,
            v_rgb, spheres._v_rows, spheres._touched,
        )  # fmt: skip
        return v_rgb, v_log_trans
