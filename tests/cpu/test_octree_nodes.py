# SPDX-License-Identifier: MIT
"""Rays walk through an octree's leaves: the same ones, from where to where, as a test of every ray against every box finds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.constants import NEAR
from engine.cpu.octree_nodes import NOTHING, RAY_NUMBERS, SPAN, WALK_STATE, next_leaf, node_table, start_walk
from engine.octree import Octree
from engine.reference.octree_rays import crossed_voxels
from tests.cpu.scenes import VIEWS, deep_octree, empty_octree, mixed_octree, one_voxel

TOLERANCE = 1e-9  # of t: both are float64
SLIVER = 1e-9  # segments shorter than this depend on rounding: they hold nothing


def walked(octree: Octree, origin: np.ndarray, direction: np.ndarray) -> tuple[list[int], np.ndarray]:
    """Return the leaves that a ray meets and their (t_in, t_out) [n,2]."""
    ray, state, span = np.zeros(RAY_NUMBERS), np.zeros(WALK_STATE, dtype=np.int64), np.zeros(SPAN)
    leaves, spans = [], []
    if start_walk(*origin, *direction, octree.root_size, NEAR, ray, state):
        while (leaf := next_leaf(node_table(octree), ray, state, span, 0)) >= 0:
            leaves.append(leaf)
            spans.append(span[:2].copy())
    return leaves, np.array(spans).reshape(-1, 2)


def rays_of(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return every third ray of a view, as t counts in z."""
    origins, directions = (a.reshape(-1, 3)[::3] for a in VIEWS[name].rays())
    return origins, directions / (directions @ VIEWS[name].forward)[:, None]


@pytest.mark.parametrize("name", VIEWS)
def test_a_ray_meets_the_leaves_it_crosses_in_order(name: str) -> None:
    for octree in (deep_octree(), mixed_octree(outside_levels=2)):
        origins, directions = rays_of(name)
        voxel, t_in, t_out = crossed_voxels(octree, torch.from_numpy(origins), torch.from_numpy(directions))
        for q in range(len(origins)):
            leaves, spans = walked(octree, origins[q], directions[q])
            keep = (t_out[q] - t_in[q] > SLIVER).numpy()
            kept = spans[:, 1] - spans[:, 0] > SLIVER
            assert [leaf for leaf, on in zip(leaves, kept, strict=True) if on] == voxel[q].numpy()[
                keep
            ].tolist()
            wanted = np.stack([t_in[q].numpy()[keep], t_out[q].numpy()[keep]], axis=1)
            np.testing.assert_allclose(spans[kept], wanted, atol=TOLERANCE)


def test_the_table_holds_every_leaf_once_and_every_node_but_the_root_once() -> None:
    octree = deep_octree()
    children = node_table(octree)
    leaves = np.sort(-2 - children[children < NOTHING])
    np.testing.assert_array_equal(leaves, np.arange(len(octree)))
    np.testing.assert_array_equal(np.sort(children[children > 0]), np.arange(1, len(children)))


def test_a_ray_through_nothing_meets_nothing() -> None:
    for octree in (empty_octree(), one_voxel()):
        assert walked(octree, np.array([-2.0, -0.3, -0.3]), np.array([1.0, 0.0, 0.0]))[0] == []
    assert walked(one_voxel(), np.array([-2.0, 0.3, 0.3]), np.array([-1.0, 0.0, 0.0]))[0] == []
    assert walked(one_voxel(), np.array([-2.0, 0.3, 0.3]), np.array([1.0, 0.0, 0.0]))[0] == [0]


def test_the_table_is_made_once_per_octree() -> None:
    octree = mixed_octree()
    assert node_table(octree) is node_table(octree)
