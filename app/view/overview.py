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
CORNERS = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
FAR_SHARE = 0.95  # of the cameras are in the picture; a stray one would make all others tiny
FILLED = 0.86  # of the half height of the picture


def overview(cameras: Sequence[Camera], up: np.ndarray) -> ViewCamera:
    """Return a camera that sees the box and nearly all capture cameras, from above and aside of the first one."""
    places = np.array([camera.position for camera in cameras]).reshape(-1, 3)
    up = np.asarray(up, dtype=np.float64) / np.linalg.norm(up)
    away = np.linalg.norm(places, axis=1)
    near = places[away <= np.quantile(away, FAR_SHARE)] if len(places) else places
    shown = np.concatenate([CORNERS, near])
    centre = 0.5 * (shown.min(axis=0) + shown.max(axis=0))
    back = -cameras[0].forward if len(places) else np.array([1.0, 0.0, 0.0])
    level = back - (back @ up) * up
    if np.linalg.norm(level) < 1e-6:  # the first camera looks straight down
        level = np.cross(up, np.eye(3)[int(np.argmin(np.abs(up)))])
    level = level / np.linalg.norm(level)
    level = np.cos(ASIDE_RAD) * level + np.sin(ASIDE_RAD) * np.cross(up, level)
    direction = np.cos(ELEVATION_RAD) * level + np.sin(ELEVATION_RAD) * up
    # A point p (from the centre) is in the picture if |p right| and |p high| are at most t (distance - p direction).
    right = np.cross(up, direction) / np.linalg.norm(np.cross(up, direction))
    high, points = np.cross(direction, right), shown - centre
    tangent = FILLED * np.tan(0.5 * FOV_RAD)
    aside = np.maximum(np.abs(points @ right), np.abs(points @ high))
    distance = float((points @ direction + aside / tangent).max())
    return ViewCamera.looking_at(centre + distance * direction, centre, up, FOV_RAD)
