# SPDX-License-Identifier: MIT
"""What every method (SVRaster, Plenoxels, InfNeRF) offers the worker, and the registry that finds one by name.

All calls come from one thread (`engine/worker.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

import numpy as np

from engine import devices
from engine.cameras import Camera
from engine.datasets.scene import Scene
from engine.errors import UserError

VIEW_MODES = ("colour", "depth", "normal", "alpha", "error", "level", "size", "samples", "soft", "node")
NO_COLOUR = (
    "no colour"  # among what is wanted of a view: nobody looks at `Buffers.rgb`, which may be anything
)
VALUE_MODES = ("density", "age", "weight", "priority")  # view modes as well, of a number that each voxel has
LOGARITHMIC_MODES = ("size", "density", "weight", "priority")  # their colours stand for factors
# What a method may be able to do with its structure; a front end disables what it cannot, and says why.
CAPABILITIES = (
    *VALUE_MODES, "levels", "crop", "slice", "preview_boxes", "pick", "details", "train_region", "delete_region",
    "prune_region", "subdivide_region", "undo",
)  # fmt: skip


@dataclass(frozen=True)
class StepReport:
    """What one training step did. `losses` are (name, weighted value) pairs; `psnr` is of the view that was trained on.

    `others` are (view, PSNR) of the views that other processes took in the same step.
    """

    step: int
    view: int
    losses: tuple[tuple[str, float], ...]
    psnr: float
    adapted: AdaptReport | None = None
    others: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class AdaptReport:
    """What a structure change did, or would do (a preview)."""

    step: int
    before: int
    pruned: int
    split: int
    after: int
    reason: str = ""


@dataclass(frozen=True)
class StructureStats:
    """Voxel counts. `per_level[l]` counts leaves of level l (0..16); levels above `outside_levels` lie in the cube."""

    voxels: int
    points: int
    per_level: tuple[int, ...]
    bytes: int
    budget: int
    occupancy: float


@dataclass(frozen=True)
class Buffers:
    """A rendered view; everything asked for is there, the rest is None.

    `rgb [H,W,3]` float32 with the background in it, `trans [H,W]` what is left of the light, `depth_z [H,W]` mean depth
    along the camera axis divided by opacity (0 where nothing is), `depth_median [H,W]`, `normal [H,W,3]` in the world,
    facing the viewer, unit or zero; `count [H,W]` int32 contributing voxels; `level`, `size [H,W]` opacity-weighted means;
    `soft [H,W,3]` the picture as the soft objective sees it, that of `rgb` in methods that have none; `node [H,W,3]` the
    picture in colours that tell the fields of an octree apart, in methods that have such; `value [H,W]` the opacity-weighted
    mean of the one number of VALUE_MODES that was asked for.
    """

    rgb: np.ndarray
    trans: np.ndarray
    depth_z: np.ndarray | None = None
    depth_median: np.ndarray | None = None
    normal: np.ndarray | None = None
    count: np.ndarray | None = None
    level: np.ndarray | None = None
    size: np.ndarray | None = None
    soft: np.ndarray | None = None
    node: np.ndarray | None = None
    value: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Histogram:
    """How a number of VALUE_MODES is distributed: `edges [bins+1]` float32, `counts [levels,bins]` int64, a row a level.

    `logarithmic` says that the edges grow by a factor.
    """

    name: str
    edges: np.ndarray
    counts: np.ndarray
    logarithmic: bool = False


@dataclass(frozen=True)
class PickedVoxel:
    """The numbers of one voxel, and what it does in the pixel it was picked at.

    `densities` are raw, at the corners 4 x + 2 y + z; `density` is that in its middle, per engine unit;
    `colour_dc` is without what depends on the view, `colour` as it is seen. `weight`, `priority` and `age` (steps) are None
    where the method does not know them. `alpha` is its opacity along the ray, `contribution` its share of the pixel, `depth`
    the distance along the ray to where the ray enters it.
    """

    index: int
    centre: tuple[float, float, float]
    edge: float
    level: int
    densities: tuple[float, ...]
    density: float
    colour_dc: tuple[float, float, float]
    colour: tuple[float, float, float]
    alpha: float
    contribution: float
    depth: float
    weight: float | None = None
    priority: float | None = None
    age: int | None = None


@dataclass(frozen=True, eq=False)
class Frozen:
    """A model as it was at a step: `method` can only `render`. `bytes` were copied for it."""

    method: Any
    bytes: int


@dataclass(frozen=True)
class NodeUse:
    """What the last view needed of a model of many nodes. `resident_bytes` are in memory, of `model_bytes` in all.

    `per_level[l]` counts the nodes of level l that the view touched. `budget_bytes` 0 means that the whole model stays in
    memory; else nodes come from disk: `hits`, `misses` and `loading` are the cache's.
    """

    per_level: tuple[int, ...]
    touched_bytes: int
    model_bytes: int
    resident_bytes: int
    budget_bytes: int = 0
    hits: int = 0
    misses: int = 0
    loading: int = 0


class Method(Protocol):
    """One radiance field in training on one scene.

    Its class may have
    - `refine`, the word for `subdivide_now` that people are shown; without it, that is "Subdivide";
    - `unit`, what it consists of, instead of "voxels";
    - `node_use()`, the NodeUse of the last view, None before the first;
    - `slow_views = True`, if views may take seconds: its `interrupt` is None or a function that `render` calls every few
      milliseconds; where that says True, `render` raises `engine.errors.Interrupted`;
    - `rest()`, or `rest_in(folder)`, which drops what only training needs, until `load_state`;
    - `inspection`, an `engine.methods.inspection.Inspection`: what a person can do with its structure; then `render` takes
      `shown`, an `engine.region.Shown`, as well.
    """

    name: str
    scene: Scene
    config: Any
    step: int
    card: str  # the graphics card that it runs on, "" on the processor

    def train_step(self) -> StepReport:
        """Take one step, structure changes included when they are due."""

    def exclude(self, views: frozenset[int]) -> None:
        """Train on all training views but these from now on. The worker never asks to leave all of them out."""

    def render(
        self,
        camera: Camera,
        want: frozenset[str] = frozenset(),
        *,
        supersample: float | None = None,
        background: tuple[float, float, float] | None = None,
    ) -> Buffers:
        """Render a view. `want` names optional fields of Buffers, or one of VALUE_MODES for Buffers.value, None where the
        method does not know it; `background` None takes the scene's own.

        `supersample` rays a pixel side are averaged; None takes what the method is evaluated with.
        """

    def frozen(self) -> Frozen:
        """Return a copy that looks the same whatever becomes of the model: further steps, another structure, its end."""

    def structure(self) -> StructureStats:
        """Count voxels. Cheap enough for every refresh."""

    def preview_adapt(self) -> AdaptReport:
        """Say what `prune_now` and `subdivide_now` would do with the present options, changing nothing."""

    def prune_now(self) -> AdaptReport:
        """Drop the voxels below the pruning threshold."""

    def subdivide_now(self) -> AdaptReport:
        """Split the voxels of highest priority."""

    def boxes(self, levels: tuple[int, ...], limit: int) -> np.ndarray:
        """Return up to `limit` leaves of the given levels as [n,4] float32: centre x y z and edge, for wireframes."""

    def set_options(self, values: dict[str, Any]) -> None:
        """Change live options by dotted name; others raise OptionError."""

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return (tensors, JSON-able header) from which `load_state` continues exactly."""

    def load_state(self, tensors: dict[str, np.ndarray], header: dict[str, Any]) -> None:
        """Take over a state written by `state`, by this or another process."""


_METHODS = {
    "svraster": ("engine.methods.svraster", "SVRaster"),
    "plenoxels": ("engine.methods.plenoxels", "Plenoxels"),
    "infnerf": ("engine.methods.infnerf", "InfNeRF"),
}
_ON_CARD = {  # they take `device` as well
    "svraster": ("engine.methods.svraster.on_cuda", "SVRasterOnCuda"),
    "plenoxels": ("engine.methods.plenoxels.on_cuda", "PlenoxelsOnCuda"),
}


def method_names() -> tuple[str, ...]:
    """Return the names that `create_method` knows."""
    return tuple(_METHODS)


def method_title(name: str) -> str:
    """Return a method's name as people write it; an unknown one's as it is."""
    return _METHODS[name][1] if name in _METHODS else name


def method_class(name: str) -> type:
    """Return the class of a method; it has `Config`, a configuration dataclass, and takes (scene, config, seed)."""
    if name not in _METHODS:
        raise UserError(f"There is no method {name!r}; choose one of {', '.join(_METHODS)}.")
    module, attribute = _METHODS[name]
    return getattr(import_module(module), attribute)


def create_method(name: str, scene: Scene, config: Any = None, seed: int = 0) -> Method:
    """Return a fresh, untrained method on a scene, on the device of `engine.devices.chosen`.

    `config` None takes the method's defaults.
    """
    cls = method_class(name)
    config = cls.Config() if config is None else config
    device = devices.chosen() if name in _ON_CARD else "cpu"
    if device == "cpu":
        return cls(scene, config, seed)
    module, attribute = _ON_CARD[name]
    return getattr(import_module(module), attribute)(scene, config, seed, device=device)
