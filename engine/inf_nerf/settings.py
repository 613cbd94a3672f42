# SPDX-License-Identifier: MIT
"""The settings of the InfNeRF library, by the names of its document; checked whenever one is set.

What the document leaves open is settled here, once, and listed in docs/inf_nerf.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import OptionError
from engine.settings import Settings, between, choice, flags, triple

Triple = tuple[float, float, float]
PARALLEL = ("data", "subtree")
_MOST = 1 << 20  # samples or rays in one go; more is a slip of the keyboard


@dataclass(init=False)
class InfNeRFConfig(Settings):
    """What the tree and its fields are, and how rays are sampled.

    The root's cube is `scene_bound` to each side of `scene_center`, in scene units. `max_depth` limits the levels, the root's
    counted; how many nodes there are is up to the points (`InfNeRF.build_octree`): a child is made where more than `min_points`
    of them show finer detail. A node's finest detail is its edge / (`grid_size` * `gsd_divisor`).

    Every node has a hash grid of `grid_levels` levels from `base_resolution` to `grid_size` cells a side, each with at most
    2^`log2_hashmap_size` entries of two numbers, and networks `hidden_dim` wide, a multiple of 16; density hands
    `geometry_dim` numbers on to the colour. Densities are exponentials times `density_unit` per scene unit (None:
    1 / `scene_bound`). `appearance_dim` numbers a photo (0: none) are shared by all nodes, for `num_photos` photos.

    A ray takes `num_samples` samples, drawn where rounds of `proposal_samples` samples found density; None: one round of
    `num_samples`. (192, 96) with 48 samples are the published ones. With `occupancy_cells` (a power of two from 4; 0: not)
    nodes remember their densities on grids of so many cells a side, as in the app, and rays take up to `num_samples` samples
    where these say that something may be, about `sample_spacing` times their node's detail apart: `sample_candidates`
    pieces of a ray are told apart, behind the cube `outside_candidates`; `sample_padding` is the share spread evenly,
    and none lie where less light than `stop_transmittance` is left. `jitter` moves footprints by up to half a level in
    training. `unbounded` rays go on to `far_plane` behind the cube, else they end with it; `near_plane` and `far_plane` are in
    units of `scene_bound`. Pictures are laid over `background`, a brightness or red, green, blue; with
    `random_background` training draws one for each batch. `gradient_checkpointing` computes fields once more for their
    gradients instead of remembering them.
    """

    max_depth: int = between(8, 1, 20)
    hidden_dim: int = between(64, 16, 128)
    num_samples: int = between(64, 2, _MOST)
    scene_bound: float = between(1.0, 1e-9, 1e9)
    scene_center: Triple = (0.0, 0.0, 0.0)
    grid_size: int = between(128, 2, 1 << 16)
    grid_levels: int = between(8, 1, 16)
    base_resolution: int = between(16, 1, 1 << 16)
    log2_hashmap_size: int = between(14, 4, 24)
    geometry_dim: int = between(15, 1, 15)
    appearance_dim: int = between(0, 0, 64)
    num_photos: int = between(0, 0)
    density_unit: float | None = between(None, 1e-12, 1e12)
    gsd_divisor: float = between(2.0, 0.01, 100.0)
    min_points: int = between(0, 0)
    proposal_samples: tuple[int, ...] | None = None
    occupancy_cells: int = between(0, 0, 64)
    sample_spacing: float = between(2.0, 0.1, 64.0)
    sample_candidates: int = between(96, 8, 4096)
    outside_candidates: int = between(32, 1, 4096)
    sample_padding: float = between(0.25, 0.0, 1.0)
    stop_transmittance: float = between(1e-3, 0.0, 0.5)
    jitter: bool = True
    unbounded: bool = False
    near_plane: float = between(0.03, 0.0)
    far_plane: float = between(100.0, 0.0)
    background: float | Triple = 1.0
    random_background: bool = False
    gradient_checkpointing: bool = False
    seed: int = between(0, 0)

    def check(self) -> None:
        """Bring values into their types; raise OptionError for what cannot be."""
        super().check()
        flags(self, "jitter", "unbounded", "random_background", "gradient_checkpointing")
        triple(self, "scene_center")
        triple(self, "background", one_will_do=True)
        if self.hidden_dim % 16:
            raise OptionError(f"InfNeRFConfig.hidden_dim must be a multiple of 16, got {self.hidden_dim}.")
        if self.base_resolution > self.grid_size:
            raise OptionError(
                f"InfNeRFConfig.base_resolution must be at most grid_size, got {self.base_resolution} and {self.grid_size}."
            )
        if self.occupancy_cells not in (0, 4, 8, 16, 32, 64):
            raise OptionError(
                f"InfNeRFConfig.occupancy_cells must be 0 or a power of two from 4 to 64, got {self.occupancy_cells}."
            )
        if self.near_plane >= self.far_plane:
            raise OptionError(
                f"InfNeRFConfig.near_plane must be below far_plane, got {self.near_plane:g} and {self.far_plane:g}."
            )
        rounds = self.proposal_samples
        if rounds is None:
            return
        whole = isinstance(rounds, Sequence) and all(isinstance(n, int) and 2 <= n <= _MOST for n in rounds)
        if not whole or not rounds:
            raise OptionError(
                f"InfNeRFConfig.proposal_samples must be None or samples of each round, 2 or more, got {rounds!r}."
            )
        self.__dict__["proposal_samples"] = tuple(rounds)

    @property
    def density_scale(self) -> float:
        """What `density_unit` says, per scene unit."""
        return 1.0 / self.scene_bound if self.density_unit is None else self.density_unit

    @property
    def rounds(self) -> tuple[int, ...]:
        """The samples of every proposal round, then of the last one, whose samples carry gradients."""
        return (*(self.proposal_samples or (self.num_samples,)), self.num_samples)


@dataclass(init=False)
class VolumeRendererConfig(Settings):
    """What the terms of the loss weigh.

    The document shows 0.01 for `lambda_distortion`; 0.002 is the published weight, of the mean over rays.
    """

    lambda_rgb: float = between(1.0, 0.0)
    lambda_depth: float = between(0.1, 0.0)
    lambda_distortion: float = between(0.002, 0.0)
    lambda_level: float = between(0.01, 0.0)
    lambda_transparency: float = between(0.001, 0.0)


@dataclass(init=False)
class InfNeRFTrainerConfig(Settings):
    """How long and how fast is trained, by whom, and what is written down.

    `num_epochs` passes over all pixels of the photos and of their `pyramid_levels` - 1 halved copies, or `max_steps` batches
    of `rays_batch_size` rays if that is sooner (0: no limit). The rate falls from `lr_init` to `lr_final` exponentially over
    `lr_decay_steps` steps (0: over the run). Every `validate_every` steps (0: every epoch) the held-out views are rendered;
    after `early_stop` of these without a better PSNR training ends (0: never). `best.pth` and `last.pth` go into
    `checkpoint_dir`, "" for nowhere; `resume` goes on from the last. Every `prune_every` steps (0: never) nodes that show next to
    nothing are dropped.

    `mixed_precision` computes networks in half precision, densities and compositing never. `distributed` trains in the
    processes that torchrun started, `local_rank` (None: torchrun's) says on which card of a machine; `parallel` "data" divides
    the rays of a batch, "subtree" the nodes of the tree. The terms between levels look at `regularised_nodes` random
    nodes a step, at `regularised_points` points of each.
    """

    num_epochs: int = between(100, 0)
    lr_init: float = between(1e-2, 0.0)
    rays_batch_size: int = between(4096, 1, _MOST)
    mixed_precision: bool = False
    distributed: bool = False
    local_rank: int | None = between(None, 0)
    parallel: str = "data"
    max_steps: int = between(0, 0)
    lr_final: float = between(1e-4, 0.0)
    lr_decay_steps: int = between(0, 0)
    pyramid_levels: int = between(5, 1, 12)
    regularised_nodes: int = between(4, 0)
    regularised_points: int = between(2048, 1)
    validate_every: int = between(0, 0)
    validate_views: int = between(8, 1)
    early_stop: int = between(0, 0)
    prune_every: int = between(2000, 0)
    log_every: int = between(100, 0)
    checkpoint_dir: str = "checkpoints"
    resume: bool = False
    seed: int = between(0, 0)

    def check(self) -> None:
        """Bring values into their types; raise OptionError for what cannot be."""
        super().check()
        flags(self, "mixed_precision", "distributed", "resume")
        choice(self, "parallel", PARALLEL)
        self.__dict__["checkpoint_dir"] = str(self.checkpoint_dir)

    @property
    def folder(self) -> Path | None:
        """Where checkpoints go."""
        return Path(self.checkpoint_dir) if self.checkpoint_dir else None


@dataclass(init=False)
class InfNeRFRendererConfig(Settings):
    """The size of pictures and how they are made.

    `image_width` x `image_height` pixels; intrinsics of another size are brought to it. Rays are made
    `max_rays_per_batch` at a time, and go through the fields `render_chunk_size` at a time. What `render_image`
    writes to a file has the depth (.npy, scene units) beside it with `save_depth`, and the opacity (16-bit .png) with
    `save_alpha`. Videos have `fps` pictures a second.
    """

    image_width: int = between(800, 1, 65_535)
    image_height: int = between(600, 1, 65_535)
    render_chunk_size: int = between(4096, 1, _MOST)
    max_rays_per_batch: int = between(16_384, 1, 1 << 28)
    save_depth: bool = False
    save_alpha: bool = False
    fps: float = between(30.0, 1.0, 240.0)

    def check(self) -> None:
        """Bring values into their types; raise OptionError for what cannot be."""
        super().check()
        flags(self, "save_depth", "save_alpha")

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.image_height, self.image_width
