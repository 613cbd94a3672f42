# SPDX-License-Identifier: MIT
"""An export beside training in a real window: how long it takes, what training and the window keep, how fast it cancels.

    python benchmarks/export_while_training.py SCENE [--downscale N] [--voxels N] [--frames N] [--size WxH] [--json FILE]

Trains SCENE until it has the voxels, measures the steps a second for a while, exports a spiral as mp4, then begins another
export and cancels it. The window is redrawn as often as while the mouse moves. OpenGL is drawn by the CPU under Xvfb, so
what is measured is the worst case: everything shares the same cores. Needs Xvfb.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.window import make_worker, start_display, step_of

LIMIT_S = 600.0
RATE_S = 15.0  # of training alone, before and after
CANCEL_AT = 30  # pictures


def frames_in(file: Path) -> int:
    """Return how many frames of a video can be read back."""
    import imageio.v2 as imageio

    with imageio.get_reader(file) as reader:
        return sum(1 for _ in reader)


class Bench:
    """The window, and what is pumped until something is the case."""

    def __init__(self, app: Any, worker: Any) -> None:
        self.app, self.worker = app, worker

    def until(self, done: Callable[[], bool], limit_s: float = LIMIT_S) -> float:
        """Redraw as fast as while somebody moves the mouse until `done`; return the seconds."""
        began = time.monotonic()
        while not done():
            if time.monotonic() - began > limit_s:
                raise RuntimeError(f"It did not happen within {limit_s:.0f} s.")
            self.app.pacer.touch()
            self.app.turn()
        return time.monotonic() - began

    def rate(self, seconds: float = RATE_S) -> float:
        """Return the steps a second over some seconds."""
        first, began = step_of(self.worker), time.monotonic()
        self.until(lambda: time.monotonic() - began >= seconds)
        return (step_of(self.worker) - first) / (time.monotonic() - began)

    def intervals_ms(self) -> dict[str, float]:
        """Return percentiles of the times between redraws since they were cleared."""
        times = 1e3 * np.array(list(self.app.intervals)[5:])
        return {f"p{p}": round(float(np.percentile(times, p)), 1) for p in (50, 95, 99)}


def export(bench: Bench, frames: int, size: tuple[int, int], folder: Path, cancel: bool) -> dict[str, Any]:
    """Return the measures of one export."""
    from app.session import ExportSettings

    file = folder / ("cancelled.mp4" if cancel else "whole.mp4")
    scene = bench.app.session.export
    settings = ExportSettings(
        "spiral", scene.radius, scene.height, frames=frames, width=size[0], height_px=size[1], file=str(file)
    )
    bench.app.intervals.clear()
    first, began = step_of(bench.worker), time.monotonic()
    bench.app.exports.start(settings)
    row = bench.app.session.jobs[-1]
    over = lambda: row.state in ("finished", "cancelled", "failed")  # noqa: E731
    found: dict[str, Any] = {}
    if cancel:
        bench.until(lambda: over() or row.done >= CANCEL_AT)
        bench.app.exports.cancel(row.job_id)
        found["cancel_s"] = bench.until(over)
    else:
        found["seconds"] = bench.until(over)
        found["steps_per_s"] = (step_of(bench.worker) - first) / (time.monotonic() - began)
        found["redraw_ms"] = bench.intervals_ms()
    if row.state != ("cancelled" if cancel else "finished"):
        raise RuntimeError(f"The export is {row.state}: {row.detail}")
    return found | {"written": row.done, "readable": frames_in(file), "bytes": file.stat().st_size}


def measure(scene: str, downscale: int, voxels: int, frames: int, size: tuple[int, int]) -> dict[str, Any]:
    """Return all measures."""
    from app.gui import layout as lay
    from app.gui.window import opened

    with tempfile.TemporaryDirectory() as folder:
        os.environ["NERFVIEWER_CONFIG"] = folder
        layout = lay.Layout()
        place = {"width": layout.width, "height": layout.height, "x_pos": 0, "y_pos": 0}
        with make_worker(folder, scene, downscale) as worker, opened(worker, place) as app:
            bench = Bench(app, worker)
            grown = lambda: (s := worker.stats()) is not None and s.structure.voxels >= voxels  # noqa: E731
            bench.until(grown)
            bench.rate(3.0)
            app.intervals.clear()
            before, alone_ms = bench.rate(), bench.intervals_ms()
            whole = export(bench, frames, size, Path(folder), cancel=False)
            after = bench.rate()
            cut = export(bench, 10 * frames, size, Path(folder), cancel=True)
            kept = whole["steps_per_s"] / (0.5 * (before + after))
            return {
                "voxels": worker.stats().structure.voxels,
                "steps_per_s": {"before": before, "during": whole["steps_per_s"], "after": after},
                "kept_share": round(kept, 3),
                "redraw_ms": {"without": alone_ms, "during": whole["redraw_ms"]},
                "seconds": round(whole["seconds"], 2),
                "whole": {key: whole[key] for key in ("written", "readable", "bytes")},
                "cancelled": cut,
            }


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scene")
    parser.add_argument("--downscale", type=int, default=1)
    parser.add_argument("--voxels", type=int, default=250_000)
    parser.add_argument("--frames", type=int, default=240)
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    sys.setswitchinterval(0.001)  # as the application does
    width, height = (int(part) for part in arguments.size.split("x"))
    server = start_display()
    try:
        found = measure(
            arguments.scene, arguments.downscale, arguments.voxels, arguments.frames, (width, height)
        )
    finally:
        server.terminate()
    result = {
        "scene": Path(arguments.scene).name,
        "size": arguments.size,
        "frames": arguments.frames,
        **found,
    }
    print(json.dumps(result, indent=1))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
