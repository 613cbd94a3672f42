# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest

from engine.cameras import look_at
from engine.conventions import move_pose, similarity
from engine.datasets.normalise import EDGE_PER_DISTANCE, engine_from_data, estimate_up, foreground_cube, sees

Z = np.array([0.0, 0.0, 1.0])


def dome(count: int, target: np.ndarray, seed: int = 0, jitter: float = 0.0) -> np.ndarray:
    """Return poses on a half sphere of radius 4 around `target`, looking at it but for `jitter`."""
    rng = np.random.default_rng(seed)
    places = rng.normal(size=(count, 3))
    places[:, 2] = np.abs(places[:, 2]) + 0.1
    places *= 4.0 / np.linalg.norm(places, axis=1, keepdims=True)
    return np.stack([look_at(p + target, target + jitter * rng.normal(size=3), Z) for p in places])


def row(toe_in: float, seed: int = 0) -> np.ndarray:
    """Return 20 forward-facing poses (along y) spread over x and z within 1, axes meeting at distance 1 / toe_in."""
    places = np.random.default_rng(seed).uniform(-1, 1, (20, 3)) * [1.0, 0.05, 0.5]
    return np.stack([look_at(p, p + np.array([-toe_in * p[0], 1.0, -toe_in * p[2]]), Z) for p in places])


def test_the_cube_is_centred_where_the_axes_meet():
    target = np.array([3.0, -2.0, 7.0])
    centre, edge = foreground_cube(dome(30, target))
    np.testing.assert_allclose(centre, target, atol=1e-6)
    assert edge == pytest.approx(EDGE_PER_DISTANCE * 4.0)


def test_a_few_cameras_that_look_elsewhere_do_not_move_the_cube():
    poses = dome(30, np.zeros(3))
    for i in range(4):
        place = poses[i, :3, 3]
        poses[i] = look_at(place, place + np.array([5.0, 1.0, 0.2]), Z)
    centre, _ = foreground_cube(poses)
    assert np.linalg.norm(centre) < 0.05


def test_cameras_around_an_object_stand_near_the_border_of_the_cube():
    poses = dome(60, np.array([1.0, 2.0, 3.0]), jitter=0.4)
    matrix = engine_from_data(*foreground_cube(poses))
    reach = np.abs(move_pose(matrix, poses)[:, :3, 3]).max(axis=1)
    assert 0.5 < np.median(reach) < 0.9
    assert (reach > 0.4).all()


def test_forward_facing_cameras_get_a_cube_in_front_of_them():
    for toe_in in (0.0, 0.02, 0.2):
        centre, edge = foreground_cube(row(toe_in))
        assert centre[1] > 3.0 and abs(centre[0]) < 1.0 and abs(centre[2]) < 1.0
        assert edge < 2.0 * centre[1], "the cameras would stand inside the cube"


def test_forward_facing_axes_that_do_meet_say_how_far_the_scene_is():
    centre, _ = foreground_cube(row(0.2))
    assert centre[1] == pytest.approx(5.0, rel=0.1)


def wall(depth: float, count: int = 400, seed: int = 1) -> np.ndarray:
    """Return points around a plane across y at `depth`."""
    return np.random.default_rng(seed).normal(size=(count, 3)) * [0.4 * depth, 0.1 * depth, 0.4 * depth] + [
        0,
        depth,
        0,
    ]


def test_points_say_how_far_a_forward_facing_scene_is():
    for toe_in in (0.0, 0.02):
        for depth in (3.0, 30.0):
            centre, edge = foreground_cube(row(toe_in), wall(depth))
            assert centre[1] == pytest.approx(depth, rel=0.15)
            assert edge == pytest.approx(EDGE_PER_DISTANCE * depth, rel=0.15)


def test_points_overrule_forward_facing_axes_that_meet_by_chance():
    centre, _ = foreground_cube(row(0.2), wall(20.0))  # the axes meet at 5
    assert centre[1] == pytest.approx(20.0, rel=0.15)


def test_stray_points_do_not_move_the_cube():
    strays = np.random.default_rng(2).normal(size=(150, 3)) * 1e4
    bad = np.full((3, 3), np.nan)
    clean = foreground_cube(row(0.0), wall(8.0))
    centre, edge = foreground_cube(row(0.0), np.concatenate([wall(8.0), strays, bad]))
    np.testing.assert_allclose(centre, clean[0], atol=0.8)
    assert edge == pytest.approx(clean[1], rel=0.1)


def test_points_in_the_background_do_not_move_the_cube_of_circling_cameras():
    poses = dome(40, np.zeros(3))
    points = np.random.default_rng(3).normal(size=(500, 3)) * 20.0
    assert foreground_cube(poses, points)[1] == foreground_cube(poses)[1]


def test_points_that_no_camera_looks_at_change_nothing():
    assert foreground_cube(row(0.0), wall(-9.0))[1] == foreground_cube(row(0.0))[1]


def test_a_single_camera_gets_a_cube():
    centre, edge = foreground_cube(row(0.0)[:1])
    assert edge > 0.0 and np.isfinite(centre).all()


def test_cameras_that_look_outwards_get_a_cube_around_them(ring):
    places = np.stack(ring(24))[:, :3, 3] * [0.1, 0.1, 0.0]
    poses = np.stack([look_at(p, 10.0 * p, Z) for p in places])
    centre, edge = foreground_cube(poses)
    assert np.abs(poses[:, :3, 3] - centre).max() < 0.5 * edge


def test_the_cube_follows_a_similarity_of_the_data():
    poses = dome(20, np.zeros(3), jitter=0.5)
    centre, edge = foreground_cube(poses)
    move = similarity(7.0, np.array([10.0, 20.0, -5.0]))
    moved_centre, moved_edge = foreground_cube(move_pose(move, poses))
    np.testing.assert_allclose(moved_centre, 7.0 * centre + [10.0, 20.0, -5.0], atol=1e-6)
    assert moved_edge == pytest.approx(7.0 * edge)


def test_the_cube_becomes_the_unit_cube():
    matrix = engine_from_data(np.array([1.0, 2.0, 3.0]), 4.0)
    np.testing.assert_allclose(matrix @ [3.0, 0.0, 5.0, 1.0], [0.5, -0.5, 0.5, 1.0])


def test_up_is_exact_for_level_cameras_even_when_all_look_down():
    np.testing.assert_allclose(estimate_up(dome(30, np.zeros(3))), Z, atol=1e-9)
    # From one side only, the mean of the cameras' own up vectors leans over by tens of degrees.
    one_side = [p for p in dome(80, np.zeros(3)) if p[0, 3] > 1.0]
    np.testing.assert_allclose(estimate_up(np.stack(one_side)), Z, atol=1e-9)


def test_up_turns_with_the_scene():
    turn = np.eye(4)
    turn[:3, :3] = look_at(np.zeros(3), np.array([1.0, 2.0, -0.5]), np.array([0.3, 1.0, 0.0]))[:3, :3]
    np.testing.assert_allclose(estimate_up(turn @ dome(30, np.zeros(3))), turn[:3, :3] @ Z, atol=1e-9)


def test_up_of_parallel_cameras_is_their_own():
    up = estimate_up(row(0.0))
    np.testing.assert_allclose(up, Z, atol=1e-6)


def test_up_withstands_a_few_upright_photos_among_level_ones():
    poses = dome(40, np.zeros(3), jitter=0.3)
    quarter = np.eye(4)
    quarter[:2, :2] = [[0.0, -1.0], [1.0, 0.0]]
    poses[:4] = poses[:4] @ quarter
    assert estimate_up(poses) @ Z > np.cos(np.radians(15.0))


def test_sees_needs_the_point_in_front_and_in_the_cone():
    poses = np.stack([look_at(np.array([0.0, -4.0, 0.0]), np.zeros(3), Z)])
    fov = np.array([np.radians(60.0)])
    assert sees(poses, fov, np.zeros(3))[0]
    assert sees(poses, fov, np.array([2.2, 0.0, 0.0]))[0]
    assert not sees(poses, fov, np.array([2.4, 0.0, 0.0]))[0]
    assert not sees(poses, fov, np.array([0.0, -8.0, 0.0]))[0]
