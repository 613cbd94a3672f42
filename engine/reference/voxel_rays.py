# SPDX-License-Identifier: MIT
"""Rays through a regular grid of voxels, in plain torch: every step of every ray at once. Runs on any device.

Grid coordinates: voxel i of an axis with R voxels has its centre at i and the grid covers [-0.5, R - 0.5].
`engine/cpu/voxel_rays.py` computes the same as Numba kernels.
"""

from __future__ import annotations

import torch
from torch import Tensor


def corners_of(
    points: Tensor,  # [M,3] grid coordinates
    resolution: tuple[int, int, int],
) -> tuple[Tensor, Tensor]:
    """Return the flat indices [M,8] int64 of the voxels around points and their trilinear weights [M,8], z fastest.

    Points are clamped to the centres of the outermost voxels. Weights are differentiable in the points.
    """
    sides = torch.tensor(resolution, device=points.device)
    points = torch.minimum(points.clamp(min=0.0), (sides - 1).to(points.dtype))
    low = torch.minimum(points.detach().floor().long(), (sides - 2).clamp(min=0))
    part = points - low
    digits = torch.arange(8, device=points.device)
    up = torch.stack([digits >> 2, digits >> 1 & 1, digits & 1], dim=-1)  # [8,3]
    at = torch.minimum(low[:, None] + up, sides - 1)  # an axis of one voxel has no upper neighbour
    weight = torch.where(up.bool(), part[:, None], 1.0 - part[:, None]).prod(dim=-1)
    return (at[..., 0] * sides[1] + at[..., 1]) * sides[2] + at[..., 2], weight


def span_in_box(
    rays_o: Tensor,  # [N,3] grid coordinates
    rays_d: Tensor,  # [N,3]
    resolution: tuple[int, int, int],
    first: Tensor,  # [N]
    last: Tensor,  # [N]
) -> tuple[Tensor, Tensor]:
    """Return where rays are inside the grid, cut to [first, last]; nothing where the first is the larger."""
    sides = torch.tensor(resolution, device=rays_o.device, dtype=rays_o.dtype)
    still = rays_d == 0.0
    safe = torch.where(still, torch.ones_like(rays_d), rays_d)
    walls = torch.stack([(-0.5 - rays_o) / safe, (sides - 0.5 - rays_o) / safe])
    outside = still & ((rays_o < -0.5) | (rays_o > sides - 0.5))
    enter = walls.amin(dim=0).masked_fill(still, -torch.inf).masked_fill(outside, torch.inf)
    leave = walls.amax(dim=0).masked_fill(still, torch.inf)
    return torch.maximum(enter.amax(dim=-1), first), torch.minimum(leave.amin(dim=-1), last)


def live_samples(
    rays_o: Tensor,  # [N,3] grid coordinates
    rays_d: Tensor,  # [N,3] unit length in grid coordinates
    world: Tensor,  # [N] world units per unit of t
    bounds: tuple[float, float],  # near and far, world units
    step: float,  # voxels
    links: Tensor,  # [X,Y,Z], row of the densities or negative
    density: Tensor,  # [rows] raw density per world unit
    threshold: float,
    stop: float,
    most: int,
) -> tuple[Tensor, Tensor]:
    """Return `t [N,most]` in voxels and `counts [N]`: the samples whose density is above the threshold, front to back.

    A ray is sampled where it enters the grid and then every `step`, until its transmittance is below `stop`.
    """
    resolution = tuple(links.shape)
    start, end = span_in_box(rays_o, rays_d, resolution, bounds[0] / world, bounds[1] / world)
    steps = int(((end - start).clamp(min=-step).amax() / step).floor().item()) + 1 if len(rays_o) else 0
    t = start[:, None] + step * torch.arange(max(steps, 0), device=rays_o.device, dtype=rays_o.dtype)
    inside = t <= end[:, None]
    points = rays_o[:, None] + t[..., None] * rays_d[:, None]
    at, weight = corners_of(torch.where(inside[..., None], points, 0.0).reshape(-1, 3), resolution)
    rows = links.reshape(-1)[at].long()
    raw = torch.where(rows >= 0, density[rows.clamp(min=0)], 0.0)
    sigma = (weight * raw).sum(dim=-1).reshape(t.shape).masked_fill(~inside, 0.0)
    live = sigma > threshold
    depth = torch.cumsum(torch.where(live, sigma * step * world[:, None], 0.0), dim=-1)
    before = torch.cat([torch.zeros_like(depth[:, :1]), depth[:, :-1]], dim=-1)
    live &= torch.exp(-before) >= stop
    slot = torch.cumsum(live, dim=-1) - 1
    live &= slot < most
    out = torch.zeros(len(rays_o), most, dtype=rays_o.dtype, device=rays_o.device)
    ray = torch.arange(len(rays_o), device=rays_o.device)[:, None].expand_as(slot)
    out[ray[live], slot[live]] = t[live]
    return out, live.sum(dim=-1)


def crossed_voxels(
    rays_o: Tensor,  # [N,3] grid coordinates
    rays_d: Tensor,  # [N,3] grid units per unit of t
    bounds: tuple[float, float],  # of t
    resolution: tuple[int, int, int],
    most: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return `voxel [N,most,3]` (-1 where there is none), `t_in`, `t_out [N,most]` and `counts [N]`.

    All walls that a ray meets are sorted along it; between two of them it is in one voxel.
    """
    n = len(rays_o)
    near, far = (torch.full_like(rays_o[:, 0], bound) for bound in bounds)
    start, end = span_in_box(rays_o, rays_d, resolution, near, far)
    end = torch.maximum(start, end)
    walls = [
        (torch.arange(side + 1, device=rays_o.device, dtype=rays_o.dtype) - 0.5 - rays_o[:, axis : axis + 1])
        / rays_d[:, axis : axis + 1]
        for axis, side in enumerate(resolution)
    ]
    t = torch.cat([start[:, None], end[:, None], *walls], dim=-1).nan_to_num(torch.inf)
    t = torch.minimum(torch.maximum(t, start[:, None]), end[:, None]).sort(dim=-1).values
    t_in, t_out = t[:, :-1], t[:, 1:]
    real = (t_out > t_in) & (end > start)[:, None]
    middle = rays_o[:, None] + 0.5 * (t_in + t_out).nan_to_num(0.0)[..., None] * rays_d[:, None]
    sides = torch.tensor(resolution, device=rays_o.device)
    at = torch.minimum((middle + 0.5).floor().long().clamp(min=0), sides - 1)
    slot = torch.cumsum(real, dim=-1) - 1
    real &= slot < most
    ray = torch.arange(n, device=rays_o.device)[:, None].expand_as(slot)[real]
    voxel = torch.full((n, most, 3), -1, dtype=torch.int32, device=rays_o.device)
    entered, left = torch.zeros(2, n, most, dtype=rays_o.dtype, device=rays_o.device)
    voxel[ray, slot[real]] = at[real].int()
    entered[ray, slot[real]], left[ray, slot[real]] = t_in[real], t_out[real]
    return voxel, entered, left, real.sum(dim=-1)
