# SPDX-License-Identifier: MIT
"""Plenoxels' optimisers and total variation, on the rows that a step touched and no others.

A cell's row is its density and its colour coefficients `sh [N,S]`. A step's gradients are added to `v_rows [N,S]`, which
keeps the density's in the column after the last coefficient, and `touched uint8 [N]` is set; the update consumes both
and leaves zeros behind. Mean squares and means of the gradients are laid out like `v_rows`.
Every row's sum is made in one order, so any number of threads gives the same result.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.cpu.crew import Crew
from engine.cpu.simd import fetch_add, fma, load, select, splat, store, vsqrt

TV_REFERENCE = 256.0  # resolution at which differences count as they are
TV_EPSILON = 1e-9  # keeps the gradient finite where neighbours are equal; in published units
_ROWS = 1024  # rows a thread takes at a time
_LINES = 8  # z-lines of a unit of total variation


@njit(cache=True, nogil=True)
def rmsprop_rows(counter, density, sh, squares, v_rows, touched, beta, rate, eps, column):
    """Take one step of RMSProp on touched rows.

    Computes, per element: s = g^2 where s is 0 (the first touch), else b s + (1 - b) g^2; x -= rate g / (sqrt s + eps).
    Inputs: beta float32; rate, eps float32 [S], by column: that of the densities is `column`, padding has rate 0.
    In and out: density [N]; sh, squares flat [N S]. v_rows, flat [N S], and touched [N] are zero afterwards.
    Parallel over: runs of rows.
    """
    n, width = density.shape[0], rate.shape[0]
    rest = np.float32(1.0) - beta
    while True:
        first = fetch_add(counter, 0, _ROWS)
        if first >= n:
            return
        for row in range(first, min(first + _ROWS, n)):
            if touched[row] == 0:
                continue
            touched[row] = 0
            at = row * width
            v_density = v_rows[at + column]
            v_rows[at + column] = 0.0
            old = squares[at + column]
            s = v_density * v_density if old == 0.0 else beta * old + rest * v_density * v_density
            density[row] -= rate[column] * v_density / (np.sqrt(s) + eps[column])
            for k in range(0, width, 16):
                g, before = load(v_rows, at + k), load(squares, at + k)
                after = select(before == 0.0, g * g, fma(g * g, rest, before * beta))
                store(squares, at + k, after)
                store(sh, at + k, load(sh, at + k) - load(rate, k) * g / (vsqrt(after) + load(eps, k)))
                store(v_rows, at + k, splat(0.0))
            squares[at + column] = s


@njit(cache=True, nogil=True)
def adam_rows(
    counter, density, sh, squares, means, v_rows, touched, beta1, beta2, rate, eps, column
):  # fmt: skip
    """Take one step of Adam on touched rows; an element's first touch sets its means instead of blending them.

    So no bias has to be corrected, and a cell that is rarely seen moves like one that is seen always.
    Arguments as for `rmsprop_rows`, `means` like `squares`.
    """
    n, width = density.shape[0], rate.shape[0]
    rest1, rest2 = np.float32(1.0) - beta1, np.float32(1.0) - beta2
    while True:
        first = fetch_add(counter, 0, _ROWS)
        if first >= n:
            return
        for row in range(first, min(first + _ROWS, n)):
            if touched[row] == 0:
                continue
            touched[row] = 0
            at = row * width
            g = v_rows[at + column]
            v_rows[at + column] = 0.0
            old = squares[at + column]
            s = g * g if old == 0.0 else beta2 * old + rest2 * g * g
            m = g if old == 0.0 else beta1 * means[at + column] + rest1 * g
            means[at + column] = 0.0  # or its lane would move the padding of sh by the densities' rate
            density[row] -= rate[column] * m / (np.sqrt(s) + eps[column])
            for k in range(0, width, 16):
                lanes, before = load(v_rows, at + k), load(squares, at + k)
                fresh = before == 0.0
                after = select(fresh, lanes * lanes, fma(lanes * lanes, rest2, before * beta2))
                mean = select(fresh, lanes, fma(lanes, rest1, load(means, at + k) * beta1))
                store(squares, at + k, after)
                store(means, at + k, mean)
                store(sh, at + k, load(sh, at + k) - load(rate, k) * mean / (vsqrt(after) + load(eps, k)))
                store(v_rows, at + k, splat(0.0))
            squares[at + column], means[at + column] = s, m


@njit(cache=True, nogil=True)
def _density_tv(
    row, row_x, row_y, row_z, inside, density, v_rows, width, column, touched, scale, weight, eps
):
    """Add one cell's gradient: empty cells read 0, what is outside the grid differs by nothing."""
    zero = np.float32(0.0)
    centre = density[row] if row >= 0 else zero
    dx = (density[row_x] if row_x >= 0 else zero) - centre if inside[0] else zero
    dy = (density[row_y] if row_y >= 0 else zero) - centre if inside[1] else zero
    dz = (density[row_z] if row_z >= 0 else zero) - centre if inside[2] else zero
    factor = weight / np.sqrt(dx * dx + dy * dy + dz * dz + eps)
    dx, dy, dz = dx * factor * scale[0], dy * factor * scale[1], dz * factor * scale[2]
    if row_x >= 0:
        v_rows[row_x * width + column] += dx
        touched[row_x] = 1
    if row_y >= 0:
        v_rows[row_y * width + column] += dy
        touched[row_y] = 1
    if row_z >= 0:
        v_rows[row_z * width + column] += dz
        touched[row_z] = 1
    if row >= 0:
        v_rows[row * width + column] -= dx + dy + dz
        touched[row] = 1


@njit(cache=True, nogil=True)
def _sh_tv(row, row_x, row_y, row_z, sh, v_rows, width, touched, scale, weight, eps):
    """Add one cell's gradient for every coefficient; a neighbour that is empty or outside equals the cell itself.

    The padding of all rows is 0, so it differs by nothing and the densities' gradients in it stay.
    """
    row_x, row_y = row_x if row_x >= 0 else row, row_y if row_y >= 0 else row
    row_z = row_z if row_z >= 0 else row
    touched[row] = touched[row_x] = touched[row_y] = touched[row_z] = 1
    at, at_x, at_y, at_z = row * width, row_x * width, row_y * width, row_z * width
    for k in range(0, width, 16):
        centre = load(sh, at + k)
        dx, dy, dz = load(sh, at_x + k) - centre, load(sh, at_y + k) - centre, load(sh, at_z + k) - centre
        factor = weight / vsqrt(fma(dx, dx, fma(dy, dy, fma(dz, dz, eps))))
        dx, dy, dz = dx * factor * scale[0], dy * factor * scale[1], dz * factor * scale[2]
        # One after the other: a neighbour may be the cell itself, with a difference of 0.
        store(v_rows, at_x + k, load(v_rows, at_x + k) + dx)
        store(v_rows, at_y + k, load(v_rows, at_y + k) + dy)
        store(v_rows, at_z + k, load(v_rows, at_z + k) + dz)
        store(v_rows, at + k, load(v_rows, at + k) - (dx + dy + dz))


@njit(cache=True, nogil=True)
def tv_units(
    counter, links, density, sh, v_rows, touched, start, run, phase, scale, weights, eps, column
):  # fmt: skip
    """Add the gradient of total variation over the cells start .. start + run - 1 of the flat grid, wrapping round.

    Computes, per cell and channel, with forward differences D: weight s_k D_k / sqrt(sum D^2 + eps), s_k = R_k / 256
    (as published: the root is of unscaled differences, so this is not the gradient of the scaled variation).
    Inputs: links [X,Y,Z]; sh, v_rows flat [N S]; scale [3]; weights, eps [2]: of densities and colours, float32.
    Parallel over: units of one x and _LINES values of y. A unit writes to its own lines and to the next ones in x and
    y; units of one `phase` (0..3) differ by two at least in x or y, so call the four phases one after the other.
    """
    size_x, size_y, size_z = links.shape
    plane = size_y * size_z
    cells = size_x * plane
    first_x = start // plane
    planes = min(size_x, (start + run - 1) // plane - first_x + 1)
    blocks = (size_y + _LINES - 1) // _LINES
    units = planes * blocks
    width = sh.shape[0] // density.shape[0]
    inside = np.zeros(3, dtype=np.bool_)
    while True:
        unit = fetch_add(counter, 0, 1)
        if unit >= units:
            return
        p, block = unit // blocks, unit % blocks
        if (p & 1) * 2 + (block & 1) != phase:
            continue
        x = (first_x + p) % size_x
        inside[0] = x + 1 < size_x
        for y in range(block * _LINES, min(size_y, (block + 1) * _LINES)):
            inside[1] = y + 1 < size_y
            flat = (x * size_y + y) * size_z
            for z in range(size_z):
                place = flat + z - start
                if place < 0:
                    place += cells
                if place >= run:
                    continue
                inside[2] = z + 1 < size_z
                row = links[x, y, z]
                row_x = links[x + 1, y, z] if inside[0] else np.int32(-1)
                row_y = links[x, y + 1, z] if inside[1] else np.int32(-1)
                row_z = links[x, y, z + 1] if inside[2] else np.int32(-1)
                if row < 0 and row_x < 0 and row_y < 0 and row_z < 0:
                    continue
                if weights[0] > 0.0:
                    _density_tv(
                        row, row_x, row_y, row_z, inside, density, v_rows, width, column, touched,
                        scale, weights[0], eps[0],
                    )  # fmt: skip
                if weights[1] > 0.0 and row >= 0:
                    _sh_tv(row, row_x, row_y, row_z, sh, v_rows, width, touched, scale, weights[1], eps[1])


def add_total_variation(
    crew: Crew,
    links: np.ndarray,  # int32 [X,Y,Z]
    density: np.ndarray,  # [N]
    sh: np.ndarray,  # [N,S]
    v_rows: np.ndarray,  # [N,S]
    touched: np.ndarray,  # uint8 [N]
    column: int,  # of the densities' gradients in v_rows
    start: int,  # first cell of the run, flat
    run: int,  # cells of the run; all of them: no part is left out
    weights: tuple[float, float],  # of densities and colours
    unit: float = 1.0,  # densities are this many times larger than published
) -> None:
    """Add the gradients of both total variations, means over the run's cells, times their weights."""
    cells = links.size
    if run < cells:  # a run that met itself would have two units write to the same lines
        run = max(1, min(run, cells - links.shape[1] * links.shape[2]))
    else:
        start, run = 0, cells
    scale = (np.array(links.shape) / TV_REFERENCE).astype(np.float32)
    means = np.array([weights[0] / unit / run, weights[1] / run], dtype=np.float32)
    eps = np.array([TV_EPSILON * unit * unit, TV_EPSILON], dtype=np.float32)
    for phase in range(4):
        crew.run(
            tv_units, links, density, sh.reshape(-1), v_rows.reshape(-1), touched, start, run, phase, scale, means,
            eps, column,
        )  # fmt: skip
