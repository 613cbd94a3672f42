# SPDX-License-Identifier: MIT
"""The nodes' grids of densities: what samples and fading do to them, and what rays are told is empty."""

from __future__ import annotations

import numpy as np
import pytest

from engine.cpu.crew import Crew
from engine.cpu.occupancy import EMPTY_DENSITY, MEAN_SHARE, probes, refresh, take_in
from engine.node_occupancy import Occupancy, positions_in_cells
from engine.reference.propose import cells_of
from tests.cpu.node_trees import odd, patchy

CREW = Crew(1)


def test_a_cell_nobody_saw_counts_as_occupied():
    occupancy = Occupancy.fresh(5, 8)
    refresh(occupancy, CREW)
    assert not occupancy.seen.any() and occupancy.occupied_share == 1.0


def test_the_densest_sample_of_a_cell_counts_and_fades_until_it_is_confirmed():
    tree, occupancy = patchy(3), Occupancy.fresh(patchy(3).nodes, 8)
    rng = np.random.default_rng(0)
    nodes = rng.integers(0, tree.nodes, 3000).astype(np.int32)
    cells = rng.integers(0, 64, 3000)
    positions = positions_in_cells(tree, occupancy, nodes, cells, rng.uniform(0.01, 0.99, (3000, 3)))
    sigma = rng.uniform(0.0, 9.0, 3000).astype(np.float32)
    take_in(tree, occupancy, nodes, positions, sigma)
    wanted = np.full((tree.nodes, 512), -1.0)
    np.maximum.at(wanted, (nodes, cells), sigma)
    assert np.array_equal(occupancy.density, wanted.astype(np.float32))
    refresh(occupancy, CREW, decay=0.5)
    assert np.allclose(occupancy.density, np.where(wanted >= 0.0, 0.5 * wanted, wanted), rtol=1e-6)
    take_in(tree, occupancy, nodes, positions, sigma)
    assert np.array_equal(occupancy.density, wanted.astype(np.float32))


@pytest.mark.parametrize("resolution", [4, 16])
def test_free_names_the_largest_empty_aligned_cube_up_to_an_octant(resolution):
    rng, occupancy = np.random.default_rng(1), Occupancy.fresh(40, resolution)
    density = rng.uniform(0.0, 1e-3, occupancy.density.shape)
    full = rng.random(density.shape) < rng.choice([0.0, 0.002, 0.05], (40, 1))
    density[full] = 50.0
    density[full & (rng.random(density.shape) < 0.5)] = -1.0
    occupancy.density[:] = density
    refresh(occupancy, Crew(2))
    assert 1e-3 < occupancy.threshold < EMPTY_DENSITY
    blocked = ((density < 0.0) | (density > occupancy.threshold)).reshape(
        40, resolution, resolution, resolution
    )
    wanted = np.zeros(blocked.shape, int)
    for s in range(int(np.log2(resolution))):
        n = resolution >> s
        split = blocked.reshape(40, n, 1 << s, n, 1 << s, n, 1 << s)
        empty = np.kron(~split.any(axis=(2, 4, 6)), np.ones((1, 1 << s, 1 << s, 1 << s), bool))
        wanted[empty] = s + 1
    assert np.array_equal(occupancy.free.reshape(wanted.shape), wanted)
    assert len(np.unique(wanted)) == int(np.log2(resolution)) + 1


def test_while_all_is_faint_the_threshold_follows_the_mean():
    occupancy = Occupancy.fresh(2, 4)
    occupancy.density[0] = 0.4
    refresh(occupancy, CREW)
    assert occupancy.threshold == pytest.approx(0.4 * MEAN_SHARE) and occupancy.occupied_share == 1.0
    occupancy.density[0, :32] = 1000.0
    refresh(occupancy, CREW)
    assert occupancy.threshold == EMPTY_DENSITY and occupancy.occupied_share == pytest.approx(96 / 128)


@pytest.mark.parametrize("contracted", [True, False])
def test_a_position_in_a_cell_leads_back_to_the_cell_also_beyond_the_cube(contracted):
    tree = odd()
    rng, occupancy = np.random.default_rng(2), Occupancy.fresh(tree.nodes, contracted=contracted)
    nodes = np.concatenate([np.zeros(2000, int), rng.integers(0, tree.nodes, 2000)])
    cells = rng.integers(0, 4096, 4000)
    positions = positions_in_cells(tree, occupancy, nodes, cells, rng.uniform(0.01, 0.99, (4000, 3)))
    assert np.array_equal(cells_of(tree, occupancy, nodes, positions.astype(np.float64)), cells)
    outside = np.any(np.abs(positions[:2000] - tree.centre) > tree.half, axis=1)
    assert abs(outside.mean() - (7 / 8 if contracted else 0.0)) < 0.03
    take_in(tree, occupancy, nodes.astype(np.int32), positions, np.ones(4000, np.float32))
    assert np.array_equal(np.unique(nodes * 4096 + cells), np.flatnonzero(occupancy.seen.reshape(-1)))


def test_probes_look_at_occupied_cells_and_everywhere():
    tree, occupancy = patchy(3), Occupancy.fresh(patchy(3).nodes, 8)
    occupancy.density[:] = 0.0
    occupancy.density[3, 17] = 100.0
    refresh(occupancy, CREW)
    nodes, positions = probes(tree, occupancy, 1000, np.random.default_rng(0), occupied_share=0.25)
    there = (nodes == 3) & (cells_of(tree, occupancy, nodes, positions.astype(np.float64)) == 17)
    assert occupancy.occupied().tolist() == [3 * 512 + 17]
    assert 250 <= np.count_nonzero(there) <= 253 and len(np.unique(nodes)) == tree.nodes
    occupancy.density[5, 1] = 100.0
    refresh(occupancy, CREW)
    assert occupancy.occupied().tolist() == [3 * 512 + 17, 5 * 512 + 1]
