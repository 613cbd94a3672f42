# SPDX-License-Identifier: MIT
"""The numbers beside the timeline: of the selected keys, or of the whole path while none is selected."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import dearpygui.dearpygui as dpg

from app.commands.path import with_motion
from app.gui.panels.base import BasePanel
from app.session import Session
from app.view import path_edit
from app.view.path import EASINGS, CameraPath
from app.view.path_change import PathChange

FOV_DEG = (5.0, 150.0)
LABEL_SHARE, LONGEST_S = 0.36, 36_000.0
TIPS = {
    "at": "Seconds from the beginning. Drag, or double-click to type.",
    "fov": "Vertical, in degrees, of the selected keys.",
    "duration": "Seconds from beginning to end; all keys move along.",
    "tension": "0: round curves through the keys. 1: straight from key to key, stopping at each.",
    "loop_s": "Seconds that a loop takes from its last key back to its first.",
}
EASING_TIP = "How the camera passes the selected keys.\n\n" + "\n".join(EASINGS.values())


class PathNumbers:
    """Widgets of a panel; each change is asked for as an edit of the path."""

    def __init__(self, panel: BasePanel) -> None:
        self._panel = panel

    def build(self) -> None:
        """Create the rows inside the group that is open."""
        style = self._set_style
        with dpg.group(tag=self._panel.tag("of keys"), show=False), self._panel.form(LABEL_SHARE):
            self._number("Time", "at", self._set_time, "%.2f s", 0.02, 0.0, LONGEST_S)
            self._number("Field of view", "fov", self._set_fov, "%.1f°", 0.1, *FOV_DEG)
            with self._panel.field("Easing", "easing-field", EASING_TIP):
                dpg.add_combo([*EASINGS], tag=self._panel.tag("easing"), width=-1, callback=self._set_easing)
        with dpg.group(tag=self._panel.tag("of path")), self._panel.form(LABEL_SHARE):
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
        with self._panel.field(label, name, TIPS[name]):
            dpg.add_drag_float(
                tag=self._panel.tag(name), callback=lambda s, value: act(value), width=-1, format=format, speed=speed,
                min_value=low, max_value=high, clamped=True,
            )  # fmt: skip
        self._panel.edited(name, lambda value: self._panel.context.session.undo.seal())

    def _change(
        self, label: str, function: Callable[[CameraPath], CameraPath | None], merge: str = ""
    ) -> None:
        self._panel.context.do("path.edit", PathChange(label, function, merge))

    def _set_time(self, value: float) -> None:
        (i,) = self._panel.context.session.timeline.selected
        self._change(
            "Move in time", lambda path: path_edit.retime(path, [i], value - path.keys[i].time_s), "at"
        )

    def _set_fov(self, value: float) -> None:
        chosen, fov = self._panel.context.session.timeline.selected, math.radians(value)
        self._change("Change field of view", lambda path: path_edit.set_fov(path, chosen, fov), "fov")

    def _set_easing(self, sender: Any, easing: str) -> None:
        chosen = self._panel.context.session.timeline.selected
        self._change("Change easing", lambda path: path_edit.set_easing(path, chosen, easing))

    def _set_duration(self, value: float) -> None:
        self._change("Change duration", lambda path: path_edit.scale_time(path, max(value, 0.05)), "duration")

    def _set_style(self, name: str, value: float) -> None:
        self._change(f"Change {'tension' if name == 'tension' else 'way back'}",
                     lambda path: path_edit.set_style(path, **{name: value}), name)  # fmt: skip

    # --- showing ----------------------------------------------------------------------------------------------

    def refresh(self, session: Session) -> None:
        """Show what is selected."""
        path, chosen = session.path, sorted(session.timeline.selected)
        self._panel.configure("of keys", show=bool(chosen))
        self._panel.configure("of path", show=not chosen)
        if path is not None and chosen:
            self._show_keys(path, chosen)
        else:
            self._show_path(path)

    def _show_keys(self, path: CameraPath, chosen: list[int]) -> None:
        keys = [path.keys[i] for i in chosen]
        self._panel.put("at-name", "Time" if len(keys) == 1 else f"{len(keys)} keys")
        several = None if len(keys) == 1 else "Several keys are selected; drag them on the strip."
        self._panel.allow("at", several, TIPS["at"])
        self._panel.put("at", keys[0].time_s)
        self._panel.put("fov", math.degrees(keys[0].fov_y_rad))
        self._panel.put("easing", keys[0].easing if len({key.easing for key in keys}) == 1 else "")

    def _show_path(self, path: CameraPath | None) -> None:
        motion = with_motion(self._panel.context.session)
        for name in ("duration", "tension", "loop_s"):
            reason = motion
            if name == "loop_s" and reason is None and not path.style.loop:
                reason = "The path does not lead back: switch Loop on."
            self._panel.allow(name, reason, TIPS[name])
        if path is not None:
            self._panel.put("duration", path.duration_s)
            self._panel.put("tension", path.style.tension)
            self._panel.put("loop_s", path.style.loop_s)
