# SPDX-License-Identifier: MIT
"""Opens a scene: finds out what a path holds and hands it to the right reader."""

from __future__ import annotations

from pathlib import Path

from engine.datasets.images import Progress
from engine.datasets.options import SceneOptions
from engine.datasets.recognise import NotASceneError, recognise
from engine.datasets.scene import Scene


def load_scene(
    path: str | Path, options: SceneOptions | None = None, progress: Progress | None = None
) -> Scene:
    """Return the scene at a path: a folder, one of its files of poses, or a word of `BUILT_IN`. Raises SceneError.

    What is no scene raises `NotASceneError`, which says what it is and what to do with it.
    `progress(stage, done, total)` is called from this thread while photos are decoded.
    """
    options = SceneOptions() if options is None else options
    found = recognise(path)
    if found.kind == "demo":
        from engine.datasets.demo import load_demo

        return load_demo(options, progress)
    if found.kind == "city":
        from engine.datasets.city import load_city

        return load_city(options, progress)
    if found.kind == "blender":
        from engine.datasets.blender import load_blender

        return load_blender(found.path, options, progress)
    if found.kind == "transforms":
        from engine.datasets.transforms import load_transforms

        return load_transforms(found.path, options, progress)
    if found.kind == "colmap":
        from engine.datasets.colmap import load_colmap

        return load_colmap(found.path, options, progress)
    if found.kind == "llff":
        from engine.datasets.llff import load_llff

        return load_llff(found.path, options, progress)
    raise NotASceneError(Path(path).expanduser(), found)
