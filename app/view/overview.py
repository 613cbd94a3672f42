# SPDX-License-Identifier: MIT
"""A view of the whole capture from outside: every camera, the box, the points, before anything is learned."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from app.view.camera import ViewCamera
from engine.cameras import Camera

ELEVATION_RAD = np.radians(28.0)
ASIDE_RAD = np.radians(35.0)  # from behind the first camera: seen end on, a row of cameras is a heap
FOV_RAD = np.radians(45.0)
BOX_RADIUS = 0.87  # of the ball around the foreground cube
FAR_SHARE = 0.95  # of the cameras are in the picture; a stray one would make all others tiny
AROUND = 1.12  # room at the rim


def overview(cameras: Sequence[Camera], up: np.ndarray) -> ViewCamera:
    """Return a camera that sees the box and nearly all capture cameras, from above and aside of the first one."""
    places = np.array([camera.position for camera in cameras]).reshape(-1, 3)
    up = np.asarray(up, dtype=np.float64) / np.linalg.norm(up)
    centre = 0.5 * np.median(places, axis=0) if len(places) else np.zeros(3)
    away = np.linalg.norm(places - centre, axis=1)
    reach = float(np.quantile(away, FAR_SHARE)) if len(places) else 0.0
    radius = AROUND * max(reach, BOX_RADIUS + float(np.linalg.norm(centre)))
    back = -cameras[0].forward if len(places) else np.array([1.0, 0.0, 0.0])
    level = back - (back @ up) * up
    if np.linalg.norm(level) < 1e-6:  # the first camera looks straight down
        level = np.cross(up, np.eye(3)[int(np.argmin(np.abs(up)))])
    level = level / np.linalg.norm(level)
    level = np.cos(ASIDE_RAD) * level + np.sin(ASIDE_RAD) * np.cross(up, level)
    direction = np.cos(ELEVATION_RAD) * level + np.sin(ELEVATION_RAD) * up
    return ViewCamera.looking_at(centre + radius / np.sin(0.5 * FOV_RAD) * direction, centre, up, FOV_RAD)
