# SPDX-License-Identifier: MIT
"""Photos for the trainer: the views of a scene of the app, and batches of any loader taken apart into single views."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from engine.datasets.scene import Scene
from engine.errors import OptionError
from engine.matrices import Frame, matrices_of
from engine.svraster_one.settings import SVRasterOneConfig

View = dict[str, Tensor]
_NEEDED = ("camera_matrix", "intrinsics")


class SceneDataset(Dataset):
    """The training or held-out views of a scene, as dictionaries of `image`, `camera_matrix`, `intrinsics`.

    `depth` in scene units and `mask` are there where the scene has them. Cameras are moved and scaled so that the scene's
    foreground is the configuration's cube, whatever its extent.
    """

    def __init__(self, scene: Scene, config: SVRasterOneConfig | None = None, split: str = "train") -> None:
        if split not in ("train", "test"):
            raise OptionError(f"SceneDataset takes the split 'train' or 'test', got {split!r}.")
        voxel = (config or SVRasterOneConfig()).voxel
        self.frame = Frame(voxel.extent, voxel.scene_center)
        self.views = scene.train if split == "train" else scene.test

    def __len__(self) -> int:
        return len(self.views)

    def __getitem__(self, index: int) -> View:
        if not 0 <= index < len(self):
            raise IndexError(f"SceneDataset has {len(self)} views, got {index}.")
        images = self.views.images
        camera_matrix, intrinsics = matrices_of(self.views.views[index].camera, self.frame)
        item = {
            "image": torch.from_numpy(images.load(index)), "camera_matrix": camera_matrix, "intrinsics": intrinsics,
        }  # fmt: skip
        depth, mask = images.load_depth(index), images.load_mask(index)
        if depth is not None:
            item["depth"] = torch.from_numpy(depth) * self.frame.extent
        if mask is not None:
            item["mask"] = torch.from_numpy(mask)
        return item


def single_views(batch: Any) -> Iterator[View]:
    """Yield the views of a batch: of a dictionary of one view, or of several stacked along the first axis."""
    if not isinstance(batch, dict) or any(name not in batch for name in _NEEDED):
        has = ", ".join(batch) if isinstance(batch, dict) else type(batch).__name__
        raise OptionError(
            f"A batch must be a dictionary with image, camera_matrix and intrinsics, got {has}."
        )
    matrices = torch.as_tensor(batch["camera_matrix"])
    if matrices.ndim == 2:
        yield {name: value for name, value in batch.items() if isinstance(value, Tensor)}
        return
    for i in range(len(matrices)):
        yield {
            name: value if name == "intrinsics" and value.ndim == 2 else value[i]
            for name, value in batch.items()
            if isinstance(value, Tensor)
        }


def window(view: View, pixels: int, generator: torch.Generator) -> View:
    """Return a random window of about so many pixels of a view, with the intrinsics that belong to it; 0: all of it."""
    image_name = "rgb" if "rgb" in view else "image"
    height, width = view[image_name].shape[:2]
    if pixels == 0 or pixels >= height * width:
        return view
    columns = min(width, max(1, round(pixels**0.5)))
    rows = min(height, max(1, pixels // columns))
    columns = min(width, max(1, pixels // rows))
    top = int(torch.randint(height - rows + 1, (), generator=generator))
    left = int(torch.randint(width - columns + 1, (), generator=generator))
    lens = view["intrinsics"].clone()
    lens = lens if lens.is_floating_point() else lens.float()
    lens[0, 2] -= left
    lens[1, 2] -= top
    part = {
        name: value[top : top + rows, left : left + columns]
        for name, value in view.items()
        if value.ndim >= 2 and value.shape[:2] == (height, width) and name not in _NEEDED
    }
    return {**part, "camera_matrix": view["camera_matrix"], "intrinsics": lens}
