# SPDX-License-Identifier: MIT
"""Total variation and the optimisers' steps on a GPU, run on the CPU: against numpy, and against the Numba kernels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.cpu.crew import Crew
from engine.cpu.grid_update import TV_EPSILON, adam_rows, add_total_variation, rmsprop_rows
from engine.cuda import march as cuda
from tests.cuda.test_march import SIZE, make_grid, on_host

pytestmark = pytest.mark.usefixtures("host_compiler")

CELLS = int(np.prod(SIZE))
WEIGHTS, EPS = (0.3, 0.02), (4.0 * TV_EPSILON, TV_EPSILON)
UNIT = 2.0  # of the densities: EPS is in its square
EXACT = 2e-6  # of the largest entry: sums in another order, a reciprocal root
STEPS = 2e-6  # of the largest change


def variation(
    values: np.ndarray, empty: np.ndarray | None, run: np.ndarray, weight: float, eps: float
) -> np.ndarray:
    """The published gradient for one channel [X,Y,Z] over the cells `run` (bool), each cell's own written out."""
    v = np.zeros(SIZE)
    for cell in zip(*np.nonzero(run), strict=True):
        if empty is not None and empty[cell]:
            continue
        difference, there = np.zeros(3), []
        for axis in range(3):
            other = tuple(c + (k == axis) for k, c in enumerate(cell))
            inside = other[axis] < SIZE[axis] and (empty is None or not empty[other])
            difference[axis] = values[other] - values[cell] if inside else 0.0
            there.append(other)
        slope = weight * difference * (np.array(SIZE) / 256.0) / np.sqrt((difference**2).sum() + eps)
        for axis in np.flatnonzero(slope):
            v[there[axis]] += slope[axis]
        v[cell] -= slope.sum()
    return v


@pytest.mark.parametrize(("start", "cells"), [(0, CELLS), (CELLS - 100, 170)], ids=["whole", "wrapping"])
def test_total_variation_has_the_published_gradient(start: int, cells: int) -> None:
    grid = make_grid(1)
    there = on_host(grid)
    into = cuda.Gradients.of(there)
    cuda.total_variation(there, into, WEIGHTS, EPS, start, cells)
    run = np.zeros(CELLS, dtype=bool)
    run[(start + np.arange(cells)) % CELLS] = True
    run, empty, keep = run.reshape(SIZE), grid.links < 0, grid.links >= 0
    table = np.where(keep, grid.density[grid.links], 0.0).astype(np.float64)
    exact = variation(table, None, run, WEIGHTS[0] / cells, EPS[0])[keep]
    assert np.abs(into.rows[:, 12].numpy() - exact).max() < EXACT * np.abs(exact).max()
    for k in (0, 7, 11):
        table = np.where(keep, grid.sh[grid.links, k], 0.0).astype(np.float64)
        exact = variation(table, empty, run, WEIGHTS[1] / cells, EPS[1])[keep]
        assert np.abs(into.rows[:, k].numpy() - exact).max() < EXACT * np.abs(exact).max()
    assert into.touched_rows()[into.rows.any(dim=1)].all()


@pytest.mark.parametrize(("start", "cells"), [(0, CELLS), (500, 900)], ids=["whole", "run"])
def test_total_variation_is_that_of_the_numba_kernels(start: int, cells: int) -> None:
    grid, crew = make_grid(2), Crew(1)
    rows, touched = np.zeros_like(grid.sh), np.zeros(grid.n_voxels, np.uint8)
    add_total_variation(
        crew,
        grid.links,
        grid.density,
        grid.sh,
        rows,
        touched,
        27,
        start,
        cells,
        (WEIGHTS[0] * UNIT, WEIGHTS[1]),
        UNIT,
    )
    crew.close()
    there = on_host(grid, checks=False)
    into = cuda.Gradients.of(there)
    cuda.total_variation(there, into, WEIGHTS, EPS, start, cells)
    assert np.abs(into.rows.numpy() - rows)[:, :27].max() < EXACT * np.abs(rows[:, :27]).max()
    assert np.abs(into.rows.numpy() - rows)[:, 27].max() < EXACT * np.abs(rows[:, 27]).max()
    assert np.array_equal(into.touched_rows().numpy(), touched.astype(bool))


def bits_of(rows: np.ndarray) -> torch.Tensor:
    """A bit per row, as the kernels set them."""
    return torch.from_numpy(np.packbits(np.pad(rows, (0, -len(rows) % 32)), bitorder="little").view(np.int32))


@pytest.mark.parametrize("adam", [False, True], ids=["rmsprop", "adam"])
def test_three_steps_are_those_of_the_numba_kernels(adam: bool) -> None:
    rng, grid, crew = np.random.default_rng(0), make_grid(2), Crew(1)
    n, width = grid.sh.shape
    rates = rng.uniform(1e-3, 1e-2, width).astype(np.float32)
    eps = np.full(width, 1e-8, np.float32)
    rates[27], rates[28:] = 3.0, 0.0
    mine = on_host(grid)
    mine.density, mine.sh = mine.density.clone(), mine.sh.clone()
    before = grid.density.copy(), grid.sh.copy()
    into = cuda.Gradients.of(mine)
    squares, means = torch.zeros((n, width)), torch.zeros((n, width)) if adam else None
    theirs = [np.zeros((n, width), np.float32) for _ in range(3)]
    for _ in range(3):
        touched = rng.random(n) < 0.5
        rows = (rng.normal(size=(n, width)) * touched[:, None]).astype(np.float32) * np.float32(1e-4)
        rows[:, 28:] = 0.0
        rows[rng.random((n, width)) < 0.1] = 0.0
        into.rows.copy_(torch.from_numpy(rows))
        into.touched.copy_(bits_of(touched))
        cuda.step(
            mine,
            into,
            squares,
            means,
            rates=torch.from_numpy(rates),
            eps=torch.from_numpy(eps),
            betas=(0.5, 0.95),
        )
        assert not into.rows.any() and not into.touched.any()
        flat = (grid.density, grid.sh.reshape(-1), theirs[0].reshape(-1))
        tail = rows.reshape(-1), touched.astype(np.uint8)
        beta1, beta2 = np.float32(0.5), np.float32(0.95)
        if adam:
            crew.run(adam_rows, *flat, theirs[1].reshape(-1), *tail, beta1, beta2, rates, eps, 27)
        else:
            crew.run(rmsprop_rows, *flat, *tail, beta2, rates, eps, 27)
    crew.close()
    for a, b, start in ((mine.density, grid.density, before[0]), (mine.sh, grid.sh, before[1])):
        moved = np.abs(b - start)
        assert np.abs(a.numpy() - b).max() < STEPS * max(moved.max(), np.abs(b).max())
        assert (moved > 0).mean() > 0.5
    assert np.abs(squares.numpy() - theirs[0]).max() < EXACT * theirs[0].max()


def test_the_first_step_of_rmsprop_is_the_rate_against_the_gradient() -> None:
    """(i) of the oracles: rate g / (|g| + eps), whatever the size of g; later ones are smaller where g shrinks."""
    grid = make_grid(0)
    mine = on_host(grid)
    into, squares = cuda.Gradients.of(mine), torch.zeros_like(mine.sh)
    before = mine.sh.clone()
    g = torch.logspace(-9, 2, grid.n_voxels)
    into.rows[:, 0] = g
    into.touched.copy_(bits_of(np.ones(grid.n_voxels, dtype=bool)))
    width = mine.stride
    cuda.step(
        mine,
        into,
        squares,
        None,
        rates=torch.full((width,), 0.01),
        eps=torch.full((width,), 1e-8),
        betas=(0.0, 0.95),
    )
    assert torch.allclose(before[:, 0] - mine.sh[:, 0], 0.01 * g / (g + 1e-8), atol=3e-7)
