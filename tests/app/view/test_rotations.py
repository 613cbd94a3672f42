# SPDX-License-Identifier: MIT
"""Quaternions and matrices are two ways to say the same rotation."""

from __future__ import annotations

import numpy as np
import pytest

from app.view.rotations import (
    aligned,
    axis_angle_matrix,
    matrix_from_quaternion,
    orthonormal,
    quaternion_from_matrix,
    slerp,
)

ROUNDING = 1e-12


def _random(seed: int) -> np.ndarray:
    quaternion = np.random.default_rng(seed).normal(size=4)
    return quaternion / np.linalg.norm(quaternion)


@pytest.mark.parametrize("seed", range(20))
def test_there_and_back_is_the_same_rotation(seed: int) -> None:
    quaternion = _random(seed)
    back = quaternion_from_matrix(matrix_from_quaternion(quaternion))
    assert np.allclose(aligned(back, quaternion), quaternion, atol=ROUNDING)


@pytest.mark.parametrize("axis", np.eye(3))
def test_half_turns_are_no_special_case(axis: np.ndarray) -> None:
    matrix = axis_angle_matrix(axis, np.pi)
    assert np.allclose(matrix_from_quaternion(quaternion_from_matrix(matrix)), matrix, atol=ROUNDING)


def test_slerp_turns_evenly_along_the_short_way() -> None:
    a = quaternion_from_matrix(np.eye(3))
    b = aligned(quaternion_from_matrix(axis_angle_matrix(np.array([0.0, 0.0, 1.0]), 1.2)), a)
    for s in (-0.5, 0.0, 0.25, 1.0, 1.5):
        expected = axis_angle_matrix(np.array([0.0, 0.0, 1.0]), 1.2 * s)
        assert np.allclose(matrix_from_quaternion(slerp(a, b, s)), expected, atol=ROUNDING)


def test_slerp_between_equal_rotations_stays() -> None:
    a = _random(3)
    assert np.allclose(slerp(a, a, 0.3), a)


def test_orthonormal_mends_a_drifted_rotation() -> None:
    drifted = matrix_from_quaternion(_random(5)) + 1e-4 * np.random.default_rng(1).normal(size=(3, 3))
    mended = orthonormal(drifted)
    assert np.allclose(mended.T @ mended, np.eye(3), atol=ROUNDING)
    assert np.abs(mended - drifted).max() < 5e-4
