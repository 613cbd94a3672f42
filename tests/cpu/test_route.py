# SPDX-License-Identifier: MIT
"""Routing: the closed form against the published recursion, and what a missing or absent node means."""

from __future__ import annotations

import numpy as np
import pytest

from engine.cpu.crew import Crew
from engine.cpu.route import jitter, route
from engine.node_tree import NodeTree
from engine.reference.route import route as recursion
from tests.cpu.node_trees import full, odd, patchy

CREW = Crew(1)


def _samples(tree: NodeTree, n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return positions, one in eight outside the cube, and radii over more octaves than the tree has levels."""
    rng = np.random.default_rng(seed)
    positions = tree.centre + tree.half * rng.uniform(-1.04, 1.04, (n, 3))
    radii = tree.root_gsd * 2.0 ** rng.uniform(-tree.levels - 1, 2, n)
    return positions.astype(np.float32), radii.astype(np.float32)


@pytest.mark.parametrize("tree", [patchy(), odd(), full(1)], ids=["patchy", "odd", "root only"])
def test_the_closed_form_equals_the_recursion(tree):
    positions, radii = _samples(tree, 100_000)
    assert np.array_equal(route(tree, positions, radii, None, CREW), recursion(tree, positions, radii))


def test_a_radius_of_exactly_a_levels_gsd_belongs_to_that_level():
    tree = full(4)
    positions = np.zeros((8, 3), np.float32)
    exact = np.ldexp(tree.root_gsd, np.array([1, 0, -1, -2, -3, -4, -5, -6])).astype(np.float32)
    assert tree.depth[route(tree, positions, exact, None, CREW)].tolist() == [0, 0, 1, 2, 3, 3, 3, 3]
    just_below = np.nextafter(exact, np.float32(0))
    assert tree.depth[route(tree, positions, just_below, None, CREW)].tolist() == [0, 1, 2, 3, 3, 3, 3, 3]


def test_doubling_the_pixel_width_moves_every_interior_sample_one_level_up():
    tree = full(5)
    rng = np.random.default_rng(1)
    positions = rng.uniform(-0.5, 0.5, (20_000, 3)).astype(np.float32)
    radii = (tree.root_gsd * 2.0 ** rng.uniform(-4.0, 0.0, 20_000)).astype(np.float32)
    fine, coarse = (route(tree, positions, k * radii, None, CREW) for k in (np.float32(1), np.float32(2)))
    assert tree.depth[fine].min() >= 1
    assert np.array_equal(tree.parent[fine], coarse)


def test_where_a_child_is_missing_its_parent_takes_the_samples():
    tree = NodeTree.of(np.zeros(3), 0.5, 1 / 256, [0, 1, 2], [[0, 0, 0], [1, 1, 1], [2, 3, 2]])
    positions = np.array([[0.1, 0.3, 0.1], [0.3, 0.3, 0.1], [-0.1, 0.3, 0.1], [0.3, 0.3, 0.7]], np.float32)
    assert route(tree, positions, np.full(4, 1e-9, np.float32), None, CREW).tolist() == [2, 1, 0, 0]


def test_an_absent_node_is_stood_in_for_by_its_nearest_resident_ancestor():
    tree = odd()
    positions, radii = _samples(tree, 20_000, seed=2)
    resident = np.random.default_rng(3).random(tree.nodes) < 0.5
    resident[0] = True
    nodes = route(tree, positions, radii, resident, CREW)
    wanted = route(tree, positions, radii, None, CREW)
    for _ in range(tree.levels):
        wanted = np.where(resident[wanted], wanted, tree.parent[wanted])
    assert np.array_equal(nodes, wanted)
    assert np.array_equal(nodes, recursion(tree, positions, radii, resident))


def test_every_sample_has_one_node_that_holds_it():
    tree = patchy()
    positions, radii = _samples(tree, 20_000, seed=4)
    nodes = route(tree, positions, radii, None, CREW)
    assert np.bincount(nodes, minlength=tree.nodes).sum() == len(positions)
    below = nodes > 0
    offset = (positions[below] - tree.lower(nodes[below])) / tree.edge(nodes[below])[:, None]
    assert offset.min() >= 0.0 and offset.max() < 1.0


def test_a_footprint_finer_than_anything_built_gets_the_finest_there_is():
    tree = patchy()
    positions, _ = _samples(tree, 5000, seed=5)
    finest = route(tree, positions, np.full(5000, float(tree.gsd(tree.levels - 1)), np.float32), None, CREW)
    for radius in (1e-3 * float(tree.gsd(tree.levels - 1)), 0.0):
        assert np.array_equal(finest, route(tree, positions, np.full(5000, radius, np.float32), None, CREW))


def test_jitter_is_half_a_level_either_way_and_a_function_of_seed_ray_and_sample():
    rays, numbers = np.repeat(np.arange(200), 50), np.tile(np.arange(50), 200)
    ones = np.ones(10_000, np.float32)
    first = jitter(ones, 7, rays, numbers, CREW)
    octaves = np.log2(first)
    assert octaves.min() >= -0.5 and octaves.max() <= 0.5
    # 10,000 uniform draws: the mean's deviation is 0.0029, a quantile's at most 0.005; four of them
    assert abs(octaves.mean()) < 0.012 and abs(np.quantile(octaves, 0.25) + 0.25) < 0.02
    shuffled = np.random.default_rng(0).permutation(10_000)
    assert np.array_equal(first[shuffled], jitter(ones, 7, rays[shuffled], numbers[shuffled], Crew(2)))
    assert np.mean(first == jitter(ones, 8, rays, numbers, CREW)) < 0.01
    assert np.mean(first == jitter(ones, 7, rays + 1, numbers, CREW)) < 0.01
    assert np.mean(first == jitter(ones, 7, rays, numbers + 1, CREW)) < 0.01
    assert np.array_equal(jitter(ones, None, rays, numbers, CREW), ones)
