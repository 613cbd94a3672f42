# SPDX-License-Identifier: MIT
"""Proposals: the kernel against its readable twin, and what every set of samples must satisfy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.cpu.crew import Crew
from engine.cpu.lists import Workspace
from engine.cpu.occupancy import refresh, take_in
from engine.cpu.propose import propose, resample
from engine.cpu.route import route
from engine.node_occupancy import Occupancy, positions_in_cells
from engine.node_samples import ProposalOptions, Samples
from engine.node_tree import NodeTree
from engine.reference import propose as twin
from tests.cpu.node_trees import full, odd, patchy

CREW = Crew(1)
# 37 candidates: with 32 an axis-parallel ray's cells are exactly as long as the shortest piece, and rounding decides.
OPTIONS = ProposalOptions(samples=24, candidates=37, outside=8)
# The kernel looks for the next cell 1e-7 of a cell behind a face, which a piece of little chance magnifies; float32 adds 5e-7.
CLOSE = 1e-5


def _occupancy(tree: NodeTree, seed: int = 0, contracted: bool = True) -> Occupancy:
    """Return grids of 8^3 cells: most empty in whole regions, some dense, some never looked at."""
    rng, occupancy = np.random.default_rng(seed), Occupancy.fresh(tree.nodes, 8, contracted)
    shape = (tree.nodes, 8, 8, 8)
    coarse = np.kron(rng.random((tree.nodes, 4, 4, 4)), np.ones((1, 2, 2, 2))) < 0.3
    dense = coarse & (rng.random(shape) < 0.5)
    density = np.where(dense, rng.uniform(5.0, 80.0, shape), 0.1)
    density[coarse & (rng.random(shape) < 0.1)] = -1.0
    occupancy.density[:] = density.reshape(tree.nodes, -1)
    refresh(occupancy, CREW)
    return occupancy


def _rays(tree: NodeTree, n: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Return rays from outside and inside the cube, some along an axis, some that miss it."""
    rng = np.random.default_rng(seed)
    o = tree.centre + tree.half * rng.uniform(-2.5, 2.5, (n, 3))
    d = tree.centre + tree.half * rng.uniform(-0.9, 0.9, (n, 3)) - o
    d /= np.linalg.norm(d, axis=1, keepdims=True) * rng.uniform(0.7, 1.0, (n, 1))
    d[: n // 8] = np.eye(3)[rng.integers(0, 3, n // 8)]
    near, far = rng.uniform(0.0, 0.2, n), rng.uniform(2.0, 8.0, n)
    footprint = tree.root_gsd * 2.0 ** rng.uniform(-4.0, 1.0, n)
    names = ("rays_o", "rays_d", "near", "far", "footprint")
    return {name: a.astype(np.float32) for name, a in zip(names, (o, d, near, far, footprint))}


def _propose(
    tree: NodeTree, occupancy: Occupancy, rays: dict[str, np.ndarray], seed: int | None, options: ProposalOptions = OPTIONS,
    crew: Crew = CREW,
) -> Samples:  # fmt: skip
    return propose(tree, occupancy, **rays, options=options, seed=seed, crew=crew, room=Workspace())


@pytest.mark.parametrize("seed", [None, 11])
@pytest.mark.parametrize("contracted", [True, False], ids=["surrounded", "alone"])
@pytest.mark.parametrize("tree", [patchy(4), odd()], ids=["patchy", "odd"])
def test_the_kernel_places_the_samples_of_its_readable_twin(tree, contracted, seed):
    occupancy, rays = _occupancy(tree, 0, contracted), _rays(tree, 160)
    samples, unlike = _propose(tree, occupancy, rays, seed), 0
    for q in range(160):
        o, d, near, far, footprint = (array[q].astype(np.float64) for array in rays.values())
        pieces = twin.pieces_of_ray(tree, occupancy, o, d, near, far, footprint, OPTIONS)
        t, start, delta = twin.place(pieces, np.linalg.norm(d), OPTIONS, seed, q)
        mine = slice(*samples.offsets[q : q + 2])
        if len(t) != len(samples.t[mine]):
            unlike += 1
            continue
        assert np.allclose(samples.t[mine], t, rtol=CLOSE, atol=CLOSE)
        assert np.allclose(samples.start[mine], start, rtol=CLOSE, atol=CLOSE)
        assert np.allclose(samples.delta[mine], delta, rtol=1e-4, atol=CLOSE)
        node = twin.route(tree, o + t[:, None] * d, twin.jittered(footprint * t, seed, q))
        unlike += np.count_nonzero(node != samples.node[mine]) > 1
    assert len(samples) > 900
    outside = np.any(np.abs(samples.position - tree.centre) > tree.half * 1.001, axis=1)
    assert outside.any() == contracted
    # A count is a rounded sum: two rays in a hundred may stand on the edge between two numbers.
    assert unlike <= 3


def test_stretches_are_in_order_hold_their_samples_and_do_not_overlap():
    tree = patchy(4)
    rays = _rays(tree, 2000, seed=1)
    samples = _propose(tree, _occupancy(tree), rays, 3)
    counts = np.diff(samples.offsets)
    assert np.array_equal(samples.ray, np.repeat(np.arange(2000), counts)) and counts.max() <= OPTIONS.samples
    assert counts.min() == 0 and counts.max() > 8
    length = np.linalg.norm(rays["rays_d"].astype(np.float64), axis=1)[samples.ray]
    end = samples.start + samples.delta / length
    assert np.all(samples.t >= samples.start - CLOSE) and np.all(samples.t <= end + 5 * CLOSE)
    same = samples.ray[1:] == samples.ray[:-1]
    assert np.all((samples.start[1:] - end[:-1])[same] > -5 * CLOSE)
    where = rays["rays_o"][samples.ray] + samples.t[:, None] * rays["rays_d"][samples.ray]
    assert np.allclose(samples.position, where, atol=1e-6)
    assert np.all(samples.start >= rays["near"][samples.ray] - CLOSE) and np.all(
        end <= rays["far"][samples.ray] + 5 * CLOSE
    )


def test_every_sample_lies_where_something_may_be_and_with_the_node_of_its_footprint():
    tree = patchy(4)
    occupancy, rays = _occupancy(tree), _rays(tree, 2000, seed=2)
    samples = _propose(tree, occupancy, rays, None)
    radii = rays["footprint"][samples.ray] * samples.t
    assert np.array_equal(samples.node, route(tree, samples.position, radii, None, CREW))
    cells = twin.cells_of(tree, occupancy, samples.node, samples.position.astype(np.float64))
    inside = np.all(
        np.abs(samples.position) < 0.5, axis=1
    )  # beyond the cube a piece's middle speaks for all of it
    # a sample may fall beyond a face by rounding
    assert np.mean((occupancy.free[samples.node, cells] == 0)[inside]) > 0.999


def test_what_is_empty_gets_no_samples_and_what_nobody_saw_gets_them_everywhere():
    tree, rays = patchy(3), _rays(patchy(3), 300)
    empty = Occupancy.fresh(tree.nodes, 8)
    empty.density[:] = 0.0
    refresh(empty, CREW)
    assert len(_propose(tree, empty, rays, 1)) == 0
    unseen = _propose(tree, Occupancy.fresh(tree.nodes, 8), rays, 1, replace(OPTIONS, unseen_density=0.0))
    length = np.linalg.norm(rays["rays_d"], axis=1) * (rays["far"] - rays["near"])
    assert np.allclose(np.bincount(unseen.ray, unseen.delta, 300), length, rtol=1e-4)


def test_compositing_the_samples_approximates_the_integral_along_the_ray():
    tree = full(3)
    occupancy = Occupancy.fresh(tree.nodes, 16)
    middle = np.full((16**3, 3), 0.5)
    centre, sigma = np.array([0.07, -0.03, 0.02]), 6.0

    def density(x: np.ndarray) -> np.ndarray:
        return sigma * np.exp(-np.sum((x - centre) ** 2, axis=-1) / (2 * 0.05**2))

    for node in range(tree.nodes):
        nodes = np.full(16**3, node)
        at = positions_in_cells(tree, occupancy, nodes, np.arange(16**3), middle)
        take_in(tree, occupancy, nodes, at, density(at))
    refresh(occupancy, CREW, empty_density=1e-3)
    rays = _rays(tree, 400, seed=5)
    samples = _propose(tree, occupancy, rays, None, ProposalOptions(samples=64, stop=0.0))
    got = np.bincount(samples.ray, samples.delta * density(samples.position), 400)
    u = (np.arange(4000) + 0.5) / 4000
    t = rays["near"][:, None] + u * (rays["far"] - rays["near"])[:, None]
    x = rays["rays_o"][:, None] + t[..., None] * rays["rays_d"][:, None]
    length = np.linalg.norm(rays["rays_d"], axis=1) * (rays["far"] - rays["near"])
    wanted = density(x).mean(axis=1) * length
    assert wanted.max() > 0.5
    # midpoints of at most 64 stretches of a bell two cells wide: worst seen 0.004
    assert np.abs(got - wanted).max() < 0.01


def test_samples_are_the_same_for_any_number_of_threads_and_change_with_the_seed():
    tree = patchy(4)
    occupancy, rays = _occupancy(tree), _rays(tree, 1000, seed=7)
    one, two = _propose(tree, occupancy, rays, 5), _propose(tree, occupancy, rays, 5, crew=Crew(2))
    for name in ("offsets", "t", "delta", "node", "position", "ray", "start"):
        assert np.array_equal(getattr(one, name), getattr(two, name))
    other = _propose(tree, occupancy, rays, 6)
    assert np.array_equal(other.start, one.start)
    assert np.mean(other.t == one.t) < 0.01 and np.mean(other.node != one.node) > 0.02


def test_jitter_of_samples_stays_within_a_level():
    tree = full(4)
    rays = _rays(tree, 500, seed=8)
    samples = _propose(tree, Occupancy.fresh(tree.nodes, 8), rays, 4)
    inside = np.all(np.abs(samples.position) < 0.5, axis=1)
    radii = rays["footprint"][samples.ray] * samples.t
    plain = tree.depth[route(tree, samples.position, radii, None, CREW)].astype(int)
    moved = tree.depth[samples.node].astype(int) - plain
    assert set(np.unique(moved)) == {-1, 0, 1}
    # half of what is not held by the tree's ends moves, over a quarter of a level on average
    between = inside & (np.log2(tree.root_gsd / radii) > 0.5) & (np.log2(tree.root_gsd / radii) < 2.5)
    assert abs(np.mean(moved[between] != 0) - 0.25) < 0.03


def test_absent_nodes_are_stood_in_for_by_resident_ancestors():
    tree = patchy(4)
    resident = tree.depth < 2
    rays = _rays(tree, 500, seed=9)
    samples = propose(
        tree,
        _occupancy(tree),
        **rays,
        options=OPTIONS,
        seed=None,
        crew=CREW,
        room=Workspace(),
        resident=resident,
    )
    assert resident[samples.node].all() and len(samples) > 500
    radii = rays["footprint"][samples.ray] * samples.t
    assert np.array_equal(samples.node, route(tree, samples.position, radii, resident, CREW))


def test_resampling_covers_the_same_stretches_with_more_samples_where_the_weights_are():
    tree = patchy(4)
    rays = _rays(tree, 600, seed=10)
    occupancy = _occupancy(tree)
    samples = _propose(tree, occupancy, rays, 1)
    weights = np.where(np.random.default_rng(0).random(len(samples)) < 0.1, 0.5, 0.0).astype(np.float32)
    options = replace(OPTIONS, samples=40, spacing=0.1)
    again = resample(
        tree, occupancy, samples, weights, rays["rays_o"], rays["rays_d"], rays["footprint"], options, 2, CREW, Workspace(),
    )  # fmt: skip
    before, after = (np.bincount(s.ray, s.delta, 600) for s in (samples, again))
    assert np.allclose(before, after, rtol=1e-4, atol=1e-5)
    assert np.diff(again.offsets).max() <= 40
    old = (
        np.searchsorted(samples.start + 1e3 * samples.ray, again.start + 1e3 * again.ray + 1e-4, side="right")
        - 1
    )
    heavy = weights[np.maximum(old, 0)] > 0.0
    assert again.delta[heavy].mean() < 0.4 * again.delta[~heavy].mean()


def test_no_rays_and_a_root_alone_are_served():
    tree = full(1)
    none = {name: array[:0] for name, array in _rays(tree, 1).items()}
    assert len(_propose(tree, Occupancy.fresh(1, 8), none, None)) == 0
    samples = _propose(tree, Occupancy.fresh(1, 8), _rays(tree, 50), None)
    assert len(samples) > 50 and np.all(samples.node == 0)
