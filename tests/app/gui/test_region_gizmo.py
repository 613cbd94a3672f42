# SPDX-License-Identifier: MIT
"""The region follows the mouse: what was taken hold of stays under it, and nothing else moves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from app.gui.region_gizmo import DOTS, RING, RegionDrag, arrows, edges, pick, places, ring
from app.view.regions import angle_rad, turned, upright
from engine.cameras import Camera, look_at
from engine.region import Region

UP = np.array([0.1, -0.2, 1.0])
REGION = turned(Region((0.1, -0.2, 0.05), (0.3, 0.2, 0.15), upright(UP)), UP, 0.4)


@pytest.fixture
def camera() -> Camera:
    pose = look_at(np.array([1.7, -1.9, 1.1]), np.array([0.0, 0.1, 0.0]), np.array([0.0, 0.0, 1.0]))
    return Camera.from_fov(800, 600, 0.9, pose)


def pixel(camera: Camera, region: Region, handle: str) -> tuple[float, float]:
    return tuple(camera.project(places(region)[[DOTS.index(handle)]])[0][0])


def drag(camera: Camera, handle: str, to: tuple[float, float]) -> Region:
    return RegionDrag(handle, REGION, UP, *pixel(camera, REGION, handle)).moved(camera, *to)


@pytest.mark.parametrize("handle", DOTS)
def test_every_dot_is_found_where_it_is_drawn(camera, handle):
    assert pick(REGION, UP, camera, *pixel(camera, REGION, handle), 8.0) == handle


def test_the_ring_is_found_between_its_points_and_nothing_beside_it(camera):
    pixels, _ = camera.project(ring(REGION, UP))
    assert pick(REGION, UP, camera, *(0.5 * (pixels[20] + pixels[21])), 8.0) == RING
    assert pick(REGION, UP, camera, 3.0, 3.0, 8.0) is None
    behind = replace(REGION, centre=camera.position - 2.0 * camera.forward)
    assert pick(behind, UP, camera, *pixel(camera, behind, "middle"), 8.0) is None


def test_the_ring_lies_across_up_round_the_whole_box():
    out = ring(REGION, UP) - np.array(REGION.centre)
    assert np.allclose(out @ UP, 0.0)
    level = (REGION.corners() - np.array(REGION.centre)) @ upright(UP)
    assert np.linalg.norm(out, axis=1).min() > np.hypot(level[:, 0], level[:, 1]).max()


def test_edges_join_corners_along_the_axes_of_the_box():
    lines = edges(REGION).astype(np.float64)
    along = (lines[:, 1] - lines[:, 0]) @ np.array(REGION.rotation)
    assert np.allclose(np.sort(np.abs(along).max(axis=1)), np.sort(np.repeat(2 * np.array(REGION.half), 4)))
    assert len({tuple(np.round(point, 5)) for line in lines for point in line}) == 8
    assert arrows(REGION).shape == (3, 2, 3)


@pytest.mark.parametrize("handle", ["x", "y", "z"])
def test_an_arrow_moves_the_box_along_its_axis_and_stays_under_the_mouse(camera, handle):
    axis = np.array(REGION.rotation)[:, "xyz".index(handle)]
    target = replace(REGION, centre=np.array(REGION.centre) + 0.2 * axis)
    moved = drag(camera, handle, pixel(camera, target, handle))
    assert np.allclose(moved.centre, target.centre) and moved.half == REGION.half


@pytest.mark.parametrize("handle", ["-x", "+x", "-y", "+y", "-z", "+z"])
def test_a_face_moves_alone_and_the_one_across_stays(camera, handle):
    k, sign = "xyz".index(handle[1]), 1.0 if handle[0] == "+" else -1.0
    axis = np.array(REGION.rotation)[:, k]
    grown = list(REGION.half)
    grown[k] += 0.05
    target = replace(REGION, centre=np.array(REGION.centre) + 0.05 * sign * axis, half=tuple(grown))
    moved = drag(camera, handle, pixel(camera, target, handle))
    assert np.allclose(moved.centre, target.centre) and np.allclose(moved.half, target.half)
    across = f"{'-' if sign > 0 else '+'}{handle[1]}"
    assert np.allclose(places(moved)[DOTS.index(across)], places(REGION)[DOTS.index(across)])


def test_a_face_never_passes_the_one_across(camera):
    axis = np.array(REGION.rotation)[:, 0]
    far = replace(REGION, centre=np.array(REGION.centre) - 2.0 * axis)
    moved = drag(camera, "+x", pixel(camera, far, "+x"))
    assert 0.0 < moved.half[0] < 0.01
    assert np.allclose(places(moved)[DOTS.index("-x")], places(REGION)[DOTS.index("-x")])


def test_the_middle_moves_across_the_picture(camera):
    x, y = pixel(camera, REGION, "middle")
    moved = drag(camera, "middle", (x + 40.0, y - 25.0))
    assert np.allclose(pixel(camera, moved, "middle"), (x + 40.0, y - 25.0))
    step = np.array(moved.centre) - np.array(REGION.centre)
    assert abs(step @ camera.forward) < 1e-9


def test_the_ring_turns_by_the_angle_that_the_mouse_goes_round(camera):
    pixels, _ = camera.project(ring(REGION, UP))
    for step in (3, -9, 30):
        moved = RegionDrag(RING, REGION, UP, *pixels[10]).moved(camera, *pixels[10 + step])
        by = angle_rad(moved, UP) - angle_rad(REGION, UP)
        assert np.isclose(np.angle(np.exp(1j * (by - 2 * np.pi * step / len(pixels)))), 0.0, atol=1e-6)
        assert moved.centre == REGION.centre and moved.half == REGION.half


def test_a_ring_seen_from_its_edge_turns_with_the_mouse():
    pose = look_at(np.array([0.0, -2.0, 0.0]), np.zeros(3), np.array([0.0, 0.0, 1.0]))
    camera, up = Camera.from_fov(800, 600, 0.9, pose), np.array([0.0, 0.0, 1.0])
    box = Region((0.0, 0.0, 0.0), (0.3, 0.2, 0.1))
    right = RegionDrag(RING, box, up, 400.0, 300.0).moved(camera, 450.0, 300.0)
    front = np.array(right.rotation) @ np.array([0.0, -1.0, 0.0])
    assert front[0] > 0.0  # what is in front goes right with the mouse
