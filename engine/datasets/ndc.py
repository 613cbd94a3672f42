# SPDX-License-Identifier: MIT
"""Normalised device coordinates: what a forward-facing camera sees, from its near plane to infinity, as a cube.

With x, y, z in the axes of a reference camera (OpenCV: z forward) and the slopes sx = w / (2 fx), sy = h / (2 fy) of
its picture's border,
    x' = x / (sx z)    y' = y / (sy z)    z' = 1 - 2 near / z
so the picture is [-1, 1]^2, z' is -1 on the near plane and 1 at infinity, and straight lines stay straight
(Mildenhall et al. 2020, appendix C). Nothing behind the camera's plane has a place in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Ndc:
    """The map of one reference camera, pose `world_from_cam [4,4]`; `near` is in the same units."""

    world_from_cam: np.ndarray
    slope_x: float
    slope_y: float
    near: float

    def forward(self, points: np.ndarray) -> np.ndarray:
        """Return world points [...,3] in the cube; NaN where they are not in front of the camera."""
        rotation, origin = self.world_from_cam[:3, :3], self.world_from_cam[:3, 3]
        x, y, z = np.moveaxis((np.asarray(points, dtype=np.float64) - origin) @ rotation, -1, 0)
        z = np.where(z > 0.0, z, np.nan)
        return np.stack([x / (self.slope_x * z), y / (self.slope_y * z), 1.0 - 2.0 * self.near / z], axis=-1)

    def inverse(self, cube: np.ndarray) -> np.ndarray:
        """Return the world points [...,3] of places in the cube; NaN at and beyond infinity (z' of 1 or more)."""
        x, y, z = np.moveaxis(np.asarray(cube, dtype=np.float64), -1, 0)
        depth = 2.0 * self.near / np.where(z < 1.0, 1.0 - z, np.nan)
        local = np.stack([x * self.slope_x * depth, y * self.slope_y * depth, depth], axis=-1)
        return local @ self.world_from_cam[:3, :3].T + self.world_from_cam[:3, 3]

    def rays(self, rays_o: np.ndarray, rays_d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return rays [N,3] of the world as rays of the cube: from the near plane at t = 0 to infinity at t = 1.

        Rays that do not run forward, along the camera's z, are NaN.
        """
        axis = self.world_from_cam[:3, 2]
        slope = rays_d @ axis
        slope = np.where(slope > 0.0, slope, np.nan)[:, None]
        depth = ((rays_o - self.world_from_cam[:3, 3]) @ axis)[:, None]
        start = rays_o + (self.near - depth) / slope * rays_d
        rotation = self.world_from_cam[:3, :3]
        direction = (rays_d @ rotation) / slope  # its z is 1: the place in the picture that the ray goes to
        end = np.stack(
            [direction[:, 0] / self.slope_x, direction[:, 1] / self.slope_y, np.ones(len(direction))], axis=-1
        )
        first = self.forward(start)
        return first, end - first
