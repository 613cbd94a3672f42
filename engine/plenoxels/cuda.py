# SPDX-License-Identifier: MIT
"""The second half of the document's names, as it imports them. All of it works without a card, too.

from engine.plenoxels.cuda import PlenoxelsCUDARenderer, volume_rendering_cuda
points, rays, distances = volume_rendering_cuda.sample_voxel_grid(...)
"""

from __future__ import annotations

from types import SimpleNamespace

from torch import Tensor

from engine.plenoxels import kernels
from engine.plenoxels.memory import (
    CUDABatchTrainer,
    create_memory_mapped_grid,
    optimize_cuda_memory,
    prune_voxels_cuda,
)
from engine.plenoxels.profiler import CUDAProfiler
from engine.plenoxels.renderer import CUDAOptimizedPlenoxels, PlenoxelsCUDARenderer
from engine.plenoxels.settings import PlenoxelsConfig
from engine.sh import n_coefficients

__all__ = [
    "CUDABatchTrainer",
    "CUDAOptimizedPlenoxels",
    "CUDAProfiler",
    "CUDASphericalHarmonics",
    "PlenoxelsCUDARenderer",
    "PlenoxelsConfig",
    "create_memory_mapped_grid",
    "cuda_available",
    "feature_interpolation_cuda",
    "optimize_cuda_memory",
    "prune_voxels_cuda",
    "ray_voxel_intersect_cuda",
    "spherical_harmonics_cuda",
    "volume_rendering_cuda",
]

volume_rendering_cuda = SimpleNamespace(sample_voxel_grid=kernels.sample_voxel_grid)
feature_interpolation_cuda = SimpleNamespace(trilinear_interpolate=kernels.trilinear_interpolate)
spherical_harmonics_cuda = SimpleNamespace(
    evaluate_sh=kernels.evaluate_sh, compute_sh_basis=kernels.compute_sh_basis
)
ray_voxel_intersect_cuda = SimpleNamespace(intersect_rays_voxels=kernels.intersect_rays_voxels)


def cuda_available() -> bool:
    """Say whether there is a card that torch can use."""
    import torch

    return torch.cuda.is_available()


class CUDASphericalHarmonics:
    """Spherical harmonics of one degree, on the device of what they are given."""

    def __init__(self, sh_degree: int = 3) -> None:
        self.sh_degree = sh_degree
        self.num_coeffs = n_coefficients(sh_degree)

    def evaluate_cuda(self, directions: Tensor, sh_coeffs: Tensor) -> Tensor:
        """Return colours [N,3] of coefficients [N,3,K] along unit directions [N,3]; see `evaluate_sh`."""
        return kernels.evaluate_sh(directions, sh_coeffs, self.sh_degree)

    def compute_sh_basis_cuda(self, directions: Tensor) -> Tensor:
        """Return the basis [N,K] at unit directions [N,3]."""
        return kernels.compute_sh_basis(directions, self.sh_degree)
