# SPDX-License-Identifier: MIT
"""A small model with something in it, and a view of it."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.svraster_one import SVRasterOne, SVRasterOneConfig


def small_config(**rendering: object) -> SVRasterOneConfig:
    """Return settings of a cube 4 x 4 x 4 voxels to begin with, 32 at most, 2.56 wide, seen in 32 x 24 pixels."""
    config = SVRasterOneConfig()
    config.voxel.grid_resolution, config.voxel.voxel_size = 32, 0.08
    config.voxel.initial_level, config.voxel.sh_degree = 2, 1
    config.voxel.max_voxels = 2_000
    config.rendering.image_width, config.rendering.image_height = 32, 24
    config.rendering.sigma = 0.5
    config.training.batch_size = 0
    config.training.use_amp = False
    for name, value in rendering.items():
        setattr(config.rendering, name, value)
    return config


def small_model(**rendering: object) -> SVRasterOne:
    """Return a model of random densities, some see-through and some not, and random colours."""
    model = SVRasterOne(small_config(**rendering))
    generator = torch.Generator().manual_seed(3)
    grid = model.voxel_grid
    with torch.no_grad():
        grid.densities.copy_(-4.0 + 2.0 * torch.randn(grid.densities.shape, generator=generator))
        grid.sh.copy_(0.5 * torch.randn(grid.sh.shape, generator=generator))
    return model


def view(model: SVRasterOne) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Return (camera_matrix, intrinsics, target data) of a camera outside the cube, a little turned."""
    turn = torch.linalg.matrix_exp(
        torch.tensor([[0.0, -0.1, 0.2], [0.1, 0.0, -0.15], [-0.2, 0.15, 0.0]], dtype=torch.float64)
    )
    camera_matrix = torch.eye(4, dtype=torch.float64)
    camera_matrix[:3, :3] = turn
    camera_matrix[:3, 3] = -3.6 * turn[:, 2] + torch.tensor([0.11, -0.07, 0.05])
    intrinsics = torch.tensor([[38.0, 0, 16.5], [0, 37.0, 11.5], [0, 0, 1]])
    height, width = model.size
    photo = torch.rand(height, width, 3, generator=torch.Generator().manual_seed(5))
    return camera_matrix.float(), intrinsics, {"rgb": photo}
