# SPDX-License-Identifier: MIT
"""Kernels are compiled, or loaded from the disk cache, by training and looking at eight voxels."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from engine.cameras import Camera
from engine.datasets.scene import Scene, Split, View

if TYPE_CHECKING:
    from engine.methods.svraster.model import SVRaster

STAGES = ("training kernels", "structure kernels", "view kernels")


def warm_up(model: SVRaster, progress: Callable[[str, int, int], None] | None) -> None:
    """Run every kernel that a model uses once, on a small twin; tell `progress` (stage, done, total)."""
    stages = _stages(model)
    for done, stage in enumerate(STAGES):
        if progress is not None:
            progress(stage, done, len(STAGES))
        next(stages)
    if progress is not None:
        progress(STAGES[-1], len(STAGES), len(STAGES))


def _stages(model: SVRaster) -> Iterator[None]:
    config = model.config
    small = dataclasses.replace(config, model=dataclasses.replace(config.model, initial_level=1))
    twin = type(model)(_tiny_scene(model.scene.background), small, seed=0)
    twin.train_step()
    yield
    twin.octree.subdivide(np.ones(8, dtype=bool))
    twin.move_to(*twin.octree.keep(np.arange(8) < 7))
    yield
    twin.render(twin.scene.train.views[0].camera, frozenset({"depth_z"}))
    yield


class _Flat:
    """An image source with one grey picture."""

    def load(self, index: int) -> np.ndarray:
        return np.full((16, 16, 3), 0.5, dtype=np.float32)

    def nbytes(self) -> int:
        return 0


def _tiny_scene(background: str) -> Scene:
    pose = np.eye(4)
    pose[2, 3] = -1.5
    views = (View("warm-up", Camera.from_fov(16, 16, 0.8, pose)),)
    split = Split(views, _Flat())
    up = np.array([0.0, -1.0, 0.0])
    return Scene("warm-up", "", "built-in", split, Split((), _Flat()), background, 0, np.eye(4), up)
