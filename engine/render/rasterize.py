# SPDX-License-Identifier: MIT
"""Sparse voxels to a picture, differentiable: the public op. Numba on the CPU in float32, the torch twin in float64."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import torch
from torch import Tensor

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
    WANT_WEIGHT,
)
from engine.cpu.raster_grad import COLOUR_ROW, ROW, raster_gradients
from engine.cpu.reduce import heaviest_of_voxels, reduce_rows
from engine.cpu.tile_loss import GIVEN, N_SUMS, N_WEIGHTS, SUM_BACKGROUND
from engine.cpu.train_view import render_lists
from engine.cpu.update import owners_of_points
from engine.octree import Octree
from engine.reference.rasterize import rasterize as rasterize_reference
from engine.render.output import RasterOutput
from engine.render.resample import area_weights
from engine.shapes import check_shapes

_NO_PHOTO, _NO_MASK = np.zeros((1, 1, 3), dtype=np.uint8), np.ones((1, 1), dtype=np.uint8)
_tables: weakref.WeakKeyDictionary[Octree, VoxelTable] = weakref.WeakKeyDictionary()


def table_of(octree: Octree) -> VoxelTable:
    """Return the kernels' layout of an octree, made once per octree."""
    table = _tables.get(octree)
    if table is None:
        table = _tables[octree] = VoxelTable.of(octree)
    return table


def rasterize(
    octree: Octree,
    densities: Tensor,  # [G] raw, at the octree's grid points
    colours: Tensor,  # [V,3], or [V,8,3] at the corners
    camera: Camera,
    *,
    background: Tensor | float = 0.0,  # [3] or one value
    samples_per_voxel: int = 1,
    supersample: float = 1.0,
) -> RasterOutput:
    """Return the picture of a voxel field, blended front to back in exact order.

    Differentiable outputs: rgb, trans, depth_z; differentiable inputs: densities, colours, background. The other outputs
    (median depth, normal, count, max_weight) carry no gradient. `supersample` rays a pixel side are averaged by exact area;
    with it the count is a mean and the median depth a mean of medians. Float32 runs the Numba kernels, or on a GPU the
    CUDA ones; float64 the twin. Gradients are the same for any number of threads; on a GPU only after
    `torch.use_deterministic_algorithms(True)`. Raises ValueError for shapes that do not fit the octree.
    """
    n, g = len(octree), octree.n_points
    eight = colours.ndim == 3
    check_shapes(
        "rasterize", densities=(densities, str(g)), colours=(colours, f"{n} 8 3" if eight else f"{n} 3")
    )
    if samples_per_voxel not in (1, 2, 3):
        raise ValueError(f"rasterize(): samples_per_voxel must be 1, 2 or 3, got {samples_per_voxel}.")
    if not supersample > 0.0:
        raise ValueError(f"rasterize(): supersample must be above 0, got {supersample}.")
    tail = torch.as_tensor(background, dtype=densities.dtype, device=densities.device)
    if tail.ndim > 1 or tail.numel() not in (1, 3):
        raise ValueError(f"rasterize(): background must be one value or [3], got {list(tail.shape)}.")
    tail = tail.expand(3)
    fine = camera if supersample == 1.0 else camera.scaled(supersample)
    if densities.dtype == torch.float64:
        output = rasterize_reference(
            octree, densities, colours, fine, background=tail, samples_per_voxel=samples_per_voxel
        )
    else:
        if densities.is_cuda:
            from engine.cuda.rasterize import rasterize_fields

            fields = rasterize_fields(densities, colours, tail, octree, fine, samples_per_voxel)
        else:
            wide = colours if eight else colours[:, None, :]
            fields = _Rasterize.apply(densities, wide, tail, octree, fine, samples_per_voxel)
        output = RasterOutput(*fields)
    return output if fine is camera else _downsampled(output, camera)


def rasterize_cells(
    octree: Octree,
    densities: Tensor,  # [G] raw, at the octree's grid points: max(0, .) after interpolation
    colours: Tensor,  # [G,3] at the points: max(0, .) after interpolation
    camera: Camera,
    *,
    background: Tensor | float = 0.0,  # [3] or one value
    samples_per_voxel: int = 2,
) -> RasterOutput:
    """Return the picture of a grid's cells (Plenoxels), whose density and colour fields are cut off at 0 as marching does.

    Each of the parts of a cell's segment is blended by itself. For looking only: float32 runs the kernels, without
    gradients; float64 the differentiable twin. Raises ValueError for shapes that do not fit the octree.
    """
    g = octree.n_points
    check_shapes("rasterize_cells", densities=(densities, str(g)), colours=(colours, f"{g} 3"))
    tail = torch.as_tensor(background, dtype=densities.dtype, device=densities.device).expand(3)
    if densities.dtype == torch.float64:
        return rasterize_reference(
            octree,
            densities,
            colours,
            camera,
            background=tail,
            samples_per_voxel=samples_per_voxel,
            cells=True,
        )
    if densities.requires_grad or colours.requires_grad:
        raise ValueError("rasterize_cells(): float32 carries no gradient; march the grid, or use float64.")
    return RasterOutput(
        *_fields(densities, colours[:, None, :], tail, octree, camera, samples_per_voxel, cells=True)
    )


def _fields(
    densities: Tensor,
    colours: Tensor,
    background: Tensor,
    octree: Octree,
    camera: Camera,
    samples: int,
    cells: bool = False,
) -> tuple[Tensor, ...]:
    """Return the fields of RasterOutput, by the kernels of the CPU."""
    table, room = table_of(octree), Workspace()
    density, rgb = _array(densities), _array(colours)
    lists = build_lists(table, camera, crew(), room)
    want = WANT_DEPTH | WANT_MEDIAN | WANT_NORMAL | WANT_COUNT | WANT_WEIGHT
    pair_weight = np.zeros(max(1, lists.n_pairs), dtype=np.float32)
    image, planes = render_lists(lists, table, density, rgb, crew(), room, samples, want, pair_weight, cells)
    heaviest = np.zeros(table.n_voxels, dtype=np.float32)
    heaviest_of_voxels(lists.pair_voxel, pair_weight, heaviest)
    full, plane = torch.from_numpy(image), torch.from_numpy(planes)
    return (
        full[..., 1:4] + full[..., :1] * background.detach(),
        full[..., 0].clone(),
        plane[PLANE_DEPTH].clone(),
        plane[PLANE_MEDIAN].clone(),
        plane[PLANE_NORMAL : PLANE_NORMAL + 3].permute(1, 2, 0).contiguous(),
        plane[PLANE_COUNT].to(torch.int32),
        torch.from_numpy(heaviest),
    )


class _Rasterize(torch.autograd.Function):
    """Forward by `raster_tiles`; backward runs the tiles again with records, so nothing but the inputs is kept."""

    @staticmethod
    def forward(
        ctx: Any,
        densities: Tensor,
        colours: Tensor,
        background: Tensor,
        octree: Octree,
        camera: Camera,
        samples: int,
    ) -> tuple[Tensor, ...]:
        fields = _fields(densities, colours, background, octree, camera, samples)
        ctx.octree, ctx.camera, ctx.samples = octree, camera, samples
        ctx.save_for_backward(densities, colours, background)
        ctx.mark_non_differentiable(*fields[3:])
        return fields

    @staticmethod
    def backward(
        ctx: Any, v_rgb: Tensor, v_trans: Tensor, v_depth: Tensor, *_: Any
    ) -> tuple[Tensor | None, ...]:
        densities, colours, background = ctx.saved_tensors
        table, room = table_of(ctx.octree), Workspace()
        density, rgb = _array(densities), _array(colours)
        eight = rgb.shape[1] == 8
        lists = build_lists(table, ctx.camera, crew(), room, keep_slots=True)
        pairs = max(1, lists.n_pairs)
        live, rows = np.zeros(pairs, dtype=np.uint8), np.empty(pairs * ROW, dtype=np.float32)
        colour_rows = np.empty((pairs if eight else 1, COLOUR_ROW), dtype=np.float32)
        tile_sums = np.empty((len(lists.tile_start) - 1, N_SUMS))
        weights = np.zeros(N_WEIGHTS)
        crew().run(
            raster_gradients, lists.view, lists.tile_start, lists.pair_voxel, lists.rect, table.box, table.corner_idx,
            density, rgb, eight or None, ctx.samples, GIVEN, 1, _NO_PHOTO, False, _NO_MASK, True, _array(v_rgb),
            _array(v_trans), _array(v_depth), _array(background), weights, live, rows, colour_rows, tile_sums,
        )  # fmt: skip
        v_corners, v_colours = np.zeros((table.n_voxels, 8), dtype=np.float32), np.zeros_like(rgb)
        reduce_rows(
            lists.rect, lists.first_pair, lists.pair_slot, live, rows, colour_rows, v_corners, v_colours
        )
        start, owners = owners_of_points(table.corner_idx, len(density))
        v_density = (
            np.add.reduceat(v_corners.reshape(-1)[owners], start[:-1])
            if len(owners)
            else np.zeros_like(density)
        )
        v_background = tile_sums[:, SUM_BACKGROUND : SUM_BACKGROUND + 3].sum(axis=0).astype(np.float32)
        return (
            torch.from_numpy(v_density),  # densities
            torch.from_numpy(v_colours),  # colours
            torch.from_numpy(v_background),  # background
            None,  # octree
            None,  # camera
            None,  # samples
        )


def _array(tensor: Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().cpu().numpy(), dtype=np.float32)


def _downsampled(output: RasterOutput, camera: Camera) -> RasterOutput:
    rows, columns = output.trans.shape
    across = torch.from_numpy(area_weights(columns, camera.width)).to(output.rgb)
    down = torch.from_numpy(area_weights(rows, camera.height)).to(output.rgb)

    def mean(image: Tensor) -> Tensor:
        flat = image.to(across.dtype)
        flat = flat if flat.ndim == 3 else flat[..., None]
        small = torch.einsum("vh,hwc,uw->vuc", down, flat, across)
        return small if image.ndim == 3 else small[..., 0]

    return RasterOutput(
        rgb=mean(output.rgb),
        trans=mean(output.trans),
        depth_z=mean(output.depth_z),
        depth_median=mean(output.depth_median),
        normal=mean(output.normal),
        count=mean(output.count),
        max_weight=output.max_weight,
    )
