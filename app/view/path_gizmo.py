# SPDX-License-Identifier: MIT
"""A key of the camera path in the scene: picked by its frustum, moved by arrows and turned by rings.

No widgets, no OpenGL: pixels of the viewport's camera in, poses out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from app.view.frusta import pick_camera
from app.view.path import CameraPath
from app.view.rotations import axis_angle_matrix
from app.view.sight import across, along_line, distances_px, on_plane
from engine.cameras import Camera

AXES = ("x", "y", "z")
HANDLES = ("move", *(f"move {axis}" for axis in AXES), *(f"turn {axis}" for axis in AXES))
RING_SHARE = 0.8  # of the arrows' length
RING_STEPS = 48
_ARROW_FROM = 0.3  # of its length: nearer the eye all three arrows look alike
_ANGLES = np.linspace(0.0, 2.0 * np.pi, RING_STEPS + 1)


@dataclass(frozen=True, eq=False)
class KeyGizmo:
    """The handles of one key: `world_from_cam [4,4]`, arrows as long as `size`, along its own axes or the world's.

    The camera's own axes are right, down and forward.
    """

    world_from_cam: np.ndarray
    size: float
    own_axes: bool = True

    @property
    def centre(self) -> np.ndarray:
        """The key's eye [3]."""
        return self.world_from_cam[:3, 3]

    @property
    def axes(self) -> np.ndarray:
        """The directions x, y, z as rows [3,3], unit length."""
        return self.world_from_cam[:3, :3].T if self.own_axes else np.eye(3)

    def tips(self) -> np.ndarray:
        """Return the arrows' tips [3,3]."""
        return self.centre + self.size * self.axes

    def rings(self) -> np.ndarray:
        """Return the corners [3, RING_STEPS + 1, 3] of the rings about x, y and z."""
        first, second = np.roll(self.axes, -1, axis=0), np.roll(self.axes, -2, axis=0)
        circle = np.cos(_ANGLES)[:, None] * first[:, None] + np.sin(_ANGLES)[:, None] * second[:, None]
        return self.centre + RING_SHARE * self.size * circle


def key_cameras(path: CameraPath, aspect: float) -> list[Camera]:
    """Return the keys as cameras of pictures with a width of `aspect` heights, for drawing and picking."""
    return [
        Camera.from_fov(max(1, round(1000 * aspect)), 1000, key.fov_y_rad, key.world_from_cam)
        for key in path.keys
    ]


def pick_key(
    path: CameraPath, aspect: float, size: float, view: Camera, x: float, y: float, radius_px: float = 14.0
) -> int | None:
    """Return the key whose frustum, `size` deep, is drawn nearest to a pixel, or None."""
    return pick_camera(key_cameras(path, aspect), size, view, x, y, radius_px)


def pick_handle(gizmo: KeyGizmo, camera: Camera, x: float, y: float, radius_px: float = 9.0) -> str | None:
    """Return the handle under a pixel: the middle, else an arrow, else the nearest ring."""
    starts = gizmo.centre + _ARROW_FROM * gizmo.size * gizmo.axes
    arrows = np.stack([starts, gizmo.tips()], axis=1)  # [3,2,3]
    middle = distances_px(camera, gizmo.centre[None, None].repeat(2, axis=1), x, y)[0]
    along = distances_px(camera, arrows, x, y)
    rings = gizmo.rings()
    pieces = np.stack([rings[:, :-1], rings[:, 1:]], axis=2).reshape(-1, 2, 3)
    around = distances_px(camera, pieces, x, y).reshape(3, -1).min(axis=1)
    if middle <= radius_px:
        return "move"
    if along.min() <= radius_px:
        return f"move {AXES[int(np.argmin(along))]}"
    if around.min() <= radius_px:
        return f"turn {AXES[int(np.argmin(around))]}"
    return None


@dataclass(frozen=True, eq=False)
class Drag:
    """A handle in hand: the gizmo as it was, and the pixel it was taken at."""

    handle: str
    start: KeyGizmo
    x: float
    y: float

    def moved(self, camera: Camera, x: float, y: float) -> np.ndarray:
        """Return the key's `world_from_cam [4,4]` with the mouse at another pixel; where that says nothing, as it was."""
        pose = self.start.world_from_cam.copy()
        if self.handle == "move":
            pose[:3, 3] += across(self.start.centre, camera, x - self.x, y - self.y)
            return pose
        kind, axis = self.handle.split()
        direction = self.start.axes[AXES.index(axis)]
        if kind == "move":
            before = along_line(self.start.centre, direction, camera, self.x, self.y)
            now = along_line(self.start.centre, direction, camera, x, y)
            if before is not None and now is not None:
                pose[:3, 3] += (now - before) * direction
        else:
            pose[:3, :3] = axis_angle_matrix(direction, self._angle(direction, camera, x, y)) @ pose[:3, :3]
        return pose

    def _angle(self, axis: np.ndarray, camera: Camera, x: float, y: float) -> float:
        """Return how far the ring about `axis` was turned: about its middle, or along itself where it is edge-on."""
        centre = self.start.centre
        before, now = (on_plane(centre, axis, camera, *at) for at in ((self.x, self.y), (x, y)))
        if before is not None and now is not None:
            a, b = before - centre, now - centre
            return float(np.arctan2(np.cross(a, b) @ axis, a @ b))
        ring = self.start.rings()[int(np.argmax(np.abs(self.start.axes @ axis)))]
        pixels, depth = camera.project(ring)
        away = np.hypot(pixels[:, 0] - self.x, pixels[:, 1] - self.y)
        away[depth <= 0.0] = np.inf
        taken = ring[int(np.argmin(away))]
        tangent = 1e-3 * np.cross(axis, taken - centre)
        (here, there), _ = camera.project(np.stack([taken, taken + tangent]))
        rate = (there - here) / 1e-3  # pixels per radian
        square = float(rate @ rate)
        return float(rate @ [x - self.x, y - self.y]) / square if square > 1.0 else 0.0
