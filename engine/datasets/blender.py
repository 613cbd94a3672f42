# SPDX-License-Identifier: MIT
"""Reader of synthetic Blender scenes: `transforms_train.json`, `transforms_test.json`, RGBA cut-outs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engine.datasets.assemble import Layout, build_scene
from engine.datasets.checks import check_enough, read_json
from engine.datasets.images import Progress, are_cut_out
from engine.datasets.normalise import foreground_cube, sees
from engine.datasets.options import SceneOptions
from engine.datasets.scene import Scene
from engine.datasets.shots import Shot, hold_out
from engine.datasets.transforms import OUTSIDE_LEVELS, read_shots

EDGE = 3.0  # by convention of this format the object lies within 1.5 units of the origin
TRAIN_FILE, TEST_FILE = "transforms_train.json", "transforms_test.json"


def load_blender(folder: Path, options: SceneOptions, progress: Progress | None) -> Scene:
    """Return the scene of a Blender folder. Without test photos every 8th training photo is held out."""
    path = folder / TRAIN_FILE
    train, warnings = read_shots(path, read_json(path), options)
    check_enough(path, train)
    test, test_warnings = _read_test(folder / TEST_FILE, options)
    warnings += test_warnings
    if not test:
        train, test = hold_out(train)
        if test:
            warnings.append(f"There are no photos for {TEST_FILE}, so every 8th training photo is held out.")
    layout = _layout([*train, *test])
    if layout.edge != EDGE:
        warnings.append("The cameras do not look at the origin, so the scene box was placed where they look.")
    return build_scene(path, "blender", train, test, layout, options, warnings, progress)


def _read_test(path: Path, options: SceneOptions) -> tuple[list[Shot], list[str]]:
    """Return the shots of the test file, none where it or all its photos are missing."""
    if not path.is_file():
        return [], []
    return read_shots(path, read_json(path), options, required=False)


def _layout(shots: list[Shot]) -> Layout:
    """Return the format's own cube, or one where the cameras look if under half of them see the origin."""
    poses = np.stack([shot.world_from_cam for shot in shots])
    fov = np.array(
        [2.0 * np.arctan(0.5 * max(s.lens.width / s.lens.fx, s.lens.height / s.lens.fy)) for s in shots]
    )
    if sees(poses, fov, np.zeros(3)).mean() >= 0.5:
        return Layout(np.zeros(3), EDGE, "white", 0)
    cut_out = are_cut_out([shot.path for shot in shots])
    return Layout(
        *foreground_cube(poses), "white" if cut_out else "learned", 0 if cut_out else OUTSIDE_LEVELS
    )
