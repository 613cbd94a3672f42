# SPDX-License-Identifier: MIT
"""Where samples lie along rays: evenly in a distance that is warped behind the cube, then where density was found."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

POWER, PADDING = (
    0.9,
    0.01,
)  # a round's weights are flattened and raised before the next draws from them, as published
_LEAST = 1e-6  # the shortest way, so that no division meets a zero


@dataclass(frozen=True)
class Spacing:
    """Warped distance s in [0,1] along every ray, from `near` to `far` [N,1].

    Uniform in t up to `knee` [N,1], where the ray leaves the cube, and in 1 / t behind it.
    """

    near: Tensor
    far: Tensor
    knee: Tensor

    def warped(self, t: Tensor) -> Tensor:
        """Return s [N,S] of distances t."""
        low, high = self._raw(self.near), self._raw(self.far)
        return (self._raw(t) - low) / (high - low)

    def distance(self, s: Tensor) -> Tensor:
        """Return distances t [N,S] of s."""
        low, high = self._raw(self.near), self._raw(self.far)
        raw = low + s * (high - low)
        return self.knee * torch.where(raw < 1.0, raw, 1.0 / (2.0 - raw.clamp(min=1.0)))

    def _raw(self, t: Tensor) -> Tensor:
        x = t / self.knee
        return torch.where(x < 1.0, x, 2.0 - 1.0 / x.clamp(min=1.0))


def cube_span(rays_o: Tensor, rays_d: Tensor, lower: Tensor, edge: Tensor) -> tuple[Tensor, Tensor]:
    """Return where rays enter and leave a cube, distances [N]; they miss it where the first is not the smaller."""
    tiny = torch.where(rays_d >= 0.0, 1e-12, -1e-12)
    slope = torch.where(rays_d.abs() < 1e-12, tiny, rays_d)
    walls = torch.stack([(lower - rays_o) / slope, (lower + edge - rays_o) / slope])
    return walls.amin(dim=0).amax(dim=-1), walls.amax(dim=0).amin(dim=-1)


def spacing_of(near: Tensor, far: Tensor, leave: Tensor) -> Spacing:
    """Return the spacing of rays from `near` to `far` [N] that leave the cube at `leave` [N]."""
    near = near.clamp(min=0.0)
    far = torch.maximum(far, near + _LEAST)
    knee = torch.where(leave > near, leave, near).clamp(min=_LEAST)
    return Spacing(near[:, None], far[:, None], knee[:, None])


def first_edges(rays: int, samples: int, like: Tensor) -> Tensor:
    """Return the edges [N,samples+1] of intervals that are equally wide in s."""
    edges = torch.linspace(0.0, 1.0, samples + 1, device=like.device, dtype=like.dtype)
    return edges.expand(rays, -1)


def next_edges(
    edges: Tensor,  # [N,S+1] of the round before, rising in [0,1]
    weights: Tensor,  # [N,S] what the round before found
    samples: int,
    noise: Tensor | None,  # [N,samples+1] in [0,1), None: the middles
) -> Tensor:
    """Return edges [N,samples+1] spread as the weights are, by inverting their distribution at stratified places.

    The outermost stay at 0 and 1, so that the intervals cover the ray.
    """
    share = (weights + PADDING / weights.shape[1]).pow(POWER)
    share = share / share.sum(dim=1, keepdim=True)
    total = torch.cat([torch.zeros_like(share[:, :1]), torch.cumsum(share, dim=1)], dim=1).clamp(max=1.0)
    step = torch.arange(samples + 1, device=edges.device, dtype=edges.dtype)
    place = (step + (0.5 if noise is None else noise)) / (samples + 1)
    place = place.expand(len(edges), -1).contiguous()
    at = torch.searchsorted(total.contiguous(), place, right=True).clamp(1, weights.shape[1])
    low, high = total.gather(1, at - 1), total.gather(1, at)
    part = ((place - low) / (high - low).clamp(min=1e-12)).clamp(0.0, 1.0)
    start, end = edges.gather(1, at - 1), edges.gather(1, at)
    inner = (start + part * (end - start))[:, 1:-1]
    return torch.cat([torch.zeros_like(inner[:, :1]), inner, torch.ones_like(inner[:, :1])], dim=1)
