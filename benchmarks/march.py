# SPDX-License-Identifier: MIT
"""CPU time of one Plenoxels training pass, forward and gradients, against autograd over the readable twin.

    python benchmarks/march.py [--rays 5000] [--resolution 128] [--repeats 9] [--threads 2] [--no-reference] [--json FILE]

Three grids of SH degree 2: `fog`, as training starts: every voxel has a row and every sample is live; `shells`: surfaces
of 25 balls with three voxels kept on either side, densities noisy, as in the middle of training; `shells, squares`: the same
with rays through 4 x 4 neighbouring pixels instead of single ones. CPU time is that of all the process' threads (the
reference gets one thread); it depends less on what else runs than wall time does. Medians of the repeats; the twin is
run once, 250 rays at a time to fit in memory, and its gradients are compared.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from app.bench import machine
from engine.cpu.crew import Crew
from engine.cpu.lists import Workspace
from engine.cpu.march import GridGradients, march, march_gradients
from engine.methods.plenoxels.grid import dense_grid
from engine.voxel_grid import Grid, LossTerms, MarchOptions

CHUNK = 250  # rays that autograd gets at once


def shells(resolution: int) -> Grid:
    """Return a sparse grid around the surfaces of balls."""
    rng = np.random.default_rng(1)
    at = np.stack(np.meshgrid(*[np.arange(resolution)] * 3, indexing="ij"), axis=-1)
    world = (at + 0.5) / resolution - 0.5
    distance = np.full(world.shape[:3], np.inf)
    for _ in range(25):
        ball, radius = rng.uniform(-0.3, 0.3, 3), rng.uniform(0.03, 0.14)
        distance = np.minimum(distance, np.linalg.norm(world - ball, axis=-1) - radius)
    keep = np.abs(distance) < 3.0 / resolution
    grid = dense_grid((resolution,) * 3, keep=keep)
    grid.density[:] = (np.clip(-distance * resolution, -1.5, 1.5) * 150.0)[keep] + rng.normal(
        size=keep.sum()
    ) * 20.0
    grid.coefficients[:] = rng.normal(size=grid.coefficients.shape) * 0.3
    return grid


def rays(n: int, together: int) -> tuple[np.ndarray, np.ndarray]:
    """Return n rays from a sphere around the grid into it; `together` neighbours are a pixel of 1/200 apart."""
    rng = np.random.default_rng(2)
    rays_o = rng.normal(size=(-(-n // together), 3))
    rays_o *= 1.5 / np.linalg.norm(rays_o, axis=1, keepdims=True)
    towards = np.repeat(rng.uniform(-0.4, 0.4, rays_o.shape), together, axis=0)[:n]
    if together > 1:
        towards += rng.uniform(-2.0, 2.0, towards.shape) / 200.0
    rays_o = np.repeat(rays_o, together, axis=0)[:n]
    rays_d = towards - rays_o
    rays_d /= np.linalg.norm(rays_d, axis=1, keepdims=True)
    return rays_o.astype(np.float32), rays_d.astype(np.float32)


def medians(work: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Return the median CPU and wall milliseconds of calls."""
    times = []
    for _ in range(repeats):
        cpu, wall = time.process_time(), time.perf_counter()
        work()
        times.append((1e3 * (time.process_time() - cpu), 1e3 * (time.perf_counter() - wall)))
    cpu, wall = np.median(times, axis=0)
    return float(cpu), float(wall)


def reference_pass(
    grid: Grid, beams: tuple[np.ndarray, np.ndarray], target: np.ndarray, terms: LossTerms
) -> tuple[float, np.ndarray]:
    """Return autograd's CPU milliseconds and its gradients as rows [N, 3 B + 1], densities last."""
    import torch

    from engine.reference.march import march as twin
    from engine.reference.march import march_loss

    torch.set_num_threads(1)
    density = torch.tensor(grid.density, requires_grad=True)
    coefficients = torch.tensor(np.ascontiguousarray(grid.coefficients), requires_grad=True)
    rays_o, rays_d, wanted = (torch.as_tensor(a) for a in (*beams, target))
    start = time.process_time()
    for first in range(0, len(target), CHUNK):
        part = slice(first, first + CHUNK)
        out = twin(grid, density, coefficients, rays_o[part], rays_d[part], MarchOptions())
        (march_loss(out, wanted[part], terms) * (len(wanted[part]) / len(wanted))).backward()
    took = 1e3 * (time.process_time() - start)
    return took, np.concatenate([coefficients.grad.flatten(1).numpy(), density.grad[:, None].numpy()], axis=1)


def measure(name: str, grid: Grid, together: int, args: argparse.Namespace) -> dict[str, Any]:
    """Return one grid's numbers."""
    crew, room, options, terms = Crew(args.threads), Workspace(), MarchOptions(), LossTerms()
    beams = rays(args.rays, together)
    target = np.random.default_rng(3).uniform(size=(args.rays, 3)).astype(np.float32)
    gradients = GridGradients.of(grid)
    march_gradients(grid, *beams, target, options, terms, gradients, crew, room)
    result: dict[str, Any] = {
        "grid": name,
        "voxels": grid.n_voxels,
        "live": int(room.take("march_counts", (args.rays,), np.int32).sum()),
    }
    width, columns = 3 * grid.n_basis + 1, gradients.rows.copy()
    march(grid, *beams, options, crew, room)
    cpu, wall = medians(lambda: march(grid, *beams, options, crew, room), args.repeats)
    result |= {"forward_cpu_ms": round(cpu, 1), "forward_wall_ms": round(wall, 1)}
    cpu, wall = medians(
        lambda: march_gradients(grid, *beams, target, options, terms, gradients, crew, room), args.repeats
    )
    result |= {"training_cpu_ms": round(cpu, 1), "training_wall_ms": round(wall, 1)}
    if args.reference:
        took, wanted = reference_pass(grid, beams, target, terms)
        parts = (slice(0, width - 1), slice(width - 1, width))
        errors = [
            float(np.abs(columns[:, p] - wanted[:, p]).max() / np.abs(wanted[:, p]).max()) for p in parts
        ]
        result |= {
            "autograd_cpu_ms": round(took),
            "ratio": round(took / cpu, 1),
            "sh_error": errors[0],
            "density_error": errors[1],
        }
    return result


def main() -> None:
    """Measure the grids and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rays", type=int, default=5000)
    parser.add_argument("--resolution", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-reference", dest="reference", action="store_false")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    fog, sparse = dense_grid((args.resolution,) * 3), shells(args.resolution)
    cases = [("fog", fog, 1), ("shells", sparse, 1), ("shells, squares", sparse, 16)]
    settings = {k: v for k, v in vars(args).items() if k != "json"}
    result = {"benchmark": "march", **settings, "machine": machine(), "cases": []}
    for case in cases:
        result["cases"].append(measure(*case, args))
        print(json.dumps(result["cases"][-1]), flush=True)
    if args.json is not None:
        args.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
