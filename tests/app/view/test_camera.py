# SPDX-License-Identifier: MIT
"""The viewport's camera agrees with the engine's camera and with OpenGL."""

from __future__ import annotations

import numpy as np
import pytest

from app.view.camera import ViewCamera
from engine.cameras import Camera, look_at

UP = np.array([0.0, 0.0, 1.0])
ROUNDING = 1e-12  # float64, a few products of numbers near 1


def _capture(width: int = 640, height: int = 480) -> Camera:
    pose = look_at(np.array([1.3, -0.7, 0.4]), np.array([0.1, 0.2, -0.1]), np.array([0.1, 0.2, 1.0]))
    return Camera(width, height, 611.0, 607.0, 305.5, 251.25, pose)


def _plain() -> ViewCamera:
    return ViewCamera.looking_at(np.array([2.0, 1.0, 0.5]), np.zeros(3), UP, np.radians(50))


def test_pivot_is_the_target_and_up_is_up() -> None:
    camera = _plain()
    assert np.allclose(camera.pivot, 0.0, atol=ROUNDING)
    assert camera.rotation[:, 1] @ UP > 0.9
    assert abs(camera.rotation[:, 0] @ UP) < ROUNDING


def test_capture_view_is_bit_exact_at_its_own_size() -> None:
    capture = _capture()
    camera = ViewCamera.from_capture(capture, UP, 1.0).engine_camera(capture.width, capture.height)
    assert np.array_equal(camera.world_from_cam, capture.world_from_cam)
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (capture.fx, capture.fy, capture.cx, capture.cy)
    assert camera.fov_y_rad == capture.fov_y_rad


@pytest.mark.parametrize("size", [(1280, 700), (500, 900), (640, 480)])
def test_photo_rect_is_where_the_photo_lies(size: tuple[int, int]) -> None:
    capture = _capture()
    view = ViewCamera.from_capture(capture, UP, 1.0)
    x, y, w, h = view.photo_rect(*size)
    assert x >= 0 and y >= 0 and x + w <= size[0] + ROUNDING and y + h <= size[1] + ROUNDING
    assert w / h == pytest.approx(capture.width / capture.height)
    points = capture.position + np.random.default_rng(0).normal(size=(20, 3)) * 0.2 + capture.forward
    in_photo, _ = capture.project(points)
    in_view, _ = view.engine_camera(*size).project(points)
    assert np.allclose(in_view, [x, y] + in_photo * w / capture.width, atol=1e-9)


@pytest.mark.parametrize("view", [_plain(), ViewCamera.from_capture(_capture(), UP, 1.0)])
def test_opengl_matrices_put_points_where_the_engine_does(view: ViewCamera) -> None:
    width, height, near, far = 900, 500, 0.01, 50.0
    points = view.pivot + np.random.default_rng(1).normal(size=(50, 3)) * 0.3
    pixels, depth = view.engine_camera(width, height).project(points)
    clip_from_world = view.projection_matrix(width / height, near, far) @ view.view_matrix()
    clip = np.append(points, np.ones((50, 1)), axis=1) @ clip_from_world.T
    assert np.allclose(clip[:, 3], depth)
    ndc = clip[:, :3] / clip[:, 3:]
    assert np.allclose((ndc[:, 0] + 1) / 2 * width, pixels[:, 0])
    assert np.allclose((1 - ndc[:, 1]) / 2 * height, pixels[:, 1])


def test_depth_range_is_near_to_far() -> None:
    projection = _plain().projection_matrix(1.5, 0.1, 20.0)
    for z, ndc in ((-0.1, -1.0), (-20.0, 1.0)):
        clip = projection @ [0.0, 0.0, z, 1.0]
        assert clip[2] / clip[3] == pytest.approx(ndc)


def test_point_at_undoes_projection() -> None:
    view = ViewCamera.from_capture(_capture(), UP, 1.0)
    point = view.pivot + np.array([0.1, -0.05, 0.2])
    (pixel,), (depth,) = view.engine_camera(800, 600).project(point[None])
    assert np.allclose(view.point_at(*pixel, depth, 800, 600), point)


def test_effective_fov_is_what_the_engine_shows() -> None:
    view = ViewCamera.from_capture(_capture(), UP, 1.0)
    assert view.effective_fov_y(400, 900) == pytest.approx(view.engine_camera(400, 900).fov_y_rad)
    assert view.with_fov(0.7).effective_fov_y(400, 900) == pytest.approx(0.7)
