# SPDX-License-Identifier: MIT
"""A flight along the capture visits the photos' places on a short, smooth way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from app.view.capture_flight import MOST_KEYS, flight, in_order
from app.view.presets import PRESETS, suggest
from engine.cameras import Camera, look_at
from engine.errors import UserError

UP = np.array([0.0, 0.0, 1.0])


def _ring(n: int, wobble: float = 0.0) -> list[Camera]:
    """Photos on half a circle that look at its middle."""
    angles = np.linspace(0, np.pi, n)
    places = np.stack([1.5 * np.cos(angles), 1.5 * np.sin(angles), np.full(n, 0.6)], axis=1)
    places += np.random.default_rng(5).normal(scale=wobble, size=places.shape)
    return [Camera.from_fov(64, 48, 0.8, look_at(place, np.zeros(3), UP)) for place in places]


def _way(places: np.ndarray) -> float:
    return float(np.linalg.norm(np.diff(places, axis=0), axis=1).sum())


def test_the_captures_own_order_is_kept_where_it_is_a_way() -> None:
    places = np.array([camera.position for camera in _ring(40)])
    assert np.array_equal(in_order(places), np.arange(40))


def test_photos_in_any_order_are_visited_on_the_short_way() -> None:
    places = np.array([camera.position for camera in _ring(40)])
    mixed = places[np.random.default_rng(6).permutation(40)]
    order = in_order(mixed)
    assert sorted(order) == list(range(40))
    assert _way(mixed[order]) == pytest.approx(_way(places))


def test_no_piece_of_the_way_can_be_turned_round_to_make_it_shorter() -> None:
    for seed in range(4):
        places = np.random.default_rng(seed).uniform(size=(14, 3))
        way = places[in_order(places)]
        assert _way(way) < 0.7 * _way(places)
        for i in range(14):
            for j in range(i + 1, 14):
                turned = np.concatenate([way[:i], way[i : j + 1][::-1], way[j + 1 :]])
                assert _way(turned) >= _way(way) - 1e-9


def test_the_flight_stays_near_the_photos_upright_and_smooth() -> None:
    cameras = _ring(100, wobble=0.05)
    preset = suggest([cameras[i] for i in np.random.default_rng(6).permutation(100)], UP)
    path = flight(preset, 4.0)
    assert 8 <= len(path.keys) <= MOST_KEYS and path.duration_s == 4.0
    poses, fovs = path.sample(np.linspace(0, 4, 200))
    radius = np.linalg.norm(poses[:, :2, 3], axis=1)
    assert 1.4 < radius.min() and radius.max() < 1.6 and np.ptp(poses[:, 2, 3]) < 0.17
    towards = -poses[:, :3, 3] / np.linalg.norm(poses[:, :3, 3], axis=1, keepdims=True)
    assert np.all((poses[:, :3, 2] * towards).sum(axis=1) > np.cos(np.radians(8)))
    assert np.abs(poses[:, 2, 0]).max() < 0.02, "level"
    steps = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1)
    assert steps.max() < 1.35 * steps.min(), "at an even pace"
    assert _way(poses[:, :3, 3]) < 1.1 * np.pi * 1.5 and np.all(fovs == preset.fov_y_rad)


def test_its_frames_are_those_of_its_keys() -> None:
    preset = replace(suggest(_ring(12), UP), frames=5)
    frames = PRESETS["fly-along"](preset, 64, 48)
    poses, _ = flight(preset, 1.0).sample(np.linspace(0, 1, 5))
    assert np.allclose([frame.world_from_cam for frame in frames], poses)


def test_photos_that_look_apart_still_give_a_direction() -> None:
    places = [np.array([0.1 * i, 0, 0]) for i in range(20)]
    sides = [place + np.array([0, 1.0 if i % 2 else -1.0, 0]) for i, place in enumerate(places)]
    capture = np.array([look_at(place, side, UP) for place, side in zip(places, sides)])
    path = flight(replace(suggest(_ring(3), UP), capture=capture), 1.0)
    assert all(np.isfinite(key.world_from_cam).all() for key in path.keys)
    assert np.all([abs(key.world_from_cam[1, 2]) > 0.9 for key in path.keys])


def test_too_few_photos_are_refused_in_a_sentence() -> None:
    preset = suggest(_ring(2), UP)
    with pytest.raises(UserError, match="at least 2 photos, got 0"):
        flight(replace(preset, capture=preset.capture[:0]), 1.0)
    with pytest.raises(UserError, match="more than one place"):
        flight(replace(preset, capture=preset.capture[[0, 0, 0]]), 1.0)
