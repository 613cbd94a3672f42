# SPDX-License-Identifier: MIT
"""Orbit and spiral go round the scene, close, and take after the capture; a zoom-out leaves it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from app.view.presets import (
    FULL_TURN,
    PRESETS,
    PathPreset,
    centre_of_interest,
    orbit,
    spiral,
    suggest,
    zoom_out,
)
from engine.cameras import Camera, look_at
from engine.errors import UserError

UP = np.array([0.0, 0.0, 1.0])
CENTRE = np.array([0.1, -0.2, 0.05])
PRESET = PathPreset(
    CENTRE, UP, radius=1.2, height=0.5, fov_y_rad=0.8, start=np.array([1.0, 0.0, 0.3]), frames=60
)


def _capture(angles: np.ndarray, elevation: float = 0.5, distance: float = 1.4) -> list[Camera]:
    cameras = []
    for angle in angles:
        offset = [np.cos(elevation) * np.cos(angle), np.cos(elevation) * np.sin(angle), np.sin(elevation)]
        pose = look_at(CENTRE + distance * np.array(offset), CENTRE, UP)
        cameras.append(Camera(640, 480, 600.0, 600.0, 320.0, 240.0, pose))
    return cameras


@pytest.mark.parametrize("make", PRESETS.values())
def test_every_frame_looks_at_the_centre_upright(make) -> None:
    cameras = make(PRESET, 320, 200)
    assert len(cameras) == 60
    for camera in cameras:
        (pixel,), (depth,) = camera.project(CENTRE[None])
        assert np.allclose(pixel, [160, 100], atol=1e-9) and depth > 0
        assert -camera.world_from_cam[:3, 1] @ UP > 0
        assert camera.fov_y_rad == pytest.approx(0.8)


@pytest.mark.parametrize("make", [orbit, spiral])
def test_the_path_closes_with_even_steps(make) -> None:
    positions = np.array([camera.position for camera in make(PRESET, 320, 200)])
    steps = np.linalg.norm(np.roll(positions, -1, axis=0) - positions, axis=1)
    assert steps.max() < 1.4 * steps.min()


def test_orbit_keeps_radius_and_height() -> None:
    offsets = np.array([camera.position for camera in orbit(PRESET, 320, 200)]) - CENTRE
    assert np.allclose(offsets[:, 2], 0.5)
    assert np.allclose(np.linalg.norm(offsets[:, :2], axis=1), 1.2)
    assert np.allclose(offsets[0], [1.2, 0, 0.5])


def test_spiral_sinks_and_rises_at_one_distance() -> None:
    offsets = np.array([camera.position for camera in spiral(replace(PRESET, turns=2.0), 320, 200)]) - CENTRE
    assert np.allclose(np.linalg.norm(offsets, axis=1), np.hypot(1.2, 0.5))
    heights = offsets[:, 2]
    assert heights[0] == pytest.approx(0.5) and 0 < heights.min() < 0.3
    assert np.all(np.diff(heights[:31]) < 0) and np.all(np.diff(heights[30:]) > 0)
    angles = np.unwrap(np.arctan2(offsets[:, 1], offsets[:, 0]))
    assert angles[-1] - angles[0] == pytest.approx(2 * FULL_TURN * 59 / 60)


def test_a_zoom_out_shrinks_the_scene_by_the_same_factor_from_frame_to_frame_and_rises() -> None:
    offsets = np.array([camera.position for camera in zoom_out(PRESET, 320, 200)]) - CENTRE
    distances = np.linalg.norm(offsets, axis=1)
    factors = distances[1:] / distances[:-1]
    assert np.allclose(factors, factors[0]) and distances[-1] / distances[0] == pytest.approx(16.0)
    assert distances[0] == pytest.approx(0.5 * np.hypot(1.2, 0.5))
    elevations = np.arcsin(offsets[:, 2] / distances)
    assert elevations[0] == pytest.approx(np.arctan2(0.5, 1.2)) and np.all(np.diff(elevations) > 0)
    assert elevations[-1] == pytest.approx(np.radians(75.0)) and np.allclose(offsets[:, 1], 0.0)


def test_one_frame_of_a_preset_is_a_frame() -> None:
    assert [len(make(replace(PRESET, frames=1), 320, 200)) for make in PRESETS.values()] == [1, 1, 1]


def test_a_suggestion_takes_after_the_capture() -> None:
    cameras = _capture(np.linspace(0, FULL_TURN, 24, endpoint=False))
    preset = suggest(cameras, UP)
    assert np.allclose(preset.centre, CENTRE, atol=1e-9)
    assert np.hypot(preset.radius, preset.height) == pytest.approx(1.4)
    assert np.arctan2(preset.height, preset.radius) == pytest.approx(0.5)
    assert preset.fov_y_rad == pytest.approx(2 * np.arctan(240 / 600))
    assert preset.arc_rad == FULL_TURN
    assert np.allclose(orbit(preset, 320, 200)[0].position, cameras[0].position)


def test_a_capture_from_one_side_is_not_left() -> None:
    angles = np.linspace(3.6, 5.2, 15)
    preset = suggest(_capture(angles), UP)
    assert preset.arc_rad == pytest.approx(1.6)
    for camera in spiral(preset, 320, 200):
        offset = camera.position - CENTRE
        assert 3.6 - 1e-6 <= np.arctan2(offset[1], offset[0]) % FULL_TURN <= 5.2 + 1e-6


def test_parallel_and_outward_cameras_fall_back_to_the_scene_centre() -> None:
    down, north = np.array([0.0, 0.0, -1.0]), np.array([0.0, 1.0, 0.0])
    places = np.random.default_rng(0).normal(size=(6, 3))
    parallel = [Camera.from_fov(64, 64, 0.8, look_at(p, p + down, north)) for p in places]
    assert np.array_equal(centre_of_interest(parallel), np.zeros(3))
    outward = [
        camera.moved(look_at(camera.position, 2 * camera.position - CENTRE, UP))
        for camera in _capture(np.arange(6.0))
    ]
    assert np.array_equal(centre_of_interest(outward), np.zeros(3))


def test_cameras_straight_above_still_give_a_path() -> None:
    pose = look_at(np.array([0.0, 0.0, 1.5]), np.zeros(3), UP)
    preset = suggest([Camera.from_fov(64, 64, 0.8, pose)], UP)
    assert all(np.isfinite(camera.world_from_cam).all() for camera in orbit(preset, 64, 64))


def test_nonsense_is_refused_in_a_sentence() -> None:
    with pytest.raises(UserError, match="at least 1 frame"):
        orbit(replace(PRESET, frames=0), 320, 200)
    with pytest.raises(UserError, match="radius of 0"):
        spiral(replace(PRESET, radius=0.0), 320, 200)
    with pytest.raises(UserError, match="open a scene"):
        suggest([], UP)
