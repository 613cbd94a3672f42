# SPDX-License-Identifier: MIT
"""Inference mode of SVRaster One against training mode on one scene: frame times, memory, PSNR.

    python benchmarks/modes.py RUN [--views 8] [--rounds 9] [--json FILE]
    python benchmarks/modes.py SCENE --steps 2000

RUN is a folder that `nerfviewer train` made; a SCENE is trained first. Frame times are medians over held-out views and rounds,
of CPU time of all threads and of the clock, the ways taken in turn so that whatever else runs disturbs all alike:

    soft       the training mode's forward as the document has it: soft footprints, soft order
    hard       the training mode's forward without: exact, through autograd
    app        what the app's own training does for a picture: lists, colours, blending; no depth
    inference  the inference mode's forward: colour and depth, over the background
    colour     the same without depth: what `app` does

All cast as many rays a pixel as the run was trained with, the soft one a single one. `state` is parameters, gradients
and Adam's moments; `training` adds the octree and its tables; `inference` is all that the model holds then.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from app.bench import machine
from engine.cpu.crew import crew
from engine.cpu.lists import Workspace
from engine.cpu.train_view import render_lists, shaded_lists
from engine.matrices import matrices_of
from engine.messages import OpenRun, OpenScene
from engine.metrics import psnr
from engine.runs import is_run
from engine.svraster_one import (
    SceneDataset,
    SVRasterOne,
    SVRasterOneTrainer,
    switch_to_inference_mode,
    switch_to_training_mode,
)
from engine.svraster_one.memory import MB
from engine.training import Opener, load_scene, make_method

SOFT_EVERY = 3  # the soft forward takes seconds: it is timed in every third round


def method_of(place: Path, steps: int) -> Any:
    """Return the method of a run, or one trained on a scene for some steps."""
    with tempfile.TemporaryDirectory() as folder:
        opener = Opener(load_scene, make_method, Path(folder), None)
        if is_run(place):
            training, _ = opener.run(OpenRun(str(place)), lambda *_: None)
            return training.method
        method = opener.scene(OpenScene(str(place)), lambda *_: None).method
    for _ in range(steps):
        method.train_step()
    return method


def ways_of(model: SVRasterOne, method: Any, camera: Any, room: Workspace) -> dict[str, Callable[[], Any]]:
    """Return what is timed, by name."""
    lens, size = matrices_of(camera, model.frame), (camera.height, camera.width)
    rays, looks = model.config.rendering.supersample, model.looks()
    fine = camera if rays == 1 else camera.scaled(float(rays))
    cache = model.inference_cache()

    def forward(mode: str, soft: bool) -> Any:
        model.config.rendering.soft_rasterization = soft
        return model.forward(*lens, mode, size)

    def app() -> Any:
        lists, rgb = shaded_lists(
            method.table, method.field.sh, model.voxel_grid.sh_degree, fine, crew(), room, keep_slots=True
        )
        return render_lists(lists, method.table, method.field.density, rgb, crew(), room, looks.samples)

    return {
        "soft": lambda: forward("training", True),
        "hard": lambda: forward("training", False),
        "app": app,
        "inference": lambda: forward("inference", False),
        "colour": lambda: cache.blend(camera, looks, depth=False),
    }


def frame_times(
    model: SVRasterOne, method: Any, cameras: list[Any], rounds: int
) -> dict[str, dict[str, float]]:
    """Return median milliseconds of each way over cameras and rounds."""
    found: dict[str, list[tuple[float, float]]] = {}
    room = Workspace()
    for number in range(rounds + 1):  # the first is not counted: it compiles and fills caches
        for camera in cameras:
            for name, work in ways_of(model, method, camera, room).items():
                if name == "soft" and number % SOFT_EVERY:
                    continue
                cpu, wall = time.process_time(), time.perf_counter()
                work()
                took = 1e3 * (time.process_time() - cpu), 1e3 * (time.perf_counter() - wall)
                if number or name == "soft":
                    found.setdefault(name, []).append(took)
    return {
        name: {
            key: round(statistics.median(t[i] for t in times), 2)
            for i, key in enumerate(("cpu_ms", "wall_ms"))
        }
        for name, times in found.items()
    }


def memory_of(model: SVRasterOne, item: dict[str, Any]) -> dict[str, float]:
    """Return megabytes of both modes, measured after a training step and a backward pass."""
    model.config.rendering.soft_rasterization = False
    model.config.training.learning_rate = 0.0  # nothing shall change
    trainer = SVRasterOneTrainer(model)
    trainer.training_step(item)
    model.training_step_forward(item["camera_matrix"], item["intrinsics"], item)["total_loss"].backward()
    held = model.get_memory_usage()
    state = held["parameters_mb"] + held["gradients_mb"] + 2.0 * held["parameters_mb"]
    switch_to_inference_mode(model)
    inference = model.get_memory_usage()
    model.forward(item["camera_matrix"], item["intrinsics"], size=tuple(item["image"].shape[:2]))
    drawing = model.get_memory_usage()["workspace_mb"]
    switch_to_training_mode(model)
    return {
        "state_mb": state, "training_mb": held["total_memory_mb"], "inference_mb": inference["total_memory_mb"],
        "drawing_mb": drawing, "on_disk_mb": inference["on_disk_mb"],
        "bytes_a_voxel": inference["total_memory_mb"] * MB / len(model.voxel_grid),
        "of_state": inference["total_memory_mb"] / state, "of_training": inference["total_memory_mb"] / held["total_memory_mb"],
    }  # fmt: skip


def quality(model: SVRasterOne, scene: Any) -> dict[str, float]:
    """Return the held-out PSNR of hard training pictures and of inference pictures, means over all views."""
    model.config.rendering.soft_rasterization = False
    values: dict[str, list[float]] = {"training": [], "inference": []}
    for i, view in enumerate(scene.test.views):
        lens, size = matrices_of(view.camera, model.frame), (view.camera.height, view.camera.width)
        for mode, into in values.items():
            rgb = model.forward(*lens, mode, size)["rgb"].detach().numpy()
            into.append(psnr(rgb, scene.test.images.load(i)))
    training, inference = (float(np.mean(v)) for v in values.values())
    return {"training_db": training, "inference_db": inference, "loss_db": training - inference}


def main() -> None:
    """Measure, print, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("place", type=Path, metavar="SCENE|RUN")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--views", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    method = method_of(arguments.place, arguments.steps)
    model = SVRasterOne.from_method(method)
    views = method.scene.test.views
    chosen = np.unique(np.linspace(0, len(views) - 1, arguments.views).round().astype(int))
    cameras = [views[i].camera for i in chosen]
    result: dict[str, Any] = {
        "benchmark": "modes",
        "scene": method.scene.name,
        "machine": machine(),
        "voxels": len(model.voxel_grid),
        "sh_degree": model.voxel_grid.sh_degree,
        "size": [cameras[0].width, cameras[0].height],
        "rays_per_pixel_side": model.config.rendering.supersample,
        "views": len(cameras),
        "rounds": arguments.rounds,
    }
    result["quality"] = {k: round(v, 4) for k, v in quality(model, method.scene).items()}
    print(json.dumps(result["quality"]), flush=True)
    result["frames"] = times = frame_times(model, method, cameras, arguments.rounds)
    print(json.dumps(times), flush=True)
    result["ratios"] = {
        "inference_to_soft": round(times["inference"]["wall_ms"] / times["soft"]["wall_ms"], 3),
        "inference_to_hard": round(times["inference"]["wall_ms"] / times["hard"]["wall_ms"], 3),
        "colour_to_app": round(times["colour"]["wall_ms"] / times["app"]["wall_ms"], 3),
    }
    print(json.dumps(result["ratios"]), flush=True)
    item = SceneDataset(method.scene, model.config)[0]
    result["memory"] = {k: round(v, 3) for k, v in memory_of(model, item).items()}
    print(json.dumps(result["memory"]), flush=True)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
