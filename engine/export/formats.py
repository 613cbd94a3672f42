# SPDX-License-Identifier: MIT
"""The formats that a trained scene can be written in: names, suffixes, which options each listens to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.errors import UserError

COMPACT_SUFFIX = ".voxels"


@dataclass(frozen=True)
class Format:
    """A format of scene export. `suffixes`: the first one is proposed; `groups` of ExportOptions that it listens to."""

    id: str
    title: str
    suffixes: tuple[str, ...]
    help: str
    groups: tuple[str, ...]


FORMATS = (
    Format(
        "compact", "Compact voxels", (COMPACT_SUFFIX,),
        "One small file that nerfviewer opens again, also where the photos are not.", ("compact",),
    ),
    Format(
        "mesh", "Mesh", (".glb", ".ply", ".obj"),
        "Triangles with colours, for Blender and game engines; fused from many views.", ("mesh", "fusion"),
    ),
    Format(
        "points", "Surface points", (".ply",),
        "Coloured points of what the views show, for MeshLab and CloudCompare.", ("points", "fusion"),
    ),
    Format(
        "voxels", "Voxels as points", (".ply",),
        "A coloured point at every voxel's centre, with its size, level, density and opacity.", ("voxels",),
    ),
    Format(
        "cubes", "Voxels as cubes", (".ply",),
        "A coloured cube for every voxel, as a mesh that any viewer shows.", ("voxels",),
    ),
    Format(
        "webgl", "SVRaster WebGL", (".ply",),
        "For the svraster-webgl viewer in a browser, which shows colours up to degree 1.", (),
    ),
)  # fmt: skip
_BY_ID = {one.id: one for one in FORMATS}
_OF_SUFFIX = {COMPACT_SUFFIX: "compact", ".glb": "mesh", ".obj": "mesh", ".ply": "voxels"}


def find(format_id: str) -> Format:
    """Return the format of that id, or raise UserError."""
    if format_id not in _BY_ID:
        raise UserError(f"There is no export format {format_id!r}; choose one of {', '.join(_BY_ID)}.")
    return _BY_ID[format_id]


def format_of(path: str | Path, format_id: str | None = None) -> Format:
    """Return the format that a file name asks for, or the one that was named if the name fits it. Raises UserError."""
    suffix = Path(path).suffix.lower()
    if format_id is None:
        if suffix not in _OF_SUFFIX:
            raise UserError(f"Cannot export to {path}: its name must end in {', '.join(_OF_SUFFIX)}.")
        return _BY_ID[_OF_SUFFIX[suffix]]
    chosen = find(format_id)
    if suffix not in chosen.suffixes:
        wanted = " or ".join(chosen.suffixes)
        raise UserError(f"Cannot export to {path}: a name for the format {chosen.id} must end in {wanted}.")
    return chosen
