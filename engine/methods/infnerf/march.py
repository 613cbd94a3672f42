# SPDX-License-Identifier: MIT
"""What rays see of a tree of fields: samples are proposed, routed to their nodes, evaluated node by node and composited."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from engine.cpu.composite import composite
from engine.cpu.crew import Crew
from engine.cpu.lists import Workspace
from engine.cpu.node_field import forward
from engine.cpu.propose import propose, resample
from engine.cpu.route import route
from engine.methods.infnerf.config import SamplingOptions, parse_rounds
from engine.methods.infnerf.field_tree import FieldTree
from engine.methods.infnerf.rays import Rays, near_and_far
from engine.node_samples import ProposalOptions, Samples
from engine.node_tree import NodeTree

_NO_LIGHT = np.zeros(3, dtype=np.float32)


@dataclass(frozen=True)
class MarchOptions:
    """How rays are marched: `rounds` are numbers of samples of earlier rounds, which the fields themselves evaluate."""

    proposal: ProposalOptions
    rounds: tuple[int, ...] = ()
    near: float = 0.0
    far: float = 16.0  # in scenes with surroundings; else rays end where they leave the cube
    jitter: bool = True  # whether a seed also changes footprints, within half a level


@dataclass(frozen=True)
class Marched:
    """What Q rays see.

    `rgb [Q,3]` with the background, `trans [Q]` what is left of the light; sums of weight times something, not divided by
    opacity: `depth [Q]` of t, `level [Q]` of the nodes' depths, `size [Q]` of what they resolve; `median [Q]` the t at which
    half the light is gone, 0 where it never is. `samples` and their `weights [M]`; `touched` int32, the nodes whose fields were
    evaluated, ascending; `wanted` int32, those that would have been if all were there.
    """

    rgb: np.ndarray
    trans: np.ndarray
    depth: np.ndarray
    median: np.ndarray
    level: np.ndarray
    size: np.ndarray
    samples: Samples
    weights: np.ndarray
    touched: np.ndarray
    wanted: np.ndarray
    shown: np.ndarray  # int32 [M], the node whose field each sample was evaluated by

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays by name, those per sample too."""
        packed = {
            name: getattr(self.samples, name) for name in ("offsets", "t", "delta", "node", "position", "ray")
        }
        own = {k: v for k, v in vars(self).items() if k != "samples"}
        return own | packed


def march_options(options: SamplingOptions, tree: NodeTree, samples: int) -> MarchOptions:
    """Return how rays are marched through a tree, with so many samples each at most."""
    edge = 2.0 * tree.half
    proposal = ProposalOptions(
        samples=samples, spacing=options.spacing, candidates=options.candidates, outside=options.outside,
        padding=options.padding, stop=options.stop_trans,
    )  # fmt: skip
    rounds = parse_rounds(options.rounds)
    return MarchOptions(proposal, rounds, options.near * edge, options.far * edge, options.jitter)


def directions_of(rays_d: np.ndarray) -> np.ndarray:
    """Return directions [Q,3] at unit length."""
    return rays_d / np.linalg.norm(rays_d, axis=1, keepdims=True)


def place_samples(
    scene: FieldTree, rays: Rays, options: MarchOptions, seed: int | None, crew: Crew, room: Workspace,
) -> Samples:  # fmt: skip
    """Return where along the rays fields are to be asked, each place with its node.

    A seed moves samples within their stretches and footprints within half a level; without one nothing is random.
    """
    far = options.far if scene.background else None
    near, far_t = near_and_far(rays.rays_o, rays.rays_d, scene.tree, options.near + rays.back, far)
    if rays.mine is not None:
        first, last = rays.mine
        far_t[:first], far_t[last:] = near[:first], near[last:]
    counts = (*options.rounds, options.proposal.samples)
    kinds = [replace(options.proposal, samples=count) for count in counts]
    samples = propose(
        scene.tree, scene.occupancy, rays.rays_o, rays.rays_d, near, far_t, rays.footprint, kinds[0], seed, crew, room
    )  # fmt: skip
    for number, kind in enumerate(kinds[1:], 1):
        density = scene.density(samples.node, samples.position, crew, room)
        empty = np.zeros((len(samples), 3), dtype=np.float32)
        weights = composite(
            samples.offsets, density, empty, samples.t, samples.delta, _NO_LIGHT, crew
        ).weights
        again = None if seed is None else seed + number
        samples = resample(
            scene.tree,
            scene.occupancy,
            samples,
            weights,
            rays.rays_o,
            rays.rays_d,
            rays.footprint,
            kind,
            again,
            crew,
            room,
        )
    if seed is not None and not options.jitter:
        radii = rays.footprint[samples.ray] * samples.t
        samples.node = route(scene.tree, samples.position, radii, None, crew)
    return samples


def march(
    scene: FieldTree,
    rays: Rays,
    options: MarchOptions,
    background: np.ndarray,  # [3] or [Q,3]
    crew: Crew,
    room: Workspace,
    appearance: np.ndarray | None = None,  # [Q,A]
) -> Marched:
    """Return what rays see. Nothing is random: the same fields give the same bits, wherever they lie."""
    samples = place_samples(scene, rays, options, None, crew, room)
    inputs = scene.inputs(
        samples.node, samples.position, crew, samples.ray, directions_of(rays.rays_d), appearance
    )
    seen = forward(scene.fields, inputs, crew, room)
    done = composite(samples.offsets, seen.density, seen.rgb, samples.t, samples.delta, background, crew)
    shown = scene.shown(samples.node)
    depth = scene.tree.depth[shown]
    count = len(rays.rays_o)
    level = np.bincount(samples.ray, weights=done.weights * depth, minlength=count)
    size = np.bincount(samples.ray, weights=done.weights * scene.tree.gsd(depth), minlength=count)
    touched, wanted = (_present(nodes, scene.tree.nodes) for nodes in (shown, samples.node))
    return Marched(
        done.rgb, done.trans, done.depth, _medians(samples, done.weights), level.astype(np.float32),
        size.astype(np.float32), samples, done.weights, touched, wanted, shown,
    )  # fmt: skip


def _present(nodes: np.ndarray, count: int) -> np.ndarray:
    """Return which of `count` nodes are among some [M], int32, ascending."""
    return np.flatnonzero(np.bincount(nodes, minlength=count)).astype(np.int32)


def _medians(samples: Samples, weights: np.ndarray) -> np.ndarray:
    """Return the t float32 [Q] of the sample at which half the light is gone, 0 where it never is."""
    total = np.concatenate([[0.0], np.cumsum(weights, dtype=np.float64)])
    first, last = samples.offsets[:-1], samples.offsets[1:]
    at = np.searchsorted(total, total[first] + 0.5, side="left") - 1
    there = (at >= first) & (at < last)
    return np.where(there, samples.t[np.where(there, at, 0)] if len(samples) else 0.0, 0.0).astype(np.float32)
