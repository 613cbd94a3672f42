# SPDX-License-Identifier: MIT
"""The readable march against finite differences, and its basis against quadrature."""

from __future__ import annotations

import numpy as np
import torch

from engine.methods.plenoxels.grid import dense_grid
from engine.reference.march import march, march_loss
from engine.sh import sh_basis
from engine.voxel_grid import LossTerms, MarchOptions

DIFFERENCE = (
    1e-6  # relative to the largest; central differences with a step of 1e-6 in float64, worst seen 2e-9
)


def test_gradients_of_the_loss_are_those_of_finite_differences() -> None:
    rng = np.random.default_rng(0)
    keep = rng.uniform(size=(5, 4, 6)) < 0.8
    grid = dense_grid((5, 4, 6), 1, keep=keep)
    density = torch.tensor(rng.normal(size=grid.n_voxels) * 3.0 + 2.0, requires_grad=True)
    coefficients = torch.tensor(rng.normal(size=grid.coefficients.shape) * 0.6, requires_grad=True)
    rays_o = torch.tensor(rng.normal(size=(12, 3)))
    rays_d = torch.nn.functional.normalize(torch.tensor(rng.uniform(-0.3, 0.3, (12, 3))) - rays_o, dim=1)
    target, terms = torch.tensor(rng.uniform(size=(12, 3))), LossTerms(background=1.0, cauchy=1e-3, l1=1e-3)

    def loss() -> torch.Tensor:
        out = march(grid, density, coefficients, rays_o, rays_d, MarchOptions())
        assert (out.live.sum() > 50) and (out.rgb.detach() > 0.0).any()
        return march_loss(out, target, terms)

    loss().backward()
    for values in (density, coefficients):
        flat, slope = values.data.view(-1), values.grad.view(-1)
        for k in rng.choice(len(flat), 40, replace=False):
            kept = float(flat[k])
            ends = []
            for step in (1e-6, -1e-6):
                flat[k] = kept + step
                ends.append(float(loss().detach()))
            flat[k] = kept
            assert (
                abs((ends[0] - ends[1]) / 2e-6 - float(slope[k]))
                < DIFFERENCE * float(slope.abs().max()) + 1e-9
            )


def test_the_basis_is_orthonormal_on_the_sphere() -> None:
    z, weight = np.polynomial.legendre.leggauss(8)  # exact up to degree 15 in z
    angle = np.arange(16) * (2.0 * np.pi / 16)
    ring = np.sqrt(1.0 - z * z)
    points = np.stack(
        [ring[:, None] * np.cos(angle), ring[:, None] * np.sin(angle), np.repeat(z[:, None], 16, 1)], axis=-1
    )
    basis = sh_basis(points.reshape(-1, 3), 3)
    area = np.repeat(weight * (2.0 * np.pi / 16), 16)
    assert np.abs(basis.T @ (basis * area[:, None]) - np.eye(16)).max() < 1e-12
