# SPDX-License-Identifier: MIT
"""The soft rasteriser, written to be read: differentiable by autograd in any float type, in the camera's pose, too.

A voxel of centre c and half edge h meets the ray o + t d, t the z-depth, even where the ray passes beside it. With p = c - o,
    e = max(0, max over axes i < j of |p_i d_j - p_j d_i| / (h (|d_i| + |d_j|)) - 1)
is by how many half edges the box must be dilated until the ray touches it, and its coverage is G = exp(-e^2 / (2 sigma^2)).
It reaches KAPPA sigma half edges beyond itself: [t_in, t_out] is the ray's segment in the box so dilated, entry clamped to
the near plane, z = (t_in + t_out) / 2, and
    I = DENSITY_SCALE |d| (t_out - t_in) / spread(d) * mean of exp_linear(raw density at the K midpoints, clamped to the voxel),
    alpha = G min(MAX_ALPHA, 1 - exp(-I)), passed over below min_alpha; the spread (`engine.softness.spread_terms`) keeps the
optical depth of a uniform medium whose voxels now overlap.
The order "logistic", with s the logistic function and tau the temperature, lets i receive
    T_i = product over j != i of (1 - alpha_j s((z_i - z_j) / tau)),  w_i = alpha_i T_i,
the order "softmax"
    w_i = (1 - T_end) alpha_i exp(-z_i / tau) / sum_j alpha_j exp(-z_j / tau),
T_end = product (1 - alpha_j); rgb = sum w_i c_i + T_end background. A tau of 0 is the hard order by z in either form (the
limit of the softmax would be the nearest voxel alone), a sigma of 0 the hard footprint.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from engine.cameras import Camera
from engine.constants import DENSITY_SCALE, KAPPA, MAX_ALPHA, MIN_ALPHA, NEAR
from engine.octree import Octree, order_keys
from engine.reference.rasterize import exp_linear, trilinear_weights
from engine.render.output import SoftOutput
from engine.softness import check_soft, spread_terms

_TINY_DIRECTION = 1e-9  # a ray parallel to a face gets this slope, as in the kernels
_PAIRS_AT_ONCE = 2_000_000  # ray-voxel pairs tested together: bounds the memory to some hundred megabytes


def camera_rays(camera: Camera, pose: Tensor) -> tuple[Tensor, Tensor]:
    """Return origins and directions [H*W,3] of a lens at a pose [3,4] or [4,4]; a direction's camera-z component is 1."""
    as_pose = dict(dtype=pose.dtype, device=pose.device)
    u = (torch.arange(camera.width, **as_pose) + 0.5 - camera.cx) / camera.fx
    v = (torch.arange(camera.height, **as_pose) + 0.5 - camera.cy) / camera.fy
    v, u = (a.reshape(-1) for a in torch.meshgrid(v, u, indexing="ij"))
    rotation, position = pose[:3, :3], pose[:3, 3]
    one, zero = torch.ones_like(u), torch.zeros_like(u)
    if camera.orthographic:
        return torch.stack([u, v, zero], 1) @ rotation.T + position, rotation[:, 2].expand(len(u), 3)
    return position.expand(len(u), 3), torch.stack([u, v, one], 1) @ rotation.T


def soft_rasterize(
    octree: Octree,
    densities: Tensor,  # [G] raw
    colours: Tensor,  # [V,3]
    camera: Camera,
    *,
    sigma: float,  # half edges
    temperature: float,  # engine units
    order: str = "logistic",
    background: Tensor,  # [3]
    pose: Tensor | None = None,  # [4,4] or [3,4] world_from_cam instead of the camera's
    samples_per_voxel: int = 1,
    min_alpha: float = MIN_ALPHA,
) -> SoftOutput:
    """Return the soft view of a sparse voxel field, in the dtype and on the device of `densities`."""
    check_soft(octree, densities, colours, sigma, temperature, order, samples_per_voxel)
    if pose is None:
        pose = torch.as_tensor(camera.world_from_cam, dtype=densities.dtype, device=densities.device)
    origins, directions = camera_rays(camera, pose)
    ahead = camera.forward if camera.orthographic else None
    ranks = np.argsort(
        order_keys(octree.path, pose.detach()[:3, 3].cpu().numpy(), octree.root_size, ahead)
    )  # front to back, so that a stable sort breaks ties like the kernels
    pieces = []
    rays_at_once = max(1, _PAIRS_AT_ONCE // max(1, len(octree)))
    for start in range(0, len(origins), rays_at_once):
        rays = slice(start, start + rays_at_once)
        pieces.append(
            _rays(
                octree, ranks, densities, colours, origins[rays], directions[rays], sigma, temperature, order, background,
                samples_per_voxel, min_alpha,
            )
        )  # fmt: skip
    rgb, trans, depth_z = (torch.cat(parts) for parts in zip(*pieces, strict=True))
    image = (camera.height, camera.width)
    return SoftOutput(rgb.reshape(*image, 3), trans.reshape(image), depth_z.reshape(image))


def _rays(
    octree: Octree,
    ranks: np.ndarray,
    densities: Tensor,
    colours: Tensor,
    origins: Tensor,
    directions: Tensor,
    sigma: float,
    temperature: float,
    order: str,
    background: Tensor,
    samples: int,
    min_alpha: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (rgb [N,3], T_end [N], depth [N]) of some rays."""
    if not len(octree):
        nothing = densities.sum() + colours.sum() + 0.0 * (origins + directions).sum(dim=1)
        return (1.0 + nothing)[:, None] * background, 1.0 + nothing, nothing
    as_input = dict(dtype=densities.dtype, device=densities.device)
    centre = torch.as_tensor(octree.center, **as_input)[ranks]
    half = torch.as_tensor(octree.size, **as_input)[ranks] * 0.5
    corner_density = densities[torch.as_tensor(octree.corner_idx[ranks], device=densities.device).long()]
    ordered_colours = colours[torch.as_tensor(ranks, device=colours.device)]
    reach = 1.0 + KAPPA * sigma
    with torch.no_grad():
        p = centre - origins[:, None]
        t_in, t_out = dilated_segment(p, directions[:, None], half * reach)
        voxel, on = _covering(t_out > t_in)
    p, d, h = centre[voxel] - origins[:, None], directions[:, None], half[voxel]
    t_in, t_out = dilated_segment(p, d, h * reach)
    chord = (t_out - t_in).clamp(min=0.0) * torch.linalg.vector_norm(d, dim=-1)
    parts = [
        exp_linear(
            (trilinear_weights(_cell(p, d, h, t_in + (k + 0.5) / samples * (t_out - t_in))) * corner_density[voxel]).sum(-1)
        )
        for k in range(samples)
    ]  # fmt: skip
    optical_depth = DENSITY_SCALE / samples * chord / spread(directions, sigma)[:, None] * sum(parts)
    alpha = coverage(p, d, h, sigma) * (-torch.expm1(-optical_depth)).clamp(max=MAX_ALPHA)
    alpha = torch.where(on & (alpha >= min_alpha), alpha, torch.zeros_like(alpha))
    z = torch.where(on, 0.5 * (t_in + t_out), torch.zeros_like(t_in))
    weight, trans = soft_weights(alpha, z, temperature, order)
    rgb = (weight[..., None] * ordered_colours[voxel]).sum(dim=1) + trans[:, None] * background
    return rgb, trans, (weight * z).sum(dim=1)


def spread(d: Tensor, sigma: float) -> Tensor:
    """Return how often rays with directions d [N,3] count a uniform medium of dilated voxels, 1 at sigma 0."""
    along, across, width = spread_terms(sigma)
    r = d.abs() / d.abs().amax(dim=-1, keepdim=True)
    near_one = 1.0 - (1.0 - r) ** 2 / (2.0 * width * r.clamp(min=1.0 / (1.0 + width)))
    share = torch.where(r > 1.0 / (1.0 + width), near_one, r * (1.0 + 0.5 * width))
    return along + across * (share.sum(dim=-1) - 1.0)  # the largest has share 1


def _covering(hit: Tensor) -> tuple[Tensor, Tensor]:
    """Return the voxels int64 [N,S] that rays hit (hit [N,V]), S of the busiest ray, and which of them are none's filler."""
    counts = hit.sum(dim=1)
    n_slots = max(1, int(counts.max())) if hit.numel() else 1
    ray, column = torch.nonzero(hit, as_tuple=True)
    place = torch.arange(len(ray), device=hit.device) - (counts.cumsum(0) - counts)[ray]
    voxel = torch.zeros(len(hit), n_slots, dtype=torch.int64, device=hit.device)
    on = torch.zeros_like(voxel, dtype=torch.bool)
    voxel[ray, place], on[ray, place] = column, True
    return voxel, on


def dilated_segment(p: Tensor, d: Tensor, half: Tensor) -> tuple[Tensor, Tensor]:
    """Return (t_in, t_out) of rays with directions d [...,3] in boxes of centres p relative to their origins."""
    d = torch.where(d.abs() < _TINY_DIRECTION, torch.full_like(d, _TINY_DIRECTION), d)
    middle, radius = p / d, half[..., None] / d.abs()
    return (middle - radius).amax(dim=-1).clamp(min=NEAR), (middle + radius).amin(dim=-1)


def _cell(p: Tensor, d: Tensor, half: Tensor, t: Tensor) -> Tensor:
    """Return the points at t in the voxels' own coordinates, clamped to the voxels."""
    return ((t[..., None] * d - p) / (2.0 * half[..., None]) + 0.5).clamp(0.0, 1.0)


def coverage(p: Tensor, d: Tensor, half: Tensor, sigma: float) -> Tensor:
    """Return G = exp(-e^2 / (2 sigma^2)); 1 everywhere at sigma 0, where nothing reaches beyond its voxel."""
    if sigma == 0.0:
        return torch.ones_like(p[..., 0])
    ratios = []
    for i, j in ((0, 1), (1, 2), (2, 0)):
        across = p[..., i] * d[..., j] - p[..., j] * d[..., i]
        width = (d[..., i].abs() + d[..., j].abs()).clamp(min=_TINY_DIRECTION)
        ratios.append(across.abs() / (half * width))
    miss = (torch.stack(ratios, dim=-1).amax(dim=-1) - 1.0).clamp(min=0.0)
    return torch.exp(-miss * miss / (2.0 * sigma * sigma))


def soft_weights(alpha: Tensor, z: Tensor, temperature: float, order: str) -> tuple[Tensor, Tensor]:
    """Return the weights [N,S] of alphas at depths z [N,S], and T_end [N]. An alpha of 0 takes no part."""
    clear = 1.0 - alpha
    trans = clear.prod(dim=1)
    if temperature == 0.0:
        by_z = torch.argsort(z, dim=1, stable=True)
        before = torch.cumprod(clear.gather(1, by_z), dim=1).roll(1, dims=1)
        before = torch.cat([torch.ones_like(before[:, :1]), before[:, 1:]], dim=1)
        return alpha * torch.zeros_like(alpha).scatter(1, by_z, before), trans
    if order == "logistic":
        behind = torch.sigmoid((z[:, :, None] - z[:, None, :]) / temperature)
        behind = behind * (1.0 - torch.eye(z.shape[1], dtype=z.dtype, device=z.device))
        return alpha * (1.0 - alpha[:, None, :] * behind).prod(dim=2), trans
    nearest = torch.where(alpha > 0.0, z, torch.full_like(z, math.inf)).amin(dim=1, keepdim=True).detach()
    share = alpha * torch.exp(-((z - nearest).clamp(min=0.0) / temperature))
    total = share.sum(dim=1, keepdim=True)
    return (1.0 - trans)[:, None] * share / torch.where(total > 0.0, total, torch.ones_like(total)), trans
