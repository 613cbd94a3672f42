# SPDX-License-Identifier: MIT
"""The CPU march against its twin, and what must hold whatever the numbers are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.cpu.crew import Crew
from engine.cpu.lists import Workspace
from engine.cpu.march import GridGradients, Marched, march, march_gradients
from engine.methods.plenoxels.grid import dense_grid, links_of, to_dense, with_distances
from engine.reference import march as reference
from engine.voxel_grid import Grid, LossTerms, MarchOptions
from tests.cpu.march_scenes import brute_links, random_grid, random_rays

VALUE = 5e-6  # worst seen 1.3e-6 (rgb, depth) and 1.1e-5 of log T up to 16, all float32 rounding
GRADIENT = 1e-4  # of the largest, as the acceptance asks; worst seen 1e-6
ALL_TERMS = LossTerms(background=0.5, beta=0.3, cauchy=1e-5, l1=2e-5)
N = 160


@pytest.fixture(scope="module")
def crew() -> Crew:
    return Crew(2)


def gradients_of(
    grid: Grid, rays: tuple[np.ndarray, np.ndarray], target: object, crew: Crew, terms: LossTerms = ALL_TERMS
) -> tuple[float, GridGradients]:
    gradients = GridGradients.of(grid)
    mse = march_gradients(grid, *rays, target, MarchOptions(), terms, gradients, crew, Workspace())
    return mse, gradients


def twin(grid: Grid, rays: tuple[np.ndarray, np.ndarray], options: MarchOptions) -> tuple:
    """Return (marched rays, density, coefficients) of the twin in float64."""
    density = torch.tensor(grid.density).double().requires_grad_()
    coefficients = torch.tensor(np.ascontiguousarray(grid.coefficients)).double().requires_grad_()
    origin, direction = (torch.tensor(a).double() for a in rays)
    return reference.march(grid, density, coefficients, origin, direction, options), density, coefficients


def picture_error(out: Marched, wanted: reference.MarchedRays) -> float:
    log_trans = np.abs(out.log_trans - wanted.log_trans.detach().numpy()) / np.maximum(1.0, -out.log_trans)
    pairs = [(out.rgb, wanted.rgb), (out.depth, wanted.depth)]
    return max(log_trans.max(), *(np.abs(a - b.detach().numpy()).max() for a, b in pairs))


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_march_and_its_gradients_equal_autograd(crew: Crew, degree: int) -> None:
    grid, rays = random_grid(degree), random_rays(N)
    target = np.random.default_rng(2).uniform(size=(N, 3)).astype(np.float32)
    out = march(grid, *rays, MarchOptions(), crew, Workspace())
    wanted, density, coefficients = twin(grid, rays, MarchOptions())
    assert picture_error(out, wanted) < VALUE
    reference.march_loss(wanted, torch.tensor(target), ALL_TERMS).backward()
    mse, gradients = gradients_of(grid, rays, target, crew)
    assert abs(mse - float(np.mean((out.over(0.5) - target) ** 2))) < 1e-6
    b = 3 * grid.n_basis
    v_density, v_sh = density.grad.numpy(), coefficients.grad.numpy().reshape(-1, b)
    assert np.abs(gradients.rows[:, b] - v_density).max() < GRADIENT * np.abs(v_density).max()
    assert np.abs(gradients.rows[:, :b] - v_sh).max() < GRADIENT * np.abs(v_sh).max()
    assert not gradients.rows[:, b + 1 :].any()
    assert (
        not gradients.rows[gradients.touched == 0].any()
        and gradients.rows[gradients.touched == 1].any(axis=1).mean() > 0.9
    )
    assert 0 < gradients.touched.sum() < grid.n_voxels
    clamped = (gradients.rows[:, :b] == 0.0) & gradients.touched[:, None].astype(bool)
    assert clamped.any(), "some colours must be clamped, or their branch is not tested"


@pytest.mark.parametrize(
    "options",
    [
        MarchOptions(step=0.31),
        MarchOptions(near=1.2, far=1.6),
        MarchOptions(stop_thresh=0.2),
        MarchOptions(sigma_thresh=15.0),
    ],
    ids=["step", "near and far", "early stop", "sigma threshold"],
)
def test_each_option_means_what_the_twin_says(crew: Crew, options: MarchOptions) -> None:
    grid, rays = random_grid(1), random_rays(N)
    out = march(grid, *rays, options, crew, Workspace())
    assert picture_error(out, twin(grid, rays, options)[0]) < VALUE
    plain = march(grid, *rays, MarchOptions(), crew, Workspace())
    assert np.abs(out.rgb - plain.rgb).max() > 0.05, "the option must matter here"


def test_skipping_empty_space_changes_no_bit_of_picture_or_gradient(crew: Crew) -> None:
    grid, rays = random_grid(1, (40, 31, 37), filled=0.002), random_rays(4 * N)
    grid.density[:] = 60.0
    assert grid.links.min() < -3, "there must be something to skip"
    slow = replace(grid, links=brute_links(grid.links))
    target = np.zeros((4 * N, 3), dtype=np.float32)
    pictures = [march(g, *rays, MarchOptions(), crew, Workspace()) for g in (grid, slow)]
    rows = [gradients_of(g, rays, target, crew)[1].rows for g in (grid, slow)]
    for name in ("rgb", "log_trans", "depth"):
        assert np.array_equal(getattr(pictures[0], name), getattr(pictures[1], name)), name
    assert np.array_equal(*rows) and rows[0].any()


def test_rows_of_voxels_that_are_never_positive_may_as_well_be_empty(crew: Crew) -> None:
    grid, rays = random_grid(0, filled=1.0), random_rays(N)
    dense = to_dense(grid, grid.density)
    inside = np.zeros(grid.resolution, dtype=bool)
    inside[3:6, 4:8, 4:7] = True
    dense[~inside] = 0.0
    coefficients = np.where(inside[grid.links >= 0][:, None], grid.sh, 0.0)
    full = replace(grid, density=dense.reshape(-1), sh=coefficients)
    links = with_distances(links_of(inside))
    sparse = replace(grid, links=links, density=dense[inside], sh=coefficients[inside.reshape(-1)])
    a, b = (march(g, *rays, MarchOptions(), crew, Workspace()) for g in (full, sparse))
    assert np.array_equal(a.rgb, b.rgb) and np.array_equal(a.log_trans, b.log_trans) and a.rgb.any()


def test_a_uniform_cube_absorbs_as_beer_and_lambert_say(crew: Crew) -> None:
    sigma, resolution = 3.0, 64
    grid = dense_grid((resolution,) * 3, 0, density=sigma)
    grid.coefficients[:] = np.array([0.4, 0.0, -0.6])[:, None]
    rays_o = np.array([[0.1, 0.02, -2.0]], dtype=np.float32)
    out = march(
        grid, rays_o, np.array([[0.0, 0.0, 1.0]], dtype=np.float32), MarchOptions(), crew, Workspace()
    )
    samples = 2 * resolution + 1  # both ends of the box have a sample
    length = samples * 0.5 / resolution
    colour = 0.5 + 0.28209479177387814 * np.array([0.4, 0.0, -0.6])
    assert np.allclose(out.rgb[0], colour * (1.0 - np.exp(-sigma * length)), atol=1e-5)
    assert np.allclose(out.over(1.0)[0], out.rgb[0] + np.exp(-sigma * length), atol=1e-5)
    assert abs(length - 1.0) < 0.01


def test_the_same_bits_for_any_number_of_threads_and_any_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    grid, rays = random_grid(2), random_rays(5 * N)
    target = np.random.default_rng(2).uniform(size=(5 * N, 3)).astype(np.float32)
    results = [gradients_of(grid, rays, target, Crew(threads)) for threads in (1, 2, 3)]
    assert all(
        np.array_equal(results[0][1].rows, other[1].rows) and results[0][0] == other[0] for other in results
    )
    monkeypatch.setattr("engine.cpu.march.BLOCK_SAMPLES", 3000)
    mse, blocks = gradients_of(grid, rays, target, Crew(2))
    assert mse == results[0][0]
    assert np.allclose(blocks.rows, results[0][1].rows, rtol=1e-4, atol=1e-7)


def test_given_gradients_of_colour_and_transmittance_pass_through(crew: Crew) -> None:
    grid, rays = random_grid(1), random_rays(N)
    v_rgb = np.random.default_rng(3).normal(size=(N, 3)).astype(np.float32)
    v_log_trans = np.random.default_rng(4).normal(size=N).astype(np.float32)
    wanted, density, _ = twin(grid, rays, MarchOptions())
    (
        (wanted.rgb * torch.tensor(v_rgb)).sum() + (wanted.log_trans * torch.tensor(v_log_trans)).sum()
    ).backward()
    seen = []

    def complete(
        first: int, last: int, rgb: np.ndarray, log_trans: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        seen.append((rgb.copy(), log_trans.copy()))
        return v_rgb[first:last], v_log_trans[first:last]

    _, gradients = gradients_of(grid, rays, complete, crew, LossTerms())
    assert np.abs(seen[0][0] - wanted.rgb.detach().numpy()).max() < VALUE
    v_density = density.grad.numpy()
    assert np.abs(gradients.rows[:, 12] - v_density).max() < GRADIENT * np.abs(v_density).max()


def test_no_rays_and_no_voxels_are_no_trouble(crew: Crew) -> None:
    grid, none = random_grid(0), np.zeros((0, 3), dtype=np.float32)
    assert march(grid, none, none, MarchOptions(), crew, Workspace()).rgb.shape == (0, 3)
    assert gradients_of(grid, (none, none), none, crew)[0] == 0.0
    empty = dense_grid((4, 4, 4), 0, keep=np.zeros((4, 4, 4), dtype=bool))
    out = march(empty, *random_rays(N), MarchOptions(), crew, Workspace())
    assert not out.rgb.any() and not out.log_trans.any()
