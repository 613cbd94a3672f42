# SPDX-License-Identifier: MIT
"""A view of the grid by marching every pixel's ray, exactly as training does."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engine.cameras import Camera
from engine.cpu.crew import crew
from engine.cpu.lists import Workspace
from engine.cpu.march import Marched, march
from engine.methods.common import Buffers
from engine.methods.plenoxels.space import Cube
from engine.methods.plenoxels.view import level_of
from engine.voxel_grid import Grid, MarchOptions

_CLEAR = 0.999  # where more light than this is left, there is nothing to have a depth
_SOME = 1e-6  # opacity above which there is something to have a level


def march_view(
    grid: Grid,
    space: Cube,
    camera: Camera,
    options: MarchOptions,
    background: np.ndarray,  # [3]
    want: frozenset[str],
    room: Workspace,
    march: Callable[..., Marched] = march,
) -> Buffers:
    """Return a view with the fields that are wanted. Normals are those of the surface that the mean depth makes."""
    shape = camera.height, camera.width
    world_o, world_d = (rays.reshape(-1, 3) for rays in camera.rays())
    rays_o, rays_d = space.rays(world_o, world_d)
    seen = march(grid, rays_o, rays_d, options, crew(), room)
    trans = np.exp(seen.log_trans)
    rgb = seen.rgb + trans[:, None] * background.astype(np.float32)
    rgb, trans = rgb.reshape(*shape, 3), trans.reshape(shape)
    fields: dict[str, np.ndarray] = {}
    if want & {"depth_z", "depth_median", "normal"}:
        t = seen.depth / np.maximum(1.0 - trans.reshape(-1), 1e-6)
        points = space.along(world_o, world_d, t)
        depth = np.where(trans.reshape(-1) < _CLEAR, (points - camera.position) @ camera.forward, 0.0)
        fields["depth_z"] = fields["depth_median"] = (
            np.nan_to_num(depth, nan=0.0).astype(np.float32).reshape(shape)
        )
        fields["normal"] = normals(points.reshape(*shape, 3), world_d.reshape(*shape, 3), trans)
    fields["count"] = seen.live.reshape(shape)
    something = (trans < 1.0 - _SOME).astype(np.float32)
    fields["level"] = something * np.float32(level_of(grid))
    fields["size"] = something / np.float32(grid.scale.mean())
    fields["soft"] = rgb
    return Buffers(rgb, trans, **{name: fields[name] for name in want if name in fields})


def normals(points: np.ndarray, towards: np.ndarray, trans: np.ndarray) -> np.ndarray:
    """Return normals [H,W,3] of a surface given by the point of each pixel, against the rays; 0 where there is none."""
    if min(points.shape[:2]) < 2:
        return np.zeros(points.shape, np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        normal = np.cross(np.gradient(points, axis=0), np.gradient(points, axis=1))
        length = np.linalg.norm(normal, axis=-1, keepdims=True)
        normal = normal / np.maximum(length, 1e-30)
        normal = np.where((normal * towards).sum(axis=-1, keepdims=True) > 0.0, -normal, normal)
    there = (trans[..., None] < _CLEAR) & np.isfinite(normal).all(axis=-1, keepdims=True)
    return np.where(there, normal, 0.0).astype(np.float32)
