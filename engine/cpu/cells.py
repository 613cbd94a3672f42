# SPDX-License-Identifier: MIT
"""A sparse grid's cells for the rasteriser: which there are, which can hold density, their table, their points' colours.

A *cell* lies between eight neighbouring grid values; it is named by the flat index of its lowest one in `links`. The
rasteriser's points are the grid's rows, and one more for all empty values: `corner_idx` holds N where a corner is empty.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.constants import MAX_LEVEL
from engine.cpu.crew import Crew
from engine.cpu.lists import VoxelTable
from engine.cpu.march_rays import write_basis
from engine.cpu.project import PAD, cut_into_chunks
from engine.cpu.simd import fetch_add, fma, lane_sum, load, splat
from engine.morton import gather_bits, spread_bits
from engine.voxel_grid import Grid

_RUN = 4096  # cells or points per piece of parallel work


@njit(cache=True, nogil=True)
def _find_cells(counter, links, fill, starts, cells):
    """Count, or with `fill` write, the cells of every slab along X that have a value at any corner; starts int64 [X]."""
    size_x, size_y, size_z = links.shape
    while True:
        x = fetch_add(counter, 0, 1)
        if x >= size_x - 1:
            break
        n = starts[x] if fill else 0
        for y in range(size_y - 1):
            before = False
            for z in range(size_z):
                here = (
                    (links[x, y, z] >= 0)
                    | (links[x, y + 1, z] >= 0)
                    | (links[x + 1, y, z] >= 0)
                    | (links[x + 1, y + 1, z] >= 0)
                )
                if z > 0 and (here or before):
                    if fill:
                        cells[n] = (x * size_y + y) * size_z + z - 1
                    n += 1
                before = here
        if not fill:
            starts[x] = n


@njit(cache=True, nogil=True)
def _paths_of_cells(counter, cells, size_y, size_z, low_x, low_y, low_z, shift, path):
    """Write the octree path of each cell: its grid index plus low_*, in units of a leaf, `shift` bits above the lattice."""
    while True:
        first = fetch_add(counter, 0, _RUN)
        if first >= len(cells):
            break
        for i in range(first, min(first + _RUN, len(cells))):
            row, z = divmod(cells[i], size_z)
            x, y = divmod(row, size_y)
            x, y, z = (x + low_x) << shift, (y + low_y) << shift, (z + low_z) << shift
            path[i] = (spread_bits(x) << 2) | (spread_bits(y) << 1) | spread_bits(z)


@njit(cache=True, nogil=True)
def _cells_of_rows(counter, links, cells):
    """Write the flat index of each row's value."""
    while True:
        first = fetch_add(counter, 0, _RUN)
        if first >= len(links):
            break
        for i in range(first, min(first + _RUN, len(links))):
            if links[i] >= 0:
                cells[links[i]] = i


@njit(cache=True, nogil=True)
def _corner_rows(links, cell, row_y, row_x, empty, rows, at):
    """Write the eight rows of a cell's corners, corner 4 cx + 2 cy + cz."""
    for corner in range(8):
        i = cell + (corner >> 2) * row_x + ((corner >> 1) & 1) * row_y + (corner & 1)
        rows[at, corner] = links[i] if links[i] >= 0 else empty


@njit(cache=True, nogil=True)
def _flag_live(counter, cells, links, density, row_y, row_x, live):
    """Set live[i] to whether a cell has a corner above 0: only then can its density be above 0 anywhere."""
    while True:
        first = fetch_add(counter, 0, _RUN)
        if first >= len(cells):
            break
        for i in range(first, min(first + _RUN, len(cells))):
            cell, above = cells[i], False
            for corner in range(8):
                j = links[cell + (corner >> 2) * row_x + ((corner >> 1) & 1) * row_y + (corner & 1)]
                if j >= 0:
                    above |= density[j] > 0.0
            live[i] = above


@njit(cache=True, nogil=True)
def _lay_out(
    counter, chosen, all_cells, all_paths, links, row_y, row_x, empty, level, path, corner_idx, soa, stride, box
):  # fmt: skip
    """Fill the arrays of a VoxelTable with the chosen cells, all of one level, in a root of edge 1."""
    edge = np.float32(1.0 / (1 << level))
    while True:
        first = fetch_add(counter, 0, _RUN)
        if first >= len(chosen):
            break
        for i in range(first, min(first + _RUN, len(chosen))):
            p = all_paths[chosen[i]]
            path[i] = p
            for axis in range(3):
                low = np.float32((gather_bits(p >> (2 - axis)) >> (MAX_LEVEL - level)) * edge - 0.5)
                box[i, axis] = low
                soa[axis * stride + i] = low + np.float32(0.5) * edge
            box[i, 3] = edge
            soa[3 * stride + i] = np.float32(0.5) * edge
            _corner_rows(links, all_cells[chosen[i]], row_y, row_x, empty, corner_idx, i)


@njit(cache=True, nogil=True)
def _mark_points(counter, first_pair, corner_idx, seen):
    """Set seen [N+1] of the corners of visible cells; threads may write the same 1."""
    while True:
        first = fetch_add(counter, 0, _RUN)
        if first >= len(first_pair):
            break
        for i in range(first, min(first + _RUN, len(first_pair))):
            if first_pair[i] >= 0:
                for corner in range(8):
                    seen[corner_idx[i, corner]] = 1


@njit(cache=True, nogil=True)
def _shade_points(counter, seen, cells, size_y, size_z, scale, offset, eye, ortho, ahead, sh, degree, rgb):
    """Write 1/2 + SH, not cut off, of the points that are seen; the direction is from the eye, or `ahead` when ortho."""
    n_basis = (degree + 1) * (degree + 1)
    stride = sh.shape[1]
    flat = sh.reshape(-1)
    basis = np.zeros(3 * stride, dtype=np.float32)
    while True:
        first = fetch_add(counter, 0, _RUN)
        if first >= len(cells):
            break
        for i in range(first, min(first + _RUN, len(cells))):
            if seen[i] == 0:
                continue
            row, z = divmod(cells[i], size_z)
            x, y = divmod(row, size_y)
            dx, dy, dz = ahead[0], ahead[1], ahead[2]
            if not ortho:
                dx = (x - offset[0]) / scale[0] - eye[0]
                dy = (y - offset[1]) / scale[1] - eye[1]
                dz = (z - offset[2]) / scale[2] - eye[2]
                shorter = 1.0 / np.sqrt(max(dx * dx + dy * dy + dz * dz, 1e-24))
                dx, dy, dz = dx * shorter, dy * shorter, dz * shorter
            for channel in range(3):
                write_basis(dx, dy, dz, degree, basis, channel * (stride + n_basis), 1)
            r, g, b = splat(0.0), splat(0.0), splat(0.0)
            for v in range(0, stride, 16):
                lanes = load(flat, i * stride + v)
                r = fma(lanes, load(basis, v), r)
                g = fma(lanes, load(basis, stride + v), g)
                b = fma(lanes, load(basis, 2 * stride + v), b)
            rgb[i, 0, 0] = np.float32(0.5) + lane_sum(r)
            rgb[i, 0, 1] = np.float32(0.5) + lane_sum(g)
            rgb[i, 0, 2] = np.float32(0.5) + lane_sum(b)


def find_cells(links: np.ndarray, crew: Crew) -> np.ndarray:
    """Return int64 [C]: all cells with a value at any corner, ascending."""
    starts = np.zeros(links.shape[0], dtype=np.int64)
    crew.run(_find_cells, links, False, starts, np.empty(0, dtype=np.int64))
    ends = np.cumsum(starts)
    cells = np.empty(ends[-1] if len(ends) else 0, dtype=np.int64)
    crew.run(_find_cells, links, True, ends - starts, cells)
    return cells


def paths_of_cells(
    cells: np.ndarray, resolution: tuple[int, int, int], low: np.ndarray, level: int, crew: Crew
) -> np.ndarray:
    """Return paths int64 [C] of cells whose grid index 0 stands at leaf `low [3]` of an octree's level."""
    path = np.empty(len(cells), dtype=np.int64)
    at = (int(i) for i in low)
    crew.run(_paths_of_cells, cells, resolution[1], resolution[2], *at, MAX_LEVEL - level, path)
    return path


def cells_of_rows(grid: Grid, crew: Crew) -> np.ndarray:
    """Return int64 [N]: the flat index of each row's value."""
    cells = np.empty(grid.n_voxels, dtype=np.int64)
    crew.run(_cells_of_rows, grid.links.reshape(-1), cells)
    return cells


def live_cells(cells: np.ndarray, grid: Grid, crew: Crew) -> np.ndarray:
    """Return the indices [V] into `cells` of those that can have density now."""
    live = np.empty(len(cells), dtype=np.bool_)
    _, y, z = grid.resolution
    crew.run(_flag_live, cells, grid.links.reshape(-1), grid.density, z, y * z, live)
    return np.flatnonzero(live)


def table_of_cells(
    chosen: np.ndarray, cells: np.ndarray, path: np.ndarray, grid: Grid, level: int, crew: Crew
) -> VoxelTable:
    """Return the rasteriser's table of the chosen ones of cells in ascending order of their paths."""
    n, (_, y, z) = len(chosen), grid.resolution
    stride = n + PAD
    paths, corner_idx = np.empty(n, dtype=np.int64), np.empty((n, 8), dtype=np.int32)
    soa, box = np.zeros(4 * stride, dtype=np.float32), np.empty((n, 4), dtype=np.float32)
    crew.run(
        _lay_out, chosen, cells, path, grid.links.reshape(-1), z, y * z, grid.n_voxels, level, paths, corner_idx, soa,
        stride, box,
    )  # fmt: skip
    levels = np.full(n, level, dtype=np.int8)
    chunks = np.empty((max(1, n), 4), dtype=np.int64)
    n_chunks = cut_into_chunks(paths, levels, chunks) if n else 0
    return VoxelTable(paths, levels, corner_idx, 1.0, soa, stride, box, chunks[:n_chunks].copy())


def shade_points(
    first_pair: np.ndarray,  # int32 [V], -1 of a cell that is not seen
    corner_idx: np.ndarray,  # int32 [V,8]
    row_cells: np.ndarray,  # see `cells_of_rows`
    grid: Grid,
    eye: np.ndarray,  # [3] world
    ahead: np.ndarray | None,  # [3]: the direction of all rays, None for rays from the eye
    rgb: np.ndarray,  # float32 [N+1,1,3], written for the corners of visible cells
    seen: np.ndarray,  # uint8 [N+1], scratch
    crew: Crew,
) -> None:
    """Write the colours, not yet cut off at 0, of the points around visible cells, each seen from where the eye is."""
    seen[:] = 0
    crew.run(_mark_points, first_pair, corner_idx, seen)
    _, y, z = grid.resolution
    direction = np.zeros(3) if ahead is None else np.asarray(ahead, dtype=np.float64)
    crew.run(
        _shade_points, seen, row_cells, y, z, grid.scale, grid.offset, np.asarray(eye, dtype=np.float64),
        ahead is not None, direction, grid.sh, grid.degree, rgb,
    )  # fmt: skip
    rgb[grid.n_voxels] = 0.5
