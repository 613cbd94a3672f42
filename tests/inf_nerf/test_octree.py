# SPDX-License-Identifier: MIT
"""Which node evaluates a sample, where it lies there, and how the tree comes from points."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.cpu.counter_random import JITTER as JITTER_THERE
from engine.cpu.counter_random import draw as draw_there
from engine.inf_nerf import InfNeRF
from engine.inf_nerf.chance import JITTER, draw
from engine.inf_nerf.octree import footprint_radius
from engine.node_fields import unit_position
from engine.reference.route import route
from tests.inf_nerf.small import small_config, small_model


def samples(model: InfNeRF, n: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    positions = rng.uniform(-1.3, 1.3, (n, 3)).astype(np.float32)
    radii = model.tree.root_gsd * 2.0 ** rng.integers(-4, 2, n).astype(np.float64)
    radii[::2] *= rng.uniform(0.5, 2.0, len(radii[::2]))  # the others are exact powers of two
    return positions, radii


@pytest.mark.parametrize("part", [False, True])
def test_a_sample_goes_where_the_descent_leads(part):
    model = small_model()
    positions, radii = samples(model)
    resident = np.arange(model.tree.nodes) % 3 != 1 if part else None
    wanted = route(model.tree, positions, radii, resident)
    given = None if resident is None else torch.from_numpy(resident)
    found = model.octree.route(torch.from_numpy(positions), torch.from_numpy(radii), given).numpy()
    assert np.array_equal(found, wanted)
    assert set(found) == ({0} | set(np.flatnonzero(resident)) if part else set(range(model.tree.nodes)))


def test_pixels_twice_as_wide_ask_the_level_above():
    model = small_model()
    place = torch.tensor([[0.22, 0.22, 0.22]])
    levels = []
    for width in (1.0, 2.0, 4.0, 8.0):
        radius = footprint_radius(torch.tensor([1.0]), width, 0.55 / (0.25 * model.tree.root_gsd))
        levels.append(int(model.octree.depth[model.octree.route(place, radius)]))
    assert levels == [2, 1, 0, 0]


def test_where_a_child_is_missing_its_parent_renders():
    model = small_model()
    fine = torch.tensor([0.01 * model.tree.root_gsd])
    there, missing = (
        model.octree.route(torch.tensor([[x, 0.2, z]]), fine) for x, z in ((0.2, 0.2), (0.2, 0.8))
    )
    assert model.octree.depth[there] == 2
    assert model.octree.depth[missing] == 1
    assert model.tree.children[int(missing)].max() >= 0


@pytest.mark.parametrize("background", [False, True])
def test_places_in_nodes_are_those_of_the_kernels(background):
    model = small_model()
    positions, radii = samples(model)
    nodes = route(model.tree, positions, radii)
    wanted = unit_position(model.tree, nodes, positions, background)
    found = model.octree.unit(torch.from_numpy(nodes).long(), torch.from_numpy(positions), background)
    assert np.abs(found.numpy() - wanted).max() < 1e-6  # float32 of places in [0,1]


def test_random_numbers_are_those_of_the_kernels():
    rays, numbers = torch.tensor([0, 5, 99, 123_456]), torch.arange(3)
    found = draw(12_345, JITTER, rays, numbers)
    assert JITTER == JITTER_THERE
    for i, ray in enumerate(rays.tolist()):
        for k in range(3):
            assert float(found[i, k]) == pytest.approx(draw_there(12_345, JITTER_THERE, ray, k), abs=1e-7)


def test_the_tree_follows_the_points_and_max_depth_only_limits_it():
    model = InfNeRF(small_config(max_depth=8))
    assert model.tree.nodes == 1
    gsd = model.tree.root_gsd
    points = torch.tensor([[0.5, 0.5, 0.5], [-0.5, -0.5, -0.5]])
    assert model.build_octree(points, torch.tensor([0.3 * gsd, 2.0 * gsd])) == 3  # root, child, grandchild
    nodes = model.nodes()
    assert [node.depth for node in nodes] == [0, 1, 2]
    assert [node.gsd for node in nodes] == [gsd, gsd / 2, gsd / 4]
    assert nodes[1].center == (0.5, 0.5, 0.5) and nodes[1].extent == 1.0 and nodes[2].is_leaf
    assert nodes[0].children[7] == 1 and nodes[2].parent == 1
    assert len(model.fields.tables) == 3
    assert model.build_octree(points) == 1 + 2 * 7  # no radii: all the detail that max_depth allows
