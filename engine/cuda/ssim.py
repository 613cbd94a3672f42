# SPDX-License-Identifier: MIT
"""SSIM of a picture that lies on a device, and its gradient there: the twin of `engine.losses.ssim_and_gradient`.

    with weights w over a window:  m = w * x,  n = w * y,  p = w * (x^2 + y^2),  q = w * x y
    S = (2 m n + C1) (2 (q - m n) + C2) / ((m^2 + n^2 + C1) (p - m^2 - n^2 + C2))

The weights are those of two one-dimensional windows, added up slice by slice: convolutions on a card may round to ten bits.
"""

from __future__ import annotations

import torch
from torch import Tensor

from engine.metrics import SSIM_C1, SSIM_C2, ssim_weights


def ssim_term(picture: Tensor, target: Tensor, rays: int, weight: float) -> tuple[Tensor, Tensor]:
    """Return (gradient at every ray [H,W,3], the loss) of weight * (1 - SSIM), both on the device; nothing waits.

    `picture [H,W,3]` has `rays` rays a pixel side of the photo `target` [H/rays,W/rays,3] uint8.
    """
    height, width = target.shape[:2]
    with torch.enable_grad():
        leaf = picture.detach().reshape(height, rays, width, rays, 3).mean(dim=(1, 3)).requires_grad_()
        x, y = leaf.permute(2, 0, 1), target.permute(2, 0, 1).float() / 255.0
        means = _blurred(torch.stack([x, y, x * x + y * y, x * y]))
        loss = weight * (1.0 - _similarity(*means).mean())
        (gradient,) = torch.autograd.grad(loss, leaf)
    v_rgb = (gradient / (rays * rays))[:, None, :, None].expand(height, rays, width, rays, 3)
    return v_rgb.reshape(height * rays, width * rays, 3).contiguous(), loss.detach()


def ssim_of(picture: Tensor, target: Tensor) -> Tensor:
    """Return the mean SSIM of two pictures [H,W,3] in [0,1], differentiable."""
    x, y = picture.permute(2, 0, 1), target.permute(2, 0, 1)
    return _similarity(*_blurred(torch.stack([x, y, x * x + y * y, x * y]))).mean()


def _similarity(m: Tensor, n: Tensor, p: Tensor, q: Tensor) -> Tensor:
    mn, squares = m * n, m * m + n * n
    above = (2.0 * mn + SSIM_C1) * (2.0 * (q - mn) + SSIM_C2)
    return above / ((squares + SSIM_C1) * (p - squares + SSIM_C2))


def _blurred(fields: Tensor) -> Tensor:
    """Return the weighted means of every whole window of fields [..., H, W]."""
    for axis in (-1, -2):
        weights = ssim_weights(fields.shape[axis]).tolist()
        n = fields.shape[axis] - len(weights) + 1
        total = weights[0] * fields.narrow(axis, 0, n)
        for k, weight in enumerate(weights[1:], 1):
            total = torch.add(total, fields.narrow(axis, k, n), alpha=weight)
        fields = total
    return fields
