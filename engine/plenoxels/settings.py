# SPDX-License-Identifier: MIT
"""The settings of the Plenoxels library, by the names of its document. They may be changed after they are made.

What the document calls an epoch is one batch of rays: an iteration. Both names are accepted. The axes of every grid are
X, Y, Z, and the degree alone decides how many coefficients a colour has. Lengths are in the units of `scene_bounds`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.datasets import Scene, SceneOptions, load_scene, recognise
from engine.errors import OptionError, SceneError
from engine.settings import Settings, between
from engine.sh import MAX_DEGREE

DATASET_TYPES = ("blender", "transforms", "colmap", "llff", "demo", "auto")
Sides = tuple[int, int, int]


@dataclass(init=False)
class PlenoxelConfig(Settings):
    """What the grid holds and how rays go through it. `PlenoxelsConfig` is the same class.

    `grid_resolution` (`grid_shape`) voxels along X, Y, Z; `scene_bounds` x y z of the lowest, then of the highest corner
    (`bbox_min`, `bbox_max`). With `use_coarse_to_fine` training begins at the first of `coarse_resolutions` and moves to
    the next at each of `coarse_epochs`, which are iterations; the last is `grid_resolution`. Voxels below
    `sparsity_threshold` (density per unit of length) are dropped when the grid is refined. `tv_lambda` and `l1_lambda`
    weigh total variation and densities, where the trainer's configuration does not say otherwise. Rays are sampled every
    `step_size` voxels from `near_plane` to `far_plane` until less than `stop_threshold` of the light is left, in front of
    `background_brightness`. `max_rays_per_batch` and `max_samples_per_ray` size the buffers of `CUDAOptimizedPlenoxels`
    and the chunks of rays that are rendered at a time; `use_memory_mapping` and `use_gradient_checkpointing` are for
    `optimize_cuda_memory`.
    """

    grid_resolution: Sides = (256, 256, 256)
    scene_bounds: tuple[float, ...] = (-1.0, -1.0, -1.0, 1.0, 1.0, 1.0)
    sh_degree: int = between(2, 0, MAX_DEGREE)
    use_coarse_to_fine: bool = True
    coarse_resolutions: list[Sides] = field(default_factory=lambda: [(64,) * 3, (128,) * 3, (256,) * 3])
    coarse_epochs: list[int] = field(default_factory=lambda: [2000, 5000, 10000])
    sparsity_threshold: float = between(0.01, 0.0)
    tv_lambda: float = between(1e-6, 0.0)
    l1_lambda: float = between(1e-8, 0.0)
    near_plane: float = between(0.1, 0.0)
    far_plane: float = between(10.0, 0.0)
    step_size: float = between(0.5, 0.01, 10.0)
    initial_density: float = between(0.1, -1e6, 1e6)
    density_threshold: float = between(1e-8, 0.0)
    stop_threshold: float = between(1e-7, 0.0, 1.0)
    background_brightness: float = between(1.0, 0.0, 1.0)
    max_rays_per_batch: int = between(10000, 1)
    max_samples_per_ray: int = between(512, 1)
    use_memory_mapping: bool = False
    use_gradient_checkpointing: bool = False

    def check(self) -> None:
        """Bring values into their types; raise OptionError for what cannot be."""
        super().check()
        values = self.__dict__
        values["grid_resolution"] = _sides("grid_resolution", self.grid_resolution)
        values["coarse_resolutions"] = [_sides("coarse_resolutions", s) for s in self.coarse_resolutions]
        values["scene_bounds"] = bounds = _floats("scene_bounds", self.scene_bounds, 6)
        if not all(low < high for low, high in zip(bounds[:3], bounds[3:])):
            raise OptionError(
                f"PlenoxelConfig.scene_bounds must be x y z of the lowest, then of the highest corner, got {bounds}."
            )
        if self.near_plane >= self.far_plane:
            raise OptionError(
                f"PlenoxelConfig.near_plane must be below far_plane, got {self.near_plane:g} and {self.far_plane:g}."
            )
        if self.use_coarse_to_fine and len(self.coarse_epochs) < len(self.coarse_resolutions) - 1:
            raise OptionError(
                f"PlenoxelConfig.coarse_epochs must say when each of {len(self.coarse_resolutions)} resolutions ends, "
                f"got {list(self.coarse_epochs)}."
            )

    @property
    def grid_shape(self) -> Sides:
        """The document's other name of `grid_resolution`."""
        return self.grid_resolution

    @grid_shape.setter
    def grid_shape(self, value: Sequence[int]) -> None:
        self.__dict__["grid_resolution"] = value

    @property
    def bbox_min(self) -> tuple[float, ...]:
        """The lowest corner, the first half of `scene_bounds`."""
        return self.scene_bounds[:3]

    @bbox_min.setter
    def bbox_min(self, value: Sequence[float]) -> None:
        self.__dict__["scene_bounds"] = (*_floats("bbox_min", value, 3), *self.scene_bounds[3:])

    @property
    def bbox_max(self) -> tuple[float, ...]:
        """The highest corner, the second half of `scene_bounds`."""
        return self.scene_bounds[3:]

    @bbox_max.setter
    def bbox_max(self, value: Sequence[float]) -> None:
        self.__dict__["scene_bounds"] = (*self.scene_bounds[:3], *_floats("bbox_max", value, 3))

    @property
    def coarse_iterations(self) -> list[int]:
        """What `coarse_epochs` counts."""
        return self.coarse_epochs

    @coarse_iterations.setter
    def coarse_iterations(self, value: Sequence[int]) -> None:
        self.__dict__["coarse_epochs"] = list(value)

    def resolution_at(self, iteration: int) -> Sides:
        """Return the voxels along X, Y, Z that the grid has at an iteration; never more than `grid_resolution`."""
        if not self.use_coarse_to_fine:
            return self.grid_resolution
        whole = math.prod(self.grid_resolution)
        coarse = [s for s in self.coarse_resolutions if math.prod(s) < whole]
        stages = [*coarse, self.grid_resolution]
        return stages[sum(iteration >= until for until in self.coarse_epochs[: len(stages) - 1])]


PlenoxelsConfig = PlenoxelConfig


@dataclass(init=False)
class PlenoxelDatasetConfig(Settings):
    """Which photos are trained on. `num_rays_train` rays are drawn for an iteration.

    `white_background` is what cut-out objects stand in front of, else black. `downsample_factor` divides width and height.
    """

    data_dir: str = ""
    dataset_type: str = "blender"
    num_rays_train: int = between(1024, 1)
    white_background: bool = True
    downsample_factor: int = between(1, 1, 64)

    def check(self) -> None:
        """Bring values into their types; raise OptionError for what cannot be."""
        super().check()
        self.__dict__["data_dir"] = str(self.data_dir)
        if self.dataset_type not in DATASET_TYPES:
            raise OptionError(
                f"PlenoxelDatasetConfig.dataset_type must be one of {', '.join(DATASET_TYPES)}, got {self.dataset_type!r}."
            )

    def load(self) -> Scene:
        """Return the scene, or raise SceneError."""
        place = "demo" if self.dataset_type == "demo" else self.data_dir
        found = recognise(place)
        if found.is_scene and self.dataset_type not in ("auto", found.kind):
            raise SceneError(
                f"{place} is a scene of type {found.kind}, not {self.dataset_type}; change dataset_type to it or to 'auto'."
            )
        behind = "white" if self.white_background else "black"
        return load_scene(place, SceneOptions(downscale=self.downsample_factor, background=behind))


@dataclass(init=False)
class PlenoxelTrainerConfig(Settings):
    """How long and how fast is trained, and what is written down.

    `max_epochs` (`max_iterations`) batches of rays. `learning_rate` 0.1 stands for the published rates, 30 of densities
    and 0.01 of colours; others scale both,
    and `density_learning_rate` and `sh_learning_rate` replace one: short runs want slower densities and faster colours.
    Loss terms of a name NAME_loss are multiplied by `NAME_loss_weight`, or by 1 where there is no such setting; None takes
    the model's `tv_lambda` and `l1_lambda`. Every `pruning_interval` iterations voxels below `pruning_threshold` are
    dropped, 0: never. `eval_interval`, `save_interval` and `log_interval` are iterations too, 0: never. Files go into
    `output_dir`/`experiment_name`. `use_amp` computes colours in half precision; densities never are.
    """

    max_epochs: int = between(10000, 0)
    learning_rate: float = between(0.1, 0.0)
    density_learning_rate: float | None = between(None, 0.0)
    sh_learning_rate: float | None = between(None, 0.0)
    weight_decay: float = between(0.0, 0.0)
    color_loss_weight: float = between(1.0, 0.0)
    tv_loss_weight: float | None = between(None, 0.0)
    l1_loss_weight: float | None = between(None, 0.0)
    pruning_threshold: float = between(0.01, 0.0)
    pruning_interval: int = between(1000, 0)
    eval_interval: int = between(1000, 0)
    save_interval: int = between(5000, 0)
    log_interval: int = between(100, 0)
    use_tensorboard: bool = True
    use_amp: bool = False
    experiment_name: str = "plenoxel_exp"
    output_dir: str = "outputs"
    resume: bool = False
    seed: int = between(0, 0)

    @property
    def max_iterations(self) -> int:
        """What `max_epochs` counts."""
        return self.max_epochs

    @max_iterations.setter
    def max_iterations(self, value: int) -> None:
        self.__dict__["max_epochs"] = value

    @property
    def folder(self) -> Path:
        """Where files go."""
        return Path(self.output_dir) / self.experiment_name


def _floats(name: str, value: Any, count: int) -> tuple[float, ...]:
    try:
        floats = tuple(float(v) for v in value)
    except (TypeError, ValueError):
        floats = ()
    if len(floats) != count or not all(math.isfinite(v) for v in floats):
        raise OptionError(f"PlenoxelConfig.{name} must be {count} finite numbers, got {value!r}.")
    return floats


def _sides(name: str, value: Any) -> Sides:
    floats = _floats(name, value, 3) if isinstance(value, Sequence) or hasattr(value, "__len__") else ()
    if len(floats) != 3 or not all(v == int(v) and 2 <= v <= 4096 for v in floats):
        raise OptionError(
            f"PlenoxelConfig.{name} must be voxels along X, Y, Z, 2 to 4096 each, got {value!r}."
        )
    return int(floats[0]), int(floats[1]), int(floats[2])
