# SPDX-License-Identifier: MIT
"""Overlay lines lie where they should, and the cursor finds the camera it points at."""

from __future__ import annotations

import numpy as np
import pytest

from app.view.frusta import axes_segments, box_segments, frustum_segments, pick_camera, wireframe_segments
from engine.cameras import Camera, look_at

UP = np.array([0.0, 0.0, 1.0])
VIEW = Camera.from_fov(800, 600, 0.9, look_at(np.array([0.0, -3.0, 1.0]), np.zeros(3), UP))


def _ring(n: int = 8) -> list[Camera]:
    poses = [
        look_at(np.array([np.cos(a), np.sin(a), 0.3]), np.zeros(3), UP) for a in np.arange(n) * 2 * np.pi / n
    ]
    return [Camera(640, 480, 500.0, 510.0, 300.0, 250.0, pose) for pose in poses]


def test_frusta_start_at_the_eye_and_end_at_the_picture_corners() -> None:
    cameras = _ring(3)
    segments = frustum_segments(cameras, 0.2).reshape(3, 8, 2, 3)
    for camera, lines in zip(cameras, segments):
        assert np.allclose(lines[:4, 0], camera.position, atol=1e-6)
        pixels, depth = camera.project(lines[:4, 1])
        assert np.allclose(pixels, [[0, 0], [640, 0], [640, 480], [0, 480]], atol=1e-2)
        assert np.allclose(depth, 0.2, atol=1e-6)
        assert np.array_equal(lines[4:, 0], lines[:4, 1]) and np.array_equal(
            lines[4:, 1], np.roll(lines[:4, 1], -1, 0)
        )


def test_every_camera_can_be_picked_at_its_eye() -> None:
    cameras = _ring()
    pixels, _ = VIEW.project(np.array([camera.position for camera in cameras]))
    assert [pick_camera(cameras, 0.15, VIEW, x + 3, y - 2) for x, y in pixels] == list(range(8))


def test_nothing_is_picked_far_away_behind_or_from_inside() -> None:
    cameras = _ring()
    assert pick_camera(cameras, 0.15, VIEW, 5, 5) is None
    assert pick_camera([], 0.15, VIEW, 400, 300) is None
    behind = VIEW.moved(look_at(np.array([0.0, -3.0, 1.0]), np.array([0.0, -6.0, 2.0]), UP))
    assert all(
        pick_camera(cameras, 0.15, behind, x, y) is None for x, y in [(400, 300), (300, 300), (500, 300)]
    )
    inside = VIEW.moved(cameras[2].world_from_cam)
    assert pick_camera([cameras[2]], 0.15, inside, 400, 300) is None


def test_of_two_in_line_the_one_in_front_is_picked() -> None:
    near = VIEW.position + VIEW.forward * 1.0
    far = VIEW.position + VIEW.forward * 2.0
    cameras = [Camera.from_fov(64, 48, 0.8, look_at(p, p + UP, VIEW.forward)) for p in (far, near)]
    assert pick_camera(cameras, 0.01, VIEW, 400, 300) == 1


def test_a_box_has_twelve_different_edges_along_the_axes() -> None:
    low, high = np.array([-1.0, -2.0, -3.0]), np.array([1.0, 2.0, 3.0])
    segments = box_segments(low, high)
    lengths = np.abs(segments[:, 1] - segments[:, 0])
    assert segments.shape == (12, 2, 3)
    assert sorted(map(tuple, lengths)) == sorted([(2, 0, 0), (0, 4, 0), (0, 0, 6)] * 4)
    assert len({tuple(s.ravel()) for s in segments}) == 12
    assert np.all(segments >= low) and np.all(segments <= high)


def test_wireframe_is_one_box_after_another() -> None:
    boxes = np.array([[0.1, 0.2, 0.3, 0.5], [-0.2, 0.0, 0.4, 0.25]], dtype=np.float32)
    segments = wireframe_segments(boxes)
    assert segments.shape == (24, 2, 3) and segments.dtype == np.float32
    for box, lines in zip(boxes, segments.reshape(2, 12, 2, 3)):
        assert np.allclose(lines, box_segments(box[:3] - box[3] / 2, box[:3] + box[3] / 2), atol=1e-6)


@pytest.mark.parametrize("empty", [frustum_segments([], 0.1), wireframe_segments(np.zeros((0, 4)))])
def test_nothing_gives_no_segments(empty: np.ndarray) -> None:
    assert empty.shape == (0, 2, 3)


def test_axes_point_along_x_y_z() -> None:
    segments = axes_segments(np.array([1.0, 2.0, 3.0]), 0.5)
    assert np.allclose(segments[:, 0], [1, 2, 3])
    assert np.allclose(segments[:, 1] - segments[:, 0], 0.5 * np.eye(3))
