# SPDX-License-Identifier: MIT
"""What the window costs training, and how smooth it is: a real window under Xvfb with OpenGL drawn by the CPU.

    python benchmarks/window.py SCENE [--json FILE] [--downscale N]

Three runs of the same scene and seed: without a window; with an untouched one; with one in which the mouse orbits.
The first two are compared by the wall time between two training steps of the same numbers; the third gives the intervals
between redraws, and the time from a camera move to the picture of it, less the training step it had to wait for.
Needs Xvfb and xdotool.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

SCREEN = "1600x900x24"
FIRST, LAST = 100, 500  # steps between which the wall time is taken
DRAG_S = 15.0
LIMIT_S = 240.0


def start_display() -> subprocess.Popen[bytes]:
    """Start a virtual X server on a free number and set DISPLAY."""
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", SCREEN, "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL)
    os.environ["DISPLAY"] = ":" + os.read(read, 16).decode().strip()
    return server


@contextmanager
def make_worker(folder: str, scene: str, downscale: int) -> Iterator[Any]:
    """Let a worker train on a scene while the block lasts."""
    from engine.messages import OpenScene
    from engine.worker import Worker

    worker = Worker(runs_dir=folder, autosave_s=1e9)
    worker.start()
    options = {"downscale": downscale} if downscale > 1 else {}
    worker.send(OpenScene(scene, options=options, start=True))
    try:
        yield worker
    finally:
        worker.stop(60)


def step_of(worker: Any) -> int:
    """Return the newest step number."""
    stats = worker.stats()
    return stats.step if stats is not None else 0


def time_between(worker: Any, first: int, last: int, pump: Any = None) -> float:
    """Return the wall time from one step to another; `pump` is called until then."""
    from engine.messages import Failed

    deadline, began = time.monotonic() + LIMIT_S, None
    while time.monotonic() < deadline:
        if pump is None:
            time.sleep(0.002)
            failed = [event for event in worker.events() if isinstance(event, Failed)]
            if failed:
                raise RuntimeError(f"{failed[0].what}: {' / '.join(failed[0].chain)}")
        else:
            pump()
        step = step_of(worker)
        if began is None and step >= first:
            began, from_step = time.monotonic(), step
        if step >= last:
            return (time.monotonic() - began) / (step - from_step) * (last - first)
    raise RuntimeError(f"Step {last} was not reached within {LIMIT_S:.0f} s.")


def headless(scene: str, downscale: int) -> float:
    """Return the seconds between the two steps without a window."""
    with tempfile.TemporaryDirectory() as folder, make_worker(folder, scene, downscale) as worker:
        return time_between(worker, FIRST, LAST)


class MoveWatch:
    """Times each moving view request until a frame that shows it, or a later one, is there."""

    def __init__(self, worker: Any) -> None:
        self.latencies_s: list[float] = []
        self._sent: dict[int, float] = {}
        self._request, self._frame = worker.request_view, worker.frame
        worker.request_view, worker.frame = self.request_view, self.frame

    def request_view(self, request: Any) -> None:
        """Note when a request was made."""
        if request.moving:
            self._sent[request.serial] = time.monotonic()
        self._request(request)

    def frame(self) -> Any:
        """Note when its picture came."""
        frame = self._frame()
        if frame is not None:
            for serial in [s for s in self._sent if s <= frame.serial]:
                sent = self._sent.pop(serial)
                if serial == frame.serial:
                    self.latencies_s.append(time.monotonic() - sent)
        return frame


def orbit_with_mouse(seconds: float) -> None:
    """Drag the mouse about in the middle of the screen, 120 small moves a second."""
    middle = (620, 380)
    subprocess.run(["xdotool", "mousemove", *map(str, middle), "mousedown", "1"], check=True)
    lines, n = [], int(seconds * 100)
    for i in range(n):
        angle = 2 * np.pi * i / 300
        x, y = middle[0] + int(180 * np.sin(angle)), middle[1] + int(40 * np.sin(2 * angle))
        lines.append(f"mousemove {x} {y} sleep 0.008")
    subprocess.run(["xdotool", "-"], input="\n".join(lines).encode(), check=False)
    subprocess.run(["xdotool", "mouseup", "1"], check=True)


def windowed(scene: str, downscale: int, present: str) -> dict[str, Any]:
    """Return the measures of a window: untouched first, then with the mouse."""
    from app.gui import layout as lay
    from app.gui.window import opened

    with tempfile.TemporaryDirectory() as folder:
        os.environ["NERFVIEWER_CONFIG"] = folder
        size = lay.Layout()
        place = {"width": size.width, "height": size.height, "x_pos": 0, "y_pos": 0}
        with make_worker(folder, scene, downscale) as worker:
            watch = MoveWatch(worker)  # before the window asks the worker for anything
            with opened(worker, place, present=present) as app:
                untouched_s = time_between(worker, FIRST, LAST, app.turn)
                idle_fps, idle = app.session.ui_fps, worker.stats()
                app.intervals.clear()
                mouse = threading.Thread(target=orbit_with_mouse, args=(DRAG_S,))
                mouse.start()
                first, began = step_of(worker), time.monotonic()
                while mouse.is_alive():
                    app.turn()
                moving_rate = (step_of(worker) - first) / (time.monotonic() - began)
                stats = worker.stats()
                intervals = 1e3 * np.array(list(app.intervals)[10:])
                latencies = 1e3 * np.array(watch.latencies_s)
                return {
                    "untouched_s": untouched_s,
                    "idle_redraws_per_s": idle_fps,
                    "idle_shares": {"train": idle.train_share, "view": idle.view_share},
                    "frame_interval_ms": {f"p{p}": float(np.percentile(intervals, p)) for p in (50, 95, 99)},
                    "redraws": len(intervals),
                    "moving_steps_per_s": moving_rate,
                    "picture_latency_ms": {f"p{p}": float(np.percentile(latencies, p)) for p in (50, 95)},
                    "pictures": len(latencies),
                    "train_step_ms": stats.train_ms,
                    "voxels": stats.structure.voxels,
                    "viewport": [app.viewport.rect.width, app.viewport.rect.height],
                    "present": app.session.present,
                }


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scene")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--downscale", type=int, default=1)
    parser.add_argument("--present", default="auto")
    arguments = parser.parse_args()
    sys.setswitchinterval(0.001)  # as the application does
    server = start_display()
    try:
        headless(arguments.scene, arguments.downscale)  # warms caches and compiles
        without_s = headless(arguments.scene, arguments.downscale)
        result = windowed(arguments.scene, arguments.downscale, arguments.present)
    finally:
        server.terminate()
    result = {"scene": Path(arguments.scene).name, "headless_s": without_s, **result}
    result["kept_share"] = without_s / result["untouched_s"]
    print(json.dumps(result, indent=1))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
