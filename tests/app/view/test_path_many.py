# SPDX-License-Identifier: MIT
"""A thousand random camera paths: every key is met, speed has no jumps, poses are poses.

Among them are uneven times, keys in one place, rests, half turns, two keys and one, loops, all styles and easings.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from app.view.path import CameraPath, Key, PathStyle
from app.view.rotations import axis_angle_matrix, matrix_from_quaternion

N_PATHS = 1000
MET = 1e-6
# Of the fastest mean speed between keys: the worst seen is 1.4e-4, from the bend of the motion within a step.
JUMP = 1e-3


def _pose(rng: np.random.Generator, before: np.ndarray | None) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3] = matrix_from_quaternion(rng.normal(size=4))
    pose[:3, 3] = rng.normal(size=3) * 10.0 ** rng.uniform(-2, 1)
    if before is not None:
        kind = rng.integers(6)
        if kind in (0, 1):  # the same place; 1: a rest
            pose[:3, 3] = before[:3, 3]
        if kind in (1, 2):  # the same rotation
            pose[:3, :3] = before[:3, :3]
        if kind == 3:  # about face
            axis = rng.normal(size=3)
            pose[:3, :3] = axis_angle_matrix(axis / np.linalg.norm(axis), np.pi) @ before[:3, :3]
    return pose


def random_paths(n: int, easings: tuple[str, ...] = ("auto", "linear", "ease")) -> Iterator[CameraPath]:
    """Yield paths of 1 to 8 keys in every style."""
    rng = np.random.default_rng(8)
    for i in range(n):
        count = 1 + i % 8
        times = rng.uniform(-5, 5) + np.cumsum(10.0 ** rng.uniform(-1.5, 0.8, count))
        keys: list[Key] = []
        for time_s in times:
            pose = _pose(rng, keys[-1].world_from_cam if keys else None)
            keys.append(Key(float(time_s), pose, rng.uniform(0.1, 2.5), str(rng.choice(easings))))
        tension = 0.0 if rng.random() < 0.5 else rng.uniform(0, 1)
        even = bool(rng.random() < 0.3)
        yield CameraPath(keys, PathStyle(tension, bool(rng.random() < 0.4), 10.0 ** rng.uniform(-1, 1), even))


@pytest.fixture(scope="module")
def paths() -> list[CameraPath]:
    return list(random_paths(N_PATHS))


def test_every_key_is_met_and_approached_from_both_sides(paths: list[CameraPath]) -> None:
    worst = 0.0
    for path in paths:
        there = np.array([key.world_from_cam for key in path.keys])
        fovs = np.array([key.fov_y_rad for key in path.keys])
        for times in (path.key_times_s, path.key_times_s - 1e-11, path.key_times_s + 1e-11):
            poses, path_fovs = path.sample(times)
            worst = max(worst, np.abs(poses - there).max(), np.abs(path_fovs - fovs).max())
    assert worst < MET


def test_speed_has_no_jumps_in_position_rotation_and_field_of_view(paths: list[CameraPath]) -> None:
    worst = 0.0
    for path in paths:
        times = path.key_times_s
        keys = slice(0 if path.closed else 1, None if path.closed else -1)
        gaps = np.diff(np.append(times, path.end_s) if path.closed else times)
        if len(times) < 2 or not len(times[keys]):
            continue
        left, right = (np.roll(gaps, 1), gaps) if path.closed else (gaps[:-1], gaps[1:])
        h = 1e-6 * np.minimum(left, right)
        poses, fovs = path.sample((times[keys] + np.arange(-2, 3)[:, None] * h).ravel())
        state = np.concatenate([poses[:, :3].reshape(-1, 12), fovs[:, None]], axis=1).reshape(5, -1, 13)
        weights = np.array([[1.0, -4.0, 3.0, 0.0, 0.0], [0.0, 0.0, -3.0, 4.0, -1.0]]) / 2.0
        before, after = np.einsum("sk,kni->sni", weights, state) / h[:, None]
        met = np.array([[*key.world_from_cam[:3].ravel(), key.fov_y_rad] for key in path.keys])
        usual = np.abs((np.roll(met, -1, axis=0) - met)[: len(gaps)] / gaps[:, None]).max()
        worst = max(worst, np.abs(after - before).max() / usual)
    assert worst < JUMP


def test_every_pose_between_is_a_rotation_and_a_position(paths: list[CameraPath]) -> None:
    for path in paths:
        poses, fovs = path.sample(np.linspace(path.start_s - 1.0, path.end_s + 1.0, 40))
        rotations = poses[:, :3, :3]
        assert np.abs(rotations @ rotations.transpose(0, 2, 1) - np.eye(3)).max() < 1e-9
        assert np.linalg.det(rotations).min() > 0
        assert np.isfinite(poses).all() and 0.1 <= fovs.min() and fovs.max() <= 2.5


def test_time_only_goes_forward_and_the_ends_stay(paths: list[CameraPath]) -> None:
    for path in paths:
        assert np.all(np.diff(path.key_times_s) > 0)
        assert path.key_times_s[0] == path.keys[0].time_s
        if not path.closed:
            assert path.key_times_s[-1] == path.keys[-1].time_s == path.end_s


def test_a_moment_alone_is_the_moment_among_many(paths: list[CameraPath]) -> None:
    for path in paths[::10]:
        times = np.linspace(path.start_s - 0.5, path.end_s + 0.5, 7)
        poses, fovs = path.sample(times)
        for time_s, pose, fov in zip(times, poses, fovs):
            alone = path.at(time_s)
            assert np.array_equal(alone.world_from_cam, pose) and alone.fov_y_rad == fov
