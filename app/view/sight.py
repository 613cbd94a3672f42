# SPDX-License-Identifier: MIT
"""What a pixel of a camera says about the world: its line of sight, and where that meets lines and planes."""

from __future__ import annotations

import numpy as np

from engine.cameras import Camera

LEAST_ACROSS = 0.05  # sine between a line and the line of sight: below, a pixel would be the whole room


def sight(camera: Camera, x: float, y: float) -> tuple[np.ndarray, np.ndarray]:
    """Return where the line of sight of a pixel begins [3], and its direction [3], unit length."""
    local = np.array([(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy, 1.0])
    rotation = camera.world_from_cam[:3, :3]
    if camera.orthographic:
        return camera.position + rotation @ [local[0], local[1], 0.0], camera.forward
    direction = rotation @ local
    return camera.position, direction / np.linalg.norm(direction)


def along_line(origin: np.ndarray, direction: np.ndarray, camera: Camera, x: float, y: float) -> float | None:
    """Return how far along a line (unit `direction [3]`) the line of sight of a pixel passes closest; None if they align."""
    eye, towards = sight(camera, x, y)
    cosine = float(direction @ towards)
    if 1.0 - cosine**2 < LEAST_ACROSS**2:
        return None
    to_eye = eye - origin
    return float((to_eye @ direction - cosine * (to_eye @ towards)) / (1.0 - cosine**2))


def across(point: np.ndarray, camera: Camera, dx: float, dy: float) -> np.ndarray:
    """Return how far [3] a point moves that follows the mouse by (dx, dy) pixels, as deep in the picture as before."""
    _, depth = camera.project(point[None])
    step = np.array([dx / camera.fx, dy / camera.fy, 0.0]) * (1.0 if camera.orthographic else depth[0])
    return camera.world_from_cam[:3, :3] @ step


def distances_px(camera: Camera, segments: np.ndarray, x: float, y: float) -> np.ndarray:
    """Return how many pixels [n] away from (x, y) segments [n,2,3] are drawn; those behind the camera are nowhere."""
    pixels, depth = camera.project(segments.reshape(-1, 3))
    a, b = pixels.reshape(-1, 2, 2).transpose(1, 0, 2)
    line, to = b - a, np.array([x, y]) - a
    square = np.maximum((line**2).sum(axis=1), 1e-12)
    share = np.clip((line * to).sum(axis=1) / square, 0.0, 1.0)
    distances = np.linalg.norm(to - share[:, None] * line, axis=1)
    return np.where(depth.reshape(-1, 2).min(axis=1) > 0.0, distances, np.inf)


def on_plane(
    origin: np.ndarray, normal: np.ndarray, camera: Camera, x: float, y: float, least: float = 0.2
) -> np.ndarray | None:
    """Return where [3] the line of sight of a pixel meets a plane; None if it is nearly edge-on or behind."""
    eye, towards = sight(camera, x, y)
    cosine = float(normal @ towards)
    if abs(cosine) < least:
        return None
    far = float((origin - eye) @ normal) / cosine
    return eye + far * towards if far > 0.0 or camera.orthographic else None
