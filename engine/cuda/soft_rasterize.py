# SPDX-License-Identifier: MIT
"""The soft rasteriser on a GPU, differentiable: what `engine.render.soft_rasterize` calls for tensors on one.

Every pixel has a list of the voxels that cover it: one pass counts, the next fills. 20 bytes an entry are kept for the way back.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from engine.cameras import Camera
from engine.constants import KAPPA
from engine.cuda.lists import ViewLists, VoxelTable, build_lists, pack
from engine.cuda.rasterize import table_of
from engine.errors import UserError
from engine.octree import Octree
from engine.softness import spread_terms

HARD, LOGISTIC, SOFTMAX = 0, 1, 2  # see include/soft.cuh
_MOST_ENTRIES = 2**31 - 1


def soft_fields(
    densities: Tensor,  # [G] raw
    colours: Tensor,  # [V,3]
    background: Tensor,  # [3]
    pose: Tensor | None,  # [4,4] or [3,4], the camera's own
    octree: Octree,
    camera: Camera,
    softness: tuple[float, float, str, int],  # sigma, temperature, order, samples per voxel
    table: VoxelTable | None = None,
) -> tuple[Tensor, ...]:
    """Return rgb, trans, depth_z, differentiable, in float32. Gradients are added in an order left to chance."""
    table = table or table_of(octree, densities.device)
    return _SoftRasterize.apply(
        densities.float().contiguous(),
        colours.float().contiguous(),
        background,
        pose,
        table,
        camera,
        softness,
    )


def _soft_tensor(softness: tuple[float, float, str, int], device: torch.device) -> Tensor:
    sigma, tau, order, _ = softness
    kind = HARD if tau == 0.0 else {"logistic": LOGISTIC, "softmax": SOFTMAX}[order]
    fall, inverse = 0.5 / (sigma * sigma) if sigma > 0.0 else 0.0, 1.0 / tau if tau > 0.0 else 0.0
    values = [fall, 1.0 + KAPPA * sigma, inverse, tau, float(kind), *spread_terms(sigma)]
    return torch.tensor(values, dtype=torch.float32, device=device)


def _entries(
    table: VoxelTable, lists: ViewLists, soft: Tensor, samples: int
) -> tuple[tuple[Tensor, ...], Tensor, Tensor]:
    """Return the entries (end, count, depth, alpha, trans, slot), image [H,W,4] and depth plane [H,W]."""
    height, width = lists.camera.height, lists.camera.width
    device, grid, block = table.device, *lists.tiles
    count = torch.zeros(height * width, dtype=torch.int32, device=device)
    table.launch("soft_count", grid, block, *lists.frame, samples, soft, count)
    total = int(count.sum(dtype=torch.int64))
    if total > _MOST_ENTRIES:
        raise UserError(
            f"A soft view of {width} x {height} has {total:,} voxels over its pixels, more than {_MOST_ENTRIES:,}; "
            "render it at a lower resolution or with a smaller sigma."
        )
    end = torch.cumsum(count, 0, dtype=torch.int32)
    depth, alpha, trans = torch.empty((3, max(1, total)), dtype=torch.float32, device=device)
    slot = torch.empty(max(1, total), dtype=torch.int32, device=device)
    entries = end, count, depth, alpha, trans, slot
    image = torch.empty((height, width, 4), dtype=torch.float32, device=device)
    plane = torch.empty((height, width), dtype=torch.float32, device=device)
    table.launch("soft_blend", grid, block, *lists.frame, samples, soft, *entries, image, plane)
    return entries, image, plane


class _SoftRasterize(torch.autograd.Function):
    """Keeps the pixels' lists between the passes."""

    @staticmethod
    def forward(
        ctx: Any, density: Tensor, colours: Tensor, background: Tensor, pose: Tensor | None, table: VoxelTable,
        camera: Camera, softness: tuple[float, float, str, int],
    ) -> tuple[Tensor, ...]:  # fmt: skip
        sigma, *_, samples = softness
        lists = build_lists(table, camera, (1.0 + KAPPA * sigma) * (1.0 + 1e-6))
        pack(table, lists, density, colours)
        soft = _soft_tensor(softness, table.device)
        entries, image, plane = _entries(table, lists, soft, samples)
        ctx.table, ctx.lists, ctx.samples, ctx.pose = table, lists, samples, pose
        ctx.save_for_backward(background, soft, image, *entries)
        return image[..., 1:4] + image[..., :1] * background, image[..., 0].clone(), plane

    @staticmethod
    def backward(ctx: Any, v_rgb: Tensor, v_trans: Tensor, v_depth: Tensor) -> tuple[Tensor | None, ...]:
        if torch.are_deterministic_algorithms_enabled():
            raise RuntimeError(
                "soft_rasterize() adds gradients on a GPU in an order left to chance, but "
                "torch.use_deterministic_algorithms(True) was called; train on the CPU or allow it."
            )
        background, soft, image, *entries = ctx.saved_tensors
        table, lists, posed = ctx.table, ctx.lists, ctx.needs_input_grad[3]
        v_density = torch.zeros(table.n_points, dtype=torch.float32, device=table.device)
        v_colours = torch.zeros((table.n_voxels, 3), dtype=torch.float32, device=table.device)
        tile_pose = torch.empty((len(lists.range), 12), dtype=torch.float32, device=table.device)
        name, more = ("soft_back_posed", (tile_pose,)) if posed else ("soft_back", ())
        gradients = v_rgb.contiguous(), v_trans.contiguous(), v_depth.contiguous()
        table.launch(
            name, *lists.tiles, *lists.frame[:3], lists.packets, ctx.samples, soft, *entries, image, *gradients,
            background.float().contiguous(), table.corner_idx, torch.empty_like(entries[2]), v_density, v_colours, *more,
        )  # fmt: skip
        v_pose = None
        if posed:
            v_pose = torch.zeros_like(ctx.pose)
            v_pose[:3] = tile_pose.sum(dim=0, dtype=torch.float64).reshape(3, 4).to(v_pose)
        v_background = (v_rgb * image[..., :1]).sum(dim=(0, 1))
        return v_density, v_colours, v_background, v_pose, None, None, None
