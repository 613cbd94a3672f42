# SPDX-License-Identifier: MIT
"""Spheres around the box that hold what is far away (a multi-sphere image), written to be read; autograd differentiates it.

Lengths are in half sides of the box, whose middle is the origin. Texels [2R,R,L,4] hold colour c and raw density sigma: u
runs around, v from pole to pole, l over the inverse of the radius. A ray leaves sphere r_i at its far intersection with it,
    r_i = n / (n - i - 0.5),  i = 0 .. n - 1,  n = floor(2 L) + 2,  uniform in 1 / r,
    u = 2R (0.5 + atan2(x, z) / 2 pi),  v = R (0.5 - asin(y) / pi),  l = (1 - 1 / r_i) L - 0.5,
    p_i = (1 / r_(i-1) - 1 / r_i) max(0, trilerp(sigma)),  c_i = max(0, 1/2 + C0 trilerp(c)),
beginning at r_(-1) = max(1, distance of the ray from the origin + 1e-3), and where a camera outside looks outwards at its own
radius. u wraps, v and l end at their outermost texels. What comes of it is the colour behind the box for light 1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from engine.constants import SH_C0

BESIDE = 1e-3  # a sphere that a ray only just touches has no far side to speak of


def behind(
    texels: Tensor,  # [2R,R,L,4]
    rays_o: Tensor,  # [Q,3]
    rays_d: Tensor,  # [Q,3] unit
    brightness: float,
) -> Tensor:
    """Return the colours [Q,3] that rays see behind the box, the brightness at the end included."""
    layers = texels.shape[2]
    n = 2 * layers + 2
    radius = n / (n - torch.arange(n, dtype=rays_o.dtype, device=rays_o.device) - 0.5)
    along, square = (rays_o * rays_d).sum(dim=1), rays_o.square().sum(dim=1)
    inner = ((square - along**2).clamp(min=0.0).sqrt() + BESIDE).clamp(min=1.0)
    inner = torch.where(along > 0.0, inner.maximum(square.sqrt()), inner)[:, None]
    there = radius >= inner  # [Q,n]
    far = (along[:, None] ** 2 - square[:, None] + radius**2).clamp(min=0.0).sqrt() - along[:, None]
    x, y, z = ((rays_o[:, None] + far[..., None] * rays_d[:, None]) / radius[:, None]).unbind(dim=-1)
    values = _trilinear(
        texels,
        2 * texels.shape[1] * (0.5 + torch.atan2(x, z) / (2.0 * math.pi)),
        texels.shape[1] * (0.5 - torch.asin(y.clamp(-1.0, 1.0)) / math.pi),
        ((1.0 - 1.0 / radius) * layers - 0.5).clamp(0.0, layers - 1.0).expand_as(x),
    )
    before = torch.cat([inner, radius.expand_as(x)[:, :-1]], dim=1).maximum(inner)
    depth = torch.where(there, (1.0 / before - 1.0 / radius) * values[..., 3].clamp(min=0.0), 0.0)
    through = torch.cumsum(depth, dim=1)
    weight = torch.exp(depth - through) * -torch.expm1(-depth)
    colour = (0.5 + SH_C0 * values[..., :3]).clamp(min=0.0)
    return (weight[..., None] * colour).sum(dim=1) + torch.exp(-through[:, -1:]) * brightness


def _trilinear(texels: Tensor, u: Tensor, v: Tensor, layer: Tensor) -> Tensor:
    """Return values [...,4] at places in texels."""
    around, poles, layers = texels.shape[:3]
    v = v.clamp(0.0, poles - 1.0)
    total = 0.0
    for corner in range(8):
        a, b, c = corner >> 2, corner >> 1 & 1, corner & 1
        i, j, k = (axis.floor() for axis in (u, v, layer))
        weight = _share(u - i, a) * _share(v - j, b) * _share(layer - k, c)
        at = (
            (i.long() + a) % around,
            (j.long() + b).clamp(max=poles - 1),
            (k.long() + c).clamp(max=layers - 1),
        )
        total = total + weight[..., None] * texels[at]
    return total


def _share(part: Tensor, upper: int) -> Tensor:
    return part if upper else 1.0 - part


def total_variation(
    texels: Tensor, first: int, count: int, weights: tuple[float, float], epsilon: float
) -> Tensor:
    """Return a number whose gradient is the published one of total variation over a run of texels, row-major.

    weight / count * sum of s_k difference_k / norm, the norm held fixed: that of the unscaled differences. s_k = texels of the
    axis / 256; u wraps, at the other borders nothing differs. `weights` are those of densities and of colours.
    """
    around, poles, layers = texels.shape[:3]
    at = (first + torch.arange(count)) % (around * poles * layers)
    u, v, k = at // (poles * layers), at // layers % poles, at % layers
    here = texels[u, v, k]
    beside = (
        texels[(u + 1) % around, v, k],
        texels[u, (v + 1).clamp(max=poles - 1), k],
        texels[u, v, (k + 1).clamp(max=layers - 1)],
    )
    change = torch.stack([other - here for other in beside])  # [3,count,4]
    norm = (change.square().sum(dim=0) + epsilon).sqrt().detach()
    scale = torch.tensor([around, poles, layers], dtype=texels.dtype)[:, None, None] / 256.0
    share = torch.tensor([weights[1]] * 3 + [weights[0]], dtype=texels.dtype) / count
    return (share * scale * change.detach() / norm * change).sum()
