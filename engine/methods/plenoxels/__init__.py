# SPDX-License-Identifier: MIT
"""Plenoxels: a sparse grid of densities and spherical harmonics, marched by rays, made finer and sparser in training."""

from engine.methods.plenoxels.config import PlenoxelsConfig
from engine.methods.plenoxels.model import Plenoxels
from engine.methods.plenoxels.presets import PRESETS, preset

__all__ = ["PRESETS", "Plenoxels", "PlenoxelsConfig", "preset"]
