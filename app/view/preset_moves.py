# SPDX-License-Identifier: MIT
"""The moves of ready-made camera paths: where the camera is at each share of the way.

A move takes a preset and progress [n] (0..1) and returns `world_from_cam [n,4,4]` and fields of view in radians [n].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from engine.cameras import look_at

FULL_TURN = 2.0 * np.pi
MAX_ELEVATION_RAD = np.radians(75.0)
SPIRAL_LOW = 0.3  # the lowest elevation of a spiral, as a share of its highest
# A zoom-out's first and last distance, in the capture's: four octaves of detail.
ZOOM_FROM, ZOOM_TO = 0.5, 8.0
DOLLY_FROM, DOLLY_TO = 0.7, 3.0  # a dolly zoom's, likewise
WIDEST_RAD = np.radians(110.0)  # a dolly zoom's field of view at its nearest
# Half the width and height of a figure eight, as angles from the middle.
EIGHT_WIDE_RAD, EIGHT_HIGH_RAD = np.radians(60.0), np.radians(14.0)

Views = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class PathPreset:
    """A path round `centre [3]`: `radius` across and `height` along `up [3]`, `turns` in `frames`.

    `start [3]` is a direction from the centre towards the first camera. With `arc_rad` below a full turn the
    path sways within that arc about `start` instead of going round, for captures that were taken from one
    side. `capture [n,4,4]` are the poses of the capture, for the path that follows them.
    """

    centre: np.ndarray
    up: np.ndarray
    radius: float
    height: float
    fov_y_rad: float
    start: np.ndarray
    turns: float = 1.0
    frames: int = 120
    arc_rad: float = FULL_TURN
    capture: np.ndarray = field(default_factory=lambda: np.empty((0, 4, 4)))

    @property
    def distance(self) -> float:
        """How far the camera is from the centre."""
        return float(np.hypot(self.radius, self.height))

    @property
    def elevation_rad(self) -> float:
        """How high the camera stands over the centre."""
        return float(np.arctan2(self.height, self.radius))


def orbit(preset: PathPreset, progress: np.ndarray) -> Views:
    """Go round, level."""
    return _round(preset, _angles(preset, progress), preset.elevation_rad * np.ones_like(progress))


def spiral(preset: PathPreset, progress: np.ndarray) -> Views:
    """Go round, sinking and rising once, always as far from the centre."""
    middle, swing = 0.5 * (1.0 + SPIRAL_LOW), 0.5 * (1.0 - SPIRAL_LOW)
    share = middle + swing * np.cos(FULL_TURN * progress)
    return _round(preset, _angles(preset, progress), preset.elevation_rad * share)


def figure_eight(preset: PathPreset, progress: np.ndarray) -> Views:
    """Sway to both sides of the start in the shape of a lying eight, always as far from the centre."""
    way = FULL_TURN * preset.turns * progress
    wide = min(EIGHT_WIDE_RAD, 0.5 * preset.arc_rad)
    room = MAX_ELEVATION_RAD - abs(preset.elevation_rad)
    high = min(EIGHT_HIGH_RAD, max(0.0, room))
    return _round(preset, wide * np.sin(way), preset.elevation_rad + high * np.sin(2.0 * way))


def zoom_out(preset: PathPreset, progress: np.ndarray) -> Views:
    """Go back from close by to far above; every frame shows the scene smaller by the same factor.

    So the levels of a scene with level of detail come into use one after the other, each for as many frames.
    It does not turn.
    """
    elevation, highest = preset.elevation_rad, max(preset.elevation_rad, MAX_ELEVATION_RAD)
    rise = (3.0 - 2.0 * progress) * progress**2
    away = preset.distance * ZOOM_FROM * (ZOOM_TO / ZOOM_FROM) ** progress
    return _round(preset, np.zeros_like(progress), elevation + (highest - elevation) * rise, away)


def dolly_zoom(preset: PathPreset, progress: np.ndarray) -> Views:
    """Go back while the lens closes in, so that what stands at the centre keeps its size (the Vertigo effect)."""
    smooth = (3.0 - 2.0 * progress) * progress**2
    size = preset.distance * np.tan(0.5 * preset.fov_y_rad)  # half of what the picture shows at the centre
    nearest = max(preset.distance * DOLLY_FROM, size / np.tan(0.5 * WIDEST_RAD))
    away = nearest * (DOLLY_TO / DOLLY_FROM) ** smooth
    level = np.zeros_like(progress)
    poses, _ = _round(preset, level, level + preset.elevation_rad, away)
    return poses, 2.0 * np.arctan(size / away)


def axes(up: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return unit vectors up, ahead (start made level) and side; angles grow counter-clockwise from above."""
    up = np.asarray(up, dtype=np.float64) / np.linalg.norm(up)
    ahead = start - (start @ up) * up
    if np.linalg.norm(ahead) < 1e-9:
        ahead = np.cross(up, np.eye(3)[np.argmin(np.abs(up))])
    ahead = ahead / np.linalg.norm(ahead)
    return up, ahead, np.cross(up, ahead)


def _angles(preset: PathPreset, progress: np.ndarray) -> np.ndarray:
    angles = FULL_TURN * preset.turns * progress
    return angles if preset.arc_rad >= FULL_TURN else 0.5 * preset.arc_rad * np.sin(angles)


def _round(
    preset: PathPreset, angles: np.ndarray, elevations: np.ndarray, away: np.ndarray | None = None
) -> Views:
    """Return cameras that look at the centre, from angles and elevations [n] and distances [n]."""
    up, ahead, side = axes(preset.up, preset.start)
    away = np.full(len(angles), preset.distance) if away is None else away
    level = np.cos(angles)[:, None] * ahead + np.sin(angles)[:, None] * side
    towards = np.cos(elevations)[:, None] * level + np.sin(elevations)[:, None] * up
    places = preset.centre + away[:, None] * towards
    poses = np.array([look_at(place, preset.centre, up) for place in places]).reshape(-1, 4, 4)
    return poses, np.full(len(angles), preset.fov_y_rad)


Move = Callable[[PathPreset, np.ndarray], Views]
