# SPDX-License-Identifier: MIT
"""The document's kernels, each against an oracle that shares nothing with it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from scipy.special import sph_harm_y

import engine
from engine.errors import OptionError

SIDES = (6, 4, 5)
LOW, HIGH = torch.tensor([-1.0, -0.5, 0.0]), torch.tensor([1.0, 1.5, 2.0])


def unit(n: int, seed: int = 0) -> torch.Tensor:
    directions = torch.from_numpy(np.random.default_rng(seed).normal(size=(n, 3)))
    return directions / directions.norm(dim=1, keepdim=True)


@pytest.mark.parametrize("align", [True, False])
def test_interpolation_is_scipys(align):
    rng = np.random.default_rng(0)
    grid = rng.normal(size=(*SIDES, 3))
    points = rng.uniform(-1.5, 7.0, (200, 3))
    found = engine.trilinear_interpolate(
        torch.from_numpy(grid), torch.from_numpy(points), align_corners=align
    )
    places = points.T if align else points.T - 0.5
    wanted = [map_coordinates(grid[..., c], places, order=1, mode="nearest") for c in range(3)]
    np.testing.assert_allclose(found.numpy(), np.stack(wanted, axis=1), atol=1e-12)


def test_interpolations_gradients_in_grid_and_places_are_those_of_finite_differences():
    rng = np.random.default_rng(1)
    grid = torch.from_numpy(rng.normal(size=(3, 4, 2, 2))).requires_grad_()
    points = torch.from_numpy(rng.uniform(0.6, 1.4, (5, 3)) + np.eye(3)[1]).requires_grad_()
    points.data[:, 2] = torch.from_numpy(rng.uniform(0.1, 0.9, 5))
    assert torch.autograd.gradcheck(lambda g, p: engine.trilinear_interpolate(g, p, True), (grid, points))


def test_the_basis_is_that_of_the_real_spherical_harmonics():
    """Against scipy's complex ones; the sign of odd orders is the convention of google/spherical-harmonics."""
    d = unit(50)
    x, y, z = d.numpy().T
    theta, phi = np.arccos(z), np.arctan2(y, x)
    basis = engine.compute_sh_basis(d, 3).numpy()
    for degree in range(4):
        for order in range(-degree, degree + 1):
            value = sph_harm_y(degree, abs(order), theta, phi)
            real = value.real if order >= 0 else value.imag
            real = real * (np.sqrt(2.0) if order else 1.0)  # scipy's sign (-1)^m is kept
            np.testing.assert_allclose(basis[:, degree * (degree + 1) + order], real, atol=1e-12)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_colours_are_the_sum_over_the_basis_plus_a_half_cut_off_at_zero(degree):
    d, K = unit(40), (degree + 1) ** 2
    coefficients = torch.from_numpy(np.random.default_rng(2).normal(size=(40, 3, K)))
    basis = engine.compute_sh_basis(d, degree)
    wanted = [
        [sum(basis[n, k] * coefficients[n, c, k] for k in range(K)) for c in range(3)] for n in range(40)
    ]
    wanted = np.array(wanted, dtype=float)
    np.testing.assert_allclose(
        engine.evaluate_sh(d, coefficients, degree, activate=False), wanted, atol=1e-12
    )
    found = engine.evaluate_sh(d, coefficients, degree).numpy()
    np.testing.assert_allclose(found, np.maximum(wanted + 0.5, 0.0), atol=1e-12)
    assert (found == 0.0).any()


def test_the_degree_decides_how_many_coefficients_there_must_be():
    with pytest.raises(ValueError, match=r"shape \[N, 3, 16\], got \[5, 3, 9\]"):
        engine.evaluate_sh(unit(5), torch.zeros(5, 3, 9), 3)
    with pytest.raises(OptionError, match="0 to 3, got 4"):
        engine.evaluate_sh(unit(5), torch.zeros(5, 3, 25), 4)


def rays(n: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(4)
    o = torch.from_numpy(rng.uniform(-4.0, 4.0, (n, 3)))
    towards = LOW + torch.from_numpy(rng.random((n, 3))) * (HIGH - LOW)
    return o, (towards - o) * 0.7  # of any length


def dense_at(grid: np.ndarray, points: np.ndarray) -> np.ndarray:
    low, high = LOW.numpy(), HIGH.numpy()
    places = (points - low) / (high - low) * np.array(grid.shape) - 0.5
    return map_coordinates(grid, places.T, order=1, mode="nearest")


def test_samples_stand_every_step_of_the_world_where_there_is_density():
    grid = np.random.default_rng(5).uniform(-1.0, 1.0, SIDES).astype(np.float32)
    o, d = rays()
    points, ray, distance = engine.sample_voxel_grid(
        torch.from_numpy(grid), o, d, LOW, HIGH, step_size=0.1, early_termination=False
    )
    length = d.norm(dim=1, keepdim=True)
    np.testing.assert_allclose(points, o[ray] + distance[:, None] * (d / length)[ray], atol=1e-6)
    for i in range(len(o)):
        walls = torch.stack([(LOW - o[i]) / d[i], (HIGH - o[i]) / d[i]]) * length[i]
        first, last = max(float(walls.amin(0).max()), 0.0), float(walls.amax(0).min())
        t = np.arange(first, last + 1e-6, 0.1)
        seen = dense_at(grid, o[i].numpy() + t[:, None] * (d[i] / length[i]).numpy())
        np.testing.assert_allclose(distance[ray == i], t[seen > 1e-6], atol=1e-5)


def test_early_termination_ends_a_ray_where_the_light_is_gone():
    o, d = torch.tensor([[-3.0, 0.5, 1.0]]), torch.tensor([[1.0, 0.0, 0.0]])
    grid = torch.full((8, 8, 8), 50.0)
    whole = engine.sample_voxel_grid(grid, o, d, LOW, HIGH, 0.02, early_termination=False)
    short = engine.sample_voxel_grid(grid, o, d, LOW, HIGH, 0.02)
    assert len(whole[2]) == 101
    assert len(short[2]) == 10  # exp(-50 * 0.02 * 10) is below 1e-4 for the first time
    assert len(engine.sample_voxel_grid(grid, o, d, LOW, HIGH, 0.02, max_samples_per_ray=4)[2]) == 4


def test_crossings_hold_as_much_way_in_each_voxel_as_fine_steps_find():
    o, d = rays(10)
    found = engine.intersect_rays_voxels(o, d, LOW, HIGH, grid_shape=SIDES)
    low, size = LOW.numpy(), ((HIGH - LOW) / torch.tensor(SIDES)).numpy()
    step = 1e-3
    for i in range(len(o)):
        direction = (d[i] / d[i].norm()).numpy()
        points = o[i].numpy() + np.arange(0.0, 15.0, step)[:, None] * direction
        voxels = np.floor((points - low) / size).astype(int)
        voxels = voxels[((voxels >= 0) & (voxels < SIDES)).all(axis=1)]
        wanted, counts = np.unique(voxels, axis=0, return_counts=True)
        ways = {tuple(v): n * step for v, n in zip(wanted.tolist(), counts)}
        n = int(found.counts[i])
        got = {
            tuple(v): float(way)
            for v, way in zip(found.voxel_indices[i, :n].tolist(), (found.t_out - found.t_in)[i, :n])
        }
        for voxel in set(ways) | set(got):
            assert abs(ways.get(voxel, 0.0) - got.get(voxel, 0.0)) < 2.1 * step


def test_a_voxel_size_that_does_not_fill_the_box_is_refused():
    o, d = rays(3)
    same = engine.intersect_rays_voxels(o, d, LOW, HIGH, voxel_size=0.5)
    again = engine.intersect_rays_voxels(o, d, LOW, HIGH, voxel_size=0.5, grid_shape=torch.tensor([4, 4, 4]))
    assert torch.equal(same.voxel_indices, again.voxel_indices)
    with pytest.raises(OptionError, match="do not fill a box"):
        engine.intersect_rays_voxels(o, d, LOW, HIGH, voxel_size=0.3, grid_shape=(4, 4, 4))
    with pytest.raises(OptionError, match="got neither"):
        engine.intersect_rays_voxels(o, d, LOW, HIGH)
