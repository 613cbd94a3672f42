# SPDX-License-Identifier: MIT
"""The PLY of the svraster-webgl viewer: a binary vertex per voxel, colours up to degree 1.

    comment   scene_center x y z, scene_extent e, active_sh_degree d
    x y z f4                 a voxel's centre
    octpath u4, octlevel u1  the low 32 of a path's 48 bits (16 levels of 3, x highest), and its level
    f_dc_0..2 f4             coefficient 0: red, green, blue
    f_rest_0.. f4            the other coefficients one after another, red, green, blue of each
    grid0_value..7 f4        raw densities at the corners 000, 001 .. 111, x first

That the 32 bits lose the coarse levels is the format's own; the positions tell where voxels are. Lengths are three times the
engine's: the published programs count 100 densities per unit where the engine counts 300 per cube, so raw densities stay
as they are. Not established is which signs that viewer gives the three functions of degree 1: reports say that it
differs from -y, +z, -x, in which these files are written as SVRaster's own are, and then highlights look off in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from engine.constants import DENSITY_SCALE
from engine.export import ply
from engine.export.voxel_set import VoxelSet

DEGREE = 1  # what the viewer shows
FILE_FROM_OCTREE = DENSITY_SCALE / 100.0
_CHUNK = 1 << 17


def fields(degree: int) -> list[tuple[str, str]]:
    """Return the properties of a vertex."""
    rest = 3 * ((degree + 1) ** 2 - 1)
    return [
        *((axis, "<f4") for axis in "xyz"), ("octpath", "<u4"), ("octlevel", "u1"),
        *((f"f_dc_{i}", "<f4") for i in range(3)), *((f"f_rest_{i}", "<f4") for i in range(rest)),
        *((f"grid{i}_value", "<f4") for i in range(8)),
    ]  # fmt: skip


def write(path: str | Path, voxels: VoxelSet) -> int:
    """Write voxels whose colours have a degree up to 1; return the bytes."""
    if voxels.degree > DEGREE:
        raise ValueError(f"webgl.write() takes colours up to degree {DEGREE}, got degree {voxels.degree}.")
    extent = FILE_FROM_OCTREE * voxels.octree.root_size
    comments = ["scene_center 0.0 0.0 0.0", f"scene_extent {extent:.9g}", f"active_sh_degree {voxels.degree}"]
    return ply.write(path, fields(voxels.degree), len(voxels), _records(voxels), comments=comments)


def _records(voxels: VoxelSet) -> Iterator[np.ndarray]:
    octree, layout = voxels.octree, fields(voxels.degree)
    for first in range(0, len(voxels), _CHUNK):
        part = slice(first, first + _CHUNK)
        rows = np.zeros(len(octree.path[part]), layout)
        for axis, name in enumerate("xyz"):
            rows[name] = FILE_FROM_OCTREE * octree.center[part, axis]
        rows["octpath"] = (octree.path[part] & 0xFFFFFFFF).astype(np.uint32)
        rows["octlevel"] = octree.level[part]
        colours = voxels.sh[part].reshape(len(rows), -1)
        for i in range(colours.shape[1]):
            rows[f"f_dc_{i}" if i < 3 else f"f_rest_{i - 3}"] = colours[:, i]
        for corner in range(8):
            rows[f"grid{corner}_value"] = voxels.density[octree.corner_idx[part, corner]]
        yield rows
