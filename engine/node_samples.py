# SPDX-License-Identifier: MIT
"""Samples along rays, packed, each with the node whose field evaluates it; and how they are proposed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ProposalOptions:
    """How samples are placed. Depths t are z-depths, lengths engine units.

    A ray gets as many samples as its occupied stretches hold steps of `spacing` ground sampling distances, at most `samples`.
    """

    samples: int = 48  # the most that a ray gets
    spacing: float = (
        2.0  # aimed at between samples, in ground sampling distances of the node: one cell of its finest grid
    )
    candidates: int = 96  # the most pieces that a ray's occupied stretches are told apart in
    outside: int = (
        32  # pieces of the way behind the cube, linear in disparity; as many, uniform, of the way before it
    )
    power: float = 0.9  # a piece's chance is its weight to this power
    padding: float = 0.25  # share of the samples spread evenly over what is occupied, whatever the cache says
    stop: float = 1e-3  # nothing is proposed behind where the cache's transmittance falls below this
    most_alpha: float = 0.7  # a cell hides at most this share: its density may lie beside the ray
    unseen_density: float = 1.0  # what a cell counts as that nobody has looked at, per engine unit


@dataclass(eq=False)
class Samples:
    """M samples of Q rays, packed: ray q owns offsets[q] .. offsets[q + 1] - 1, in ascending t.

    `delta` is the length of the stretch a sample stands for, |direction| included: stretches do not overlap, so summing
    density * delta approximates the integral over what is occupied. The stretch begins at z-depth `start`, holds `t`, and
    has no gap.
    """

    offsets: np.ndarray  # [Q+1] int64
    t: np.ndarray  # [M] float32 z-depth of the sample
    delta: np.ndarray  # [M] float32 engine units
    node: np.ndarray  # [M] int32
    position: np.ndarray  # [M,3] float32 engine units
    ray: np.ndarray  # [M] int32
    start: np.ndarray  # [M] float32 z-depth where its stretch begins

    def __len__(self) -> int:
        """M, the number of samples."""
        return len(self.t)

    @property
    def rays(self) -> int:
        """Q, the number of rays."""
        return len(self.offsets) - 1
