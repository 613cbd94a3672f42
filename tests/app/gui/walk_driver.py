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
from hands import Hands

from app.gui import theme
from app.gui.application import App
from engine.messages import TrainState
from engine.worker import Worker

STEPS = 400


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


def main() -> None:
    """Walk."""
    scene, width, height, scale, folder = sys.argv[1:]
    out = Path(folder)
    worker = Worker(runs_dir=out / "runs", evaluate_every_s=None)
    worker.start()
    dpg.create_context()
    dpg.configure_app(manual_callback_management=True)
    dpg.create_viewport(
        width=int(width), height=int(height), x_pos=0, y_pos=0, vsync=False, clear_color=theme.BACKGROUND
    )
    dpg.setup_dearpygui()
    app = App(worker, ui_scale=float(scale))
    dpg.show_viewport()
    dpg.render_dearpygui_frame()
    app.open_surface()
    walk = Walk(app, out)
    try:
        walk.open(scene)
        walk.train()
    finally:
        app.close()
        dpg.destroy_context()
        worker.stop(60)
    print(json.dumps(walk.seen))


if __name__ == "__main__":
    main()
