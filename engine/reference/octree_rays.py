# SPDX-License-Identifier: MIT
"""Volume rendering of single rays through the octree, written to be read; differentiable by autograd in any float type.

Along a ray p(t) = origin + t direction (direction of any length: t counts in it) over the voxels i that it crosses, nearest
first:
    I_i = DENSITY_SCALE * length_i * mean over its samples of exp_linear(raw density), length_i in engine units,
    alpha_i = min(MAX_ALPHA, 1 - exp(-I_i)),  w_i = T_i alpha_i,  T_(i+1) = T_i (1 - alpha_i),
    rgb = sum_i w_i c_i + T_end background,
c_i the voxel's colour seen from the ray's origin. Coarse samples are the middles of n_coarse equal parts of every segment.
Their weights are a distribution along the ray, even within a segment; n_fine samples are drawn from it through the inverse of
its cumulative sum, one in each of n_fine equal shares, and join the coarse ones in the mean of the segment they fall into: the
quadrature is refined where the ray is seen. Where they fall is a constant to the gradient.
A segment with alpha_i < MIN_ALPHA is passed over, and all segments from the first with T_i < STOP_TRANS on, in both passes.
Without fine samples this is the rasteriser's ray.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.constants import DENSITY_SCALE, MAX_ALPHA, MIN_ALPHA, NEAR, STOP_TRANS
from engine.octree import Octree
from engine.reference.rasterize import exp_linear, trilinear_weights
from engine.reference.segments import box_intervals
from engine.reference.sh import rgb_from_sh


@dataclass(frozen=True, eq=False)
class RayOutput:
    """Per ray: `rgb [N,3]` with the background in it, `trans [N]`; `voxel_idx`, `weight [N,S]` of its segments, 0 behind the
    last.

    `t_in`, `t_out [N,S]` are where a segment begins and ends.
    """

    rgb: Tensor
    trans: Tensor
    voxel_idx: Tensor
    weight: Tensor
    t_in: Tensor
    t_out: Tensor


def render_rays(
    octree: Octree,
    densities: Tensor,  # [G] raw
    sh: Tensor,  # [V,K,3]
    degree: int,
    origins: Tensor,  # [N,3] engine units: the cameras
    directions: Tensor,  # [N,3], of length 1 along the camera's axis, so that t is the depth
    *,
    background: Tensor,  # [3]
    n_coarse: int = 1,
    jitter: Tensor | None = None,  # [N,n_fine] in [0,1): where in its share each fine sample lies
    stop_trans: float = STOP_TRANS,
    min_alpha: float = MIN_ALPHA,
) -> RayOutput:
    """Return what rays see, in the dtype of `densities`."""
    voxel_idx, t_in, t_out = crossed_voxels(octree, origins, directions)
    t_in, t_out = t_in.to(densities), t_out.to(densities)
    length = (t_out - t_in) * directions.to(densities).norm(dim=1, keepdim=True)
    parts = (torch.arange(n_coarse, dtype=densities.dtype) + 0.5) / n_coarse
    t = t_in[..., None] + parts * (t_out - t_in)[..., None]  # [N,S,n_coarse]
    index = voxel_idx[..., None].expand_as(t)
    total = _density(octree, densities, index, origins, directions, t).sum(dim=-1)
    count = torch.full_like(total, n_coarse)
    if jitter is not None and jitter.shape[1] > 0:
        weight, _ = blended(DENSITY_SCALE * length * (total / count), stop_trans, min_alpha)
        segment, t = fine_samples(weight.detach(), t_in, t_out, jitter.to(densities))
        drawn = (weight.detach().sum(dim=1, keepdim=True) > 0.0).expand_as(t)
        index = torch.gather(voxel_idx, 1, segment)
        sigma = _density(octree, densities, index, origins, directions, t)
        total = total.scatter_add(1, segment, torch.where(drawn, sigma, torch.zeros_like(sigma)))
        count = count.scatter_add(1, segment, drawn.to(densities))
    weight, trans = blended(DENSITY_SCALE * length * (total / count), stop_trans, min_alpha)
    rgb = (weight[..., None] * _colours(octree, sh, degree, voxel_idx, origins)).sum(dim=1)
    return RayOutput(rgb + trans[:, None] * background, trans, voxel_idx, weight, t_in, t_out)


def crossed_voxels(octree: Octree, origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return (voxel_idx, t_in, t_out), each [N,S] float64, nearest first; a ray with fewer segments ends in empty ones."""
    half = 0.5 * octree.size[:, None].astype(np.float64)
    low, high = octree.center - half, octree.center + half
    o, d = (a.detach().double().numpy() for a in (origins, directions))
    t_in, t_out = box_intervals(o, d, low, high)
    t_in = np.maximum(t_in, NEAR)
    hit = t_out > t_in
    order = np.argsort(np.where(hit, t_in, np.inf), axis=1, kind="stable")[
        :, : max(1, hit.sum(axis=1).max(initial=0))
    ]
    t_in, t_out, hit = (np.take_along_axis(a, order, axis=1) for a in (t_in, t_out, hit))
    t_in, t_out = np.where(hit, t_in, 0.0), np.where(hit, t_out, 0.0)
    return torch.from_numpy(np.where(hit, order, 0)), torch.from_numpy(t_in), torch.from_numpy(t_out)


def blended(
    optical_depth: Tensor, stop_trans: float = STOP_TRANS, min_alpha: float = MIN_ALPHA
) -> tuple[Tensor, Tensor]:
    """Return the weights [N,S] of segments of these optical depths, and what light is left [N]."""
    alpha = (-torch.expm1(-optical_depth)).clamp(max=MAX_ALPHA)
    alpha = torch.where(alpha >= min_alpha, alpha, torch.zeros_like(alpha))
    alpha = torch.where(_before(alpha)[:, :-1] >= stop_trans, alpha, torch.zeros_like(alpha))
    trans = _before(alpha)
    return trans[:, :-1] * alpha, trans[:, -1]


def fine_samples(weight: Tensor, t_in: Tensor, t_out: Tensor, jitter: Tensor) -> tuple[Tensor, Tensor]:
    """Return (segment, t), both [N,n_fine]: stratified draws from weights [N,S] that are spread evenly over segments."""
    n = jitter.shape[1]
    ends = torch.cumsum(weight, dim=1)
    target = (torch.arange(n, dtype=weight.dtype) + jitter) / n * ends[:, -1:]
    segment = torch.searchsorted(ends, target, right=True).clamp(max=weight.shape[1] - 1)
    inside = target - (ends - weight).gather(1, segment)
    share = (inside / weight.gather(1, segment).clamp(min=1e-30)).clamp(0.0, 1.0)
    first, last = t_in.gather(1, segment), t_out.gather(1, segment)
    return segment, first + share * (last - first)


def _before(alpha: Tensor) -> Tensor:
    return torch.cumprod(torch.cat([alpha.new_ones(len(alpha), 1), 1.0 - alpha], dim=1), dim=1)


def _density(
    octree: Octree, densities: Tensor, voxel_idx: Tensor, origins: Tensor, directions: Tensor, t: Tensor
) -> Tensor:
    """Return the activated density at t, in the shape of t [N,...]."""
    center, size = (torch.as_tensor(a).to(densities)[voxel_idx] for a in (octree.center, octree.size))
    o, d = (a.to(densities).reshape(-1, *[1] * (t.ndim - 1), 3) for a in (origins, directions))
    q = (o + t[..., None] * d - center) / size[..., None] + 0.5
    corners = densities[torch.as_tensor(octree.corner_idx).long()[voxel_idx]]
    return exp_linear((trilinear_weights(q) * corners).sum(dim=-1))


def _colours(octree: Octree, sh: Tensor, degree: int, voxel_idx: Tensor, origins: Tensor) -> Tensor:
    """Return the colours [N,S,3] of voxels seen from the rays' origins."""
    towards = torch.as_tensor(octree.center).to(sh)[voxel_idx] - origins.to(sh)[:, None]
    unit = towards / towards.norm(dim=-1, keepdim=True).clamp(min=1e-12)
    flat = rgb_from_sh(sh[voxel_idx.reshape(-1)], unit.reshape(-1, 3), degree)
    return flat.reshape(*voxel_idx.shape, 3)
