# SPDX-License-Identifier: MIT
"""A recorded flight becomes few keys whose path follows it."""

from __future__ import annotations

import numpy as np
import pytest

from app.view.path import CameraPath, Key
from app.view.path_record import TURN_TOLERANCE_RAD, from_recording
from engine.cameras import look_at
from engine.errors import UserError

Z = np.array([0.0, 0.0, 1.0])


def _flight(seconds: float = 6.0, noise: float = 0.0) -> list[Key]:
    """Thirty views a second on a curve, with a rest in the middle."""
    rng = np.random.default_rng(2)
    samples = []
    for time_s in np.arange(0.0, seconds, 1 / 30):
        way = min(time_s, 2.5) + max(0.0, time_s - 3.5)
        place = np.array([np.cos(way), np.sin(1.3 * way), 0.4 + 0.1 * way]) + rng.normal(scale=noise, size=3)
        samples.append(Key(float(time_s), look_at(place, np.zeros(3), Z), 0.8 + 0.05 * np.sin(way)))
    return samples


def _furthest(path: CameraPath, samples: list[Key]) -> tuple[float, float]:
    poses, _ = path.sample(np.array([sample.time_s for sample in samples]))
    there = np.array([sample.world_from_cam for sample in samples])
    away = np.linalg.norm(poses[:, :3, 3] - there[:, :3, 3], axis=1).max()
    turned = np.linalg.norm(poses[:, :3, :3] - there[:, :3, :3], axis=(1, 2)).max() / np.sqrt(2.0)
    return float(away), float(turned)


def test_few_keys_follow_the_flight_within_the_tolerance() -> None:
    samples = _flight()
    counts = []
    for tolerance in (0.05, 0.01, 0.002):
        path = from_recording(samples, tolerance)
        away, turned = _furthest(path, samples)
        assert away <= tolerance and turned <= TURN_TOLERANCE_RAD * 1.001
        counts.append(len(path.keys))
    assert counts[0] <= counts[1] <= counts[2] and counts[0] < 32 and counts[2] < len(samples) / 4


def test_the_flight_begins_and_ends_where_it_did() -> None:
    samples = _flight()
    path = from_recording(samples, 0.05)
    assert path.keys[0] is samples[0] and path.keys[-1] is samples[-1]


def test_no_key_is_left_that_could_go() -> None:
    samples = _flight()
    path = from_recording(samples, 0.02)
    for i in range(1, len(path.keys) - 1):
        without = CameraPath([*path.keys[:i], *path.keys[i + 1 :]])
        away, turned = _furthest(without, samples)
        assert away > 0.02 or turned > TURN_TOLERANCE_RAD * 0.999


def test_a_shaky_hand_is_smoothed_within_the_tolerance() -> None:
    path = from_recording(_flight(noise=0.003), 0.02, turn_tolerance_rad=0.05)
    assert len(path.keys) < 25


def test_a_view_held_still_is_two_keys_and_one_sample_is_one() -> None:
    still = [Key(t / 30, look_at(np.ones(3), np.zeros(3), Z), 0.8) for t in range(60)]
    assert len(from_recording(still, 0.01).keys) == 2
    assert len(from_recording(still[:1], 0.01).keys) == 1


def test_samples_that_come_late_twice_are_left_out() -> None:
    samples = _flight()
    path = from_recording([*samples[:50], samples[20], samples[49], *samples[50:]], 0.05)
    assert np.all(np.diff([key.time_s for key in path.keys]) > 0) and path.duration_s == samples[-1].time_s


def test_nothing_recorded_is_said() -> None:
    with pytest.raises(UserError, match="Nothing was recorded"):
        from_recording([], 0.01)
