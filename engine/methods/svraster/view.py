# SPDX-License-Identifier: MIT
"""Looking at the voxels: a rendered view with the fields asked for, counts, boxes for wireframes. Changes nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from numba import njit

from engine.cameras import Camera
from engine.cpu.crew import crew
from engine.cpu.lists import VoxelTable, Workspace, build_lists
from engine.cpu.raster import (
    PLANE_COUNT,
    PLANE_DEPTH,
    PLANE_MEDIAN,
    PLANE_NORMAL,
    WANT_COUNT,
    WANT_DEPTH,
    WANT_MEDIAN,
    WANT_NORMAL,
)
from engine.cpu.train_view import FieldArrays, render_lists, shaded_lists
from engine.methods.common import NO_COLOUR, Buffers, StructureStats
from engine.octree import Octree
from engine.render.resample import box_downsample

_FLAGS = {"depth_z": WANT_DEPTH, "depth_median": WANT_MEDIAN, "normal": WANT_NORMAL, "count": WANT_COUNT}
_SCALARS = frozenset({"level", "size"})
_TINY = 1e-6  # smallest opacity and length that are divided by
CLEAR = 0.999  # where more light than this is left, there is nothing to have a depth


@dataclasses.dataclass(frozen=True)
class Voxels:
    """What is looked at."""

    octree: Octree
    table: VoxelTable
    field: FieldArrays
    samples: int  # density samples per voxel and ray
    degree: int  # of the colours


def render_view(
    voxels: Voxels,
    camera: Camera,
    want: frozenset[str],
    rays: float,
    background: np.ndarray,  # [3]
    room: Workspace,
    value: np.ndarray | None = None,  # [V]
) -> Buffers:
    """Return a view of the voxels; `rays` rays a pixel side are averaged. Of `value`, the picture is Buffers.value."""
    table, field, samples = voxels.table, voxels.field, voxels.samples
    fine = camera if rays == 1.0 else camera.scaled(rays)
    if scalars_alone(want, value):
        lists, rgb = build_lists(table, fine, crew(), room), None
    else:
        lists, rgb = shaded_lists(table, field.sh, voxels.degree, fine, crew(), room)

    def raster(values: np.ndarray | None, bits: int) -> tuple[np.ndarray, np.ndarray]:
        values = rgb if values is None else values
        return render_lists(lists, table, field.density, values, crew(), room, samples, bits)

    return buffers_of(raster, voxels.octree, camera, want, background, room, value)


def buffers_of(
    raster: Callable[[np.ndarray | None, int], tuple[np.ndarray, np.ndarray]],
    octree: Octree | None,  # for levels and sizes
    camera: Camera,
    want: frozenset[str],
    background: np.ndarray,  # [3]
    room: Workspace,
    value: np.ndarray | None = None,  # [V], of points [G] where colours are
) -> Buffers:
    """Return a view as it was asked for. `raster` makes image [H,W,4] and planes [n,H,W] at any size.

    It is called with WANT bits and values [V,1,3] to blend, or None for the voxels' colours.
    """
    size = camera.width, camera.height

    def picture_of(values: np.ndarray | None, bits: int) -> tuple[np.ndarray, np.ndarray]:
        image, planes = raster(values, bits)
        if image.shape[1::-1] == size:
            return image, planes
        small = [box_downsample(plane[..., None], *size)[..., 0] for plane in planes]
        return box_downsample(image, *size), np.stack(small) if small else planes

    bits, alone = sum(flag for name, flag in _FLAGS.items() if name in want), scalars_alone(want, value)
    scalars = _scalar_values(octree, value, room) if _SCALARS & want or value is not None else None
    image, planes = picture_of(scalars if alone else None, bits)
    picture, trans = np.empty((*image.shape[:2], 3), np.float32), np.empty(image.shape[:2], np.float32)
    _put_before(image, np.asarray(background, dtype=np.float32), picture, trans)
    opacity = np.maximum(1.0 - trans, _TINY)
    fields = _fields(planes, trans, opacity, want)
    if scalars is not None:
        blended = image if alone else picture_of(scalars, 0)[0]
        mean = blended[..., 1:] / opacity[..., None]
        fields |= {"level": mean[..., 0], "size": mean[..., 1], "value": mean[..., 2]}
    fields["soft"] = picture
    wanted = want | {"value"} if value is not None else want
    return Buffers(picture, trans, **{name: fields[name] for name in wanted if name in fields})


def scalars_alone(want: frozenset[str], value: np.ndarray | None) -> bool:
    """Whether numbers of voxels are wanted and no colours: one picture then is enough."""
    return NO_COLOUR in want and (bool(_SCALARS & want) or value is not None)


def _scalar_values(octree: Octree | None, value: np.ndarray | None, room: Workspace) -> np.ndarray:
    """Return level, size and value of voxels in the place of their colours [V,1,3]."""
    values = room.take("values", (len(octree.path if value is None else value), 1, 3), np.float32)
    values[:, 0, :2] = 0.0
    if octree is not None:
        values[:, 0, 0], values[:, 0, 1] = octree.level, octree.size
    values[:, 0, 2] = 0.0 if value is None else value
    return values


@njit(cache=True, nogil=True)
def _put_before(image, background, picture, trans):  # type: ignore[no-untyped-def]
    """Split image [H,W,4] into trans [H,W] and the picture [H,W,3] before a background [3]."""
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            left = image[y, x, 0]
            trans[y, x] = left
            for channel in range(3):
                picture[y, x, channel] = image[y, x, channel + 1] + left * background[channel]


def _fields(
    planes: np.ndarray,  # [n,H,W] as the kernel writes them
    trans: np.ndarray,  # [H,W]
    opacity: np.ndarray,  # [H,W]
    want: frozenset[str],
) -> dict[str, np.ndarray]:
    """Return the optional fields of Buffers that are in the picture already."""
    fields: dict[str, np.ndarray] = {}
    if "depth_z" in want:
        fields["depth_z"] = np.where(trans < CLEAR, planes[PLANE_DEPTH] / opacity, 0.0).astype(np.float32)
    if "depth_median" in want:
        fields["depth_median"] = planes[PLANE_MEDIAN].copy()
    if "normal" in want:
        normal = np.moveaxis(planes[PLANE_NORMAL : PLANE_NORMAL + 3], 0, -1)
        length = np.linalg.norm(normal, axis=-1, keepdims=True)
        fields["normal"] = np.where(length > _TINY, normal / np.maximum(length, _TINY), 0.0)
    if "count" in want:
        fields["count"] = planes[PLANE_COUNT].astype(np.int32)
    return fields


def count_voxels(
    octree: Octree,
    field: FieldArrays,
    per_level: np.ndarray,  # [17]
    outside_levels: int,
    budget: int,
) -> StructureStats:
    """Return the counts of a structure and the memory of its arrays."""
    held = sum(getattr(field, f.name).nbytes for f in dataclasses.fields(field))
    held += octree.path.nbytes + octree.level.nbytes + octree.corner_idx.nbytes
    inside = np.arange(17) - outside_levels
    volume = float(np.sum(np.where(inside > 0, per_level / 8.0 ** np.maximum(inside, 0), 0.0)))
    levels = tuple(int(k) for k in per_level)
    return StructureStats(len(octree.path), len(octree.point_ijk), levels, held, budget, min(volume, 1.0))


def leaf_boxes(octree: Octree, levels: tuple[int, ...], limit: int) -> np.ndarray:
    """Return up to `limit` leaves of the given levels as [n,4] float32: centre x y z and edge."""
    chosen = np.flatnonzero(np.isin(octree.level, levels))
    if len(chosen) > limit:
        chosen = chosen[np.linspace(0, len(chosen) - 1, limit).astype(np.int64)]
    return np.concatenate([octree.center[chosen], octree.size[chosen, None]], axis=1).astype(np.float32)
