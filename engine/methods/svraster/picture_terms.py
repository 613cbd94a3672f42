# SPDX-License-Identifier: MIT
"""What a step takes from the rendered picture of its view before the fused kernel runs: SSIM, depth of points, exposure.

The fused kernel never writes its picture, so these cost a rendering of their own, and only where they are due.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from engine.cameras import Camera
from engine.cpu.raster import PLANE_DEPTH, WANT_DEPTH
from engine.methods.svraster.config import SVRasterConfig
from engine.methods.svraster.exposure import Exposure
from engine.methods.svraster.objective import ssim_term
from engine.methods.svraster.sparse_points import PointDepths, depth_term
from engine.render.resample import box_downsample

if TYPE_CHECKING:
    from torch import Tensor

# (photo uint8 [h,w,3], mask uint8 [h,w], rays a pixel side, weight) -> gradient at every ray [H,W,3], loss
Similar = Callable[
    ["np.ndarray", "np.ndarray | None", int, float], "tuple[np.ndarray | Tensor, float | Tensor]"
]


@dataclass(frozen=True, eq=False)
class PictureTerms:
    """The photo to compare with, uint8 [h,w,3], and gradients at every ray: v_rgb [H,W,3], v_trans and v_depth [H,W].

    `v_rgb` and `ssim_loss` are tensors where the view was compared with its photo on a device.
    """

    target: np.ndarray
    v_rgb: np.ndarray | Tensor | None = None
    v_trans: np.ndarray | None = None
    v_depth: np.ndarray | None = None
    ssim_loss: float | Tensor = 0.0
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
    similar: Similar
    | None = None,  # measures SSIM where the view is drawn, so that no picture comes here for it
) -> PictureTerms:
    """Render the view if anything wants its picture; fit its exposure if that is due."""
    losses = config.losses
    seen = depths.of(index) if losses.sparse_depth > 0.0 and step < losses.sparse_depth_until else ()
    fit = exposure.due(index, step, config.exposure)
    picture = image = planes = None
    if fit or len(seen) or (losses.ssim > 0.0 and similar is None):
        image, planes = render(WANT_DEPTH if len(seen) else 0)
        picture = image[..., 1:4] + image[..., :1] * background
    if fit:
        small = box_downsample(picture, target.shape[1], target.shape[0])
        exposure.fit(index, small, target, mask, step)
    if config.exposure.on:
        target = exposure.neutral(index, target)
    v_rgb, v_trans, v_depth, ssim_loss, depth_loss = None, None, None, 0.0, 0.0
    if losses.ssim > 0.0:
        rays = camera.width // target.shape[1]
        compare = similar or partial(_similar_here, picture)
        v_rgb, ssim_loss = compare(target, mask, rays, losses.ssim)
    if len(seen):
        v_trans, v_depth, depth_loss = depth_term(
            image[..., 0], planes[PLANE_DEPTH], camera, seen, losses.sparse_depth
        )
    return PictureTerms(target, v_rgb, v_trans, v_depth, ssim_loss, depth_loss)


def _similar_here(
    picture: np.ndarray, target: np.ndarray, mask: np.ndarray | None, rays: int, weight: float
) -> tuple[np.ndarray, float]:
    v_rgb, loss = ssim_term(picture, target, rays, weight)
    if mask is not None:
        v_rgb[np.repeat(np.repeat(mask == 0, rays, axis=0), rays, axis=1)] = 0.0
    return v_rgb, loss
