# SPDX-License-Identifier: MIT
"""Colours of voxels from spherical harmonics, differentiable."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from engine.sh import sh_basis


class _ClampAtZero(torch.autograd.Function):
    """max(0, x), whose gradient where x <= 0 passes only if following it would raise x again.

    With the plain gradient of the clamp a colour that once fell below zero would stay black for ever.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.clamp(min=0.0)

    @staticmethod
    def backward(ctx: Any, v_out: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return torch.where((x > 0.0) | (v_out < 0.0), v_out, torch.zeros_like(v_out))


def rgb_from_sh(
    sh: Tensor,  # [V,K',3], K' at least (degree + 1)^2
    directions: Tensor,  # [V,3] unit, from the camera to the voxels
    degree: int,
) -> Tensor:
    """Return colours [V,3] = max(0, 0.5 + sum_k basis_k(direction) sh_k)."""
    basis = sh_basis(directions, degree)
    return _ClampAtZero.apply(0.5 + torch.einsum("vk,vkc->vc", basis, sh[:, : basis.shape[1]]))
