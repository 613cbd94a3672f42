# SPDX-License-Identifier: MIT
"""Products of small matrices against numpy's, with every way to finish a block and any strides."""

from __future__ import annotations

import numpy as np
import pytest

from engine.cpu.tile_matmul import multiply, multiply_add, multiply_gated, multiply_relu

ROUNDING = 2e-6  # of sums of up to 40 products of order one; worst seen 1e-6, float32

FINISHES = {
    "plain": (multiply, lambda product, before, gate: product),
    "relu": (multiply_relu, lambda product, before, gate: np.maximum(product, 0.0)),
    "gated": (multiply_gated, lambda product, before, gate: np.where(gate > 0.0, product, 0.0)),
    "added": (multiply_add, lambda product, before, gate: before + product),
}


@pytest.mark.parametrize("finish", FINISHES)
@pytest.mark.parametrize(("rows", "steps", "columns"), [(8, 1, 16), (16, 3, 32), (24, 40, 48), (32, 16, 80)])
@pytest.mark.parametrize("transposed", [False, True])
def test_products_are_numpys(finish, rows, steps, columns, transposed):
    rng = np.random.default_rng(rows + columns)
    left = rng.normal(size=(steps, rows + 2) if transposed else (rows, steps + 2)).astype(np.float32)
    right = rng.normal(size=(steps, columns + 5)).astype(np.float32)
    out, gate = (rng.normal(size=(rows, columns + 3)).astype(np.float32) for _ in range(2))
    kernel, wanted = FINISHES[finish]
    a = left[:, :rows].T if transposed else left[:, :steps]
    exact = wanted(
        a.astype(np.float64) @ right[:, 2 : 2 + columns].astype(np.float64), out[:, 1 : 1 + columns], gate[:, 1 : 1 + columns]
    )  # fmt: skip
    rest = out[:, [0, -2, -1]].copy()
    strides = (1, left.shape[1]) if transposed else (left.shape[1], 1)
    kernel(
        left.reshape(-1), 0, *strides, right.reshape(-1), 2, right.shape[1], steps, out.reshape(-1), 1, out.shape[1], rows,
        columns, gate.reshape(-1),
    )  # fmt: skip
    assert np.abs(out[:, 1 : 1 + columns] - exact).max() < ROUNDING * np.sqrt(steps + 1)
    assert np.array_equal(out[:, [0, -2, -1]], rest)
