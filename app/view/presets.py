# SPDX-License-Identifier: MIT
"""Ready-made camera paths with settings suggested by the capture, as frames to render or as keys to edit."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from app.view.capture_flight import flight, fly_along
from app.view.path import CameraPath, Key, PathStyle
from app.view.preset_moves import (
    FULL_TURN,
    MAX_ELEVATION_RAD,
    Move,
    PathPreset,
    axes,
    dolly_zoom,
    figure_eight,
    orbit,
    spiral,
    zoom_out,
)
from engine.cameras import Camera
from engine.errors import UserError

OPEN_GAP_RAD = np.radians(110.0)  # a wider gap between cameras: nobody looked from there
FRAMES_A_SECOND = 30.0  # of a preset whose seconds nobody says
# How near the keys of an editable path follow a move: a share of its distance from the centre, and a turn.
PLACE_TOLERANCE, TURN_TOLERANCE_RAD = 0.005, np.radians(0.5)
_KEYS_A_TURN = (4, 6, 8, 10, 12, 16, 20, 24, 32, 48)

# By the names that people choose them with; files are named so, too.
MOVES: dict[str, Move] = {
    "spiral": spiral,
    "orbit": orbit,
    "zoom-out": zoom_out,
    "figure-eight": figure_eight,
    "dolly-zoom": dolly_zoom,
    "fly-along": fly_along,
}
# What people are told of them.
LABELS = {
    "spiral": "Once round the scene, sinking and rising.",
    "orbit": "Once round the scene, level.",
    "zoom-out": "From close by to far above: shows level of detail at work.",
    "figure-eight": "To and fro before the scene in the shape of an eight.",
    "dolly-zoom": "Back while the lens closes in: the scene keeps its size, what is behind it grows.",
    "fly-along": "Along the places from which the photos were taken.",
}
_CLOSED = ("spiral", "orbit", "figure-eight")


def frames_of(name: str) -> Callable[[PathPreset, int, int], list[Camera]]:
    """Return what makes the cameras of a move's frames, from a preset and a width and height in pixels.

    A move that closes on itself ends one step before its beginning.
    """

    def cameras(preset: PathPreset, width: int, height_px: int) -> list[Camera]:
        _check(preset)
        n = preset.frames
        progress = np.arange(n) / n if name in _CLOSED else np.linspace(0.0, 1.0, n)
        poses, fovs = MOVES[name](preset, progress)
        return [Camera.from_fov(width, height_px, float(fov), pose) for pose, fov in zip(poses, fovs)]

    return cameras


PRESETS = {name: frames_of(name) for name in MOVES}


def preset_path(name: str, preset: PathPreset, seconds: float | None = None) -> CameraPath:
    """Return a move as a path with as few even keys as follow it closely; one that closes on itself is a loop.

    Without `seconds` it takes as long as its frames at 30 a second.
    """
    _check(preset)
    seconds = preset.frames / FRAMES_A_SECOND if seconds is None else seconds
    if name == "fly-along":
        return flight(preset, seconds)
    closed = name in _CLOSED and abs(preset.turns - round(preset.turns)) < 1e-9
    share = np.linspace(0.0, 1.0, 121)[: 120 if closed else None]
    turns = max(1, round(preset.turns)) if name in _CLOSED else 1
    fine = np.concatenate([(share + turn) / turns for turn in range(turns)])
    there, fovs = MOVES[name](preset, fine)
    for n in _KEYS_A_TURN:
        path = _even_keys(MOVES[name], preset, n * turns, closed, seconds)
        if _follows(path, fine * seconds, there, fovs, preset):
            break
    return path


def _even_keys(move: Move, preset: PathPreset, n: int, closed: bool, seconds: float) -> CameraPath:
    progress = np.arange(n) / n if closed else np.linspace(0.0, 1.0, n)
    poses, fovs = move(preset, progress)
    keys = [Key(seconds * float(s), pose, float(fov)) for s, pose, fov in zip(progress, poses, fovs)]
    return CameraPath(keys, PathStyle(loop=closed, loop_s=seconds / n))


def _follows(
    path: CameraPath, times: np.ndarray, there: np.ndarray, fovs: np.ndarray, preset: PathPreset
) -> bool:
    """Say whether a path is near enough to a move's poses [n,4,4] and fields of view [n] at times [n]."""
    poses, path_fovs = path.sample(times)
    away = np.linalg.norm(there[:, :3, 3] - preset.centre, axis=1)
    off = np.linalg.norm(poses[:, :3, 3] - there[:, :3, 3], axis=1) / away
    turned = np.linalg.norm(poses[:, :3, :3] - there[:, :3, :3], axis=(1, 2)) / np.sqrt(2.0)
    turned = np.maximum(turned, np.abs(path_fovs - fovs))
    return bool(off.max() <= PLACE_TOLERANCE and turned.max() <= TURN_TOLERANCE_RAD)


def _check(preset: PathPreset) -> None:
    if preset.frames < 1 or preset.radius <= 0.0:
        raise UserError(
            "A path needs at least 1 frame and a radius above 0, "
            f"got {preset.frames} frames and a radius of {preset.radius:g}."
        )


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
        capture=np.array([camera.world_from_cam for camera in cameras]),
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


def _arc(offsets: np.ndarray, up: np.ndarray) -> tuple[np.ndarray, float]:
    """Return (start direction [3], arc in radians) of the capture: the circle less its widest gap."""
    up, ahead, side = axes(up, offsets[0])
    angles = np.sort(np.arctan2(offsets @ side, offsets @ ahead))
    gaps = np.diff(np.append(angles, angles[0] + FULL_TURN))
    widest = int(np.argmax(gaps))
    if gaps[widest] < OPEN_GAP_RAD:
        return ahead, FULL_TURN
    arc = FULL_TURN - gaps[widest]
    middle = angles[widest] + gaps[widest] + 0.5 * arc
    return np.cos(middle) * ahead + np.sin(middle) * side, float(max(arc, np.radians(20.0)))
