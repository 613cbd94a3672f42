# SPDX-License-Identifier: MIT
"""Easing of keys, and what a path's style does: tension, loops, constant speed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from app.view.path import EASINGS, CameraPath, Key, PathStyle
from app.view.rotations import axis_angle_matrix
from engine.cameras import look_at
from engine.errors import UserError

Z = np.array([0.0, 0.0, 1.0])


def _key(time_s: float, position: tuple[float, ...], fov: float = 0.8, easing: str = "auto") -> Key:
    pose = np.eye(4)
    pose[:3, 3] = position
    return Key(time_s, pose, fov, easing)


def _line(easing: str) -> CameraPath:
    """Slow for a second, then fast for a second, along x."""
    return CameraPath([_key(0, (0, 0, 0)), _key(1, (1, 0, 0), easing=easing), _key(2, (4, 0, 0))])


def _speed(path: CameraPath, time_s: float, h: float = 1e-6) -> float:
    poses, _ = path.sample(np.array([time_s - h, time_s + h]))
    return float(np.linalg.norm(poses[1, :3, 3] - poses[0, :3, 3])) / (2 * h)


def test_easing_says_how_fast_a_key_is_passed() -> None:
    assert _speed(_line("ease"), 1.0) < 1e-3
    assert 0.5 < _speed(_line("auto"), 1.0) < _speed(_line("linear"), 1.0) <= 3.0


def test_even_easing_keeps_an_even_motion_even() -> None:
    path = CameraPath([_key(t, (t, 0, 0), easing="linear") for t in (0.0, 0.5, 2.0, 5.0)])
    assert [_speed(path, t) for t in (0.5, 2.0)] == pytest.approx([1.0, 1.0], rel=1e-3)
    # Between keys the splines' own pace shows: 2.3 % at most here.
    assert [_speed(path, t) for t in (0.2, 1.1, 2.5, 4.5)] == pytest.approx([1.0] * 4, rel=0.03)


def test_a_stop_at_the_ends_starts_and_ends_at_rest() -> None:
    path = CameraPath([_key(0, (0, 0, 0), easing="ease"), _key(2, (1, 0, 0), easing="ease")])
    assert _speed(path, 0.001) < 0.01 and _speed(path, 1.999) < 0.01 and _speed(path, 1.0) > 0.6


def test_a_hold_stops_stays_and_cuts() -> None:
    keys = [_key(0, (0, 0, 0)), _key(1, (1, 0, 0), 0.5, "hold"), _key(3, (5, 5, 0), 0.9), _key(4, (6, 5, 0))]
    path = CameraPath(keys)
    for time_s in (1.0, 1.5, 2.9999):
        held = path.at(time_s)
        assert np.array_equal(held.position, [1, 0, 0]) and held.fov_y_rad == 0.5
    assert np.array_equal(path.at(3.0).position, [5, 5, 0])
    assert _speed(path, 0.9999, 1e-5) < 0.01, "it comes to rest before it stays"
    assert np.allclose(path.at(3.5).position, [5.5, 5, 0]), "and does not bend towards what was cut away"


def test_tension_draws_the_way_straight() -> None:
    corners = [_key(t, p) for t, p in enumerate([(0, 0, 0), (2, 0, 0), (2, 2, 0), (0, 2, 0)])]
    bulges = []
    for tension in (0.0, 0.5, 1.0):
        poses, _ = CameraPath(corners, PathStyle(tension=tension)).sample(np.linspace(1, 2, 50))
        bulges.append(np.abs(poses[:, 0, 3] - 2.0).max())
    assert bulges[0] > 0.1 and bulges[0] > 1.5 * bulges[1] > 0.05 and bulges[2] < 1e-12


def test_a_loop_of_a_squares_corners_looks_the_same_from_each() -> None:
    places = [np.array([1.0, 1.0, 0.2]), np.array([-1.0, 1.0, 0.2]), np.array([-1.0, -1.0, 0.2])]
    places.append(np.array([1.0, -1.0, 0.2]))
    keys = [Key(0.5 + t, look_at(p, np.zeros(3), Z), 0.8) for t, p in enumerate(places)]
    path = CameraPath(keys, PathStyle(loop=True, loop_s=1.0))
    assert path.duration_s == 4.0 and path.end_s == 4.5
    quarter = np.eye(4)
    quarter[:3, :3] = axis_angle_matrix(Z, np.pi / 2)
    first, _ = path.sample(0.5 + np.linspace(0, 0.99, 9))
    for side in range(1, 4):
        there, _ = path.sample(0.5 + side + np.linspace(0, 0.99, 9))
        assert np.allclose(there, np.linalg.matrix_power(quarter, side) @ first, atol=1e-9)


def test_a_loop_goes_on_after_its_end_and_leaves_out_its_last_frame() -> None:
    keys = [_key(0, (0, 0, 0)), _key(1, (1, 0, 0)), _key(2, (1, 1, 0))]
    path = CameraPath(keys, PathStyle(loop=True, loop_s=2.0))
    for time_s in (0.0, 0.3, 1.9, 3.2):
        assert np.allclose(path.at(time_s).world_from_cam, path.at(time_s + 4.0).world_from_cam)
        assert np.allclose(path.at(time_s).world_from_cam, path.at(time_s - 8.0).world_from_cam)
    cameras = path.cameras(10, 64, 48)
    assert len(cameras) == 40 and not np.allclose(cameras[-1].position, cameras[0].position)


def test_a_loop_of_one_key_stands_still() -> None:
    path = CameraPath([_key(2, (1, 0, 0))], PathStyle(loop=True))
    assert path.duration_s == 0 and not path.closed and len(path.cameras(30, 8, 8)) == 1


@pytest.mark.parametrize("loop", [False, True])
def test_constant_speed_covers_the_way_evenly(loop: bool) -> None:
    angles = (0.0, 0.2, 1.5, 1.6, 3.0)
    keys = [_key(t, (np.cos(a), np.sin(a), 0)) for t, a in zip((0, 3, 4, 8, 10), angles)]
    path = CameraPath(keys, PathStyle(loop=loop, constant_speed=True))
    assert path.duration_s == (11 if loop else 10)
    poses, _ = path.sample(np.linspace(path.start_s, path.end_s, 400)[:-1])
    steps = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1)
    assert steps.max() < 1.02 * steps.min()
    assert path.key_times_s[0] == 0 and path.key_times_s[1] < 1.0, "the inner keys come when it is their turn"
    for time_s, key in zip(path.key_times_s, keys):
        assert np.array_equal(path.at(time_s).world_from_cam, key.world_from_cam)


def test_at_constant_speed_turns_and_zooms_on_the_spot_take_their_time() -> None:
    turned = np.eye(4)
    turned[:3, :3], turned[0, 3] = axis_angle_matrix(Z, 2.0), 1.0
    far = turned.copy()
    far[0, 3] = 2.0
    keys = [
        _key(0, (0, 0, 0)),
        _key(1, (1, 0, 0)),
        Key(2, turned, 0.8),
        Key(3, turned, 1.8),
        Key(4, far, 1.8),
    ]
    path = CameraPath(keys, PathStyle(constant_speed=True))
    assert np.all(np.diff(path.key_times_s) > 0.3)


def test_a_hold_keeps_its_seconds_at_constant_speed() -> None:
    keys = [_key(0, (0, 0, 0)), _key(1, (3, 0, 0), easing="hold"), _key(3.5, (9, 0, 0)), _key(4, (10, 0, 0))]
    path = CameraPath(keys, PathStyle(constant_speed=True))
    assert np.diff(path.key_times_s) == pytest.approx([1.5 * 3 / 4, 2.5, 1.5 / 4], rel=1e-3)


def test_keys_that_do_not_move_keep_their_times_at_constant_speed() -> None:
    path = CameraPath([_key(t, (1, 1, 1)) for t in (0, 1, 5)], PathStyle(constant_speed=True))
    assert np.array_equal(path.key_times_s, [0, 1, 5])
    assert np.allclose(path.at(2.0).position, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"easing": "bounce"},
            f"Key 2 of the path must have an easing of {', '.join(EASINGS)}, got 'bounce'",
        ),
        ({"fov_y_rad": 0.0}, "Key 2 of the path must have a field of view between 0 and 180 degrees, got 0"),
        ({"fov_y_rad": float("nan")}, "no finite number"),
        ({"world_from_cam": np.full((4, 4), np.inf)}, "no finite number"),
    ],
)
def test_a_key_that_is_none_is_refused_in_a_sentence(change: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        CameraPath([_key(0, (0, 0, 0)), replace(_key(1, (1, 0, 0)), **change)])


def test_a_style_that_is_none_is_refused_in_a_sentence() -> None:
    with pytest.raises(UserError, match="tension of a path must lie between 0 and 1, got 2"):
        CameraPath([_key(0, (0, 0, 0))], PathStyle(tension=2))
    with pytest.raises(UserError, match=r"more than 0 s .* got 0"):
        CameraPath([_key(0, (0, 0, 0))], PathStyle(loop=True, loop_s=0))
