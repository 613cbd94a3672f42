# SPDX-License-Identifier: MIT
"""Rotations as the viewer needs them: unit quaternions [4] = (w, x, y, z) and matrices [3,3], all float64."""

from __future__ import annotations

import numpy as np


def axis_angle_matrix(axis: np.ndarray, angle_rad: float) -> np.ndarray:
    """Return the rotation [3,3] about a unit `axis [3]`, counter-clockwise seen from its tip (Rodrigues)."""
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + np.sin(angle_rad) * cross + (1.0 - np.cos(angle_rad)) * (cross @ cross)


def orthonormal(matrix: np.ndarray) -> np.ndarray:
    """Return the rotation nearest to a nearly orthonormal [3,3]; mends what many small turns leave behind."""
    u, _, vt = np.linalg.svd(matrix)
    return u @ vt


def quaternion_from_matrix(matrix: np.ndarray) -> np.ndarray:
    """Return the unit quaternion of a rotation [3,3]; its sign is free.

    Each row of `outer` is the quaternion times one of its own components; the largest such component divides
    safely.
    """
    m = matrix
    outer = np.array(
        [
            [1 + m[0, 0] + m[1, 1] + m[2, 2], m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]],
            [m[2, 1] - m[1, 2], 1 + m[0, 0] - m[1, 1] - m[2, 2], m[1, 0] + m[0, 1], m[2, 0] + m[0, 2]],
            [m[0, 2] - m[2, 0], m[1, 0] + m[0, 1], 1 - m[0, 0] + m[1, 1] - m[2, 2], m[2, 1] + m[1, 2]],
            [m[1, 0] - m[0, 1], m[2, 0] + m[0, 2], m[2, 1] + m[1, 2], 1 - m[0, 0] - m[1, 1] + m[2, 2]],
        ]
    )
    best = outer[np.argmax(np.diag(outer))]
    return best / np.linalg.norm(best)


def matrix_from_quaternion(quaternion: np.ndarray) -> np.ndarray:
    """Return the rotation [3,3] of a quaternion of any non-zero length."""
    w, x, y, z = quaternion / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def aligned(quaternion: np.ndarray, neighbour: np.ndarray) -> np.ndarray:
    """Return the sign of `quaternion` on the side of `neighbour`, so that a slerp goes the short way."""
    return -quaternion if quaternion @ neighbour < 0.0 else quaternion


def slerp(a: np.ndarray, b: np.ndarray, s: float) -> np.ndarray:
    """Return the point at `s` on the great circle from unit quaternion `a` (0) to `b` (1) and beyond."""
    cosine = float(np.clip(a @ b, -1.0, 1.0))
    angle = np.arccos(cosine)
    sine = np.sin(angle)
    if sine < 1e-6:  # the same rotation: the circle is not defined, a straight line is exact to 1e-12
        mixed = (1.0 - s) * a + s * b
    else:
        mixed = (np.sin((1.0 - s) * angle) * a + np.sin(s * angle) * b) / sine
    return mixed / np.linalg.norm(mixed)


def angle_between(a: np.ndarray, b: np.ndarray) -> float:
    """Return the angle in radians, 0..pi, of the rotation from unit quaternion `a` to `b`."""
    return float(2.0 * np.arccos(min(1.0, abs(a @ b))))
