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

import numpy as np

from app.view.path_spline import (
    LEAST_GAP,
    Sides,
    centripetal_gaps,
    cubic,
    hermite,
    slopes,
    tangents,
    turning_cubics,
)
from app.view.rotations import matrices_from_vectors, rotation_vectors
from engine.cameras import Camera
from engine.errors import UserError

# What becomes of the speed at a key, with a word for people.
EASINGS = {
    "auto": "Smooth: as fast as the slower neighbour asks for, never beyond a key and back.",
    "linear": "Even: keeps the mean speed of both neighbours through the key.",
    "ease": "Stop: slows to a stop at the key and starts again.",
    "hold": "Hold: stops and stays until the next key, then cuts to that one.",
}
_STEPS = 24  # of the table from time to even speed, per segment


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
        times = np.array([key.time_s for key in self.keys], dtype=np.float64)
        self._poses = np.array([key.world_from_cam for key in self.keys], dtype=np.float64)
        self._fovs = np.array([key.fov_y_rad for key in self.keys], dtype=np.float64)
        _check(self.keys, self.style, times, self._poses, self._fovs)
        self._start_s, self._table = float(times[0]), None
        self._end_s = float(times[-1]) + (self.style.loop_s if self.closed else 0.0)
        easings = np.array([key.easing for key in self.keys])
        if self.closed:
            times = np.append(times, self._end_s)
        self.key_times_s = times[: len(self.keys)]
        if len(times) > 1:
            self._build(times, easings)

    @property
    def closed(self) -> bool:
        """Whether the path leads back to its first key: a loop of one key does not lead anywhere."""
        return self.style.loop and len(self.keys) > 1

    @property
    def start_s(self) -> float:
        """The time of the first key."""
        return self._start_s

    @property
    def end_s(self) -> float:
        """The time of the last key; of a loop, the time of being back at the first."""
        return self._end_s

    @property
    def duration_s(self) -> float:
        """Seconds from the first key to the last, and of a loop back to the first."""
        return self._end_s - self._start_s

    def with_key(self, key: Key) -> CameraPath:
        """Return the path with a key more, in place of one at the same time."""
        return CameraPath([other for other in self.keys if other.time_s != key.time_s] + [key], self.style)

    def with_keys(self, keys: Sequence[Key]) -> CameraPath:
        """Return a path of other keys in this path's style."""
        return CameraPath(keys, self.style)

    def with_style(self, **changes: object) -> CameraPath:
        """Return the path with another style."""
        return CameraPath(self.keys, replace(self.style, **changes))

    def at(self, time_s: float) -> Key:
        """Return the camera at a time; before the first and after the last key it stands still; a loop goes on."""
        times = self._inside(np.array([time_s], dtype=np.float64))
        passed = np.flatnonzero(self.key_times_s == times[0])
        if len(passed):
            return self.keys[passed[0]]
        poses, fovs = self._sample(times)
        return Key(float(times[0]), poses[0], float(fovs[0]))

    def sample(self, times_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return `world_from_cam [n,4,4]` and vertical fields of view in radians [n] at many times [n]."""
        times = self._inside(np.asarray(times_s, dtype=np.float64))
        poses, fovs = self._sample(times)
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

    def _inside(self, times: np.ndarray) -> np.ndarray:
        if self.closed:
            return self._start_s + np.mod(times - self._start_s, self.duration_s)
        return np.clip(times, self._start_s, self._end_s)

    def _build(self, times: np.ndarray, easings: np.ndarray) -> None:
        """Work out the cubics of all segments. `times` has one entry more than segments."""
        n, m = len(self.keys), len(times) - 1
        ends, cut = np.arange(1, m + 1) % n, easings[:m] == "hold"
        rotations, positions = self._poses[:, :3, :3], self._poses[:, :3, 3]
        chords = positions[ends] - positions[:m]
        turns = rotation_vectors(rotations[:m].transpose(0, 2, 1) @ rotations[ends])
        fov_steps = self._fovs[ends] - self._fovs[:m]
        lengths, angles = np.linalg.norm(chords, axis=1), np.linalg.norm(turns, axis=1)
        sides = Sides.of(n, cut)
        gaps, turn_gaps = centripetal_gaps(lengths), centripetal_gaps(angles)
        rates = tangents(chords, gaps, sides, self.style.tension)
        steps = gaps[:, None]
        moving = hermite(positions[:m], positions[ends], rates[:m] * steps, rates[ends] * steps)
        turning = turning_cubics(
            turns, turn_gaps, tangents(turns, turn_gaps, sides, self.style.tension), ends
        )
        self._motion = np.concatenate([moving, turning], axis=2)
        self._middles = rotations[:m] @ matrices_from_vectors(0.5 * turns)
        self._cut = cut
        self._knots = times
        if self.style.constant_speed:
            spread = angles.sum() + np.abs(fov_steps).sum()
            self._metre = 0.5 * lengths.sum() / spread if spread > 0.0 and lengths.any() else 1.0
            measure = np.maximum(lengths, self._metre * np.maximum(angles, np.abs(fov_steps)))
            h = np.maximum(measure, LEAST_GAP * measure.max()) if measure.any() else np.diff(times)
            self._knots = np.concatenate([[0.0], np.cumsum(h)])
            easings = np.where(easings == "hold", "hold", "auto")
        self._timing = self._timed(sides, easings, np.stack([gaps, turn_gaps, fov_steps], axis=1), ends)
        if self.style.constant_speed:
            self._even_out(times, cut)

    def _timed(self, sides: Sides, easings: np.ndarray, rises: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Return cubics [m,4,3]: of the way along position and rotation (0..1), and of the field of view."""
        h = np.diff(self._knots)
        m, cut = len(h), self._cut
        rates = slopes(rises / h[:, None], h, sides, easings == "linear")
        rates[(easings == "ease") | (easings == "hold")] = 0.0
        start = np.zeros((m, 3))
        start[:, 2] = self._fovs[:m]
        size = np.ones((m, 3))
        size[:, :2] = rises[:, :2]
        scale = h[:, None] / size
        end = np.where([True, True, False], 1.0, self._fovs[ends][:, None])
        timing = hermite(start, end, rates[:m] * scale, rates[ends] * scale)
        timing[cut, 1:] = 0.0
        return timing

    def _even_out(self, times: np.ndarray, cut: np.ndarray) -> None:
        """Make the table that leads from time to the knots at which the camera has one speed throughout."""
        m = len(cut)
        share = np.arange(_STEPS) / _STEPS
        knots = np.append(
            (self._knots[:-1, None] + np.diff(self._knots)[:, None] * share).ravel(), self._knots[-1]
        )
        poses, fovs = self._pose(knots)
        turn = np.linalg.norm(np.diff(poses[:, :3, :3], axis=0), axis=(1, 2)) / np.sqrt(2.0)
        turn = self._metre * np.maximum(turn, np.abs(np.diff(fovs)))
        way = np.maximum(np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1), turn)
        held = np.repeat(cut, _STEPS)
        way[held] = 0.0
        moving_s = times[-1] - times[0] - np.diff(times)[cut].sum()
        total = way.sum()
        if total <= 0.0:  # nothing moves anywhere: the keys keep their times
            self._knots = times
            return
        h = np.maximum(way * (moving_s / total), 1e-9 * moving_s)
        h[held] = np.repeat(np.diff(times)[cut] / _STEPS, _STEPS)
        at = times[0] + np.concatenate([[0.0], np.cumsum(h)])
        at[-1] = times[-1]  # to the last bit, as people ask for this moment
        rises = np.diff(knots)[:, None]
        pieces = Sides.of(len(at), np.zeros(len(h), dtype=bool))
        rates = slopes(rises / h[:, None], h, pieces)
        steps = h[:, None]
        cubics = hermite(knots[:-1, None], knots[1:, None], rates[:-1] * steps, rates[1:] * steps)
        self._table = (at, cubics)
        self.key_times_s = at[: _STEPS * m + 1 : _STEPS][: len(self.keys)]

    def _sample(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if len(self.keys) == 1:
            return np.repeat(self._poses, len(times), axis=0), np.repeat(self._fovs, len(times))
        if self._table is None:
            return self._pose(times)
        at, cubics = self._table
        i = np.clip(np.searchsorted(at, times, side="right") - 1, 0, len(cubics) - 1)
        s = (times - at[i]) / (at[i + 1] - at[i])
        return self._pose(cubic(cubics[i], s[:, None])[:, 0])

    def _pose(self, knots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return poses [n,4,4] and fields of view [n] where the motion's own clock shows `knots [n]`."""
        clock = self._knots
        i = np.clip(np.searchsorted(clock, knots, side="right") - 1, 0, len(clock) - 2)
        s = (knots - clock[i]) / (clock[i + 1] - clock[i])
        timing = cubic(self._timing[i], s[:, None])
        motion = cubic(self._motion[i], np.repeat(timing[:, :2], 3, axis=1))
        poses = np.zeros((len(knots), 4, 4))
        poses[:, :3, :3] = self._middles[i] @ matrices_from_vectors(motion[:, 3:])
        poses[:, :3, 3] = motion[:, :3]
        poses[:, 3, 3] = 1.0
        return poses, timing[:, 2]


def _check(
    keys: tuple[Key, ...], style: PathStyle, times: np.ndarray, poses: np.ndarray, fovs: np.ndarray
) -> None:
    """Refuse what no path can be made of."""
    same = np.flatnonzero(np.diff(times) <= 0.0)
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
