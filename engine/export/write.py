# SPDX-License-Identifier: MIT
"""A trained scene into a file of any format: what `nerfviewer export` and the window's dialog do."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from engine.cameras import Camera
from engine.datasets.box import text_of_centre
from engine.datasets.scene import Scene
from engine.errors import CheckpointError, UserError
from engine.export import compact, mesh, ply, webgl
from engine.export.degree import refitted
from engine.export.formats import Format
from engine.export.options import ExportOptions, FusionOptions
from engine.export.pictures import PointCloud, cameras_for, drawn, half_edge
from engine.export.source import Progress, voxels_of
from engine.export.tsdf import Volume
from engine.export.voxel_set import VoxelSet
from engine.methods.common import Buffers, Method
from engine.runs import RunSpec

T = TypeVar("T")


@dataclass(frozen=True)
class Written:
    """What was written: a file, its bytes, and in words what is in it."""

    path: str
    bytes: int
    content: str


@dataclass(eq=False)
class Source:
    """What is exported: a model that nothing changes, its scene, the run it is of and how long that was trained.

    `rest(seconds)` is called after each piece of work of so many seconds, so that others get their share of the time. `psnr`
    is the model's own over the views that losses are measured on, once it is known.
    """

    method: Method
    scene: Scene
    spec: RunSpec
    seconds: float = 0.0
    bake_options: Any = None
    report: Progress = field(default=lambda stage, done, total: None)
    rest: Callable[[float], None] = field(default=lambda seconds: None)
    psnr: float | None = None

    @cached_property
    def voxels(self) -> VoxelSet:
        """The scene as voxels; of InfNeRF they are baked when they are first asked for."""
        return voxels_of(self.method, self.report, self.bake_options)

    @property
    def quick(self) -> bool:
        """Whether voxels are there without baking."""
        return self.method.name != "infnerf" or "voxels" in self.__dict__

    def draw(
        self, camera: Camera, want: frozenset[str] = frozenset(), supersample: float | None = None
    ) -> Buffers:
        """Return a view of the model; `supersample` rays a pixel side, None: as it is evaluated."""
        if self.method.name == "svraster":
            return self.rested(lambda: self.voxels.picture(camera, want, supersample))
        return self.rested(lambda: self.method.render(camera, want, supersample=supersample))

    def rested(self, work: Callable[[], T]) -> T:
        """Do a piece of work and rest as is due."""
        begin = time.perf_counter()
        found = work()
        self.rest(time.perf_counter() - begin)
        return found


def write_scene(
    source: Source, chosen: Format, path: str | Path, options: ExportOptions | None = None
) -> Written:
    """Write a scene in a format, whole or not at all. Raises UserError in one sentence."""
    path, options = Path(path).expanduser(), options or ExportOptions()
    if path.is_dir():
        raise UserError(f"Cannot write {path}: a folder has that name. Choose another.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointError(
            f"Cannot create {path.parent}: {error.strerror or error}. Choose another folder."
        ) from error
    size, content = _WRITERS[chosen.id](source, path, options)
    return Written(str(path), size, content)


def compact_bytes(source: Source, options: ExportOptions) -> bytes:
    """Return the compact file of a scene."""
    voxels = source.voxels
    return compact.encoded(voxels, spec_of(source, voxels), source.scene, source.seconds, options.compact)


def spec_of(source: Source, voxels: VoxelSet) -> RunSpec:
    """Return the run that opens voxels: their scene, normalised to the cube that they lie in."""
    spec = source.spec
    if np.array_equal(voxels.engine_from_octree, np.eye(4)):
        return spec
    matrix = source.scene.data_from_engine @ voxels.engine_from_octree
    edge = float(np.cbrt(np.linalg.det(matrix[:3, :3])))
    box = {"box_centre": text_of_centre(matrix[:3, 3]), "box_edge": edge}
    return RunSpec(spec.scene, spec.method, spec.seed, spec.options | box, spec.values)


def of_degree(source: Source, degree: int) -> VoxelSet:
    """Return the voxels with colours of at most a degree, fitted to how the training views see them."""
    voxels = source.voxels
    if voxels.degree <= degree:
        return voxels
    cameras = [view.camera for view in source.scene.train.views]
    return refitted(voxels, degree, cameras, source.report, source.rest)


# --- formats ----------------------------------------------------------------------------------------------------------


def _compact(source: Source, path: Path, options: ExportOptions) -> tuple[int, str]:
    content = compact_bytes(source, options)
    source.report("writing", 0, 0)
    compact.write(path, content)
    return len(content), f"{len(source.voxels):,} voxels, {len(content) / len(source.voxels):.1f} bytes each"


def _voxels(source: Source, path: Path, options: ExportOptions) -> tuple[int, str]:
    source.report("writing", 0, 0)
    count, size = ply.write_voxels(path, source.voxels, source.scene, options.voxels.opacity)
    return size, f"{count:,} of {len(source.voxels):,} voxels as points"


def _cubes(source: Source, path: Path, options: ExportOptions) -> tuple[int, str]:
    source.report("writing", 0, 0)
    count, size = ply.write_cubes(path, source.voxels, source.scene, options.voxels.opacity)
    return size, f"{count:,} of {len(source.voxels):,} voxels as cubes"


def _webgl(source: Source, path: Path, options: ExportOptions) -> tuple[int, str]:
    voxels = of_degree(source, webgl.DEGREE)
    source.report("writing", 0, 0)
    return webgl.write(path, voxels), f"{len(voxels):,} voxels with colours of degree {voxels.degree}"


def _points(source: Source, path: Path, options: ExportOptions) -> tuple[int, str]:
    cloud = PointCloud(half_edge(source.scene, options.fusion.foreground), options.points.resolution)
    cameras = cameras_for(source.scene, options.fusion)
    for number, picture in enumerate(drawn(cameras, source.draw, options.fusion.depth)):
        source.report("drawing views", number + 1, len(cameras))
        cloud.add(picture)
    xyz, rgb = cloud.points()
    if not len(xyz):
        raise UserError(
            "No view shows a surface in the box; train longer, or take points of the whole scene."
        )
    places = ply.moved(xyz, source.scene.data_from_engine)
    return ply.write_points(path, places, rgb, "surface points of nerfviewer"), f"{len(xyz):,} points"


def _mesh(source: Source, path: Path, options: ExportOptions) -> tuple[int, str]:
    mesh.require_tools(simplify=options.mesh.triangles > 0)
    volume = fused(source, options.fusion, options.mesh.resolution, options.mesh.truncation)
    surface = mesh.surface_of(volume, lambda done, total: source.report("making triangles", done, total))
    source.report("finishing the mesh", 0, 0)
    surface = mesh.finished(surface, options.mesh)
    size = mesh.write(path, surface, source.scene)
    return size, f"{len(surface.vertices):,} vertices, {len(surface.faces):,} triangles"


def fused(source: Source, options: FusionOptions, resolution: int, truncation: float) -> Volume:
    """Return the distances to the surface that many views of a model show."""
    volume = Volume(half_edge(source.scene, options.foreground), resolution, truncation)
    cameras, pictures = cameras_for(source.scene, options), []
    for picture in drawn(cameras, source.draw, options.depth):
        pictures.append(picture)
        source.report("drawing views", len(pictures), len(cameras))
        volume.reserve(picture)
    volume.make()
    for number, picture in enumerate(pictures):
        source.report("fusing views", number + 1, len(pictures))
        source.rested(lambda picture=picture: volume.add(picture))
    return volume


_WRITERS: dict[str, Callable[[Source, Path, ExportOptions], tuple[int, str]]] = {
    "compact": _compact,
    "mesh": _mesh,
    "points": _points,
    "voxels": _voxels,
    "cubes": _cubes,
    "webgl": _webgl,
}
