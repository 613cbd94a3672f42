# SPDX-License-Identifier: MIT
"""Rotations as the viewer needs them: unit quaternions (w, x, y, z), matrices and rotation vectors, all float64.

A rotation vector is the axis times the angle in radians. Names in the plural take arrays of many.
"""

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
    """Return the unit quaternion [4] of a rotation [3,3], with w >= 0."""
    return quaternions_from_matrices(matrix[None])[0]


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


def quaternions_from_matrices(matrices: np.ndarray) -> np.ndarray:
    """Return unit quaternions [n,4] of rotations [n,3,3], each with w >= 0: the turn the short way.

    Each of `rows` is the quaternion times one of its own components; the largest such component divides safely.
    """
    m = np.asarray(matrices, dtype=np.float64)
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = np.moveaxis(m, 0, 2)
    rows = (
        (1 + xx + yy + zz, zy - yz, xz - zx, yx - xy),
        (zy - yz, 1 + xx - yy - zz, yx + xy, xz + zx),
        (xz - zx, yx + xy, 1 - xx + yy - zz, zy + yz),
        (yx - xy, xz + zx, zy + yz, 1 - xx - yy + zz),
    )
    outer = np.moveaxis(np.array(rows), 2, 0)
    best = np.argmax(np.diagonal(outer, axis1=1, axis2=2), axis=1)
    found = outer[np.arange(len(outer)), best]
    found *= np.where(found[:, :1] < 0.0, -1.0, 1.0)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def rotation_vectors(matrices: np.ndarray) -> np.ndarray:
    """Return rotation vectors [n,3] of rotations [n,3,3], no longer than pi."""
    quaternions = quaternions_from_matrices(matrices)
    sine = np.linalg.norm(quaternions[:, 1:], axis=1)
    angle = 2.0 * np.arctan2(sine, quaternions[:, 0])
    scale = np.where(sine < 1e-9, 2.0, angle / np.maximum(sine, 1e-9))  # sin x = x below, to 1e-18
    return scale[:, None] * quaternions[:, 1:]


def matrices_from_vectors(vectors: np.ndarray) -> np.ndarray:
    """Return rotations [n,3,3] of rotation vectors [n,3] (Rodrigues)."""
    x, y, z = vectors.T
    square = x * x + y * y + z * z
    half = 0.5 * np.sqrt(square)
    share = np.sinc(half / np.pi)  # sin(half) / half
    sine = share * np.cos(half)  # sin(angle) / angle
    versine = 0.5 * share * share  # (1 - cos(angle)) / angle^2
    matrices = (versine[:, None] * vectors)[:, :, None] * vectors[:, None, :]
    across, cosine = sine[:, None] * vectors, 1.0 - versine * square
    flat = matrices.reshape(-1, 9)
    flat[:, ::4] += cosine[:, None]
    flat[:, [7, 2, 3]] += across
    flat[:, [5, 6, 1]] -= across
    return matrices


def inverse_right_jacobians(vectors: np.ndarray) -> np.ndarray:
    """Return [n,3,3]: what turns an angular velocity in body axes into the rate of change of a rotation vector [n,3].

    I + K / 2 + (1 / a^2 - cot(a / 2) / 2 a) K^2 with K the cross product with the vector and a its angle,
    below 2 pi.
    """
    angle = np.linalg.norm(vectors, axis=1)
    safe = np.maximum(angle, 1e-3)  # below, the factor is its limit 1/12 to 1e-8
    factor = np.where(angle < 1e-3, 1.0 / 12.0, 1.0 / safe**2 - 0.5 / (safe * np.tan(0.5 * safe)))
    cross = np.zeros((len(vectors), 9))
    cross[:, [7, 2, 3]] = vectors
    cross[:, [5, 6, 1]] = -vectors
    cross = cross.reshape(-1, 3, 3)
    return np.eye(3) + 0.5 * cross + factor[:, None, None] * (cross @ cross)
