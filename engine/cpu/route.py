# SPDX-License-Identifier: MIT
"""Which node's field evaluates a sample: the one whose ground sampling distance fits the sample's footprint.

Computes, per sample: d* = clip(ceil(log2(gsd_root / r)), 0, deepest), then the deepest existing (and resident) node that
holds the position, at depth d* or above; outside the cube the root. The same as descending from the root until
r >= gsd(node) or there is no child to go to (see `engine/reference/route.py`), without comparing at every level.
Parallel over: samples, in runs of RUN. Early exits: a missing child.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.cpu.counter_random import JITTER, draw
from engine.cpu.crew import Crew
from engine.cpu.simd import fetch_add
from engine.node_tree import NodeTree
from engine.shapes import check_shapes

RUN = 4096  # samples per piece of parallel work

_MANTISSA, _EXPONENT_BIAS = 52, 1023
_FRACTION = (1 << _MANTISSA) - 1


@njit(cache=True, nogil=True)
def level_of(radius, root_gsd, deepest):
    """Return clip(ceil(log2(root_gsd / radius)), 0, deepest), exact also where the quotient is a power of two."""
    bits = np.float64(root_gsd / max(radius, 1e-300)).view(np.int64)
    level = (bits >> _MANTISSA) - _EXPONENT_BIAS
    if bits & _FRACTION:
        level += 1
    return min(max(level, 0), deepest)


@njit(cache=True, nogil=True)
def descend(children, resident, some_resident, x, y, z, level):
    """Return the deepest (resident) node at depth `level` or above that holds a position in [0, 1)^3 of the cube.

    children int32 [8 N]; resident bool [N], read where `some_resident`. The root counts as resident.
    """
    cells = 1 << level
    i, j, k = np.int64(x * cells), np.int64(y * cells), np.int64(z * cells)
    node, best = np.int64(0), np.int64(0)
    for below in range(level - 1, -1, -1):
        digit = ((i >> below) & 1) << 2 | ((j >> below) & 1) << 1 | ((k >> below) & 1)
        node = np.int64(children[8 * node + digit])
        if node < 0:
            break
        if not some_resident or resident[node]:
            best = node
    return best


@njit(cache=True, nogil=True)
def route_samples(
    counter, positions, radii, low, per_edge, root_gsd, deepest, children, resident, some_resident, nodes
):  # fmt: skip
    """Write nodes int32 [M]. Inputs: positions float32 [M,3]; radii float32 [M]; low float64 [3], the cube's low corner."""
    m = positions.shape[0]
    while True:
        first = fetch_add(counter, 0, RUN)
        if first >= m:
            break
        for s in range(first, min(first + RUN, m)):
            x = (np.float64(positions[s, 0]) - low[0]) * per_edge
            y = (np.float64(positions[s, 1]) - low[1]) * per_edge
            z = (np.float64(positions[s, 2]) - low[2]) * per_edge
            node = np.int64(0)
            if 0.0 <= x < 1.0 and 0.0 <= y < 1.0 and 0.0 <= z < 1.0:
                level = level_of(np.float64(radii[s]), root_gsd, deepest)
                node = descend(children, resident, some_resident, x, y, z, level)
            nodes[s] = node


@njit(cache=True, nogil=True)
def jitter_samples(counter, radii, seed, rays, numbers, jittered):
    """Write jittered float32 [M] = radii 2^(u - 1/2), u drawn from (seed, ray, number of the sample on its ray)."""
    m = radii.shape[0]
    while True:
        first = fetch_add(counter, 0, RUN)
        if first >= m:
            break
        for s in range(first, min(first + RUN, m)):
            jittered[s] = radii[s] * np.exp2(draw(seed, JITTER, rays[s], numbers[s]) - 0.5)


ALL_RESIDENT = np.ones(1, dtype=np.bool_)


def route(
    tree: NodeTree,
    positions: np.ndarray,  # [M,3] engine units
    radii: np.ndarray,  # [M] footprint radius in engine units
    resident: np.ndarray | None,  # bool [N]: nodes that may be used besides the root; None: all
    crew: Crew,
) -> np.ndarray:
    """Return the node int32 [M] of each sample, in a fresh array."""
    m = check_shapes("route", positions=(positions, "M 3"), radii=(radii, "M"))["M"]
    nodes = np.empty(m, dtype=np.int32)
    crew.run(
        route_samples, np.ascontiguousarray(positions, dtype=np.float32), np.ascontiguousarray(radii, dtype=np.float32),
        tree.centre - tree.half, 0.5 / tree.half, tree.root_gsd, tree.levels - 1, tree.children.reshape(-1),
        ALL_RESIDENT if resident is None else resident, resident is not None, nodes,
    )  # fmt: skip
    return nodes


def jitter(
    radii: np.ndarray,  # [M]
    seed: int | None,  # None: no jitter
    rays: np.ndarray,  # int32 [M]
    numbers: np.ndarray,  # int32 [M] of the samples on their rays
    crew: Crew,
) -> np.ndarray:
    """Return footprint radii float32 [M] changed by up to half a level: one draw a sample, so that levels blend softly."""
    radii = np.ascontiguousarray(radii, dtype=np.float32)
    if seed is None:
        return radii
    jittered = np.empty_like(radii)
    crew.run(
        jitter_samples,
        radii,
        seed,
        np.ascontiguousarray(rays, np.int32),
        np.ascontiguousarray(numbers, np.int32),
        jittered,
    )
    return jittered
