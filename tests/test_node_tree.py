# SPDX-License-Identifier: MIT
"""The tree of nodes as data: its order, its links, where its cubes lie, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from engine.node_tree import NodeTree
from tests.cpu.node_trees import odd, patchy


def test_nodes_are_in_order_of_depth_and_morton_key_whatever_the_order_they_came_in():
    tree = patchy()
    shuffled = np.random.default_rng(0).permutation(tree.nodes)
    again = NodeTree.of(tree.centre, tree.half, tree.root_gsd, tree.depth[shuffled], tree.cell[shuffled])
    for name in ("depth", "cell", "parent", "children"):
        assert np.array_equal(getattr(tree, name), getattr(again, name))
    assert np.all(np.diff(tree.depth) >= 0) and np.all(tree.parent[1:] < np.arange(1, tree.nodes))
    same = np.diff(tree.depth) == 0
    assert np.all(np.diff(tree.key)[same] > 0)
    assert tree.level_start.tolist() == [*np.searchsorted(tree.depth, np.arange(tree.levels)), tree.nodes]


def test_parents_and_children_name_each_other_and_children_halve_their_parents_cube():
    tree = odd()
    nodes = np.arange(1, tree.nodes)
    digit = (tree.cell[1:] & 1) @ np.array([4, 2, 1])
    assert np.array_equal(tree.children[tree.parent[1:], digit], nodes)
    assert np.count_nonzero(tree.children >= 0) == tree.nodes - 1
    offset = (tree.lower(nodes) - tree.lower(tree.parent[1:])) / tree.edge(nodes)[:, None]
    assert np.allclose(offset, tree.cell[1:] & 1, atol=1e-12)
    assert np.array_equal(tree.edge(nodes) * 2.0, tree.edge(tree.parent[1:]))
    assert np.array_equal(tree.gsd(tree.depth[1:]) * 2.0, tree.gsd(tree.depth[tree.parent[1:]]))


def test_the_root_is_the_cube():
    tree = odd()
    assert (
        np.allclose(tree.lower(np.array([0]))[0], tree.centre - tree.half)
        and tree.edge(np.array([0])) == 0.62
    )


def test_find_returns_a_cells_node_or_none():
    tree = patchy()
    for depth in range(tree.levels):
        rows = np.flatnonzero(tree.depth == depth)
        assert np.array_equal(tree.find(depth, tree.cell[rows]), rows)
        everywhere = np.stack(np.meshgrid(*[np.arange(-1, (1 << depth) + 1)] * 3, indexing="ij"), -1).reshape(
            -1, 3
        )
        assert np.count_nonzero(tree.find(depth, everywhere) >= 0) == len(rows)
    assert tree.find(tree.levels, np.zeros((1, 3))).tolist() == [-1]


def test_a_subset_keeps_its_nodes_and_says_who_they_were():
    tree = patchy()
    smaller, rows = tree.subset(tree.depth < 3)
    assert smaller.nodes == len(rows) == np.count_nonzero(tree.depth < 3) and smaller.levels == 3
    assert np.array_equal(smaller.cell, tree.cell[rows])
    with pytest.raises(ValueError, match="add the ancestors"):
        tree.subset(tree.depth != 1)


@pytest.mark.parametrize(
    ("depth", "cell", "message"),
    [
        ([0, 0], [[0, 0, 0], [0, 0, 0]], "one root"),
        ([1], [[0, 0, 0]], "one root"),
        ([0, 1], [[0, 0, 0], [2, 0, 0]], "within 0 .. 2"),
        ([0, 2], [[0, 0, 0], [3, 0, 0]], "have its parent"),
        ([0, 1, 1], [[0, 0, 0], [1, 0, 0], [1, 0, 0]], "drop the repeats"),
        ([0, 16], [[0, 0, 0], [1, 0, 0]], "depths must be 0 to 15"),
    ],
)
def test_what_is_no_tree_is_refused_by_its_reason(depth, cell, message):
    with pytest.raises(ValueError, match=message):
        NodeTree.of(np.zeros(3), 0.5, 0.01, depth, cell)
