# SPDX-License-Identifier: MIT
"""Kernels that look at a whole sparse grid: distances to skip by, and its values on a grid of another resolution."""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.cpu.cell_map import corner_rows, rows_density
from engine.cpu.march_rays import add_row, cell_of, corner_weights
from engine.cpu.simd import fetch_add, splat, store


@njit(cache=True, nogil=True)
def sweep_distances(far, sign):
    """Lower far int32 [X+2,Y+2,Z+2] to one more than the least of each voxel's 13 neighbours on one side.

    Sign 1 goes up and looks at the neighbours below, -1 goes down and looks at those above. One sweep each way makes 0
    at some voxels and a large number elsewhere into the exact number of steps, diagonal ones included. The rim is read only.
    """
    size_x, size_y, size_z = far.shape
    flat, row_y, row_x = far.reshape(-1), size_z * sign, size_z * size_y * sign
    one = np.int32(1)
    for i in range(1, size_x - 1):
        x = i if sign > 0 else size_x - 1 - i
        for j in range(1, size_y - 1):
            y = j if sign > 0 else size_y - 1 - j
            line = (x * size_y + y) * size_z
            for at in range(
                line + 1, line + size_z - 1
            ):  # no voxel waits for its neighbour along z: this is vectorised
                a, b, c, d = at - row_x - row_y, at - row_x, at - row_x + row_y, at - row_y
                low = min(
                    min(flat[a - 1], min(flat[a], flat[a + 1])), min(flat[b - 1], min(flat[b], flat[b + 1]))
                )
                low = min(low, min(flat[c - 1], min(flat[c], flat[c + 1])))
                low = min(low, min(flat[d - 1], min(flat[d], flat[d + 1])))
                flat[at] = min(flat[at], low + one)
            for k in range(1, size_z - 1):
                at = line + (k if sign > 0 else size_z - 1 - k)
                flat[at] = min(flat[at], flat[at - sign] + one)


@njit(cache=True, nogil=True)
def resample_density(counter, links, density, sizes, new):
    """Write the density of a grid (flat links, its sizes) at every voxel centre of new float32 [X,Y,Z] over the same box.

    Parallel over: planes of X.
    """
    size_x, size_y, size_z = sizes
    to_x, to_y, to_z = new.shape
    rows = np.empty(8, dtype=np.int32)
    row_y, row_x = size_z, size_z * size_y
    while True:
        i = fetch_add(counter, 0, 1)
        if i >= to_x:
            break
        x, fx = cell_of((i + 0.5) * size_x / to_x - 0.5, size_x)
        for j in range(to_y):
            y, fy = cell_of((j + 0.5) * size_y / to_y - 0.5, size_y)
            for k in range(to_z):
                z, fz = cell_of((k + 0.5) * size_z / to_z - 0.5, size_z)
                cell = x * row_x + y * row_y + z
                if links[cell] < -1:
                    new[i, j, k] = 0.0
                    continue
                corner_rows(links, cell, row_y, row_x, rows, 0)
                new[i, j, k] = rows_density(rows, 0, density, fx, fy, fz)


@njit(cache=True, nogil=True)
def resample_rows(counter, links, sh, stride, sizes, new_links, rows):
    """Write the rows float32 (flat, `stride` floats each) of a new grid's voxels (new_links [X,Y,Z]) over the same box.

    Inputs: flat links and sh of the old grid, its sizes. Parallel over: planes of X.
    """
    size_x, size_y, size_z = sizes
    to_x, to_y, to_z = new_links.shape
    row_y, row_x = size_z, size_z * size_y
    while True:
        i = fetch_add(counter, 0, 1)
        if i >= to_x:
            break
        x, fx = cell_of((i + 0.5) * size_x / to_x - 0.5, size_x)
        for j in range(to_y):
            y, fy = cell_of((j + 0.5) * size_y / to_y - 0.5, size_y)
            for k in range(to_z):
                voxel = np.int64(new_links[i, j, k])
                if voxel < 0:
                    continue
                z, fz = cell_of((k + 0.5) * size_z / to_z - 0.5, size_z)
                weights = corner_weights(fx, fy, fz)
                cell = x * row_x + y * row_y + z
                for lane in range(0, stride, 16):
                    lanes = splat(0.0)
                    for c in range(8):
                        corner = cell + (c >> 2) * row_x + ((c >> 1) & 1) * row_y + (c & 1)
                        lanes = add_row(sh, np.int64(links[corner]) * stride, lane, weights[c], lanes)
                    store(rows, voxel * stride + lane, lanes)
