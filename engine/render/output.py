# SPDX-License-Identifier: MIT
"""What a rasteriser returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class RasterOutput:
    """A rasterised view. Sums over the voxels along a pixel's ray, w = transmittance before the voxel * alpha.

    Differentiable: rgb, trans, depth_z, normal, distortion. The others are measurements.
    """

    rgb: Tensor  # [H,W,3] sum w * colour, and what is left times the background; not clamped
    trans: Tensor  # [H,W] transmittance behind the last voxel, 0..1
    depth_z: Tensor  # [H,W] sum w * z-depth of the segment's middle; not divided by the opacity
    depth_median: Tensor  # [H,W] z-depth where the transmittance falls to 0.5; 0 where it never does
    normal: Tensor  # [H,W,3] sum w * unit normal in world axes, facing where the density falls
    count: Tensor  # [H,W] int32, voxels that contribute
    max_weight: Tensor  # [V] largest w of each voxel over the image
    distortion: Tensor  # [H,W] how far the weights are spread along the ray
