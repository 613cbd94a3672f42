# SPDX-License-Identifier: MIT
"""A camera path: keys in time, and the smooth motion that passes through every one of them.

Positions and rotations are centripetal Catmull-Rom splines (no loops or cusps between uneven keys), built as
a pyramid of linear mixes; for rotations each mix is a slerp. A monotone cubic leads from time to the spline's
parameter, so that motion starts, slows and stops with the keys' times and never runs backward. Poses are the
engine's: OpenCV axes, engine units.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from app.view.rotations import aligned, angle_between, matrix_from_quaternion, quaternion_from_matrix, slerp
from engine.cameras import Camera
from engine.errors import UserError


@dataclass(frozen=True, eq=False)
class Key:
    """The camera at one moment: `world_from_cam [4,4]` (OpenCV axes, engine units), vertical `fov_y_rad`."""

    time_s: float
    world_from_cam: np.ndarray
    fov_y_rad: float


class CameraPath:
    """Keys in the order of time. Immutable."""

    def __init__(self, keys: Sequence[Key]) -> None:
        if not keys:
            raise UserError("A camera path needs at least one key; add the present view first.")
        self.keys = tuple(sorted(keys, key=lambda key: key.time_s))
        self._times = np.array([key.time_s for key in self.keys])
        if np.any(np.diff(self._times) <= 0.0):
            i = int(np.argmax(np.diff(self._times) <= 0.0))
            raise UserError(
                f"Two keys of the path stand at {self._times[i]:g} s; give every key its own time."
            )
        self._positions = [np.asarray(key.world_from_cam[:3, 3], dtype=np.float64) for key in self.keys]
        self._rotations: list[np.ndarray] = []
        for key in self.keys:
            quaternion = quaternion_from_matrix(key.world_from_cam[:3, :3])
            self._rotations.append(
                aligned(quaternion, self._rotations[-1] if self._rotations else quaternion)
            )
        steps = [float(np.linalg.norm(b - a)) for a, b in zip(self._positions, self._positions[1:])]
        turns = [angle_between(a, b) for a, b in zip(self._rotations, self._rotations[1:])]
        self._position_knots, self._rotation_knots = _centripetal(steps), _centripetal(turns)

    @property
    def start_s(self) -> float:
        """The time of the first key."""
        return float(self._times[0])

    @property
    def duration_s(self) -> float:
        """Seconds from the first key to the last."""
        return float(self._times[-1] - self._times[0])

    def with_key(self, key: Key) -> CameraPath:
        """Return the path with a key more, in place of one at the same time."""
        return CameraPath([other for other in self.keys if other.time_s != key.time_s] + [key])

    def at(self, time_s: float) -> Key:
        """Return the camera at a time; before the first and after the last key it stands still."""
        time_s = float(np.clip(time_s, self._times[0], self._times[-1]))
        i = int(np.searchsorted(self._times, time_s, side="right")) - 1
        if time_s == self._times[i]:  # also holds for the last key, so that i + 1 exists below
            return self.keys[i]
        u = _monotone(self._times, self._position_knots, i, time_s)
        v = _monotone(self._times, self._rotation_knots, i, time_s)
        fovs = np.array([key.fov_y_rad for key in self.keys])
        pose = np.eye(4)
        pose[:3, 3] = _catmull_rom(_mix, self._positions, self._position_knots, i, u)
        quaternion = _catmull_rom(slerp, self._rotations, self._rotation_knots, i, v)
        pose[:3, :3] = matrix_from_quaternion(quaternion)
        return Key(time_s, pose, float(_monotone(self._times, fovs, i, time_s)))

    def cameras(self, fps: float, width: int, height: int) -> list[Camera]:
        """Return one engine camera per frame, the first at the first key; the last if it falls on a frame."""
        n = int(np.floor(self.duration_s * fps + 1e-6)) + 1
        keys = [self.at(self.start_s + i / fps) for i in range(n)]
        return [Camera.from_fov(width, height, key.fov_y_rad, key.world_from_cam) for key in keys]


def _centripetal(lengths: list[float]) -> np.ndarray:
    """Return knots [n] whose gaps are the square roots of the lengths between keys.

    Keys in one place still need a gap; any will do there, as long as it is not large beside its length's
    root.
    """
    gaps = np.sqrt(np.array(lengths))
    floor = 1e-3 * gaps.max(initial=0.0) or 1.0
    return np.concatenate([[0.0], np.cumsum(np.maximum(gaps, floor))])


def _mix(a: np.ndarray, b: np.ndarray, s: float) -> np.ndarray:
    return (1.0 - s) * a + s * b


def _catmull_rom(
    mix: Callable[[np.ndarray, np.ndarray, float], np.ndarray],
    values: list[np.ndarray],
    knots: np.ndarray,
    i: int,
    u: float,
) -> np.ndarray:
    """Return the spline at `u` between knots i and i+1 by Barry and Goldman's pyramid.

    Beyond its ends the path is taken to go straight on.
    """
    u1, u2 = knots[i], knots[i + 1]
    p1, p2 = values[i], values[i + 1]
    first, last = i == 0, i + 2 == len(values)
    u0, p0 = (2 * u1 - u2, mix(p1, p2, -1.0)) if first else (knots[i - 1], values[i - 1])
    u3, p3 = (2 * u2 - u1, mix(p2, p1, -1.0)) if last else (knots[i + 2], values[i + 2])
    a1 = mix(p0, p1, (u - u0) / (u1 - u0))
    a2 = mix(p1, p2, (u - u1) / (u2 - u1))
    a3 = mix(p2, p3, (u - u2) / (u3 - u2))
    b1 = mix(a1, a2, (u - u0) / (u2 - u0))
    b2 = mix(a2, a3, (u - u1) / (u3 - u1))
    return mix(b1, b2, (u - u1) / (u2 - u1))


def _monotone(x: np.ndarray, y: np.ndarray, i: int, at: float) -> float:
    """Return a cubic through (x, y) at `at` in interval i, which rises and falls only where the points do.

    Slopes are the weighted harmonic means of the neighbouring secants (Fritsch and Butland), zero at a
    turning point.
    """
    h, secant = np.diff(x), np.diff(y) / np.diff(x)

    def slope(k: int) -> float:
        if k == 0 or k == len(x) - 1:
            return float(secant[min(k, len(secant) - 1)])
        left, right = secant[k - 1], secant[k]
        if left * right <= 0.0:
            return 0.0
        w_left, w_right = 2 * h[k] + h[k - 1], h[k] + 2 * h[k - 1]
        return float((w_left + w_right) / (w_left / left + w_right / right))

    s = (at - x[i]) / h[i]
    m0, m1 = h[i] * slope(i), h[i] * slope(i + 1)
    rise = y[i + 1] - y[i]
    return float(y[i] + s * (m0 + s * (3 * rise - 2 * m0 - m1 + s * (m0 + m1 - 2 * rise))))
