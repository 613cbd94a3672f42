# SPDX-License-Identifier: MIT
"""What a step minimises: the kernels' weights, the gradient of SSIM, and the terms by name."""

from __future__ import annotations

import numpy as np

from engine.cpu.tile_loss import (
    HUBER,
    L1,
    MSE,
    N_WEIGHTS,
    SUM_DISTORTION,
    SUM_PHOTO,
    SUM_R_CONCENTRATION,
    SUM_T_CONCENTRATION,
)
from engine.losses import ssim_and_gradient
from engine.methods.svraster.config import LossOptions
from engine.render.resample import box_downsample

PHOTOMETRIC = {"mse": MSE, "l1": L1, "huber": HUBER}


def loss_weights(losses: LossOptions, step: int, pixels: int, rays: int) -> np.ndarray:
    """Return [N_WEIGHTS] for a photo of so many pixels, `rays` rays a pixel side."""
    distortion = losses.distortion if step >= losses.distortion_from else 0.0
    weights = np.zeros(N_WEIGHTS)
    weights[:] = 1.0 / (3 * pixels), losses.transmittance, losses.colour_spread, distortion, 1.0
    weights[1:4] /= pixels
    weights[1:4] /= rays * rays
    return weights


def ssim_term(picture: np.ndarray, target: np.ndarray, rays: int, weight: float) -> tuple[np.ndarray, float]:
    """Return (gradient at every ray [H,W,3], the loss) of weight * (1 - SSIM).

    `picture [H,W,3]` has `rays` rays a pixel side of the photo `target` [H/rays,W/rays,3] uint8.
    """
    small = np.ascontiguousarray(box_downsample(picture, target.shape[1], target.shape[0]))
    value, gradient = ssim_and_gradient(small, target.astype(np.float32) / np.float32(255.0))
    v_rgb = np.repeat(np.repeat(gradient, rays, axis=0), rays, axis=1) * np.float32(-weight / (rays * rays))
    return np.ascontiguousarray(v_rgb, dtype=np.float32), weight * (1.0 - value)


def named_losses(
    losses: LossOptions, sums: np.ndarray, ssim_loss: float, depth_loss: float = 0.0
) -> tuple[tuple[str, float], ...]:
    """Return (name, weighted value) of the photometric term and of every other one that is on."""
    terms = [(losses.photometric, float(sums[SUM_PHOTO]))]
    for name, weight, value in (
        ("ssim", losses.ssim, ssim_loss),
        ("transmittance", losses.transmittance, sums[SUM_T_CONCENTRATION]),
        ("colour spread", losses.colour_spread, sums[SUM_R_CONCENTRATION]),
        ("distortion", losses.distortion, sums[SUM_DISTORTION]),
        ("sparse depth", losses.sparse_depth, depth_loss),
    ):
        if weight > 0.0:
            terms.append((name, float(value)))
    return tuple(terms)


def psnr_of(mse: float) -> float:
    """Return the PSNR in dB of a mean squared error."""
    return float(-10.0 * np.log10(max(mse, 1e-12)))
