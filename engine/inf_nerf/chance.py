# SPDX-License-Identifier: MIT
"""Random numbers that are a function of where they are used, in torch: those of `engine.cpu.counter_random`, bit for bit.

So it does not matter how rays are divided into batches or between processes.
"""

from __future__ import annotations

import torch
from torch import Tensor

JITTER, PLACE = 1, 2  # streams: the footprint's jitter, a sample's place in its stretch
_GOLDEN, _SECOND, _THIRD = 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0xD6E8FEB86659FD93
_MIX_A, _MIX_B = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def draw(seed: int, stream: int, rays: Tensor, numbers: Tensor) -> Tensor:
    """Return numbers [N,S] in [0,1), float32, of a seed, a stream, rays int64 [N] and numbers int64 [S]."""
    first = _mix(torch.tensor(_signed(seed * _GOLDEN + stream), device=rays.device))
    x = _mix(first + rays * _signed(_SECOND))
    x = _mix(x[:, None] + numbers * _signed(_THIRD))
    return (_shifted(x, 11).double() * 2.0**-53).float().clamp(max=1.0 - 2.0**-24)


def _signed(x: int) -> int:
    """Return the int64 of the same 64 bits."""
    x &= (1 << 64) - 1
    return x - (1 << 64) if x >> 63 else x


def _shifted(x: Tensor, by: int) -> Tensor:
    """Shift right, filling with zeros."""
    return (x >> by) & ((1 << (64 - by)) - 1)


def _mix(x: Tensor) -> Tensor:
    x = (x ^ _shifted(x, 30)) * _signed(_MIX_A)
    x = (x ^ _shifted(x, 27)) * _signed(_MIX_B)
    return x ^ _shifted(x, 31)
