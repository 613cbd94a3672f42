# SPDX-License-Identifier: MIT
"""Sparse voxels to a picture on a GPU, differentiable: what `engine.render.rasterize` calls for tensors on one."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import Tensor

from engine.cameras import Camera
from engine.constants import N_WEIGHTS, SUM_BACKGROUND
from engine.cuda.gradients import Goal, gradients, owners_of_points
from engine.cuda.lists import ViewLists, VoxelTable, build_lists, pack, render_lists
from engine.octree import Octree

_tables: weakref.WeakKeyDictionary[Octree, dict[torch.device, VoxelTable]] = weakref.WeakKeyDictionary()


def table_of(octree: Octree, device: torch.device) -> VoxelTable:
    """Return the kernels' layout of an octree on a device, made once for each."""
    tables = _tables.setdefault(octree, {})
    if device not in tables:
        tables[device] = VoxelTable.of(octree, device)
    return tables[device]


def rasterize_fields(
    densities: Tensor,  # [G] raw
    colours: Tensor,  # [V,3] or [V,8,3]
    background: Tensor,  # [3]
    octree: Octree,
    camera: Camera,
    samples: int,
    table: VoxelTable | None = None,
) -> tuple[Tensor, ...]:
    """Return rgb, trans, depth_z, differentiable, and depth_median, normal, count, max_weight, in float32.

    Gradients are added in an order left to chance, unless `torch.use_deterministic_algorithms(True)` was called.
    """
    table = table or table_of(octree, densities.device)
    return _Rasterize.apply(
        densities.float().contiguous(), colours.float().contiguous(), background, table, camera, samples
    )


class _Rasterize(torch.autograd.Function):
    """Nothing is kept between the passes but the inputs: the way back makes the lists and the blend again."""

    @staticmethod
    def forward(
        ctx: Any, density: Tensor, colours: Tensor, background: Tensor, table: VoxelTable, camera: Camera, samples: int
    ) -> tuple[Tensor, ...]:  # fmt: skip
        lists = _packed(table, camera, density, colours)
        heaviest = torch.zeros(table.n_voxels, dtype=torch.float32, device=table.device)
        image, planes = render_lists(table, lists, samples, True, heaviest)
        ctx.table, ctx.camera, ctx.samples = table, camera, samples
        ctx.save_for_backward(density, colours, background)
        rgb = image[..., 1:4] + image[..., :1] * background
        extras = (
            planes[1].clone(),
            planes[2:5].permute(1, 2, 0).contiguous(),
            planes[5].to(torch.int32),
            heaviest,
        )
        ctx.mark_non_differentiable(*extras)
        return rgb, image[..., 0].clone(), planes[0].clone(), *extras

    @staticmethod
    def backward(
        ctx: Any, v_rgb: Tensor, v_trans: Tensor, v_depth: Tensor, *_: Any
    ) -> tuple[Tensor | None, ...]:
        density, colours, background = ctx.saved_tensors
        table: VoxelTable = ctx.table
        lists = _packed(table, ctx.camera, density, colours)
        goal = Goal(
            background.float().contiguous(), torch.zeros(N_WEIGHTS, device=table.device),
            v_rgb=v_rgb.contiguous(), v_trans=v_trans.contiguous(), v_depth=v_depth.contiguous(),
        )  # fmt: skip
        v_density = torch.zeros(table.n_points, dtype=torch.float32, device=table.device)
        ordered = torch.are_deterministic_algorithms_enabled()
        got = gradients(table, lists, goal, ctx.samples, v_density=v_density, ordered=ordered)
        if got.v_corners is not None:
            owners = owners_of_points(table)
            table.run("sum_owners", table.n_points, table.n_points, *owners, got.v_corners, v_density)
        v_colours = got.v_colours
        if v_colours is None:
            v_colours = torch.zeros_like(colours)
            v_colours[lists.n_tiles > 0] = got.v_slot[:, :3]
        return (
            v_density,  # density
            v_colours,  # colours
            got.sums[SUM_BACKGROUND : SUM_BACKGROUND + 3].float(),  # background
            None,  # table
            None,  # camera
            None,  # samples
        )


def _packed(table: VoxelTable, camera: Camera, density: Tensor, colours: Tensor) -> ViewLists:
    lists = build_lists(table, camera)
    pack(table, lists, density, colours)
    return lists
