# SPDX-License-Identifier: MIT
"""A walk through the real window with a real worker; prints what happened as JSON. One process per walk.

    walk_driver.py SCENE WIDTH HEIGHT SCALE FOLDER

Start page, open, train, pause, prune now, undo, three keys, play, export: with the keyboard and the mouse, through the X
server. Pictures of each station go into FOLDER. PYTHONPATH holds the project and this folder.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import dearpygui.dearpygui as dpg
import numpy as np
from hands import Hands

from app.gui.application import App
from app.gui.palette import Palette
from app.gui.window import opened
from engine.messages import JobEnded, TrainState
from engine.worker import Worker

STEPS = 270  # between two changes of the structure by schedule: there is something to drop


class Walk:
    """The stations in their order."""

    def __init__(self, app: App, folder: Path) -> None:
        self.app, self.folder = app, folder
        self.hands = Hands(app)
        self.heard: list[Any] = []
        self.seen: dict[str, Any] = {}
        on_event = app._on_event
        app._on_event = lambda event: (self.heard.append(event), on_event(event))

    def shot(self, name: str) -> None:
        """Keep a picture of a station."""
        self.hands.keep(self.folder, name)

    def last(self, kind: type) -> Any:
        """Return the newest event of a kind, None before the first."""
        return next((event for event in reversed(self.heard) if isinstance(event, kind)), None)

    def open(self, scene: str) -> None:
        """From the start page to the scene."""
        hands, session = self.hands, self.app.session
        hands.rest(1.0)
        self.shot("1-start")
        hands.click(hands.labelled("Open scene"))
        hands.rest(0.5)
        hands.write(hands.field_in(self.app.dialogs._chooser), scene)
        hands.key("Return")
        hands.wait("the scene opens", lambda: session.scene is not None)
        hands.wait("its first picture comes", lambda: self.app.viewport.frame is not None)
        self.seen["scene"] = session.scene.name

    def train(self) -> None:
        """Train for a while, then pause."""
        hands, session = self.hands, self.app.session
        hands.wait("loading ends", lambda: session.state is TrainState.PAUSED)
        x, y = hands.viewport_middle()
        hands._do("mousemove", str(round(x)), str(round(y)))
        hands.command("toggle_training")
        hands.wait("training goes on", lambda: session.stats and session.stats.step >= STEPS)
        self.shot("2-training")
        hands.command("toggle_training")
        hands.wait("training pauses", lambda: session.state is TrainState.PAUSED)
        self.seen["steps"] = session.stats.step

    def prune(self) -> None:
        """Drop voxels by hand, and take that back."""
        hands, session = self.hands, self.app.session
        before = session.stats.structure.voxels
        hands.command("command_palette")
        palette = next(desk for desk in self.app.desks if isinstance(desk, Palette))
        hands.wait("the palette opens", lambda: palette.shown)
        hands.wait("its field has the keyboard", lambda: dpg.is_item_active(palette._field))
        hands._do("type", "--delay", "60", "structure panel")
        hands.wait("it is written", lambda: dpg.get_value(palette._field) == "structure panel")
        hands.rest(0.3)
        self.shot("3-palette")
        hands.key("Return")
        hands.rest(0.6)
        slider = "structure/adapt.prune_threshold"
        (x0, y0), (width, height) = dpg.get_item_rect_min(slider), dpg.get_item_rect_size(slider)
        hands.click_at(x0 + 0.5 * width, y0 + 0.5 * height)
        hands.wait("the threshold is higher", lambda: session.values["adapt.prune_threshold"] > 0.1)
        hands.command("prune_now")
        hands.wait("voxels are dropped", lambda: session.stats.structure.voxels < before)
        pruned = session.stats.structure.voxels
        self.shot("4-pruned")
        hands.wait("that can be taken back", lambda: session.undo.undo_label)
        hands.command("undo")
        hands.wait("they come back", lambda: session.stats.structure.voxels > pruned)
        self.seen |= {"before": before, "pruned": pruned, "undone": session.stats.structure.voxels}

    def keys(self) -> None:
        """Three keys of a camera path, from three places."""
        hands, session = self.hands, self.app.session
        for n in range(3):
            hands.command("path_add_key")
            hands.wait(f"key {n + 1} is there", lambda n=n: session.path and len(session.path.keys) == n + 1)
            if n < 2:
                hands.drag(hands.viewport_middle(), (90, -25))
                hands.rest(0.8)  # the camera comes to rest
        self.seen["places"] = [key.world_from_cam[:3, 3].tolist() for key in session.path.keys]
        self.shot("5-keys")

    def play(self) -> None:
        """Fly along the path."""
        hands, session, controller = self.hands, self.app.session, self.app.viewport.controller
        hands.command("path_first_key")
        hands.rest(0.5)
        begin = controller.camera.engine_camera(64, 64).position
        hands.command("path_play")
        hands.wait("the head moves", lambda: session.playhead_s > session.path.start_s + 0.5)
        self.seen["flown"] = float(np.linalg.norm(controller.camera.engine_camera(64, 64).position - begin))
        hands.command("path_play")

    def export(self) -> None:
        """Write the path as a video."""
        hands, session = self.hands, self.app.session
        settings = session.export
        settings.width, settings.height_px, settings.fps = 320, 180, 12
        hands.command("export_path")
        hands.wait("the export ends", lambda: self.last(JobEnded) is not None)
        ended = self.last(JobEnded)
        self.seen |= {"export": ended.outcome, "file": ended.detail, "seconds": session.path.duration_s}
        self.shot("6-exported")


def main() -> None:
    """Walk."""
    scene, width, height, scale, folder = sys.argv[1:]
    out = Path(folder)
    worker = Worker(runs_dir=out / "runs", evaluate_every_s=None)
    worker.start()
    place = {"width": int(width), "height": int(height), "x_pos": 0, "y_pos": 0}
    try:
        with opened(worker, place, ui_scale=float(scale)) as app:
            walk = Walk(app, out)
            walk.open(scene)
            walk.train()
            walk.prune()
            walk.keys()
            walk.play()
            walk.export()
    finally:
        worker.stop(60)
    print(json.dumps(walk.seen))


if __name__ == "__main__":
    main()
