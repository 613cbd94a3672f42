# SPDX-License-Identifier: MIT
"""Refined poses follow their gradients, keep the scene where it was, and survive a checkpoint."""

from __future__ import annotations

import numpy as np
import pytest

from engine.cameras import Camera, look_at
from engine.methods.svraster.config import PoseOptions
from engine.methods.svraster.poses import (
    Poses,
    angles_between,
    common_motion,
    moved,
    point_looked_at,
    rates,
    rotation_of,
    slopes_of,
)

POINTS = np.array([[0.2, 0.1, 0.0], [-0.3, 0.2, 0.1], [0.0, -0.3, 0.2], [0.1, 0.3, -0.3], [-0.2, -0.1, -0.2]])


def cameras(n: int = 8) -> list[Camera]:
    angles = 2.0 * np.pi * np.arange(n) / n
    places = [np.array([2.0 * np.cos(a), 2.0 * np.sin(a), 0.7 * np.sin(3.0 * a)]) for a in angles]
    return [Camera.from_fov(64, 64, 0.7, look_at(p, np.zeros(3), np.array([0.0, 0.0, 1.0]))) for p in places]


def error_and_gradient(pose: np.ndarray, seen: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the squared error of the points' places in camera axes against `seen [P,3]`, and its gradient [3,4]."""
    offset = POINTS - pose[:, 3]
    difference = offset @ pose[:, :3] - seen
    gradient = np.empty((3, 4))
    gradient[:, :3] = 2.0 * offset.T @ difference
    gradient[:, 3] = -2.0 * (pose[:, :3] @ difference.T).sum(axis=1)
    return float((difference**2).sum()), gradient


def test_rotations_are_the_exponential_of_their_vector():
    vector = np.array([0.3, -0.2, 0.5])
    x, y, z = vector
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    series = sum(np.linalg.matrix_power(cross, k) / np.prod(np.arange(1.0, k + 1.0)) for k in range(20))
    assert np.allclose(rotation_of(vector), series, atol=1e-12)
    assert np.array_equal(rotation_of(np.zeros(3)), np.eye(3))


@pytest.mark.parametrize("angle", [1e-7, 0.01, 2.0])
def test_angles_between_rotations_are_exact(angle):
    turn = rotation_of(angle * np.array([0.6, 0.0, 0.8]))
    start = rotation_of(np.array([1.0, 2.0, -0.5]))
    assert angles_between(start[None], (start @ turn)[None])[0] == pytest.approx(angle, rel=1e-6)


def test_slopes_along_motions_are_those_of_finite_differences():
    seen = (POINTS - 0.1) @ rotation_of(np.array([0.1, 0.2, 0.3]))
    pose = cameras()[1].world_from_cam[:3]
    pivot = point_looked_at(pose)
    slopes = slopes_of(pose, pivot, error_and_gradient(pose, seen)[1])
    for k, slope in enumerate(slopes):
        ends = [error_and_gradient(moved(pose, pivot, h * np.eye(6)[k]), seen)[0] for h in (1e-5, -1e-5)]
        assert slope == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-6, abs=1e-8)


def test_circling_leaves_what_is_looked_at_in_the_picture():
    pose = cameras()[2].world_from_cam[:3]
    pivot = point_looked_at(pose)
    circled = moved(pose, pivot, np.array([0.0, 0.0, 0.0, 0.3, -0.2, 0.0]))
    before, after = (p[:, :3].T @ (pivot - p[:, 3]) for p in (pose, circled))
    assert np.allclose(before, after) and np.linalg.norm(circled[:, 3] - pose[:, 3]) > 0.5


def test_poses_that_follow_their_gradients_come_back_to_the_truth():
    rng = np.random.default_rng(0)
    true = cameras()
    seen = [(POINTS - c.position) @ c.world_from_cam[:3, :3] for c in true]
    crooked = []
    for camera in true:
        pose = camera.world_from_cam.copy()
        axis = rng.normal(size=3)
        pose[:3, :3] = pose[:3, :3] @ rotation_of(np.radians(1.0) * axis / np.linalg.norm(axis))
        pose[:3, 3] += 0.02 * rng.normal(size=3)
        crooked.append(camera.moved(pose))
    goal = np.array([c.world_from_cam[:3] for c in true])
    turn, shift = common_motion(goal, np.array([c.world_from_cam[:3] for c in crooked]))
    for camera in crooked:  # the common part is held still, but these points would have it taken out
        camera.world_from_cam[:3, :3] = turn.T @ camera.world_from_cam[:3, :3]
        camera.world_from_cam[:3, 3] = turn.T @ (camera.world_from_cam[:3, 3] - shift)
    poses = Poses(crooked)
    assert np.degrees(angles_between(goal[:, :, :3], poses.start[:, :, :3])).mean() > 0.7
    options = PoseOptions(rotation_rate=0.1, position_rate=0.002, until=1600)
    for step in range(1600):
        view = step % len(true)
        poses.update(view, error_and_gradient(poses.pose[view], seen[view])[1], step, options)
    assert np.degrees(angles_between(goal[:, :, :3], poses.pose[:, :, :3])).max() < 0.1
    assert np.linalg.norm(goal[:, :, 3] - poses.pose[:, :, 3], axis=1).max() < 0.002


def test_a_motion_of_all_cameras_is_taken_out_again():
    poses = Poses(cameras())
    turn, shift = rotation_of(np.array([0.02, -0.01, 0.03])), np.array([0.1, 0.0, -0.05])
    poses.pose[:, :, :3] = turn @ poses.start[:, :, :3]
    poses.pose[:, :, 3] = poses.start[:, :, 3] @ turn.T + shift
    poses.hold_still()
    assert np.allclose(poses.pose, poses.start, atol=1e-12)


def test_a_view_that_was_never_moved_keeps_its_camera():
    taken = cameras()
    poses = Poses(taken)
    assert poses.camera(3, taken[3]) is taken[3]
    poses.update(0, np.ones((3, 4)), 0, PoseOptions())
    assert not np.allclose(poses.camera(0, taken[0]).world_from_cam, taken[0].world_from_cam)
    assert poses.angles_deg()[0] > 0.05


def test_rates_fall_to_their_last_share_and_stay():
    options = PoseOptions(rotation_rate=1.0, position_rate=0.5, until=100, last_share=0.01)
    assert rates(options, 0) == pytest.approx([np.pi / 180.0, 0.5])
    assert rates(options, 50)[1] == pytest.approx(0.05)
    assert rates(options, 100)[1] == rates(options, 900)[1] == pytest.approx(0.005)


def test_a_checkpoint_continues_exactly():
    rng = np.random.default_rng(1)
    gradients = rng.normal(size=(20, 3, 4))
    whole, half = Poses(cameras()), Poses(cameras())
    for step, gradient in enumerate(gradients):
        whole.update(step % 8, gradient, step, PoseOptions())
        half.update(step % 8, gradient, step, PoseOptions())
        if step == 9:
            rows, half = half.rows(), Poses(cameras())
            half.load_rows(rows)
    assert np.array_equal(whole.pose, half.pose)
