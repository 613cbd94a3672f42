# SPDX-License-Identifier: MIT
"""The sparse grid: where its voxels are, and what resampling, pruning and distances make of it."""

from __future__ import annotations

import numpy as np
import pytest

from engine.cpu.crew import Crew
from engine.methods.plenoxels.grid import (
    dense_grid,
    dilate,
    from_dense,
    keep_mask,
    links_of,
    pruned,
    resampled,
    resampled_density,
    sphere_mask,
    to_dense,
    with_distances,
)


@pytest.fixture(scope="module")
def crew() -> Crew:
    return Crew(2)


def grid_coordinates(resolution: tuple[int, ...]) -> np.ndarray:
    return np.stack(np.meshgrid(*[np.arange(r, dtype=float) for r in resolution], indexing="ij"), axis=-1)


def test_the_box_is_covered_by_half_voxel_borders_and_there_and_back_is_identity() -> None:
    grid = dense_grid((8, 4, 2), center=(0.1, 0.2, 0.3), radius=(0.5, 1.0, 0.25))
    low = grid.world_from_grid(np.array([-0.5, -0.5, -0.5]))
    high = grid.world_from_grid(np.array([7.5, 3.5, 1.5]))
    assert np.allclose(low, [-0.4, -0.8, 0.05]) and np.allclose(high, [0.6, 1.2, 0.55])
    points = np.random.default_rng(0).normal(size=(20, 3))
    assert np.allclose(grid.grid_from_world(grid.world_from_grid(points)), points)


def test_coefficients_are_a_channel_major_view_of_the_rows() -> None:
    grid = dense_grid((2, 2, 2), degree=2)
    grid.coefficients[3, 1, 4] = 7.0
    assert grid.sh.shape == (8, 32) and grid.sh[3, 9 + 4] == 7.0 and grid.sh.sum() == 7.0


def test_distances_are_the_steps_to_the_nearest_row() -> None:
    keep = np.random.default_rng(0).uniform(size=(13, 17, 11)) < 0.004
    links = with_distances(links_of(keep))
    at = grid_coordinates(keep.shape)
    steps = np.abs(at[..., None, :] - np.argwhere(keep)).max(axis=-1).min(axis=-1)
    assert np.array_equal(np.maximum(-links, 0), steps) and links.min() < -3
    assert np.array_equal(links >= 0, keep)


def test_twice_the_resolution_keeps_a_linear_field_inside(crew: Crew) -> None:
    grid = dense_grid((8, 6, 10), degree=1, center=(0.1, 0.0, 0.0), radius=(0.5, 0.4, 0.6))
    slope = np.array([1.0, -2.0, 3.0])
    world = grid.world_from_grid(grid_coordinates(grid.resolution)).reshape(-1, 3)
    grid.density[:] = world @ slope + 5.0
    grid.coefficients[:, 1, 2] = world @ slope - 1.0
    dense = resampled_density(grid, (16, 12, 20), crew)
    fine = resampled(grid, dense, np.ones(dense.shape, dtype=bool), crew)
    inside = (slice(1, -1),) * 3  # the outermost half voxel has nothing to interpolate towards
    wanted = (fine.world_from_grid(grid_coordinates(fine.resolution)) @ slope)[inside]
    assert np.abs(to_dense(fine, fine.density)[inside] - wanted - 5.0).max() < 1e-5
    assert np.abs(to_dense(fine, fine.coefficients[:, 1, 2])[inside] - wanted + 1.0).max() < 1e-5


def test_resampling_reads_empty_voxels_as_zero_and_drops_what_is_not_kept(crew: Crew) -> None:
    keep = np.zeros((4, 4, 4), dtype=bool)
    keep[1, 1, 1] = True
    grid = dense_grid((4, 4, 4), degree=0, density=8.0, keep=keep)
    grid.coefficients[:] = 4.0
    dense = resampled_density(grid, (8, 8, 8), crew)
    assert np.isclose(dense[2, 2, 2], 8.0 * 0.75**3) and np.isclose(dense[1, 2, 3], 8.0 * 0.25 * 0.75**2)
    assert dense[5, 2, 2] == 0.0 and np.count_nonzero(dense) == 64
    fine = resampled(grid, dense, dense > 1.5, crew)
    assert (
        fine.n_voxels == 8 and np.allclose(fine.coefficients, 4.0 * 0.75**3) and fine.resolution == (8, 8, 8)
    )


def test_a_sphere_bound_keeps_about_half_of_the_cube() -> None:
    mask = sphere_mask((64, 64, 64))
    world = (grid_coordinates((64, 64, 64)) + 0.5) / 32.0 - 1.0
    reach = np.linalg.norm(world, axis=-1)
    assert mask[reach < 1.0].all() and not mask[reach > 1.0 + np.sqrt(3.0) / 64 + 1e-9].any()
    assert abs(sphere_mask((256,) * 3).mean() - 0.534) < 5e-4, "the published share"


def test_dilation_grows_a_voxel_to_the_block_around_it() -> None:
    mask = np.zeros((9, 9, 9), dtype=bool)
    mask[4, 4, 4] = mask[0, 0, 8] = True
    grown = dilate(mask, 2)
    assert grown[2:7, 2:7, 2:7].all() and grown[:3, :3, 6:].all() and grown.sum() == 125 + 27 - 1
    assert mask.sum() == 2, "the mask itself stays"


def test_the_cap_keeps_the_best_and_the_threshold_holds_below_it() -> None:
    score = np.random.default_rng(0).permutation(1000).reshape(10, 10, 10).astype(np.float32)
    assert np.array_equal(keep_mask(score, 700.0, 1000, dilation=0), score >= 700)
    assert np.array_equal(keep_mask(score, 700.0, 50, dilation=0), score >= 950)


def test_pruning_moves_rows_and_says_where_they_came_from(crew: Crew) -> None:
    grid = dense_grid((4, 4, 4), degree=0, keep=np.arange(64).reshape(4, 4, 4) % 3 > 0)
    grid.density[:] = np.arange(grid.n_voxels) + 1.0
    grid.coefficients[:] = grid.density[:, None, None]
    keep = np.arange(64).reshape(4, 4, 4) % 2 == 0
    small, row_from = pruned(grid, keep)
    before, after = to_dense(grid, grid.density), to_dense(small, small.density)
    assert np.array_equal(after, np.where(keep, before, 0.0))
    assert np.array_equal(small.coefficients[:, 2, 0], small.density)
    assert np.array_equal(row_from[row_from >= 0], grid.links[keep][grid.links[keep] >= 0])
    assert (small.density[row_from < 0] == 0.0).all() and (row_from < 0).any()


def test_a_grid_for_cameras_has_the_densities_that_are_not_zero() -> None:
    grid = dense_grid((3, 3, 3))
    dense = np.zeros((6, 6, 6), dtype=np.float32)
    dense[2, 3, 4], dense[0, 0, 0] = 5.0, -1.0
    made = from_dense(grid, dense)
    assert (
        made.n_voxels == 2
        and made.density[made.links[2, 3, 4]] == 5.0
        and np.array_equal(made.radius, grid.radius)
    )
