# SPDX-License-Identifier: MIT
"""Odd views are found, ordinary ones are left in peace."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.cameras import Camera, look_at
from engine.capture import filled_share, measure_photo, photo_flags, pose_flags

UP = np.array([0.0, 0.0, 1.0])
NAMES = [f"img_{i}.jpg" for i in range(30)]


def ring(n: int = 30, radius: float = 1.5) -> list[Camera]:
    angles = np.arange(n) * (2.0 * np.pi / n)
    places = np.stack([radius * np.cos(angles), radius * np.sin(angles), np.full(n, 0.4)], axis=1)
    return [Camera.from_fov(40, 30, 0.8, look_at(place, np.zeros(3), UP)) for place in places]


def dome(n: int = 60) -> list[Camera]:
    """Cameras all over the upper half of a sphere, one exactly above."""
    rng = np.random.default_rng(1)
    places = rng.normal(size=(n, 3))
    places[:, 2] = np.abs(places[:, 2])
    places[0] = 1e-3, 0.0, 1.0
    places *= 1.5 / np.linalg.norm(places, axis=1, keepdims=True)
    return [Camera.from_fov(40, 30, 0.8, look_at(place, np.zeros(3), UP)) for place in places]


def walk(n: int = 40) -> list[Camera]:
    """A long straight walk past a wall."""
    turn = look_at(np.zeros(3), np.array([0.0, 1.0, 0.0]), UP)
    cameras = []
    for i in range(n):
        pose = turn.copy()
        pose[:3, 3] = 0.1 * i - 2.0, -1.0, 0.0
        cameras.append(Camera.from_fov(40, 30, 0.8, pose))
    return cameras


@pytest.mark.parametrize("cameras", [ring(), dome(), walk()], ids=["ring", "dome", "walk"])
def test_ordinary_captures_have_no_flags(cameras: list[Camera]) -> None:
    assert pose_flags(cameras, UP) == []


@pytest.mark.parametrize("bad", [1, 3])
def test_cameras_far_from_the_rest_are_found_also_several(bad: int) -> None:
    cameras = ring()
    for i in range(bad):
        pose = cameras[i].world_from_cam.copy()
        pose[:3, 3] *= 12.0
        cameras[i] = cameras[i].moved(pose)
    assert [(flag.view, flag.kind) for flag in pose_flags(cameras, UP)] == [(i, "far") for i in range(bad)]


def test_an_upside_down_and_a_turned_away_camera_are_found() -> None:
    cameras = ring()
    flipped, away = cameras[4].world_from_cam.copy(), cameras[9].world_from_cam.copy()
    flipped[:3, :2] *= -1.0
    away[:3, [0, 2]] *= -1.0
    cameras[4], cameras[9] = cameras[4].moved(flipped), cameras[9].moved(away)
    assert {(flag.view, flag.kind) for flag in pose_flags(cameras, UP)} == {(4, "upside down"), (9, "away")}


def test_a_room_seen_from_its_middle_has_no_one_looking_away() -> None:
    outward = [
        camera.moved(look_at(camera.position, 3.0 * camera.position, UP)) for camera in ring(radius=1.0)
    ]
    assert pose_flags(outward, UP) == []


def test_three_cameras_cannot_outvote_one_another() -> None:
    assert pose_flags([camera.moved(camera.world_from_cam) for camera in ring(3)], -UP) == []


def photo(seed: int, exposure: float = 1.0, blur: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    image = 0.35 + 0.2 * rng.random((60, 80, 3), dtype=np.float32)
    for _ in range(blur - 1):
        image = (image + np.roll(image, 1, axis=1) + np.roll(image, -1, axis=1)) / 3.0
    return np.clip(image * exposure ** (1 / 2.2), 0.0, 1.0)


def test_brightness_is_in_stops_and_sharpness_does_not_see_exposure() -> None:
    bright, dark = measure_photo(photo(1)), measure_photo(photo(1, exposure=0.25))
    assert bright[0] - dark[0] == pytest.approx(2.0, abs=0.02)
    assert bright[1] == pytest.approx(
        dark[1], abs=0.15
    )  # the constants against division by zero weigh a little


def test_an_exposure_jump_and_a_blurred_photo_are_found_by_their_neighbours() -> None:
    found = np.array(
        [measure_photo(photo(i, 0.4 if i == 7 else 1.0, 6 if i == 20 else 1)) for i in range(30)]
    )
    flags = photo_flags(NAMES, *found.T)
    assert [(flag.view, flag.kind) for flag in flags] == [(7, "exposure"), (20, "blur")]
    assert "2.5 times darker" in flags[0].text and "softer" in flags[1].text


def test_the_filled_share_is_what_differs_from_a_plain_background() -> None:
    image = np.ones((40, 50, 3), np.float32)
    image[:10, :, 2] = 0.5
    assert filled_share(image, "white") == pytest.approx(0.25) and filled_share(image, "black") == 1.0
    assert filled_share(image, "learned") == 1.0
    assert filled_share(np.zeros((4, 4, 3)), "black") == 0.0


def test_slow_drift_is_no_jump_whatever_order_the_files_come_in() -> None:
    brightness = np.linspace(-3.0, 2.0, 30)
    shuffled = np.random.default_rng(0).permutation(30)
    names = [NAMES[i] for i in shuffled]
    assert photo_flags(names, brightness[shuffled], np.zeros(30)) == []


def test_photos_that_were_not_measured_are_not_judged() -> None:
    values = np.zeros(30)
    values[3:] = np.nan
    assert photo_flags(NAMES, values, values) == []
    values = np.zeros(30)
    values[5] = np.nan
    values[6] = 3.0
    assert [flag.view for flag in photo_flags(NAMES, values, np.zeros(30))] == [6]


def test_a_black_photo_and_one_column_are_numbers() -> None:
    assert np.isfinite(measure_photo(np.zeros((5, 5, 3)))).all()
    assert np.isfinite(measure_photo(np.ones((5, 1, 3)))).all()


def test_a_wide_lens_sees_the_cube_at_the_rim() -> None:
    cameras = [replace(camera, fx=12.0, fy=12.0) for camera in ring()]
    pose = look_at(cameras[0].position, cameras[0].position + np.array([0.1, 1.0, 0.0]), UP)
    cameras[0] = cameras[0].moved(pose)
    assert pose_flags(cameras, UP) == []
