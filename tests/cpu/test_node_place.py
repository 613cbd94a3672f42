# SPDX-License-Identifier: MIT
"""Places in the unit cubes of nodes: the kernel against numpy, and where the contraction puts what is far away."""

from __future__ import annotations

import numpy as np
import pytest

from engine.cpu.crew import Crew
from engine.cpu.node_place import place_in_nodes
from engine.node_fields import unit_position
from engine.node_tree import NodeTree

ROUNDING = 1e-6  # float32 of values up to 1


@pytest.fixture(scope="module")
def tree():
    cells = np.array([[0, 0, 0], [0, 1, 0], [1, 1, 1], [3, 2, 3]])
    return NodeTree.of(np.array([0.1, 0.0, -0.2]), 0.5, 0.01, np.array([0, 1, 1, 2]), cells)


@pytest.mark.parametrize("background", [True, False])
def test_the_kernel_finds_the_places_of_numpy(tree, background):
    rng, crew = np.random.default_rng(0), Crew(2)
    nodes = rng.integers(0, 4, 3000).astype(np.int32)
    positions = rng.normal(size=(3000, 3)).astype(np.float32)
    found = place_in_nodes(tree, nodes, positions, crew, background=background)
    crew.close()
    assert np.abs(found - unit_position(tree, nodes, positions, background)).max() < ROUNDING
    assert found.min() >= 0.0 and found.max() <= 1.0 and found.dtype == np.float32


def test_a_nodes_cube_becomes_the_unit_cube(tree):
    nodes = np.arange(1, 4, dtype=np.int32)
    low, edge = tree.lower(nodes), tree.edge(nodes)[:, None]
    assert np.abs(unit_position(tree, nodes, low)).max() < ROUNDING
    assert np.abs(unit_position(tree, nodes, low + edge) - 1.0).max() < ROUNDING
    assert np.abs(unit_position(tree, nodes, low + 0.25 * edge) - 0.25).max() < ROUNDING


def test_the_roots_cube_becomes_the_middle_half_and_far_away_the_rim(tree):
    root = np.zeros(4, dtype=np.int32)
    offsets = np.array([[-0.5, -0.5, -0.5], [0.5, 0.0, 0.0], [1.0, 0.5, 0.0], [-1e9, 0.0, 0.0]])
    found = unit_position(tree, root, tree.centre + offsets)
    wanted = [[0.25] * 3, [0.75, 0.5, 0.5], [0.875, 0.6875, 0.5], [0.0, 0.5, 0.5]]
    assert np.abs(found - wanted).max() < ROUNDING


def test_without_a_background_the_root_is_a_cube_like_any_other(tree):
    root, corners = np.zeros(2, dtype=np.int32), tree.centre + np.array([[-0.5] * 3, [0.25, 0.5, 9.0]])
    found = unit_position(tree, root, corners, background=False)
    assert np.abs(found - [[0.0] * 3, [0.75, 1.0, 1.0]]).max() < ROUNDING
