# SPDX-License-Identifier: MIT
"""Half an hour of use by a script: open, train, switch method, export, cancel, resize, undo, again and again in one window.

    python benchmarks/soak.py [--minutes 30] [--json FILE] [--scene demo]

Counts everything that went wrong (exceptions in any thread, failures that the worker or the window told, errors in the log),
and compares the memory at the same point of each round: the largest after the first five minutes with the largest until
then. Three sizes of the window take turns, so the memory goes up and down by their pictures.
Needs Xvfb.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.heap import allocated
from benchmarks.window import start_display

WARM_UP_S = 300.0
PATIENCE_S = 180.0
SIZES = ((1280, 720), (1500, 860), (900, 600))
METHODS = ("plenoxels", "infnerf")


class Faults(logging.Handler):
    """Everything that went wrong, as sentences."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.said: list[str] = []
        threading.excepthook = lambda args: self.said.append(f"thread: {args.exc_value!r}")
        sys.unraisablehook = lambda args: self.said.append(f"unraisable: {args.exc_value!r}")
        logging.getLogger().addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep an error of the log."""
        self.said.append(f"log: {record.getMessage()}")


class Person:
    """One who uses the window without pause."""

    def __init__(self, app: Any, folder: Path, scene: str, faults: Faults) -> None:
        self.app, self.folder, self.scene, self.faults = app, folder, scene, faults
        self.rounds = 0
        self.ended: list[str] = []
        self.deeds: dict[str, int] = {}
        self.widgets: list[int] = []
        self.allocated: list[int] = []
        on_event = app._on_event
        app._on_event = lambda event: (self._hear(event), on_event(event))

    def _hear(self, event: Any) -> None:
        from engine.messages import Failed, JobEnded

        if isinstance(event, Failed):
            self.faults.said.append(f"told: {event.what}: {' / '.join(event.chain)}")
        elif isinstance(event, JobEnded):
            self.ended.append(event.outcome)

    def rest(self, seconds: float) -> None:
        """Watch."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.app.turn()

    def wait(self, what: str, holds: Callable[[], Any]) -> None:
        """Watch until something holds."""
        end = time.monotonic() + PATIENCE_S
        while not holds():
            if time.monotonic() > end:
                self.faults.said.append(f"waited in vain: {what}")
                return
            self.app.turn()

    def run(self, command_id: str) -> None:
        """Do what a menu entry does; what cannot be done now is a fault of this script."""
        from app import commands

        reason = commands.find(command_id).enabled_when(self.app.session)
        if reason is not None:
            self.faults.said.append(f"{command_id}: {reason}")
            return
        self.deeds[command_id] = self.deeds.get(command_id, 0) + 1
        self.app.actions.run(command_id)
        self.rest(0.2)

    @property
    def step(self) -> int:
        """The steps that the open model was trained."""
        stats = self.app.session.stats
        return stats.step if stats is not None else 0

    def open(self) -> None:
        """Open the scene anew and rest until it is there."""
        from engine.messages import OpenScene, SceneOpened

        opened: list[Any] = []
        on_event = self.app._on_event
        self.app._on_event = lambda event: (
            opened.append(event) if isinstance(event, SceneOpened) else None,
            on_event(event),
        )
        self.app.actions.send(OpenScene(self.scene, "svraster"))
        self.wait("the scene opens", lambda: opened)
        self.app._on_event = on_event
        self.rest(0.5)

    def train(self, seconds: float) -> None:
        """Train for some seconds, then pause."""
        from engine.messages import TrainState

        if self.app.session.state is not TrainState.TRAINING:
            self.run("toggle_training")
        self.wait("training begins", lambda: self.app.session.state is TrainState.TRAINING)
        self.rest(seconds)
        self.run("toggle_training")
        self.wait("training pauses", lambda: self.app.session.state is TrainState.PAUSED)

    def fly(self, seconds: float) -> None:
        """Drag the view about."""
        from app.view.controllers import ORBIT

        controller, end = self.app.viewport.controller, time.monotonic() + seconds
        controller.press(ORBIT, None)
        while time.monotonic() < end:
            controller.drag(3.0, 1.0)
            self.app.turn()
        controller.release()

    def resize(self) -> None:
        """Give the window another size."""
        import dearpygui.dearpygui as dpg

        width, height = SIZES[self.rounds % len(SIZES)]
        dpg.set_viewport_width(width)
        dpg.set_viewport_height(height)
        self.rest(0.7)

    def export(self, cancel: bool) -> None:
        """Export the camera path, to its end or until a moment later."""
        settings, before = self.app.session.export, len(self.ended)
        settings.frames, settings.width, settings.height_px = (400 if cancel else 12), 320, 180
        settings.file = str(self.folder / f"{self.rounds}-{cancel}.mp4")
        self.run("export_spiral")
        if cancel:
            self.rest(1.0)
            for job_id in list(self.app.exports._jobs):
                self.app.actions.do("export.cancel", job_id)
        self.wait("the export ends", lambda: len(self.ended) > before)
        Path(settings.file).unlink(missing_ok=True)

    def structure(self) -> None:
        """Prune, subdivide, and take both back."""
        for command in ("prune_now", "subdivide_now"):
            self.run(command)
            self.rest(0.5)
        for _ in range(2):
            if self.app.session.undo.undo_label:
                self.run("undo")
                self.rest(0.5)

    def switch(self) -> None:
        """Train another method on the same scene."""
        from engine.messages import SwitchMethod

        name = METHODS[self.rounds % len(METHODS)]
        self.app.actions.send(SwitchMethod(name, start=True))
        self.wait(f"{name} is open", lambda: self.app.session.scene.method == name)
        self.wait(f"{name} trains", lambda: self.step >= 3)
        self.train(4.0)

    def look(self) -> None:
        """Look through the modes and put overlays on and off."""
        for mode in ("depth", "normal", "level", "samples", "colour"):
            self.run(f"mode_{mode}")
        for _ in range(2):
            self.run("toggle_wireframe")
            self.run("toggle_panels")

    def clean_up(self) -> None:
        """Delete the runs of before: sixty rounds would fill a disk."""
        for run in (self.folder / "runs").iterdir():
            if run != Path(self.app.session.scene.run_folder):
                shutil.rmtree(run, ignore_errors=True)

    def round(self) -> int:
        """Do everything once; return the memory after a moment of rest, in bytes, on the freshly opened scene."""
        import dearpygui.dearpygui as dpg

        self.open()
        self.train(6.0)
        self.structure()
        self.fly(1.5)
        self.look()
        self.resize()
        self.run("toggle_training")
        self.fly(1.0)
        self.export(cancel=False)
        self.export(cancel=True)
        self.run("toggle_training")
        self.switch()
        self.fly(1.0)
        self.open()
        self.clean_up()
        self.rounds += 1
        self.widgets.append(len(dpg.get_all_items()))
        gc.collect()
        self.rest(1.5)  # the worker gives back what is free after a second
        self.allocated.append(allocated())
        return psutil.Process().memory_info().rss


def soak(minutes: float, scene: str) -> dict[str, Any]:
    """Use the window for so long; return what was counted."""
    from app.gui.window import opened
    from engine.worker import Worker

    faults = Faults()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NERFVIEWER_CONFIG"] = folder
        worker = Worker(runs_dir=Path(folder) / "runs", evaluate_every_s=20.0, evaluate_share=0.03)
        worker.start()
        samples: list[tuple[float, int]] = []
        try:
            with opened(worker, {"width": 1280, "height": 720, "x_pos": 0, "y_pos": 0}) as app:
                person, began = Person(app, Path(folder), scene, faults), time.monotonic()
                while time.monotonic() - began < 60.0 * minutes:
                    rss = person.round()
                    samples.append((time.monotonic() - began, rss))
                    sizes = f"{rss / 2**20:7.0f} MB, {person.allocated[-1] / 2**20:7.1f} MB of it in use"
                    print(f"{samples[-1][0]:7.0f} s {sizes}, faults {len(faults.said)}", flush=True)
        finally:
            worker.stop(60)
    return report(samples, person, faults.said)


def report(samples: list[tuple[float, int]], person: Person, faults: list[str]) -> dict[str, Any]:
    """Return the figures: the memory's growth is the worst later sample against the worst of the first five minutes."""
    early = [rss for seconds, rss in samples if seconds <= WARM_UP_S] or [samples[0][1]]
    late = [rss for seconds, rss in samples if seconds > WARM_UP_S] or [samples[-1][1]]
    return {
        "minutes": round(samples[-1][0] / 60.0, 1),
        "rounds": person.rounds,
        "faults": faults,
        "exports": {outcome: person.ended.count(outcome) for outcome in sorted(set(person.ended))},
        "commands": person.deeds,
        "widgets": person.widgets,
        "memory_mb": [round(rss / 2**20) for _, rss in samples],
        "allocated_mb": [round(size / 2**20, 1) for size in person.allocated],
        "growth": round(max(late) / max(early) - 1.0, 4),
    }


def main() -> None:
    """Run it under a display of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--scene", default="demo")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    server = start_display()
    try:
        result = soak(arguments.minutes, arguments.scene)
    finally:
        server.terminate()
    print(json.dumps(result, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
