# SPDX-License-Identifier: MIT
"""Points find their leaves through the node table, and a ray its leaves in order: both as a plain search does."""

from __future__ import annotations

import numpy as np
import pytest

from engine.cpu.octree_walk import find_points, node_table, table_depth, walk_ray
from engine.octree import Octree


def mixed_octree(outside=0):
    """Return leaves of several levels with holes between them."""
    rng = np.random.default_rng(7)
    octree = Octree.dense(2, outside)
    for share in (0.4, 0.3):
        octree, _ = octree.subdivide(rng.random(len(octree)) < share)
    octree, _ = octree.keep(rng.random(len(octree)) < 0.7)
    return octree


def walked(octree, origin, direction, t_near=0.0, most=1000):
    voxels, spans = np.empty(most, dtype=np.int32), np.empty((most, 2))
    n = walk_ray(
        np.asarray(origin, float), np.asarray(direction, float), octree.path, octree.level, octree.root_size,
        t_near, voxels, spans,
    )  # fmt: skip
    return voxels[:n], spans[:n]


@pytest.mark.parametrize("outside", [0, 2])
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_points_are_found_whatever_the_tables_depth(outside, depth):
    octree = mixed_octree(outside)
    edge = octree.root_size
    points = np.random.default_rng(1).uniform(-0.6 * edge, 0.6 * edge, (3000, 3))
    points = np.concatenate(
        [points, octree.center[:50].astype(float), octree.point_position[:50].astype(float)]
    )
    found = np.empty(len(points), dtype=np.int32)
    find_points(points, octree.path, octree.level, node_table(octree.path, depth), depth, edge, found)
    assert np.array_equal(found, octree.find(points))
    assert (found >= 0).sum() > 100 < (found < 0).sum()


def test_the_table_is_no_larger_than_the_leaves():
    assert [table_depth(n) for n in (1, 1000, 300_000, 10**9)] == [1, 2, 5, 7]
    for n in (5_000, 100_000, 2_000_000):
        assert 8 ** table_depth(n) <= n / 8


@pytest.mark.parametrize("outside", [0, 2])
def test_a_ray_meets_what_slab_tests_find_in_order(outside):
    octree, rng = mixed_octree(outside), np.random.default_rng(2)
    low = octree.center.astype(float) - 0.5 * octree.size[:, None]
    high = low + octree.size[:, None]
    met = 0
    for _ in range(60):
        origin = rng.uniform(-0.8, 0.8, 3) * octree.root_size
        direction = rng.uniform(-0.4, 0.4, 3) - origin
        ends = np.stack([(low - origin) / direction, (high - origin) / direction])
        t_in, t_out = np.maximum(ends.min(axis=0).max(axis=1), 0.0), ends.max(axis=0).min(axis=1)
        wanted = np.flatnonzero(t_out > t_in)
        voxels, spans = walked(octree, origin, direction)
        assert set(voxels) == set(wanted)
        assert len(set(voxels)) == len(voxels)
        np.testing.assert_allclose(spans, np.stack([t_in, t_out], axis=1)[voxels], atol=1e-9)
        assert np.all(spans[1:, 0] >= spans[:-1, 1] - 1e-9)
        met += len(voxels)
    assert met > 200


def test_a_ray_along_an_axis_and_one_past_everything():
    octree = Octree.dense(2)
    voxels, spans = walked(octree, (-2.0, 0.1, 0.1), (1.0, 0.0, 0.0))
    assert np.allclose(spans, [[1.5 + 0.25 * k, 1.75 + 0.25 * k] for k in range(4)])
    assert len(walked(octree, (-2.0, 3.0, 0.1), (1.0, 0.0, 0.0))[0]) == 0
    assert len(walked(octree, (-2.0, 0.1, 0.1), (-1.0, 0.0, 0.0))[0]) == 0
    assert np.array_equal(walked(octree, (-2.0, 0.1, 0.1), (1.0, 0.0, 0.0), t_near=1.9)[0], voxels[1:])
    assert len(walked(octree, (-2.0, 0.1, 0.1), (1.0, 0.0, 0.0), most=2)[0]) == 2
