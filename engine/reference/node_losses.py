# SPDX-License-Identifier: MIT
"""InfNeRF's two losses on densities at random places, written to be read: differentiable by autograd in any float type.

Both look at exp(-density * length), what a stretch of a fixed length lets through.
"""

from __future__ import annotations

import torch
from torch import Tensor


def level_loss(
    child: Tensor,  # [K,7,n] densities of K children at n places and their six neighbours, one ground sampling distance away
    parent: Tensor,  # [K,n] densities of their parents at those places
    length: float,
    nodes: int,  # how many different parents
) -> Tensor:
    """Return how a child, averaged over seven taps, differs from its parent: squares, summed over children, mean of parents."""
    finer = torch.exp(-child * length).mean(dim=1)
    coarser = torch.exp(-parent * length)
    return (finer - coarser).square().mean(dim=-1).sum() / max(nodes, 1)


def transparency_loss(density: Tensor, length: float) -> Tensor:
    """Return the mean of |exp(-density length) - 1|: what nobody sees should let light through."""
    return (torch.exp(-density * length) - 1.0).abs().mean()
