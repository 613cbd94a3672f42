# SPDX-License-Identifier: MIT
"""Spherical harmonics: orthonormal, with the published order and signs, and gradients by finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.cameras import Camera
from engine.constants import SH_C0, SH_C1
from engine.reference import sh as reference
from engine.sh import n_coefficients, rgb_from_sh, sh0_from_rgb, sh_basis, view_directions


def _directions(n: int) -> np.ndarray:
    d = np.random.default_rng(0).normal(size=(n, 3))
    return d / np.linalg.norm(d, axis=1, keepdims=True)


def test_the_basis_is_orthonormal_on_the_sphere() -> None:
    # Gauss-Legendre in z and equal steps in azimuth integrate polynomials of degree 6 exactly.
    z, wz = np.polynomial.legendre.leggauss(8)
    phi = np.arange(16) * np.pi / 8
    r = np.sqrt(1 - z**2)[:, None]
    d = np.stack([r * np.cos(phi), r * np.sin(phi), np.broadcast_to(z[:, None], (8, 16))], axis=-1).reshape(
        -1, 3
    )
    weight = np.repeat(wz, 16) * np.pi / 8
    basis = sh_basis(d, 3)
    assert np.abs((basis * weight[:, None]).T @ basis - np.eye(16)).max() < 1e-12


def test_degree_one_is_minus_y_plus_z_minus_x() -> None:
    basis = sh_basis(np.eye(3), 1)
    expected = np.array([[0, 0, -1], [-1, 0, 0], [0, 1, 0]]) * SH_C1
    assert np.array_equal(basis[:, 1:], expected)
    assert np.array_equal(basis[:, 0], np.full(3, SH_C0))


def test_lower_degrees_are_the_first_columns() -> None:
    d = _directions(20)
    for degree in range(4):
        assert np.array_equal(sh_basis(d, degree), sh_basis(d, 3)[:, : n_coefficients(degree)])
    with pytest.raises(ValueError, match="0 to 3, got 4"):
        sh_basis(d, 4)


def test_sh0_from_rgb_gives_the_colour_back() -> None:
    rgb = np.random.default_rng(1).random((5, 3))
    assert np.allclose(rgb_from_sh(sh0_from_rgb(rgb)[:, None], _directions(5), 0), rgb, atol=1e-15)


@pytest.mark.parametrize("degree", range(4))
def test_torch_and_numpy_colours_agree_and_ignore_higher_coefficients(degree: int) -> None:
    sh, d = np.random.default_rng(2).normal(size=(30, 16, 3)), _directions(30)
    colours = rgb_from_sh(sh, d, degree)
    twin = reference.rgb_from_sh(torch.tensor(sh), torch.tensor(d), degree)
    assert np.allclose(twin.numpy(), colours, atol=1e-15)
    assert colours.min() == 0.0 < colours.max()


def test_colour_gradients_equal_finite_differences() -> None:
    rng = np.random.default_rng(3)
    sh = torch.tensor(0.05 * rng.normal(size=(6, 16, 3)), requires_grad=True)  # small: nothing is clamped
    d = torch.tensor(_directions(6))
    assert torch.autograd.gradcheck(lambda s: reference.rgb_from_sh(s, d, 3), (sh,))


def test_a_clamped_colour_only_gets_gradients_that_raise_it() -> None:
    sh = sh0_from_rgb(torch.tensor([[[0.5, -0.2, -0.2]]], dtype=torch.float64)).requires_grad_()
    d = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64)
    for v_rgb, expected in (([2.0, 2.0, -2.0], [2.0, 0.0, -2.0]), ([-2.0, -2.0, 2.0], [-2.0, -2.0, 0.0])):
        (v_sh,) = torch.autograd.grad(
            reference.rgb_from_sh(sh, d, 0), sh, torch.tensor([v_rgb], dtype=torch.float64)
        )
        assert torch.allclose(v_sh[0, 0] / SH_C0, torch.tensor(expected, dtype=torch.float64))


def test_view_directions_point_from_the_camera_to_the_voxels() -> None:
    pose = np.eye(4)
    pose[:3, 3] = [0, 0, -2]
    camera = Camera.from_fov(4, 4, 1.0, pose)
    centers = np.array([[0, 0, 1], [2, 0, -2], [0, 0, -2]])
    assert np.array_equal(view_directions(centers, camera), [[0, 0, 1], [1, 0, 0], [0, 0, 0]])
    parallel = Camera(4, 4, 1, 1, 2, 2, pose, orthographic=True)
    assert np.array_equal(view_directions(centers, parallel), [[0, 0, 1]] * 3)
