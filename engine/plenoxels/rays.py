# SPDX-License-Identifier: MIT
"""Rays of cameras, points along them, and light gathered along them. Plain torch, differentiable, on any device."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.errors import OptionError
from engine.shapes import check_shapes

CONVENTIONS = {"opengl": (1.0, -1.0, -1.0), "opencv": (1.0, 1.0, 1.0)}  # signs of the camera's x, y, z
SPACINGS = ("linear", "disparity")


def generate_rays(
    poses: Tensor,  # [4,4], [3,4], [C,4,4] or [C,3,4]: camera to world
    focal: float,  # pixels
    H: int,
    W: int,
    convention: str = "opengl",
) -> tuple[Tensor, Tensor]:
    """Return origins and unit directions, both [H,W,3] or [C,H,W,3], of the rays through the centres of all pixels.

    `convention` says what the poses' camera axes are: "opengl" (x right, y up, z backward; transforms.json, Blender) or
    "opencv" (x right, y down, z forward; COLMAP, this engine). The principal point is the middle of the picture.
    """
    if convention not in CONVENTIONS:
        raise OptionError(f"generate_rays(): convention must be opengl or opencv, got {convention!r}.")
    poses = torch.as_tensor(poses)
    one = poses.ndim == 2
    poses = poses[None] if one else poses
    if poses.ndim != 3 or poses.shape[1] not in (3, 4) or poses.shape[2] != 4:
        raise ValueError(
            f"generate_rays(): poses must have shape [C, 4, 4] or [C, 3, 4], got {list(poses.shape)}."
        )
    poses = poses if poses.is_floating_point() else poses.float()
    v, u = torch.meshgrid(
        (torch.arange(H, device=poses.device, dtype=poses.dtype) + 0.5 - 0.5 * H) / focal,
        (torch.arange(W, device=poses.device, dtype=poses.dtype) + 0.5 - 0.5 * W) / focal,
        indexing="ij",
    )
    signs = torch.tensor(CONVENTIONS[convention], device=poses.device, dtype=poses.dtype)
    local = torch.stack([u, v, torch.ones_like(u)], dim=-1) * signs
    rays_d = torch.einsum("hwk,cjk->chwj", local, poses[:, :3, :3])
    rays_d = rays_d / rays_d.norm(dim=-1, keepdim=True)
    rays_o = poses[:, None, None, :3, 3].expand_as(rays_d)
    return (rays_o[0], rays_d[0]) if one else (rays_o, rays_d)


def sample_points_along_rays(
    rays_o: Tensor,  # [...,3]
    rays_d: Tensor,  # [...,3]
    near: float | Tensor,  # along rays_d; one number, or [...]
    far: float | Tensor,
    num_samples: int,
    mode: str = "linear",
    stratified: bool = False,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Return points [...,S,3] and their places t [...,S] between near and far, both included.

    "linear" spaces t evenly, "disparity" spaces 1 / t evenly, for which near must be above 0. `stratified` moves every sample
    at random within its share of the way.
    """
    if mode not in SPACINGS or num_samples < 1:
        raise OptionError(
            f"sample_points_along_rays(): mode must be linear or disparity and num_samples at least 1, "
            f"got {mode!r} and {num_samples}."
        )
    near, far = (
        torch.as_tensor(b, dtype=rays_o.dtype, device=rays_o.device).expand(rays_o.shape[:-1])[..., None]
        for b in (near, far)
    )
    share = torch.linspace(0.0, 1.0, num_samples, dtype=rays_o.dtype, device=rays_o.device)
    share = share.expand(*rays_o.shape[:-1], num_samples)
    if stratified:
        middle = 0.5 * (share[..., 1:] + share[..., :-1])
        low = torch.cat([share[..., :1], middle], dim=-1)
        high = torch.cat([middle, share[..., -1:]], dim=-1)
        random = torch.rand(share.shape, dtype=share.dtype, device=share.device, generator=generator)
        share = low + (high - low) * random
    if mode == "linear":
        t = near + (far - near) * share
    else:
        t = 1.0 / (1.0 / near + (1.0 / far - 1.0 / near) * share)
    return rays_o[..., None, :] + t[..., None] * rays_d[..., None, :], t


def composite(
    depth: Tensor,  # [N,S] optical depth of each sample, 0 where there is none
    rgb: Tensor,  # [N,S,3]
    t: Tensor,  # [N,S] places along the ray
    background: Tensor | float,  # [3], [N,3] or a brightness
) -> dict[str, Tensor]:
    """Return `rgb [N,3]`, `depth [N]`, `weights [N,S]` and `alpha [N]` of samples in front-to-back order.

    w_i = T_i (1 - exp(-p_i)), T the light that is left before; rgb = sum w_i c_i + T_end background, and depth = sum w_i t_i is
    the expected length of the ray, not divided by `alpha` = 1 - T_end.
    """
    through = torch.cumsum(depth, dim=-1)
    before = through - depth
    weights = torch.exp(-before) * -torch.expm1(-depth)
    end = torch.exp(-through[:, -1:]) if depth.shape[1] else depth.new_ones(len(depth), 1)
    behind = torch.as_tensor(background, dtype=rgb.dtype, device=rgb.device)
    return {
        "rgb": (weights[..., None] * rgb).sum(dim=1) + end * behind,
        "depth": (weights * t).sum(dim=-1),
        "weights": weights,
        "alpha": 1.0 - end[:, 0],
    }


def volume_render(
    sigma: Tensor,  # [N,S] density per unit of length; below 0 counts as 0
    rgb: Tensor,  # [N,S,3]
    t_vals: Tensor,  # [N,S] or [S], rising
    rays_d: Tensor | None = None,  # [N,3]; their length is the unit of t_vals. None: unit length
    background: Tensor | float = 0.0,
) -> dict[str, Tensor]:
    """Return `rgb [N,3]`, `depth [N]`, `weights [N,S]` and `alpha [N]`; see `composite`.

    A sample stands for the way to the next one, the last for as much as the one before it.
    """
    t_vals = t_vals.expand(sigma.shape)
    check_shapes("volume_render", sigma=(sigma, "N S"), rgb=(rgb, "N S 3"), t_vals=(t_vals, "N S"))
    gaps = t_vals.diff(dim=-1) if sigma.shape[1] > 1 else torch.ones_like(t_vals)
    gaps = torch.cat([gaps, gaps[:, -1:]], dim=-1)[:, : sigma.shape[1]]
    if rays_d is not None:
        gaps = gaps * rays_d.norm(dim=-1, keepdim=True)
    return composite(torch.relu(sigma) * gaps, rgb, t_vals, background)
