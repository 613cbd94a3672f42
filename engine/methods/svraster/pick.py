# SPDX-License-Identifier: MIT
"""Which voxel a pixel shows most of: one ray through the octree, blended as the rasteriser does, in float64."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.cameras import Camera
from engine.constants import DENSITY_SCALE, EXP_LINEAR_KNEE, MAX_ALPHA, MIN_ALPHA, NEAR, STOP_TRANS
from engine.cpu.octree_walk import walk_ray
from engine.cpu.shade import GROUP
from engine.methods.common import PickedVoxel
from engine.methods.svraster import schedule
from engine.methods.svraster.voxel_values import values_of
from engine.region import Shown
from engine.sh import rgb_from_sh, view_directions

if TYPE_CHECKING:
    from engine.methods.svraster.model import SVRaster

MOST = 1 << 14  # voxels along a ray


def ray_of_pixel(camera: Camera, x: float, y: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Return origin [3], unit direction [3] and the length to the near plane of the ray through a place in the picture."""
    u, v, rotation = (x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy, camera.world_from_cam[:3, :3]
    if camera.orthographic:
        return camera.position + rotation @ np.array([u, v, 0.0]), np.array(camera.forward), NEAR
    direction = rotation @ np.array([u, v, 1.0])
    length = float(np.linalg.norm(direction))
    return np.array(camera.position, dtype=np.float64), direction / length, NEAR * length


def voxels_along(
    path: np.ndarray,
    level: np.ndarray,
    root_size: float,
    origin: np.ndarray,
    direction: np.ndarray,
    t_near: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the leaves int64 [n] that a ray crosses, nearest first, and where it enters and leaves them [n,2]."""
    voxels, spans = np.empty(MOST, dtype=np.int32), np.empty((MOST, 2))
    n = walk_ray(origin, direction, path, level, root_size, t_near, voxels, spans)
    return voxels[:n].astype(np.int64), spans[:n]


def weights_along(alpha: np.ndarray) -> np.ndarray:
    """Return the blending weights [n] of opacities along a ray, with the rasteriser's cuts."""
    alpha = np.where(alpha >= MIN_ALPHA, np.minimum(alpha, MAX_ALPHA), 0.0)
    before = np.concatenate([[1.0], np.cumprod(1.0 - alpha)[:-1]]) if len(alpha) else alpha
    return np.where(before >= STOP_TRANS, before * alpha, 0.0)


def exp_linear(raw: np.ndarray) -> np.ndarray:
    """Return the activation of raw densities."""
    below = np.exp(np.minimum(raw, EXP_LINEAR_KNEE) / EXP_LINEAR_KNEE - 1.0 + np.log(EXP_LINEAR_KNEE))
    return np.where(raw > EXP_LINEAR_KNEE, raw, below)


def trilinear(corners: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Return corner values [n,8] interpolated at places q [n,S,3] of their cells, each coordinate in 0..1: [n,S]."""
    sides = [np.stack([1.0 - q[..., axis], q[..., axis]], axis=-1) for axis in range(3)]
    weight = sides[0][..., :, None, None] * sides[1][..., None, :, None] * sides[2][..., None, None, :]
    return np.einsum("nsc,nc->ns", weight.reshape(*q.shape[:2], 8), corners)


def pick(model: SVRaster, camera: Camera, x: float, y: float, shown: Shown) -> PickedVoxel | None:
    """Return the voxel that weighs most in a pixel."""
    octree = model.octree
    origin, direction, t_near = ray_of_pixel(camera, x, y)
    found, spans = voxels_along(octree.path, octree.level, octree.root_size, origin, direction, t_near)
    drawn = shown.mask(octree.center[found], octree.level[found])
    found, spans = found[drawn], spans[drawn]
    if not len(found):
        return None
    samples = model.config.model.samples_per_voxel
    corners = model.here("density")[octree.corner_idx[found]].astype(np.float64)
    middles = spans[:, :1] + (np.arange(samples) + 0.5) / samples * (spans[:, 1:] - spans[:, :1])
    low = octree.center[found] - 0.5 * octree.size[found, None]
    places = origin + middles[..., None] * direction - low[:, None]
    raw = trilinear(corners, places / octree.size[found, None, None])
    depth = DENSITY_SCALE * exp_linear(raw).mean(axis=1) * (spans[:, 1] - spans[:, 0])
    alpha = -np.expm1(-depth)
    weight = weights_along(alpha)
    best = int(np.argmax(weight))
    if weight[best] <= 0.0:
        return None
    return _numbers(
        model, camera, int(found[best]), corners[best],
        float(alpha[best]), float(weight[best]), float(spans[best, 0]),
    )  # fmt: skip


def _numbers(
    model: SVRaster,
    camera: Camera,
    voxel: int,
    corners: np.ndarray,
    alpha: float,
    weight: float,
    depth: float,
) -> PickedVoxel:
    octree, degree = model.octree, schedule.sh_degree(model.active, model.step)
    sh = np.asarray(model.here("sh", voxel // GROUP))[:, voxel % GROUP].reshape(1, -1, 3).astype(np.float64)
    towards = view_directions(octree.center[voxel : voxel + 1], camera)
    seen = {name: values_of(model, name) for name in ("weight", "priority")}
    known = {name: None if values is None else float(values[voxel]) for name, values in seen.items()}
    return PickedVoxel(
        index=voxel,
        centre=tuple(octree.center[voxel].tolist()),
        edge=float(octree.size[voxel]),
        level=int(octree.level[voxel]),
        densities=tuple(corners.tolist()),
        density=float(DENSITY_SCALE * exp_linear(corners.mean())),
        colour_dc=tuple(rgb_from_sh(sh, towards, 0)[0].tolist()),
        colour=tuple(rgb_from_sh(sh, towards, degree)[0].tolist()),
        alpha=alpha,
        contribution=weight,
        depth=depth,
        age=int(model.step - model.born[voxel]),
        **known,
    )
