# SPDX-License-Identifier: MIT
"""Rays through a regular grid: the Numba kernels against their twin, and both against plain geometry."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from engine.cpu import voxel_rays as cpu
from engine.cpu.crew import Crew
from engine.reference import voxel_rays as twin

SIDES = (5, 7, 4)
SAME = 1e-5  # places along a ray, float32 against float64; 4e-7 seen
CREW = Crew(2)


def rays(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return rays [n,3] from around the grid towards it, some along an axis, some from inside, some that miss."""
    rng = np.random.default_rng(seed)
    middle = np.array(SIDES) / 2.0 - 0.5
    o = middle + rng.normal(size=(n, 3)) * 8.0
    o[: n // 4] = middle + rng.uniform(-1.0, 1.0, (n // 4, 3))
    d = middle + rng.uniform(-3.0, 3.0, (n, 3)) - o
    d[::7] = np.eye(3)[rng.integers(3, size=len(d[::7]))] * rng.choice([-1.0, 1.0], size=(len(d[::7]), 1))
    return o, d / np.linalg.norm(d, axis=1, keepdims=True)


def grid(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return links of a grid with holes and its densities, some below 0."""
    rng = np.random.default_rng(seed)
    keep = rng.random(SIDES) < 0.7
    links = np.where(keep, np.cumsum(keep.reshape(-1)).reshape(SIDES) - 1, -1).astype(np.int32)
    return links, rng.uniform(-0.5, 1.0, int(keep.sum())).astype(np.float32)


def both_samples(o, d, world, bounds, step, threshold, stop, most):
    links, density = grid()
    found = cpu.live_samples(CREW, o, d, world, bounds, step, links, density, SIDES, threshold, stop, most)
    wanted = twin.live_samples(
        *(torch.from_numpy(a) for a in (o, d, world)), bounds, step, torch.from_numpy(links),
        torch.from_numpy(density).double(), threshold, stop, most,
    )  # fmt: skip
    return found, wanted


@pytest.mark.parametrize(
    ("bounds", "step", "threshold", "stop", "most"),
    [
        ((0.0, 1e9), 0.5, 1e-8, 0.0, 100),
        ((2.0, 9.0), 0.31, 0.2, 0.0, 100),
        ((0.0, 1e9), 0.5, 1e-8, 0.3, 100),
        ((0.0, 1e9), 0.5, 1e-8, 0.0, 3),
    ],
)
def test_samples_are_those_of_the_twin(bounds, step, threshold, stop, most):
    o, d = rays(300)
    world = np.random.default_rng(1).uniform(0.5, 2.0, len(o))
    (t, counts), (wanted, wanted_counts) = both_samples(o, d, world, bounds, step, threshold, stop, most)
    np.testing.assert_array_equal(counts, wanted_counts.numpy())
    assert counts.max() > 2
    there = np.arange(most) < counts[:, None]
    np.testing.assert_allclose(t[there], wanted.numpy()[there], atol=SAME)


def test_samples_stand_every_step_from_the_entry_wherever_there_is_density():
    """Against scipy's interpolation of a padded dense grid, one ray at a time."""
    o, d = rays(60)
    links, density = grid()
    dense = np.where(links >= 0, density[links.clip(min=0)], 0.0)
    t, counts = cpu.live_samples(
        CREW, o, d, np.ones(len(o)), (0.0, 1e9), 0.5, links, density, SIDES, 0.1, 0.0, 100
    )
    for ray in range(len(o)):
        with np.errstate(divide="ignore", invalid="ignore"):
            walls = np.stack([(-0.5 - o[ray]) / d[ray], (np.array(SIDES) - 0.5 - o[ray]) / d[ray]])
        still = d[ray] == 0.0
        low, high = np.where(still, -np.inf, walls.min(axis=0)), np.where(still, np.inf, walls.max(axis=0))
        first, last = max(low.max(), 0.0), high.min()
        inside = (o[ray] >= -0.5) & (o[ray] <= np.array(SIDES) - 0.5)
        places = (
            np.arange(first, last + 1e-9, 0.5) if (~still | inside).all() and last >= first else np.zeros(0)
        )
        points = o[ray] + places[:, None] * d[ray]
        values = map_coordinates(dense, points.T.reshape(3, -1), order=1, mode="nearest")
        np.testing.assert_allclose(t[ray, : counts[ray]], places[values > 0.1], atol=1e-4)


def test_a_dense_grid_needs_no_links():
    o, d = rays(100)
    density = np.random.default_rng(2).uniform(-0.5, 1.0, SIDES).astype(np.float32)
    links = np.arange(density.size, dtype=np.int32).reshape(SIDES)
    same = (CREW, o, d, np.ones(len(o)), (0.0, 1e9), 0.5)
    rest = (density, SIDES, 0.0, 0.0, 50)
    with_links, without = cpu.live_samples(*same, links, *rest), cpu.live_samples(*same, cpu.NO_LINKS, *rest)
    np.testing.assert_array_equal(with_links[1], without[1])
    there = np.arange(50) < without[1][:, None]
    np.testing.assert_array_equal(with_links[0][there], without[0][there])


@pytest.mark.parametrize("bounds", [(0.0, np.inf), (3.0, 8.0)])
def test_crossed_voxels_are_those_of_the_twin(bounds):
    o, d = rays(400, seed=3)
    d = d * np.random.default_rng(4).uniform(0.5, 2.0, (len(d), 1))
    voxel, t_in, t_out, counts = cpu.crossed_voxels(CREW, o, d, bounds, SIDES, 64)
    wanted = twin.crossed_voxels(torch.from_numpy(o), torch.from_numpy(d), bounds, SIDES, 64)
    np.testing.assert_array_equal(counts, wanted[3].numpy())
    np.testing.assert_array_equal(voxel, wanted[0].numpy())
    np.testing.assert_allclose(t_in, wanted[1].numpy(), atol=SAME)
    np.testing.assert_allclose(t_out, wanted[2].numpy(), atol=SAME)


def test_crossed_voxels_follow_one_another_and_hold_the_way_between():
    o, d = rays(200, seed=5)
    voxel, t_in, t_out, counts = cpu.crossed_voxels(CREW, o, d, (0.0, np.inf), SIDES, 64)
    assert counts.max() > 5
    for ray in range(len(o)):
        n = counts[ray]
        assert (voxel[ray, n:] == -1).all()
        np.testing.assert_allclose(t_in[ray, 1:n], t_out[ray, : max(n - 1, 0)], atol=SAME)
        assert (np.abs(np.diff(voxel[ray, :n], axis=0)).sum(axis=1) >= 1).all()
        middle = o[ray] + 0.5 * (t_in[ray, :n] + t_out[ray, :n])[:, None] * d[ray]
        assert (np.abs(middle - voxel[ray, :n]) <= 0.5 + 1e-4).all()


def test_no_more_voxels_are_given_than_asked_for():
    o, d = rays(100, seed=6)
    whole = cpu.crossed_voxels(CREW, o, d, (0.0, np.inf), SIDES, 64)
    short = cpu.crossed_voxels(CREW, o, d, (0.0, np.inf), SIDES, 2)
    np.testing.assert_array_equal(short[3], np.minimum(whole[3], 2))
    np.testing.assert_array_equal(short[0], whole[0][:, :2])


def test_no_rays_and_rays_that_miss_give_nothing():
    none = np.zeros((0, 3))
    assert cpu.crossed_voxels(CREW, none, none, (0.0, np.inf), SIDES, 4)[3].shape == (0,)
    away = np.array([[20.0, 0.0, 0.0]]), np.array([[1.0, 0.0, 0.0]])
    assert cpu.crossed_voxels(CREW, *away, (0.0, np.inf), SIDES, 4)[3].tolist() == [0]
    (_, counts), (_, twin_counts) = both_samples(*away, np.ones(1), (0.0, 1e9), 0.5, 0.0, 0.0, 8)
    assert counts.tolist() == twin_counts.tolist() == [0]
