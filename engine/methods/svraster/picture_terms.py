# SPDX-License-Identifier: MIT
"""What a step takes from the rendered picture of its view before the fused kernel runs: SSIM, depth of points, exposure.

The fused kernel never writes its picture, so these cost a rendering of their own, and only where they are due.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engine.cameras import Camera
from engine.cpu.raster import PLANE_DEPTH, WANT_DEPTH
from engine.methods.svraster.config import SVRasterConfig
from engine.methods.svraster.exposure import Exposure
from engine.methods.svraster.objective import ssim_term
from engine.methods.svraster.sparse_points import PointDepths, depth_term
from engine.render.resample import box_downsample


@dataclass(frozen=True, eq=False)
class PictureTerms:
    """The photo to compare with, uint8 [h,w,3], and gradients at every ray: v_rgb [H,W,3], v_trans and v_depth [H,W]."""

    target: np.ndarray
    v_rgb: np.ndarray | None = None
    v_trans: np.ndarray | None = None
    v_depth: np.ndarray | None = None
    ssim_loss: float = 0.0
    depth_loss: float = 0.0


def picture_terms(
    config: SVRasterConfig,
    step: int,
    index: int,  # of the training view
    target: np.ndarray,  # its photo, uint8 [h,w,3]
    mask: np.ndarray | None,  # uint8 [h,w]
    camera: Camera,  # of the rays
    background: np.ndarray,  # [3]
    exposure: Exposure,
    depths: PointDepths,
    render: Callable[[int], tuple[np.ndarray, np.ndarray]],  # WANT bits -> image [H,W,4], planes [n,H,W]
) -> PictureTerms:
    """Render the view if anything wants its picture; fit its exposure if that is due."""
    losses = config.losses
    seen = depths.of(index) if losses.sparse_depth > 0.0 and step < losses.sparse_depth_until else ()
    fit = exposure.due(index, step, config.exposure)
    if not (fit or losses.ssim > 0.0 or len(seen)):
        return PictureTerms(exposure.neutral(index, target) if config.exposure.on else target)
    image, planes = render(WANT_DEPTH if len(seen) else 0)
    picture = image[..., 1:4] + image[..., :1] * background
    if fit:
        small = box_downsample(picture, target.shape[1], target.shape[0])
        exposure.fit(index, small, target, mask, step)
    if config.exposure.on:
        target = exposure.neutral(index, target)
    v_rgb, v_trans, v_depth, ssim_loss, depth_loss = None, None, None, 0.0, 0.0
    if losses.ssim > 0.0:
        rays = picture.shape[1] // target.shape[1]
        v_rgb, ssim_loss = ssim_term(picture, target, rays, losses.ssim)
        if mask is not None:
            v_rgb[np.repeat(np.repeat(mask == 0, rays, axis=0), rays, axis=1)] = 0.0
    if len(seen):
        v_trans, v_depth, depth_loss = depth_term(
            image[..., 0], planes[PLANE_DEPTH], camera, seen, losses.sparse_depth
        )
    return PictureTerms(target, v_rgb, v_trans, v_depth, ssim_loss, depth_loss)
