# SPDX-License-Identifier: MIT
"""What each format would be: bytes on the disk and what is lost of the picture, measured on a few held-out views.

The compact file and the one for svraster-webgl are made in memory and looked at. Sizes of lists of voxels are exact; those
of points and meshes follow from how many cells a few views show, and are marked as rough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from engine.cameras import Camera
from engine.errors import UserError
from engine.export import compact, mesh, ply, webgl
from engine.export.formats import FORMATS
from engine.export.options import ExportOptions
from engine.export.pictures import PointCloud, cameras_for, drawn, half_edge
from engine.export.voxel_set import VoxelSet
from engine.export.write import Source, compact_bytes, of_degree
from engine.messages import FormatEstimate
from engine.methods.common import Buffers
from engine.metrics import psnr

VIEWS = 8  # that the loss is measured on
_ROUGH_VIEWS = 8  # that cells are counted in
_GLB_BYTES = 16 + 2 * 12  # a vertex with its colour, and two triangles for each
_VERTICES = 1.2  # of a mesh, for each cell that pictures show a surface in
_LATER = "InfNeRF is baked into voxels when it is written, which takes a while; size and loss are known then."


def estimate(source: Source, options: ExportOptions | None = None) -> tuple[FormatEstimate, ...]:
    """Return an estimate for every format, in the order of FORMATS. Nothing is written."""
    return list(estimates(source, options))[-1]


def estimates(source: Source, options: ExportOptions | None = None) -> Iterator[tuple[FormatEstimate, ...]]:
    """Yield what is known after each format, quick ones first: tuples in the order of FORMATS, the last with all of them."""
    options = options or ExportOptions()
    found: dict[str, FormatEstimate] = {}
    for number, name in enumerate(_ESTIMATES):
        source.report("estimating", number, len(_ESTIMATES))
        try:
            found[name] = _ESTIMATES[name](source, options)
        except UserError as error:
            found[name] = FormatEstimate(name, problem=str(error))
        yield tuple(found[one.id] for one in FORMATS if one.id in found)


def loss_of(source: Source, voxels: VoxelSet) -> float:
    """Return how much the mean PSNR of a few held-out views, else training views, is below the model's own."""
    split = source.scene.test if len(source.scene.test) else source.scene.train
    chosen = range(0, len(split), max(1, len(split) // VIEWS))[:VIEWS]

    def quality(draw: Callable[[Camera], Buffers]) -> float:
        found = []
        for i in chosen:
            source.report("comparing pictures", len(found) + 1, len(chosen))
            found.append(psnr(draw(split.views[i].camera).rgb, split.images.load(i)))
        return float(np.mean(found))

    if source.psnr is None:
        source.psnr = quality(source.draw)
    return source.psnr - quality(lambda camera: source.rested(lambda: voxels.picture(camera)))


def _compact(source: Source, options: ExportOptions) -> FormatEstimate:
    if not source.quick:
        return FormatEstimate("compact", note=_LATER)
    content = compact_bytes(source, options)
    voxels = source.voxels
    again = compact.decoded(content).voxels
    again = replace(again, engine_from_octree=voxels.engine_from_octree)
    each = f"{len(content) / len(voxels):.1f} bytes a voxel"
    note = f"{each}. {voxels.lost}" if voxels.lost else f"{each}."
    return FormatEstimate("compact", len(content), loss_db=loss_of(source, again), note=note)


def _webgl(source: Source, options: ExportOptions) -> FormatEstimate:
    if not source.quick:
        return FormatEstimate("webgl", note=_LATER)
    voxels = of_degree(source, webgl.DEGREE)
    size = ply.size_of(webgl.fields(voxels.degree), len(voxels))
    return FormatEstimate("webgl", size, loss_db=loss_of(source, voxels), note=voxels.lost)


def _chosen_voxels(source: Source, options: ExportOptions) -> int:
    return int(np.count_nonzero(ply.opacity_of(source.voxels) >= options.voxels.opacity))


def _voxels(source: Source, options: ExportOptions) -> FormatEstimate:
    if not source.quick:
        return FormatEstimate("voxels", note=_LATER)
    count = _chosen_voxels(source, options)
    return FormatEstimate("voxels", ply.size_of(ply.VOXEL_FIELDS, count), note=f"{count:,} points.")


def _cubes(source: Source, options: ExportOptions) -> FormatEstimate:
    if not source.quick:
        return FormatEstimate("cubes", note=_LATER)
    count = _chosen_voxels(source, options)
    return FormatEstimate(
        "cubes", ply.size_of(ply.POINT_FIELDS, 8 * count, 12 * count), note=f"{count:,} cubes."
    )


def _cells(source: Source, options: ExportOptions, resolution: int) -> int:
    """Return about how many cells of a lattice the views show a surface in."""
    cameras = cameras_for(source.scene, options.fusion)
    some = cameras[:: max(1, len(cameras) // _ROUGH_VIEWS)][:_ROUGH_VIEWS]
    cloud = PointCloud(half_edge(source.scene, options.fusion.foreground), resolution)
    for picture in drawn(some, source.draw, options.fusion.depth):
        cloud.add(picture)
    return cloud.cells_of_all(len(cameras))


def _points(source: Source, options: ExportOptions) -> FormatEstimate:
    count = _cells(source, options, options.points.resolution)
    return FormatEstimate(
        "points", ply.size_of(ply.POINT_FIELDS, count), True, note=f"About {_rounded(count)} points."
    )


def _mesh(source: Source, options: ExportOptions) -> FormatEstimate:
    mesh.require_tools()
    vertices = int(_VERTICES * _cells(source, options, options.mesh.resolution))
    if options.mesh.triangles:
        vertices = min(vertices, options.mesh.triangles // 2)
    note = f"About {_rounded(vertices)} vertices, as .glb."
    return FormatEstimate("mesh", _GLB_BYTES * vertices, True, note=note)


def _rounded(count: int) -> str:
    digits = max(0, len(str(count)) - 2)
    return f"{round(count, -digits):,}"


_ESTIMATES: dict[str, Callable[[Source, ExportOptions], FormatEstimate]] = {  # the quick ones first
    "voxels": _voxels,
    "cubes": _cubes,
    "compact": _compact,
    "mesh": _mesh,
    "points": _points,
    "webgl": _webgl,
}
