# SPDX-License-Identifier: MIT
"""What `benchmarks/gpu.py` measures of Plenoxels: the march there and back, right and fast."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from app.bench_ops import rays_around, shell_grid
from benchmarks.gpu_sections import Bench, camera_of
from engine.cuda import march as cuda
from engine.reference import march as twin
from engine.voxel_grid import Grid, LossTerms, MarchOptions

OPTIONS, TERMS = MarchOptions(), LossTerms(background=1.0)
BATCH = 5_000  # rays of a published step
PICTURE = (800, 800)


def march(bench: Bench) -> dict[str, Any]:
    """Errors against the float64 twin on a small grid; times on a shell at 512^3: a picture, a step and its parts."""
    return {"errors": _errors(bench), **_times(bench, shell_grid(24 if bench.dry else 512))}


def _errors(bench: Bench) -> dict[str, float]:
    """Return the largest error of colours, and of gradients relative to the largest."""
    grid, rays = shell_grid(24), rays_around(60 if bench.dry else 2_000)
    single = [torch.from_numpy(a) for a in rays]
    density = torch.from_numpy(grid.density).double().requires_grad_()
    coefficients = torch.from_numpy(grid.coefficients.copy()).double().requires_grad_()
    goal = torch.full((len(rays[0]), 3), 0.25)
    seen = twin.march(grid, density, coefficients, *(a.double() for a in single), OPTIONS)
    exact = torch.autograd.grad(twin.march_loss(seen, goal.double(), TERMS), (density, coefficients))
    there = cuda.GridTensors.of(grid, bench.device, bench.launch)
    into, up = cuda.Gradients.of(there), [a.to(bench.device) for a in single]
    cuda.march_gradients(there, *up, goal.to(bench.device), OPTIONS, TERMS, into)
    got = cuda.march(there, *up, cuda.option_tensor(OPTIONS, TERMS, there.device)).rgb
    rows, column = into.rows.cpu(), there.column
    pairs = zip((rows[:, column], rows[:, :column]), (exact[0], exact[1].flatten(1)), strict=True)
    densities, colours = (float((a - b).abs().max() / b.abs().max()) for a, b in pairs)
    return {
        "rgb": float((got.cpu() - seen.rgb.detach()).abs().max()),
        "densities": densities,
        "colours": colours,
    }


def _times(bench: Bench, grid: Grid) -> dict[str, Any]:
    there = cuda.GridTensors.of(grid, bench.device, bench.launch)
    told = cuda.option_tensor(OPTIONS, TERMS, there.device)
    camera = camera_of((24, 24) if bench.dry else PICTURE)
    pixels = [torch.from_numpy(a.reshape(-1, 3).astype(np.float32)).to(bench.device) for a in camera.rays()]
    rays = [torch.from_numpy(a).to(bench.device) for a in rays_around(60 if bench.dry else BATCH)]
    goal = torch.full_like(rays[0], 0.5)
    into, squares = cuda.Gradients.of(there), torch.zeros_like(there.sh)
    rates, eps = torch.full((2, there.stride), 1e-8, device=bench.device)  # hardly moves: every run is alike
    cells = grid.links.size
    run = max(1, cells // 100)

    def back() -> None:
        cuda.march_gradients(there, *rays, goal, OPTIONS, TERMS, into)

    def vary() -> None:
        cuda.total_variation(there, into, (1e-5, 1e-3), (1e-9, 1e-9), cells // 2, run)

    def step() -> None:
        back()
        vary()
        cuda.step(there, into, squares, None, rates=rates, eps=eps, betas=(0.0, 0.95))

    heaviest = torch.zeros_like(there.density)
    return {
        "size": list(grid.resolution), "voxels": grid.n_voxels, "rays": len(rays[0]), "pixels": len(pixels[0]),
        "picture_ms": bench.ms(lambda: cuda.march(there, *pixels, told)),
        "forward_ms": bench.ms(lambda: cuda.march(there, *rays, told)),
        "forward_backward_ms": bench.ms(back), "variation_ms": bench.ms(vary), "step_ms": bench.ms(step),
        "survey_picture_ms": bench.ms(lambda: cuda.heaviest_weights(there, *pixels, told, heaviest)),
        "bytes_per_voxel": round((4 + 3 * 4 * there.stride) + 4 * cells / grid.n_voxels, 1),
    }  # fmt: skip
