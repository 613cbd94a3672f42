# SPDX-License-Identifier: MIT
"""Real spherical harmonics up to degree 3, in the order and with the signs of 3D Gaussian splatting.

Coefficients are [V,K,3] with K = (degree + 1)^2; degree 1 is -y, +z, -x. A colour is max(0, 0.5 + sum_k basis_k sh_k).
Here for numpy; `sh_basis` takes torch tensors too, and `reference/sh.py` has the differentiable colour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from engine.cameras import Camera
from engine.constants import SH_C0, SH_C1, SH_C2, SH_C3

if TYPE_CHECKING:
    import torch

ArrayT = TypeVar("ArrayT", np.ndarray, "torch.Tensor")

MAX_DEGREE = 3
_TINY = 1e-12  # a camera exactly at a voxel's centre: no direction, so only degree 0 and no NaN


def n_coefficients(degree: int) -> int:
    """Return K = (degree + 1)^2."""
    return (degree + 1) ** 2


def sh_basis(directions: ArrayT, degree: int) -> ArrayT:
    """Return the basis [N,K] at unit `directions [N,3]`; numpy in, numpy out, and torch likewise, same dtype."""
    if not 0 <= degree <= MAX_DEGREE:
        raise ValueError(f"sh_basis(): degree must be 0 to {MAX_DEGREE}, got {degree}.")
    x, y, z = directions[:, 0], directions[:, 1], directions[:, 2]
    xx, yy, zz = x * x, y * y, z * z
    basis = [
        0.0 * x + SH_C0,
        -SH_C1 * y,
        SH_C1 * z,
        -SH_C1 * x,
        SH_C2[0] * x * y,
        SH_C2[1] * y * z,
        SH_C2[2] * (2.0 * zz - xx - yy),
        SH_C2[3] * x * z,
        SH_C2[4] * (xx - yy),
        SH_C3[0] * y * (3.0 * xx - yy),
        SH_C3[1] * x * y * z,
        SH_C3[2] * y * (4.0 * zz - xx - yy),
        SH_C3[3] * z * (2.0 * zz - 3.0 * xx - 3.0 * yy),
        SH_C3[4] * x * (4.0 * zz - xx - yy),
        SH_C3[5] * z * (xx - yy),
        SH_C3[6] * x * (xx - 3.0 * yy),
    ][: n_coefficients(degree)]
    if isinstance(directions, np.ndarray):
        return np.stack(basis, axis=-1)
    import torch

    return torch.stack(basis, dim=-1)


def rgb_from_sh(sh: np.ndarray, directions: np.ndarray, degree: int) -> np.ndarray:
    """Return colours [V,3] of coefficients `sh [V,K',3]` seen along unit `directions [V,3]`; K' may exceed the degree's K."""
    basis = sh_basis(directions, degree)
    return np.maximum(0.5 + np.einsum("vk,vkc->vc", basis, sh[:, : basis.shape[1]]), 0.0)


def sh0_from_rgb(rgb: ArrayT) -> ArrayT:
    """Return the degree-0 coefficient that gives colour `rgb`, any shape."""
    return (rgb - 0.5) / SH_C0


def view_directions(center: np.ndarray, camera: Camera) -> np.ndarray:
    """Return float64 unit directions [V,3] from the camera to voxel centres [V,3]; its forward axis when orthographic."""
    if camera.orthographic:
        return np.broadcast_to(camera.forward, np.shape(center)).copy()
    towards = np.asarray(center, dtype=np.float64) - camera.position
    return towards / np.maximum(np.linalg.norm(towards, axis=1, keepdims=True), _TINY)
