# SPDX-License-Identifier: MIT
"""The box follows the mouse: what was taken hold of stays under it."""

from __future__ import annotations

import numpy as np
import pytest

from app.gui.gizmo import HANDLES, MAX_EDGE, Box, Drag, pick_handle
from engine.cameras import Camera, look_at

BOX = Box(np.array([0.1, -0.2, 0.05]), 0.8)


@pytest.fixture
def camera() -> Camera:
    pose = look_at(np.array([1.7, -1.9, 1.1]), np.array([0.0, 0.1, 0.0]), np.array([0.0, 0.0, 1.0]))
    return Camera.from_fov(800, 600, 0.9, pose)


def pixel(camera: Camera, box: Box, handle: str) -> tuple[float, float]:
    return tuple(camera.project(box.places())[0][HANDLES.index(handle)])


@pytest.mark.parametrize("handle", HANDLES)
def test_every_handle_is_found_where_it_is_drawn(camera, handle):
    assert pick_handle(BOX, camera, *pixel(camera, BOX, handle)) == handle


def test_nothing_is_found_beside_the_box_or_behind_the_camera(camera):
    assert pick_handle(BOX, camera, 5.0, 5.0) is None
    behind = Box(camera.position - 2.0 * camera.forward, 0.5)
    assert pick_handle(behind, camera, *pixel(camera, behind, "middle")) is None


@pytest.mark.parametrize("handle", HANDLES[:4])
def test_the_middle_and_the_arrows_stay_under_the_mouse(camera, handle):
    x, y = pixel(camera, BOX, handle)
    target = Box(
        BOX.centre + 0.3 * (np.eye(3)[HANDLES.index(handle) - 1] if handle != "middle" else 0), BOX.edge
    )
    to = (x + 40.0, y - 25.0) if handle == "middle" else pixel(camera, target, handle)
    moved = Drag(handle, BOX, x, y).moved(camera, *to)
    assert np.allclose(pixel(camera, moved, handle), to, atol=1e-6) and moved.edge == BOX.edge
    if handle != "middle":
        assert np.allclose(moved.centre, target.centre, atol=1e-9)


def test_an_arrow_never_leaves_its_axis(camera):
    x, y = pixel(camera, BOX, "y")
    moved = Drag("y", BOX, x, y).moved(camera, x + 57.0, y + 91.0)
    assert (
        moved.centre[0] == BOX.centre[0]
        and moved.centre[2] == BOX.centre[2]
        and moved.centre[1] != BOX.centre[1]
    )


def test_an_arrow_that_points_at_the_eye_stays_put():
    pose = look_at(np.array([0.0, 0.0, 3.0]), np.zeros(3), np.array([0.0, 1.0, 0.0]))
    camera = Camera.from_fov(800, 600, 0.9, pose)
    box = Box(np.zeros(3), 1.0)
    assert Drag("z", box, 400.0, 300.0).moved(camera, 401.0, 300.0) is box


def test_a_corner_scales_about_the_middle(camera):
    x, y = pixel(camera, BOX, "corner 7")
    cx, cy = pixel(camera, BOX, "middle")
    larger = Drag("corner 7", BOX, x, y).moved(camera, cx + 1.5 * (x - cx), cy + 1.5 * (y - cy))
    assert larger.edge == pytest.approx(1.2) and (larger.centre == BOX.centre).all()
    assert Drag("corner 7", BOX, x, y).moved(camera, cx, cy).edge > 0.0
    assert Drag("corner 7", BOX, x, y).moved(camera, 1e9, cy).edge == MAX_EDGE
