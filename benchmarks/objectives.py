# SPDX-License-Identifier: MIT
"""SVRaster's objectives side by side: held-out quality of the same voxels trained on pictures, on rays and on soft pictures.

    python benchmarks/objectives.py SCENE [--downscale 2] [--seconds 300] [--only soft] [--json FILE] [-- more train options]

A run each, in a process of its own, one after the other; seconds are training seconds. All are judged by the picture that the
window shows (the hard one); of the soft objective's run `soft_psnr` is that of its softened picture, with the blurs that held
at the end. Run it on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from app.bench import machine
from engine.metrics import psnr

ROOT = Path(__file__).resolve().parent.parent
KINDS = ("raster", "rays", "soft")


def trained(
    scene: str, kind: str, arguments: argparse.Namespace, more: list[str], run: Path
) -> dict[str, Any]:
    """Train with one objective and return what `--json` says."""
    report = run.with_suffix(".json")
    command = [sys.executable, "-m", "app", "train", scene, "--downscale", str(arguments.downscale)]
    command += ["--objective.kind", kind, "--max-seconds", str(arguments.seconds)]
    command += ["--eval-every", str(arguments.seconds / 5.0), "--out", str(run), "--json", str(report), *more]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
    return json.loads(report.read_text())


def soft_psnr(run: Path) -> float:
    """Return the mean PSNR of the held-out views drawn softly, with the blurs of the last step."""
    from engine.messages import OpenRun
    from engine.training import Opener, load_scene, make_method

    training, _ = Opener(load_scene, make_method, run.parent, None).run(OpenRun(str(run)), lambda *_: None)
    model, held = training.method, training.scene.test
    found = [
        psnr(model.render(view.camera, frozenset({"soft"})).soft, held.images.load(i))
        for i, view in enumerate(held.views)
    ]
    return float(np.mean(found))


def main() -> None:
    """Train each objective, print a line, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scene")
    parser.add_argument("--downscale", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--only", choices=KINDS)
    parser.add_argument("--json", type=Path)
    given = sys.argv[1:]
    end = given.index("--") if "--" in given else len(given)
    arguments, more = parser.parse_args(given[:end]), given[end + 1 :]
    scene = str(Path(arguments.scene).resolve())
    result: dict[str, Any] = {"benchmark": "objectives", "scene": Path(scene).name, "machine": machine()}
    result |= {"downscale": arguments.downscale, "seconds": arguments.seconds}
    for kind in KINDS if arguments.only is None else (arguments.only,):
        with tempfile.TemporaryDirectory() as folder:
            run = Path(folder) / "run"
            report = trained(scene, kind, arguments, more, run)
            row = {key: round(report[key], 3) for key in ("psnr", "ssim", "voxels", "seconds", "cpu_seconds")}
            row["curve"] = [[round(p["seconds"]), p["step"], round(p["psnr"], 2)] for p in report["curve"]]
            if kind == "soft":
                row["soft_psnr"] = round(soft_psnr(run), 3)
        result[kind] = row
        print(kind, json.dumps(row), flush=True)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
