# SPDX-License-Identifier: MIT
"""Mouse and keys move the camera as promised."""

from __future__ import annotations

import numpy as np
import pytest

from app.view.camera import ViewCamera
from app.view.controllers import FLY_FAST, TURN_RAD_PER_PX, CameraController
from engine.cameras import Camera, look_at

UP = np.array([0.0, 0.0, 1.0])
WIDTH, HEIGHT = 800, 600
TINY = 1e-9  # float64 through a few turns


def _controller(position: tuple[float, float, float] = (0.0, -2.0, 0.0)) -> CameraController:
    home = ViewCamera.looking_at(np.array(position), np.zeros(3), UP, np.radians(50))
    controller = CameraController(home)
    controller.resize(WIDTH, HEIGHT)
    controller.update(0.016)
    return controller


def _settle(controller: CameraController, seconds: float = 2.0) -> None:
    for _ in range(int(seconds * 60)):
        controller.update(1 / 60)


def _drag(
    controller: CameraController, button: str, dx: float, dy: float, depth_z: float | None = None
) -> None:
    controller.press(button, depth_z)
    for _ in range(10):
        controller.drag(dx / 10, dy / 10)
        controller.update(1 / 60)
    controller.release(button)
    _settle(controller)


def _assert_rotation(camera: ViewCamera) -> None:
    assert np.allclose(camera.rotation.T @ camera.rotation, np.eye(3), atol=TINY)
    assert np.linalg.det(camera.rotation) > 0


def test_orbit_turns_about_the_pivot_by_the_whole_drag() -> None:
    controller = _controller()
    _drag(controller, "left", 100, 0)
    camera = controller.camera
    assert np.allclose(camera.pivot, 0, atol=TINY)
    assert np.linalg.norm(camera.position) == pytest.approx(2.0)
    angle = -100 * TURN_RAD_PER_PX
    assert np.allclose(camera.position, [2 * np.sin(angle), -2 * np.cos(angle), 0], atol=1e-6)
    _assert_rotation(camera)


def test_dragging_right_carries_the_scene_right_and_down_shows_its_top() -> None:
    controller = _controller()
    _drag(controller, "left", 60, 0)
    pixels, _ = controller.camera.engine_camera(WIDTH, HEIGHT).project(np.array([[0.0, -0.5, 0.0]]))
    assert pixels[0, 0] > WIDTH / 2 + 10
    controller = _controller()
    _drag(controller, "left", 0, 60)
    assert controller.camera.position[2] > 0.2


def test_orbit_stops_short_of_the_pole() -> None:
    controller = _controller()
    _drag(controller, "left", 0, 5000)
    assert controller.camera.forward @ UP < -0.99
    assert controller.camera.rotation[:, 1] @ UP > 0.0


def test_a_drag_into_the_pole_is_not_owed_on_the_way_back() -> None:
    controller = _controller()
    controller.press("left")
    controller.drag(0, 5000)
    _settle(controller, 0.1)
    top = controller.camera.position[2]
    controller.drag(0, -60)
    _settle(controller, 0.1)
    assert controller.camera.position[2] < top - 0.01


def test_orbit_keeps_the_roll_of_a_rolled_view() -> None:
    controller = _controller()
    pose = look_at(np.array([0.0, -2.0, 0.0]), np.zeros(3), np.array([1.0, 0.0, 1.0]))
    controller.jump(Camera.from_fov(640, 480, 0.8, pose))
    _drag(controller, "left", 70, 0)
    assert controller.camera.rotation[:, 1] @ UP == pytest.approx(np.cos(np.pi / 4), abs=1e-6)


def test_look_turns_in_place_towards_the_mouse() -> None:
    controller = _controller()
    position = controller.camera.position.copy()
    _drag(controller, "right", 50, 30)
    assert np.allclose(controller.camera.position, position, atol=TINY)
    assert controller.camera.forward[0] > 0.2 and controller.camera.forward[2] < -0.1


@pytest.mark.parametrize("depth", [0.7, 2.0, None])
def test_the_point_under_the_cursor_sticks_while_panning(depth: float | None) -> None:
    controller = _controller((0.6, -2.0, 0.8))
    point = controller.camera.point_at(200, 450, depth or controller.camera.distance, WIDTH, HEIGHT)
    controller.press("middle", depth)
    x, y = 200.0, 450.0
    for dx, dy in [(31, -7), (-90, 12), (5, 5), (140, -200)]:
        controller.drag(dx, dy)
        controller.update(1 / 60)
        x, y = x + dx, y + dy
        pixels, _ = controller.camera.engine_camera(WIDTH, HEIGHT).project(point[None])
        assert np.allclose(pixels[0], [x, y], atol=1e-6)


def test_wheel_dollies_by_a_share_of_the_distance() -> None:
    controller = _controller()
    controller.wheel(1)
    _settle(controller)
    assert controller.camera.distance == pytest.approx(2.0 * 0.9)
    assert np.allclose(controller.camera.pivot, 0, atol=TINY)
    controller.wheel(-1)
    _settle(controller)
    assert controller.camera.distance == pytest.approx(2.0)


def test_wheel_over_a_point_keeps_it_under_the_cursor() -> None:
    controller = _controller()
    point = controller.camera.point_at(600, 150, 1.4, WIDTH, HEIGHT)
    controller.wheel(3, (600, 150), 1.4)
    _settle(controller)
    pixels, depth = controller.camera.engine_camera(WIDTH, HEIGHT).project(point[None])
    assert np.allclose(pixels[0], [600, 150], atol=1e-6)
    assert depth[0] == pytest.approx(1.4 * 0.9**3)


@pytest.mark.parametrize(
    ("key", "direction"),
    [
        ("w", (0, 1, 0)),
        ("s", (0, -1, 0)),
        ("a", (-1, 0, 0)),
        ("d", (1, 0, 0)),
        ("q", (0, 0, -1)),
        ("e", (0, 0, 1)),
    ],
)
def test_fly_keys_move_their_way(key: str, direction: tuple[int, int, int]) -> None:
    controller = _controller()
    start = controller.camera.position.copy()
    controller.hold({key})
    _settle(controller, 1.0)
    moved = controller.camera.position - start
    assert np.allclose(moved / np.linalg.norm(moved), direction, atol=1e-6)
    assert 0.35 < np.linalg.norm(moved) < 0.5  # half a unit per second less the run-up


def test_shift_flies_faster_and_opposite_keys_cancel() -> None:
    distances = []
    for keys in ({"w"}, {"w", "shift"}, {"w", "s"}):
        controller = _controller()
        start = controller.camera.position.copy()
        controller.hold(keys)
        _settle(controller, 0.5)
        distances.append(np.linalg.norm(controller.camera.position - start))
    assert distances[1] == pytest.approx(FLY_FAST * distances[0])
    assert distances[2] == 0.0


def test_flight_runs_out_and_then_nothing_moves() -> None:
    controller = _controller()
    controller.hold({"w"})
    _settle(controller, 0.5)
    controller.hold(())
    assert controller.update(1 / 60)
    _settle(controller)
    assert not controller.update(1 / 60)


def test_losing_the_focus_releases_everything() -> None:
    controller = _controller()
    controller.hold({"w", "shift"})
    controller.press("left")
    _settle(controller, 0.2)
    controller.lose_focus()
    _settle(controller)
    assert not controller.dragging
    controller.drag(50, 50)
    assert not controller.update(1 / 60)


def test_a_hiccup_does_not_throw_the_camera() -> None:
    controller = _controller()
    controller.hold({"w"})
    start = controller.camera.position.copy()
    controller.update(10.0)
    assert np.linalg.norm(controller.camera.position - start) < 0.5 / 30


def _capture() -> Camera:
    pose = look_at(np.array([1.3, -0.7, 0.4]), np.array([0.1, 0.2, -0.1]), np.array([0.3, 0.2, 1.0]))
    return Camera(640, 480, 611.0, 607.0, 305.5, 251.25, pose)


@pytest.mark.parametrize("smooth", [False, True])
def test_jump_ends_bit_exactly_in_the_capture_view(smooth: bool) -> None:
    controller, capture = _controller(), _capture()
    controller.jump(capture, smooth)
    _settle(controller, 1.0)
    camera = controller.camera.engine_camera(640, 480)
    assert np.array_equal(camera.world_from_cam, capture.world_from_cam)
    assert camera.fov_y_rad == capture.fov_y_rad
    assert not controller.update(1 / 60)


def test_a_smooth_jump_moves_gradually_and_input_ends_it() -> None:
    controller, capture = _controller(), _capture()
    controller.jump(capture, smooth=True)
    seen = []
    for _ in range(6):
        controller.update(1 / 60)
        seen.append(controller.camera.position)
        _assert_rotation(controller.camera)
    steps = np.linalg.norm(np.diff(seen, axis=0), axis=1)
    assert np.all(steps > 0) and np.all(steps < 0.6)
    controller.press("left")
    held = controller.camera.position
    controller.update(1 / 60)
    assert np.array_equal(controller.camera.position, held)


def test_frame_fits_the_ball_and_levels_the_horizon() -> None:
    controller = _controller()
    controller.jump(_capture())
    centre, radius = np.array([0.2, 0.1, 0.0]), 0.5
    controller.frame(centre, radius)
    camera = controller.camera
    assert np.allclose(camera.pivot, centre)
    assert abs(camera.rotation[:, 0] @ UP) < TINY
    half = 0.5 * camera.effective_fov_y(WIDTH, HEIGHT)
    assert np.sin(half) * camera.distance == pytest.approx(radius)


def test_reset_goes_home() -> None:
    controller = _controller()
    home = controller.camera
    controller.jump(_capture())
    controller.reset()
    assert controller.update(1 / 60)
    assert controller.camera is home


def test_a_resize_counts_as_a_change_once() -> None:
    controller = _controller()
    assert not controller.update(1 / 60)
    controller.resize(1000, 700)
    controller.resize(1000, 700)
    assert controller.update(1 / 60)
    assert not controller.update(1 / 60)


def test_in_other_units_the_camera_sees_the_same():
    controller = _controller((0.3, -2.0, 0.4))
    new_from_old = np.diag([3.0, 3.0, 3.0, 1.0])
    new_from_old[:3, 3] = 0.5, -1.0, 2.0
    before, point = controller.camera.engine_camera(WIDTH, HEIGHT), np.array([0.2, 0.1, -0.3])
    pivot = controller.camera.pivot
    controller.carry(new_from_old)
    assert controller.update(0.016)
    after = controller.camera.engine_camera(WIDTH, HEIGHT)
    moved = new_from_old[:3, :3] @ point + new_from_old[:3, 3]
    assert np.allclose(before.project(point[None])[0], after.project(moved[None])[0], atol=1e-6)
    assert np.allclose(controller.camera.pivot, new_from_old[:3, :3] @ pivot + new_from_old[:3, 3])


def test_looking_over_something_leaves_home_where_it_is():
    controller = _controller()
    home = controller.camera
    there = ViewCamera.looking_at(np.array([5.0, 5.0, 5.0]), np.zeros(3), UP, np.radians(45))
    assert controller.look_over(there) is there and controller.camera is there
    controller.reset()
    assert controller.camera is home
