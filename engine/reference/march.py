# SPDX-License-Identifier: MIT
"""Marching rays through the sparse grid, written to be read: differentiable by autograd in any float type.

Along a ray in grid coordinates, samples stand at t_i = t_min + i h (h = `step` grid units, delta their engine-unit distance):
    sigma_i = max(0, trilerp(density)),  T_(i+1) = T_i exp(-delta sigma_i),  w_i = T_i (1 - exp(-delta sigma_i)),
    c_i = max(0, 1/2 + sum_k Y_k(d) trilerp(sh)_k),  rgb = sum_i w_i c_i,  depth = sum_i w_i t_i.
Values are interpolated before they are clamped; an empty voxel is 0 in every channel. Nothing is skipped here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.sh import sh_basis
from engine.voxel_grid import Grid, LossTerms, MarchOptions

_BETA_EPS = 1e-3  # keeps the gradient of log(1 - T) finite where nothing was hit, as published
_PARALLEL = 1e-12  # a direction component below this never reaches a face


@dataclass(frozen=True, eq=False)
class MarchedRays:
    """Per ray: rgb [Q,3] without background, log_trans [Q], depth [Q]; per sample [Q,S]: sigma, weight, t, live.

    sigma and weight are 0 where a sample is not live; t is in engine units along the ray.
    """

    rgb: Tensor
    log_trans: Tensor
    depth: Tensor
    sigma: Tensor
    weight: Tensor
    t: Tensor
    live: Tensor


def march(
    grid: Grid,  # links, box and degree; its arrays are not read
    density: Tensor,  # [N] raw
    coefficients: Tensor,  # [N,3,B]
    rays_o: Tensor,  # [Q,3] engine units
    rays_d: Tensor,  # [Q,3] unit
    options: MarchOptions,
) -> MarchedRays:
    """Return what rays see, in the dtype of `density`."""
    scale, offset = (torch.as_tensor(a, dtype=density.dtype) for a in (grid.scale, grid.offset))
    origin, direction = rays_o * scale + offset, rays_d * scale
    per_unit = direction.norm(dim=1, keepdim=True)  # grid units per engine unit along the ray
    direction = direction / per_unit
    t_min, t_max = _interval(origin, direction, grid.resolution, per_unit, options)
    most = int(((t_max - t_min) / options.step).clamp(min=-1.0).max()) + 1 if len(rays_o) else 0
    t = t_min + options.step * torch.arange(most, dtype=density.dtype)
    inside = t <= t_max
    points = origin[:, None] + t[..., None] * direction[:, None]
    corner, weight8 = _corners(grid, points)
    raw = (weight8 * _values(density[:, None], corner)[..., 0]).sum(dim=-1)

    live = inside & (raw > options.sigma_thresh)
    delta = options.step / per_unit
    before = torch.cumsum(torch.where(live, raw * delta, torch.zeros_like(raw)).detach(), dim=1)
    before = torch.cat([torch.zeros_like(t_min), before[:, :-1]], dim=1)
    live = live & (before <= -math.log(options.stop_thresh))
    sigma = torch.where(live, raw, torch.zeros_like(raw))
    optical = delta * sigma
    trans = torch.exp(-(torch.cumsum(optical, dim=1) - optical))
    weight = trans * -torch.expm1(-optical)

    ray = live.nonzero()[:, 0]
    at = (weight8[live][..., None] * _values(coefficients.flatten(1), corner[live])).sum(dim=-2)
    basis = sh_basis(rays_d, grid.degree)[ray]
    colour = (0.5 + (at.unflatten(-1, (3, grid.n_basis)) * basis[:, None]).sum(dim=-1)).clamp(min=0.0)
    rgb = torch.zeros_like(rays_d).index_add(0, ray, weight[live][:, None] * colour)
    t_world = t / per_unit
    return MarchedRays(rgb, -optical.sum(dim=1), (weight * t_world).sum(dim=1), sigma, weight, t_world, live)


def march_loss(out: MarchedRays, target: Tensor, terms: LossTerms) -> Tensor:
    """Return mean squared error against target [Q,3] plus the terms, whose gradients are those of `march_gradients`."""
    rgb = out.rgb + torch.exp(out.log_trans)[:, None] * terms.background
    loss = (rgb - target).square().mean()
    sigma = out.sigma[out.live]
    loss = loss + terms.cauchy * torch.log(1.0 + 2.0 * sigma.square()).sum() + terms.l1 * sigma.sum()
    trans = torch.exp(out.log_trans.detach())
    slope = 1.0 - trans / (
        1.0 - trans + _BETA_EPS
    )  # of log T + log(1 - T) by log T, the epsilon in it as published
    return loss + terms.beta * (slope * out.log_trans).mean()


def _interval(
    origin: Tensor,
    direction: Tensor,
    resolution: tuple[int, int, int],
    per_unit: Tensor,
    options: MarchOptions,
) -> tuple[Tensor, Tensor]:
    """Return t [Q,1] in grid units where rays enter and leave the box [-0.5, R - 0.5], within near and far."""
    parallel = direction.abs() < _PARALLEL
    safe = torch.where(parallel, torch.ones_like(direction), direction)
    low, high = -0.5 - origin, torch.as_tensor(resolution, dtype=origin.dtype) - 0.5 - origin
    t0, t1 = torch.minimum(low / safe, high / safe), torch.maximum(low / safe, high / safe)
    misses = (parallel & ((low > 0.0) | (high < 0.0))).any(dim=1, keepdim=True)
    t0 = torch.where(parallel, torch.full_like(t0, -math.inf), t0).amax(dim=1, keepdim=True)
    t1 = torch.where(parallel, torch.full_like(t1, math.inf), t1).amin(dim=1, keepdim=True)
    t1 = torch.where(misses, torch.full_like(t1, -1.0), t1)
    return t0.clamp(min=0.0).maximum(options.near * per_unit), t1.minimum(options.far * per_unit)


def _corners(grid: Grid, points: Tensor) -> tuple[Tensor, Tensor]:
    """Return rows [...,8] (negative: empty) and trilinear weights [...,8] at grid coordinates [...,3]."""
    sizes = torch.as_tensor(grid.resolution)
    points = points.minimum((sizes - 1).to(points.dtype)).clamp(min=0.0)
    low = torch.minimum(points.long(), sizes - 2)
    part = points - low
    links = torch.as_tensor(grid.links).long()
    rows, weights = [], []
    for corner in range(8):
        step = torch.tensor([corner >> 2, (corner >> 1) & 1, corner & 1])
        index = low + step
        rows.append(links[index[..., 0], index[..., 1], index[..., 2]])
        weights.append(torch.where(step.bool(), part, 1.0 - part).prod(dim=-1))
    return torch.stack(rows, dim=-1), torch.stack(weights, dim=-1)


def _values(table: Tensor, rows: Tensor) -> Tensor:
    """Return table [N,C] at rows [...], 0 where a row is negative: [...,C]."""
    if len(table) == 0:
        return table.new_zeros(*rows.shape, table.shape[1])
    return table[rows.clamp(min=0)] * (rows >= 0)[..., None]
