# SPDX-License-Identifier: MIT
"""The viewport's camera: where it is, what it turns about, its lens. Immutable; a move makes a new one.

The pose has OpenGL axes (columns right, up, back, position); `engine_camera` gives the engine its OpenCV
camera. Lengths are engine units.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from engine.cameras import Camera, look_at
from engine.conventions import opencv_from_opengl, opengl_from_opencv


@dataclass(frozen=True, eq=False)
class ViewCamera:
    """A pose, a pivot straight ahead, and a lens.

    `world_from_cam [4,4]` has OpenGL axes; `distance` leads along the view to the pivot; `up [3]` is the
    world's up, which orbiting turns about. `lens`, if set, is a capture camera whose intrinsics are taken
    over: its picture fits into the viewport whole and lies in `photo_rect`; otherwise the field of view is
    `fov_y_rad`, vertical.
    """

    world_from_cam: np.ndarray
    distance: float
    fov_y_rad: float
    up: np.ndarray
    lens: Camera | None = None

    @classmethod
    def looking_at(
        cls, position: np.ndarray, target: np.ndarray, up: np.ndarray, fov_y_rad: float
    ) -> ViewCamera:
        """Return a camera at `position [3]` with its pivot at `target [3]` and a level horizon."""
        up = np.asarray(up, dtype=np.float64) / np.linalg.norm(up)
        distance = float(np.linalg.norm(np.asarray(target, dtype=np.float64) - position))
        return cls(opengl_from_opencv(look_at(np.asarray(position), target, up)), distance, fov_y_rad, up)

    @classmethod
    def from_capture(cls, camera: Camera, up: np.ndarray, distance: float) -> ViewCamera:
        """Return the view of a capture camera, bit for bit: pose and lens."""
        return cls(
            opengl_from_opencv(camera.world_from_cam), distance, camera.fov_y_rad, np.asarray(up), camera
        )

    @property
    def position(self) -> np.ndarray:
        """The eye [3]."""
        return self.world_from_cam[:3, 3]

    @property
    def rotation(self) -> np.ndarray:
        """The axes right, up, back as columns [3,3]."""
        return self.world_from_cam[:3, :3]

    @property
    def forward(self) -> np.ndarray:
        """The viewing direction [3], unit length."""
        return -self.world_from_cam[:3, 2]

    @property
    def pivot(self) -> np.ndarray:
        """The point [3] that orbiting turns about."""
        return self.position + self.distance * self.forward

    def moved(self, position: np.ndarray, rotation: np.ndarray | None = None) -> ViewCamera:
        """Return this camera at another `position [3]`, with other axes `rotation [3,3]` if given."""
        pose = self.world_from_cam.copy()
        pose[:3, 3] = position
        if rotation is not None:
            pose[:3, :3] = rotation
        return replace(self, world_from_cam=pose)

    def with_fov(self, fov_y_rad: float) -> ViewCamera:
        """Return this camera with a plain lens of a vertical field of view."""
        return replace(self, fov_y_rad=fov_y_rad, lens=None)

    def photo_rect(self, width: float, height: float) -> tuple[float, float, float, float]:
        """Return (x, y, width, height) in pixels of the lens's photo in a viewport; no lens: all of it."""
        if self.lens is None:
            return 0.0, 0.0, width, height
        scale = min(width / self.lens.width, height / self.lens.height)
        w, h = self.lens.width * scale, self.lens.height * scale
        return 0.5 * (width - w), 0.5 * (height - h), w, h

    def intrinsics(self, width: float, height: float) -> tuple[float, float, float, float]:
        """Return fx, fy, cx, cy in pixels for a viewport of this size."""
        if self.lens is None:
            focal = 0.5 * height / np.tan(0.5 * self.fov_y_rad)
            return float(focal), float(focal), 0.5 * width, 0.5 * height
        x, y, w, _ = self.photo_rect(width, height)
        scale = w / self.lens.width
        return self.lens.fx * scale, self.lens.fy * scale, x + self.lens.cx * scale, y + self.lens.cy * scale

    def effective_fov_y(self, width: float, height: float) -> float:
        """Return the vertical field of view in radians that a viewport of this size shows."""
        return float(2.0 * np.arctan(0.5 * height / self.intrinsics(width, height)[1]))

    def engine_camera(self, width: int, height: int) -> Camera:
        """Return the engine's camera (OpenCV axes) for a picture of `width` x `height` pixels."""
        fx, fy, cx, cy = self.intrinsics(width, height)
        return Camera(width, height, fx, fy, cx, cy, opencv_from_opengl(self.world_from_cam))

    def view_matrix(self) -> np.ndarray:
        """Return `cam_from_world [4,4]` for OpenGL, row-major: transpose it on the way to a shader."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.rotation.T
        matrix[:3, 3] = -self.rotation.T @ self.position
        return matrix

    def projection_matrix(self, aspect: float, near: float, far: float) -> np.ndarray:
        """Return `clip_from_cam [4,4]` for OpenGL, row-major, depth -1..1; `aspect` is width / height.

        The first two rows say that a point lands at ndc (2 u / width - 1, 1 - 2 v / height), where (u, v) is
        where the engine's camera puts it.
        """
        fx, fy, cx, cy = self.intrinsics(aspect, 1.0)
        return np.array(
            [
                [2.0 * fx / aspect, 0.0, 1.0 - 2.0 * cx / aspect, 0.0],
                [0.0, 2.0 * fy, 2.0 * cy - 1.0, 0.0],
                [0.0, 0.0, (near + far) / (near - far), 2.0 * near * far / (near - far)],
                [0.0, 0.0, -1.0, 0.0],
            ]
        )

    def point_at(self, x: float, y: float, depth_z: float, width: int, height: int) -> np.ndarray:
        """Return the world point [3] under viewport pixel (x, y) at `depth_z` along the camera's axis."""
        fx, fy, cx, cy = self.intrinsics(width, height)
        right, up, back = self.rotation.T
        return self.position + depth_z * ((x - cx) / fx * right - (y - cy) / fy * up - back)
