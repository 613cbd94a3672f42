# SPDX-License-Identifier: MIT
"""What total variation and pruning do for Plenoxels, and whether its view shows what training marches.

    python benchmarks/plenoxels_ablations.py [DATA] [--steps 2500] [--only fern] [--json FILE]

DATA holds the scenes `lego` (photos halved) and `fern` (at an eighth of its size). Every row is a run of its own with the same
steps and seed; `view_to_march_db` is the PSNR between the rasteriser's picture and the marched one, the worst of five
held-out views, and the times are medians over those. Run it on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from app.bench import machine
from engine.metrics import psnr

ROOT = Path(__file__).resolve().parent.parent
NO_TV = ("--losses.tv-density", "0", "--losses.tv-sh", "0")
NO_TV_FORWARD = ("--forward.tv-density", "0", "--forward.tv-sh", "0")
ROWS: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "lego": (
        ("as it is", ()),
        ("no total variation", NO_TV),
        ("total variation to the end", ("--losses.no-tv-early-only",)),
        ("no pruning", ("--prune.no-on",)),
        ("pruning by density", ("--prune.by", "density")),
        ("no neighbours kept", ("--prune.dilations", "0")),
    ),
    "fern": (
        ("as it is", ()),
        ("no total variation", NO_TV_FORWARD),
        ("no pruning", ("--prune.no-on",)),
    ),
}
SIZES = {"lego": "2", "fern": "8"}


def trained(scene: Path, steps: int, options: tuple[str, ...], run: Path) -> dict[str, Any]:
    """Train in a process of its own and return what `--json` says."""
    report = run.with_suffix(".json")
    command = [sys.executable, "-m", "app", "train", str(scene), "--method", "plenoxels"]
    command += ["--downscale", SIZES[scene.name], "--max-steps", str(steps), "--eval-every", "1e9"]
    command += ["--out", str(run), "--json", str(report), *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
    return json.loads(report.read_text())


def view_against_march(run: Path, views: int = 5) -> dict[str, float]:
    """Return how close the rasteriser's pictures are to marched ones, and how long each takes."""
    from engine.messages import OpenRun
    from engine.methods.plenoxels.march_view import march_view
    from engine.training import Opener, load_scene, make_method

    training, _ = Opener(load_scene, make_method, run.parent, None).run(OpenRun(str(run)), lambda *_: None)
    model, found, drawn_ms, marched_ms = training.method, [], [], []
    cameras = [view.camera for view in training.scene.test.views]
    for i in np.linspace(0, len(cameras) - 1, views).astype(int):
        begin = time.perf_counter()
        drawn = model.render(cameras[i]).rgb
        middle = time.perf_counter()
        tail = np.full(3, model.background)
        marched = march_view(
            model.grid, model.space, cameras[i], model.march_options(), tail, frozenset(), model._view_room
        ).rgb
        end = time.perf_counter()
        found.append(psnr(drawn, marched))
        drawn_ms.append(1000.0 * (middle - begin))
        marched_ms.append(1000.0 * (end - middle))
    return {
        "view_to_march_db": round(min(found), 2),
        "view_ms": round(statistics.median(drawn_ms), 1),
        "march_ms": round(statistics.median(marched_ms), 1),
    }


def main() -> None:
    """Train the rows, print a line each, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?", default=ROOT.parent / "shared" / "data")
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--only", choices=tuple(ROWS))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    result: dict[str, Any] = {
        "benchmark": "plenoxels_ablations",
        "machine": machine(),
        "steps": arguments.steps,
    }
    for scene, rows in ROWS.items():
        if arguments.only in (None, scene):
            result[scene] = {}
            for name, options in rows:
                with tempfile.TemporaryDirectory() as folder:
                    run = Path(folder) / "run"
                    report = trained((arguments.data / scene).resolve(), arguments.steps, options, run)
                    row = {key: round(report[key], 3) for key in ("psnr", "ssim", "voxels", "seconds")}
                    if scene == "lego" and not options:
                        row |= view_against_march(run)
                result[scene][name] = row
                print(scene, name, json.dumps(row), flush=True)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
