# SPDX-License-Identifier: MIT
"""A toy scene: three coloured boxes on white, seen from all around."""

from __future__ import annotations

import numpy as np

from engine.cameras import Camera, look_at
from engine.datasets.scene import ImageSource, Scene, Split, View

# Centre, half edges, colour.
BOXES = (
    ((0.1, 0.0, -0.05), (0.15, 0.12, 0.2), (0.9, 0.2, 0.1)),
    ((-0.2, 0.1, 0.0), (0.1, 0.1, 0.1), (0.1, 0.3, 0.8)),
    ((-0.05, -0.22, 0.1), (0.08, 0.08, 0.12), (0.2, 0.7, 0.3)),
)
RAYS = 3  # per pixel side: photos have soft edges
_SHADE = np.array([0.8, 0.9, 1.0])  # of faces across x, y and z


class Pictures(ImageSource):
    """An image source over arrays."""

    def __init__(self, images: list[np.ndarray], masks: list[np.ndarray] | None = None) -> None:
        self.images, self.masks = images, masks

    def load(self, index: int) -> np.ndarray:
        return self.images[index]

    def load_mask(self, index: int) -> np.ndarray | None:
        return None if self.masks is None else self.masks[index]

    def nbytes(self) -> int:
        return sum(image.nbytes for image in self.images)


def sky(d: np.ndarray) -> np.ndarray:
    """Return the colours [...,3] of what is far away in directions d [...,3]."""
    return 0.5 + 0.4 * np.stack([d[..., 0], d[..., 1], d[..., 2] * d[..., 0]], axis=-1)


def picture(camera: Camera, outdoors: bool = False) -> np.ndarray:
    """Ray-cast the boxes, on white or under a sky."""
    fine = camera.scaled(RAYS)
    origins, directions = fine.rays()
    image, nearest = np.ones((*origins.shape[:2], 3)), np.full(origins.shape[:2], np.inf)
    image = sky(directions) if outdoors else image
    for centre, half, colour in BOXES:
        with np.errstate(divide="ignore"):
            a, b = ((np.asarray(centre) + sign * np.asarray(half) - origins) / directions for sign in (-1, 1))
        enter, leave = np.minimum(a, b), np.maximum(a, b).min(axis=-1)
        t, face = enter.max(axis=-1), enter.argmax(axis=-1)
        hit = (t < leave) & (t > 0.0) & (t < nearest)
        image = np.where(hit[..., None], np.asarray(colour) * _SHADE[face][..., None], image)
        nearest = np.where(hit, t, nearest)
    blocks = image.reshape(camera.height, RAYS, camera.width, RAYS, 3)
    return blocks.mean(axis=(1, 3)).astype(np.float32)


def boxes_scene(size: int = 64, n_train: int = 20, n_test: int = 4, outdoors: bool = False) -> Scene:
    """Return photos of the boxes, on white or under a sky."""

    def views(n: int, shift: float) -> tuple[View, ...]:
        made = []
        for k in range(n):
            angle, height = 2 * np.pi * (k + shift) / n, 0.5 + 0.5 * np.sin(2.4 * k + shift)
            eye = np.array([1.2 * np.cos(angle), 1.2 * np.sin(angle), height])
            pose = look_at(eye, np.zeros(3), np.array([0.0, 0.0, 1.0]))
            made.append(View(f"{k}.png", Camera.from_fov(size, size, 0.7, pose)))
        return tuple(made)

    train, test = views(n_train, 0.0), views(n_test, 0.37)
    splits = [Split(v, Pictures([picture(view.camera, outdoors) for view in v])) for v in (train, test)]
    behind, levels = ("learned", 3) if outdoors else ("white", 0)
    return Scene("boxes", "", "test", *splits, behind, levels, np.eye(4), np.array([0.0, 0.0, 1.0]))
