# SPDX-License-Identifier: MIT
"""What a trainer learns from: rays of the photos of a scene and of their halved copies, in the units of a model.

Every pixel of every copy is as likely as any other, so that coarse nodes learn from coarse pixels (image-pyramid supervision).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from engine.cpu.crew import crew
from engine.datasets.scene import ImageSource, Scene, Split, View
from engine.errors import OptionError
from engine.inf_nerf.settings import InfNeRFConfig
from engine.matrices import Frame, camera_of, floating, matrices_of
from engine.methods.infnerf.config import PyramidOptions
from engine.methods.infnerf.photos import PyramidPhotos
from engine.methods.infnerf.points import scene_points
from engine.node_tree import FOOTPRINT_RADIUS

_ALL_BYTES = 1 << 40  # all photos stay in memory: training from some at a time is for the app


class _Held(ImageSource):
    """Photos that are there already, with their depth maps and masks."""

    def __init__(self, items: list[dict[str, Any]], extent: float) -> None:
        self._items, self._extent = items, extent

    def load(self, index: int) -> np.ndarray:
        image = torch.as_tensor(self._items[index]["image"])
        image = image.float() / 255.0 if image.dtype == torch.uint8 else image.float()
        return image.cpu().numpy()

    def load_mask(self, index: int) -> np.ndarray | None:
        mask = self._items[index].get("mask")
        return None if mask is None else (np.asarray(torch.as_tensor(mask).cpu()) != 0).astype(np.uint8) * 255

    def load_depth(self, index: int) -> np.ndarray | None:
        depth = self._items[index].get("depth")
        return None if depth is None else torch.as_tensor(depth).float().cpu().numpy() / self._extent

    def nbytes(self) -> int:
        return sum(torch.as_tensor(item["image"]).nbytes for item in self._items)


def frame_of(config: InfNeRFConfig) -> Frame:
    """Return where the engine's cube lies in a model's units: its foreground is the root's cube."""
    return Frame(2.0 * config.scene_bound, config.scene_center)


def scene_of(dataset: Any, config: InfNeRFConfig) -> Scene:
    """Return a dataset as a scene of the engine.

    A scene stays what it is. Else the dataset is an iterable of dictionaries with `image [H,W,3]` (floats in [0,1] or bytes),
    `camera_matrix [4,4]` and `intrinsics [3,3]` in scene units, and where known `depth` and `mask [H,W]`.
    """
    if isinstance(dataset, Scene):
        return dataset
    if not isinstance(dataset, Iterable) and not isinstance(dataset, Dataset):
        raise OptionError(
            f"InfNeRFTrainer needs a scene or views as dictionaries, got {type(dataset).__name__}."
        )
    items = [dataset[i] for i in range(len(dataset))] if isinstance(dataset, Dataset) else list(dataset)
    frame, views = frame_of(config), []
    for i, item in enumerate(items):
        missing = [name for name in ("image", "camera_matrix", "intrinsics") if name not in item]
        if missing:
            raise OptionError(f"View {i} of the dataset has no {missing[0]}; it has {', '.join(item)}.")
        pose, lens = floating("InfNeRFTrainer", item["camera_matrix"], item["intrinsics"])
        height, width = item["image"].shape[:2]
        views.append(View(f"view {i}", camera_of(frame.pose(pose), lens, width, height)))
    if not views:
        raise OptionError("InfNeRFTrainer needs at least one view, got an empty dataset.")
    split = Split(tuple(views), _Held(items, frame.extent))
    nobody, known = Split((), split.images), "white" if config.background == (1.0,) * 3 else "learned"
    outside = 4 if config.unbounded else 0
    return Scene("views", "", "views", split, nobody, known, outside, np.eye(4), np.array([0.0, 0.0, 1.0]))


def points_of(scene: Scene, config: InfNeRFConfig) -> tuple[np.ndarray, np.ndarray]:
    """Return points [P,3] and what a pixel covers at each [P], in scene units: what the tree is built from.

    The capture's own, or else those of depth maps, of the visual hull, or at random that ask for everything.
    """
    points, radii = scene_points(scene, config.seed)
    frame = frame_of(config)
    return points * frame.extent + np.asarray(frame.center), radii * frame.extent


class PyramidRays:
    """Random rays of a scene's training photos at all scales. `len` is how many pixels there are to draw from."""

    def __init__(self, scene: Scene, config: InfNeRFConfig, levels: int = 5, seed: int = 0) -> None:
        self.scene, self.config, self.frame = scene, config, frame_of(config)
        order = np.arange(len(scene.train))
        self._photos = PyramidPhotos(scene.train, order, PyramidOptions(scales=levels), _ALL_BYTES)
        self._photos.restore(order.tolist(), [])
        self._crew, self._seed = crew(), seed
        self._depth = [scene.train.images.load_depth(i) for i in order]
        cameras = [camera for i in order for camera in self._photos.scales(int(i))]
        self._pixels = sum(camera.width * camera.height for camera in cameras)

    def __len__(self) -> int:
        return self._pixels

    def draw(self, rays: int, step: int) -> dict[str, Tensor]:
        """Return a batch of a step: `rays_o`, `rays_d`, `rgb` [n,3], `focal_length`, `photo` [n], and `depth [n]` where known.

        Directions have the length 1 along their camera's axis. The same seed and step give the same rays.
        """
        rng = np.random.default_rng((self._seed, step))
        batch = self._photos.draw(rng, step, rays, self._crew)
        center = np.asarray(self.frame.center, dtype=np.float32)
        found = {
            "rays_o": torch.from_numpy(batch.rays_o * np.float32(self.frame.extent) + center),
            "rays_d": torch.from_numpy(batch.rays_d),
            "rgb": torch.from_numpy(batch.target),
            "focal_length": torch.from_numpy(FOOTPRINT_RADIUS / batch.footprint.astype(np.float64)).float(),
            "photo": torch.from_numpy(batch.view.astype(np.int64)),
        }
        if any(depth is not None for depth in self._depth):
            found["depth"] = torch.from_numpy(self._depths(batch.view, batch.rays_d)) * self.frame.extent
        return found

    def _depths(self, views: np.ndarray, rays_d: np.ndarray) -> np.ndarray:
        """Return the z-depth [n] of the pixels of full size that rays go through, 0 where it is not known."""
        found = np.zeros(len(views), dtype=np.float32)
        for view in np.unique(views):
            depth, camera = self._depth[view], self.scene.train.views[view].camera
            if depth is None:
                continue
            mine = np.flatnonzero(views == view)
            local = rays_d[mine] @ camera.world_from_cam[:3, :3]
            x = np.clip(
                (camera.fx * local[:, 0] + camera.cx) * depth.shape[1] / camera.width, 0, depth.shape[1] - 1
            )
            y = np.clip(
                (camera.fy * local[:, 1] + camera.cy) * depth.shape[0] / camera.height, 0, depth.shape[0] - 1
            )
            found[mine] = depth[y.astype(np.int64), x.astype(np.int64)]
        return found


class HeldOut:
    """Views that a model is judged by, as (photo [H,W,3], camera_matrix, intrinsics)."""

    def __init__(self, split: Split, config: InfNeRFConfig, most: int) -> None:
        self._split, self._frame = split, frame_of(config)
        self.indices = (
            np.unique(np.linspace(0, len(split) - 1, most).round().astype(int)) if len(split) else []
        )

    def __iter__(self) -> Any:
        for i in self.indices:
            yield self._split.images.load(int(i)), *matrices_of(self._split.views[int(i)].camera, self._frame)
