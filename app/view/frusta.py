# SPDX-License-Identifier: MIT
"""Lines drawn over the scene: capture cameras (and which one the cursor means), boxes, axes, wireframe.

Segments are [n,2,3] float32 in the world (engine units).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.cameras import Camera

LINES_PER_FRUSTUM = 8
_CORNERS = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=np.float32)
_EDGES = np.array(
    [(0, 1), (2, 3), (4, 5), (6, 7), (0, 2), (1, 3), (4, 6), (5, 7), (0, 4), (1, 5), (2, 6), (3, 7)]
)  # pairs of corners that differ in one bit: along z, y, x
AXIS_COLOURS = np.array([[0.93, 0.33, 0.31], [0.49, 0.78, 0.33], [0.33, 0.56, 0.95]], dtype=np.float32)


def frustum_segments(cameras: Sequence[Camera], size: float) -> np.ndarray:
    """Return pyramids [8 n,2,3] of cameras, `size` deep: four lines from the eye, then the picture's edge."""
    if not cameras:
        return np.zeros((0, 2, 3), dtype=np.float32)
    apex, corners = _pyramids(cameras, size)
    spokes = np.stack([np.broadcast_to(apex[:, None], corners.shape), corners], axis=2)
    rim = np.stack([corners, np.roll(corners, -1, axis=1)], axis=2)
    return np.concatenate([spokes, rim], axis=1).reshape(-1, 2, 3).astype(np.float32)


def _pyramids(cameras: Sequence[Camera], size: float) -> tuple[np.ndarray, np.ndarray]:
    """Return eyes [n,3] and the corners [n,4,3] of the pictures at depth `size`, clockwise from top left."""
    poses = np.array([camera.world_from_cam for camera in cameras])
    lens = np.array([[c.fx, c.fy, c.cx, c.cy, c.width, c.height] for c in cameras])
    fx, fy, cx, cy, w, h = (column[:, None] for column in lens.T)
    x = (w * [0.0, 1.0, 1.0, 0.0] - cx) / fx
    y = (h * [0.0, 0.0, 1.0, 1.0] - cy) / fy
    local = size * np.stack([x, y, np.ones_like(x)], axis=-1)
    corners = local @ poses[:, :3, :3].transpose(0, 2, 1) + poses[:, None, :3, 3]
    return poses[:, :3, 3], corners


def pick_camera(
    cameras: Sequence[Camera], size: float, view: Camera, x: float, y: float, radius_px: float = 14.0
) -> int | None:
    """Return the index of the camera whose eye or picture centre is drawn nearest to the cursor, or None.

    `view` is the viewport's camera, (x, y) the cursor in its pixels. What is behind `view`, or the camera it
    sits in, does not count. Of those within 2 pixels of the best, the one in front wins.
    """
    if not cameras:
        return None
    apex, corners = _pyramids(cameras, size)
    pixels, depth = view.project(np.concatenate([apex, corners.mean(axis=1)]))
    distance = np.hypot(pixels[:, 0] - x, pixels[:, 1] - y)
    distance[depth < 0.05 * size] = np.inf
    inside = np.linalg.norm(apex - view.position, axis=1) < 0.05 * size
    distance[np.tile(inside, 2)] = np.inf
    nearest = distance.min()
    if nearest > radius_px:
        return None
    candidates = np.flatnonzero(distance <= nearest + 2.0)
    return int(candidates[np.argmin(depth[candidates])] % len(cameras))


def box_segments(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return the 12 edges [12,2,3] of an axis-aligned box between two corners [3]."""
    low, high = np.asarray(low, dtype=np.float32), np.asarray(high, dtype=np.float32)
    return (low + _CORNERS * (high - low))[_EDGES]


def axes_segments(origin: np.ndarray, length: float) -> np.ndarray:
    """Return the x, y and z axes [3,2,3] from a point [3]; their colours are `AXIS_COLOURS [3,3]`."""
    origin = np.asarray(origin, dtype=np.float32)
    ends = origin + np.float32(length) * np.eye(3, dtype=np.float32)
    return np.stack([np.broadcast_to(origin, (3, 3)), ends], axis=1)


def wireframe_segments(boxes: np.ndarray) -> np.ndarray:
    """Return the edges [12 n,2,3] of cubes [n,4] (centre x y z, edge length), box after box."""
    boxes = np.asarray(boxes, dtype=np.float32).reshape(-1, 4)
    corners = boxes[:, None, :3] + boxes[:, None, 3:] * (_CORNERS - 0.5)
    return corners[:, _EDGES].reshape(-1, 2, 3)
