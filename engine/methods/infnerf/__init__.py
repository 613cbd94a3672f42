# SPDX-License-Identifier: MIT
"""InfNeRF: an octree whose every node holds a small field; a sample is seen by the node as coarse as its pixel."""

from engine.methods.infnerf.config import InfNeRFConfig
from engine.methods.infnerf.model import InfNeRF
from engine.methods.infnerf.presets import PRESETS, preset

__all__ = ["PRESETS", "InfNeRF", "InfNeRFConfig", "preset"]
