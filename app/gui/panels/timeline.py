# SPDX-License-Identifier: MIT
"""The timeline of the camera path: buttons, the strip of keys, and the numbers of what is selected beside it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import dearpygui.dearpygui as dpg
import numpy as np

from app import commands
from app.commands.path import with_motion
from app.gui.panels.base import BasePanel
from app.gui.timeline_view import TimelineView
from app.session import Session
from app.view import path_edit
from app.view.path import EASINGS, CameraPath
from app.view.path_change import PathChange
from app.view.presets import LABELS

INSPECTOR_PX, PADDING_PX, TOOLBAR_PX, PLAY_PX = 216, 12, 34, 62
FOV_DEG = (5.0, 150.0)
PRESETS = "Presets"
ASIDE = ("path_add_key", "path_overwrite", "path_delete", "path_record", "export_path")
LABEL_SHARE, LONGEST_S = 0.36, 36_000.0
TIPS = {
    "at": "Seconds from the beginning. Drag, or double-click to type.",
    "fov": "Vertical, in degrees, of the selected keys.",
    "duration": "Seconds from beginning to end; all keys move along.",
    "tension": "0: round curves through the keys. 1: straight from key to key, stopping at each.",
    "loop_s": "Seconds that a loop takes from its last key back to its first.",
}
# What gives way in a narrow window, and up to which width; keys and the menu still reach it.
NARROW = (
    (1080, ("path_overwrite", "path_delete")),
    (930, ("path_record", "path_even_speed")),
    (770, ("preset", "path_loop")),
)
EASING_TIP = "How the camera passes the selected keys.\n\n" + "\n".join(EASINGS.values())


class TimelinePanel(BasePanel):
    """One strip of the window. The keys are drawn every frame, the numbers follow as in other panels."""

    id, title = "timeline", "Camera path"

    def __init__(self) -> None:
        super().__init__()
        self._window: int | str = 0

    def layout(self) -> None:
        """One line of buttons; below, the strip and the numbers."""
        session, context = self.context.session, self.context
        self._window = self.tag("body")
        while not dpg.get_item_info(self._window)["type"].endswith("mvWindowAppItem"):
            self._window = dpg.get_item_parent(self._window)
        self.view = TimelineView(session, context.do, self._live_px)
        with dpg.group(horizontal=True):
            self._toolbar()
        with dpg.group(horizontal=True):
            with dpg.group(tag=self.tag("strip")):
                self.view.build()
            with dpg.group(tag=self.tag("inspector")):
                self._inspector()
        context.do("path.each_turn", self.view.draw)

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
        tips = "\n".join(f"{LABEL_OF[name]}: {text}" for name, text in LABELS.items())
        self.explain(
            "preset", f"Begin with a ready-made path; its size is that of the Export panel.\n\n{tips}"
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

    def _inspector(self) -> None:
        """Numbers of the selected keys, or of the whole path while none is selected."""
        style = self._set_style
        with dpg.group(tag=self.tag("of keys"), show=False), self.form(LABEL_SHARE):
            self._number("Time", "at", self._set_time, "%.2f s", 0.02, 0.0, LONGEST_S)
            self._number("Field of view", "fov", self._set_fov, "%.1f°", 0.1, *FOV_DEG)
            with self.field("Easing", "easing-field", EASING_TIP):
                dpg.add_combo([*EASINGS], tag=self.tag("easing"), width=-1, callback=self._set_easing)
        with dpg.group(tag=self.tag("of path")), self.form(LABEL_SHARE):
            self._number("Duration", "duration", self._set_duration, "%.2f s", 0.02, 0.05, LONGEST_S)
            self._number("Tension", "tension", partial(style, "tension"), "%.2f", 0.005, 0.0, 1.0)
            self._number("Way back", "loop_s", partial(style, "loop_s"), "%.2f s", 0.02, 0.05, LONGEST_S)

    def _number(
        self,
        label: str,
        name: str,
        act: Callable[[float], None],
        format: str,
        speed: float,
        low: float,
        high: float,
    ) -> None:
        """Add a row with a number that can be dragged or typed."""
        with self.field(label, name, TIPS[name]):
            dpg.add_drag_float(
                tag=self.tag(name), callback=lambda s, value: act(value), width=-1, format=format, speed=speed,
                min_value=low, max_value=high, clamped=True,
            )  # fmt: skip
        self.edited(name, lambda value: self.context.session.undo.seal())

    # --- what is asked for ------------------------------------------------------------------------------------

    def _change(
        self, label: str, function: Callable[[CameraPath], CameraPath | None], merge: str = ""
    ) -> None:
        self.context.do("path.edit", PathChange(label, function, merge))

    def _choose_preset(self, sender: Any, label: str) -> None:
        self.forget("preset")
        self.context.run(f"path_{next(name for name in LABELS if LABEL_OF[name] == label)}")

    def _set_time(self, value: float) -> None:
        (i,) = self.context.session.timeline.selected
        self._change(
            "Move in time", lambda path: path_edit.retime(path, [i], value - path.keys[i].time_s), "at"
        )

    def _set_fov(self, value: float) -> None:
        chosen, fov = self.context.session.timeline.selected, float(np.radians(value))
        self._change("Change field of view", lambda path: path_edit.set_fov(path, chosen, fov), "fov")

    def _set_easing(self, sender: Any, easing: str) -> None:
        chosen = self.context.session.timeline.selected
        self._change("Change easing", lambda path: path_edit.set_easing(path, chosen, easing))

    def _set_duration(self, value: float) -> None:
        self._change("Change duration", lambda path: path_edit.scale_time(path, max(value, 0.05)), "duration")

    def _set_style(self, name: str, value: float) -> None:
        self._change(f"Change {'tension' if name == 'tension' else 'way back'}",
                     lambda path: path_edit.set_style(path, **{name: value}), name)  # fmt: skip

    # --- showing ----------------------------------------------------------------------------------------------

    def refresh(self, session: Session) -> None:
        """Bring buttons and numbers up to date."""
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
        chosen = sorted(state.selected)
        self.configure("of keys", show=bool(chosen))
        self.configure("of path", show=not chosen)
        if path is not None and chosen:
            self._show_keys(path, chosen)
        else:
            self._show_path(path)

    def _show_keys(self, path: CameraPath, chosen: list[int]) -> None:
        keys = [path.keys[i] for i in chosen]
        self.put("at-name", "Time" if len(keys) == 1 else f"{len(keys)} keys")
        several = None if len(keys) == 1 else "Several keys are selected; drag them on the strip."
        self.allow("at", several, TIPS["at"])
        self.put("at", keys[0].time_s)
        self.put("fov", float(np.degrees(keys[0].fov_y_rad)))
        self.put("easing", keys[0].easing if len({key.easing for key in keys}) == 1 else "")

    def _show_path(self, path: CameraPath | None) -> None:
        motion = with_motion(self.context.session)
        for name in ("duration", "tension", "loop_s"):
            reason = motion
            if name == "loop_s" and reason is None and not path.style.loop:
                reason = "The path does not lead back: switch Loop on."
            self.allow(name, reason, TIPS[name])
        if path is not None:
            self.put("duration", path.duration_s)
            self.put("tension", path.style.tension)
            self.put("loop_s", path.style.loop_s)

    def _live_px(self, length: float) -> int:
        """Return a length of an ordinary screen in pixels of now: the scale may have become another one since the start."""
        return round(length * dpg.get_item_width(self.tag("path_play")) / PLAY_PX)

    def _place(self) -> None:
        """Let the strip fill what buttons and numbers leave of the window."""
        px, (width, height) = (
            self._live_px,
            (dpg.get_item_width(self._window), dpg.get_item_height(self._window)),
        )
        for least, names in NARROW:
            for name in names:
                self.configure(name, show=width >= px(least))
        wide = width - px(2 * PADDING_PX + INSPECTOR_PX + 8)
        self.view.strip.resize(max(wide, 50), max(height - px(TOOLBAR_PX + 2 * PADDING_PX - 6), 40))


LABEL_OF = {name: name.replace("-", " ").capitalize() for name in LABELS}
