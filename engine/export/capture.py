# SPDX-License-Identifier: MIT
"""A scene without its photos, as plain data beside the voxels: where the photos are missing, voxels stand in for them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.cameras import Camera
from engine.datasets.scene import ImageSource, Scene, Split, View

if TYPE_CHECKING:
    from engine.export.voxel_set import VoxelSet

_NUMBERS = ("fx", "fy", "cx", "cy")
_BACKGROUNDS = ("white", "black", "learned")
_MOST_PIXELS = 1 << 26  # of a photo; more is no photo


def capture_of(scene: Scene) -> dict[str, Any]:
    """Return everything of a scene but its photos and points, JSON-able. Cameras are in engine units."""
    return {
        "name": scene.name,
        "kind": scene.kind,
        "background": scene.background,
        "outside_levels": scene.outside_levels,
        "data_from_engine": scene.data_from_engine.tolist(),
        "up": [float(v) for v in scene.up],
        "train": [_view(view) for view in scene.train.views],
        "test": [_view(view) for view in scene.test.views],
    }


def scene_of(capture: dict[str, Any], path: str, voxels: VoxelSet, warning: str) -> Scene:
    """Return the scene of `capture_of`; its photos are drawn of the voxels. ValueError and its like if it is damaged."""
    background, matrix = capture["background"], np.array(capture["data_from_engine"], dtype=np.float64)
    outside, up = int(capture["outside_levels"]), np.array(capture["up"], dtype=np.float64)
    if background not in _BACKGROUNDS or not 0 <= outside <= 12 or up.shape != (3,) or matrix.shape != (4, 4):
        raise ValueError("what it says of the capture is damaged")
    train, test = (_split(capture[name], voxels) for name in ("train", "test"))
    if not train.views or not np.isfinite(matrix).all():
        raise ValueError("it has no cameras")
    name, kind = str(capture["name"]), str(capture["kind"])
    return Scene(name, path, kind, train, test, background, outside, matrix, up, (warning,))


class DrawnPhotos(ImageSource):
    """The pictures of some cameras, drawn when they are asked for."""

    def __init__(self, cameras: Sequence[Camera], voxels: VoxelSet) -> None:
        self._cameras, self._voxels, self._lock = cameras, voxels, threading.Lock()

    def load(self, index: int) -> np.ndarray:
        """Return picture `index` [H,W,3]."""
        with self._lock:  # voxels are drawn by one thread at a time
            return np.clip(self._voxels.picture(self._cameras[index]).rgb, 0.0, 1.0)

    def nbytes(self) -> int:
        """Return 0: none is kept."""
        return 0


def _view(view: View) -> list[Any]:
    camera = view.camera
    numbers = [float(getattr(camera, name)) for name in _NUMBERS]
    return [view.name, camera.width, camera.height, numbers, camera.world_from_cam[:3].reshape(-1).tolist()]


def _split(rows: list[Any], voxels: VoxelSet) -> Split:
    views = tuple(View(str(name)[:200], _camera(*rest)) for name, *rest in rows)
    return Split(views, DrawnPhotos([view.camera for view in views], voxels))


def _camera(width: Any, height: Any, numbers: Any, pose: Any) -> Camera:
    world_from_cam = np.eye(4)
    world_from_cam[:3] = np.array(pose, dtype=np.float64).reshape(3, 4)
    camera = Camera(int(width), int(height), *(float(number) for number in numbers), world_from_cam)
    good = camera.width > 0 and camera.height > 0 and camera.width * camera.height <= _MOST_PIXELS
    if not (good and np.isfinite(world_from_cam).all() and camera.fx > 0.0 and camera.fy > 0.0):
        raise ValueError("one of its cameras is none")
    return camera


def told_missing(path: str, why: Exception) -> str:
    """Return the sentence that says that photos cannot be read."""
    there = f"are not in {path}" if not Path(path).exists() else f"cannot be read ({str(why).rstrip('.')})"
    return f"Its photos {there}; the views show the voxels in their place, so nothing new can be learned."
