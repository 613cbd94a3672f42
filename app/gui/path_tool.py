# SPDX-License-Identifier: MIT
"""The camera path in the scene: its way and its keys as lines, keys to click on, arrows and rings on what is selected.

Nothing of it is shown while one looks along the path: lines through the eye hide what one wants to see.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import dearpygui.dearpygui as dpg
import numpy as np

from app.gl.overlays import OverlayPass
from app.gui.path_editor import PathEditor
from app.session import Session
from app.view import path_edit, path_lines
from app.view.path import CameraPath
from app.view.path_gizmo import Drag, KeyGizmo, pick_handle, pick_key
from engine.cameras import Camera

LAYERS = ["path", "path keys", "path playhead", "path gizmo"]
GIZMO_SHARE = 0.12  # of the distance from the eye: it looks equally large everywhere
CLEAR = 2.5  # frustum sizes about the eye in which nothing is drawn
GRAB_PX, KEY_PX, CLICK_PX = 9.0, 14.0, 3.0
DOUBLE_CLICK_S = 0.45


def pressed_modifiers() -> tuple[bool, bool]:
    """Return whether Ctrl and Shift are down."""
    ctrl = dpg.is_key_down(dpg.mvKey_LControl) or dpg.is_key_down(dpg.mvKey_RControl)
    return ctrl, dpg.is_key_down(dpg.mvKey_LShift) or dpg.is_key_down(dpg.mvKey_RShift)


class PathTool:
    """A `Tool` and a `LayerSource`. `hidden` says that the path is not to be seen now, `size` how deep frusta are, `reach` how
    far from a handle the mouse still means it, in pixels of the camera."""

    def __init__(
        self,
        session: Session,
        editor: PathEditor,
        look_through: Callable[[int], None],
        hidden: Callable[[], bool],
        size: Callable[[], float],
        modifiers: Callable[[], tuple[bool, bool]] = pressed_modifiers,
        clock: Callable[[], float] = time.monotonic,
        reach: Callable[[float], float] = lambda length: length,
    ) -> None:
        self._session, self._editor = session, editor
        self._look_through, self._hidden, self._size, self._reach = look_through, hidden, size, reach
        self._modifiers, self._clock = modifiers, clock
        self._hovered: int | None = None
        self._handle: str | None = None
        self._drag: Drag | None = None
        self._before: CameraPath | None = None  # the path as it was when a handle was taken
        self._clicked: tuple[int, float] = (-1, 0.0)
        self._shown: dict[str, Any] = {}

    # --- the mouse --------------------------------------------------------------------------------------------

    @property
    def visible(self) -> bool:
        """Whether the path stands in the scene."""
        return self._session.timeline.shown and self._session.path is not None and not self._hidden()

    def hover(self, camera: Camera, x: float, y: float) -> bool:
        """Find the handle or the key under a pixel."""
        self._handle, self._hovered = None, None
        if not self.visible:
            return False
        gizmo = self._gizmo(camera.position)
        if gizmo is not None:
            self._handle = pick_handle(gizmo, camera, x, y, self._reach(GRAB_PX))
        if self._handle is None:
            self._hovered = pick_key(
                self._session.path, self._aspect(), self._size(), camera, x, y, self._reach(KEY_PX)
            )
        return self._handle is not None or self._hovered is not None

    def unhover(self) -> None:
        """The mouse is elsewhere."""
        if self._drag is None:
            self._handle = self._hovered = None

    def press(self, camera: Camera, x: float, y: float) -> bool:
        """Take the handle under a pixel."""
        self.hover(camera, x, y)
        if self._handle is None:
            return False
        self._drag = Drag(self._handle, self._gizmo(camera.position), x, y)
        self._before = self._session.path
        return True

    def drag(self, camera: Camera, x: float, y: float) -> None:
        """Move or turn the selected keys."""
        if self._drag is None or self._before is None:
            return
        if (
            max(abs(x - self._drag.x), abs(y - self._drag.y)) < CLICK_PX
            and self._session.path is self._before
        ):
            return
        moved = self._drag.moved(camera, x, y)
        change = moved @ np.linalg.inv(self._drag.start.world_from_cam)
        path, chosen = self._before, sorted(self._session.timeline.selected)
        for i in chosen:
            path = path_edit.set_pose(path, i, change @ self._before.keys[i].world_from_cam)
        verb = "Turn" if self._drag.handle.startswith("turn") else "Move"
        label = f"{verb} key" if len(chosen) == 1 else f"{verb} {len(chosen)} keys"
        self._editor.become(label, path, merge=label)

    def release(self) -> None:
        """Let go: what follows is another edit. A handle that was not moved was a click on its key."""
        chosen = self._session.timeline.selected
        if self._drag is not None and self._session.path is self._before and len(chosen) == 1:
            self._click_key(min(chosen))
        self._drag = self._before = None
        self._session.undo.seal()

    def click(self, camera: Camera, x: float, y: float) -> bool:
        """Select the key under a pixel; a second click looks through it."""
        self.hover(camera, x, y)
        if self._hovered is None:
            return False
        self._click_key(self._hovered)
        return True

    def _click_key(self, key: int) -> None:
        now = self._clock()
        again = self._clicked[0] == key and now - self._clicked[1] < DOUBLE_CLICK_S
        self._clicked = (key, now)
        ctrl, shift = self._modifiers()
        if again:
            self._look_through(key)
        else:
            self._editor.select([key], "toggle" if ctrl else "to" if shift else "only")

    def _aspect(self) -> float:
        return self._session.export.width / max(1, self._session.export.height_px)

    def _gizmo(self, eye: np.ndarray) -> KeyGizmo | None:
        """Return the handles of what is selected: of one key its own axes, of several the world's in their middle."""
        path = self._session.path
        chosen = sorted(self._session.timeline.selected)
        if path is None or not chosen:
            return None
        if len(chosen) == 1:
            pose = path.keys[chosen[0]].world_from_cam
        else:
            pose = np.eye(4)
            pose[:3, 3] = np.mean([path.keys[i].position for i in chosen], axis=0)
        distance = float(np.linalg.norm(pose[:3, 3] - eye))
        if distance < CLEAR * self._size():
            return None
        return KeyGizmo(pose, GIZMO_SHARE * distance, own_axes=len(chosen) == 1)

    # --- lines ------------------------------------------------------------------------------------------------

    def names(self) -> list[str]:
        """Return the layers in the order to draw them in."""
        return LAYERS

    def forget(self) -> None:
        """Everything must be uploaded again."""
        self._shown.clear()

    def refresh(self, overlay_pass: OverlayPass, session: Session, eye: np.ndarray) -> bool:
        """Bring the layers up to date; return whether anything on the screen became another."""
        if not self.visible:
            keys: list[Any] = [None] * len(LAYERS)
        else:
            place, path, size, aspect = eye.tobytes(), session.path, self._size(), self._aspect()
            selected = session.timeline.selected
            hovered = self._hovered
            keys = [
                (path, size, place),
                (path, size, aspect, selected, hovered, place),
                (path, size, aspect, session.playhead_s, place),
                (path, selected, self._handle, place),
            ]
        changed = False
        for name, key in zip(LAYERS, keys):
            if name not in self._shown or self._shown[name] != key:
                self._shown[name] = key
                changed |= self._set(overlay_pass, name, key is not None, eye)
        return changed

    def _set(self, overlay_pass: OverlayPass, name: str, shown: bool, eye: np.ndarray) -> bool:
        had = name in overlay_pass.names()
        segments, colours = self._lines(name, eye) if shown else (np.zeros((0, 2, 3)), np.zeros((0, 4)))
        width = {"path": 2.2, "path gizmo": 2.6}.get(name, 1.8)
        hidden = 0.75 if name == "path gizmo" else 0.35
        overlay_pass.set_lines(name, segments, colours, width_px=width, hidden=hidden)
        return had or len(segments) > 0

    def _lines(self, name: str, eye: np.ndarray) -> path_lines.Lines:
        path, size, state = self._session.path, self._size(), self._session.timeline
        if name == "path gizmo":
            gizmo = self._gizmo(eye)
            return path_lines.gizmo_lines(gizmo, self._handle) if gizmo is not None else _no_lines()
        if name == "path":
            lines = path_lines.path_lines(path)
        elif name == "path keys":
            hovered = set() if self._hovered is None else {self._hovered}
            lines = path_lines.key_lines(path, self._aspect(), size, state.selected | hovered)
        else:
            lines = path_lines.playhead_lines(path, self._session.playhead_s, self._aspect(), 0.8 * size)
        return _away_from(eye, CLEAR * size, lines)


def _no_lines() -> path_lines.Lines:
    return np.zeros((0, 2, 3), dtype=np.float32), np.zeros((0, 4), dtype=np.float32)


def _away_from(eye: np.ndarray, distance: float, lines: path_lines.Lines) -> path_lines.Lines:
    """Return the lines of which no end is near the eye."""
    segments, colours = lines
    far = np.linalg.norm(segments - eye.astype(np.float32), axis=2).min(axis=1, initial=np.inf) > distance
    return segments[far], colours[far]
