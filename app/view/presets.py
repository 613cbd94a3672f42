# SPDX-License-Identifier: MIT
"""Ready-made camera paths: an orbit, a spiral and a way back from the scene, with settings suggested by the capture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from engine.cameras import Camera, look_at
from engine.errors import UserError

FULL_TURN = 2.0 * np.pi
OPEN_GAP_RAD = np.radians(110.0)  # a wider gap between cameras: nobody looked from there
SPIRAL_LOW = 0.3  # the lowest elevation of a spiral, as a share of its highest
MAX_ELEVATION_RAD = np.radians(75.0)
ZOOM_FROM, ZOOM_TO = (
    0.5,
    8.0,
)  # a zoom-out's first and last distance, in the capture's: four octaves of detail


@dataclass(frozen=True, eq=False)
class PathPreset:
    """A path round `centre [3]`: `radius` across and `height` along `up [3]`, `turns` in `frames`.

    `start [3]` is a direction from the centre towards the first camera. With `arc_rad` below a full turn the
    path sways within that arc about `start` instead of going round, for captures that were taken from one
    side.
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


def orbit(preset: PathPreset, width: int, height_px: int) -> list[Camera]:
    """Return the cameras of a level path that closes on itself: the last is one step before the first."""
    return _path(preset, width, height_px, lambda progress: 1.0)


def spiral(preset: PathPreset, width: int, height_px: int) -> list[Camera]:
    """Return the cameras of a closed path that sinks and rises once, always as far from the centre."""
    middle, swing = 0.5 * (1.0 + SPIRAL_LOW), 0.5 * (1.0 - SPIRAL_LOW)
    return _path(preset, width, height_px, lambda progress: middle + swing * np.cos(FULL_TURN * progress))


def zoom_out(preset: PathPreset, width: int, height_px: int) -> list[Camera]:
    """Return the cameras of a way back from close by to far above; every frame shows the scene smaller by the same factor.

    So the levels of a scene with level of detail come into use one after the other, each for as many frames. It does not turn.
    """
    _check(preset)
    up, ahead, _ = _axes(preset.up, preset.start)
    distance, elevation = np.hypot(preset.radius, preset.height), np.arctan2(preset.height, preset.radius)
    highest = max(elevation, MAX_ELEVATION_RAD)
    cameras = []
    for progress in np.linspace(0.0, 1.0, preset.frames):
        away = distance * ZOOM_FROM * (ZOOM_TO / ZOOM_FROM) ** progress
        e = elevation + (highest - elevation) * (3.0 - 2.0 * progress) * progress**2
        direction = np.cos(e) * ahead + np.sin(e) * up
        pose = look_at(preset.centre + away * direction, preset.centre, up)
        cameras.append(Camera.from_fov(width, height_px, preset.fov_y_rad, pose))
    return cameras


# By the names that people choose them with; files are named so, too.
PRESETS = {"spiral": spiral, "orbit": orbit, "zoom-out": zoom_out}


def _check(preset: PathPreset) -> None:
    if preset.frames < 1 or preset.radius <= 0.0:
        raise UserError(
            "A path needs at least 1 frame and a radius above 0, "
            f"got {preset.frames} frames and a radius of {preset.radius:g}."
        )


def _path(
    preset: PathPreset, width: int, height_px: int, elevation_share: Callable[[float], float]
) -> list[Camera]:
    _check(preset)
    up, ahead, side = _axes(preset.up, preset.start)
    distance, elevation = np.hypot(preset.radius, preset.height), np.arctan2(preset.height, preset.radius)
    cameras = []
    for progress in np.arange(preset.frames) / preset.frames:
        angle = FULL_TURN * preset.turns * progress
        if preset.arc_rad < FULL_TURN:
            angle = 0.5 * preset.arc_rad * np.sin(angle)
        e = elevation * elevation_share(progress)
        direction = np.cos(e) * (np.cos(angle) * ahead + np.sin(angle) * side) + np.sin(e) * up
        pose = look_at(preset.centre + distance * direction, preset.centre, up)
        cameras.append(Camera.from_fov(width, height_px, preset.fov_y_rad, pose))
    return cameras


def suggest(cameras: Sequence[Camera], up: np.ndarray, frames: int = 120, turns: float = 1.0) -> PathPreset:
    """Return a preset that sees the scene as the capture did: centre, distance, elevation and arc."""
    if not cameras:
        raise UserError("A camera path cannot be suggested without capture cameras; open a scene first.")
    positions = np.array([camera.position for camera in cameras])
    centre = centre_of_interest(cameras)
    offsets = positions - centre
    up = np.asarray(up, dtype=np.float64) / np.linalg.norm(up)
    distances = np.maximum(np.linalg.norm(offsets, axis=1), 1e-6)
    elevation = float(np.median(np.arcsin(np.clip(offsets @ up / distances, -1.0, 1.0))))
    elevation = float(np.clip(elevation, -MAX_ELEVATION_RAD, MAX_ELEVATION_RAD))
    distance = float(np.median(distances))
    start, arc = _arc(offsets, up)
    fovs = [2.0 * np.arctan(0.5 * min(c.width / c.fx, c.height / c.fy)) for c in cameras]
    return PathPreset(
        centre,
        up,
        radius=distance * float(np.cos(elevation)),
        height=distance * float(np.sin(elevation)),
        fov_y_rad=float(np.median(fovs)),
        start=start,
        turns=turns,
        frames=frames,
        arc_rad=arc,
    )


def centre_of_interest(cameras: Sequence[Camera]) -> np.ndarray:
    """Return the point [3] nearest to all viewing axes; the origin where that is no good answer.

    Least squares over axes (o, d): sum (I - d d^T)(x - o) = 0. Parallel axes leave x free along them, and
    axes that look outward meet behind the cameras; then the centre of the normalised scene serves.
    """
    origins = np.array([camera.position for camera in cameras])
    axes = np.array([camera.forward for camera in cameras])
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    matrix = across.sum(axis=0)
    if np.linalg.eigvalsh(matrix)[0] < 1e-3 * len(cameras):
        return np.zeros(3)
    point = np.linalg.solve(matrix, np.einsum("nij,nj->i", across, origins))
    in_front = np.einsum("nj,nj->n", point - origins, axes) > 0.0
    return point if in_front.mean() > 0.5 else np.zeros(3)


def _axes(up: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return unit vectors up, ahead (start made level) and side; angles grow counter-clockwise from above."""
    up = np.asarray(up, dtype=np.float64) / np.linalg.norm(up)
    ahead = start - (start @ up) * up
    if np.linalg.norm(ahead) < 1e-9:
        ahead = np.cross(up, np.eye(3)[np.argmin(np.abs(up))])
    ahead = ahead / np.linalg.norm(ahead)
    return up, ahead, np.cross(up, ahead)


def _arc(offsets: np.ndarray, up: np.ndarray) -> tuple[np.ndarray, float]:
    """Return (start direction [3], arc in radians) of the capture: the circle less its widest gap."""
    up, ahead, side = _axes(up, offsets[0])
    angles = np.sort(np.arctan2(offsets @ side, offsets @ ahead))
    gaps = np.diff(np.append(angles, angles[0] + FULL_TURN))
    widest = int(np.argmax(gaps))
    if gaps[widest] < OPEN_GAP_RAD:
        return ahead, FULL_TURN
    arc = FULL_TURN - gaps[widest]
    middle = angles[widest] + gaps[widest] + 0.5 * arc
    return np.cos(middle) * ahead + np.sin(middle) * side, float(max(arc, np.radians(20.0)))
