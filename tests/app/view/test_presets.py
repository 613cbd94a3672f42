# SPDX-License-Identifier: MIT
"""Ready-made paths: what each one shows, that they take after the capture, and that their keys follow their frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from app.view.preset_moves import FULL_TURN, PathPreset
from app.view.presets import (
    LABELS,
    MOVES,
    PRESETS,
    centre_of_interest,
    preset_path,
    suggest,
)
from engine.cameras import Camera, look_at
from engine.errors import UserError

UP = np.array([0.0, 0.0, 1.0])
CENTRE = np.array([0.1, -0.2, 0.05])
PRESET = PathPreset(
    CENTRE, UP, radius=1.2, height=0.5, fov_y_rad=0.8, start=np.array([1.0, 0.0, 0.3]), frames=60
)
orbit, spiral, zoom_out = (PRESETS[name] for name in ("orbit", "spiral", "zoom-out"))
ROUND = [name for name in PRESETS if name != "fly-along"]  # those that look at the centre


def _capture(angles: np.ndarray, elevation: float = 0.5, distance: float = 1.4) -> list[Camera]:
    cameras = []
    for angle in angles:
        offset = [np.cos(elevation) * np.cos(angle), np.cos(elevation) * np.sin(angle), np.sin(elevation)]
        pose = look_at(CENTRE + distance * np.array(offset), CENTRE, UP)
        cameras.append(Camera(640, 480, 600.0, 600.0, 320.0, 240.0, pose))
    return cameras


@pytest.mark.parametrize("name", ROUND)
def test_every_frame_looks_at_the_centre_upright(name: str) -> None:
    cameras = PRESETS[name](PRESET, 320, 200)
    assert len(cameras) == 60
    for camera in cameras:
        (pixel,), (depth,) = camera.project(CENTRE[None])
        assert np.allclose(pixel, [160, 100], atol=1e-9) and depth > 0
        assert -camera.world_from_cam[:3, 1] @ UP > 0
        assert name == "dolly-zoom" or camera.fov_y_rad == pytest.approx(0.8)


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
    assert {len(PRESETS[name](replace(PRESET, frames=1), 320, 200)) for name in ROUND} == {1}


def test_a_dolly_zoom_keeps_the_size_of_what_stands_at_the_centre() -> None:
    cameras = PRESETS["dolly-zoom"](PRESET, 320, 200)
    distances = np.array([np.linalg.norm(camera.position - CENTRE) for camera in cameras])
    assert np.all(np.diff(distances) > 0) and distances[-1] > 4 * distances[0]
    beside = CENTRE + 0.2 * cameras[0].world_from_cam[:3, 0]  # in the plane of the centre, in every frame
    pixels = [camera.project(beside[None])[0][0] for camera in cameras]
    assert np.allclose(pixels, pixels[0], atol=1e-6) and pixels[0][0] > 170


def test_a_figure_eight_crosses_itself_once_and_stays_on_its_side() -> None:
    offsets = np.array([camera.position for camera in PRESETS["figure-eight"](PRESET, 320, 200)]) - CENTRE
    assert np.allclose(np.linalg.norm(offsets, axis=1), np.hypot(1.2, 0.5))
    angles = np.arctan2(offsets[:, 1], offsets[:, 0])
    assert np.degrees(np.abs(angles).max()) == pytest.approx(60, abs=0.5)
    assert np.allclose(offsets[0], offsets[30], atol=1e-9), "the middle of the eight"
    assert offsets[8, 2] > offsets[0, 2] > offsets[22, 2] and angles[8] > 0 < angles[22]
    narrow = PRESETS["figure-eight"](replace(PRESET, arc_rad=0.6), 320, 200)
    angles = [np.arctan2(*(camera.position - CENTRE)[1::-1]) for camera in narrow]
    assert np.abs(angles).max() < 0.301


def test_every_preset_has_a_label() -> None:
    assert set(LABELS) == set(PRESETS) and all(text.endswith(".") for text in LABELS.values())


@pytest.mark.parametrize("name", ROUND)
@pytest.mark.parametrize("change", [{}, {"turns": 2.0}, {"turns": 1.25}, {"arc_rad": 1.0}, {"height": -0.3}])
def test_a_few_keys_follow_the_frames_of_a_preset(name: str, change: dict[str, float]) -> None:
    preset = replace(PRESET, **change)
    path = preset_path(name, preset, seconds=3.0)
    assert path.duration_s == pytest.approx(3.0) and len(path.keys) <= 32 * preset.turns
    whole = preset.turns == round(preset.turns)
    assert path.closed == (name in ("orbit", "spiral", "figure-eight") and whole)
    progress = np.random.default_rng(3).uniform(size=100)
    there, fovs = MOVES[name](preset, progress)
    poses, path_fovs = path.sample(3.0 * progress)
    away = np.linalg.norm(there[:, :3, 3] - CENTRE, axis=1)
    # What preset_path asks for at 120 moments is 0.005 and half a degree; between them it is hardly more.
    assert (np.linalg.norm(poses[:, :3, 3] - there[:, :3, 3], axis=1) / away).max() < 0.006
    assert np.abs(poses[:, :3, :3] - there[:, :3, :3]).max() < np.radians(0.6)
    assert np.abs(path_fovs - fovs).max() < np.radians(0.6)


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
