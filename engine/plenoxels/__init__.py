# SPDX-License-Identifier: MIT
"""Plenoxels as a library, by the names of its document. Thin: what trains fast is `engine.methods.plenoxels`.

settings.py  PlenoxelConfig (PlenoxelsConfig), PlenoxelDatasetConfig, PlenoxelTrainerConfig
model.py     PlenoxelModel: a torch module         trainer.py   create_plenoxel_trainer, PlenoxelTrainer
loss.py      PlenoxelLoss, to be subclassed        photos.py    random rays of a scene
voxels.py    grids: make, prune, count             rays.py      rays, points along them, compositing
kernels.py   sampling, interpolation, colours, intersection; the device of the tensors decides who computes
renderer.py  the stages one by one, and with buffers that are allocated once
memory.py    less of it                            profiler.py  times by CUDA events or by the clock
cuda.py      the names as the document's second half imports them

All of them can be had from `engine` as well, which imports nothing of this before it is asked for.
"""

from engine.plenoxels.cuda import CUDASphericalHarmonics
from engine.plenoxels.kernels import (
    Intersections,
    compute_sh_basis,
    evaluate_sh,
    intersect_rays_voxels,
    sample_voxel_grid,
    trilinear_interpolate,
)
from engine.plenoxels.loss import PlenoxelLoss
from engine.plenoxels.memory import CUDABatchTrainer, optimize_cuda_memory
from engine.plenoxels.model import PlenoxelModel
from engine.plenoxels.profiler import CUDAProfiler
from engine.plenoxels.rays import generate_rays, sample_points_along_rays, volume_render
from engine.plenoxels.renderer import CUDAOptimizedPlenoxels, PlenoxelsCUDARenderer
from engine.plenoxels.settings import (
    PlenoxelConfig,
    PlenoxelDatasetConfig,
    PlenoxelsConfig,
    PlenoxelTrainerConfig,
)
from engine.plenoxels.trainer import PlenoxelTrainer, create_plenoxel_trainer
from engine.plenoxels.voxels import compute_voxel_occupancy_stats, create_voxel_grid, prune_voxel_grid

__all__ = [
    "CUDABatchTrainer",
    "CUDAOptimizedPlenoxels",
    "CUDAProfiler",
    "CUDASphericalHarmonics",
    "Intersections",
    "PlenoxelConfig",
    "PlenoxelDatasetConfig",
    "PlenoxelLoss",
    "PlenoxelModel",
    "PlenoxelTrainer",
    "PlenoxelTrainerConfig",
    "PlenoxelsCUDARenderer",
    "PlenoxelsConfig",
    "compute_sh_basis",
    "compute_voxel_occupancy_stats",
    "create_plenoxel_trainer",
    "create_voxel_grid",
    "evaluate_sh",
    "generate_rays",
    "intersect_rays_voxels",
    "optimize_cuda_memory",
    "prune_voxel_grid",
    "sample_points_along_rays",
    "sample_voxel_grid",
    "trilinear_interpolate",
    "volume_render",
]
