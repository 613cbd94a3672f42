# SPDX-License-Identifier: MIT
"""Packed samples blended along their rays on a GPU, differentiable: what `engine.render.composite` calls for tensors on one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from engine.cuda.launch import launch as launch_on_gpu
from engine.cuda.lists import Launch
from engine.cuda.registry import blocks_for

RAYS = 128  # of a block, a thread each


def composite_fields(
    offsets: Tensor,  # [Q+1]
    density: Tensor,  # [M]
    rgb: Tensor,  # [M,3]
    t: Tensor,  # [M]
    delta: Tensor,  # [M]
    background: Tensor,  # [Q,3]
    spacing: Tensor | None = None,  # [M]
    width: Tensor | None = None,  # [M]
    launch: Launch = launch_on_gpu,
) -> tuple[Tensor, ...]:
    """Return rgb, trans, depth, distortion, weights, differentiable, in float32. Every run gives the same bits."""
    fixed = [None if a is None else a.detach().float().contiguous() for a in (t, delta, spacing, width)]
    leaves = [a.float().contiguous() for a in (density, rgb, background)]
    return _Composite.apply(*leaves, offsets.to(torch.int64).contiguous(), *fixed, launch)


class _Composite(torch.autograd.Function):
    """`composite_rays` and its way back."""

    @staticmethod
    def forward(
        ctx: Any, density: Tensor, rgb: Tensor, background: Tensor, offsets: Tensor, t: Tensor, delta: Tensor,
        spacing: Tensor | None, width: Tensor | None, launch: Launch,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        rays = len(offsets) - 1
        trans, depth, distortion = (density.new_empty(rays) for _ in range(3))
        out, weights = density.new_empty((rays, 3)), torch.empty_like(density)
        inputs = (offsets, density, rgb, t, delta, background, spacing, width)
        if rays:
            launch(
                "composite_rays", (blocks_for(rays, RAYS),), (RAYS,), rays, *inputs, out, trans, depth, distortion, weights
            )  # fmt: skip
        ctx.inputs, ctx.weights, ctx.launch = inputs, weights.clone(), launch
        return out, trans, depth, distortion, weights

    @staticmethod
    def backward(ctx: Any, *v: Tensor) -> tuple[Tensor | None, ...]:
        _, density, rgb, _, _, background, _, _ = ctx.inputs
        rays, found = len(background), [torch.empty_like(a) for a in (density, rgb, background)]
        if rays:
            ctx.launch(
                "composite_rays_backward", (blocks_for(rays, RAYS),), (RAYS,), rays, *ctx.inputs, ctx.weights,
                *(a.contiguous() for a in v), *found,
            )  # fmt: skip
        return (
            *found,  # density, rgb, background
            None,  # offsets
            None,  # t
            None,  # delta
            None,  # spacing
            None,  # width
            None,  # launch
        )
