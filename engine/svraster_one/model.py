# SPDX-License-Identifier: MIT
"""SVRaster One as a torch module: one sparse grid, trained through soft or hard pictures, shown from a small cache.

For training at full speed there is `engine.methods` (`create_method("svraster", scene)`); this module is for losses of
one's own, other optimisers, research. See docs/svraster_one.md.
"""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from engine.matrices import Frame, camera_of, floating, resized_intrinsics
from engine.octree import Octree
from engine.svraster_one import files, fit, memory
from engine.svraster_one.cache import InferenceCache, Looks, key_of
from engine.svraster_one.losses import SVRasterOneLoss, photo_of
from engine.svraster_one.rasterizer import DifferentiableVoxelRasterizer
from engine.svraster_one.settings import SVRasterOneConfig
from engine.svraster_one.voxels import SparseVoxelGrid

if TYPE_CHECKING:
    from engine.svraster_one.modes import Parked
    from engine.svraster_one.trainer import SVRasterOneTrainer

MODES = ("training", "inference")
Size = tuple[int, int]  # (height, width)


class SVRasterOne(nn.Module):
    """A sparse grid of voxels and its two modes.

    `voxel_grid` owns the parameters, `rasterizer` makes the pictures of the training mode, `loss` the document's four terms.
    Cameras are matrices [4,4] from the camera to the world in scene units, OpenCV axes (x right, y down, z forward), and
    intrinsics [3,3] in pixels. The cube of the grid is `config.voxel.extent` wide around `config.voxel.scene_center`.
    """

    def __init__(self, config: SVRasterOneConfig | None = None, octree: Octree | None = None) -> None:
        super().__init__()
        self.config = config if config is not None else SVRasterOneConfig()
        self.voxel_grid = SparseVoxelGrid(self.config.voxel, octree)
        self.rasterizer = DifferentiableVoxelRasterizer(self.config.rendering)
        self.loss = SVRasterOneLoss(self.config)
        self.trainers: weakref.WeakSet[SVRasterOneTrainer] = weakref.WeakSet()
        self.parked: Parked | None = None  # where the parameters are in inference mode, see modes.py
        self._cache: InferenceCache | None = None

    @property
    def frame(self) -> Frame:
        """Where the cube lies in the scene."""
        return Frame(self.config.voxel.extent, self.config.voxel.scene_center)

    @property
    def size(self) -> Size:
        """The (height, width) that intrinsics belong to."""
        return self.config.rendering.image_height, self.config.rendering.image_width

    # --- pictures -------------------------------------------------------------------------------------------------

    def forward(
        self, camera_matrix: Tensor, intrinsics: Tensor, mode: str | None = None, size: Size | None = None
    ) -> dict[str, Tensor]:
        """Return `rgb [H,W,3]`, `depth [H,W]` (mean z-depth in scene units, 0 where nothing is) and `alpha [H,W]`.

        `mode` "training": soft pictures if the configuration says so, else hard ones, differentiable in the parameters and,
        if soft, in `camera_matrix`; "inference": hard ones from the cache; None: by `model.training`. `size` (height, width)
        is that of the picture *and* of the intrinsics; None: the configuration's.
        """
        mode = ("training" if self.training else "inference") if mode is None else mode
        if mode not in MODES:
            raise ValueError(f"SVRasterOne.forward(): mode must be one of {', '.join(MODES)}, got {mode!r}.")
        camera_matrix, intrinsics = floating("SVRasterOne.forward", camera_matrix, intrinsics)
        height, width = self.size if size is None else size
        if mode == "inference":
            return self._from_cache(camera_matrix, intrinsics, width, height)
        if self.parked is not None:
            raise ValueError(
                "SVRasterOne.forward(): the model is in inference mode; call switch_to_training_mode(model) first."
            )
        pose = self.frame.pose(camera_matrix.to(self.voxel_grid.densities))
        camera = camera_of(pose, intrinsics, width, height)
        return self.rasterizer(self.voxel_grid, camera, pose, self.frame.extent)

    @torch.no_grad()
    def _from_cache(
        self, camera_matrix: Tensor, intrinsics: Tensor, width: int, height: int
    ) -> dict[str, Tensor]:
        camera = camera_of(self.frame.pose(camera_matrix.double()), intrinsics, width, height)
        return self.inference_cache().picture(camera, self.looks(), self.frame.extent)

    def looks(self) -> Looks:
        """Return how pictures of the inference mode are drawn."""
        rendering = self.config.rendering
        background = rendering.background if rendering.alpha_blending else (0.0, 0.0, 0.0)
        return Looks(background, rendering.samples_per_voxel, rendering.supersample)

    def render_image(self, pose: Tensor, intrinsics: Tensor, size: Size | None = None) -> dict[str, Tensor]:
        """Return a picture of (height, width) `size`, in inference mode, `inference_chunk_size` pixels at a time.

        `intrinsics` belong to the configuration's size and are rescaled when `size` is another.
        """
        pose, intrinsics = floating("SVRasterOne.render_image", pose, intrinsics)
        height, width = self.size if size is None else size
        intrinsics = resized_intrinsics(intrinsics, self.size, (height, width))
        rows = max(1, self.config.rendering.inference_chunk_size // width)
        parts = []
        for top in range(0, height, rows):
            lens = intrinsics.clone()
            lens[1, 2] -= top
            parts.append(self._from_cache(pose, lens, width, min(rows, height - top)))
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def render_sequence(
        self, camera_matrices: Tensor, intrinsics: Tensor, size: Size | None = None
    ) -> dict[str, Tensor]:
        """Return pictures of cameras [N,4,4] as `rgb [N,H,W,3]`, `depth [N,H,W]`, `alpha [N,H,W]`, in inference mode.

        `intrinsics [3,3]` are common, [N,3,3] each camera's own; see `render_image` for `size`.
        """
        shared = intrinsics.ndim == 2
        if camera_matrices.ndim != 3 or not (shared or len(intrinsics) == len(camera_matrices)):
            raise ValueError(
                f"SVRasterOne.render_sequence(): camera_matrices must be [N,4,4] and intrinsics [3,3] or [N,3,3], got "
                f"{list(camera_matrices.shape)} and {list(intrinsics.shape)}."
            )
        lenses = [intrinsics] * len(camera_matrices) if shared else list(intrinsics)
        frames = [self.render_image(pose, lens, size) for pose, lens in zip(camera_matrices, lenses)]
        return {name: torch.stack([frame[name] for frame in frames]) for name in ("rgb", "depth", "alpha")}

    # --- training -------------------------------------------------------------------------------------------------

    def compute_loss(
        self, rendered_output: dict[str, Tensor], target_data: dict[str, Tensor] | Tensor
    ) -> dict[str, Tensor]:
        """Return the weighted losses of a picture and their sum `total_loss`; see `SVRasterOneLoss`."""
        return self.loss(rendered_output, target_data, self.voxel_grid.voxel_data())

    def training_step_forward(
        self, camera_matrix: Tensor, intrinsics: Tensor, target_data: dict[str, Tensor] | Tensor
    ) -> dict[str, Tensor]:
        """Return the losses of one view, `total_loss` among them, and its picture: `rgb`, `depth`, `alpha`.

        `intrinsics` belong to the photo, whose size the picture gets.
        """
        height, width = photo_of(target_data).shape[:2]
        rendered = self.forward(camera_matrix, intrinsics, mode="training", size=(height, width))
        return {**rendered, **self.compute_loss(rendered, target_data)}

    def adaptive_optimization(self, gradient_magnitudes: Tensor) -> dict[str, int]:
        """Split voxels of large gradients [V], then prune those of low density; return `subdivided`, `pruned`, `voxels`."""
        subdivided = self.voxel_grid.adaptive_subdivision(gradient_magnitudes)
        pruned = self.voxel_grid.adaptive_pruning()
        return {"subdivided": subdivided, "pruned": pruned, "voxels": len(self.voxel_grid)}

    # --- modes ----------------------------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> SVRasterOne:
        """Go into training mode, dropping the inference cache; with `mode` False as `eval()`, making it."""
        if mode:
            self._cache = None
            if self.parked is not None:
                parked, self.parked = self.parked, None
                parked.bring_back(self)
        super().train(mode)
        if not mode:
            self.inference_cache()
        return self

    def inference_cache(self) -> InferenceCache:
        """Return the cache, made anew when the values have changed since."""
        if self._cache is None or self._cache.key != key_of(self.voxel_grid):
            self._cache = None  # before the next is made: two need not be held at a time
            self._cache = InferenceCache.of(self.voxel_grid)
        return self._cache

    def drop_cache(self) -> None:
        """Let go of the cache; whoever needs it makes it again."""
        self._cache = None

    @torch.no_grad()
    def query_points(self, points: Tensor) -> dict[str, Tensor]:
        """Return `voxel [N]` int64 that holds each of `points [N,3]` in scene units, or -1, and `density [N]` there.

        The density is raw and interpolated, -inf outside all voxels. From the cache, without gradients.
        """
        inside = self.frame.points(points.double()).cpu().numpy()
        cache = self.inference_cache()
        voxel = cache.find(inside)
        held = voxel >= 0
        density = np.full(len(voxel), -np.inf, dtype=np.float32)
        density[held] = cache.raw_density(inside[held], voxel[held])
        return {"voxel": torch.from_numpy(voxel).long(), "density": torch.from_numpy(density)}

    @torch.no_grad()
    def walk_ray(self, origin: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
        """Return the voxels [n] that a ray crosses, nearest first, and spans [n,2] along it, in lengths of `direction`."""
        start = self.frame.points(origin.double()).cpu().numpy()
        along = (direction.double() / self.frame.extent).cpu().numpy()
        voxels, spans = self.inference_cache().walk(start, along)
        return torch.from_numpy(voxels).long(), torch.from_numpy(spans)

    # --- memory and files -----------------------------------------------------------------------------------------

    def get_memory_usage(self) -> dict[str, float]:
        """Return megabytes held, by what holds them, and `total_memory_mb`; see `memory.usage`."""
        return memory.usage(self)

    def optimize_memory(self, target_memory_mb: float, views: Any = None) -> dict[str, Any]:
        """Make the model fit into so many megabytes; return what was done and what it cost; see `fit.optimize`."""
        return fit.optimize(self, target_memory_mb, views)

    def export_voxels(self, path: str | Path) -> None:
        """Write the voxels and the settings into a .pth file."""
        files.export_voxels(self, path)

    def import_voxels(self, path: str | Path) -> None:
        """Take over voxels that `export_voxels` wrote, with their place and size in the scene. Raises CheckpointError."""
        files.import_voxels(self, path)

    @classmethod
    def from_run(cls, path: str | Path) -> SVRasterOne:
        """Return the model of a run folder of the app, in engine units. Raises CheckpointError."""
        return files.from_run(cls, path)

    @classmethod
    def from_method(cls, method: Any) -> SVRasterOne:
        """Return a copy of what an SVRaster method of the app holds, in engine units."""
        return files.from_method(cls, method)

    def write_into(self, method: Any) -> None:
        """Give an SVRaster method of the app these voxels, to be trained or saved there; Adam starts anew."""
        files.write_into(self, method)
