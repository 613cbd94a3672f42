# SPDX-License-Identifier: MIT
"""A Plenoxels grid as voxels: its cells become leaves of an octree whose corners are the grid's values.

The octree has a place and size of its own (`Lattice`). A cell's colour changes from corner to corner and a voxel's does not,
and density is interpolated before its activation, not behind it; so every cell is cut into eight, where there is room for
that many. What is interpolated are the raw values with their signs: below 0 a cell is empty however dense another corner is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.constants import MAX_LEVEL
from engine.conventions import similarity
from engine.errors import UserError
from engine.export.voxel_set import VoxelSet, plain_values
from engine.methods.infnerf.bake import raw_density
from engine.methods.plenoxels.view import SAMPLES, Lattice, fits
from engine.octree import Octree
from engine.options import build, flatten, updated
from engine.voxel_grid import Grid

if TYPE_CHECKING:
    from engine.methods.plenoxels.model import Plenoxels

LEAST_RAW = -7.0  # as good as empty: a fifth of the light is lost in a cube that is full of it
MOST_SPLIT = 1_000_000  # cells, beyond which they are not cut
_CHUNK = 1 << 18


def voxels_of_grid(method: Plenoxels) -> VoxelSet:
    """Return the cells that hold any density as voxels, or raise UserError where they are no cubes."""
    from engine.methods.svraster.config import SVRasterConfig

    grid = method.grid
    if method.space.forward_facing or not fits(grid):
        raise UserError(
            "This Plenoxels grid has no cubic voxels in the world, as it lies in device coordinates; export it as .npz or "
            ".plenoxels, or a mesh of it, instead."
        )
    lattice = Lattice.of(grid)
    octree = Octree.from_leaves(lattice.path, np.full(len(lattice.path), lattice.level))
    octree, density = _dense_part(octree, grid, lattice)
    if len(octree) <= MOST_SPLIT and lattice.level < MAX_LEVEL:
        octree, _ = octree.subdivide(np.ones(len(octree), dtype=bool))
        octree, density = _dense_part(octree, grid, lattice)
    if not len(octree):
        raise UserError("This Plenoxels grid is empty, so there are no voxels to write; train it first.")
    middles = (octree.center.astype(np.float64) + 0.5) * (1 << lattice.level) - lattice.low
    values = updated(build(SVRasterConfig, plain_values(grid.degree)), {"model.samples_per_voxel": SAMPLES})
    origin = grid.world_from_grid((-lattice.low + 0.5 * (1 << lattice.level)).astype(np.float64))
    return VoxelSet(
        octree,
        np.maximum(raw_density(density / lattice.per_unit), LEAST_RAW).astype(np.float32),
        np.ascontiguousarray(_between(middles, grid, grid.coefficients).transpose(0, 2, 1)),
        np.full(3, method.background, np.float32),
        flatten(values),
        engine_from_octree=similarity(1.0 / lattice.per_unit, origin),
        lost="" if method.spheres is None else "The surroundings of Plenoxels are no voxels and stay behind.",
    )


def _dense_part(octree: Octree, grid: Grid, lattice: Lattice) -> tuple[Octree, np.ndarray]:
    """Return the leaves with density at any corner, and the densities [G] at their points, at least 0."""
    places = octree.point_ijk / float(1 << (MAX_LEVEL - lattice.level)) - lattice.low
    density = np.maximum(_between(places, grid, grid.density), 0.0)
    octree, carry = octree.keep((density[octree.corner_idx] > 0.0).any(axis=1))
    return octree, density[carry.point_from[:, 0]]


def _between(places: np.ndarray, grid: Grid, values: np.ndarray) -> np.ndarray:
    """Return values [N,...] of rows, trilinear at places [n,3] in grid coordinates; where there is no row they are 0."""
    found = np.zeros((len(places), *values.shape[1:]), np.float32)
    for first in range(0, len(places), _CHUNK):
        part = places[first : first + _CHUNK]
        low = np.floor(part + 1e-9).astype(np.int64)
        share = part - low
        for corner in range(8):
            offset = np.array([corner >> 2, (corner >> 1) & 1, corner & 1])
            weight = np.prod(np.where(offset == 1, share, 1.0 - share), axis=1)
            at = low + offset
            inside = ((at >= 0) & (at < grid.resolution)).all(axis=1)
            row = np.where(inside, grid.links[tuple(np.where(inside[:, None], at, 0).T)], -1)
            weight = np.where(row >= 0, weight, 0.0).astype(np.float32)
            shape = (-1, *[1] * (values.ndim - 1))
            found[first : first + _CHUNK] += weight.reshape(shape) * values[np.maximum(row, 0)]
    return found
