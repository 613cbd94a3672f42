# SPDX-License-Identifier: MIT
"""Binary PLY files that common tools open: a record per vertex, and triangles if there are any.

Colours are `red green blue` of one byte, which MeshLab, CloudCompare and Blender show. Positions are in the data's own
coordinates, so that what is exported lies where the capture's cameras and points lie.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.export.voxel_set import VoxelSet, density_of
from engine.files import saved_file
from engine.sh import rgb_from_sh

if TYPE_CHECKING:
    from engine.datasets.scene import Scene

_TYPES = {"f4": "float", "f8": "double", "u1": "uchar", "i4": "int", "u4": "uint"}
_FACE = np.dtype([("n", "u1"), ("corners", "<i4", 3)])
_CHUNK = 1 << 18  # voxels at once
_CORNERS = np.stack(np.meshgrid(*[(0, 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3) - 0.5
_CUBE = np.array([  # two triangles a side, seen from outside; corner 4 cx + 2 cy + cz
    (0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1),
    (2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4), (1, 5, 7), (1, 7, 3),
], dtype=np.int32)  # fmt: skip
VOXEL_FIELDS = [
    ("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("red", "u1"), ("green", "u1"), ("blue", "u1"),
    ("size", "<f4"), ("level", "u1"), ("density", "<f4"), ("opacity", "<f4"),
]  # fmt: skip
POINT_FIELDS = VOXEL_FIELDS[:6]


def write(
    path: str | Path,
    fields: Sequence[tuple[str, str]],
    count: int,
    records: Iterable[np.ndarray],
    triangles: Iterable[np.ndarray] = (),
    n_triangles: int = 0,
    comments: Sequence[str] = (),
) -> int:
    """Write `count` vertices in parts, and triangles int32 [n,3] in parts; return the bytes. Whole or not at all."""
    path = Path(path)
    with saved_file(path) as temporary, open(temporary, "wb") as file:
        file.write(header(fields, count, n_triangles, comments).encode("ascii", "replace"))
        for part in records:
            file.write(part.tobytes())
        for part in triangles:
            rows = np.empty(len(part), _FACE)
            rows["n"], rows["corners"] = 3, part
            file.write(rows.tobytes())
        size = file.tell()
    return size


def header(
    fields: Sequence[tuple[str, str]], count: int, n_triangles: int = 0, comments: Sequence[str] = ()
) -> str:
    """Return the header of a binary file."""
    lines = ["ply", "format binary_little_endian 1.0", *(f"comment {text}" for text in comments)]
    lines += [f"element vertex {count}", *(f"property {_TYPES[kind[-2:]]} {name}" for name, kind in fields)]
    if n_triangles:
        lines += [f"element face {n_triangles}", "property list uchar int vertex_indices"]
    return "\n".join([*lines, "end_header\n"])


def size_of(fields: Sequence[tuple[str, str]], count: int, n_triangles: int = 0) -> int:
    """Return the bytes of a file without comments."""
    return (
        len(header(fields, count, n_triangles))
        + count * np.dtype(fields).itemsize
        + n_triangles * _FACE.itemsize
    )


# --- voxels -----------------------------------------------------------------------------------------------------------


def write_voxels(path: str | Path, voxels: VoxelSet, scene: Scene, least_opacity: float) -> tuple[int, int]:
    """Write a point at the centre of each voxel; return how many, and the bytes."""
    chosen = np.flatnonzero(opacity_of(voxels) >= least_opacity)
    parts = (_records(voxels, scene, part) for part in _parts(chosen))
    return len(chosen), write(path, VOXEL_FIELDS, len(chosen), parts, comments=["voxels of nerfviewer"])


def write_cubes(path: str | Path, voxels: VoxelSet, scene: Scene, least_opacity: float) -> tuple[int, int]:
    """Write a cube for each voxel; return how many, and the bytes."""
    chosen = np.flatnonzero(opacity_of(voxels) >= least_opacity)
    matrix = scene.data_from_engine @ voxels.engine_from_octree

    def corners(part: np.ndarray) -> np.ndarray:
        octree = voxels.octree
        places = octree.center[part, None] + octree.size[part, None, None] * _CORNERS
        rows = np.zeros((len(part), 8), POINT_FIELDS)
        _put(rows, "xyz", moved(places, matrix))
        _put(rows, ("red", "green", "blue"), _plain_colours(voxels, part)[:, None])
        return rows

    triangles = (_CUBE + 8 * part[:, None, None] for part in _parts(np.arange(len(chosen), dtype=np.int32)))
    size = write(
        path, POINT_FIELDS, 8 * len(chosen), (corners(part) for part in _parts(chosen)),
        (part.reshape(-1, 3) for part in triangles), 12 * len(chosen), ["voxels of nerfviewer as cubes"],
    )  # fmt: skip
    return len(chosen), size


def write_points(path: str | Path, xyz: np.ndarray, rgb: np.ndarray, comment: str) -> int:
    """Write points [N,3] with colours uint8 [N,3]; return the bytes."""
    rows = np.zeros(len(xyz), POINT_FIELDS)
    _put(rows, "xyz", xyz)
    _put(rows, ("red", "green", "blue"), rgb)
    return write(path, POINT_FIELDS, len(rows), [rows], comments=[comment])


def opacity_of(voxels: VoxelSet) -> np.ndarray:
    """Return float32 [V]: what share of the light each voxel hides over the length of its edge, by its mean density."""
    return -np.expm1(-_mean_density(voxels) * voxels.octree.size).astype(np.float32)


def _mean_density(voxels: VoxelSet) -> np.ndarray:
    """Return densities [V] per unit of the octree."""
    octree, found = voxels.octree, np.empty(len(voxels), np.float32)
    for part in _parts(np.arange(len(voxels))):
        found[part] = density_of(voxels.density[octree.corner_idx[part]]).mean(axis=1)
    return found


def _records(voxels: VoxelSet, scene: Scene, part: np.ndarray) -> np.ndarray:
    octree, matrix = voxels.octree, scene.data_from_engine @ voxels.engine_from_octree
    scale = float(np.cbrt(np.linalg.det(matrix[:3, :3])))
    density = density_of(voxels.density[octree.corner_idx[part]]).mean(axis=1)
    rows = np.zeros(len(part), VOXEL_FIELDS)
    _put(rows, "xyz", moved(octree.center[part], matrix))
    _put(rows, ("red", "green", "blue"), _plain_colours(voxels, part))
    rows["size"], rows["level"] = octree.size[part] * scale, octree.level[part]
    rows["density"], rows["opacity"] = density / scale, -np.expm1(-density * octree.size[part])
    return rows


def _plain_colours(voxels: VoxelSet, part: np.ndarray) -> np.ndarray:
    """Return uint8 [n,3]: colours of degree 0, which are means over all directions."""
    up = np.tile([0.0, 0.0, 1.0], (len(part), 1))
    return to_bytes(rgb_from_sh(voxels.sh[part, :1], up, 0))


def _parts(rows: np.ndarray) -> Iterable[np.ndarray]:
    return (rows[first : first + _CHUNK] for first in range(0, len(rows), _CHUNK))


def _put(rows: np.ndarray, names: Sequence[str], values: np.ndarray) -> None:
    for axis, name in enumerate(names):
        rows[name] = values[..., axis]


def moved(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return points [...,3] under a [4,4] map."""
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def to_bytes(rgb: np.ndarray) -> np.ndarray:
    """Return colours in [0,1] as uint8."""
    return np.rint(np.clip(rgb, 0.0, 1.0) * 255.0).astype(np.uint8)
