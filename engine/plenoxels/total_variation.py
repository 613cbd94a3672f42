# SPDX-License-Identifier: MIT
"""Total variation of a sparse grid, over a run of voxels that lie one after another."""

from __future__ import annotations

import torch
from torch import Tensor

REFERENCE = (
    256.0  # differences count as if the grid had this many voxels a side, so weights fit every resolution
)
_TINY = 1e-9  # under the root: its slope is finite where all neighbours are equal


def total_variation(
    links: Tensor,  # [X,Y,Z]
    density: Tensor,  # [V]
    colours: Tensor,  # [V,C]
    share: float,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return mean over voxels of sqrt(sum over axes (s difference)^2), added up over density and colour channels.

    `share` of the grid is looked at, a run of flat indices with a random start. Differences are towards the next voxel along each
    axis, none at the border; s = voxels of the axis / 256. Beside an empty voxel density falls to 0 and colours stay.
    """
    sides, total = links.shape, links.numel()
    count = max(1, min(total, round(share * total)))
    start = int(torch.randint(total, (1,), generator=generator)) if count < total else 0
    flat = links.reshape(-1)
    at = (start + torch.arange(count, device=links.device)) % total
    at = at[flat[at] >= 0]
    here = flat[at].long()
    strides = (sides[1] * sides[2], sides[2], 1)
    squares = torch.zeros(len(here), 1 + colours.shape[1], dtype=density.dtype, device=density.device)
    for side, stride in zip(sides, strides):
        inside = (at // stride) % side < side - 1
        row = flat[torch.where(inside, at + stride, at)].long()
        there, beside = (row >= 0) & inside, row.clamp(min=0)
        next_density = torch.where(there, density[beside], torch.where(inside, 0.0, density[here]))
        next_colours = torch.where(there[:, None], colours[beside], colours[here])
        change = torch.cat([(next_density - density[here])[:, None], next_colours - colours[here]], dim=1)
        squares = squares + (change * (side / REFERENCE)) ** 2
    return torch.sqrt(squares + _TINY).sum() / max(count, 1)
