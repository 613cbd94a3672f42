# SPDX-License-Identifier: MIT
"""The optimisers against their formulas, total variation against its formula and against finite differences."""

from __future__ import annotations

import numpy as np
import pytest

from engine.cpu.crew import Crew
from engine.cpu.grid_update import TV_EPSILON, adam_rows, add_total_variation, rmsprop_rows

COLUMN, WIDTH = 27, 32
RATE, EPS = 0.1, 1e-3
ROUNDING = 2e-6  # a few float32 roundings of values near 1


class Rows:
    """A sparse grid with random values and gradients."""

    def __init__(self, size: tuple[int, int, int] = (7, 20, 9), share: float = 0.6, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        keep = self.rng.random(size) < share
        self.links = np.where(keep, np.cumsum(keep).reshape(size) - 1, -1).astype(np.int32)
        self.n = int(keep.sum())
        self.density = self.rng.normal(size=self.n).astype(np.float32)
        self.sh = np.zeros((self.n, WIDTH), np.float32)
        self.sh[:, :COLUMN] = self.rng.normal(size=(self.n, COLUMN))
        self.squares, self.means = np.zeros_like(self.sh), np.zeros_like(self.sh)
        self.v = np.zeros_like(self.sh)
        self.touched = np.zeros(self.n, np.uint8)

    def take_gradients(self, share: float) -> np.ndarray:
        """Touch some rows with random gradients and return a copy of them all."""
        self.touched[:] = self.rng.random(self.n) < share
        self.v[self.touched == 1, : COLUMN + 1] = self.rng.normal(size=(int(self.touched.sum()), COLUMN + 1))
        return self.v.copy()

    def variation(self, start: int, run: int, weights: tuple[float, float], threads: int = 1) -> np.ndarray:
        v, touched = np.zeros_like(self.v), np.zeros(self.n, np.uint8)
        add_total_variation(
            Crew(threads), self.links, self.density, self.sh, v, touched, COLUMN, start, run, weights
        )
        assert not v[touched == 0].any()
        return v


def step_sizes() -> tuple[np.ndarray, np.ndarray]:
    rate = np.where(np.arange(WIDTH) <= COLUMN, np.float32(RATE), np.float32(0.0))
    return rate.astype(np.float32), np.full(WIDTH, EPS, np.float32)


def rmsprop(rows: Rows, beta: float = 0.95) -> None:
    Crew(2).run(
        rmsprop_rows, rows.density, rows.sh.reshape(-1), rows.squares.reshape(-1), rows.v.reshape(-1), rows.touched,
        np.float32(beta), *step_sizes(), COLUMN,
    )  # fmt: skip


def adam(rows: Rows, beta1: float = 0.9, beta2: float = 0.95) -> None:
    Crew(2).run(
        adam_rows, rows.density, rows.sh.reshape(-1), rows.squares.reshape(-1), rows.means.reshape(-1),
        rows.v.reshape(-1), rows.touched, np.float32(beta1), np.float32(beta2), *step_sizes(), COLUMN,
    )  # fmt: skip


@pytest.mark.parametrize("step", [rmsprop, adam])
def test_the_first_step_of_a_row_is_its_rate_times_the_sign_nearly(step) -> None:  # type: ignore[no-untyped-def]
    rows = Rows()
    density, sh = rows.density.copy(), rows.sh.copy()
    v = rows.take_gradients(1.0)
    step(rows)
    moved = RATE * v / (np.abs(v) + EPS)
    assert np.allclose(rows.density, density - moved[:, COLUMN], atol=ROUNDING)
    assert np.allclose(rows.sh[:, :COLUMN], (sh - moved)[:, :COLUMN], atol=ROUNDING)
    assert not rows.sh[:, COLUMN:].any(), "the padding stays 0"


def test_rmsprop_blends_squares_from_the_second_step_on() -> None:
    rows = Rows()
    first = rows.take_gradients(1.0)
    rmsprop(rows, beta=0.75)
    density, sh = rows.density.copy(), rows.sh.copy()
    second = rows.take_gradients(1.0)
    rmsprop(rows, beta=0.75)
    squares = 0.75 * first**2 + 0.25 * second**2
    moved = RATE * second / (np.sqrt(squares) + EPS)
    assert np.allclose(rows.squares, squares, atol=ROUNDING)
    assert np.allclose(rows.density, density - moved[:, COLUMN], atol=ROUNDING)
    assert np.allclose(rows.sh[:, :COLUMN], (sh - moved)[:, :COLUMN], atol=ROUNDING)


def test_adam_blends_means_from_the_second_step_on() -> None:
    rows = Rows()
    first = rows.take_gradients(1.0)
    adam(rows, 0.5, 0.75)
    density, sh = rows.density.copy(), rows.sh.copy()
    second = rows.take_gradients(1.0)
    adam(rows, 0.5, 0.75)
    moved = RATE * (0.5 * first + 0.5 * second) / (np.sqrt(0.75 * first**2 + 0.25 * second**2) + EPS)
    assert np.allclose(rows.density, density - moved[:, COLUMN], atol=ROUNDING)
    assert np.allclose(rows.sh[:, :COLUMN], (sh - moved)[:, :COLUMN], atol=ROUNDING)
    assert not rows.sh[:, COLUMN:].any(), "the padding stays 0"


@pytest.mark.parametrize("step", [rmsprop, adam])
def test_rows_that_were_not_touched_stay_and_gradients_are_used_up(step) -> None:  # type: ignore[no-untyped-def]
    rows = Rows()
    density, sh = rows.density.copy(), rows.sh.copy()
    rows.take_gradients(0.4)
    touched = rows.touched == 1
    step(rows)
    assert (rows.density[~touched] == density[~touched]).all() and (rows.sh[~touched] == sh[~touched]).all()
    assert (rows.density[touched] != density[touched]).all()
    assert not rows.squares[~touched].any()
    assert not rows.touched.any() and not rows.v.any()


def variation_by_hand(rows: Rows, start: int, run: int, weights: tuple[float, float]) -> np.ndarray:
    """Return the gradient [N,WIDTH] cell by cell, as published."""
    size, v = np.array(rows.links.shape), np.zeros((rows.n, WIDTH))
    scale = size / 256.0
    for i in range(run):
        place = np.array(np.unravel_index((start + i) % rows.links.size, rows.links.shape))
        row = int(rows.links[tuple(place)])
        beside = [place + step for step in np.eye(3, dtype=int)]
        inside = [bool((p < size).all()) for p in beside]
        found = [int(rows.links[tuple(p)]) if ok else -1 for p, ok in zip(beside, inside, strict=True)]
        centre = rows.density[row] if row >= 0 else 0.0
        d = np.array(
            [
                (rows.density[q] if q >= 0 else 0.0) - centre if ok else 0.0
                for q, ok in zip(found, inside, strict=True)
            ]
        )
        slope = weights[0] / run * scale * d / np.sqrt((d * d).sum() + TV_EPSILON)
        e = np.array([rows.sh[q] - rows.sh[row] if q >= 0 and row >= 0 else np.zeros(WIDTH) for q in found])
        slopes = weights[1] / run * scale[:, None] * e / np.sqrt((e * e).sum(axis=0) + TV_EPSILON)
        slopes[:, COLUMN] += slope
        for axis, q in enumerate(found):
            if q >= 0:
                v[q] += slopes[axis]
        if row >= 0:
            v[row] -= slopes.sum(axis=0)
    return v


@pytest.mark.parametrize("start, run", [(0, 1260), (1160, 300), (50, 1000), (17, 5)])
def test_total_variation_is_the_published_formula_on_any_run_of_cells(start: int, run: int) -> None:
    rows = Rows()
    v = rows.variation(start, run, (1.0, 2.0))
    wanted = variation_by_hand(rows, start, run, (1.0, 2.0))
    assert np.abs(wanted).max() > 0.0
    assert np.allclose(v, wanted, atol=1e-5 * np.abs(wanted).max())


def test_full_total_variation_of_a_cubic_grid_is_a_gradient() -> None:
    """Where all axes have one scale, the published formula is the derivative of the mean of scaled norms."""
    rows, side, h = Rows((6, 6, 6), share=1.0), 6, 1e-4
    values = rows.density.astype(np.float64).reshape(side, side, side)

    def total(grid: np.ndarray) -> float:
        squares = np.full(grid.shape, TV_EPSILON)
        for axis in range(3):
            ahead = np.diff(grid, axis=axis, append=np.take(grid, [-1], axis=axis))
            squares += ahead**2
        return float(np.sqrt(squares).mean()) * side / 256.0

    v = rows.variation(0, values.size, (1.0, 0.0))[:, COLUMN].reshape(values.shape)
    for place in [(0, 0, 0), (2, 3, 4), (5, 5, 5), (5, 0, 2)]:
        more, less = values.copy(), values.copy()
        more[place] += h
        less[place] -= h
        assert v[place] == pytest.approx((total(more) - total(less)) / (2 * h), rel=1e-3, abs=1e-7)


def test_total_variation_is_the_same_for_any_number_of_threads() -> None:
    rows = Rows((9, 40, 11))
    assert np.array_equal(rows.variation(0, 3960, (1.0, 1.0)), rows.variation(0, 3960, (1.0, 1.0), threads=4))


def test_flat_colours_and_what_lies_outside_the_grid_have_no_variation() -> None:
    rows = Rows(share=1.0)
    rows.density[:], rows.sh[:, :COLUMN] = 3.0, 0.5
    assert not rows.variation(0, rows.n, (1.0, 1.0)).any()
