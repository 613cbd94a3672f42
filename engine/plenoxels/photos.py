# SPDX-License-Identifier: MIT
"""A scene's photos as rays and colours for the library's models, in the units of their bounds."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from engine.cameras import Camera
from engine.datasets import Scene, Split
from engine.plenoxels.settings import PlenoxelConfig


class RayBatches:
    """Random rays of the training photos, drawn with replacement as published; pixels that a mask leaves out never come.

    The scene's foreground cube becomes the largest cube around the middle of the model's bounds.
    """

    def __init__(self, scene: Scene, config: PlenoxelConfig, seed: int = 0) -> None:
        self.scene = scene
        bounds = np.array(config.scene_bounds).reshape(2, 3)
        self._center, self._edge = bounds.mean(axis=0), float(np.ptp(bounds, axis=0).max())
        self._rng = np.random.default_rng(seed)
        sizes = [view.camera.width * view.camera.height for view in scene.train.views]
        self._starts = np.concatenate([[0], np.cumsum(sizes)])

    def draw(self, count: int, device: torch.device | str = "cpu") -> dict[str, Tensor]:
        """Return `rays_o`, unit `rays_d` and `rgb`, each [count,3] float32."""
        pixels = np.sort(self._rng.integers(self._starts[-1], size=count))
        views = np.searchsorted(self._starts, pixels, side="right") - 1
        parts = [
            self._pixels(int(view), pixels[views == view] - self._starts[view]) for view in np.unique(views)
        ]
        arrays = (np.concatenate(part) for part in zip(*parts))
        return {
            name: torch.from_numpy(array.astype(np.float32)).to(device)
            for name, array in zip(("rays_o", "rays_d", "rgb"), arrays)
        }

    def _pixels(self, view: int, at: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        mask = self.scene.train.images.load_mask(view)
        if mask is not None and mask.any():
            there = np.flatnonzero(mask)
            at = np.where(mask.reshape(-1)[at] > 0, at, there[self._rng.integers(len(there), size=len(at))])
        photo = self.scene.train.images.load(view).reshape(-1, 3)[at]
        return (*self._rays(self.scene.train.views[view].camera, at), photo)

    def _rays(self, camera: Camera, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return origins and unit directions [n,3] through the pixels with these numbers."""
        u = (at % camera.width + 0.5 - camera.cx) / camera.fx
        v = (at // camera.width + 0.5 - camera.cy) / camera.fy
        rotation = camera.world_from_cam[:3, :3]
        directions = np.stack([u, v, np.ones_like(u)], axis=-1) @ rotation.T
        directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
        return np.broadcast_to(self.to_model(camera.position), directions.shape), directions

    def to_model(self, points: np.ndarray) -> np.ndarray:
        """Return engine points [...,3] in the model's units."""
        return self._center + self._edge * np.asarray(points)

    def view(self, split: Split, index: int) -> tuple[Tensor, Tensor, np.ndarray]:
        """Return origins and unit directions [H*W,3] of a whole view, and its photo [H,W,3]."""
        camera = split.views[index].camera
        rays = self._rays(camera, np.arange(camera.width * camera.height))
        rays_o, rays_d = (torch.from_numpy(a.astype(np.float32)) for a in rays)
        return rays_o, rays_d, split.images.load(index)
