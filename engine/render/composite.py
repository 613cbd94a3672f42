# SPDX-License-Identifier: MIT
"""Packed samples along rays to colours, differentiable: the public op. Numba on the CPU in float32, the torch twin in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.cpu import composite as kernels
from engine.cpu.crew import crew
from engine.reference.composite import composite as composite_reference
from engine.render.output import CompositeOutput
from engine.shapes import check_shapes

__all__ = ["CompositeOutput", "composite"]


def composite(
    offsets: Tensor,  # [Q+1] int64: ray q has samples offsets[q] .. offsets[q+1] - 1
    density: Tensor,  # [M] per engine unit
    rgb: Tensor,  # [M,3]
    t: Tensor,  # [M] depths, ascending along a ray
    delta: Tensor,  # [M] lengths, engine units
    *,
    background: Tensor | float = 0.0,  # one value, [3] or [Q,3]
    spacing: Tensor | None = None,  # [M] normalised places for the distortion, ascending along a ray
    width: Tensor | None = None,  # [M] widths of the samples in the same measure
) -> CompositeOutput:
    """Return what rays see of their samples, blended front to back.

    Differentiable inputs: density, rgb, background; all outputs carry their gradients. Float32 runs the kernels, on a GPU
    the CUDA ones; float64 the twin. Gradients are the same for any number of threads. Raises ValueError for what does not fit.
    """
    named = {"density": (density, "M"), "rgb": (rgb, "M 3"), "t": (t, "M"), "delta": (delta, "M")}
    if (spacing is None) != (width is None):
        raise ValueError("composite(): spacing and width go together; give both or neither.")
    if spacing is not None and width is not None:
        named |= {"spacing": (spacing, "M"), "width": (width, "M")}
    m, rays = check_shapes("composite", **named)["M"], len(offsets) - 1
    steps = offsets[1:] - offsets[:-1]
    if rays < 0 or int(offsets[0]) != 0 or int(offsets[-1]) != m or bool((steps < 0).any()):
        raise ValueError(
            f"composite(): offsets must ascend from 0 to the {m} samples, got {rays + 1} entries."
        )
    tail = torch.as_tensor(background, dtype=density.dtype, device=density.device)
    if tuple(tail.shape) not in ((), (1,), (3,), (rays, 3)):
        raise ValueError(
            f"composite(): background must be one value, [3] or [{rays}, 3], got {list(tail.shape)}."
        )
    tail = tail.expand(rays, 3)
    if density.dtype == torch.float64:
        return composite_reference(offsets, density, rgb, t, delta, tail, spacing, width)
    if density.is_cuda:
        from engine.cuda.composite import composite_fields

        return CompositeOutput(*composite_fields(offsets, density, rgb, t, delta, tail, spacing, width))
    return CompositeOutput(*_Composite.apply(density, rgb, tail, offsets, t, delta, spacing, width))


class _Composite(torch.autograd.Function):
    """Forward by `composite_rays`, backward by `composite_back`."""

    @staticmethod
    def forward(
        ctx: Any, density: Tensor, rgb: Tensor, background: Tensor, offsets: Tensor, t: Tensor, delta: Tensor,
        spacing: Tensor | None, width: Tensor | None,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        ctx.args = tuple(_array(a) for a in (offsets, density, rgb, t, delta, background))
        ctx.spaced = {} if spacing is None else {"spacing": _array(spacing), "width": _array(width)}
        out = kernels.composite(*ctx.args, crew(), **ctx.spaced)
        ctx.weights = out.weights
        fields = (out.rgb, out.trans, out.depth, out.distortion, out.weights.copy())
        return tuple(torch.from_numpy(a) for a in fields)

    @staticmethod
    def backward(
        ctx: Any, v_rgb: Tensor, v_trans: Tensor, v_depth: Tensor, v_distortion: Tensor, v_weights: Tensor
    ) -> tuple[Tensor | None, ...]:
        v = kernels.composite_backward(
            *ctx.args, ctx.weights, crew(), v_rgb=_array(v_rgb), v_trans=_array(v_trans), v_depth=_array(v_depth),
            v_weights=_array(v_weights), v_distortion=_array(v_distortion), **ctx.spaced,
        )  # fmt: skip
        return (
            torch.from_numpy(v.density),  # density
            torch.from_numpy(v.rgb),  # rgb
            torch.from_numpy(v.background),  # background
            None,  # offsets
            None,  # t
            None,  # delta
            None,  # spacing
            None,  # width
        )


def _array(tensor: Tensor | None) -> np.ndarray:
    assert tensor is not None
    return tensor.detach().cpu().contiguous().numpy()
