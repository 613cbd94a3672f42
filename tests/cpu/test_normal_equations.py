# SPDX-License-Identifier: MIT
"""Many small least-squares fits at once, against numpy's."""

from __future__ import annotations

import numpy as np

from engine.cpu.normal_equations import add_rows, solved
from engine.sh import sh_basis

VOXELS, ROWS, TERMS = 3, 50, 4
ROUNDING = 1e-4  # sums in float32 of 50 rows; worst seen 2e-6


def fitted(directions: np.ndarray, weight: np.ndarray, colour: np.ndarray, ridge: float) -> np.ndarray:
    """Fit voxels seen along directions [ROWS,VOXELS,3], a view a row."""
    normal = np.zeros((VOXELS + 1, TERMS * (TERMS + 1) // 2), np.float32)
    right = np.zeros((VOXELS + 1, TERMS, 3), np.float32)
    voxels = np.arange(VOXELS, dtype=np.int32)[::-1].copy()
    for n in range(ROWS):
        basis = sh_basis(directions[n, ::-1], 1).astype(np.float32)
        add_rows(voxels, basis, weight[n, ::-1].copy(), colour[n, ::-1].copy(), normal, right)
    return solved(normal, right, ridge, chunk=2)


def drawn() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    directions = random.normal(size=(ROWS, VOXELS, 3))
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    weight = random.random((ROWS, VOXELS), dtype=np.float32)
    return directions, weight, random.random((ROWS, VOXELS, 3), dtype=np.float32)


def test_a_fit_without_a_pull_is_the_weighted_least_squares_of_its_rows() -> None:
    directions, weight, colour = drawn()
    found = fitted(directions, weight, colour, 0.0)
    for v in range(VOXELS):
        root = np.sqrt(weight[:, v, None])
        expected = np.linalg.lstsq(root * sh_basis(directions[:, v], 1), root * colour[:, v], rcond=None)[0]
        np.testing.assert_allclose(found[v], expected, atol=ROUNDING)


def test_a_voxel_that_nobody_sees_has_no_colour_of_its_own() -> None:
    assert (fitted(*drawn(), 0.02)[VOXELS] == 0.0).all()


def test_a_voxel_seen_from_one_side_alone_keeps_its_mean_and_guesses_nothing_wild() -> None:
    directions, weight, colour = drawn()
    directions = np.array([0.0, 0.6, 0.8]) + 1e-3 * directions
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    found = fitted(directions, weight, colour, 0.02)
    for v in range(VOXELS):
        mean = np.average(colour[:, v], axis=0, weights=weight[:, v])
        np.testing.assert_allclose((sh_basis(directions[:, v], 1) @ found[v]).mean(axis=0), mean, atol=0.03)
    assert np.abs(found[:, 1:]).max() < 1.0
    assert np.abs(fitted(directions, weight, colour, 0.0)[:, 1:]).max() > 5.0  # what the pull is for
