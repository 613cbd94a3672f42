# SPDX-License-Identifier: MIT
"""Loss weights are means over pixels, whatever the rays; the gradient of SSIM is that of the loss it belongs to."""

from __future__ import annotations

import numpy as np
import pytest

from engine.methods.svraster.config import LossOptions
from engine.methods.svraster.objective import loss_weights, named_losses, ssim_term

SLOPE = (
    5e-3  # of the gradient's length: central differences of 1e-2 were off by 1.5e-3 at worst, over 20 seeds
)


def test_weights_are_means_over_pixels_and_rays():
    losses = LossOptions(transmittance=0.4, colour_spread=0.2, distortion=0.1, distortion_from=5)
    assert loss_weights(losses, 5, 10, 2) == pytest.approx([1 / 30, 0.01, 0.005, 0.0025, 1.0])
    assert loss_weights(losses, 4, 10, 2)[3] == 0.0


def test_only_terms_that_are_on_are_named():
    sums = np.arange(1.0, 33.0)
    names = [name for name, _ in named_losses(LossOptions(colour_spread=0.0, ssim=0.1), sums, 0.3)]
    assert names == ["mse", "ssim"]
    assert dict(named_losses(LossOptions(ssim=0.1), sums, 0.3))["ssim"] == 0.3


@pytest.mark.parametrize("rays", [1, 2])
def test_the_gradient_of_ssim_is_the_slope_of_its_loss(rays: int):
    rng = np.random.default_rng(0)
    target = rng.integers(0, 256, (14, 15, 3), dtype=np.uint8)
    picture = rng.random((14 * rays, 15 * rays, 3)).astype(np.float32)
    gradient, loss = ssim_term(picture, target, rays, 0.5)
    assert gradient.shape == picture.shape and 0.0 < loss <= 1.0
    direction = rng.normal(size=picture.shape).astype(np.float32)
    step = np.float32(1e-2)
    ahead = ssim_term(picture + step * direction, target, rays, 0.5)[1]
    behind = ssim_term(picture - step * direction, target, rays, 0.5)[1]
    expected, margin = float((gradient * direction).sum()), SLOPE * float(np.linalg.norm(gradient))
    assert (ahead - behind) / (2 * step) == pytest.approx(expected, abs=margin)


def test_a_picture_like_its_photo_costs_nothing():
    target = np.random.default_rng(1).integers(0, 256, (14, 15, 3), dtype=np.uint8)
    assert ssim_term(target.astype(np.float32) / 255, target, 1, 0.5)[1] == pytest.approx(0.0, abs=1e-5)
