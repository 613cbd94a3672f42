# SPDX-License-Identifier: MIT
"""The timeline of the camera path: buttons, the strip of keys, and the numbers of what is selected beside it."""

from __future__ import annotations

from typing import Any

import dearpygui.dearpygui as dpg

from app import commands
from app.gui.panels.base import BasePanel
from app.gui.path_numbers import PathNumbers
from app.gui.timeline_view import TimelineView
from app.session import Session
from app.view.presets import LABELS

INSPECTOR_PX, PADDING_PX, TOOLBAR_PX, PLAY_PX = 216, 12, 34, 62
PRESETS = "Presets"
ASIDE = ("path_add_key", "path_overwrite", "path_delete", "path_record", "export_path")
# What gives way in a narrow window, and up to which width; keys and the menu still reach it.
NARROW = (
    (1080, ("path_overwrite", "path_delete")),
    (930, ("path_record", "path_even_speed")),
    (770, ("preset", "path_loop")),
)


class TimelinePanel(BasePanel):
    """One strip of the window. The keys are drawn every frame, the numbers follow as in other panels."""

    id, title = "timeline", "Camera path"

    def __init__(self) -> None:
        super().__init__()
        self._window: int | str = 0
        self._drawn = (
            False  # the strip is drawn in every turn of the window's loop, from when it is first seen
        )

    def layout(self) -> None:
        """One line of buttons; below, the strip and the numbers."""
        session, context = self.context.session, self.context
        self._window = self.tag("body")
        while not dpg.get_item_info(self._window)["type"].endswith("mvWindowAppItem"):
            self._window = dpg.get_item_parent(self._window)
        self.numbers = PathNumbers(self)
        self.view = TimelineView(session, context.do, self._live_px)
        with dpg.group(horizontal=True):
            self._toolbar()
        with dpg.group(horizontal=True):
            with dpg.group(tag=self.tag("strip")):
                self.view.build()
            with dpg.group(tag=self.tag("inspector")):
                self.numbers.build()

    def _toolbar(self) -> None:
        px = self.px
        self.button("path_play", "Play", px(PLAY_PX))
        self.button("path_previous_key", "<", px(26))
        self.button("path_next_key", ">", px(26))
        dpg.add_text("", tag=self.tag("time"))
        dpg.add_spacer(width=px(2))
        self.button("path_add_key", "Add key", px(70))
        self.button("path_overwrite", "Overwrite", px(80))
        self.button("path_delete", "Delete", px(60))
        dpg.add_combo(
            [LABEL_OF[name] for name in LABELS], default_value=PRESETS, tag=self.tag("preset"), width=px(104),
            callback=self._choose_preset,
        )  # fmt: skip
        self.explain(
            "preset",
            "Begin with a ready-made path; its size is that of the Export panel. The Path menu says what each does.",
        )
        self.button("path_record", "Record", px(64))
        for command_id, label in (
            ("path_loop", "Loop"),
            ("path_even_speed", "Even speed"),
            ("path_preview", "Preview"),
        ):
            self._tick(command_id, label)
        self.button("export_path", "Export", px(64))
        self.button("toggle_timeline", "Hide", px(48))

    def _tick(self, command_id: str, label: str) -> None:
        """Add a check box for a command that is on or off."""
        run = self.context.run
        dpg.add_checkbox(label=label, tag=self.tag(command_id), callback=lambda: run(command_id))
        self.explain(command_id, commands.tooltip(commands.find(command_id)))

    # --- what is asked for ------------------------------------------------------------------------------------

    def _choose_preset(self, sender: Any, label: str) -> None:
        self.forget("preset")
        self.context.run(f"path_{next(name for name in LABELS if LABEL_OF[name] == label)}")

    # --- showing ----------------------------------------------------------------------------------------------

    def refresh(self, session: Session) -> None:
        """Bring buttons and numbers up to date."""
        if session.timeline.shown and not self._drawn:
            self._drawn = True
            self.context.do("path.each_turn", self.view.draw)
        self._place()
        path, state = session.path, session.timeline
        end_s = path.end_s if path is not None else 0.0
        self.put("time", f"{session.playhead_s:6.2f} / {end_s:.2f} s")
        self.configure("path_play", label="Pause" if state.playing else "Play")
        self.configure("path_record", label="Stop" if state.recording else "Record")
        self.allow_commands(
            session, "path_play", "path_previous_key", "path_next_key", "toggle_timeline", *ASIDE
        )
        for command_id in ("path_loop", "path_even_speed", "path_preview"):
            self.allow_commands(session, command_id)
            self.put(command_id, commands.find(command_id).checked(session))
        self.put("preset", PRESETS)
        self.numbers.refresh(session)

    def _live_px(self, length: float) -> int:
        """Return a length of an ordinary screen in pixels of now: the scale may have become another one since the start."""
        return round(length * dpg.get_item_width(self.tag("path_play")) / PLAY_PX)

    def _place(self) -> None:
        """Let the strip fill what buttons and numbers leave of the window."""
        px = self._live_px
        width, height = dpg.get_item_width(self._window), dpg.get_item_height(self._window)
        for least, names in NARROW:
            for name in names:
                self.configure(name, show=width >= px(least))
        wide = width - px(2 * PADDING_PX + INSPECTOR_PX + 8)
        self.view.strip.resize(max(wide, 50), max(height - px(TOOLBAR_PX + 2 * PADDING_PX - 6), 40))


LABEL_OF = {name: name.replace("-", " ").capitalize() for name in LABELS}
