# SPDX-License-Identifier: MIT
"""Kernels are compiled, or loaded from the disk cache, by training and looking at eight voxels.

The first time, a process of its own compiles into the cache and this one only loads. Compiling holds Python's lock for
seconds, in which a window could not draw; and a kernel that was just compiled can differ in the last bit from the same
kernel loaded from disk, so a first run would not repeat exactly.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.cameras import Camera
from engine.datasets.scene import ImageSource, Scene, Split, View
from engine.parallel import Solo

if TYPE_CHECKING:
    from engine.methods.svraster.model import SVRaster

STAGES = ("training kernels", "structure kernels", "view kernels")


def warm_up(model: SVRaster, progress: Callable[[str, int, int], None] | None) -> None:
    """Run every kernel that a model uses once, on a small twin; tell `progress` (stage, done, total)."""
    _compile_elsewhere(progress, model.team is not None)
    stages = _stages(model, model.team is not None)
    for done, stage in enumerate(STAGES):
        if progress is not None:
            progress(stage, done, len(STAGES))
        next(stages)
    if progress is not None:
        progress(STAGES[-1], len(STAGES), len(STAGES))


def _compile_elsewhere(progress: Callable[[str, int, int], None] | None, together: bool) -> None:
    """Fill the kernel cache from another process, once per state of the sources. A failure costs only its advantage."""
    cache = os.environ.get("NUMBA_CACHE_DIR", "")
    marker = Path(cache) / ("svraster-together-compiled" if together else "svraster-compiled")
    if not cache or marker.exists():
        return
    if progress is not None:
        progress("kernels, once", 0, 0)
    root = str(Path(__file__).resolve().parents[3])
    paths = os.pathsep.join(path for path in (root, os.environ.get("PYTHONPATH", "")) if path)
    code = (
        "from engine.methods.svraster.model import SVRaster\n"
        "from engine.methods.svraster.warm_up import compile_all\n"
        f"compile_all(SVRaster, together={together})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": paths},
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    if done.returncode == 0 and marker.parent.is_dir():
        with contextlib.suppress(OSError):
            marker.touch()


def compile_all(method: type[SVRaster], together: bool = False) -> None:
    """Compile every kernel into the disk cache, by using it; what `_compile_elsewhere` runs.

    `together`: those of a training of several processes.
    """
    for _ in _stages(method(_tiny_scene("white"), method.Config(), seed=0), together):
        pass


def _stages(model: SVRaster, together: bool) -> Iterator[None]:
    config = model.config
    small = dataclasses.replace(config, model=dataclasses.replace(config.model, initial_level=1))
    twin = type(model)(_tiny_scene(model.scene.background), small, seed=0)
    if together:
        twin.join(Solo())
    twin.train_step()
    yield
    twin.octree.subdivide(np.ones(8, dtype=bool))
    twin.move_to(*twin.octree.keep(np.arange(8) < 7))
    yield
    twin.render(twin.scene.train.views[0].camera, frozenset({"depth_z"}))
    yield


class _Flat(ImageSource):
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
