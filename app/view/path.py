# SPDX-License-Identifier: MIT
"""A camera path: keys in time, and the smooth motion that passes through every one of them.

Positions are centripetal Catmull-Rom splines with tension (no loops or cusps between uneven keys); rotations
likewise, as rotation vectors seen from half-way between two keys. A monotone cubic leads from time to the
splines' parameters, so that motion starts, slows and stops with the keys' times and never runs backward, and
speed has no jumps. Poses are the engine's: OpenCV axes, engine units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from app.view.path_motion import Motion
from engine.cameras import Camera
from engine.errors import UserError

# What becomes of the speed at a key, with a word for people.
EASINGS = {
    "auto": "Smooth: as fast as the slower neighbour asks for, never beyond a key and back.",
    "linear": "Even: keeps the mean speed of both neighbours through the key.",
    "ease": "Stop: slows to a stop at the key and starts again.",
    "hold": "Hold: stops and stays until the next key, then cuts to that one.",
}
SAME_TIME_S = 1e-6  # keys nearer than this stand at one time


@dataclass(frozen=True, eq=False)
class Key:
    """The camera at one moment: `world_from_cam [4,4]` (OpenCV axes, engine units), vertical `fov_y_rad`.

    `easing`, one of EASINGS, says what becomes of the speed there.
    """

    time_s: float
    world_from_cam: np.ndarray
    fov_y_rad: float
    easing: str = "auto"

    @property
    def position(self) -> np.ndarray:
        """The eye [3]."""
        return self.world_from_cam[:3, 3]


@dataclass(frozen=True)
class PathStyle:
    """What holds for the whole path.

    `tension` 0..1: 0 is round, 1 straight from key to key with a stop at each. `loop`: after the last key the
    path leads back to the first within `loop_s` seconds, without a jump in speed. `constant_speed`: between
    its ends the path is timed by its length, so that inner keys are passed when it is their turn
    (`CameraPath.key_times_s`), and easing counts for nothing except where a key holds.
    """

    tension: float = 0.0
    loop: bool = False
    loop_s: float = 1.0
    constant_speed: bool = False


class CameraPath:
    """Keys in the order of time, and a style. Immutable."""

    def __init__(self, keys: Sequence[Key], style: PathStyle | None = None) -> None:
        if not keys:
            raise UserError("A camera path needs at least one key; add the present view first.")
        self.keys = tuple(sorted(keys, key=lambda key: key.time_s))
        self.style = style or PathStyle()
        self._times = np.array([key.time_s for key in self.keys], dtype=np.float64)
        self._poses = np.array([key.world_from_cam for key in self.keys], dtype=np.float64)
        self._fovs = np.array([key.fov_y_rad for key in self.keys], dtype=np.float64)
        _check(self.keys, self.style, self._times, self._poses, self._fovs)

    @property
    def closed(self) -> bool:
        """Whether the path leads back to its first key: a loop of one key does not lead anywhere."""
        return self.style.loop and len(self.keys) > 1

    @property
    def start_s(self) -> float:
        """The time of the first key."""
        return float(self._times[0])

    @property
    def end_s(self) -> float:
        """The time of the last key; of a loop, the time of being back at the first."""
        return float(self._times[-1]) + (self.style.loop_s if self.closed else 0.0)

    @property
    def duration_s(self) -> float:
        """Seconds from the first key to the last, and of a loop back to the first."""
        return self.end_s - self.start_s

    def with_keys(self, keys: Sequence[Key]) -> CameraPath:
        """Return a path of other keys in this path's style."""
        return CameraPath(keys, self.style)

    def with_style(self, **changes: object) -> CameraPath:
        """Return the path with another style."""
        return CameraPath(self.keys, replace(self.style, **changes))

    @property
    def key_times_s(self) -> np.ndarray:
        """When the keys are passed [n]: their own times, but at constant speed."""
        return self._motion.key_times_s if self._motion is not None else self._times

    def at(self, time_s: float) -> Key:
        """Return the camera at a time; before the first and after the last key it stands still; a loop goes on."""
        times = self._inside(np.array([time_s], dtype=np.float64))
        passed = np.flatnonzero(self.key_times_s == times[0])
        if len(passed):
            return self.keys[passed[0]]
        poses, fovs = self._motion.at(times)
        return Key(float(times[0]), poses[0], float(fovs[0]))

    def sample(self, times_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return `world_from_cam [n,4,4]` and vertical fields of view in radians [n] at many times [n]."""
        times = self._inside(np.asarray(times_s, dtype=np.float64))
        if self._motion is None:
            return np.repeat(self._poses, len(times), axis=0), np.repeat(self._fovs, len(times))
        poses, fovs = self._motion.at(times)
        key = np.minimum(np.searchsorted(self.key_times_s, times), len(self.keys) - 1)
        met = self.key_times_s[key] == times
        poses[met], fovs[met] = self._poses[key[met]], self._fovs[key[met]]
        return poses, fovs

    def cameras(self, fps: float, width: int, height: int) -> list[Camera]:
        """Return one engine camera per frame, the first at the first key; the last if it falls on a frame.

        Of a loop the picture of being back is left out: it would be the first one again.
        """
        frames = self.duration_s * fps
        n = int(np.ceil(frames - 1e-6)) if self.closed else int(np.floor(frames + 1e-6)) + 1
        poses, fovs = self.sample(self.start_s + np.arange(n) / fps)
        return [Camera.from_fov(width, height, float(f), pose) for f, pose in zip(fovs, poses)]

    @cached_property
    def _motion(self) -> Motion | None:
        """The way through the keys, made when it is first asked for; one key does not move."""
        if len(self.keys) == 1:
            return None
        times = np.append(self._times, self.end_s) if self.closed else self._times
        easings = np.array([key.easing for key in self.keys])
        style = self.style
        return Motion(times, self._poses, self._fovs, easings, style.tension, style.constant_speed)

    def _inside(self, times: np.ndarray) -> np.ndarray:
        start, seconds = self._times[0], self.duration_s
        return (
            start + np.mod(times - start, seconds)
            if self.closed
            else np.minimum(np.maximum(times, start), self._times[-1])
        )


def _check(
    keys: tuple[Key, ...], style: PathStyle, times: np.ndarray, poses: np.ndarray, fovs: np.ndarray
) -> None:
    """Refuse what no path can be made of."""
    same = np.flatnonzero(np.diff(times) < SAME_TIME_S)
    if len(same):
        raise UserError(f"Two keys of the path stand at {times[same[0]]:g} s; give every key its own time.")
    if not (np.isfinite(times).all() and np.isfinite(poses).all() and np.isfinite(fovs).all()):
        raise UserError("A key of the path has a time, pose or field of view that is no finite number.")
    if fovs.min() <= 0.0 or fovs.max() >= np.pi:
        i = int(np.argmax((fovs <= 0.0) | (fovs >= np.pi)))
        raise UserError(
            f"Key {i + 1} of the path must have a field of view between 0 and 180 degrees, "
            f"got {np.degrees(fovs[i]):g}."
        )
    for i, key in enumerate(keys):
        if key.easing not in EASINGS:
            raise UserError(
                f"Key {i + 1} of the path must have an easing of {', '.join(EASINGS)}, got {key.easing!r:.40}."
            )
    if not 0.0 <= style.tension <= 1.0:
        raise UserError(f"The tension of a path must lie between 0 and 1, got {style.tension:g}.")
    if style.loop and not 0.0 < style.loop_s < np.inf:
        raise UserError(
            f"A loop must take more than 0 s from the last key to the first, got {style.loop_s:g}."
        )
