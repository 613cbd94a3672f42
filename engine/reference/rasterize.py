# SPDX-License-Identifier: MIT
"""The rasteriser, written to be read: what the kernels compute, differentiable by autograd in any float type.

Along a ray, over its voxels i nearest first, with transmittance T_0 = 1 and K samples per voxel:
    I_i = DENSITY_SCALE * sum_k (dt_i / K) exp_linear(raw density at the middle of the k-th of K equal parts)
    alpha_i = min(MAX_ALPHA, 1 - exp(-I_i)),  w_i = T_i alpha_i,  T_(i+1) = T_i (1 - alpha_i),
    rgb = sum_i w_i c_i + T_end background.
A voxel with alpha_i < min_alpha is passed over, and all voxels from the first with T_i < stop_trans on.
Cells of a grid (Plenoxels) have density max(0, raw) and, at each sample point, colour max(0, c) interpolated between their
corner points; the K parts are blended one by one.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from engine.cameras import Camera
from engine.constants import DENSITY_SCALE, EXP_LINEAR_KNEE, MAX_ALPHA, MIN_ALPHA, NORMAL_EPS, STOP_TRANS
from engine.octree import Octree
from engine.reference.segments import Segments, find_segments
from engine.render.output import RasterOutput


def exp_linear(x: Tensor) -> Tensor:
    """Return the density activation: x above the knee a = 1.1, exp(x/a - 1 + ln a) below: continuous value and slope."""
    below = torch.exp(x.clamp(max=EXP_LINEAR_KNEE) / EXP_LINEAR_KNEE - 1.0 + math.log(EXP_LINEAR_KNEE))
    return torch.where(x > EXP_LINEAR_KNEE, x, below)


def trilinear_weights(q: Tensor) -> Tensor:
    """Return the weights [...,8] of a cell's corners at q [...,3], each coordinate in 0..1; corner 4 cx + 2 cy + cz."""
    x, y, z = (torch.stack([1.0 - q[..., axis], q[..., axis]], dim=-1) for axis in range(3))
    return (x[..., :, None, None] * y[..., None, :, None] * z[..., None, None, :]).flatten(-3)


def corner_normals(corner_density: Tensor) -> Tensor:
    """Return unit normals [V,3] against the mean gradient of raw corner densities [V,8]; 0 where the gradient is 0."""
    cube = corner_density.reshape(-1, 2, 2, 2)
    across = [(1, 2, 3), (2, 1, 3), (3, 1, 2)]
    faces = [cube.permute(0, *axes).reshape(-1, 2, 4).mean(dim=2) for axes in across]
    gradient = torch.stack([face[:, 1] - face[:, 0] for face in faces], dim=-1)
    return -gradient * torch.rsqrt((gradient * gradient).sum(dim=-1, keepdim=True) + NORMAL_EPS)


def contract(t: Tensor) -> Tensor:
    """Return t below 1, 2 - 1/t above: equal steps near by, inverse depth far away (mip-NeRF 360, eq. 10)."""
    return torch.where(t < 1.0, t, 2.0 - 1.0 / t.clamp(min=1.0))


def rasterize(
    octree: Octree,
    densities: Tensor,  # [G] raw
    colours: Tensor,  # [V,3] one per voxel, or [V,8,3] one per corner; with `cells` [G,3] one per point
    camera: Camera,
    *,
    background: Tensor,  # [3]
    samples_per_voxel: int = 1,
    cells: bool = False,
    stop_trans: float = STOP_TRANS,
    min_alpha: float = MIN_ALPHA,
    knee: float = 1.0,  # distance in engine units from which the distortion counts in inverse depth
) -> RasterOutput:
    """Return the view of a sparse voxel field, in the dtype and on the device of `densities`."""
    _check(octree, densities, colours, background, samples_per_voxel, cells)
    rays, parts = find_segments(octree, camera), 1
    if cells:  # every part is a segment of its own
        rays, parts, samples_per_voxel = _cut(rays, samples_per_voxel), samples_per_voxel, 1
    as_input = dict(dtype=densities.dtype, device=densities.device)
    t_in, t_out, z_per_t = (
        torch.as_tensor(a, **as_input) for a in (rays.t_in, rays.t_out, rays.z_per_t[:, None])
    )
    voxel = torch.as_tensor(rays.voxel_idx, device=densities.device)
    corner_idx = torch.as_tensor(octree.corner_idx, device=densities.device).long()
    corner_density = densities[corner_idx]  # [V,8]

    weights = _sample_weights(octree, rays, samples_per_voxel, as_input)  # K of [N,S,8]
    raw = [(w * corner_density[voxel]).sum(dim=-1) for w in weights]
    step = (t_out - t_in) / samples_per_voxel
    activation = torch.relu if cells else exp_linear
    optical_depth = DENSITY_SCALE * step * sum(activation(r) for r in raw)
    alpha = (-torch.expm1(-optical_depth)).clamp(max=MAX_ALPHA)
    alpha = torch.where(alpha >= min_alpha, alpha, torch.zeros_like(alpha))
    alpha = torch.where(_transmittance(alpha)[:, :-1] >= stop_trans, alpha, torch.zeros_like(alpha))
    trans = _transmittance(alpha)  # [N,S+1]
    weight = trans[:, :-1] * alpha

    whole = weight.unflatten(1, (-1, parts)).sum(dim=2)  # of voxels
    middle_z = (0.5 * (t_in + t_out) * z_per_t).unflatten(1, (-1, parts)).mean(dim=2)
    of_corners = colours[corner_idx] if cells else colours
    segment_colours = _segment_colours(of_corners, voxel, weights)
    segment_colours = segment_colours.clamp(min=0.0) if cells else segment_colours
    rgb = (weight[..., None] * segment_colours).sum(dim=1)
    normal = (weight[..., None] * corner_normals(corner_density)[voxel]).sum(dim=1)
    max_weight = torch.zeros(len(octree), **as_input)
    max_weight.scatter_reduce_(0, voxel[:, ::parts].flatten(), whole.detach().flatten(), "amax")
    image = (camera.height, camera.width)
    return RasterOutput(
        rgb=(rgb + trans[:, -1:] * background).reshape(*image, 3),
        trans=trans[:, -1].reshape(image),
        depth_z=(whole * middle_z).sum(dim=1).reshape(image),
        depth_median=_median_depth(trans, optical_depth, t_in, t_out, z_per_t).reshape(image),
        normal=normal.reshape(*image, 3),
        count=(whole > 0.0).sum(dim=1, dtype=torch.int32).reshape(image),
        max_weight=max_weight,
        distortion=_distortion(weight, t_in / knee, t_out / knee).reshape(image),
    )


def _cut(rays: Segments, parts: int) -> Segments:
    """Return the segments cut into equal parts: S * parts of them a ray."""
    ends = [rays.t_in + share / parts * (rays.t_out - rays.t_in) for share in range(parts + 1)]
    t_in, t_out = (np.stack(some, axis=-1).reshape(len(rays.t_in), -1) for some in (ends[:-1], ends[1:]))
    return replace(rays, voxel_idx=np.repeat(rays.voxel_idx, parts, axis=1), t_in=t_in, t_out=t_out)


def _transmittance(alpha: Tensor) -> Tensor:
    """Return T [N,S+1] before each segment of alphas [N,S], and behind the last."""
    return torch.cumprod(torch.cat([alpha.new_ones(len(alpha), 1), 1.0 - alpha], dim=1), dim=1)


def _sample_weights(octree: Octree, rays: Segments, samples: int, as_input: dict) -> list[Tensor]:
    """Return, for each sample point of the segments, the weights [N,S,8] of the voxel's corners."""
    size = octree.size.astype(float)[rays.voxel_idx] if len(octree) else rays.t_in
    low = octree.center.astype(float)[rays.voxel_idx] - 0.5 * size[..., None]
    weights = []
    for k in range(samples):
        t = rays.t_in + (k + 0.5) / samples * (rays.t_out - rays.t_in)
        point = rays.origins[:, None] + t[..., None] * rays.directions[:, None]
        weights.append(trilinear_weights(torch.as_tensor((point - low) / size[..., None], **as_input)))
    return weights


def _segment_colours(colours: Tensor, voxel: Tensor, weights: list[Tensor]) -> Tensor:
    """Return colours [N,S,3] of segments; from eight a voxel, the mean of the interpolated ones at the sample points."""
    if colours.ndim == 2:
        return colours[voxel]
    return sum((w[..., None] * colours[voxel]).sum(dim=2) for w in weights) / len(weights)


def _median_depth(
    trans: Tensor, optical_depth: Tensor, t_in: Tensor, t_out: Tensor, z_per_t: Tensor
) -> Tensor:
    """Return z-depth [N] where T = 0.5: T_i exp(-I_i u) = 0.5 in the voxel where it falls below, u linear in depth."""
    before, after, optical_depth = trans[:, :-1].detach(), trans[:, 1:].detach(), optical_depth.detach()
    crosses = (before > 0.5) & (after <= 0.5)
    share = torch.log(2.0 * before.clamp(min=0.5)) / torch.where(
        crosses, optical_depth, torch.ones_like(before)
    )
    here = (t_in + share.clamp(max=1.0) * (t_out - t_in)) * z_per_t
    return torch.where(crosses, here, torch.zeros_like(here)).sum(dim=1)


def _distortion(weight: Tensor, t_in: Tensor, t_out: Tensor) -> Tensor:
    """Return sum_ij w_i w_j |m_i - m_j| + 1/3 sum_i w_i^2 (b_i - a_i) per ray, with a, b contracted and m their middle.

    The middles ascend, so the double sum is 2 sum_i w_i (m_i sum_(j<i) w_j - sum_(j<i) w_j m_j). Padding has weight 0.
    """
    a, b = contract(t_in), contract(t_out)
    moment = weight * 0.5 * (a + b)
    nearer_weight = torch.cumsum(weight, dim=1) - weight
    nearer_moment = torch.cumsum(moment, dim=1) - moment
    between = 2.0 * (moment * nearer_weight - weight * nearer_moment)
    return (between + weight * weight * (b - a) / 3.0).sum(dim=1)


def _check(
    octree: Octree, densities: Tensor, colours: Tensor, background: Tensor, samples: int, cells: bool
) -> None:
    v, g = len(octree), octree.n_points
    if tuple(densities.shape) != (g,):
        raise ValueError(f"rasterize(): densities must be one per point, [{g}], got {list(densities.shape)}.")
    if cells and tuple(colours.shape) != (g, 3):
        raise ValueError(f"rasterize(): colours of points must be [{g}, 3], got {list(colours.shape)}.")
    if not cells and tuple(colours.shape) not in ((v, 3), (v, 8, 3)):
        raise ValueError(f"rasterize(): colours must be [{v}, 3] or [{v}, 8, 3], got {list(colours.shape)}.")
    if tuple(background.shape) != (3,):
        raise ValueError(f"rasterize(): background must be [3], got {list(background.shape)}.")
    if samples < 1:
        raise ValueError(f"rasterize(): samples_per_voxel must be at least 1, got {samples}.")
