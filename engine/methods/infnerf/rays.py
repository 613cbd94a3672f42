# SPDX-License-Identifier: MIT
"""Rays of a camera as InfNeRF marches them, and where they meet the scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.cameras import Camera
from engine.node_tree import FOOTPRINT_RADIUS, NodeTree

# An orthographic camera's pixels are as wide at any depth. Its rays begin so many root edges further back, where a width
# that grows with depth is the same throughout the cube to 1.5 %.
_FAR_BACK = 32.0
_INSET = 1e-5


@dataclass(frozen=True)
class Rays:
    """Q rays in engine units: `rays_o`, `rays_d [Q,3]` float32, directions of length 1 along the camera's axis, so that t is
    z-depth plus `back`; `footprint [Q]` float32, a pixel's radius at t = 1. `mine`, where it is given, are the first of the rays
    that get samples here, and the one behind the last: other processes have the rest.
    """

    rays_o: np.ndarray
    rays_d: np.ndarray
    footprint: np.ndarray
    back: float = 0.0
    mine: tuple[int, int] | None = None

    def part(self, first: int, last: int) -> Rays:
        """Return some of the rays."""
        return Rays(self.rays_o[first:last], self.rays_d[first:last], self.footprint[first:last], self.back)


def footprint_of(camera: Camera) -> float:
    """Return the radius of a pixel at depth 1; of an orthographic camera, that at any depth."""
    return float(FOOTPRINT_RADIUS / np.sqrt(camera.fx * camera.fy))


def rays_of(camera: Camera, tree: NodeTree) -> Rays:
    """Return the rays of all pixels, row after row."""
    rays_o, rays_d = (rays.reshape(-1, 3) for rays in camera.rays())
    rays_d = rays_d / (rays_d @ camera.forward)[:, None]
    footprint, back = footprint_of(camera), 0.0
    if camera.orthographic:
        back = _FAR_BACK * 2.0 * tree.half
        rays_o = rays_o - back * camera.forward
        footprint /= back + float((tree.centre - camera.position) @ camera.forward)
    width = np.full(len(rays_o), footprint, dtype=np.float32)
    return Rays(rays_o.astype(np.float32), rays_d.astype(np.float32), width, back)


def near_and_far(
    rays_o: np.ndarray, rays_d: np.ndarray, tree: NodeTree, near: float, far: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the t float32 [Q] at which rays enter and leave the scene; one that misses it leaves where it enters.

    Without `far` the scene is the tree's cube; with it, whatever lies between the two.
    """
    if far is not None:
        return np.full(len(rays_o), near, np.float32), np.full(len(rays_o), far, np.float32)
    low, high = (tree.centre + side * tree.half for side in (-1.0, 1.0))
    # A direction of 0 along an axis never meets its walls: a tiny one meets them far enough away.
    safe = np.where(np.abs(rays_d) < 1e-12, np.float32(1e-12), rays_d)
    a, b = (low.astype(np.float32) - rays_o) / safe, (high.astype(np.float32) - rays_o) / safe
    # A little inside: rounding must leave nothing of the way outside.
    inset = np.float32(_INSET * tree.half)
    enter = np.maximum(np.minimum(a, b).max(axis=1) + inset, np.float32(near))
    return enter, np.maximum(np.maximum(a, b).min(axis=1) - inset, enter)
