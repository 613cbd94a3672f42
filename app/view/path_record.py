# SPDX-License-Identifier: MIT
"""From a recorded flight, some thirty views a second, to the few keys whose path follows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from app.view.path import SAME_TIME_S, CameraPath, Key
from engine.errors import UserError

TURN_TOLERANCE_RAD = np.radians(0.5)
_REACH = 2  # keys to either side of one whose removal may change the path


@dataclass(frozen=True, eq=False)
class _Flight:
    """What was recorded, and how far a path may be from it."""

    samples: list[Key]
    times: np.ndarray  # [n]
    poses: np.ndarray  # [n,4,4]
    fovs: np.ndarray  # [n]
    tolerance: float
    turn_tolerance_rad: float

    def misses(self, chosen: list[int], first: int, last: int) -> np.ndarray:
        """Return how far the path through some samples is from samples first..last; 1 is what is allowed."""
        path = CameraPath([self.samples[i] for i in chosen])
        part = slice(first, last + 1)
        poses, fovs = path.sample(self.times[part])
        there = self.poses[part]
        away = np.linalg.norm(poses[:, :3, 3] - there[:, :3, 3], axis=1) / self.tolerance
        chord = np.linalg.norm(poses[:, :3, :3] - there[:, :3, :3], axis=(1, 2)) / np.sqrt(8.0)
        turned = 2.0 * np.arcsin(np.minimum(chord, 1.0)) / self.turn_tolerance_rad
        return np.maximum(np.maximum(away, turned), np.abs(fovs - self.fovs[part]) / self.turn_tolerance_rad)


def from_recording(
    samples: Sequence[Key], tolerance: float, turn_tolerance_rad: float = TURN_TOLERANCE_RAD
) -> CameraPath:
    """Return a path that stays within `tolerance` (in the samples' unit) and a small turn of all samples.

    Keys are added where the path is farthest off, until it is nowhere, then each one is tried without. Samples
    that are not later than the one before are left out.
    """
    if not samples:
        raise UserError("Nothing was recorded; fly a little before the recording ends.")
    times = np.array([sample.time_s for sample in samples])
    later = np.append(True, times[1:] > np.maximum.accumulate(times)[:-1] + SAME_TIME_S)
    kept = [sample for sample, good in zip(samples, later) if good]
    flight = _Flight(
        kept,
        times[later],
        np.array([sample.world_from_cam for sample in kept], dtype=np.float64),
        np.array([sample.fov_y_rad for sample in kept]),
        max(tolerance, 1e-9),
        turn_tolerance_rad,
    )
    chosen = _grown(flight, sorted({0, len(kept) - 1}))
    chosen = _grown(flight, _thinned(flight, chosen))
    return CameraPath([kept[i] for i in chosen])


def _grown(flight: _Flight, chosen: list[int]) -> list[int]:
    """Return more samples, so that the path through them misses none."""
    while True:
        misses = flight.misses(chosen, 0, len(flight.samples) - 1)
        misses[chosen] = 0.0  # met, but for rounding
        worst = [low + int(np.argmax(misses[low:high])) for low, high in pairwise(chosen)]
        new = [i for i in worst if misses[i] > 1.0]
        if not new:
            return chosen
        chosen = sorted([*chosen, *new])


def _thinned(flight: _Flight, chosen: list[int]) -> list[int]:
    """Return fewer samples: each inner one is left out where the path near by misses nothing without it."""
    at = 1
    while at < len(chosen) - 1:
        around = chosen[max(0, at - 2 * _REACH) : at + 2 * _REACH + 1]
        first, last = chosen[max(0, at - _REACH)], chosen[min(len(chosen) - 1, at + _REACH)]
        without = [i for i in around if i != chosen[at]]
        if flight.misses(without, first, last).max() <= 1.0:
            del chosen[at]
        else:
            at += 1
    return chosen
