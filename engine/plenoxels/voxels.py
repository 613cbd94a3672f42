# SPDX-License-Identifier: MIT
"""Regular grids of voxels: making one, dropping its empty part, counting. Axes are X, Y, Z throughout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from engine.plenoxels.settings import PlenoxelConfig
from engine.shapes import check_shapes


def create_voxel_grid(
    resolution: Sequence[int], scene_bounds: Sequence[float], device: torch.device | str = "cpu"
) -> dict[str, Any]:
    """Return a dense grid: `centers [X,Y,Z,3]`, `voxel_size [3]`, `bounds [2,3]`, `resolution`, `links [X,Y,Z]` int32.

    `scene_bounds` are x y z of the lowest, then of the highest corner. Voxel i of an axis has its centre half a voxel
    behind the i-th wall. Raises OptionError for sides below 2 and bounds without an inside.
    """
    checked = PlenoxelConfig(grid_resolution=resolution, scene_bounds=scene_bounds)
    sides = torch.tensor(checked.grid_resolution, device=device)
    bounds = torch.tensor(checked.scene_bounds, device=device).reshape(2, 3)
    size = (bounds[1] - bounds[0]) / sides
    axes = [bounds[0, a] + (torch.arange(sides[a], device=device) + 0.5) * size[a] for a in range(3)]
    count = int(sides.prod())
    return {
        "centers": torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1),
        "voxel_size": size,
        "bounds": bounds,
        "resolution": checked.grid_resolution,
        "links": torch.arange(count, dtype=torch.int32, device=device).reshape(checked.grid_resolution),
    }


def occupied_voxels(density_grid: Tensor, threshold: float = 0.0, dilation: int = 1) -> Tensor:
    """Return bool [X,Y,Z]: voxels denser than a threshold, and those within `dilation` voxels of one.

    Between an occupied and an empty voxel density fades over a voxel, so its neighbours have to stay for the picture to.
    """
    mask = (density_grid > threshold).float()[None, None]
    for _ in range(dilation):
        mask = torch.nn.functional.max_pool3d(mask, 3, stride=1, padding=1)
    return mask[0, 0] > 0.0


def prune_voxel_grid(
    voxel_grid: dict[str, Any],
    density_grid: Tensor,  # [X,Y,Z]
    threshold: float = 0.01,
    dilation: int = 1,
) -> tuple[dict[str, Any], Tensor]:
    """Return the grid without the voxels of low density, and the voxels that are kept [X,Y,Z] bool.

    `links` number the voxels that are kept in row-major order and are -1 elsewhere; what was empty stays empty.
    """
    check_shapes(
        "prune_voxel_grid", density_grid=(density_grid, "X Y Z"), links=(voxel_grid["links"], "X Y Z")
    )
    keep = occupied_voxels(density_grid, threshold, dilation) & (voxel_grid["links"] >= 0)
    return {**voxel_grid, "links": numbered(keep)}, keep


def numbered(keep: Tensor) -> Tensor:
    """Return links int32: the voxels of a mask in row-major order, -1 elsewhere."""
    rows = torch.cumsum(keep.reshape(-1), dim=0, dtype=torch.int32).reshape(keep.shape) - 1
    return torch.where(keep, rows, torch.full_like(rows, -1))


def compute_voxel_occupancy_stats(density_grid: Tensor, threshold: float = 0.0) -> dict[str, float]:
    """Return `occupied_voxels` and `total_voxels`, `sparsity_ratio` = empty / total, and the mean and highest density.

    A voxel is occupied if its density is above the threshold. `mean_density` is that of occupied voxels, 0 without any.
    """
    density_grid = torch.as_tensor(density_grid)
    total, dense = density_grid.numel(), density_grid[density_grid > threshold]
    return {
        "occupied_voxels": dense.numel(),
        "total_voxels": total,
        "sparsity_ratio": 1.0 - dense.numel() / max(total, 1),
        "mean_density": float(dense.float().mean()) if dense.numel() else 0.0,
        "max_density": float(density_grid.max()) if total else 0.0,
    }
