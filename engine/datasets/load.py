# SPDX-License-Identifier: MIT
"""Opens a scene: finds out what a path holds and hands it to the right reader."""

from __future__ import annotations

from pathlib import Path

from engine.datasets.blender import TRAIN_FILE, load_blender
from engine.datasets.checks import cannot_read
from engine.datasets.images import Progress
from engine.datasets.options import SceneOptions
from engine.datasets.scene import Scene
from engine.datasets.transforms import load_transforms

_BLENDER_FILES = ("transforms_train.json", "transforms_test.json", "transforms_val.json")


def load_scene(
    path: str | Path, options: SceneOptions | None = None, progress: Progress | None = None
) -> Scene:
    """Return the scene at a path: a folder, its transforms.json, or the word "demo". Raises SceneError.

    `progress(stage, done, total)` is called from this thread while photos are decoded.
    """
    options = SceneOptions() if options is None else options
    if str(path) == "demo":
        from engine.datasets.demo import load_demo

        return load_demo(options, progress)
    path = Path(path).expanduser()
    if not path.exists():
        raise cannot_read(path, "a scene was wanted there and nothing is", 'correct the path, or open "demo"')
    if path.is_dir():
        return _load_folder(path, options, progress)
    if path.suffix.lower() != ".json":
        problem = f"a scene folder or a transforms.json was wanted, got a {path.suffix or 'nameless'} file"
        raise cannot_read(path, problem, "open the folder that holds the posed photos")
    if path.name in _BLENDER_FILES and (path.parent / TRAIN_FILE).is_file():
        return load_blender(path.parent, options, progress)
    return load_transforms(path, options, progress)


def _load_folder(folder: Path, options: SceneOptions, progress: Progress | None) -> Scene:
    if (folder / TRAIN_FILE).is_file():
        return load_blender(folder, options, progress)
    if (folder / "transforms.json").is_file():
        return load_transforms(folder / "transforms.json", options, progress)
    problem = "this is not a scene: transforms.json or transforms_train.json was wanted, neither is there"
    raise cannot_read(folder, problem, _hint(folder))


def _hint(folder: Path) -> str:
    """Say what to do about a folder without a transforms file, by what else lies in it."""
    inside = sorted(path.parent.name for path in folder.glob("*/transforms*.json"))
    if inside:
        return f"open {folder / inside[0]} instead"
    if (folder / "sparse").is_dir() or (folder / "poses_bounds.npy").is_file():
        return "convert its COLMAP or LLFF poses with nerfstudio's ns-process-data, as these are not read yet"
    return "choose a folder of posed photos, or make poses with COLMAP or nerfstudio first"
