# SPDX-License-Identifier: MIT
"""Samples for one ray, readably: cut it wherever anything may change, ask each part's middle, place samples. float64.

Slow on purpose: it crosses every face of the finest grid and walks down the tree for every part. See `engine/cpu/propose.py`
for the fast form, and `engine/node_samples.py` for what the options mean.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from engine.node_occupancy import Occupancy
from engine.node_samples import ProposalOptions
from engine.node_tree import NodeTree
from engine.reference.route import route

_JITTER, _PLACE = 1, 2


@dataclass
class Piece:
    """A part of a ray in which something may be: z-depths of its ends, weight, steps it holds, whether a gap is before it."""

    begin: float
    end: float
    weight: float
    steps: float
    after_gap: bool
    chance: float = 0.0


def draw(seed: int, stream: int, a: int, b: int) -> float:
    """Return the number in [0, 1) that belongs to four integers (splitmix64, see `engine/cpu/counter_random.py`)."""
    whole = (1 << 64) - 1

    def mix(x: int) -> int:
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & whole
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & whole
        return x ^ (x >> 31)

    x = mix((seed * 0x9E3779B97F4A7C15 + stream) & whole)
    x = mix((x + a * 0xC2B2AE3D27D4EB4F) & whole)
    return (mix((x + b * 0xD6E8FEB86659FD93) & whole) >> 11) * 2.0**-53


def contracted(half_edges: np.ndarray) -> np.ndarray:
    """Return positions [n,3], in half edges from the centre, after the L-infinity contraction into [-2, 2]^3."""
    most = np.maximum(np.abs(half_edges).max(axis=1, keepdims=True), 1.0)
    return half_edges * (2.0 - 1.0 / most) / most


def cells_of(tree: NodeTree, occupancy: Occupancy, nodes: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Return which cell [n] of their nodes' grids holds positions [n,3]."""
    unit = (positions - tree.lower(nodes)) / tree.edge(nodes)[:, None]
    root = (nodes == 0) & occupancy.contracted
    resolution = occupancy.resolution
    unit[root] = (contracted((positions[root] - tree.centre) / tree.half) + 2.0) / 4.0
    index = np.clip(np.floor(unit * resolution).astype(int), 0, resolution - 1)
    return (index[:, 0] * resolution + index[:, 1]) * resolution + index[:, 2]


def pieces_of_ray(
    tree: NodeTree, occupancy: Occupancy, o: np.ndarray, d: np.ndarray, near: float, far: float, footprint: float,
    options: ProposalOptions,
) -> list[Piece]:  # fmt: skip
    """Return where along o + t d, t in [near, far], something may be."""
    low, high = tree.centre - tree.half, tree.centre + tree.half
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = (low - o) / d, (high - o) / d
    enter, leave = max(near, np.max(np.minimum(a, b))), min(far, np.min(np.maximum(a, b)))
    enter, leave = (far, far) if leave <= enter else (enter, leave)
    cuts = [
        *_cuts_outside(tree, near, enter, np.linalg.norm(d), options),
        *_cuts_inside(tree, occupancy.resolution, o, d, enter, leave, footprint),
        *_cuts_outside(tree, leave, far, np.linalg.norm(d), options),
    ]
    return _cached_pieces(tree, occupancy, o, d, enter, leave, footprint, cuts, options)


def _cuts_outside(
    tree: NodeTree, begin: float, end: float, length: float, options: ProposalOptions
) -> list[tuple[float, float]]:
    """Return parts whose ends are even in 1 / (1 + distance from begin, in half edges)."""
    if end <= begin:
        return []
    half = tree.half / length
    disparity = np.linspace(1.0, half / (half + end - begin), options.outside + 1)
    t = begin + half * (1.0 / disparity - 1.0)
    return list(itertools.pairwise(t))


def _cuts_inside(
    tree: NodeTree, resolution: int, o: np.ndarray, d: np.ndarray, begin: float, end: float, footprint: float
) -> list[tuple[float, float]]:
    """Return parts between the faces of the finest cells and the depths at which the footprint asks for another level."""
    if end <= begin:
        return []
    finest = resolution << (tree.levels - 1)
    faces = tree.centre - tree.half + 2.0 * tree.half * np.arange(finest + 1)[:, None] / finest
    with np.errstate(divide="ignore", invalid="ignore"):
        t = ((faces - o) / d).reshape(-1)
    t = np.concatenate([t, tree.gsd(np.arange(tree.levels)) / footprint])
    t = np.unique(np.concatenate([[begin], t[(t > begin) & (t < end)], [end]]))
    return list(itertools.pairwise(t))


def _cached_pieces(
    tree: NodeTree, occupancy: Occupancy, o: np.ndarray, d: np.ndarray, enter: float, leave: float, footprint: float,
    cuts: list[tuple[float, float]], options: ProposalOptions,
) -> list[Piece]:  # fmt: skip
    """Join parts of one cell, leave out what is empty, weigh the rest front to back, join what is short."""
    if not cuts:
        return []
    begins, ends = np.array(cuts).T
    middle = 0.5 * (begins + ends)
    positions = o + middle[:, None] * d
    inside = (middle > enter) & (middle < leave)
    nodes = np.where(inside, route(tree, positions, footprint * middle), 0)
    cells = cells_of(tree, occupancy, nodes, positions)
    length, trans, pieces, gap, i = np.linalg.norm(d), 1.0, [], True, 0
    while i < len(cuts) and trans >= options.stop:
        last = i
        while inside[i] and last + 1 < len(cuts) and inside[last + 1] and (
            (nodes[last + 1], cells[last + 1]) == (nodes[i], cells[i])
        ):  # fmt: skip
            last += 1
        density = float(occupancy.density[nodes[i], cells[i]])
        nothing = not inside[i] and not occupancy.contracted
        if nothing or 0.0 <= density <= occupancy.threshold:
            gap = True
        else:
            density = options.unseen_density if density < 0.0 else density
            span = (ends[last] - begins[i]) * length
            alpha = min(1.0 - np.exp(-density * span), options.most_alpha)
            stretch = 2.0 if nodes[i] == 0 and occupancy.contracted else 1.0
            if not inside[i]:
                stretch = 2.0 * (np.abs(positions[i] - tree.centre).max() / tree.half) ** 2
            steps = span / (options.spacing * float(tree.gsd(tree.depth[nodes[i]])) * stretch)
            shortest = (leave - enter) / options.candidates if inside[i] else 0.0
            if pieces and not gap and pieces[-1].end - pieces[-1].begin < shortest:
                pieces[-1].end = ends[last]
                pieces[-1].weight += trans * alpha
                pieces[-1].steps += steps
            else:
                pieces.append(Piece(begins[i], ends[last], trans * alpha, steps, gap))
            trans, gap = trans * (1.0 - alpha), False
        i = last + 1
    return pieces


def place(
    pieces: list[Piece], length: float, options: ProposalOptions, seed: int | None, ray: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (t, start, delta) of a ray's samples: every run of pieces gets its share of them, at least one."""
    if not pieces:
        return np.zeros(0), np.zeros(0), np.zeros(0)
    weight, steps = np.array([p.weight for p in pieces]), np.array([p.steps for p in pieces])
    trans = np.maximum(1.0 - np.concatenate([[0.0], np.cumsum(weight)[:-1]]), 0.0)
    chance = weight**options.power
    padding = options.padding if chance.sum() > 0 else 1.0
    chance = (1.0 - padding) * chance / max(chance.sum(), 1e-300) + padding * steps / steps.sum()
    first = [i for i, p in enumerate(pieces) if p.after_gap][: options.samples]
    wanted = max(len(first), int(np.ceil(np.sum(steps * np.sqrt(trans)))))
    spare = min(options.samples, wanted) - len(first)
    edges = []
    for begin, end in zip(first, [*first[1:], len(pieces)]):
        run, passed = pieces[begin:end], np.concatenate([[0.0], np.cumsum(chance[begin:end])])
        count = 1 + int(spare * passed[-1] + 1e-9)
        goals = passed[-1] * np.arange(count + 1) / count
        cut = [_where(run, passed, goal) for goal in goals[1:-1]]
        cut = [run[0].begin, *cut, run[-1].end]
        edges += list(itertools.pairwise(cut))
    start, end = np.array(edges).T
    share = np.array([0.5 if seed is None else draw(seed, _PLACE, ray, i) for i in range(len(start))])
    return start + share * (end - start), start, (end - start) * length


def _where(run: list[Piece], passed: np.ndarray, goal: float) -> float:
    """Return the z-depth up to which the pieces' chances add up to the goal."""
    p = min(int(np.searchsorted(passed[1:], goal, side="right")), len(run) - 1)
    inside = (goal - passed[p]) / max(passed[p + 1] - passed[p], 1e-300)
    return run[p].begin + inside * (run[p].end - run[p].begin)


def jittered(radius: np.ndarray, seed: int | None, ray: int) -> np.ndarray:
    """Return a ray's footprint radii [n] changed by up to half a level either way."""
    if seed is None:
        return radius
    return radius * [2.0 ** (draw(seed, _JITTER, ray, i) - 0.5) for i in range(len(radius))]
