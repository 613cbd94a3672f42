# SPDX-License-Identifier: MIT
"""A toy scene: a square with a pattern finer than a pixel's width in coarse pictures, on white, seen from all above."""

from __future__ import annotations

import numpy as np

from engine.cameras import Camera, look_at
from engine.datasets.scene import Scene, Split, View
from tests.methods.plenoxels.boxes import Pictures

HALF = 0.4  # of the square's edge
HEIGHT = 0.11  # not where nodes meet
TILES = 40  # along it
RAYS = 4  # per pixel side: photos are averages


def colours() -> np.ndarray:
    """Return the tiles' colours [TILES,TILES,3]: dark or bright, by chance."""
    rng = np.random.default_rng(8)
    bright = rng.random((TILES, TILES, 1)) < 0.5
    return np.where(bright, [0.95, 0.9, 0.6], [0.1, 0.15, 0.35])


def picture(camera: Camera) -> np.ndarray:
    """Ray-cast the square."""
    fine = camera.scaled(RAYS)
    rays_o, rays_d = fine.rays()
    t = (HEIGHT - rays_o[..., 2]) / rays_d[..., 2]
    place = (rays_o + t[..., None] * rays_d)[..., :2]
    hit = (t > 0.0) & (np.abs(place).max(axis=-1) < HALF)
    tile = np.clip(((place / HALF + 1.0) * 0.5 * TILES).astype(np.int64), 0, TILES - 1)
    image = np.where(hit[..., None], colours()[tile[..., 0], tile[..., 1]], 1.0)
    return image.reshape(camera.height, RAYS, camera.width, RAYS, 3).mean(axis=(1, 3)).astype(np.float32)


def plane_scene(size: int = 64, n_train: int = 16, n_test: int = 3) -> Scene:
    """Return photos of the square."""

    def views(n: int, shift: float) -> Split:
        made = []
        for k in range(n):
            angle, height = 2 * np.pi * (k + shift) / n, 0.75 + 0.3 * np.sin(2.4 * k + shift)
            eye = np.array([0.8 * np.cos(angle), 0.8 * np.sin(angle), height])
            pose = look_at(eye, np.zeros(3), np.array([0.0, 0.0, 1.0]))
            made.append(View(f"{k}.png", Camera.from_fov(size, size, 0.75, pose)))
        return Split(tuple(made), Pictures([picture(view.camera) for view in made]))

    up = np.array([0.0, 0.0, 1.0])
    return Scene("plane", "", "test", views(n_train, 0.0), views(n_test, 0.37), "white", 0, np.eye(4), up)
