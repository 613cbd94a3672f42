# SPDX-License-Identifier: MIT
"""Axes, units and the only sign flips of the project.

Engine cameras have OpenCV axes (x right, y down, z forward), a matrix `world_from_cam [4,4]`, pixel centres at +0.5 and
`fx fy cx cy` in pixels. `app/view` and GLSL use OpenGL axes (x right, y up, z backward). Loaders convert at the door.

World units are engine units: the foreground cube is [-0.5, 0.5]^3. `Scene.data_from_engine` is the similarity back to
the coordinates of the files. Colours are sRGB values in [0,1] as in the images, and blending happens in that space.
"""

from __future__ import annotations

import numpy as np

_FLIP_YZ = np.diag([1.0, -1.0, -1.0, 1.0])
# Columns: right is LLFF's second axis, down its first, forward the opposite of its third.
_OPENCV_OF_LLFF = np.array([[0.0, 1, 0, 0], [1, 0, 0, 0], [0, 0, -1, 0], [0, 0, 0, 1]])


def opencv_from_opengl(world_from_cam: np.ndarray) -> np.ndarray:
    """Return the pose [...,4,4] with OpenCV camera axes, given one with OpenGL camera axes. Its own inverse."""
    return np.asarray(world_from_cam, dtype=np.float64) @ _FLIP_YZ


def opengl_from_opencv(world_from_cam: np.ndarray) -> np.ndarray:
    """Return the pose [...,4,4] with OpenGL camera axes, given one with OpenCV camera axes. Its own inverse."""
    return opencv_from_opengl(world_from_cam)


def opencv_from_llff(world_from_cam: np.ndarray) -> np.ndarray:
    """Return the pose [...,4,4] with OpenCV camera axes, given one of LLFF's files: down, right, backwards."""
    return np.asarray(world_from_cam, dtype=np.float64) @ _OPENCV_OF_LLFF


def similarity(scale: float, offset: np.ndarray) -> np.ndarray:
    """Return the [4,4] map x -> scale * x + offset."""
    matrix = np.eye(4)
    matrix[:3, :3] *= scale
    matrix[:3, 3] = offset
    return matrix


def move_pose(target_from_source: np.ndarray, source_from_cam: np.ndarray) -> np.ndarray:
    """Return a camera pose [...,4,4] under a similarity, keeping its rotation orthonormal.

    The scale of `target_from_source [4,4]` moves the camera; it does not stretch its axes.
    """
    moved = target_from_source @ np.asarray(source_from_cam, dtype=np.float64)
    scale = np.cbrt(np.linalg.det(target_from_source[:3, :3]))
    moved[..., :3, :3] /= scale
    return moved
