# SPDX-License-Identifier: MIT
"""What the library's trainer minimises: named terms, to which subclasses add their own."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PlenoxelLoss(nn.Module):
    """Named losses of a batch. Subclass it and add to what `forward` returns; the trainer sums all terms, weighted.

        class WithDepth(PlenoxelLoss):
            def forward(self, outputs, targets):
                losses = super().forward(outputs, targets)
                losses["depth_loss"] = (outputs["depth"] - targets["depths"]).abs().mean()
                return losses

    A term NAME_loss is multiplied by the trainer configuration's NAME_loss_weight where it has one, else by 1.
    """

    def forward(self, outputs: dict[str, Tensor], targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return `color_loss`, the mean squared error of `outputs["rgb"]` and `targets["rgb"]`, both [N,3].

        Where the trainer put them into the outputs, also `tv_loss`, the mean total variation of the grid, and `l1_loss`, the
        mean of max(0, density): scalars, unweighted.
        """
        losses = {"color_loss": nn.functional.mse_loss(outputs["rgb"], targets["rgb"])}
        return losses | {f"{name}_loss": outputs[name] for name in ("tv", "l1") if name in outputs}


def weighted_sum(losses: dict[str, Tensor], weights: object) -> Tensor:
    """Return the sum of terms, each multiplied by the attribute `<name>_weight` of `weights` or by 1."""
    terms = [value * getattr(weights, f"{name}_weight", 1.0) for name, value in losses.items()]
    return torch.stack([term.reshape(()) for term in terms]).sum()
