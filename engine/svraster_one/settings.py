# SPDX-License-Identifier: MIT
"""The settings of SVRaster One, by the names and with the defaults of its document; checked whenever one is set.

What the document leaves open is settled here, once, and listed in docs/svraster_one.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from engine.constants import MAX_LEVEL
from engine.errors import OptionError
from engine.settings import Settings, between, choice, flags, triple
from engine.sh import MAX_DEGREE

FIRST_LEVEL = 5  # a grid starts with 2^5 voxels a side at most, like the app's
SCHEDULERS = ("constant", "exponential", "cosine", "one_cycle")
SORTING = ("back_to_front", "front_to_back")
ORDERS = ("logistic", "softmax")

Triple = tuple[float, float, float]


@dataclass(init=False)
class VoxelConfig(Settings):
    """The sparse grid: a cube of `grid_resolution` voxels a side, each `voxel_size` scene units wide, were it all fine.

    The cube's edge, `extent`, is their product, its middle `scene_center`. It starts with 2^`initial_level` voxels a side
    (None: 32, or as many as an eighth of `max_voxels` allows) and is refined up to `grid_resolution`, rounded up to a power of
    two: all fine from the start, 256 a side would be 16.7 million voxels. Voxels whose densest corner would make a thirty-second
    of the cube less opaque than `sparsity_threshold` are pruned. Voxels whose gradient is above `subdivision_threshold`
    times the largest (its 99th percentile) are split. Leaves always lie in Morton order; `use_morton_ordering` False
    changes nothing. `outside_levels` shells, each twice as wide, surround the cube.
    """

    grid_resolution: int = between(256, 2, 1 << MAX_LEVEL)
    voxel_size: float = between(0.01, 1e-9, 1e9)
    max_voxels: int = between(1_000_000, 8)
    sparsity_threshold: float = between(0.01, 0.0, 1.0)
    adaptive_subdivision: bool = True
    subdivision_threshold: float = between(0.1, 0.0)
    use_morton_ordering: bool = True
    sh_degree: int = between(2, 0, MAX_DEGREE)
    initial_level: int | None = between(None, 1, MAX_LEVEL)
    initial_density: float = between(-6.0, -100.0, 100.0)
    scene_center: Triple = (0.0, 0.0, 0.0)
    outside_levels: int = between(0, 0, MAX_LEVEL - 1)

    def check(self) -> None:
        """Bring values into their types; raise OptionError for what cannot be."""
        super().check()
        flags(self, "adaptive_subdivision", "use_morton_ordering")
        triple(self, "scene_center")
        if self.initial_level is not None and not isinstance(self.initial_level, int):
            raise OptionError(
                f"VoxelConfig.initial_level must be a whole number or None, got {self.initial_level!r}."
            )
        if self.finest_level + self.outside_levels > MAX_LEVEL:
            raise OptionError(
                f"VoxelConfig: grid_resolution {self.grid_resolution} with outside_levels {self.outside_levels} needs more than "
                f"{MAX_LEVEL} levels; lower one of them."
            )

    @property
    def extent(self) -> float:
        """The edge of the cube in scene units."""
        return self.grid_resolution * self.voxel_size

    @property
    def finest_level(self) -> int:
        """The level at which the cube has `grid_resolution` voxels a side, or the next power of two."""
        return max(1, (self.grid_resolution - 1).bit_length())

    @property
    def start_level(self) -> int:
        """The level that the grid starts with."""
        if self.initial_level is not None:
            return min(self.initial_level, self.finest_level)
        affordable = int(math.log2(max(8.0, self.max_voxels / 8.0)) / 3.0 + 1e-9)
        return max(1, min(FIRST_LEVEL, self.finest_level, affordable))


@dataclass(init=False)
class RenderingConfig(Settings):
    """How pictures are made. `image_width` x `image_height` is the size that intrinsics belong to.

    `soft_rasterization` makes the training mode's pictures differentiable in the camera's pose as well. `sigma` is the width
    of a voxel's Gaussian in shares of its projected half width, `temperature` the distance in scene units over which the
    order in depth is blurred; without `use_soft_sorting` the order is hard. `soft_order` is how: "logistic", or the
    document's "softmax". `depth_sorting` says from which end one thinks of blending; both give the same picture. Without
    `alpha_blending` pictures are not laid over the `background` (a brightness or red, green, blue): rgb is premultiplied.
    `supersample` rays a pixel side are averaged in hard pictures; each crosses a voxel in `samples_per_voxel` samples.
    """

    image_width: int = between(800, 1, 65_535)
    image_height: int = between(600, 1, 65_535)
    soft_rasterization: bool = True
    temperature: float = between(0.1, 0.0)
    sigma: float = between(1.0, 0.0)
    depth_sorting: str = "back_to_front"
    use_soft_sorting: bool = True
    alpha_blending: bool = True
    soft_order: str = "logistic"
    background: float | Triple = 1.0
    samples_per_voxel: int = between(1, 1, 3)
    supersample: int = between(1, 1, 4)
    inference_chunk_size: int = between(262_144, 256)

    def check(self) -> None:
        """Bring values into their types; raise OptionError for what cannot be."""
        super().check()
        flags(self, "soft_rasterization", "use_soft_sorting", "alpha_blending")
        choice(self, "depth_sorting", SORTING)
        choice(self, "soft_order", ORDERS)
        triple(self, "background", one_will_do=True)


@dataclass(init=False)
class TrainingConfig(Settings):
    """What is minimised, and how.

    Terms are weighed by `*_weight`. `learning_rate` 1e-3 stands for 0.4 on raw densities and 0.02 on colours; others scale
    both. `batch_size` is how many pixels of a photo a step looks at, a random window of it; 0: all. `use_amp` computes colours in
    half precision (float16 on a card, bfloat16 on a processor), densities and blending never. Gradients of
    `gradient_accumulation_steps` images make one step; their norm is cut to `grad_clip`, 0: never. `scheduler` lowers the
    rates to `final_rate` of their start over a run, after `warmup_steps` in which they rise. Every `adaptive_every` steps the
    structure is adapted, until `adaptive_until` of a run. With `anneal` sigma and temperature fall geometrically to
    `final_softness` of their start over the run.
    """

    rgb_loss_weight: float = between(1.0, 0.0)
    depth_loss_weight: float = between(0.1, 0.0)
    density_reg_weight: float = between(0.01, 0.0)
    sparsity_weight: float = between(0.001, 0.0)
    learning_rate: float = between(1e-3, 0.0)
    batch_size: int = between(4096, 0)
    use_amp: bool = True
    grad_clip: float = between(1.0, 0.0)
    ssim_weight: float = between(0.1, 0.0)
    perceptual_weight: float = between(0.1, 0.0)
    spatial_weight: float = between(0.0, 0.0)
    grad_penalty_weight: float = between(0.0, 0.0)
    multi_scale_weight: float = between(0.0, 0.0)
    gradient_accumulation_steps: int = between(1, 1)
    scheduler: str = "exponential"
    final_rate: float = between(0.05, 1e-6, 1.0)
    warmup_steps: int = between(0, 0)
    adaptive_every: int = between(100, 1)
    adaptive_until: float = between(0.75, 0.0, 1.0)
    anneal: bool = False
    final_softness: float = between(0.05, 1e-6, 1.0)
    checkpoint_every: int = between(1, 0)
    seed: int = between(0, 0)

    def check(self) -> None:
        """Bring values into their types; raise OptionError for what cannot be."""
        super().check()
        flags(self, "use_amp", "anneal")
        choice(self, "scheduler", SCHEDULERS)


@dataclass(init=False)
class SVRasterOneConfig(Settings):
    """All settings: `voxel`, `rendering`, `training`. A model keeps the object it is given, so changes hold at once."""

    voxel: VoxelConfig = field(default_factory=VoxelConfig)
    rendering: RenderingConfig = field(default_factory=RenderingConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def check(self) -> None:
        """Raise OptionError unless every group is one of its kind."""
        for name, kind in GROUPS.items():
            if not isinstance(getattr(self, name), kind):
                got = type(getattr(self, name)).__name__
                raise OptionError(f"SVRasterOneConfig.{name} must be a {kind.__name__}, got a {got}.")

    def to_dict(self) -> dict[str, Any]:
        """Return every value, JSON-able."""
        return {name: getattr(self, name).to_dict() for name in GROUPS}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> SVRasterOneConfig:
        """Return settings from what `to_dict` gave; what is missing keeps its default."""
        if unknown := set(values) - set(GROUPS):
            raise OptionError(f"SVRasterOneConfig has no {min(unknown)}; it has {', '.join(GROUPS)}.")
        return cls(**{name: GROUPS[name](**group) for name, group in values.items()})


GROUPS: dict[str, type[Settings]] = {
    "voxel": VoxelConfig,
    "rendering": RenderingConfig,
    "training": TrainingConfig,
}
