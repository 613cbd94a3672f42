# SPDX-License-Identifier: MIT
"""Sparse voxels to a picture whose edges and order are soft: the public op, differentiable in the camera's pose, too.

What it computes stands in `engine.reference.soft_rasterize`: as sigma and temperature fall to 0 it becomes
`engine.render.rasterize.rasterize`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.cameras import Camera
from engine.cpu.crew import crew
from engine.cpu.lists import Workspace
from engine.cpu.soft_view import render_soft, soft_array, soft_gradients, soft_lists
from engine.cpu.tile_loss import GIVEN, N_WEIGHTS, SUM_BACKGROUND
from engine.cpu.update import owners_of_points
from engine.octree import Octree
from engine.reference.soft_rasterize import soft_rasterize as soft_rasterize_reference
from engine.render.output import SoftOutput
from engine.render.rasterize import table_of
from engine.softness import check_soft

__all__ = ["SoftOutput", "soft_rasterize"]

_NO_PHOTO = np.zeros((1, 1, 3), dtype=np.uint8)


def soft_rasterize(
    octree: Octree,
    densities: Tensor,  # [G] raw, at the octree's grid points
    colours: Tensor,  # [V,3]
    camera: Camera,
    *,
    sigma: float,  # of the Gaussian around a voxel's footprint, in half widths of the voxel
    temperature: float,  # of the depth order, engine units
    order: str = "logistic",  # or "softmax"
    background: Tensor | float = 0.0,  # [3] or one value
    pose: Tensor | None = None,  # [4,4] or [3,4] world_from_cam instead of the camera's own
    samples_per_voxel: int = 1,
) -> SoftOutput:
    """Return the soft picture of a voxel field.

    Differentiable inputs: densities, colours, background and pose; no gradient flows through which voxels a pixel sees. Sigma 0
    is the hard footprint, temperature 0 the hard order. Float32 runs the kernels, on a GPU the CUDA ones; float64 the twin.
    Gradients are the same for any number of threads; on a GPU the order of their sums is left to chance.
    Raises ValueError for shapes that do not fit the octree and for softness below 0.
    """
    check_soft(octree, densities, colours, sigma, temperature, order, samples_per_voxel)
    tail = torch.as_tensor(background, dtype=densities.dtype, device=densities.device)
    if tail.ndim > 1 or tail.numel() not in (1, 3):
        raise ValueError(f"soft_rasterize(): background must be one value or [3], got {list(tail.shape)}.")
    tail = tail.expand(3)
    if pose is not None and tuple(pose.shape) not in ((4, 4), (3, 4)):
        raise ValueError(f"soft_rasterize(): pose must be [4, 4] or [3, 4], got {list(pose.shape)}.")
    if densities.dtype == torch.float64:
        pose = pose if pose is None else pose.to(densities)
        return soft_rasterize_reference(
            octree, densities, colours, camera, sigma=sigma, temperature=temperature, order=order, background=tail,
            pose=pose, samples_per_voxel=samples_per_voxel,
        )  # fmt: skip
    softness = (sigma, temperature, order, samples_per_voxel)
    if densities.is_cuda:
        from engine.cuda.soft_rasterize import soft_fields

        return SoftOutput(
            *soft_fields(densities, colours, tail, pose, octree, _posed(camera, pose), softness)
        )
    return SoftOutput(*_SoftRasterize.apply(densities, colours, tail, pose, octree, camera, softness))


class _SoftRasterize(torch.autograd.Function):
    """Forward and backward by `soft_tiles`; backward runs the tiles again, so nothing but the inputs is kept."""

    @staticmethod
    def forward(
        ctx: Any,
        densities: Tensor,
        colours: Tensor,
        background: Tensor,
        pose: Tensor | None,
        octree: Octree,
        camera: Camera,
        softness: tuple[float, float, str, int],
    ) -> tuple[Tensor, ...]:
        ctx.octree, ctx.camera, ctx.softness = octree, _posed(camera, pose), softness
        ctx.pose_like = pose
        ctx.save_for_backward(densities, colours, background)
        sigma, _, _, samples = softness
        room, table = Workspace(), table_of(octree)
        lists = soft_lists(table, ctx.camera, sigma, crew(), room)
        image, depth = render_soft(
            table,
            _array(densities),
            _array(colours)[:, None],
            lists,
            crew(),
            room,
            soft_array(*softness[:3]),
            samples,
        )
        full = torch.from_numpy(image)
        rgb = full[..., 1:4] + full[..., :1] * background.detach()
        return rgb, full[..., 0].clone(), torch.from_numpy(depth).clone()

    @staticmethod
    def backward(ctx: Any, v_rgb: Tensor, v_trans: Tensor, v_depth: Tensor) -> tuple[Tensor | None, ...]:
        densities, colours, background = ctx.saved_tensors
        room, table = Workspace(), table_of(ctx.octree)
        sigma, _, _, samples = ctx.softness
        density, want_pose = _array(densities), ctx.needs_input_grad[3]
        lists = soft_lists(table, ctx.camera, sigma, crew(), room, keep_slots=True)
        found = soft_gradients(
            table, density, _array(colours)[:, None], lists, crew(), room, soft_array(*ctx.softness[:3]), samples=samples,
            mode=GIVEN, shrink=1, target=_NO_PHOTO, background=_array(background), weights=np.zeros(N_WEIGHTS),
            v_rgb=_array(v_rgb), v_trans=_array(v_trans), v_depth=_array(v_depth), want_pose=want_pose,
        )  # fmt: skip
        start, owners = owners_of_points(table.corner_idx, len(density))
        v_density = (
            np.add.reduceat(found.v_corners.reshape(-1)[owners], start[:-1]) if len(owners) else 0 * density
        )
        v_pose = None
        if want_pose:
            v_pose = torch.zeros_like(ctx.pose_like)
            v_pose[:3] = torch.from_numpy(found.v_pose).to(v_pose)
        return (
            torch.from_numpy(v_density),  # densities
            torch.from_numpy(found.v_colours),  # colours
            torch.from_numpy(
                found.sums[SUM_BACKGROUND : SUM_BACKGROUND + 3].astype(np.float32)
            ),  # background
            v_pose,  # pose
            None,  # octree
            None,  # camera
            None,  # softness
        )


def _posed(camera: Camera, pose: Tensor | None) -> Camera:
    if pose is None:
        return camera
    whole = np.eye(4)
    whole[:3] = pose.detach().cpu().numpy()[:3]
    return camera.moved(whole)


def _array(tensor: Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().cpu().numpy(), dtype=np.float32)
