# SPDX-License-Identifier: MIT
"""`nerfviewer bench`: what the README's numbers come from. Medians over many runs, CPU time beside wall time."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from app.headless_train import finite, write_json
from engine.cameras import Camera, look_at
from engine.cpu.crew import crew
from engine.cpu.lists import VoxelTable, Workspace, build_lists
from engine.cpu.shade import grouped, sh_groups
from engine.cpu.tile_loss import MSE, N_WEIGHTS
from engine.cpu.train_view import FieldArrays, render_lists, shaded_lists, train_on_view
from engine.cpu.update import bias_corrections, owners_of_points
from engine.morton import path_from_ijk
from engine.octree import Octree

RASTER_CASES = {"shell-64k": 7, "shell-256k": 8, "shell-1m": 9}  # name: octree level
RASTER_SIZE = (960, 540)
_SH_DEGREE = 2


def shell(level: int) -> Octree:
    """Return a sphere's shell, about 2.4 voxels thick, over a round floor, all leaves at one level."""
    side = 1 << level
    centre = (np.arange(side) + 0.5) / side - 0.5
    x, y = np.meshgrid(centre, centre, indexing="ij")
    layers = []
    for k, z in enumerate(centre):
        mask = np.abs(np.sqrt(x * x + y * y + z * z) - 0.30) < 1.2 / side
        if abs(z + 0.36) < 1.0 / side:
            mask |= np.sqrt(x * x + y * y) < 0.48
        i, j = np.nonzero(mask)
        layers.append(np.stack([i, j, np.full(len(i), k)], axis=1))
    ijk = np.concatenate(layers) << (16 - level)
    return Octree.from_leaves(path_from_ijk(ijk), np.full(len(ijk), level))


def timed(work: Callable[[], Any], runs: int, warm_ups: int = 3) -> dict[str, float]:
    """Return the median and 90th percentile of wall ms and the median of CPU ms of `work`."""
    wall, cpu = [], []
    for run in range(warm_ups + runs):
        start, start_cpu = time.perf_counter(), time.process_time()
        work()
        if run >= warm_ups:
            wall.append(1e3 * (time.perf_counter() - start))
            cpu.append(1e3 * (time.process_time() - start_cpu))
    return {
        "ms_median": round(float(np.median(wall)), 2),
        "ms_p90": round(float(np.percentile(wall, 90)), 2),
        "cpu_ms_median": round(float(np.median(cpu)), 2),
    }


def raster_case(name: str, runs: int = 30) -> dict[str, Any]:
    """Measure one case at 960 x 540: a frame (project, order, colours of degree 2, blend), and a training step."""
    octree = shell(RASTER_CASES[name])
    table, room, rng = VoxelTable.of(octree), Workspace(), np.random.default_rng(0)
    n, g = len(octree), octree.n_points
    density = (rng.random(g) * 2.0 + 1.0).astype(np.float32) * np.float32(2.0 ** RASTER_CASES[name] / 128.0)
    rows = rng.normal(0.0, 0.05, (n, (_SH_DEGREE + 1) ** 2, 3)).astype(np.float32)
    rows[:, 0] = octree.center * 2.0
    sh = grouped(rows)
    pose = look_at(np.array([1.1, 0.9, 0.6]), np.zeros(3), np.array([0.0, 0.0, 1.0]))
    camera = Camera.from_fov(*RASTER_SIZE, np.radians(45.0), pose)

    def frame() -> None:
        lists, rgb = shaded_lists(table, sh, _SH_DEGREE, camera, crew(), room)
        render_lists(lists, table, density, rgb, crew(), room)

    inference = timed(frame, runs)
    pairs = build_lists(table, camera, crew()).n_pairs
    train = timed(_training_step(table, octree, density, sh, camera, room), max(5, runs // 2))
    return {
        "case": name,
        "size": list(RASTER_SIZE),
        "voxels": n,
        "pairs": pairs,
        **inference,
        **{f"train_{key}": value for key, value in train.items()},
    }


def _training_step(
    table: VoxelTable, octree: Octree, density: np.ndarray, sh: np.ndarray, camera: Camera, room: Workspace
) -> Callable[[], None]:
    n, g = len(octree), octree.n_points
    shape = sh_groups(n, _SH_DEGREE)

    def zeros(*shape: int, kind: type = np.float32) -> np.ndarray:
        return np.zeros(shape, dtype=kind)

    field = FieldArrays(
        density.copy(), zeros(g), zeros(g), zeros(g, kind=np.uint16), sh.copy(), zeros(*shape), zeros(*shape),
        zeros(n, kind=np.uint16), zeros(n), zeros(n), np.full(n, np.inf, dtype=np.float32),
    )  # fmt: skip
    target = np.full((camera.height, camera.width, 3), 128, dtype=np.uint8)
    weights = np.zeros(N_WEIGHTS)
    weights[0], weights[-1] = 1.0 / target.size, 1.0
    adam = np.array(
        [0.1, 0.99, 1e-15, 1e-6, 1e-6, 1e-6, 0.0], dtype=np.float32
    )  # hardly moves: every run is alike
    corrections = (bias_corrections(0.1, 64), bias_corrections(0.99, 64))
    owners, scratch = owners_of_points(octree.corner_idx, g), (zeros(n, 8), zeros(n, kind=np.uint8))

    def step() -> None:
        lists, rgb = shaded_lists(table, field.sh, _SH_DEGREE, camera, crew(), room, keep_slots=True)
        train_on_view(
            table, field, owners, scratch, lists, rgb, crew(), room, mode=MSE, shrink=1, target=target,
            background=np.ones(3, dtype=np.float32), weights=weights, v_rgb=None, samples=1, degree=_SH_DEGREE, adam=adam,
            corrections=corrections,
        )  # fmt: skip

    return step


def machine() -> dict[str, Any]:
    """Describe the machine that measured."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [
            line
            for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
            if line.startswith("model name")
        ]
        name = lines[0].split(":", 1)[1].strip() if lines else name
    return {
        "cpu": name,
        "threads": crew().n,
        "system": platform.system(),
        "python": platform.python_version(),
    }


def raster(json_path: Path | None = None, runs: int = 30) -> dict[str, Any]:
    """Run the raster cases, print a line each, and write them to `json_path` when given."""
    result: dict[str, Any] = {"benchmark": "raster", "machine": machine(), "cases": []}
    for name in RASTER_CASES:
        case = raster_case(name, runs)
        result["cases"].append(case)
        print(
            f"{name}: {case['voxels']:,} voxels, {case['pairs']:,} pairs, frame {case['ms_median']} ms "
            f"(p90 {case['ms_p90']}), training step {case['train_ms_median']} ms",
            flush=True,
        )
    if json_path is not None:
        write_json(Path(json_path), result)
    return result


def train(
    json_path: Path | None = None,
    scene: str = "demo",
    seconds: float = 30.0,
    seed: int = 0,
    method: str = "svraster",
    scene_options: dict[str, Any] | None = None,
    values: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Train a method on a scene for some seconds and report quality and where the time of a step goes.

    `scene_options` and `values` are options of the scene's reader and of the method by dotted name.
    """
    from engine.cpu.crew import Crew, spent_and_waited_s
    from engine.datasets import load_scene
    from engine.datasets.options import SceneOptions
    from engine.evaluation import Evaluation
    from engine.methods.common import create_method, method_class
    from engine.options import build

    loaded = load_scene(scene, build(SceneOptions, scene_options or {}))
    model = create_method(method, loaded, build(method_class(method).Config, values or {}), seed)
    model.warm_up()
    shares: dict[str, float] = {}
    run = Crew.run

    def measured(self: Crew, kernel: Callable[..., Any], *args: Any) -> None:
        start = time.perf_counter()
        run(self, kernel, *args)
        shares[kernel.__name__] = shares.get(kernel.__name__, 0.0) + time.perf_counter() - start

    spent, start_cpu, kernels = 0.0, time.process_time(), spent_and_waited_s()
    Crew.run = measured
    try:
        while spent < seconds:
            start = time.perf_counter()
            model.train_step()
            spent += time.perf_counter() - start
    finally:
        Crew.run = run
    cpu_seconds = time.process_time() - start_cpu
    in_kernels, waited = (now - before for now, before in zip(spent_and_waited_s(), kernels))
    evaluation = Evaluation(loaded, model)
    while not evaluation.done:
        evaluation.advance()
    result = {
        "benchmark": "train",
        "machine": machine(),
        "method": method,
        "scene": loaded.name,
        "seed": seed,
        "steps": model.step,
        "seconds": round(spent, 2),
        "cpu_seconds": round(cpu_seconds, 2),
        "voxels": model.structure().voxels,
        "psnr": finite(round(evaluation.psnr, 3)),
        "ssim": finite(round(evaluation.ssim, 4)),
        "waiting_share": round(waited / max(in_kernels, 1e-9), 4),
        "kernel_ms_per_step": {name: round(1e3 * s / model.step, 3) for name, s in shares.items()},
    }
    print(
        f"{loaded.name}: {result['steps']:,} steps in {spent:.1f} s, {result['voxels']:,} voxels, "
        f"held-out PSNR {evaluation.psnr:.2f} dB, SSIM {evaluation.ssim:.3f}"
    )
    print(f"  threads wait for the slowest {result['waiting_share']:.1%} of their time in kernels")
    for name, ms in sorted(result["kernel_ms_per_step"].items(), key=lambda item: -item[1]):
        print(f"  {name:20s} {ms:7.2f} ms per step")
    if json_path is not None:
        write_json(Path(json_path), result)
    return result
