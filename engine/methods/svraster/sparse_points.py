# SPDX-License-Identifier: MIT
"""What a capture's sparse points are good for: finer voxels where they lie at the start, and depth to be matched."""

from __future__ import annotations

import numpy as np

from engine.cameras import Camera
from engine.constants import SH_C0
from engine.datasets.scene import Points, Scene
from engine.octree import Octree

_LEAST_POINTS = 2  # a single point may be a stray one
_DENSER = 4.0  # raw density added where points lie: from faint to half opaque across a voxel of the start
_SHAKY_PX = 2.0  # points with a reprojection error above this do not say how far anything is
_KNEE = 0.1  # relative depth errors count square below this and linearly above
_LEAST_OPACITY = 0.05  # pixels more transparent than this have no depth to correct


def refined_around(octree: Octree, xyz: np.ndarray, levels: int) -> Octree:
    """Return the octree with leaves that hold points [P,3] split, `levels` times."""
    for _ in range(levels):
        octree, _ = octree.subdivide(_points_per_leaf(octree, xyz) >= _LEAST_POINTS)
    return octree


def put_points(octree: Octree, points: Points, density: np.ndarray, sh: np.ndarray) -> None:
    """Make the leaves that hold points denser, and give them the points' mean colour, in place.

    `density [G]`, `sh` grouped as in `engine.cpu.shade`.
    """
    leaf = octree.find(points.xyz)
    inside = leaf >= 0
    count = np.bincount(leaf[inside], minlength=len(octree))
    held = np.flatnonzero(count >= _LEAST_POINTS)
    density[np.unique(octree.corner_idx[held])] += np.float32(_DENSER)
    for channel in range(3):
        values = points.rgb[inside, channel] / 255.0
        total = np.bincount(leaf[inside], weights=values, minlength=len(octree))
        sh[held >> 4, channel, held & 15] = (total[held] / count[held] - 0.5) / SH_C0


def _points_per_leaf(octree: Octree, xyz: np.ndarray) -> np.ndarray:
    leaf = octree.find(xyz)
    return np.bincount(leaf[leaf >= 0], minlength=len(octree))


class PointDepths:
    """The sparse points that each training view saw: `of(view)` is [n,3]: x / z, y / z and z in its camera."""

    def __init__(self, scene: Scene) -> None:
        self._views = [np.zeros((0, 3))] * len(scene.train)
        points = scene.points
        if points is None or not len(points.seen_by):
            return
        point_of = np.repeat(np.arange(len(points)), np.diff(points.seen_start))
        sure = points.error_px[point_of] <= _SHAKY_PX
        for view in range(len(scene.train)):
            seen = point_of[(points.seen_by == view) & sure]
            pose = scene.train.views[view].camera.world_from_cam
            local = (points.xyz[seen] - pose[:3, 3]) @ pose[:3, :3]
            local = local[local[:, 2] > 0.0]
            self._views[view] = np.column_stack([local[:, :2] / local[:, 2:], local[:, 2]])

    def of(self, view: int) -> np.ndarray:
        """Return [n,3] float64 of a view."""
        return self._views[view]


def depth_term(
    trans: np.ndarray,  # [H,W]
    depth: np.ndarray,  # [H,W] weight times z-depth, summed along the ray
    camera: Camera,  # of these pixels
    seen: np.ndarray,  # [n,3] as in PointDepths
    weight: float,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the gradients [H,W] in trans and in depth, and weight * the mean over points of h((d - z) / z).

    d = depth / (1 - trans) at the pixel that holds the point; h(e) = e^2 up to `_KNEE`, linear beyond.
    """
    v_trans, v_depth = np.zeros_like(trans), np.zeros_like(depth)
    column = np.floor(seen[:, 0] * camera.fx + camera.cx).astype(np.int64)
    row = np.floor(seen[:, 1] * camera.fy + camera.cy).astype(np.int64)
    on = (column >= 0) & (column < trans.shape[1]) & (row >= 0) & (row < trans.shape[0])
    column, row, z = column[on], row[on], seen[on, 2]
    opacity = 1.0 - trans[row, column].astype(np.float64)
    on = opacity > _LEAST_OPACITY
    column, row, z, opacity = column[on], row[on], z[on], opacity[on]
    if not len(z):
        return v_trans, v_depth, 0.0
    d = depth[row, column] / opacity
    error = d / z - 1.0
    size = np.abs(error)
    loss = np.where(size < _KNEE, error**2, _KNEE * (2.0 * size - _KNEE))
    slope = np.where(size < _KNEE, 2.0 * error, 2.0 * _KNEE * np.sign(error)) * (weight / len(z)) / z
    np.add.at(v_depth, (row, column), slope / opacity)
    np.add.at(v_trans, (row, column), slope * d / opacity)
    return v_trans, v_depth, float(weight * loss.mean())
