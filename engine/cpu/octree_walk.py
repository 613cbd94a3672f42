# SPDX-License-Identifier: MIT
"""Looking things up in leaves that lie in Morton order: which leaf holds a point, and a ray's leaves from near to far.

A *node table* of depth L has 8^L + 1 entries: cell c of the lattice with 2^L cells a side, in Morton order, starts at leaf
table[c]. A leaf coarser than a cell stands in the first of its cells. So a point costs one look-up and a search among the
few leaves of its cell instead of one among all.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.constants import LATTICE, MAX_LEVEL
from engine.morton import PATH_BITS, spread_bits

MAX_DEPTH = 7  # 2.1 million entries of four bytes


def table_depth(n_voxels: int) -> int:
    """Return the depth of a node table whose cells hold some eight leaves each, were they spread evenly."""
    depth = 1
    while depth < MAX_DEPTH and 8 ** (depth + 2) <= n_voxels:
        depth += 1
    return depth


def node_table(path: np.ndarray, depth: int) -> np.ndarray:
    """Return int32 [8^depth + 1]: the first leaf at or behind the start of each cell, for ascending `path [V]`."""
    starts = np.arange(8**depth + 1, dtype=np.int64) << (PATH_BITS - 3 * depth)
    return np.searchsorted(path, starts).astype(np.int32)


@njit(cache=True, nogil=True)
def find_points(points, path, level, table, depth, root_size, out):
    """Write int32 [N]: the leaf that holds each of `points` float64 [N,3] (half-open cells), -1 where there is none."""
    scale = LATTICE / root_size
    shift = PATH_BITS - 3 * depth
    for i in range(points.shape[0]):
        out[i] = -1
        x = np.floor(points[i, 0] * scale) + LATTICE // 2
        y = np.floor(points[i, 1] * scale) + LATTICE // 2
        z = np.floor(points[i, 2] * scale) + LATTICE // 2
        if not (0 <= x < LATTICE and 0 <= y < LATTICE and 0 <= z < LATTICE):
            continue
        code = (spread_bits(np.int64(x)) << 2) | (spread_bits(np.int64(y)) << 1) | spread_bits(np.int64(z))
        cell = code >> shift
        first, last = np.int64(table[cell]), np.int64(table[cell + 1])
        while first < last:  # the first leaf that starts behind the point
            middle = (first + last) >> 1
            if path[middle] <= code:
                first = middle + 1
            else:
                last = middle
        leaf = first - 1  # it may be a coarse leaf that starts before the cell
        if leaf >= 0 and (code - path[leaf]) >> (3 * (MAX_LEVEL - np.int64(level[leaf]))) == 0:
            out[i] = leaf


@njit(cache=True, nogil=True)
def _span(origin, inverse, low, size):
    """Return where a ray enters and leaves a cube."""
    t_in, t_out = -np.inf, np.inf
    for axis in range(3):
        a = (low[axis] - origin[axis]) * inverse[axis]
        b = (low[axis] + size - origin[axis]) * inverse[axis]
        t_in, t_out = max(t_in, min(a, b)), min(t_out, max(a, b))
    return t_in, t_out


@njit(cache=True, nogil=True)
def walk_ray(origin, direction, path, level, root_size, t_near, voxels, spans):
    """Write the leaves that a ray crosses beyond `t_near`, nearest first: int32 voxels, float64 spans [n,2]; return n.

    At every node the children are visited by octant XOR the signs of the direction: a ray leaves one side of a plane for
    the other at most once, so that is its own order. Stops when the arrays are full.
    """
    inverse = np.empty(3)
    flip = 0
    for axis in range(3):
        d = direction[axis]
        inverse[axis] = 1.0 / d if abs(d) > 1e-12 else 1e12
        if d < 0.0:
            flip |= 4 >> axis
    stack = np.empty((8 * (MAX_LEVEL + 2), 6), dtype=np.int64)  # start, end, depth, x, y, z on the lattice
    stack[0, 0], stack[0, 1], stack[0, 2:6] = 0, path.shape[0], 0
    top, n = 1, 0
    low = np.empty(3)
    while top > 0:
        top -= 1
        start, end, depth = stack[top, 0], stack[top, 1], stack[top, 2]
        x, y, z = stack[top, 3], stack[top, 4], stack[top, 5]
        if start >= end:
            continue
        for axis in range(3):
            low[axis] = (stack[top, 3 + axis] - LATTICE // 2) * (root_size / LATTICE)
        t_in, t_out = _span(origin, inverse, low, root_size / (1 << depth))
        t_in = max(t_in, t_near)
        if t_out <= t_in:
            continue
        if level[start] == depth:
            if n == voxels.shape[0]:
                return n
            voxels[n], spans[n, 0], spans[n, 1] = start, t_in, t_out
            n += 1
            continue
        shift = 3 * (MAX_LEVEL - depth - 1)
        node = (spread_bits(x) << 2) | (spread_bits(y) << 1) | spread_bits(z)
        half = LATTICE >> (depth + 1)
        for rank in range(7, -1, -1):  # the nearest is pushed last
            child = rank ^ flip
            first = node | (np.int64(child) << shift)
            lower = start + np.searchsorted(path[start:end], first)
            upper = start + np.searchsorted(path[start:end], first + (np.int64(1) << shift))
            if lower < upper:
                stack[top, 0], stack[top, 1], stack[top, 2] = lower, upper, depth + 1
                stack[top, 3] = x + half * (child >> 2)
                stack[top, 4] = y + half * ((child >> 1) & 1)
                stack[top, 5] = z + half * (child & 1)
                top += 1
    return n
