# SPDX-License-Identifier: MIT
"""What every rasteriser returns."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class RasterOutput:
    """A rendered view, torch tensors of the inputs' dtype.

    `rgb [H,W,3]` with the background, unclamped; `trans [H,W]` what is left of the light; `depth_z [H,W]` sum of
    weight * z-depth, not divided by opacity; `depth_median [H,W]` z-depth at which half the light is gone, 0 where it
    never is; `normal [H,W,3]` sum of weight * unit normal facing the viewer; `count [H,W]` contributing voxels;
    `max_weight [V]` each voxel's heaviest pixel; `distortion [H,W]`, from the reference twin only.
    """

    rgb: Tensor
    trans: Tensor
    depth_z: Tensor
    depth_median: Tensor
    normal: Tensor
    count: Tensor
    max_weight: Tensor
    distortion: Tensor | None = None


@dataclass(frozen=True)
class SoftOutput:
    """A view rendered softly: `rgb [H,W,3]` with the background, `trans [H,W]` what is left of the light, `depth_z [H,W]`.

    `depth_z` is the sum of weight * z-depth, not divided by opacity.
    """

    rgb: Tensor
    trans: Tensor
    depth_z: Tensor


@dataclass(frozen=True, eq=False)
class CompositeOutput:
    """Packed samples blended along their rays: rgb [Q,3] over the background, trans [Q], depth [Q], distortion [Q], weights [M].

    depth is the sum of weight * t; distortion that of Mip-NeRF 360, 0 where no spacing was given.
    """

    rgb: Tensor
    trans: Tensor
    depth: Tensor
    distortion: Tensor
    weights: Tensor
