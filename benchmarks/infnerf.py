# SPDX-License-Identifier: MIT
"""Held-out quality of a tree of fields at full, half and quarter scale, against a single field of as many parameters.

    python benchmarks/infnerf.py SCENE [--downscale 2] [--seconds 300] [--json FILE] [--cases tree,field,field-full]
        [-- option=value ...]

"tree" has the default options, or those that are given. "field" is one field for the whole scene with the tree's number of
parameters and its finest detail, trained in the same way on the same pyramid of photos for the same time; "field-full" is
the same field trained on full-size photos alone. Views at half and at quarter scale are compared with area means of the
held-out photos; `view_ms` are pictures for a viewport of 960x540 at the sizes that refine one another. Seconds are of
training steps alone; with --cpu they are CPU seconds divided by the number of threads, which another program on the
machine hardly changes.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from app.bench import machine
from engine.cpu.crew import crew
from engine.datasets import load_scene
from engine.datasets.options import SceneOptions
from engine.datasets.scene import Scene
from engine.methods.common import create_method
from engine.methods.infnerf import InfNeRF, InfNeRFConfig
from engine.metrics import psnr
from engine.node_fields import FieldShape
from engine.options import build, flatten, updated
from engine.render.resample import box_downsample

SCALES = (1, 2, 4)  # photos are so many times smaller
LOOKS = (0.125, 0.25, 0.5, 1.0)  # of the viewport's size: a slow picture comes coarse first
CASES = ("tree", "field", "field-full")
_LEVELS, _TABLES = range(8, 13), range(10, 24)  # sizes tried for the single field


def single_field(config: InfNeRFConfig, total: int, levels: int) -> InfNeRFConfig:
    """Return options of one field with about `total` parameters and the finest detail of a tree of so many levels."""
    max_res = config.field.max_res << (levels - 1)
    own = {k: v for k, v in vars(config.field).items() if k not in ("levels", "log2_table", "max_res")}
    sizes = [
        (
            abs(
                np.log(FieldShape(levels=grids, log2_table=table, max_res=max_res, **own).parameters / total)
            ),
            grids,
            table,
        )
        for grids in _LEVELS
        for table in _TABLES
    ]
    _, grids, table = min(sizes)
    values = {"tree.max_depth": 1, "field.max_res": max_res, "field.levels": grids, "field.log2_table": table}
    values["sampling.grid"] = min(
        64, config.sampling.grid << (levels - 1)
    )  # kept densities as fine as the tree's leaves'
    return updated(config, values)


def held_out(model: InfNeRF, scene: Scene) -> dict[str, float]:
    """Return mean PSNR of the held-out views at each scale, by its name."""
    found: dict[str, list[float]] = {f"1/{scale}": [] for scale in SCALES}
    for index, view in enumerate(scene.test.views):
        photo = scene.test.images.load(index)
        for scale in SCALES:
            camera = view.camera.resized(view.camera.width // scale, view.camera.height // scale)
            small = box_downsample(photo, camera.width, camera.height)
            found[f"1/{scale}"].append(psnr(model.render(camera).rgb, small))
    return {name: float(np.mean(values)) for name, values in found.items()}


def looks(model: InfNeRF, scene: Scene) -> dict[str, float]:
    """Return the median milliseconds of a picture with depth in a viewport of 960x540, at what a window asks for."""
    found = {}
    for scale in LOOKS:
        camera = scene.test.views[0].camera.resized(960, 540).scaled(scale)
        times = []
        for _ in range(5):
            begin = time.perf_counter()
            model.render(camera, frozenset({"depth_z"}))
            times.append(1e3 * (time.perf_counter() - begin))
        found[f"{camera.width}x{camera.height}"] = float(np.median(times))
    return found


def clock_of(cpu: bool) -> Callable[[], float]:
    """Return a clock in seconds."""
    return (lambda: time.process_time() / crew().n) if cpu else time.perf_counter


def train(model: InfNeRF, seconds: float, clock: Callable[[], float]) -> float:
    """Take steps for so many seconds; return how many seconds it was."""
    begin = clock()
    while clock() - begin < seconds:
        model.train_step()
    return clock() - begin


def run(
    case: str, scene: Scene, config: InfNeRFConfig, arguments: argparse.Namespace, total: int, levels: int
) -> dict:
    """Train and compare one case."""
    if case != "tree":
        config = single_field(config, total, levels)
    if case == "field-full":
        config = updated(config, {"pyramid.scales": 1})
    model = create_method("infnerf", scene, config, arguments.seed)
    model.warm_up()
    begin = time.process_time()
    seconds = train(model, arguments.seconds, clock_of(arguments.cpu))
    row = {"case": case, "steps": model.step, "seconds": seconds, "cpu_seconds": time.process_time() - begin}
    row |= {"nodes": model.tree.nodes, "levels": model.tree.levels}
    row |= {"parameters": model.tree.nodes * model.fields.shape.parameters, "psnr": held_out(model, scene)}
    row["view_ms"] = looks(model, scene)
    row["options"] = flatten(config)
    return row


def main() -> None:
    """Run the cases, print a line each, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scene")
    parser.add_argument("--downscale", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--json", type=Path)
    given = sys.argv[1:]
    end = given.index("--") if "--" in given else len(given)
    arguments = parser.parse_args(given[:end])
    config = build(InfNeRFConfig, dict(word.split("=", 1) for word in given[end + 1 :]))
    scene = load_scene(arguments.scene, SceneOptions(downscale=arguments.downscale), lambda *_: None)
    tree = create_method("infnerf", scene, config, arguments.seed)
    total, levels = tree.tree.nodes * tree.fields.shape.parameters, tree.tree.levels
    del tree
    rows = []
    for case in arguments.cases.split(","):
        rows.append(run(case, scene, config, arguments, total, levels))
        told = {k: v for k, v in rows[-1].items() if k != "options"}
        print(json.dumps(told), flush=True)
    by_case = {row["case"]: row["psnr"] for row in rows}
    coarse = {case: (p["1/2"] + p["1/4"]) / 2 for case, p in by_case.items()}
    gains = {case: coarse["tree"] - coarse[case] for case in coarse if case != "tree" and "tree" in coarse}
    for case, gain in gains.items():
        print(f"half and quarter scale: the tree is {gain:+.2f} dB from {case}")
    if arguments.json:
        result = {"benchmark": "infnerf", "scene": Path(arguments.scene).name, "machine": machine()}
        result |= {
            "seconds": arguments.seconds,
            "cpu": arguments.cpu,
            "threads": crew().n,
            "gain_db": gains,
            "cases": rows,
        }
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
