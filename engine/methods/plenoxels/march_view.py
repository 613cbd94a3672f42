# SPDX-License-Identifier: MIT
"""A view of the grid by marching every pixel's ray, exactly as training does."""

from __future__ import annotations

import numpy as np

from engine.cameras import Camera
from engine.cpu.crew import crew
from engine.cpu.lists import Workspace
from engine.cpu.march import march
from engine.methods.common import Buffers
from engine.methods.plenoxels.space import Cube
from engine.voxel_grid import Grid, MarchOptions

_CLEAR = 0.999  # where more light than this is left, there is nothing to have a depth


def march_view(
    grid: Grid,
    space: Cube,
    camera: Camera,
    options: MarchOptions,
    background: np.ndarray,  # [3]
    want: frozenset[str],
    room: Workspace,
) -> Buffers:
    """Return colour, what is left of the light, and the mean depth if it is wanted."""
    shape = camera.height, camera.width
    world_o, world_d = (rays.reshape(-1, 3) for rays in camera.rays())
    rays_o, rays_d = space.rays(world_o, world_d)
    seen = march(grid, rays_o, rays_d, options, crew(), room)
    trans = np.exp(seen.log_trans)
    rgb = seen.rgb + trans[:, None] * background.astype(np.float32)
    depth_z = None
    if "depth_z" in want:
        t = seen.depth / np.maximum(1.0 - trans, 1e-6)
        local = space.along(world_o, world_d, t) - camera.position
        depth = np.where(trans < _CLEAR, local @ camera.forward, 0.0)
        depth_z = np.nan_to_num(depth, nan=0.0).astype(np.float32).reshape(shape)
    return Buffers(rgb.reshape(*shape, 3), trans.reshape(shape), depth_z)
