# SPDX-License-Identifier: MIT
"""A toy scene for the library's trainer: three coloured boxes on white, seen from all around, 20 + 4 views of 48 x 48."""

from __future__ import annotations

import numpy as np

from engine.cameras import Camera, look_at
from engine.datasets.scene import ImageSource, Scene, Split, View

SIZE = 48
BOXES = (  # centre, half edge, colour
    ((-0.15, 0.0, -0.1), 0.14, (0.9, 0.2, 0.1)),
    ((0.2, 0.1, 0.0), 0.12, (0.1, 0.7, 0.3)),
    ((0.0, -0.2, 0.15), 0.1, (0.2, 0.3, 0.9)),
)


class Pictures(ImageSource):
    """Pictures of the boxes, ray by ray, four rays a pixel."""

    def __init__(self, cameras: list[Camera]) -> None:
        self._pictures = [picture_of(camera) for camera in cameras]

    def load(self, index: int) -> np.ndarray:
        return self._pictures[index].copy()

    def nbytes(self) -> int:
        return 0


def picture_of(camera: Camera) -> np.ndarray:
    """Return what a camera sees of the boxes, [H,W,3] float32."""
    o, d = camera.scaled(2.0).rays()
    nearest, rgb = np.full(o.shape[:2], np.inf), np.ones(o.shape)
    for centre, half, colour in BOXES:
        walls = np.stack([(np.array(centre) - half - o) / d, (np.array(centre) + half - o) / d])
        enter, leave = walls.min(axis=0).max(axis=-1), walls.max(axis=0).min(axis=-1)
        front = (enter < leave) & (enter > 0.0) & (enter < nearest)
        nearest, rgb = np.where(front, enter, nearest), np.where(front[..., None], colour, rgb)
    height, width = camera.height, camera.width
    return rgb.reshape(height, 2, width, 2, 3).mean(axis=(1, 3)).astype(np.float32)


def toy_scene() -> Scene:
    """Return the scene."""
    cameras = []
    for i in range(24):
        turn, height = 2.4 * i, -0.8 + 1.6 * (i + 0.5) / 24
        around = np.sqrt(1.0 - height * height)
        place = 1.6 * np.array([around * np.cos(turn), around * np.sin(turn), height])
        pose = look_at(place, np.zeros(3), np.array([0.0, 0.0, 1.0]))
        cameras.append(Camera.from_fov(SIZE, SIZE, 0.6, pose))
    held_out, seen = cameras[3::6], [c for i, c in enumerate(cameras) if i % 6 != 3]

    def split(chosen: list[Camera]) -> Split:
        return Split(tuple(View(f"{i}.png", c) for i, c in enumerate(chosen)), Pictures(chosen))

    return Scene(
        "boxes", "boxes", "toy", split(seen), split(held_out), "white", 0, np.eye(4), np.array([0.0, 0, 1])
    )
