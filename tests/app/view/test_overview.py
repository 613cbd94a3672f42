# SPDX-License-Identifier: MIT
"""From the overview one sees the box and the cameras, upright, whatever the capture looks like."""

from __future__ import annotations

import numpy as np
import pytest

from app.view.overview import overview
from engine.cameras import Camera, look_at

UP = np.array([0.0, 0.0, 1.0])
BOX = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])


def cameras_at(places: np.ndarray, target: np.ndarray) -> list[Camera]:
    return [Camera.from_fov(40, 30, 0.8, look_at(place, target, UP)) for place in places]


def ring() -> list[Camera]:
    angles = np.arange(24) * (2.0 * np.pi / 24)
    return cameras_at(
        np.stack([1.4 * np.cos(angles), 1.4 * np.sin(angles), np.full(24, 0.5)], axis=1), np.zeros(3)
    )


def row() -> list[Camera]:
    return cameras_at(
        np.stack([np.linspace(-0.3, 0.3, 9), np.full(9, -2.5), np.zeros(9)], axis=1), np.zeros(3)
    )


def from_above() -> list[Camera]:
    pose = look_at(np.array([0.0, 0.0, 2.0]), np.zeros(3), np.array([0.0, 1.0, 0.0]))
    return [Camera.from_fov(40, 30, 0.8, pose)]


@pytest.mark.parametrize("cameras", [ring(), row(), from_above(), []], ids=["ring", "row", "above", "none"])
@pytest.mark.parametrize("size", [(800, 600), (1600, 500)])
def test_box_and_cameras_are_in_the_picture(cameras: list[Camera], size: tuple[int, int]) -> None:
    view = overview(cameras, UP).engine_camera(*size)
    pixels, depth = view.project(BOX)
    assert (depth > 0).all() and (pixels >= 0).all() and (pixels <= size).all()
    pixels, depth = view.project(np.array([camera.position for camera in cameras]).reshape(-1, 3))
    inside = (depth > 0) & (pixels >= 0).all(axis=1) & (pixels <= size).all(axis=1)
    assert inside.sum() >= 0.9 * len(cameras)


@pytest.mark.parametrize("cameras", [ring(), row(), from_above(), []], ids=["ring", "row", "above", "none"])
def test_they_fill_the_picture_and_stand_upright(cameras: list[Camera]) -> None:
    view = overview(cameras, UP).engine_camera(600, 600)
    pixels, _ = view.project(np.concatenate([BOX, np.array([c.position for c in cameras]).reshape(-1, 3)]))
    assert np.ptp(pixels, axis=0).max() > 0.55 * 600
    assert -view.world_from_cam[:3, 1] @ UP > 0.5


def test_one_stray_camera_does_not_make_the_rest_tiny() -> None:
    far = cameras_at(np.array([[90.0, 0.0, 0.0]]), np.zeros(3))
    assert np.linalg.norm(overview([*ring(), *far], UP).position) < 10.0
