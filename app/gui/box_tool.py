# SPDX-License-Identifier: MIT
"""The foreground box in the scene: where it would go, and the handles that move it while they are out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from app.gl.overlays import OverlayPass
from app.gui import theme
from app.gui.gizmo import HANDLES, Box, Drag, pick_handle
from app.gui.tools import RIM_PX, rgba
from app.session import Session
from app.view.frusta import AXIS_COLOURS
from engine.cameras import Camera

LAYERS = ["new box", "arrows", "handles", "held"]
GRAB_PX = 12
HANDLE_PX, HELD_PX = 11.0, 15.0


class BoxTool:
    """A `Tool` and a `LayerSource`. `held` is the handle under the mouse or in hand."""

    def __init__(self, session: Session, reach: Callable[[float], float]) -> None:
        """`reach` says how far from a handle the mouse still means it, in pixels of the camera."""
        self._session, self._reach = session, reach
        self._drag: Drag | None = None
        self._shown: Any = ()
        self.held: str | None = None

    @property
    def _box(self) -> Box:
        centre, edge = self._session.box or ((0.0, 0.0, 0.0), 1.0)
        return Box(np.array(centre), edge)

    # --- the mouse --------------------------------------------------------------------------------------------

    def hover(self, camera: Camera, x: float, y: float) -> bool:
        """Show the handle under the mouse, if there is one."""
        self.held = None
        if self._session.view.edit_box:
            self.held = pick_handle(self._box, camera, x, y, self._reach(GRAB_PX))
        return self.held is not None

    def unhover(self) -> None:
        """The mouse is elsewhere."""
        self.held = None

    def press(self, camera: Camera, x: float, y: float) -> bool:
        """Take the handle there."""
        if not self.hover(camera, x, y):
            return False
        self._drag = Drag(self.held, self._box, x, y)
        return True

    def drag(self, camera: Camera, x: float, y: float) -> None:
        """Move or scale the box with what was taken."""
        if self._drag is not None:
            box = self._drag.moved(camera, x, y)
            self._session.box = tuple(float(v) for v in box.centre), box.edge

    def release(self) -> None:
        """Drop the handle in hand."""
        self._drag = None

    def click(self, camera: Camera, x: float, y: float) -> bool:
        """A click beside the handles means nothing here."""
        return False

    # --- lines and points -------------------------------------------------------------------------------------

    def names(self) -> list[str]:
        """Return the layers in the order to draw them in."""
        return LAYERS

    def forget(self) -> None:
        """Everything must be uploaded again."""
        self._shown = ()

    def refresh(self, overlay_pass: OverlayPass, session: Session, eye: np.ndarray) -> bool:
        """Bring the layers up to date; return whether any became another."""
        editing = session.view.edit_box
        key = (session.box, editing, self.held) if editing or session.box is not None else None
        if key == self._shown:
            return False
        self._shown = key
        for name in LAYERS:
            overlay_pass.remove(name)
        if key is not None:
            self._set_lines(overlay_pass, self._box, editing)
        return True

    def _set_lines(self, overlay_pass: OverlayPass, box: Box, editing: bool) -> None:
        accent = rgba(theme.SCENE_ACCENT, 0.95)
        overlay_pass.set_lines("new box", box.edges(), accent, width_px=2.0, hidden=0.45)
        if not editing:
            return
        axes = np.concatenate([AXIS_COLOURS, np.ones((3, 1), np.float32)], axis=1)
        overlay_pass.set_lines("arrows", box.arrows(), axes, width_px=2.4, hidden=0.55)
        corners = np.repeat(rgba(theme.SCENE_ACCENT)[None], 8, axis=0)
        colours = np.concatenate([rgba(theme.POINTED_AT)[None], axes, corners])
        places = box.places()
        overlay_pass.set_points("handles", places, colours, size_px=HANDLE_PX, rim_px=RIM_PX, hidden=0.7)
        if self.held is not None:
            place = places[[HANDLES.index(self.held)]]
            overlay_pass.set_points("held", place, np.ones(4), size_px=HELD_PX, rim_px=RIM_PX, hidden=1.0)
