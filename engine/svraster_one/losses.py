# SPDX-License-Identifier: MIT
"""What SVRaster One minimises: named terms, each times its weight of the configuration, and their sum."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from engine.errors import OptionError
from engine.losses import ssim_and_gradient
from engine.svraster_one.perceptual import PerceptualLoss
from engine.svraster_one.settings import SVRasterOneConfig

SCALES = 4  # halvings of the multi-scale gradient loss


class SVRasterOneLoss(nn.Module):
    """The document's four terms. Subclasses add terms in `terms`; each is multiplied by its weight in `weights`."""

    def __init__(self, config: SVRasterOneConfig | None = None) -> None:
        super().__init__()
        self.config = config or SVRasterOneConfig()

    def forward(
        self,
        rendered_output: dict[str, Tensor],
        target_data: dict[str, Tensor] | Tensor,
        voxel_data: dict[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Return the weighted terms as scalars, and `total_loss`.

        `rendered_output` is a picture of `SVRasterOne.forward`. `target_data` has the photo as `rgb` or `image` [H,W,3] and,
        where known, `depth` or `depth_gt` [H,W] in scene units (0: unknown) and `mask` [H,W]; or is the photo itself.
        `voxel_data` is that of `SparseVoxelGrid.voxel_data`; without it the terms about voxels are left out.
        """
        target = {"rgb": target_data} if isinstance(target_data, Tensor) else target_data
        terms = self.terms(rendered_output, target, voxel_data or {})
        weights = self.weights()
        losses = {name: value * weights.get(name, 1.0) for name, value in terms.items()}
        losses["total_loss"] = torch.stack([value.reshape(()) for value in losses.values()]).sum()
        return losses

    def weights(self) -> dict[str, float]:
        """Return the weights of the terms; those without one count as they are."""
        t = self.config.training
        return {
            "rgb_loss": t.rgb_loss_weight,
            "depth_loss": t.depth_loss_weight,
            "density_reg_loss": t.density_reg_weight,
            "sparsity_loss": t.sparsity_weight,
            "spatial_loss": t.spatial_weight,
            "grad_penalty": t.grad_penalty_weight,
            "ssim_loss": t.ssim_weight,
            "perceptual_loss": t.perceptual_weight,
            "multi_scale_loss": t.multi_scale_weight,
        }

    def terms(
        self, rendered: dict[str, Tensor], target: dict[str, Tensor], voxels: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """Return the unweighted terms.

        `rgb_loss` mean squared error; `depth_loss` mean |error| where the depth is known; `density_reg_loss` the mean opacity
        of a voxel; `sparsity_loss` the mean of log(1 + 2 x^2) of its optical depth x: few voxels shall hold all.
        """
        photo = photo_of(target).to(rendered["rgb"])
        mask = target.get("mask")
        terms = {"rgb_loss": _mean_where((rendered["rgb"] - photo).square().mean(dim=-1), mask)}
        depth = target.get("depth", target.get("depth_gt"))
        if depth is not None and "depth" in rendered:
            depth = depth.to(rendered["depth"])
            known = depth > 0.0 if mask is None else (depth > 0.0) & (mask.to(depth.device) != 0)
            terms["depth_loss"] = _mean_where((rendered["depth"] - depth).abs(), known)
        if "opacity" in voxels:
            terms["density_reg_loss"] = voxels["opacity"].mean()
        if "optical_depth" in voxels:
            terms["sparsity_loss"] = torch.log1p(2.0 * voxels["optical_depth"].square()).mean()
        return terms


class CombinedLoss(SVRasterOneLoss):
    """All terms: those of `SVRasterOneLoss`, smoothness in space, the gradient penalty, and as switched on the following.

    `use_ssim`: `ssim_loss`, 1 - SSIM. `use_perceptual`: `perceptual_loss`, LPIPS, whose weights must be on the disk, or the
    sentence saying how to get them. `use_multi_scale`: `multi_scale_loss`, the difference of the pictures' gradients at
    four sizes, which needs no weights.
    """

    def __init__(self, config: SVRasterOneConfig | None = None) -> None:
        super().__init__(config)
        self.use_perceptual = False
        self.use_ssim = False
        self.use_multi_scale = self.config.training.multi_scale_weight > 0.0
        self._perceptual: list[PerceptualLoss] = []  # in a list: its weights are not this module's parameters

    def terms(
        self, rendered: dict[str, Tensor], target: dict[str, Tensor], voxels: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """Return the unweighted terms.

        Beside the inherited ones: `spatial_loss`, the mean squared difference along the edges of voxels between the raw
        densities at their corners; `grad_penalty`, the mean length of `rendered["gradients"]` [...,3] if there are any, else
        of the raw density's gradient inside voxels.
        """
        terms = super().terms(rendered, target, voxels)
        if "corners" in voxels:
            terms["spatial_loss"] = spatial_smoothness(voxels["corners"])
        gradients = rendered.get("gradients", voxels.get("gradients"))
        if gradients is not None:
            terms["grad_penalty"] = (gradients.square().sum(dim=-1) + 1e-12).sqrt().mean()
        rgb, photo = rendered["rgb"], photo_of(target).to(rendered["rgb"])
        if self.use_ssim:
            terms["ssim_loss"] = ssim_loss(rgb, photo)
        if self.use_multi_scale:
            terms["multi_scale_loss"] = multi_scale_gradient_loss(rgb, photo)
        if self.use_perceptual:
            if not self._perceptual:
                self._perceptual.append(PerceptualLoss())
            terms["perceptual_loss"] = self._perceptual[0](rgb, photo)
        return terms


def photo_of(target: dict[str, Tensor] | Tensor) -> Tensor:
    """Return the photo [H,W,3] of target data, or raise OptionError."""
    photo: Any = target if isinstance(target, Tensor) else target.get("rgb", target.get("image"))
    if not isinstance(photo, Tensor) or photo.ndim != 3 or photo.shape[-1] != 3:
        got = f"{list(photo.shape)}" if isinstance(photo, Tensor) else f"{type(photo).__name__}"
        raise OptionError(f"Target data need a photo [H,W,3] as 'rgb' or 'image', got {got}.")
    return photo if photo.is_floating_point() else photo.float() / 255.0


def spatial_smoothness(corners: Tensor) -> Tensor:
    """Return the mean squared difference between neighbouring corners [V,8] of voxels."""
    cube = corners.reshape(-1, 2, 2, 2)
    return torch.stack([cube.diff(dim=axis).square().mean() for axis in (1, 2, 3)]).mean()


def multi_scale_gradient_loss(rgb: Tensor, photo: Tensor) -> Tensor:
    """Return the mean |difference| of both pictures' gradients [H,W,3] at up to four sizes, each half the one before."""
    difference = (rgb - photo).movedim(-1, 0)[None]
    total, scales = difference.new_zeros(()), 0
    while scales < SCALES and min(difference.shape[-2:]) >= 2:
        total = total + difference.diff(dim=-1).abs().mean() + difference.diff(dim=-2).abs().mean()
        difference, scales = avg_pool2d(difference, 2), scales + 1
    return total / max(scales, 1)


def ssim_loss(rgb: Tensor, photo: Tensor) -> Tensor:
    """Return 1 - SSIM of two pictures [H,W,3], differentiable in the first."""
    if rgb.is_cuda:
        from engine.cuda.ssim import ssim_of

        return 1.0 - ssim_of(rgb, photo)
    return 1.0 - _Ssim.apply(rgb, photo)


class _Ssim(torch.autograd.Function):
    """SSIM by the engine's kernel, which returns the gradient with the value."""

    @staticmethod
    def forward(ctx: Any, rgb: Tensor, photo: Tensor) -> Tensor:
        value, gradient = ssim_and_gradient(rgb.detach().numpy(), photo.detach().numpy())
        ctx.save_for_backward(torch.from_numpy(gradient).to(rgb))
        return rgb.new_tensor(value)

    @staticmethod
    def backward(ctx: Any, v_value: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return v_value * gradient, None  # rgb, photo


def _mean_where(values: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return values.mean()
    share = (mask.to(values.device) != 0).to(values)
    return (values * share).sum() / share.sum().clamp(min=1.0)
