# SPDX-License-Identifier: MIT
"""Camera paths: round a place, in a spiral, through given poses, and away from a place so that coarse nodes take over.

Each is a tensor [N,4,4] of poses from the camera to the world, in scene units: x right, y down, z forward.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.cameras import look_at
from engine.errors import OptionError

UP = (0.0, 0.0, 1.0)
_LEAST_TURN = 1e-9  # below it two poses look the same way, and there is no axis to turn about


def orbit(
    center: Any, radius: float, num_frames: int, height: float = 0.5, up: Any = UP, turns: float = 1.0
) -> Tensor:
    """Return a level circle about `center [3]`, `radius` away and `height` radii above it. It closes on itself."""
    return _round(center, radius, num_frames, up, turns, lambda share: np.full_like(share, height))


def spiral(
    center: Any, radius: float, num_frames: int, height: float = 0.5, up: Any = UP, turns: float = 2.0
) -> Tensor:
    """Return circles about `center [3]` that rise and sink once by `height` radii, as a sine. They close on themselves."""
    return _round(center, radius, num_frames, up, turns, lambda share: height * np.sin(2.0 * np.pi * share))


def zoom_out(
    center: Any, radius: float, num_frames: int, factor: float = 16.0, direction: Any = (1.0, 0.4, 0.8), up: Any = UP
) -> Tensor:  # fmt: skip
    """Return a way straight back from `center [3]`, from `radius` to `factor` times that, faster and faster.

    Distance, and with it the footprint, doubles in equal times: the levels give way to one another evenly.
    """
    center, up = _vector("center", center), _vector("up", up)
    _check(num_frames, radius)
    away = _vector("direction", direction)
    away = away / np.linalg.norm(away)
    distances = radius * factor ** (np.arange(num_frames) / max(num_frames - 1, 1))
    return _poses([look_at(center + d * away, center, up) for d in distances])


def fly_through(poses: Any, num_frames: int) -> Tensor:
    """Return a smooth way through two or more poses [K,4,4], the first and the last included.

    Positions follow a Catmull-Rom spline, directions turn about one axis from pose to pose.
    """
    keys = np.asarray(torch.as_tensor(np.asarray(poses)).double())
    if keys.ndim != 3 or keys.shape[1:] != (4, 4) or len(keys) < 2:
        raise OptionError(f"fly_through() needs two or more poses [K,4,4], got {list(keys.shape)}.")
    _check(num_frames, 1.0)
    found = []
    for place in np.linspace(0.0, len(keys) - 1.0, num_frames):
        i = min(int(place), len(keys) - 2)
        pose = np.eye(4)
        pose[:3, :3] = _turned(keys[i, :3, :3], keys[i + 1, :3, :3], place - i)
        around = keys[np.clip(np.arange(i - 1, i + 3), 0, len(keys) - 1), :3, 3]
        pose[:3, 3] = _spline(around, place - i)
        found.append(pose)
    return _poses(found)


def _round(center: Any, radius: float, num_frames: int, up: Any, turns: float, rise: Any) -> Tensor:
    center, up = _vector("center", center), _vector("up", up)
    _check(num_frames, radius)
    up = up / np.linalg.norm(up)
    ahead = np.cross(up, np.eye(3)[np.argmin(np.abs(up))])
    ahead /= np.linalg.norm(ahead)
    side = np.cross(up, ahead)
    share = np.arange(num_frames) / num_frames
    found = []
    for angle, height in zip(2.0 * np.pi * turns * share, rise(share)):
        offset = np.cos(angle) * ahead + np.sin(angle) * side + height * up
        found.append(look_at(center + radius * offset, center, up))
    return _poses(found)


def _spline(p: np.ndarray, t: float) -> np.ndarray:
    """Return the place at t of [0,1] between the middle two of four points [4,3]."""
    slopes = 0.5 * (p[2] - p[0]), 0.5 * (p[3] - p[1])
    a, b = 2.0 * (p[1] - p[2]) + slopes[0] + slopes[1], 3.0 * (p[2] - p[1]) - 2.0 * slopes[0] - slopes[1]
    return ((a * t + b) * t + slopes[0]) * t + p[1]


def _turned(first: np.ndarray, second: np.ndarray, share: float) -> np.ndarray:
    """Return the rotation [3,3] a share of the way from one to another, about the axis that leads there directly."""
    between = first.T @ second
    angle = np.arccos(np.clip(0.5 * (np.trace(between) - 1.0), -1.0, 1.0))
    if angle < _LEAST_TURN:
        return first
    values, vectors = np.linalg.eigh(0.5 * (between + between.T))
    axis = vectors[:, np.argmax(values)]  # 1 along the axis, the cosine across
    skew = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    if np.sum(skew * between) < 0.0:  # the axis may have come out backwards
        skew = -skew
    turn = share * angle
    return first @ (np.eye(3) + np.sin(turn) * skew + (1.0 - np.cos(turn)) * skew @ skew)


def _check(num_frames: int, radius: float) -> None:
    if num_frames < 1 or not radius > 0.0:
        raise OptionError(
            f"A camera path needs at least 1 frame and a radius above 0, got {num_frames} and {radius:g}."
        )


def _vector(name: str, value: Any) -> np.ndarray:
    vector = np.asarray(torch.as_tensor(value).double())
    if vector.shape != (3,) or not np.isfinite(vector).all():
        raise OptionError(f"A camera path needs three numbers as its {name}, got {value}.")
    return vector


def _poses(poses: Sequence[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(poses)).float()
