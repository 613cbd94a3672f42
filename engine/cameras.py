# SPDX-License-Identifier: MIT
"""A camera as the engine sees it: OpenCV axes, engine units, pixel centres at +0.5."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

LensT = TypeVar("LensT")


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole or orthographic camera.

    `world_from_cam [4,4]` float64, columns right, down, forward, position. `fx fy cx cy` in pixels of a
    `width x height` image. When `orthographic`, `fx fy` are pixels per engine unit.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    world_from_cam: np.ndarray
    orthographic: bool = False

    @classmethod
    def from_fov(cls, width: int, height: int, fov_y_rad: float, world_from_cam: np.ndarray) -> Camera:
        """Return a camera with square pixels, centred principal point and a vertical field of view in radians."""
        focal = 0.5 * height / np.tan(0.5 * fov_y_rad)
        return cls(
            width,
            height,
            focal,
            focal,
            0.5 * width,
            0.5 * height,
            np.asarray(world_from_cam, dtype=np.float64),
        )

    @property
    def position(self) -> np.ndarray:
        """The camera centre [3] in the world."""
        return self.world_from_cam[:3, 3]

    @property
    def forward(self) -> np.ndarray:
        """The viewing direction [3], unit length."""
        return self.world_from_cam[:3, 2]

    @property
    def fov_y_rad(self) -> float:
        """The vertical field of view, 2 atan(height / 2 fy)."""
        return float(2.0 * np.arctan(0.5 * self.height / self.fy))

    @property
    def cam_from_world(self) -> np.ndarray:
        """The inverse pose [4,4]; the rotation is orthonormal, so its transpose serves."""
        inverse = np.eye(4)
        rotation = self.world_from_cam[:3, :3].T
        inverse[:3, :3] = rotation
        inverse[:3, 3] = -rotation @ self.position
        return inverse

    def resized(self, width: int, height: int) -> Camera:
        """Return the same view with another number of pixels."""
        return with_pixels(self, width, height)

    def scaled(self, factor: float) -> Camera:
        """Return the same view at `factor` times the resolution, at least one pixel a side."""
        return self.resized(max(1, round(self.width * factor)), max(1, round(self.height * factor)))

    def moved(self, world_from_cam: np.ndarray) -> Camera:
        """Return this lens at another pose [4,4]."""
        return replace(self, world_from_cam=np.asarray(world_from_cam, dtype=np.float64))

    def rays(self) -> tuple[np.ndarray, np.ndarray]:
        """Return ray origins and unit directions of all pixels, both [H,W,3] float64 in the world."""
        u = (np.arange(self.width) + 0.5 - self.cx) / self.fx
        v = (np.arange(self.height) + 0.5 - self.cy) / self.fy
        u, v = np.meshgrid(u, v)
        rotation = self.world_from_cam[:3, :3]
        if self.orthographic:
            local = np.stack([u, v, np.zeros_like(u)], axis=-1)
            return local @ rotation.T + self.position, np.broadcast_to(self.forward, local.shape).copy()
        local = np.stack([u, v, np.ones_like(u)], axis=-1)
        directions = local @ rotation.T
        directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
        return np.broadcast_to(self.position, directions.shape).copy(), directions

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return pixel coordinates [N,2] and camera-space depth z [N] of world points [N,3]."""
        local = (np.asarray(points, dtype=np.float64) - self.position) @ self.world_from_cam[:3, :3]
        z = local[:, 2]
        safe = np.ones_like(z) if self.orthographic else np.where(np.abs(z) < 1e-12, 1e-12, z)
        xy = local[:, :2] / safe[:, None]
        return xy * [self.fx, self.fy] + [self.cx, self.cy], z


def with_pixels(lens: LensT, width: int, height: int) -> LensT:
    """Return a camera or a lens, anything with `width height fx fy cx cy`, with another number of pixels."""
    sx, sy = width / lens.width, height / lens.height
    return replace(
        lens, width=width, height=height, fx=lens.fx * sx, fy=lens.fy * sy, cx=lens.cx * sx, cy=lens.cy * sy
    )


def look_at(position: np.ndarray, target: np.ndarray, up: np.ndarray) -> np.ndarray:
    """Return `world_from_cam [4,4]` (OpenCV axes) at `position [3]`, looking at `target [3]`, with `up [3]` on top.

    When the view is parallel to `up`, any perpendicular serves as the image's right.
    """
    forward = np.asarray(target, dtype=np.float64) - position
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, up)
    if np.linalg.norm(right) < 1e-9:
        right = np.cross(forward, np.eye(3)[np.argmin(np.abs(forward))])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 1], pose[:3, 2], pose[:3, 3] = right, np.cross(forward, right), forward, position
    return pose
