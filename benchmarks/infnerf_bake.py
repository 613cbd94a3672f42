# SPDX-License-Identifier: MIT
"""How much an InfNeRF run loses when it is baked into voxels, and what it gains.

    python benchmarks/infnerf_bake.py RUN [--degree 2] [--fineness 1] [--views 8] [--json FILE]

PSNR of the rasterised voxels against the marched fields, and of both against the held-out photos; voxels and their bytes; CPU
time of a view of either kind, one ray a pixel, and of baking.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from app.bench import machine
from engine import training
from engine.export.source import of_baked
from engine.export.voxel_set import as_svraster
from engine.messages import OpenRun
from engine.methods.infnerf.bake import BakeOptions, bake
from engine.metrics import psnr


def timed(work: object, *arguments: object, **more: object) -> tuple[object, float]:
    """Return what a function returns, and the CPU time of all threads that it took."""
    start = time.process_time()
    result = work(*arguments, **more)  # type: ignore[operator]
    return result, time.process_time() - start


def main() -> None:
    """Bake, compare, print and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--degree", type=int, default=2)
    parser.add_argument("--fineness", type=float, default=1.0)
    parser.add_argument("--views", type=int, default=8)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    opener = training.Opener(training.load_scene, training.make_method, arguments.run.parent, None)
    opened, _ = opener.run(OpenRun(str(arguments.run)), lambda *_: None)
    model, scene = opened.method, opened.scene
    options = BakeOptions(degree=arguments.degree, fineness=arguments.fineness)
    baked, bake_s = timed(bake, model, options)
    voxels, rows = as_svraster(of_baked(baked, scene), scene), []
    chosen = np.unique(np.linspace(0, len(scene.test) - 1, min(arguments.views, len(scene.test))).astype(int))
    for view in chosen:
        camera, photo = scene.test.views[view].camera, scene.test.images.load(int(view))
        marched, march_s = timed(model.render, camera)
        raster, raster_s = timed(voxels.render, camera, supersample=1.0)
        pictures = (raster.rgb, marched.rgb), (marched.rgb, photo), (raster.rgb, photo)
        rows.append([*(psnr(a, b) for a, b in pictures), march_s, raster_s])
    names = ("psnr_to_march", "psnr_march", "psnr_voxels", "march_cpu_s", "raster_cpu_s")
    result = {
        "benchmark": "infnerf_bake", "machine": machine(), "scene": scene.name, "step": model.step,
        "nodes": model.tree.nodes, "degree": options.degree, "fineness": options.fineness,
        "voxels": len(baked.octree), "per_level": np.bincount(baked.octree.level).tolist(),
        "bytes": baked.density.nbytes + baked.sh.nbytes + baked.octree.path.nbytes + baked.octree.level.nbytes,
        "bake_cpu_s": round(bake_s, 1), "views": len(chosen),
        **dict(zip(names, np.mean(rows, axis=0).round(3).tolist(), strict=True)),
    }  # fmt: skip
    print(json.dumps(result, indent=1))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
