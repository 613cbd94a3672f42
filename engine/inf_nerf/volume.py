# SPDX-License-Identifier: MIT
"""Compositing of samples along rays and the terms of the loss, on dense tensors of any device. Differentiable."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from engine.errors import OptionError
from engine.inf_nerf.settings import VolumeRendererConfig
from engine.shapes import check_shapes

FAR = 1e10  # how long the last sample's interval is where nobody says: whatever has density there is opaque
CustomLoss = Callable[[dict[str, Tensor], dict[str, Tensor]], "Tensor | dict[str, Tensor]"]


class VolumeRenderer:
    """Renders volumes for training. `custom_losses` are called with (outputs, targets) and add terms of their own.

    A term that such a function returns alone is named after the function; a dictionary names several. They are added as they
    are: weights are the function's own.
    """

    def __init__(
        self, config: VolumeRendererConfig | None = None, custom_losses: Iterable[CustomLoss] = ()
    ) -> None:
        self.config = config or VolumeRendererConfig()
        self.custom_losses = list(custom_losses)

    def volume_render(
        self,
        colors: Tensor,  # [N,S,3]
        densities: Tensor,  # [N,S] per unit of length, 0 or above
        z_vals: Tensor,  # [N,S] rising along each ray, in lengths of rays_d
        rays_d: Tensor,  # [N,3]
        deltas: Tensor | None = None,  # [N,S] widths of the samples' intervals, in lengths of rays_d
        background: Tensor | float | None = None,  # [3], [N,3] or a brightness; None: black
    ) -> dict[str, Tensor]:
        """Return `rgb [N,3]`, `depth [N]`, `acc [N]`, `weights [N,S]`.

        weight_i = (1 - exp(-density_i delta_i)) exp(-sum_{j<i} density_j delta_j); `depth` is the mean z of what is seen,
        divided by `acc` (0 where nothing is). Without `deltas` a sample's interval reaches to the next one.
        """
        if densities.ndim == 3 and densities.shape[-1] == 1:
            densities = densities[..., 0]
        check_shapes(
            "VolumeRenderer.volume_render",
            colors=(colors, "N S 3"), densities=(densities, "N S"), z_vals=(z_vals, "N S"), rays_d=(rays_d, "N 3"),
        )  # fmt: skip
        if deltas is None:
            last = torch.full_like(z_vals[:, :1], FAR)
            deltas = torch.cat([z_vals[:, 1:] - z_vals[:, :-1], last], dim=1)
        optical = densities * deltas * rays_d.norm(dim=-1, keepdim=True)
        weights = compositing_weights(optical)
        acc = weights.sum(dim=1)
        rgb = (weights[..., None] * colors).sum(dim=1)
        if background is not None:
            behind = torch.as_tensor(background, dtype=rgb.dtype, device=rgb.device)
            rgb = rgb + (1.0 - acc)[:, None] * behind
        seen = torch.where(acc > 0.0, acc, torch.ones_like(acc))
        return {"rgb": rgb, "depth": (weights * z_vals).sum(dim=1) / seen, "acc": acc, "weights": weights}

    def compute_losses(self, outputs: dict[str, Tensor], targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the weighted terms by name, and their sum `total_loss`.

        `rgb_loss` is the mean squared error against `targets["rgb"]`. `depth_loss`, the mean absolute error where
        `targets["depth"]` is above 0, is there if that is. `distortion_loss` needs `weights`, `spacing` and `widths` in the
        outputs, as a model's have; `level_loss` and `transparency_loss` are passed on where the outputs hold them.
        """
        if "rgb" not in outputs or "rgb" not in targets:
            raise OptionError(
                "VolumeRenderer.compute_losses() needs rgb in outputs and targets, "
                f"got {', '.join(outputs) or 'none'} and {', '.join(targets) or 'none'}."
            )
        config, losses = self.config, {}
        losses["rgb_loss"] = config.lambda_rgb * (outputs["rgb"] - targets["rgb"]).square().mean()
        if "depth" in targets and config.lambda_depth > 0.0:
            losses["depth_loss"] = config.lambda_depth * depth_error(outputs["depth"], targets["depth"])
        if "spacing" in outputs and config.lambda_distortion > 0.0:
            spread = distortion(outputs["weights"], outputs["spacing"], outputs["widths"])
            losses["distortion_loss"] = config.lambda_distortion * spread.mean()
        for name, weight in (("level", config.lambda_level), ("transparency", config.lambda_transparency)):
            if f"{name}_loss" in outputs:
                losses[f"{name}_loss"] = weight * outputs[f"{name}_loss"]
        for custom in self.custom_losses:
            found = custom(outputs, targets)
            losses |= found if isinstance(found, dict) else {getattr(custom, "__name__", "custom"): found}
        losses["total_loss"] = torch.stack([torch.as_tensor(term).float() for term in losses.values()]).sum()
        return losses


def compositing_weights(optical: Tensor) -> Tensor:
    """Return the share of light [N,S] that each sample sends to the camera, of optical depths [N,S]."""
    before = torch.cumsum(optical, dim=1) - optical
    return -torch.expm1(-optical) * torch.exp(-before)


def depth_error(depth: Tensor, target: Tensor) -> Tensor:
    """Return the mean absolute error of depths [N] where the target is known, above 0."""
    known = target > 0.0
    return torch.where(known, (depth - target).abs(), 0.0).sum() / known.sum().clamp(min=1)


def distortion(weights: Tensor, spacing: Tensor, widths: Tensor) -> Tensor:
    """Return the distortion [N] of every ray (Barron et al. 2022, equation 15), in time linear in the samples.

    sum_ij w_i w_j |s_i - s_j| + 1/3 sum_i w_i^2 d_i, with middles `spacing` and `widths` [N,S] of intervals in normalised
    distance, which rise along the ray: then the double sum is 2 sum_i w_i (s_i W_<i - S_<i) of the sums before i.
    """
    sum_w = torch.cumsum(weights, dim=1) - weights
    sum_ws = torch.cumsum(weights * spacing, dim=1) - weights * spacing
    between = 2.0 * (weights * (spacing * sum_w - sum_ws)).sum(dim=1)
    return between + (weights.square() * widths).sum(dim=1) / 3.0
