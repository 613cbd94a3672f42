# SPDX-License-Identifier: MIT
"""SVRaster One as a library, by the names of its documents. Thin: what trains fast is `engine.methods.svraster`.

settings.py    SVRasterOneConfig and its groups      voxels.py    SparseVoxelGrid, MortonCode
model.py       SVRasterOne: a torch module           rasterizer.py  DifferentiableVoxelRasterizer
losses.py      SVRasterOneLoss, CombinedLoss         perceptual.py  LPIPS, from the disk
trainer.py     SVRasterOneTrainer                    optimizer.py, schedule.py  Adam that moves along, rates
photos.py      SceneDataset, batches
cache.py       what inference mode draws from        modes.py     switching between the two
memory.py      MemoryManager, fitting into a target  profiler.py  PerformanceProfiler
files.py       voxels in files, runs of the app

All of them can be had from `engine` as well, which imports nothing of this before it is asked for. docs/svraster_one.md has
an example of each, and what was settled where the documents leave something open.
"""

from engine.svraster_one.losses import CombinedLoss, SVRasterOneLoss, multi_scale_gradient_loss
from engine.svraster_one.memory import MemoryManager
from engine.svraster_one.model import SVRasterOne
from engine.svraster_one.modes import switch_to_inference_mode, switch_to_training_mode
from engine.svraster_one.photos import SceneDataset
from engine.svraster_one.profiler import PerformanceProfiler
from engine.svraster_one.rasterizer import DifferentiableVoxelRasterizer
from engine.svraster_one.settings import (
    RenderingConfig,
    SVRasterOneConfig,
    TrainingConfig,
    VoxelConfig,
)
from engine.svraster_one.trainer import SVRasterOneTrainer
from engine.svraster_one.voxels import MortonCode, SparseVoxelGrid

__all__ = [
    "CombinedLoss",
    "DifferentiableVoxelRasterizer",
    "MemoryManager",
    "MortonCode",
    "PerformanceProfiler",
    "RenderingConfig",
    "SVRasterOne",
    "SVRasterOneConfig",
    "SVRasterOneLoss",
    "SVRasterOneTrainer",
    "SceneDataset",
    "SparseVoxelGrid",
    "TrainingConfig",
    "VoxelConfig",
    "multi_scale_gradient_loss",
    "switch_to_inference_mode",
    "switch_to_training_mode",
]
