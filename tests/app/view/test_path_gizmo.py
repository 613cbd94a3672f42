# SPDX-License-Identifier: MIT
"""A key in the scene: picked by its frustum, moved by arrows, turned by rings, drawn as lines."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from app.view.path import CameraPath, Key, PathStyle
from app.view.path_gizmo import AXES, HANDLES, Drag, KeyGizmo, pick_handle, pick_key
from app.view.path_lines import (
    FAST,
    MIDDLE,
    SLOW,
    gizmo_lines,
    key_lines,
    path_lines,
    playhead_lines,
    speed_colours,
)
from app.view.rotations import axis_angle_matrix
from engine.cameras import Camera, look_at

Z = np.array([0.0, 0.0, 1.0])
VIEW = Camera.from_fov(800, 600, 0.9, look_at(np.array([2.0, 1.5, 1.2]), np.zeros(3), Z))


def _key_pose() -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3] = axis_angle_matrix(np.array([0.6, 0.0, 0.8]), 0.7)
    pose[:3, 3] = 0.1, -0.05, 0.2
    return pose


GIZMO = KeyGizmo(_key_pose(), 0.4)


def _pixel(point: np.ndarray, view: Camera = VIEW) -> tuple[float, float]:
    (pixel,), _ = view.project(np.asarray(point)[None])
    return float(pixel[0]), float(pixel[1])


def _path(**style: object) -> CameraPath:
    keys = [
        Key(t, look_at(np.array([0.5, y, 0.1]), np.zeros(3), Z), 0.8)
        for t, y in ((0, -0.4), (1, 0), (4, 0.3))
    ]
    return CameraPath(keys, PathStyle(**style))


def test_a_key_is_picked_by_its_frustum() -> None:
    path = _path()
    for i, key in enumerate(path.keys):
        assert pick_key(path, 1.5, 0.05, VIEW, *_pixel(key.position)) == i
    assert pick_key(path, 1.5, 0.05, VIEW, 5, 5) is None


@pytest.mark.parametrize("own_axes", [True, False])
def test_every_handle_is_found_where_it_is_drawn(own_axes: bool) -> None:
    gizmo = replace(GIZMO, own_axes=own_axes)
    assert pick_handle(gizmo, VIEW, *_pixel(gizmo.centre)) == "move"
    for axis, tip in zip(AXES, gizmo.tips()):
        assert pick_handle(gizmo, VIEW, *_pixel(tip)) == f"move {axis}"
    found = set()
    for axis, ring in zip(AXES, gizmo.rings()):
        found |= {(axis, pick_handle(gizmo, VIEW, *_pixel(corner))) for corner in ring}
    assert {(axis, f"turn {axis}") for axis in AXES} <= found
    assert pick_handle(gizmo, VIEW, 3, 3) is None


def test_nothing_is_picked_behind_the_camera() -> None:
    behind = VIEW.moved(look_at(VIEW.position, 2 * VIEW.position, Z))
    assert pick_handle(GIZMO, behind, *_pixel(GIZMO.centre, behind)) is None


@pytest.mark.parametrize("own_axes", [True, False])
@pytest.mark.parametrize("axis", range(3))
def test_an_arrow_moves_the_key_along_itself_to_the_mouse(own_axes: bool, axis: int) -> None:
    gizmo = replace(GIZMO, own_axes=own_axes)
    tip, way = gizmo.tips()[axis], 0.13 * gizmo.axes[axis]
    drag = Drag(f"move {AXES[axis]}", gizmo, *_pixel(tip))
    pose = drag.moved(VIEW, *_pixel(tip + way))
    assert np.allclose(pose[:3, 3], gizmo.centre + way, atol=1e-9)
    assert np.array_equal(pose[:3, :3], gizmo.world_from_cam[:3, :3])
    assert np.allclose(drag.moved(VIEW, *_pixel(tip)), gizmo.world_from_cam, atol=1e-12)


def test_an_arrow_towards_the_eye_does_not_move_the_key() -> None:
    view = Camera.from_fov(
        800, 600, 0.9, look_at(GIZMO.centre + 2 * GIZMO.axes[2], GIZMO.centre, GIZMO.axes[0])
    )
    assert np.array_equal(Drag("move z", GIZMO, 400, 300).moved(view, 450, 280), GIZMO.world_from_cam)


def test_the_middle_follows_the_mouse_as_deep_as_it_was() -> None:
    pose = Drag("move", GIZMO, *_pixel(GIZMO.centre)).moved(VIEW, 222.0, 333.0)
    assert _pixel(pose[:3, 3]) == pytest.approx((222.0, 333.0))
    _, depths = VIEW.project(np.stack([GIZMO.centre, pose[:3, 3]]))
    assert depths[0] == pytest.approx(depths[1])


@pytest.mark.parametrize("own_axes", [True, False])
@pytest.mark.parametrize("axis", range(3))
def test_a_ring_turns_the_key_about_its_axis_by_what_the_mouse_goes_round(own_axes: bool, axis: int) -> None:
    gizmo = replace(GIZMO, own_axes=own_axes)
    ring = gizmo.rings()[axis]
    pose = Drag(f"turn {AXES[axis]}", gizmo, *_pixel(ring[10])).moved(VIEW, *_pixel(ring[13]))
    turn = axis_angle_matrix(gizmo.axes[axis], 3 / 48 * 2 * np.pi)
    assert np.allclose(pose[:3, :3], turn @ gizmo.world_from_cam[:3, :3], atol=1e-6)
    assert np.array_equal(pose[:3, 3], gizmo.centre)


def test_a_ring_seen_edge_on_turns_along_itself() -> None:
    view = Camera.from_fov(
        800, 600, 0.9, look_at(GIZMO.centre + 2 * GIZMO.axes[0], GIZMO.centre, GIZMO.axes[2])
    )
    nearest = GIZMO.rings()[2][np.argmin(np.linalg.norm(GIZMO.rings()[2] - view.position, axis=1))]
    x, y = _pixel(nearest, view)
    beside = nearest + 0.05 * 0.32 * np.cross(GIZMO.axes[2], nearest - GIZMO.centre) / 0.32
    pose = Drag("turn z", GIZMO, x, y).moved(view, *_pixel(beside, view))
    turn = axis_angle_matrix(GIZMO.axes[2], 0.05)
    assert np.allclose(pose[:3, :3], turn @ GIZMO.world_from_cam[:3, :3], atol=1e-3)


def test_the_way_is_drawn_through_every_key_with_the_colour_of_its_speed() -> None:
    path = _path()
    segments, colours = path_lines(path)
    assert segments.dtype == colours.dtype == np.float32
    assert segments.shape[1:] == (2, 3) and colours.shape == (len(segments), 4)
    assert np.allclose(segments[1:, 0], segments[:-1, 1])
    for key in path.keys:
        assert np.linalg.norm(segments.reshape(-1, 3) - key.position, axis=1).min() < 1e-6
    fast, slow = colours[len(colours) // 8, :3], colours[-len(colours) // 3, :3]
    assert fast[0] > fast[2] and slow[2] > slow[0], "0.4 in the first second, 0.3 in the three after"
    _, plain = path_lines(path, by_speed=False)
    assert np.all(plain == plain[0])


def test_speeds_are_coloured_by_octaves_about_the_usual_one() -> None:
    assert np.allclose(
        speed_colours(np.array([0.0, 0.25, 1.0, 4.0, 99.0]), 1.0), [SLOW, SLOW, MIDDLE, FAST, FAST]
    )


def test_a_loop_is_drawn_closed_and_a_cut_is_not_drawn() -> None:
    segments, _ = path_lines(_path(loop=True))
    assert np.array_equal(segments[0, 0], segments[-1, 1])
    path = _path()
    held = path.with_keys([path.keys[0], replace(path.keys[1], easing="hold"), path.keys[2]])
    segments, colours = path_lines(held)
    assert len(segments) == len(colours) and np.allclose(segments[-1, 1], path.keys[1].position)
    assert len(path_lines(path.with_keys(path.keys[:1]))[0]) == 0


def test_selected_keys_and_the_playhead_stand_out() -> None:
    segments, colours = key_lines(_path(), 1.5, 0.05, selected=[1])
    assert segments.shape == (24, 2, 3) and segments.dtype == colours.dtype == np.float32
    assert np.all(colours[8:16] == colours[8]) and not np.allclose(colours[8], colours[0])
    assert np.allclose(segments[8, 0], _path().keys[1].position)
    segments, colours = playhead_lines(_path(), 0.5, 1.5, 0.05)
    assert np.allclose(segments[0, 0], _path().at(0.5).position) and colours.shape == (8, 4)


def test_the_gizmo_has_a_colour_per_axis_and_shows_the_handle_under_the_mouse() -> None:
    segments, colours = gizmo_lines(GIZMO)
    assert segments.dtype == colours.dtype == np.float32 and len(segments) == len(colours) == 3 * (3 + 48)
    assert len(np.unique(colours, axis=0)) == 3
    for handle in HANDLES:
        _, active = gizmo_lines(GIZMO, handle)
        changed = np.any(active != colours, axis=1).sum()
        assert changed == (9 if handle == "move" else 3 if handle.startswith("move") else 48)
