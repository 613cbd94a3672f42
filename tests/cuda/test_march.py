# SPDX-License-Identifier: MIT
"""The marching kernels, run on the CPU, against the readable twin in float64 and autograd, and against the Numba kernels."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from engine.cpu import march as cpu
from engine.cpu.crew import Crew
from engine.cpu.lists import Workspace
from engine.cuda import march as cuda
from engine.reference import march as twin
from engine.voxel_grid import Grid, LossTerms, MarchOptions, row_stride
from tests.cuda.on_host import launcher

pytestmark = pytest.mark.usefixtures("host_compiler")

SIZE = (16, 11, 13)
OPTIONS = MarchOptions(stop_thresh=1e-4, near=0.047, far=2.0)
TERMS = LossTerms(background=0.7, beta=0.02, cauchy=1e-4, l1=2e-4)
PICTURE = 1e-5  # 2.6e-6 seen, of colours up to 5
LOG_TRANS = 3e-5  # 1.1e-5 seen, of sums up to 20
GRADIENT = 3e-5  # of the largest entry; 7e-6 seen, with cauchy
PENALTY = (
    1e-4  # 3e-5 seen: the slope of log(1 + 2 sigma^2) turns within a density of 1, of 60 and more around it
)


def make_grid(degree: int, seed: int = 0) -> Grid:
    """A box with lights of either sign, holes of one voxel, a hollow with an island in it, and skip distances."""
    rng = np.random.default_rng(seed)
    keep = rng.random(SIZE) < 0.9
    keep[3:14, 1:10, 1:12] = False
    keep[10:12, 4:6, 7:9] = True
    n = int(keep.sum())
    links = np.where(keep, np.cumsum(keep).reshape(SIZE) - 1, -1).astype(np.int32)
    for x, y, z in np.argwhere(~keep):
        k = 0
        while not keep[
            max(0, x - k - 1) : x + k + 2, max(0, y - k - 1) : y + k + 2, max(0, z - k - 1) : z + k + 2
        ].any():
            k += 1
        links[x, y, z] = -1 - k
    sh = np.zeros((n, row_stride(degree)), np.float32)
    sh[:, : 3 * (degree + 1) ** 2] = rng.normal(size=(n, 3 * (degree + 1) ** 2))  # many colours are clamped
    density = rng.normal(20.0, 60.0, n).astype(np.float32)
    return Grid(links, density, sh, degree, np.array([0.05, -0.1, 0.0]), np.array([0.5, 0.4, 0.6]))


def make_rays(n: int = 48) -> tuple[np.ndarray, np.ndarray]:
    """Rays from all around and from inside; three along an axis, one that misses."""
    rng = np.random.default_rng(1)
    o = rng.normal(size=(n, 3))
    o *= rng.uniform(0.0, 1.5, (n, 1)) / np.linalg.norm(o, axis=1, keepdims=True)
    d = rng.uniform(-0.3, 0.3, (n, 3)) - o
    o[:3], d[:3] = (
        [[0.01, 0.02, -0.31], [0.02, 0.15, -0.03], [0.3, -0.02, 0.01]],
        [[0, 0, 1], [0, -1, 0], [-1, 0, 0]],
    )
    o[3], d[3] = [2.0, 0.0, 0.0], [0.0, 0.1, 1.0]
    return o.astype(np.float32), (d / np.linalg.norm(d, axis=1, keepdims=True)).astype(np.float32)


RAYS_O, RAYS_D = make_rays()
TARGET = np.random.default_rng(2).random((len(RAYS_O), 3)).astype(np.float32)


def exact(grid: Grid, options: MarchOptions = OPTIONS) -> tuple[twin.MarchedRays, torch.Tensor, torch.Tensor]:
    """What the twin sees in float64, and the densities and coefficients that it was told."""
    density = torch.from_numpy(grid.density).double().requires_grad_()
    coefficients = torch.from_numpy(grid.coefficients.copy()).double().requires_grad_()
    rays = torch.from_numpy(RAYS_O).double(), torch.from_numpy(RAYS_D).double()
    return twin.march(grid, density, coefficients, *rays, options), density, coefficients


def on_host(grid: Grid, checks: bool = True, seed: int = 0) -> cuda.GridTensors:
    return cuda.GridTensors.of(grid, "cpu", launcher(checks, seed))


def rays() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(RAYS_O), torch.from_numpy(RAYS_D)


def worst(a: torch.Tensor | np.ndarray, b: torch.Tensor | np.ndarray) -> float:
    return float((torch.as_tensor(a).double() - torch.as_tensor(b).detach()).abs().max())


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_what_rays_see_is_what_the_twin_sees(degree: int) -> None:
    grid = make_grid(degree)
    seen, _, _ = exact(grid)
    there = on_host(grid)
    got = cuda.march(there, *rays(), cuda.option_tensor(OPTIONS, TERMS, there.device))
    assert worst(got.rgb, seen.rgb) < PICTURE and worst(got.depth, seen.depth) < PICTURE
    assert worst(got.log_trans, seen.log_trans) < LOG_TRANS
    assert np.array_equal(got.live.numpy(), seen.live.sum(dim=1).numpy())
    stopped = seen.log_trans < np.log(OPTIONS.stop_thresh)
    assert 5 < stopped.sum() < 40 and (seen.log_trans == 0.0).sum() > 0, "some rays stop, some meet nothing"


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_gradients_are_those_of_autograd(degree: int) -> None:
    grid = make_grid(degree)
    seen, density, coefficients = exact(grid)
    loss = twin.march_loss(seen, torch.from_numpy(TARGET).double(), TERMS)
    v_density, v_sh = torch.autograd.grad(loss, (density, coefficients))
    there = on_host(grid)
    into = cuda.Gradients.of(there)
    squared = cuda.march_gradients(there, *rays(), torch.from_numpy(TARGET), OPTIONS, TERMS, into)
    picture = seen.rgb + torch.exp(seen.log_trans)[:, None] * TERMS.background
    assert worst(squared, (picture - torch.from_numpy(TARGET)).square().mean()) < PICTURE
    n = there.column
    assert worst(into.rows[:, n], v_density) < GRADIENT * float(v_density.abs().max())
    assert worst(into.rows[:, :n], v_sh.flatten(1)) < GRADIENT * float(v_sh.abs().max())
    assert not into.rows[:, n + 1 :].any(), "padding hears nothing"
    assert (v_sh == 0.0).any(dim=(1, 2)).sum() > 10, "some channels are clamped"


@pytest.mark.parametrize("term", ["beta", "cauchy", "l1"])
def test_each_term_adds_its_own_gradient(term: str) -> None:
    """Alone and large, so that a wrong sign or factor shows."""
    grid, terms = make_grid(0), LossTerms(background=0.0, **{term: 3.0})
    seen, density, _ = exact(grid)
    loss = twin.march_loss(seen, seen.rgb.detach(), terms)
    (v_density,) = torch.autograd.grad(loss, density)
    there = on_host(grid, checks=False)
    into = cuda.Gradients.of(there)
    nothing = torch.zeros_like(rays()[0]), torch.zeros(len(RAYS_O))
    cuda.march_gradients(there, *rays(), lambda rgb, log_trans: nothing, OPTIONS, terms, into)
    assert worst(into.rows[:, 3], v_density) < PENALTY * float(v_density.abs().max())
    assert not into.rows[:, :3].any()


def test_a_picture_is_completed_by_others() -> None:
    """What stands behind the grid gives gradients of the picture and of the light that is left."""
    rng, grid = np.random.default_rng(3), make_grid(1)
    seen, density, coefficients = exact(grid)
    given = [torch.from_numpy(rng.normal(size=s).astype(np.float32)) for s in ((len(RAYS_O), 3), len(RAYS_O))]
    outcome = (seen.rgb * given[0]).sum() + (seen.log_trans * given[1]).sum()
    v_density, v_sh = torch.autograd.grad(outcome, (density, coefficients))
    there = on_host(grid, checks=False)
    into = cuda.Gradients.of(there)
    cuda.march_gradients(
        there, *rays(), lambda rgb, log_trans: (given[0], given[1]), OPTIONS, LossTerms(), into
    )
    assert worst(into.rows[:, 12], v_density) < GRADIENT * float(v_density.abs().max())
    assert worst(into.rows[:, :12], v_sh.flatten(1)) < GRADIENT * float(v_sh.abs().max())


def test_gradients_are_those_of_the_numba_kernels() -> None:
    grid, crew, room = make_grid(2), Crew(1), Workspace()
    theirs = cpu.GridGradients.of(grid)
    squared = cpu.march_gradients(grid, RAYS_O, RAYS_D, TARGET, OPTIONS, TERMS, theirs, crew, room)
    crew.close()
    there = on_host(grid, checks=False)
    into = cuda.Gradients.of(there)
    mine = cuda.march_gradients(there, *rays(), torch.from_numpy(TARGET), OPTIONS, TERMS, into)
    assert abs(float(mine) - squared) < PICTURE
    n = there.column
    assert np.array_equal(into.touched_rows().numpy(), theirs.touched.astype(bool))
    assert worst(into.rows[:, :n], theirs.rows[:, :n]) < GRADIENT * np.abs(theirs.rows[:, :n]).max()
    assert worst(into.rows[:, n], theirs.rows[:, n]) < GRADIENT * np.abs(theirs.rows[:, n]).max()


def test_leaping_over_empty_space_changes_no_bit() -> None:
    grid = make_grid(1)
    plain = dataclasses.replace(grid, links=np.maximum(grid.links, -1))
    assert grid.links.min() < -2
    seen = [
        cuda.march(g, *rays(), cuda.option_tensor(OPTIONS, TERMS, g.device))
        for g in (on_host(grid), on_host(plain))
    ]
    assert all(
        torch.equal(getattr(seen[0], name), getattr(seen[1], name)) for name in ("rgb", "log_trans", "depth")
    )


def test_the_heaviest_weight_of_a_voxel_is_that_of_its_samples() -> None:
    grid, options = make_grid(0), dataclasses.replace(OPTIONS, stop_thresh=0.2)
    seen, _, _ = exact(grid, options)
    origin = RAYS_O * grid.scale + grid.offset
    points = origin[:, None] + seen.t.detach().numpy()[..., None] * (RAYS_D * grid.scale)[:, None]
    low = np.minimum(np.clip(points, 0, np.array(SIZE) - 1).astype(int), np.array(SIZE) - 2)
    expected = np.zeros(grid.n_voxels)
    live = seen.live.numpy()
    for corner in np.ndindex(2, 2, 2):
        row = grid.links[tuple(np.moveaxis(low[live] + corner, -1, 0))]
        np.maximum.at(expected, row[row >= 0], seen.weight.detach().numpy()[live][row >= 0])
    there = on_host(grid)
    heaviest = torch.zeros(grid.n_voxels)
    cuda.heaviest_weights(there, *rays(), cuda.option_tensor(options, LossTerms(), there.device), heaviest)
    assert worst(heaviest, expected) < PICTURE
    assert 0.1 < (expected > 0).mean() < 0.9


def test_no_rays_and_an_empty_grid_are_nothing_special() -> None:
    grid = make_grid(1)
    empty = dataclasses.replace(
        grid,
        links=np.full(SIZE, -1, np.int32),
        density=np.zeros(0, np.float32),
        sh=np.zeros((0, 16), np.float32),
    )
    there, nobody = on_host(empty), on_host(grid)
    seen = cuda.march(there, *rays(), cuda.option_tensor(OPTIONS, TERMS, there.device))
    assert not seen.rgb.any() and not seen.log_trans.any()
    none = torch.zeros((0, 3))
    assert cuda.march(nobody, none, none, cuda.option_tensor(OPTIONS, TERMS, nobody.device)).rgb.shape == (
        0,
        3,
    )


def test_any_order_of_blocks_and_threads_gives_the_same_picture() -> None:
    grid = make_grid(2)
    seen = []
    for seed in (0, 1, 2):
        there = on_host(grid, seed=seed)
        seen.append(cuda.march(there, *rays(), cuda.option_tensor(OPTIONS, TERMS, there.device)).rgb)
    assert torch.equal(seen[0], seen[1]) and torch.equal(seen[0], seen[2])
