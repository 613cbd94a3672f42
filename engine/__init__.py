# SPDX-License-Identifier: MIT
"""The radiance-field engine: scenes, voxels, rasteriser, trainers. No window, no OpenGL.

datasets/   posed photos -> Scene                 methods/  what trains and renders (SVRaster, ...)
octree.py   the adaptive voxel structure          render/   public ops: validate, pick a backend, differentiate
worker.py   the one thread that owns the model    cpu/ cuda/ reference/  the same ops, three times
plenoxels/  the library of the Plenoxels document, whose names can be had from here: `engine.PlenoxelModel`
svraster_one/  that of the SVRaster One documents, likewise: `engine.SVRasterOne`
inf_nerf/  that of the InfNeRF document: `engine.InfNeRF`
"""

from __future__ import annotations

from typing import Any

from engine.caches import use_kernel_cache

use_kernel_cache()

# What `engine.plenoxels` exports; here once more, because listing it must not import it.
PLENOXELS = (
    "CUDABatchTrainer CUDAOptimizedPlenoxels CUDAProfiler CUDASphericalHarmonics Intersections PlenoxelConfig "
    "PlenoxelDatasetConfig PlenoxelLoss PlenoxelModel PlenoxelTrainer PlenoxelTrainerConfig PlenoxelsCUDARenderer "
    "PlenoxelsConfig compute_sh_basis compute_voxel_occupancy_stats create_plenoxel_trainer create_voxel_grid "
    "evaluate_sh generate_rays intersect_rays_voxels optimize_cuda_memory prune_voxel_grid sample_points_along_rays "
    "sample_voxel_grid trilinear_interpolate volume_render"
).split()

# What `engine.svraster_one` exports.
SVRASTER_ONE = (
    "CombinedLoss DifferentiableVoxelRasterizer MemoryManager MortonCode PerformanceProfiler RenderingConfig "
    "SVRasterOne SVRasterOneConfig SVRasterOneLoss SVRasterOneTrainer SceneDataset SparseVoxelGrid TrainingConfig "
    "VoxelConfig multi_scale_gradient_loss switch_to_inference_mode switch_to_training_mode"
).split()

# What `engine.inf_nerf` exports.
INF_NERF = (
    "CustomFields HashFields InfNeRF InfNeRFConfig InfNeRFRenderer InfNeRFRendererConfig InfNeRFTrainer "
    "InfNeRFTrainerConfig OctreeNode PyramidRays VolumeRenderer VolumeRendererConfig build_octree fly_through orbit "
    "render_demo_images spiral zoom_out"
).split()


def __getattr__(name: str) -> Any:
    """Import a library of the documents when one of its names is first asked for."""
    if name in PLENOXELS:
        from engine import plenoxels

        return getattr(plenoxels, name)
    if name in SVRASTER_ONE:
        from engine import svraster_one

        return getattr(svraster_one, name)
    if name in INF_NERF:
        from engine import inf_nerf

        return getattr(inf_nerf, name)
    raise AttributeError(f"module 'engine' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *PLENOXELS, *SVRASTER_ONE, *INF_NERF]
