# SPDX-License-Identifier: MIT
"""The timeline's strip in its window: drawn once a turn, and the mouse that is over it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dearpygui.dearpygui as dpg

from app.gui.path_tool import pressed_modifiers
from app.gui.time_scale import MARGIN
from app.gui.timeline_mouse import REACH_PX, TimelineMouse
from app.gui.timeline_strip import TimelineStrip
from app.session import Session
from app.view.path import CameraPath


class TimelineView:
    """Strip and mouse. `do` are the window's actions, `px` the pixels of now of a length."""

    def __init__(self, session: Session, do: Callable[[str, Any], None], px: Callable[[float], int]) -> None:
        self._session = session
        self.strip = TimelineStrip(session, px)
        self.mouse = TimelineMouse(session, self.strip, do, lambda: px(REACH_PX))
        self._fitted: CameraPath | None = None

    def build(self) -> None:
        """Create the drawlist inside the group that is open, and listen to the mouse."""
        self.strip.build()
        with dpg.handler_registry():
            dpg.add_mouse_click_handler(callback=lambda s, button: self._press(button))
            dpg.add_mouse_double_click_handler(button=0, callback=self._double_click)
            dpg.add_mouse_move_handler(callback=self._move)
            dpg.add_mouse_release_handler(callback=self.mouse.release)
            dpg.add_mouse_wheel_handler(callback=lambda s, notches: self._wheel(notches))

    def draw(self) -> bool:
        """Draw the strip, once a turn of the window's loop; return whether it looks otherwise now."""
        path = self._session.path
        whole = path is not None and not self._in_sight(path) and not self.mouse.busy
        if (path is None) != (self._fitted is None) or whole:
            self.strip.fit()
        self._fitted = path
        return self.strip.draw()

    def _in_sight(self, path: CameraPath) -> bool:
        """Whether a path that has become another one still ends where it can be seen, or nobody asked for more."""
        before, scale = self._fitted, self.strip.scale
        same_end = before is path or (before is not None and before.end_s == path.end_s)
        return same_end or scale.x(path.end_s) <= scale.width * (1.0 - 0.5 * MARGIN)

    # --- the mouse --------------------------------------------------------------------------------------------

    def _local(self) -> tuple[float, float]:
        (x, y), (left, top) = dpg.get_mouse_pos(local=False), dpg.get_item_rect_min(self.strip.drawlist)
        return x - left, y - top

    def _over(self) -> bool:
        return self._session.timeline.shown and dpg.is_item_hovered(self.strip.drawlist)

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

    def _wheel(self, notches: float) -> None:
        if self._over():
            self.mouse.wheel(notches, self._local()[0])
