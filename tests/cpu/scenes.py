# SPDX-License-Identifier: MIT
"""Small octrees, fields and cameras for the tests of the CPU rasteriser, and views that are hard for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from engine.cameras import Camera, look_at
from engine.octree import Octree

UP = np.array([0.0, -1.0, 0.0])


def camera_at(
    position: tuple, target: tuple = (0, 0, 0), size: tuple = (37, 29), fov: float = 0.8, **changes: object
) -> Camera:
    """Return a camera at `position` that looks at `target`; `changes` replace its fields."""
    pose = look_at(np.array(position, dtype=float), np.array(target, dtype=float), UP)
    return replace(Camera.from_fov(*size, fov, pose), **changes)


def mixed_octree(seed: int = 0, outside_levels: int = 0) -> Octree:
    """Return some 200 leaves of two levels (more with shells around the cube), some missing."""
    octree, rng = Octree.dense(2, outside_levels), np.random.default_rng(seed)
    octree, _ = octree.subdivide(rng.random(len(octree)) < 0.3)
    return octree.keep(rng.random(len(octree)) < 0.7)[0]


def deep_octree(seed: int = 0, leaves: int = 1500) -> Octree:
    """Return more than `leaves` leaves of up to six levels, some missing: several chunks."""
    octree, rng = Octree.dense(2), np.random.default_rng(seed)
    while len(octree) < leaves:
        octree, _ = octree.subdivide(rng.random(len(octree)) < 0.25)
    return octree.keep(rng.random(len(octree)) < 0.9)[0]


def one_voxel() -> Octree:
    """Return the voxel [0,0.5]^3."""
    return Octree.from_leaves([7 << 45], [1])


def empty_octree() -> Octree:
    """Return an octree without leaves."""
    return Octree.from_leaves([], [])


def field_of(
    octree: Octree, eight: bool = False, seed: int = 0, low: float = -8.0, high: float = -1.0
) -> tuple[Tensor, Tensor]:
    """Return float64 densities [G], exactly representable in float32, and colours [V,3], or [V,8,3] with `eight`.

    Both precisions then start from the same numbers, and the difference is the kernels' alone.
    """
    rng = np.random.default_rng(seed)
    densities = rng.uniform(low, high, octree.n_points).astype(np.float32)
    colours = rng.random((len(octree), 8, 3) if eight else (len(octree), 3)).astype(np.float32)
    return torch.from_numpy(densities).double(), torch.from_numpy(colours).double()


VIEWS = {
    "outside": camera_at((0.9, -0.7, -1.4), fx=47.0, fy=35.0, cx=15.2, cy=17.9),
    "inside a voxel": camera_at((0.11, 0.07, -0.13), (0.4, 0.1, 0.3), fov=1.6),
    "on a node plane": camera_at((0.0, 0.25, -0.3), (0.2, 0.0, 0.3), fov=1.2),
    "along an axis": camera_at((0.1, 0.06, -1.3), (0.1, 0.06, 0.0), size=(33, 21)),
    "within a face": camera_at((0.125, 0.25, -1.3), (0.125, 0.25, 0.0), size=(33, 21)),
    "orthographic": camera_at((0.6, -0.5, -1.4), fx=24.0, fy=21.0, orthographic=True),
    "orthographic from within": camera_at(
        (0.1, 0.05, 0.0), (0.3, 0.1, 1.0), fx=30.0, fy=30.0, orthographic=True
    ),
    "near plane cuts": camera_at((0.1, 0.1, -0.502), (0.15, 0.1, 0.0), fov=1.7),
}
