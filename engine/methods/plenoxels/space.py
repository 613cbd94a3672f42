# SPDX-License-Identifier: MIT
"""Where the grid lies: in the foreground cube, or in normalised device coordinates of a forward-facing capture.

There, the published box of half edge 1 is halved, so that a published unit of length is the same share of the grid's
space everywhere (`schedule.UNIT`).
"""

from __future__ import annotations

import numpy as np

from engine.cameras import Camera
from engine.datasets.ndc import Ndc
from engine.datasets.scene import Scene
from engine.methods.plenoxels.schedule import UNIT

_MARGIN_PX, _MARGIN_OF = 250.0, 1008.0  # published: so much around a picture that is so wide


class Cube:
    """The foreground cube; rays are as they are."""

    forward_facing = False
    center = np.zeros(3)
    radius = np.full(3, 0.5)

    def rays(self, rays_o: np.ndarray, rays_d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return rays [N,3] of the world as rays of the grid, directions of unit length."""
        return rays_o, rays_d

    def along(self, rays_o: np.ndarray, rays_d: np.ndarray, t: np.ndarray) -> np.ndarray:
        """Return world points [N,3] at lengths t [N] along world rays, t as the grid's rays measure it."""
        return rays_o + t[:, None] * rays_d

    def world(self, points: np.ndarray) -> np.ndarray:
        """Return world points [N,3] of points in the grid's space."""
        return points


class Device(Cube):
    """Normalised device coordinates; the grid reaches beyond the picture, as cameras look around."""

    forward_facing = True

    def __init__(self, ndc: Ndc, data_from_engine: np.ndarray, camera: Camera) -> None:
        self._ndc = ndc
        self._data_from_engine = data_from_engine
        self._engine_from_data = np.linalg.inv(data_from_engine)
        margin = 2.0 * _MARGIN_PX / _MARGIN_OF
        self.radius = np.array([1.0 + margin, 1.0 + margin * camera.width / camera.height, 1.0]) / UNIT

    def rays(self, rays_o: np.ndarray, rays_d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return rays as the grid's; those that do not run forward miss it."""
        matrix = self._data_from_engine
        first, run = self._ndc.rays(rays_o @ matrix[:3, :3].T + matrix[:3, 3], rays_d @ matrix[:3, :3].T)
        length = np.linalg.norm(run, axis=-1, keepdims=True)
        lost = ~np.isfinite(first).all(axis=-1) | ~np.isfinite(length[:, 0])
        first, run = first / UNIT, run / length
        first[lost], run[lost] = (0.0, 0.0, 2.0), (0.0, 0.0, 1.0)  # beyond the grid and leaving it
        return first, run

    def along(self, rays_o: np.ndarray, rays_d: np.ndarray, t: np.ndarray) -> np.ndarray:
        """Return world points at lengths t along the rays' images; NaN at infinity."""
        first, run = self.rays(rays_o, rays_d)
        return self.world(first + t[:, None] * run)

    def world(self, points: np.ndarray) -> np.ndarray:
        """Return world points; NaN at infinity."""
        data = self._ndc.inverse(np.asarray(points) * UNIT)
        return data @ self._engine_from_data[:3, :3].T + self._engine_from_data[:3, 3]


def space_of(scene: Scene, ndc: bool) -> Cube:
    """Return where the grid of a scene lies; `ndc` allows device coordinates where the capture is forward-facing."""
    found = scene.extras.get("ndc")
    if not ndc or not isinstance(found, Ndc):
        return Cube()
    return Device(found, scene.data_from_engine, scene.train.views[0].camera)
