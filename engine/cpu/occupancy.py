# SPDX-License-Identifier: MIT
"""Keeping the nodes' grids of densities: new densities come in, old ones fade, and rays are told what is empty.

Computes: density <- max(density, sigma) at samples; density <- decay density everywhere; then the threshold
min(empty_density, share of the mean over seen cells), as early in training everything is faint, and `free` from it.
Parallel over: nodes, for `free`. Samples come in one after the other: a maximum is cheap, and the order does not matter.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.cpu.crew import Crew
from engine.cpu.simd import fetch_add
from engine.node_occupancy import Occupancy, positions_in_cells
from engine.node_tree import NodeTree
from engine.shapes import check_shapes

EMPTY_DENSITY = (
    2.0  # per engine unit: a cube full of it still hides little behind the surfaces that training puts in it
)
MEAN_SHARE = 0.5
_CHUNK = 16  # nodes per piece of parallel work


@njit(cache=True, nogil=True)
def contracted_unit(x, y, z):
    """Return where the root's grid has a position given in edges of the cube, contracted, and its max|x| in half edges."""
    x, y, z = 2.0 * x - 1.0, 2.0 * y - 1.0, 2.0 * z - 1.0
    most = max(abs(x), max(abs(y), abs(z)))
    scale = 1.0 if most <= 1.0 else (2.0 - 1.0 / most) / most
    return 0.25 * (x * scale + 2.0), 0.25 * (y * scale + 2.0), 0.25 * (z * scale + 2.0), most


@njit(cache=True, nogil=True)
def _take_in(low, per_edge, depth, cell, contracted, nodes, positions, sigma, resolution, density):
    for s in range(nodes.shape[0]):
        node = nodes[s]
        x = (np.float64(positions[s, 0]) - low[0]) * per_edge
        y = (np.float64(positions[s, 1]) - low[1]) * per_edge
        z = (np.float64(positions[s, 2]) - low[2]) * per_edge
        if contracted and node == 0:
            x, y, z, _ = contracted_unit(x, y, z)
        else:
            cells = 1 << depth[node]
            x, y, z = x * cells - cell[node, 0], y * cells - cell[node, 1], z * cells - cell[node, 2]
        i = min(max(np.int64(x * resolution), 0), resolution - 1)
        j = min(max(np.int64(y * resolution), 0), resolution - 1)
        k = min(max(np.int64(z * resolution), 0), resolution - 1)
        at = (i * resolution + j) * resolution + k
        density[node, at] = max(density[node, at], sigma[s])


@njit(cache=True, nogil=True)
def _fade(counter, density, decay, totals, counts):
    nodes = density.shape[0]
    while True:
        first = fetch_add(counter, 0, _CHUNK)
        if first >= nodes:
            break
        for node in range(first, min(first + _CHUNK, nodes)):
            total, count = 0.0, 0
            for at in range(density.shape[1]):
                value = density[node, at]
                if value >= 0.0:
                    density[node, at] = value * decay
                    total += value * decay
                    count += 1
            totals[node], counts[node] = total, count


@njit(cache=True, nogil=True)
def _mark_free(counter, density, resolution, threshold, free):
    nodes, steps = density.shape[0], 0
    while (2 << steps) < resolution:
        steps += 1  # an octant has 2^steps cells a side
    full = np.empty((steps + 1, resolution, resolution, resolution), dtype=np.bool_)
    while True:
        first = fetch_add(counter, 0, _CHUNK)
        if first >= nodes:
            break
        for node in range(first, min(first + _CHUNK, nodes)):
            full[1:] = False
            for i in range(resolution):
                for j in range(resolution):
                    for k in range(resolution):
                        value = density[node, (i * resolution + j) * resolution + k]
                        something = value < 0.0 or value > threshold
                        full[0, i, j, k] = something
                        if something:
                            for s in range(1, steps + 1):
                                full[s, i >> s, j >> s, k >> s] = True
            for i in range(resolution):
                for j in range(resolution):
                    for k in range(resolution):
                        code = 0
                        while code <= steps and not full[code, i >> code, j >> code, k >> code]:
                            code += 1
                        free[node, (i * resolution + j) * resolution + k] = code


def take_in(
    tree: NodeTree,
    occupancy: Occupancy,
    nodes: np.ndarray,  # int32 [M]
    positions: np.ndarray,  # [M,3] engine units
    density: np.ndarray,  # [M] what the nodes' fields say there, per engine unit
) -> None:
    """Raise the cells at these samples to their densities. Rays learn of it at the next `refresh`."""
    check_shapes("take_in", nodes=(nodes, "M"), positions=(positions, "M 3"), density=(density, "M"))
    _take_in(
        tree.centre - tree.half, 0.5 / tree.half, tree.depth, tree.cell, occupancy.contracted,
        np.ascontiguousarray(nodes, dtype=np.int32), np.ascontiguousarray(positions, dtype=np.float32),
        np.ascontiguousarray(density, dtype=np.float32), occupancy.resolution, occupancy.density,
    )  # fmt: skip


def refresh(
    occupancy: Occupancy,
    crew: Crew,
    decay: float = 1.0,  # seen densities are multiplied by this first: what is not confirmed fades
    empty_density: float = EMPTY_DENSITY,
) -> None:
    """Let densities fade and tell rays what is empty now: cells with a density of at most `occupancy.threshold`."""
    totals, counts = np.zeros(occupancy.nodes), np.zeros(occupancy.nodes, dtype=np.int64)
    crew.run(_fade, occupancy.density, np.float32(decay), totals, counts)
    mean = float(totals.sum()) / max(1, int(counts.sum()))
    occupancy.threshold = min(empty_density, MEAN_SHARE * mean)
    crew.run(
        _mark_free,
        occupancy.density,
        occupancy.resolution,
        np.float32(occupancy.threshold),
        occupancy.free,
    )
    occupancy.mark_changed()


def probes(
    tree: NodeTree, occupancy: Occupancy, n: int, rng: np.random.Generator, occupied_share: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
    """Return (nodes int32 [n], positions float32 [n,3]) at which to ask the fields: a cell that looked empty may fill again.

    This share of them lies in cells that may hold something, the others anywhere; all uniform within their cells.
    """
    each = occupancy.resolution**3
    flat = rng.integers(0, occupancy.nodes * each, n)
    occupied = occupancy.occupied()
    if len(occupied):
        some = round(occupied_share * n)
        flat[:some] = occupied[rng.integers(0, len(occupied), some)]
    nodes, cells = np.divmod(flat, each)
    positions = positions_in_cells(tree, occupancy, nodes, cells, rng.random((n, 3)))
    return nodes.astype(np.int32), positions
