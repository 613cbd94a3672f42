# SPDX-License-Identifier: MIT
"""`nerfviewer bench ops`: the steps of marching rays through a Plenoxels grid, three implementations side by side.

Stages run over the same samples of the same rays, each alone; the last two lines are the fused march as it is used: a
picture, and a training step's gradients. Times are medians; CPU time is of all threads together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from app.bench import machine, timed
from app.bench_stages import NumbaStages, TorchStages
from app.headless_train import write_json
from engine.cpu import march as cpu
from engine.cpu.crew import crew
from engine.cpu.lists import Workspace
from engine.reference import march as twin
from engine.voxel_grid import Grid, LossTerms, MarchOptions, row_stride

RAYS, SIZE, DEGREE = 5_000, 128, 2
STAGES = ("sampling", "trilinear", "harmonics", "compositing")
OPS = (*STAGES, "picture", "training step")
OPTIONS, TERMS = MarchOptions(), LossTerms(background=1.0)
_FEW = 5  # runs of what takes seconds


def shell_grid(size: int = SIZE) -> Grid:
    """Return a ball's shell as training leaves one: five cells that let light by, around three that do not."""
    axis = (np.arange(size) + 0.5) / size - 0.5
    away = np.sqrt(axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis[None, None, :] ** 2) - 0.3
    keep = np.abs(away) < 4.0 / size
    n = int(keep.sum())
    links = np.where(keep, np.cumsum(keep).reshape(keep.shape) - 1, -1).astype(np.int32)
    sh = np.zeros((n, row_stride(DEGREE)), dtype=np.float32)
    sh[:, : 3 * (DEGREE + 1) ** 2] = np.random.default_rng(0).normal(0.0, 0.2, (n, 3 * (DEGREE + 1) ** 2))
    density = (400.0 - 300.0 * size * np.abs(away[keep])).astype(np.float32)
    return Grid(links, density, sh, DEGREE, np.zeros(3), np.full(3, 0.5))


def rays_around(n: int = RAYS) -> tuple[np.ndarray, np.ndarray]:
    """Return rays [n,3] from a sphere around the cube to points in it, float32."""
    rng = np.random.default_rng(1)
    rays_o = rng.normal(size=(n, 3))
    rays_o *= 1.3 / np.linalg.norm(rays_o, axis=1, keepdims=True)
    rays_d = rng.uniform(-0.4, 0.4, (n, 3)) - rays_o
    return rays_o.astype(np.float32), (rays_d / np.linalg.norm(rays_d, axis=1, keepdims=True)).astype(
        np.float32
    )


def _numba(
    grid: Grid, rays_o: np.ndarray, rays_d: np.ndarray, target: np.ndarray
) -> dict[str, Callable[[], Any]]:
    stages, room, gradients = (
        NumbaStages(grid, rays_o, rays_d, OPTIONS),
        Workspace(),
        cpu.GridGradients.of(grid),
    )
    return {
        **{name: getattr(stages, name) for name in STAGES},
        "picture": lambda: cpu.march(grid, rays_o, rays_d, OPTIONS, crew(), room),
        "training step": lambda: cpu.march_gradients(
            grid, rays_o, rays_d, target, OPTIONS, TERMS, gradients, crew(), room
        ),
    }


def _reference(
    grid: Grid, rays_o: np.ndarray, rays_d: np.ndarray, target: np.ndarray
) -> dict[str, Callable[[], Any]]:
    stages = TorchStages(grid, rays_o, rays_d, OPTIONS, "cpu")
    density = torch.from_numpy(grid.density.copy()).requires_grad_()
    coefficients = torch.from_numpy(grid.coefficients.copy()).requires_grad_()
    rays, goal = (torch.from_numpy(rays_o), torch.from_numpy(rays_d)), torch.from_numpy(target)

    def picture() -> None:
        with torch.no_grad():
            twin.march(grid, density, coefficients, *rays, OPTIONS)

    def step() -> None:
        loss = twin.march_loss(twin.march(grid, density, coefficients, *rays, OPTIONS), goal, TERMS)
        torch.autograd.grad(loss, (density, coefficients))

    return {**{name: getattr(stages, name) for name in STAGES}, "picture": picture, "training step": step}


def _waiting(work: Callable[[], Any]) -> Callable[[], None]:
    def run() -> None:
        work()
        torch.cuda.synchronize()

    return run


def _on_cuda(
    grid: Grid, rays_o: np.ndarray, rays_d: np.ndarray, target: np.ndarray
) -> dict[str, Callable[[], Any]]:
    """Stages in torch on the card; the picture and the training step by our kernels."""
    from engine.cuda import march as cuda

    stages = TorchStages(grid, rays_o, rays_d, OPTIONS, "cuda")
    there = cuda.GridTensors.of(grid)
    rays, goal = (torch.from_numpy(a).cuda() for a in (rays_o, rays_d)), torch.from_numpy(target).cuda()
    rays, into = tuple(rays), cuda.Gradients.of(there)
    told = cuda.option_tensor(OPTIONS, TERMS, there.device)
    work = {
        **{name: getattr(stages, name) for name in STAGES},
        "picture": lambda: cuda.march(there, *rays, told),
        "training step": lambda: cuda.march_gradients(there, *rays, goal, OPTIONS, TERMS, into),
    }
    return {name: _waiting(do) for name, do in work.items()}


def _implementations(
    *case: np.ndarray | Grid,
) -> Iterator[tuple[str, dict[str, Callable[[], Any]], int]]:
    """Yield name, work by op, and most runs of each implementation that this machine has."""
    yield "reference", _reference(*case), _FEW
    yield "numba", _numba(*case), 1_000
    if torch.cuda.is_available():
        yield "cuda", _on_cuda(*case), 1_000


def ops(json_path: Path | None = None, runs: int = 30) -> dict[str, Any]:
    """Time every op by every implementation, print the table, and write it to `json_path` when given."""
    grid, (rays_o, rays_d) = shell_grid(), rays_around()
    target = np.random.default_rng(2).random((len(rays_o), 3)).astype(np.float32)
    result: dict[str, Any] = {
        "benchmark": "ops",
        "machine": machine(),
        "case": {
            "rays": len(rays_o),
            "size": list(grid.resolution),
            "voxels": grid.n_voxels,
            "sh_degree": DEGREE,
        },
        "ops": {name: {} for name in OPS},
    }
    if torch.cuda.is_available():
        result["machine"]["gpu"] = torch.cuda.get_device_name()
    for name, work, most in _implementations(grid, rays_o, rays_d, target):
        for op in OPS:
            result["ops"][op][name] = timed(work[op], min(runs, most), 1 if most == _FEW else 3)
    print(table(result))
    if json_path is not None:
        write_json(Path(json_path), result)
    return result


def table(result: dict[str, Any]) -> str:
    """Return a result as a Markdown table: ms a run, in brackets ms of CPU time, and how many times less CPU time."""
    names = list(result["ops"][OPS[0]])
    case = result["case"]
    size = " x ".join(str(side) for side in case["size"])
    lines = [
        f"{case['rays']:,} rays, {size} grid with {case['voxels']:,} voxels, {result['machine']['threads']} threads of "
        f"{result['machine']['cpu']}"
        + (f", {result['machine']['gpu']}" if "gpu" in result["machine"] else ""),
        "",
        "| Step | " + " | ".join(f"{name}, ms" for name in names) + " | reference / numba, CPU time |",
        "| --- |" + " ---: |" * (len(names) + 1),
    ]
    for op, row in result["ops"].items():
        cells = [f"{row[name]['ms_median']:,.2f} ({row[name]['cpu_ms_median']:,.2f})" for name in names]
        share = row["reference"]["cpu_ms_median"] / max(row["numba"]["cpu_ms_median"], 1e-3)
        lines.append(f"| {op} | " + " | ".join(cells) + f" | {share:,.0f} x |")
    return "\n".join(lines)
