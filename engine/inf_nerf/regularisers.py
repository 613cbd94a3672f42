# SPDX-License-Identifier: MIT
"""The two terms of the loss that look at densities at random places: levels agree, and what nobody sees lets light through."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from engine.inf_nerf.model import InfNeRF
from engine.methods.infnerf.config import LossOptions
from engine.methods.infnerf.regularise import TAPS, draw_places
from engine.reference.node_losses import level_loss, transparency_loss


def level_and_transparency(
    model: InfNeRF, seed: tuple[int, ...], nodes: int, points: int, level: bool = True, transparency: bool = True
) -> dict[str, Tensor]:  # fmt: skip
    """Return `level_loss` and `transparency_loss` over `nodes` random nodes, at `points` places of each; 0 where there are none.

    Both compare exp(-density) over half the root's edge, as published. The same seed draws the same places.
    """
    options = LossOptions(level=float(level), transparency=float(transparency), nodes=nodes, points=points)
    places = draw_places(model.tree, options, model.config.unbounded, np.random.default_rng(seed))
    zero = torch.zeros((), device=model.device)
    losses = {"level_loss": zero, "transparency_loss": zero}
    if not len(places.node):
        return losses
    node = torch.from_numpy(places.node.astype(np.int64)).to(model.device)
    density = model.density_at(node, torch.from_numpy(places.position).to(model.device)).float()
    end, length = places.level_end, model.tree.half
    if places.children:
        rows = density[:end].view(places.children, TAPS + 1, points)
        losses["level_loss"] = level_loss(rows[:, :TAPS], rows[:, TAPS], length, places.parents)
    if end < len(density):
        losses["transparency_loss"] = transparency_loss(density[end:], length)
    return losses
