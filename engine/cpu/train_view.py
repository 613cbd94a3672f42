# SPDX-License-Identifier: MIT
"""One training view on the CPU: lists, colours, forward, loss, backward and Adam, in five kernel calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.cameras import Camera
from engine.constants import TILE_PX
from engine.cpu.crew import Crew
from engine.cpu.lists import ViewLists, VoxelTable, Workspace, build_lists
from engine.cpu.raster import CHANNELS, planes_of, raster_tiles
from engine.cpu.raster_grad import COLOUR_ROW, ROW, raster_gradients
from engine.cpu.shade import shade_voxels
from engine.cpu.tile_loss import N_SUMS, SUM_SQUARED
from engine.cpu.update import update_points, update_voxels

_NO_IMAGE = np.zeros((1, 1, 3), dtype=np.float32)
_NO_MASK = np.ones((1, 1), dtype=np.uint8)


@dataclass(eq=False)
class FieldArrays:
    """What Adam changes, row by row. V voxels, G grid points.

    `density, density_m, density_v [G]` float32, `density_age [G]` uint16; `sh, sh_m, sh_v` float32 in groups of
    sixteen voxels (`shade.sh_groups`), `sh_age [V]` uint16;
    `priority, heaviest, footprint [V]` float32: accumulated |dL/dalpha alpha|, heaviest weight, smallest pixel seen.
    """

    density: np.ndarray
    density_m: np.ndarray
    density_v: np.ndarray
    density_age: np.ndarray
    sh: np.ndarray
    sh_m: np.ndarray
    sh_v: np.ndarray
    sh_age: np.ndarray
    priority: np.ndarray
    heaviest: np.ndarray
    footprint: np.ndarray


def shaded_lists(
    table: VoxelTable,
    sh: np.ndarray,
    degree: int,
    camera: Camera,
    crew: Crew,
    room: Workspace,
    keep_slots: bool = False,
) -> tuple[ViewLists, np.ndarray]:
    """Return the tile lists of a view and rgb [V,1,3], filled in for the visible voxels."""
    lists = build_lists(table, camera, crew, room, keep_slots)
    rgb = room.take("rgb", (table.n_voxels, 1, 3), np.float32)
    crew.run(
        shade_voxels, table.n_voxels, lists.first_pair, table.soa, table.stride, lists.view, sh, degree, rgb
    )
    return lists, rgb


def render_lists(
    lists: ViewLists,
    table: VoxelTable,
    density: np.ndarray,
    rgb: np.ndarray,
    crew: Crew,
    room: Workspace,
    samples: int = 1,
    want: int = 0,
    pair_weight: np.ndarray | None = None,
    cells: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Rasterise lists into the workspace: image [H,W,4], T and rgb without background, and the planes [n,H,W] of `want`.

    `rgb` is of voxels [V,1,3] or their corners [V,8,3], with `cells` of the grid's points [G,1,3]. See
    `raster.raster_tiles` and `raster.PLANE_*`.
    """
    height, width = int(lists.view[17]), int(lists.view[16])
    image = room.take("image", (height, width, CHANNELS), np.float32)
    planes = room.take("planes", (planes_of(want), height, width), np.float32)
    weights = np.empty(1, dtype=np.float32) if pair_weight is None else pair_weight
    crew.run(
        raster_tiles, lists.view, lists.tile_start, lists.pair_voxel, lists.rect, table.box, table.corner_idx, density, rgb,
        True if rgb.shape[1] == 8 else None, True if cells else None, samples, want, image, planes, weights,
    )  # fmt: skip
    return image, planes


def view_gradients(
    table: VoxelTable,
    density: np.ndarray,
    lists: ViewLists,
    rgb: np.ndarray,
    crew: Crew,
    room: Workspace,
    *,
    mode: int,
    shrink: int,
    target: np.ndarray,
    background: np.ndarray,
    weights: np.ndarray,
    samples: int,
    v_rgb: np.ndarray | None = None,
    v_trans: np.ndarray | None = None,
    v_depth: np.ndarray | None = None,
    keep: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Go forward and back; return (pair_live, rows, loss sums [N_SUMS]), see `raster_grad.raster_gradients` and SUM_*.

    `target` uint8 [H/shrink, W/shrink, 3], of which only pixels count where `keep` uint8 [H/shrink, W/shrink], if given, is
    not 0; `v_rgb [H,W,3]`, `v_trans`, `v_depth [H,W]` are image gradients from outside (SSIM, depth of sparse points), added
    when given.
    """
    pairs = lists.n_pairs
    live = room.take("pair_live", (pairs,), np.uint8)
    rows = room.take("rows", (pairs * ROW,), np.float32)
    colour_rows = room.take("colour_rows", (1, COLOUR_ROW), np.float32)
    tile_sums = room.take("tile_sums", (len(lists.tile_start) - 1, N_SUMS), np.float64)
    given = v_rgb is not None or v_trans is not None or v_depth is not None
    size = (int(lists.view[17]), int(lists.view[16])) if given else (1, 1)
    v_rgb = _NO_IMAGE if not given else (np.zeros((*size, 3), dtype=np.float32) if v_rgb is None else v_rgb)
    v_trans = np.zeros(size, dtype=np.float32) if v_trans is None else v_trans
    v_depth = np.zeros(size, dtype=np.float32) if v_depth is None else v_depth
    crew.run(
        raster_gradients, lists.view, lists.tile_start, lists.pair_voxel, lists.rect, table.box, table.corner_idx,
        density, rgb, None, samples, mode, shrink, target,
        keep is not None, _NO_MASK if keep is None else keep, given, v_rgb, v_trans, v_depth,
        background, weights, live, rows, colour_rows, tile_sums,
    )  # fmt: skip
    return live, rows, tile_sums.sum(axis=0)


def tile_squares(lists: ViewLists, room: Workspace) -> np.ndarray:
    """Return the squared errors [tiles y, tiles x] of the step that last used the workspace, summed over pixels and channels."""
    tiles_x = (int(lists.view[16]) + TILE_PX - 1) // TILE_PX
    sums = room.take("tile_sums", (len(lists.tile_start) - 1, N_SUMS), np.float64)
    return sums[:, SUM_SQUARED].reshape(-1, tiles_x).copy()


def train_on_view(
    table: VoxelTable,
    field: FieldArrays,
    owners: tuple[np.ndarray, np.ndarray],
    scratch: tuple[np.ndarray, np.ndarray],
    lists: ViewLists,
    rgb: np.ndarray,
    crew: Crew,
    room: Workspace,
    *,
    degree: int,
    adam: np.ndarray,
    corrections: tuple[np.ndarray, np.ndarray],
    **loss: Any,
) -> np.ndarray:
    """Take one Adam step on a view and return the loss sums [N_SUMS]; `loss` is what `view_gradients` takes.

    `scratch` is (v_corners [V,8], has_gradient uint8 [V]), zero at first, that nobody else touches; `owners` from
    `owners_of_points`.
    """
    live, rows, sums = view_gradients(table, field.density, lists, rgb, crew, room, **loss)
    v_corners, has_gradient = scratch
    crew.run(
        update_voxels, lists.rect, lists.first_pair, lists.pair_slot, live, rows, table.soa, table.stride, lists.view, rgb,
        table.corner_idx, field.density, degree, adam, corrections[0], corrections[1], field.sh, field.sh_m, field.sh_v,
        field.sh_age, v_corners, has_gradient, field.priority, field.heaviest, field.footprint,
    )  # fmt: skip
    crew.run(
        update_points, owners[0], owners[1], v_corners, adam, corrections[0], corrections[1],
        field.density, field.density_m, field.density_v, field.density_age,
    )  # fmt: skip
    return sums
