# SPDX-License-Identifier: MIT
"""Held-out quality after 30, 60 and 180 seconds of training, over several seeds: the README's quality table.

    python benchmarks/time_to_quality.py SCENE [--seeds 3] [--seconds 30,60,180] [--json FILE] [-- more train options]

One run per seed, as long as the longest mark, evaluated at every mark; seconds are training seconds as `nerfviewer train`
counts them (loading, compiling and evaluating excluded). Run it on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from app.bench import machine


def run_once(scene: str, seed: int, seconds: list[float], more: list[str]) -> dict:
    """Train one seed in a process of its own and return what `--json` says."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        step = min(seconds)
        command = [
            sys.executable,
            "-m",
            "app",
            "train",
            scene,
            "--max-seconds",
            str(max(seconds)),
            "--eval-every",
            str(step),
        ]
        command += ["--seed", str(seed), "--out", str(Path(folder) / "run"), "--json", str(report), *more]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=Path(__file__).parents[1])
        return json.loads(report.read_text())


def at_mark(curve: list[dict], mark: float) -> dict:
    """Return the evaluation nearest to a mark in seconds."""
    return min(curve, key=lambda point: abs(point["seconds"] - mark))


def largest_fall(curve: list[dict]) -> float:
    """Return the largest drop in dB from one evaluation to the next, 0 if it only rises."""
    return max([0.0, *(a["psnr"] - b["psnr"] for a, b in itertools.pairwise(curve))])


def main() -> None:
    """Run the seeds, print a line each and a table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scene")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seconds", default="30,60,180")
    parser.add_argument("--json", type=Path)
    parser.add_argument("more", nargs="*", help="options handed to nerfviewer train, after --")
    arguments = parser.parse_args()
    marks = [float(text) for text in arguments.seconds.split(",")]
    runs = []
    for seed in range(arguments.seeds):
        report = run_once(arguments.scene, seed, marks, arguments.more)
        points = [at_mark(report["curve"], mark) for mark in marks]
        fall = largest_fall(report["curve"])
        row = {
            "seed": seed,
            "psnr": [round(p["psnr"], 3) for p in points],
            "steps": [p["step"] for p in points],
        }
        row |= {
            "ssim": round(report["ssim"], 4),
            "voxels": report["voxels"],
            "largest_fall_db": round(fall, 3),
        }
        row |= {"seconds": report["seconds"], "cpu_seconds": report["cpu_seconds"]}
        runs.append(row)
        print(json.dumps(row), flush=True)
    medians = [round(statistics.median(run["psnr"][k] for run in runs), 3) for k in range(len(marks))]
    for mark, value in zip(marks, medians, strict=True):
        print(f"{mark:g} s: median held-out PSNR {value:.2f} dB")
    if arguments.json:
        result = {
            "benchmark": "time_to_quality",
            "scene": Path(arguments.scene).name,
            "machine": machine(),
            "seconds": marks,
        }
        result |= {"median_psnr": medians, "runs": runs}
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
