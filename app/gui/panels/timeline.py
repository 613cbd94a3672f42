# SPDX-License-Identifier: MIT
"""The timeline of the camera path: buttons, the strip of keys, and the numbers of what is selected beside it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import dearpygui.dearpygui as dpg
import numpy as np

from app import commands
from app.gui.panels.base import BasePanel
from app.gui.path_tool import pressed_modifiers
from app.gui.timeline_mouse import REACH_PX, TimelineMouse
from app.gui.timeline_strip import TimelineStrip
from app.session import Session
from app.view import path_edit
from app.view.path import EASINGS, CameraPath
from app.view.path_change import PathChange
from app.view.presets import LABELS

INSPECTOR_PX, PADDING_PX, TOOLBAR_PX = 216, 12, 34
FOV_DEG = (5.0, 150.0)
PRESETS = "Presets"
ASIDE = ("path_add_key", "path_overwrite", "path_delete", "path_record", "export_path")
EASING_TIP = "How the camera passes the selected keys.\n\n" + "\n".join(EASINGS.values())


class TimelinePanel(BasePanel):
    """One strip of the window. The keys are drawn every frame, the numbers follow as in other panels."""

    id, title = "timeline", "Camera path"

    def __init__(self) -> None:
        super().__init__()
        self._window: int | str = 0
        self._fitted: CameraPath | None = None

    def layout(self) -> None:
        """One line of buttons; below, the strip and the numbers."""
        session, context = self.context.session, self.context
        self._window = dpg.get_item_parent(dpg.get_item_parent(self.tag("body")))
        self.strip = TimelineStrip(session, self.px)
        self.mouse = TimelineMouse(session, self.strip, context.do, self.px(REACH_PX))
        with dpg.group(horizontal=True):
            self._toolbar()
        with dpg.group(horizontal=True):
            with dpg.group(tag=self.tag("strip")):
                self.strip.build()
            with dpg.group(tag=self.tag("inspector")):
                self._inspector()
        self._listen()

    def _toolbar(self) -> None:
        px = self.px
        self.button("path_play", "Play", px(62))
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
        drag: dict[str, Any] = {"width": -1, "speed": 0.02, "min_value": 0.0, "clamped": True}
        with dpg.group(tag=self.tag("of keys"), show=False), self.form(0.36):
            with self.field("Time", "at", "Seconds from the beginning. Drag, or double-click to type."):
                self._number("at", self._set_time, format="%.2f s", max_value=36000.0, **drag)
            with self.field("Field of view", "fov", "Vertical, in degrees, of the selected keys."):
                low, high = FOV_DEG
                self._number(
                    "fov",
                    self._set_fov,
                    format="%.1f°",
                    **{**drag, "speed": 0.1, "min_value": low, "max_value": high},
                )
            with self.field("Easing", "easing-field", EASING_TIP):
                dpg.add_combo([*EASINGS], tag=self.tag("easing"), width=-1, callback=self._set_easing)
        with dpg.group(tag=self.tag("of path")), self.form(0.36):
            with self.field("Duration", "duration", "Seconds from beginning to end; all keys move along."):
                self._number("duration", self._set_duration, format="%.2f s", max_value=36000.0, **drag)
            with self.field(
                "Tension",
                "tension",
                "0: round curves through the keys. 1: straight from key to key, stopping at each.",
            ):
                self._number(
                    "tension",
                    partial(self._set_style, "tension"),
                    format="%.2f",
                    **{**drag, "speed": 0.005, "max_value": 1.0},
                )
            with self.field(
                "Way back", "loop_s", "Seconds that a loop takes from its last key back to its first."
            ):
                self._number(
                    "loop_s",
                    partial(self._set_style, "loop_s"),
                    format="%.2f s",
                    max_value=3600.0,
                    **{**drag, "min_value": 0.05},
                )

    def _number(self, name: str, act: Callable[[float], None], **look: Any) -> None:
        dpg.add_drag_float(tag=self.tag(name), callback=lambda s, value: act(value), **look)
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
        self.configure("at", enabled=len(keys) == 1)
        self.put("at", keys[0].time_s)
        self.put("fov", float(np.degrees(keys[0].fov_y_rad)))
        self.put("easing", keys[0].easing if len({key.easing for key in keys}) == 1 else "")

    def _show_path(self, path: CameraPath | None) -> None:
        moves = path is not None and len(path.keys) > 1
        for name in ("duration", "tension", "loop_s"):
            self.configure(name, enabled=moves and (name != "loop_s" or path.style.loop))
        if path is not None:
            self.put("duration", path.duration_s)
            self.put("tension", path.style.tension)
            self.put("loop_s", path.style.loop_s)

    def _place(self) -> None:
        """Let strip and numbers fill the window."""
        width, height = dpg.get_item_width(self._window), dpg.get_item_height(self._window)
        wide = width - 2 * self.px(PADDING_PX) - self.px(INSPECTOR_PX) - self.px(8)
        self.configure("inspector", width=self.px(INSPECTOR_PX))
        self.strip.resize(max(wide, 50), max(height - self.px(TOOLBAR_PX + 2 * PADDING_PX - 6), 40))

    def _drawn(self) -> bool:
        """Draw the strip, once a turn of the window's loop; return whether it looks otherwise now."""
        path = self.context.session.path
        whole = path is not None and not self._in_sight(path) and not self.mouse.busy
        if (path is None) != (self._fitted is None) or whole:
            self.strip.fit()
        self._fitted = path
        return self.strip.draw()

    def _in_sight(self, path: CameraPath) -> bool:
        """Whether a path that has become another one still ends where it can be seen, or nobody asked for more."""
        before, scale = self._fitted, self.strip.scale
        same_end = before is path or (before is not None and before.end_s == path.end_s)
        return same_end or scale.x(path.end_s) <= scale.width

    # --- the mouse --------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        self.context.do("path.each_turn", self._drawn)
        with dpg.handler_registry():
            dpg.add_mouse_click_handler(callback=lambda s, button: self._press(button))
            dpg.add_mouse_double_click_handler(button=0, callback=self._double_click)
            dpg.add_mouse_move_handler(callback=self._move)
            dpg.add_mouse_release_handler(callback=self._release)
            dpg.add_mouse_wheel_handler(callback=lambda s, notches: self._wheel(notches))

    def _local(self) -> tuple[float, float]:
        (x, y), (left, top) = dpg.get_mouse_pos(local=False), dpg.get_item_rect_min(self.strip.drawlist)
        return x - left, y - top

    def _over(self) -> bool:
        return self.context.session.timeline.shown and dpg.is_item_hovered(self.strip.drawlist)

    def _press(self, button: int) -> None:
        if self._over():
            self.mouse.press(button, *self._local(), *pressed_modifiers())

    def _double_click(self) -> None:
        if self._over():
            self.mouse.double_click(*self._local())

    def _move(self) -> None:
        if self.mouse.busy:
            self.mouse.move(*self._local())
        elif self._over():
            self.mouse.hover(*self._local())
        else:
            self.mouse.unhover()

    def _release(self) -> None:
        self.mouse.release()

    def _wheel(self, notches: float) -> None:
        if self._over():
            self.mouse.wheel(notches, self._local()[0])


LABEL_OF = {name: name.replace("-", " ").capitalize() for name in LABELS}
