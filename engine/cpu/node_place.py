# SPDX-License-Identifier: MIT
"""Where positions lie in the unit cubes of their nodes, on the CPU: `engine.node_fields.unit_position` for many samples."""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.cpu.crew import Crew
from engine.cpu.simd import fetch_add
from engine.node_fields import Cubes
from engine.shapes import check_shapes

_RUN = 2048  # samples that a thread takes at a time


@njit(cache=True, nogil=True)
def place_samples(counter, nodes, positions, lower, per_edge, centre, half, background, place):
    """Write float32 place [M,3] in [0,1].

    Inputs: nodes int32 [M]; positions [M,3]; lower float64 [N,3], per_edge [N] (1 / edge); with `background` the root's
    samples are contracted. Parallel over: runs of samples.
    """
    n = nodes.shape[0]
    one = np.float64(1.0)
    while True:
        first = fetch_add(counter, 0, _RUN)
        if first >= n:
            break
        for i in range(first, min(first + _RUN, n)):
            node = nodes[i]
            if node == 0 and background:
                x = (positions[i, 0] - centre[0]) / half
                y = (positions[i, 1] - centre[1]) / half
                z = (positions[i, 2] - centre[2]) / half
                far = max(max(abs(x), abs(y)), max(abs(z), one))
                scale = 0.25 * (2.0 - 1.0 / far) / far
                x, y, z = 0.5 + x * scale, 0.5 + y * scale, 0.5 + z * scale
            else:
                x = (positions[i, 0] - lower[node, 0]) * per_edge[node]
                y = (positions[i, 1] - lower[node, 1]) * per_edge[node]
                z = (positions[i, 2] - lower[node, 2]) * per_edge[node]
            place[i, 0] = min(max(x, 0.0), one)
            place[i, 1] = min(max(y, 0.0), one)
            place[i, 2] = min(max(z, 0.0), one)


def place_in_nodes(
    tree: Cubes,
    nodes: np.ndarray,  # int32 [M]
    positions: np.ndarray,  # [M,3] engine units
    crew: Crew,
    *,
    background: bool = True,
    place: np.ndarray | None = None,  # float32 [M,3] to write to
) -> np.ndarray:
    """Return what `engine.node_fields.unit_position` returns."""
    m = check_shapes("place_in_nodes", nodes=(nodes, "M"), positions=(positions, "M 3"))["M"]
    everyone = np.arange(tree.nodes)
    place = np.empty((m, 3), dtype=np.float32) if place is None else place
    crew.run(
        place_samples, np.ascontiguousarray(nodes, dtype=np.int32), np.ascontiguousarray(positions, dtype=np.float32),
        tree.lower(everyone), 1.0 / tree.edge(everyone), np.asarray(tree.centre, dtype=np.float64), float(tree.half),
        background, place,
    )  # fmt: skip
    return place
