# SPDX-License-Identifier: MIT
"""SVRaster: sparse voxels, rasterised in exact order, split and pruned while they train."""

from engine.methods.svraster.config import PRESETS, REFINE_POSES, SVRasterConfig, preset
from engine.methods.svraster.model import SVRaster

__all__ = ["PRESETS", "REFINE_POSES", "SVRaster", "SVRasterConfig", "preset"]
