# SPDX-License-Identifier: MIT
"""A clock that only moves when told, a scene of grey photos and a method that trains by counting."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from engine.cameras import Camera
from engine.datasets.scene import ImageSource, Scene, Split, View
from engine.errors import SceneError
from engine.methods.common import AdaptReport, Buffers, Frozen, StepReport, StructureStats
from engine.options import option, updated

SIZE = 12  # pixels a side of a photo; a whole SSIM window


class FakeClock:
    """Seconds that pass only in `sleep`."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@dataclass(frozen=True)
class FakeRates:
    """A group of options."""

    density: float = option(0.4, "How fast the number grows.", minimum=0.0, maximum=10.0, live=True)


@dataclass(frozen=True)
class FakeConfig:
    """Options of the fake method."""

    rates: FakeRates = field(default_factory=FakeRates)
    levels: int = option(5, "How deep it is.", minimum=1, maximum=9)
    smooth: bool = option(False, "Whether it is smooth.", live=True)
    loss: str = option("mse", "What is minimised.", choices=("mse", "l1"), live=True)


class FakeMethod:
    """Its model is one number, which grows by `rates.density` a step. A step takes 15 ms of the clock, a view 10 ms."""

    name = "fake"
    card = ""
    Config = FakeConfig

    def __init__(
        self, scene: Scene, config: FakeConfig, seed: int = 0, clock: FakeClock | None = None
    ) -> None:
        self.scene, self.config, self.seed = scene, config, seed
        self.step = 0
        self.value = 0.0
        self.voxels = 100
        self.rng = np.random.default_rng(seed)
        self.clock = clock or FakeClock()
        self.rendered: list[Camera] = []
        self.fail_step: Exception | None = None
        self.fail_view: Exception | None = None
        self.excluded: frozenset[int] = frozenset()

    def exclude(self, views: frozenset[int]) -> None:
        self.excluded = views

    def train_step(self) -> StepReport:
        if self.fail_step is not None:
            raise self.fail_step
        self.clock.sleep(0.015)
        self.step += 1
        self.value += self.config.rates.density * float(self.rng.random())
        adapted = self.subdivide_now() if self.step % 50 == 0 else None
        views = [i for i in range(len(self.scene.train)) if i not in self.excluded]
        view = views[(self.step - 1) % len(views)]  # in turn
        return StepReport(self.step, view, (("mse", 1.0 / self.step),), 20.0 + view, adapted)

    def render(self, camera: Camera, want: frozenset[str] = frozenset(), **_: Any) -> Buffers:
        if self.fail_view is not None:
            raise self.fail_view
        self.clock.sleep(0.010)
        self.rendered.append(camera)
        shape = (camera.height, camera.width)
        depth = np.full(shape, 2.0, np.float32)
        depth[0] = 0.0
        return Buffers(np.full((*shape, 3), 0.5, np.float32), np.zeros(shape, np.float32), depth_z=depth)

    def frozen(self) -> Frozen:
        return Frozen(copy.copy(self), 800)

    def structure(self) -> StructureStats:
        return StructureStats(self.voxels, 8, (0,) * 5 + (self.voxels,) + (0,) * 11, 800, 1000, 0.5)

    def preview_adapt(self) -> AdaptReport:
        return AdaptReport(self.step, self.voxels, 10, 5, self.voxels + 25)

    def prune_now(self) -> AdaptReport:
        self.voxels -= 10
        return AdaptReport(self.step, self.voxels + 10, 10, 0, self.voxels, "prune now")

    def subdivide_now(self) -> AdaptReport:
        self.voxels += 7
        return AdaptReport(self.step, self.voxels - 7, 0, 1, self.voxels, "subdivide now")

    def boxes(self, levels: tuple[int, ...], limit: int) -> np.ndarray:
        return np.zeros((min(limit, self.voxels), 4), np.float32)

    def set_options(self, values: dict[str, Any]) -> None:
        self.config = updated(self.config, values)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        tensors = {"value": np.array(self.value), "voxels": np.array([self.voxels])}
        return tensors, {"step": self.step, "rng": self.rng.bit_generator.state}

    def load_state(self, tensors: dict[str, np.ndarray], header: dict[str, Any]) -> None:
        self.value, self.voxels = float(tensors["value"]), int(tensors["voxels"][0])
        self.step = header["step"]
        self.rng.bit_generator.state = header["rng"]


class GreyPhotos(ImageSource):
    """Photos of one grey."""

    def load(self, index: int) -> np.ndarray:
        return np.full((SIZE, SIZE, 3), 0.6, np.float32)

    def nbytes(self) -> int:
        return 0


def camera_at(x: float = 0.0, size: int = SIZE) -> Camera:
    """A camera at (x, 0, -2) that looks along z."""
    pose = np.eye(4)
    pose[:3, 3] = x, 0.0, -2.0
    return Camera.from_fov(size, size, 0.8, pose)


def make_scene(n_test: int = 2) -> Scene:
    """A scene of 4 training views."""
    views = [View(f"{i}.png", camera_at(0.1 * i)) for i in range(4 + n_test)]
    train, test = Split(tuple(views[:4]), GreyPhotos()), Split(tuple(views[4:]), GreyPhotos())
    up = np.array([0.0, -1.0, 0.0])
    return Scene("grey", "grey", "fake", train, test, "white", 0, np.eye(4), up)


def load_fake_scene(path: str, values: dict[str, Any], report: Any) -> Scene:
    """Any path is a scene unless "missing" is in it."""
    if "missing" in str(path):
        raise SceneError(f"Cannot read {path}: a scene was wanted there and nothing is. Correct the path.")
    report("decoding", 1, 1)
    return make_scene()


def run_until(worker: Any, done: Any, limit: int = 20_000) -> None:
    """Turn a worker that was not started until `done()`."""
    for _ in range(limit):
        if done():
            return
        worker.turn()
    raise AssertionError("the worker never got there")


def checkpoint_steps(run: Path) -> list[int]:
    """The steps of the checkpoints in a run folder."""
    return sorted(int(p.name[5:-12]) for p in (run / "checkpoints").glob("step-*.safetensors"))
