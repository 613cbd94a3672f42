# SPDX-License-Identifier: MIT
"""Kernels are compiled, or loaded from the disk cache, by using a method once on a tiny scene.

The first time, a process of its own compiles into the cache and this one only loads. Compiling holds Python's lock for
seconds, in which a window could not draw; and a kernel that was just compiled can differ in the last bit from the same
kernel loaded from disk, so a first run would not repeat exactly.

A method's `warm_up` module has `STAGES`, names of work, and `stages(model, together)`, a generator that does a stage and yields;
`together` says that the model trains as one of several processes. It may have `variant(config)`, the options by dotted name
that need kernels of their own: each such set is compiled when it is first used.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from engine.cameras import Camera
from engine.datasets.scene import ImageSource, Scene, Split, View
from engine.methods.common import Method, method_class
from engine.options import build

LONGEST_S = 600.0  # to wait for another process that compiles the same

_compiled: set[Path] = set()  # markers that this process need not look for again

Progress = Callable[[str, int, int], None]  # (stage, done, total); total 0 means unknown


def warm_up(model: Method, progress: Progress | None) -> None:
    """Run every kernel that a model uses once; tell `progress` (stage, done, total)."""
    module = import_module(f"engine.methods.{model.name}.warm_up")
    together = getattr(model, "team", None) is not None
    values = module.variant(model.config) if hasattr(module, "variant") else {}
    compile_elsewhere(model.name, values, progress, together)
    stages: Iterator[None] = module.stages(model, together)
    names: tuple[str, ...] = module.STAGES
    for done, stage in enumerate(names):
        if progress is not None:
            progress(stage, done, len(names))
        next(stages)
    if progress is not None:
        progress(names[-1], len(names), len(names))


def compile_elsewhere(
    method: str, values: dict[str, Any], progress: Progress | None = None, together: bool = False
) -> None:
    """Fill the kernel cache from another process, once per state of the sources. A failure costs only its advantage.

    `values` are the options that need kernels of their own, by dotted name.
    """
    marker = _marker(method, values, together)
    if marker is None or marker in _compiled or marker.exists():
        return
    if progress is not None:
        progress("kernels, once", 0, 0)
    with contextlib.suppress(OSError, Timeout), FileLock(marker.with_suffix(".lock"), timeout=LONGEST_S):
        if not marker.exists():  # another process may have compiled while this one waited
            _compile_in_a_child(method, values, together)
            marker.touch()
    _compiled.add(marker)  # or that it failed: once is enough


def _marker(method: str, values: dict[str, Any], together: bool) -> Path | None:
    """Return the file that says that these kernels were compiled; None without a cache."""
    cache = os.environ.get("NUMBA_CACHE_DIR", "")
    words = [method, *(f"{name}={value}" for name, value in sorted(values.items())), *["together"] * together]
    return Path(cache) / f"{'-'.join(words)}-compiled" if cache else None


def _compile_in_a_child(method: str, values: dict[str, Any], together: bool) -> None:
    """Raises OSError where that did not work."""
    root = str(Path(__file__).resolve().parents[2])
    paths = os.pathsep.join(path for path in (root, os.environ.get("PYTHONPATH", "")) if path)
    code = (
        f"from engine.methods.compiling import compile_all\ncompile_all({method!r}, {values!r}, {together})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": paths},
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    if done.returncode != 0:
        raise OSError(f"the process that compiles ended with {done.returncode}")


def compile_all(method: str, values: dict[str, Any], together: bool = False) -> None:
    """Compile every kernel of a method with these options into the disk cache, by using it; what another process runs.

    `together`: those of a training of several processes.
    """
    marker = _marker(method, values, together)
    if marker is not None:
        _compiled.add(marker)  # whoever asks for them while they are compiled is this process itself
    module, cls = import_module(f"engine.methods.{method}.warm_up"), method_class(method)
    for _ in module.stages(cls(tiny_scene("white"), build(cls.Config, values), 0), together):
        pass


class _Flat(ImageSource):
    """An image source with one grey picture."""

    def load(self, index: int) -> np.ndarray:
        return np.full((16, 16, 3), 0.5, dtype=np.float32)

    def nbytes(self) -> int:
        return 0


def tiny_scene(background: str) -> Scene:
    """Return a scene with one small grey photo."""
    pose = np.eye(4)
    pose[2, 3] = -1.5
    views = (View("warm-up", Camera.from_fov(16, 16, 0.8, pose)),)
    split = Split(views, _Flat())
    up = np.array([0.0, -1.0, 0.0])
    return Scene("warm-up", "", "built-in", split, Split((), _Flat()), background, 0, np.eye(4), up)
