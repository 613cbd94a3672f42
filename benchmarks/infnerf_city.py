# SPDX-License-Identifier: MIT
"""InfNeRF on the built-in city: quality, and how much of the model a low and a high view need.

    python benchmarks/infnerf_city.py [--seconds 300] [--seed 0] [--share 0.30] [--downscale 1] [--store FOLDER]
        [--json FILE] [OPTION=VALUE ...]

Trains with the preset "city" (max_depth 5), writes the nodes into a store, and renders every held-out view from a cache that may
hold a share of the model: nearest ancestors first, then, all nodes loaded, the whole picture, which must equal the model's
own bit for bit. The lowest and the highest view are told by name. Seconds are those of training alone.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from app.bench import machine
from engine.datasets import SceneOptions, load_scene
from engine.datasets.scene import Scene
from engine.methods.infnerf import PRESETS, InfNeRF, InfNeRFConfig
from engine.methods.infnerf.stored import StoredModel, write
from engine.metrics import psnr
from engine.options import build


def trained(scene: Scene, values: dict, seed: int, seconds: float) -> tuple[InfNeRF, float]:
    """Return a model after so many seconds of training, and how many they were."""
    model = InfNeRF(scene, build(InfNeRFConfig, values), seed)
    model.warm_up()
    start = time.perf_counter()
    told = start
    while (now := time.perf_counter()) - start < seconds:
        report = model.train_step()
        if now - told > 30.0:
            told = now
            print(
                f"  {now - start:4.0f} s  step {model.step:,}  {report.psnr:.2f} dB of its rays", flush=True
            )
    return model, time.perf_counter() - start


def looked_at(model: InfNeRF, stored: StoredModel, view: int) -> dict:
    """Return what a held-out view costs from the cache, and how good it is."""
    scene, camera = model.scene, model.scene.test.views[view].camera
    height = float((scene.data_from_engine @ [*camera.position, 1.0])[2])
    before = stored.cache.counters()
    start = time.perf_counter()
    first = stored.render(camera)  # shows what is there
    first_s = time.perf_counter() - start
    start = time.perf_counter()
    seen = stored.render_whole(camera)
    whole_s = time.perf_counter() - start
    expected, photo, after = model.render(camera).rgb, scene.test.images.load(view), seen.counters
    store = stored.cache.store
    return {
        "view": scene.test.views[view].name,
        "height_m": round(height, 1),
        "psnr": round(psnr(seen.buffers.rgb, photo), 2),
        "psnr_before_loading": round(psnr(first.buffers.rgb, photo), 2),
        "first_s": round(first_s, 3),
        "whole_s": round(whole_s, 3),
        "touched_nodes": after.touched_nodes,
        "touched_per_level": np.bincount(
            store.tree.depth[stored.wanted(camera)], minlength=store.tree.levels
        ).tolist(),
        "touched_bytes": after.touched_bytes,
        "touched_share": round(after.touched_bytes / after.model_bytes, 4),
        "resident_share": round(after.resident_bytes / after.model_bytes, 4),
        "hits": after.hits - before.hits,
        "misses": after.misses - before.misses,
        "evictions": after.evictions - before.evictions,
        "same_bits": bool(np.array_equal(seen.buffers.rgb, expected)),
    }


def main() -> None:
    """Train, store, look, print and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--share", type=float, default=0.30)
    parser.add_argument("--downscale", type=int, default=1)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("options", nargs="*", metavar="OPTION=VALUE")
    arguments = parser.parse_args()
    values = {**PRESETS["city"]}
    for text in arguments.options:
        name, _, value = text.partition("=")
        values[name] = json.loads(value)
    scene = load_scene("city", SceneOptions(downscale=arguments.downscale))
    model, seconds = trained(scene, values, arguments.seed, arguments.seconds)
    per_level = np.bincount(model.tree.depth).tolist()
    with tempfile.TemporaryDirectory() as spare:
        store, update = write(model, arguments.store or spare)
        print(
            f"{update.written} nodes {per_level}, {store.model_bytes / 1e6:.1f} MB, {model.step:,} steps",
            flush=True,
        )
        with StoredModel(store.folder, int(arguments.share * store.model_bytes)) as stored:
            views = [looked_at(model, stored, view) for view in range(len(scene.test))]
            counters = vars(stored.cache.counters())
    low, high = (choose(views, key=lambda v: v["height_m"]) for choose in (min, max))
    for word, view in (("lowest", low), ("highest", high)):
        print(f"{word}: {json.dumps(view)}", flush=True)
    result = {
        "benchmark": "infnerf_city", "machine": machine(), "values": values, "seed": arguments.seed,
        "downscale": arguments.downscale, "seconds": round(seconds, 1), "steps": model.step, "nodes": store.tree.nodes,
        "nodes_per_level": per_level, "node_bytes": store.node_bytes, "model_bytes": store.model_bytes,
        "budget_share": arguments.share, "psnr": round(float(np.mean([v["psnr"] for v in views])), 2),
        "low_share": low["touched_share"], "high_share": high["touched_share"],
        "largest_share": max(v["touched_share"] for v in views), "same_bits": all(v["same_bits"] for v in views),
        "counters": counters, "views": views,
    }  # fmt: skip
    told = (
        "psnr",
        "nodes",
        "model_bytes",
        "low_share",
        "high_share",
        "largest_share",
        "same_bits",
        "counters",
    )
    print(json.dumps({name: result[name] for name in told}, indent=1))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
