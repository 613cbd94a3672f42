# SPDX-License-Identifier: MIT
"""Blending packed samples front to back, written to be read: differentiable by autograd in any float type.

w_i = T_i (1 - exp(-sigma_i delta_i)),  T_i = exp(-sum_{j<i} sigma_j delta_j),
rgb = sum w_i c_i + T_end background,  depth = sum w_i t_i,
distortion = sum_ij w_i w_j |s_i - s_j| + 1/3 sum w_i^2 width_i   (Mip-NeRF 360, equation 15).
"""

from __future__ import annotations

import torch
from torch import Tensor

from engine.render.output import CompositeOutput


def composite(
    offsets: Tensor,  # [Q+1] int64
    density: Tensor,  # [M]
    rgb: Tensor,  # [M,3]
    t: Tensor,  # [M]
    delta: Tensor,  # [M]
    background: Tensor,  # [3] or [Q,3]
    spacing: Tensor | None = None,  # [M]
    width: Tensor | None = None,  # [M]
) -> CompositeOutput:
    """Return what rays see of their samples, ray by ray."""
    rays = len(offsets) - 1
    tail = background.expand(rays, 3)
    colours, trans, depths, bends, weights = [], [], [], [], []
    for q in range(rays):
        mine = slice(int(offsets[q]), int(offsets[q + 1]))
        optical = density[mine] * delta[mine]
        before = torch.cumsum(optical, dim=0) - optical
        w = torch.exp(-before) * -torch.expm1(-optical)
        left = torch.exp(-optical.sum())
        colours.append((w[:, None] * rgb[mine]).sum(dim=0) + left * tail[q])
        trans.append(left)
        depths.append((w * t[mine]).sum())
        weights.append(w)
        if spacing is not None and width is not None:
            s = spacing[mine]
            pairs = (w[:, None] * w[None] * (s[:, None] - s[None]).abs()).sum()
            bends.append(pairs + (w * w * width[mine]).sum() / 3.0)
    none = density.new_zeros(0)
    return CompositeOutput(
        torch.stack(colours) if colours else none.reshape(0, 3),
        torch.stack(trans) if trans else none,
        torch.stack(depths) if depths else none,
        torch.stack(bends) if bends else density.new_zeros(rays),
        torch.cat(weights) if weights else none,
    )
