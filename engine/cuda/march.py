# SPDX-License-Identifier: MIT
"""Plenoxels on a GPU: a sparse grid as tensors, rays marched through it, gradients, and steps of what they touched.

Nothing is kept per sample: the way back marches the rays again. Everything is launched on torch's current stream and nothing
here waits. Gradients are added with atomics, in an order left to chance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.cuda.launch import launch as launch_on_gpu
from engine.cuda.lists import THREADS, Launch, upload
from engine.cuda.registry import blocks_for
from engine.sh import n_coefficients
from engine.voxel_grid import Grid, LossTerms, MarchOptions

RAYS, WARP = 4, 32  # rays of a block of the marching kernels, a warp each
_BETA_EPS = 1e-3  # keeps the gradient of log(1 - T) finite where nothing was hit, as published
TV_REFERENCE = 256.0  # resolution at which total variation takes differences as they are


def own(array: np.ndarray, device: torch.device) -> Tensor:
    """Return an array on the device that changes apart from it, even where the device is the CPU."""
    return upload(array.copy() if device.type == "cpu" else array, device)


@dataclass(eq=False)
class GridTensors:
    """A `Grid` on a device: the same arrays, float32 and int32. `frame` float64 [6]: scale and offset of each axis."""

    links: Tensor
    density: Tensor
    sh: Tensor
    degree: int
    frame: Tensor
    launch: Launch

    @classmethod
    def of(
        cls, grid: Grid, device: torch.device | str = "cuda", launch: Launch = launch_on_gpu
    ) -> GridTensors:
        """Lay out a grid. `launch` runs the kernels: the tests give one that runs them on the CPU."""
        if min(grid.resolution) < 2:
            raise ValueError(f"a grid needs two voxels along each axis, got {grid.resolution}")
        device = torch.device(device)
        links, density, sh = upload(grid.links, device), own(grid.density, device), own(grid.sh, device)
        frame = upload(np.concatenate([grid.scale, grid.offset]).astype(np.float64), device)
        return cls(links, density, sh, grid.degree, frame, launch)

    @property
    def device(self) -> torch.device:
        """Where it lies."""
        return self.density.device

    @property
    def n_voxels(self) -> int:
        """N, the voxels that have a row."""
        return len(self.density)

    @property
    def stride(self) -> int:
        """S, the floats of a row of coefficients."""
        return self.sh.shape[1]

    @property
    def column(self) -> int:
        """3 B: how many of them are coefficients; in rows of gradients, where the density's is."""
        return 3 * n_coefficients(self.degree)

    def run(self, name: str, count: int, *args: Tensor | float | None) -> None:
        """Launch a kernel with a thread for each of `count` items."""
        self.launch(name, (blocks_for(count, THREADS),), (THREADS,), *args)

    def walk(self, name: str, rays_o: Tensor, rays_d: Tensor, *args: Tensor | float | None) -> None:
        """Launch a marching kernel on rays [N,3], N warps."""
        n = len(rays_o)
        grid = blocks_for(n, RAYS), RAYS * WARP
        self.launch(
            name, grid[:1], grid[1:], n, rays_o, rays_d, self.frame, *self.links.shape, self.links, *args
        )


def option_tensor(options: MarchOptions, terms: LossTerms, device: torch.device) -> Tensor:
    """Return what the marching kernels are told, float32: see include/march.cuh."""
    stop = np.log(max(options.stop_thresh, 1e-30))
    values = options.step, options.near, options.far, options.sigma_thresh, stop, terms.cauchy, terms.l1
    return upload(np.array(values, dtype=np.float32), device)


@dataclass(frozen=True, eq=False)
class Marched:
    """Per ray, float32: `rgb` [N,3] without what is behind the grid, `log_trans` [N], `depth` [N] = sum w t.

    `live` int32 [N] counts the samples that had density.
    """

    rgb: Tensor
    log_trans: Tensor
    depth: Tensor
    live: Tensor

    def over(self, background: Tensor) -> Tensor:
        """Return rgb [N,3] in front of a background [3]."""
        return self.rgb + torch.exp(self.log_trans)[:, None] * background


def march(
    grid: GridTensors,
    rays_o: Tensor,  # [N,3] engine units
    rays_d: Tensor,  # [N,3] unit
    options: Tensor,  # option_tensor
) -> Marched:
    """March rays through a grid, front to back."""
    n, like = len(rays_o), grid.density
    live = torch.empty(n, dtype=torch.int32, device=grid.device)
    marched = Marched(like.new_empty((n, 3)), like.new_empty(n), like.new_empty(n), live)
    grid.walk(
        "march_rays", rays_o, rays_d, grid.density, grid.sh, grid.stride, grid.degree, options, marched.rgb,
        marched.log_trans, marched.depth, marched.live,
    )  # fmt: skip
    return marched


@dataclass(eq=False)
class Gradients:
    """Gradients of a grid, all zero between steps: `rows` float32 [N,S], the density's in column 3 B.

    `touched` int32 has a bit per row, set where something was added.
    """

    rows: Tensor
    touched: Tensor

    @classmethod
    def of(cls, grid: GridTensors) -> Gradients:
        """Return zeros."""
        words = torch.zeros(blocks_for(grid.n_voxels, WARP), dtype=torch.int32, device=grid.device)
        return cls(torch.zeros_like(grid.sh), words)

    def touched_rows(self) -> Tensor:
        """Return the rows that are marked, bool [N]."""
        bits = torch.arange(WARP, dtype=torch.int32, device=self.touched.device)
        return ((self.touched[:, None] >> bits) & 1).reshape(-1)[: len(self.rows)].bool()


def march_backward(
    grid: GridTensors,
    rays_o: Tensor,  # [N,3]
    rays_d: Tensor,  # [N,3]
    options: Tensor,
    rgb: Tensor,  # [N,3] of march
    v_rgb: Tensor,  # [N,3]
    v_log_trans: Tensor,  # [N], with what comes through the background
    into: Gradients,
) -> None:
    """Add the gradients of a march, and of the penalties per sample, to `into`."""
    grid.walk(
        "march_rays_backward", rays_o, rays_d, grid.density, grid.sh, grid.stride, grid.degree, options, rgb, v_rgb,
        v_log_trans, into.rows, into.touched,
    )  # fmt: skip


# Completes a picture: (rgb [N,3], log_trans [N]) -> (v_rgb [N,3], v_log_trans [N]).
Complete = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def march_gradients(
    grid: GridTensors,
    rays_o: Tensor,  # [N,3] engine units
    rays_d: Tensor,  # [N,3] unit
    target: Tensor | Complete,  # float32 [N,3], or what completes the picture and returns its gradients
    options: MarchOptions,
    terms: LossTerms,
    into: Gradients,
) -> Tensor:
    """Add the gradients of mean squared error + terms to `into`; return the mean squared error, float64 on the device.

    With a `Complete` its gradients are taken as they are and only beta, cauchy and l1 are added; what is returned is 0.
    """
    told = option_tensor(options, terms, grid.device)
    seen = march(grid, rays_o, rays_d, told)
    trans = torch.exp(seen.log_trans)
    if callable(target):
        squared = torch.zeros((), dtype=torch.float64, device=grid.device)
        v_rgb, v_log_trans = target(seen.rgb, seen.log_trans)
    else:
        error = seen.rgb + trans[:, None] * terms.background - target
        squared = error.double().square().mean()
        v_rgb = error * (2.0 / error.numel())
        v_log_trans = terms.background * trans * v_rgb.sum(dim=1)
    if terms.beta != 0.0:
        v_log_trans = v_log_trans + terms.beta / len(rays_o) * (1.0 - trans / (1.0 - trans + _BETA_EPS))
    march_backward(grid, rays_o, rays_d, told, seen.rgb, v_rgb.contiguous(), v_log_trans.contiguous(), into)
    return squared


def heaviest_weights(
    grid: GridTensors, rays_o: Tensor, rays_d: Tensor, options: Tensor, heaviest: Tensor
) -> None:
    """Raise `heaviest` [N] to the largest weight of any sample of these rays that a voxel is a corner of."""
    grid.walk("march_weights", rays_o, rays_d, grid.density, options, heaviest)


def total_variation(
    grid: GridTensors,
    into: Gradients,
    weights: tuple[float, float],  # of densities and of colours, not divided by the cells
    eps: tuple[float, float],
    start: int = 0,
    cells: int | None = None,  # all of them
) -> None:
    """Add the gradient of total variation, the mean over a run of cells, to `into`; see grid_update.cu."""
    total = grid.links.numel()
    n = total if cells is None else min(cells, total)
    share = np.array(grid.links.shape, dtype=np.float32) / np.float32(TV_REFERENCE * n)
    run = start, n, *grid.links.shape, grid.links
    rows = grid.stride, grid.column
    if weights[0] > 0.0:
        scale = upload(weights[0] * share, grid.device)
        grid.run(
            "grid_variation_of_density", n, *run, scale, eps[0], grid.density, *rows, into.rows, into.touched
        )
    if weights[1] > 0.0:
        scale = upload(weights[1] * share, grid.device)
        grid.run(
            "grid_variation_of_sh", WARP * n, *run, scale, eps[1], *rows, grid.sh, into.rows, into.touched
        )


def step(
    grid: GridTensors,
    gradients: Gradients,
    squares: Tensor,  # [N,S] as the gradients: their mean squares, 0 where no step has been
    means: Tensor | None,  # [N,S] with Adam, None with RMSProp
    *,
    rates: Tensor,  # [S]
    eps: Tensor,  # [S]
    betas: tuple[float, float],
) -> None:
    """Take a step at the rows that the gradients touched, and leave no gradients."""
    grid.run(
        "grid_step", WARP * len(gradients.touched), grid.n_voxels, gradients.touched, *betas, rates, eps, grid.stride,
        grid.column, gradients.rows, grid.density, grid.sh, squares, means,
    )  # fmt: skip
