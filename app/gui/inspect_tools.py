# SPDX-License-Identifier: MIT
"""What the mouse can do while the structure is looked into: take the region's handles or the slice's, pick a voxel.

`held` is the handle under the mouse or in hand, "" for none. What a drag changes is handed to `change`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from app.gui.region_gizmo import RegionDrag, pick
from app.inspection import Look, SlicePlane
from app.session import Session
from app.view.sight import along_line
from engine.cameras import Camera
from engine.messages import Command, PickVoxel

FRAME_HALF = 0.55  # of the slice's frame, engine units: a little more than the scene's box
_GRIPS = (
    (0.0, 0.0),
    (0.0, 1.0),
    (1.0, 0.0),
    (0.0, -1.0),
    (-1.0, 0.0),
)  # in the frame: its middle, its edges' middles
MOST_OFFSET = 4.0
Change = Callable[[str, Look, str], None]  # label of the edit, the look after it, what it may be merged with


class RegionTool:
    """The region's handles, while they are out."""

    def __init__(
        self, session: Session, change: Change, seal: Callable[[], None], reach_px: Callable[[], float]
    ) -> None:
        self._session, self._change, self._seal, self._reach_px = session, change, seal, reach_px
        self._drag: RegionDrag | None = None
        self.held = ""

    def hover(self, camera: Camera, x: float, y: float) -> bool:
        """Show the handle under the mouse, if there is one."""
        inspect, scene = self._session.inspect, self._session.scene
        self.held = ""
        free = inspect.handles and not inspect.picking  # else a click is meant for the voxel behind a handle
        if scene is not None and free and inspect.look.region is not None:
            self.held = pick(inspect.look.region, scene.up, camera, x, y, self._reach_px()) or ""
        return self.held != ""

    def unhover(self) -> None:
        """The mouse is elsewhere."""
        self.held = ""

    def press(self, camera: Camera, x: float, y: float) -> bool:
        """Take the handle there."""
        if not self.hover(camera, x, y):
            return False
        self._seal()
        region, up = self._session.inspect.look.region, self._session.scene.up
        self._drag = RegionDrag(self.held, region, np.asarray(up, dtype=np.float64), x, y)
        return True

    def drag(self, camera: Camera, x: float, y: float) -> None:
        """Move what was taken."""
        if self._drag is not None:
            look = replace(self._session.inspect.look, region=self._drag.moved(camera, x, y))
            self._change("Move region", look, "region")

    def release(self) -> None:
        """The next drag is an edit of its own."""
        self._drag = None
        self._seal()

    def click(self, camera: Camera, x: float, y: float) -> bool:
        """A click beside the handles means nothing here."""
        return False


class SliceTool:
    """The handles of the slice, in the middle of its frame and on its edges: one of them is in the picture."""

    def __init__(
        self, session: Session, change: Change, seal: Callable[[], None], reach_px: Callable[[], float]
    ) -> None:
        self._session, self._change, self._seal, self._reach_px = session, change, seal, reach_px
        self._start: tuple[SlicePlane, int, float, float] | None = None
        self.held: int | None = None  # of `grips`

    def hover(self, camera: Camera, x: float, y: float) -> bool:
        """Show the handle under the mouse, if there is one."""
        look, scene = self._session.inspect.look, self._session.scene
        self.held = None
        if scene is not None and look.slicing and not self._session.inspect.picking:
            pixels, depth = camera.project(grips(look.plane, scene.up))
            distance = np.hypot(pixels[:, 0] - x, pixels[:, 1] - y)
            distance[depth < 0.01] = np.inf
            if distance.min() <= self._reach_px():
                self.held = int(np.argmin(distance))
        return self.held is not None

    def unhover(self) -> None:
        """The mouse is elsewhere."""
        self.held = None

    def press(self, camera: Camera, x: float, y: float) -> bool:
        """Take the handle there."""
        if not self.hover(camera, x, y):
            return False
        self._seal()
        self._start = self._session.inspect.look.plane, self.held, x, y
        return True

    def drag(self, camera: Camera, x: float, y: float) -> None:
        """Move the plane along its normal so that the handle stays under the mouse."""
        if self._start is None:
            return
        plane, held, *taken = self._start
        grip, along = grips(plane, self._session.scene.up)[held], np.array(plane.along)
        before, now = (along_line(grip, along, camera, *pixel) for pixel in (taken, (x, y)))
        if before is None or now is None:
            return
        offset = float(np.clip(plane.offset + now - before, -MOST_OFFSET, MOST_OFFSET))
        look = self._session.inspect.look
        self._change("Move slice", replace(look, plane=replace(plane, offset=offset)), "slice")

    def release(self) -> None:
        """The next drag is an edit of its own."""
        self._start = None
        self._seal()

    def click(self, camera: Camera, x: float, y: float) -> bool:
        """A click beside the handle means nothing here."""
        return False


class PickTool:
    """Picks the voxel that is clicked at, while that is switched on."""

    def __init__(self, session: Session, send: Callable[[Command], None]) -> None:
        self._session, self._send = session, send

    def hover(self, camera: Camera, x: float, y: float) -> bool:
        """A click would be for this tool anywhere: frusta do not light up."""
        return self._session.inspect.picking

    def unhover(self) -> None:
        """Nothing is shown under the mouse."""

    def press(self, camera: Camera, x: float, y: float) -> bool:
        """Leave drags to the camera."""
        return False

    def drag(self, camera: Camera, x: float, y: float) -> None:
        """Nothing is dragged."""

    def release(self) -> None:
        """Nothing is held."""

    def click(self, camera: Camera, x: float, y: float) -> bool:
        """Ask for the voxel there."""
        inspect = self._session.inspect
        if not inspect.picking:
            return False
        self._send(PickVoxel(camera, x, y, inspect.shown(self._session.scene)))
        return True


def frame_axes(plane: SlicePlane, up: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return two unit axes [3] in the plane: level with the ground, and upwards where that can be."""
    along = np.array(plane.along)
    level = np.cross(up, along)
    if np.linalg.norm(level) < 1e-3:
        level = np.eye(3)[int(np.argmin(np.abs(along)))]
        level = level - (level @ along) * along
    level = level / np.linalg.norm(level)
    return level, np.cross(along, level)


def grips(plane: SlicePlane, up: np.ndarray) -> np.ndarray:
    """Return where the plane can be taken hold of, [5,3]."""
    return np.array(plane.point) + FRAME_HALF * np.array(_GRIPS) @ np.array(frame_axes(plane, up))


def frame_lines(plane: SlicePlane, up: np.ndarray) -> np.ndarray:
    """Return the lines [n,2,3] of the frame; of a slab, of both its faces and what joins them."""
    level, upward = frame_axes(plane, up)
    corners = np.array([a * level + b * upward for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))])
    front = np.array(plane.point) + FRAME_HALF * corners
    faces = [front]
    if plane.thickness > 0.0:
        faces.append(front - plane.thickness * np.array(plane.slice.normal))
    lines = [np.stack([face, np.roll(face, -1, axis=0)], axis=1) for face in faces]
    if len(faces) == 2:
        lines.append(np.stack(faces, axis=1))
    return np.concatenate(lines).astype(np.float32)
