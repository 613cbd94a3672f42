# SPDX-License-Identifier: MIT
"""Parents agree with their children, and what nobody sees becomes transparent."""

from __future__ import annotations

import numpy as np
import torch

from engine.methods.infnerf.config import LossOptions
from engine.methods.infnerf.regularise import TAPS, Places, draw_places, level_and_transparency
from engine.node_tree import NodeTree
from engine.reference.node_losses import level_loss, transparency_loss

LENGTH = 0.5
OPTIONS = LossOptions(nodes=3, points=16)
# The root, four of its children, and two of the first one's.
DEPTH = np.array([0, 1, 1, 1, 1, 2, 2])
CELL = np.array([[0, 0, 0], [0, 0, 0], [0, 1, 0], [1, 0, 1], [1, 1, 1], [0, 0, 0], [1, 1, 0]])
TREE = NodeTree.of(np.zeros(3), 0.5, 1.0 / 32, DEPTH, CELL)


def places(options: LossOptions = OPTIONS, background: bool = False, seed: int = 4) -> Places:
    return draw_places(TREE, options, background, np.random.default_rng(seed))


def split(some: Places, density: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the densities of children's taps, of parents, and of the places that should be empty."""
    rows = density[: some.level_end].reshape(some.children, TAPS + 1, some.points)
    return rows[:, :TAPS], rows[:, TAPS], density[some.level_end :]


def test_places_lie_in_their_nodes_and_taps_one_sampling_distance_apart() -> None:
    some = places()
    assert (some.children, some.parents) == (6, 2)
    low, edge = TREE.lower(some.node), TREE.edge(some.node)[:, None]
    assert np.all((some.position >= low - 1e-6) & (some.position <= low + edge + 1e-6))
    taps = some.position[: some.level_end].reshape(some.children, TAPS + 1, some.points, 3)
    nodes = some.node[: some.level_end].reshape(some.children, TAPS + 1, some.points)
    assert np.array_equal(TREE.parent[nodes[:, 0]], nodes[:, TAPS])
    apart = np.linalg.norm(taps[:, 1:TAPS] - taps[:, :1], axis=-1)
    assert np.allclose(apart, TREE.gsd(TREE.depth[nodes[:, 1:TAPS]]), atol=1e-6)
    assert np.array_equal(taps[:, TAPS], taps[:, 0])


def test_only_a_root_with_a_background_looks_around_itself() -> None:
    far = places(LossOptions(level=0.0, nodes=7, points=500), background=True)
    outside = np.abs(far.position).max(axis=1) > 0.5
    assert outside[far.node == 0].mean() > 0.5 and not outside[far.node != 0].any()
    assert np.abs(places(LossOptions(level=0.0, nodes=7)).position).max() <= 0.5


def test_the_level_loss_vanishes_where_a_parent_is_the_mean_of_its_child() -> None:
    some, rng = places(LossOptions(transparency=0.0, nodes=3, points=16)), np.random.default_rng(0)
    density = rng.gamma(1.0, 4.0, len(some.node))
    rows = density.reshape(some.children, TAPS + 1, some.points)
    level, _, v_density = level_and_transparency(some, density, OPTIONS, LENGTH)
    assert level > 0.01
    rows[:, TAPS] = -np.log(np.exp(-rows[:, :TAPS] * LENGTH).mean(axis=1)) / LENGTH
    level, _, v_density = level_and_transparency(some, density, OPTIONS, LENGTH)
    assert level < 1e-30 and np.abs(v_density).max() < 1e-15


def test_losses_and_gradients_are_those_of_the_twin() -> None:
    some = places()
    density = np.random.default_rng(1).gamma(1.0, 4.0, len(some.node)).astype(np.float32)
    level, clear, v_density = level_and_transparency(some, density, OPTIONS, LENGTH)
    twin = torch.tensor(density, dtype=torch.float64, requires_grad=True)
    child, parent, empty = split(some, twin)
    twin_level, twin_clear = level_loss(child, parent, LENGTH, some.parents), transparency_loss(empty, LENGTH)
    (OPTIONS.level * twin_level + OPTIONS.transparency * twin_clear).backward()
    assert np.isclose(level, twin_level.item(), rtol=1e-12)
    assert np.isclose(clear, twin_clear.item(), rtol=1e-12)
    # Computed in float64 and rounded once: 6e-8 of a gradient's size.
    assert np.allclose(v_density, twin.grad.numpy(), rtol=1e-6, atol=1e-12)


def test_the_transparency_gradient_lowers_every_density_it_sees() -> None:
    some = places(LossOptions(level=0.0, nodes=7, points=32))
    density = np.random.default_rng(2).gamma(1.0, 2.0, len(some.node))
    _, before, v_density = level_and_transparency(some, density, OPTIONS, LENGTH)
    assert np.all(v_density > 0.0)
    _, after, _ = level_and_transparency(some, density - 1e3 * v_density, OPTIONS, LENGTH)
    assert after < before


def test_a_tree_of_one_node_has_no_level_loss() -> None:
    root = NodeTree.of(np.zeros(3), 0.5, 1.0 / 32, DEPTH[:1], CELL[:1])
    some = draw_places(root, OPTIONS, False, np.random.default_rng(0))
    assert some.children == some.level_end == 0 and len(some.node) == OPTIONS.points
    level, clear, v_density = level_and_transparency(some, np.ones(len(some.node)), OPTIONS, LENGTH)
    assert level == 0.0 and clear > 0.0 and np.isfinite(v_density).all()
