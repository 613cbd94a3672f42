# SPDX-License-Identifier: MIT
"""The foreground cube where a person wants it: named by scene options, or moved on a scene that is open.

A cube is a centre [3] and an edge in the data's units, its axes those of the files.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from engine.conventions import move_pose
from engine.datasets.normalise import engine_from_data
from engine.datasets.options import SceneOptions
from engine.datasets.scene import ImageSource, Scene, Split
from engine.errors import OptionError


def chosen_box(options: SceneOptions, centre: np.ndarray, edge: float) -> tuple[np.ndarray, float]:
    """Return the cube that the options ask for, given the one that was found automatically.

    A given edge stands as it is; `scene_scale` only enlarges the automatic one.
    """
    if options.box_centre.strip():
        centre = centre_of_text(options.box_centre)
    return centre, options.box_edge if options.box_edge > 0.0 else edge * options.scene_scale


def centre_of_text(text: str) -> np.ndarray:
    """Return the point [3] written as three numbers, or raise OptionError."""
    parts = text.replace(",", " ").split()
    try:
        point = np.array([float(part) for part in parts])
    except ValueError:
        point = np.zeros(0)
    if point.shape != (3,) or not np.isfinite(point).all():
        raise OptionError(f"Option box_centre must be three numbers such as 0.5,0,-2, got {text!r}.")
    return point


def text_of_centre(centre: np.ndarray) -> str:
    """Return a point [3] as the option box_centre holds it."""
    return ",".join(repr(float(value)) for value in centre)


def box_of(data_from_engine: np.ndarray) -> tuple[np.ndarray, float]:
    """Return centre [3] and edge of a scene's cube in data units, from `Scene.data_from_engine [4,4]`."""
    return data_from_engine[:3, 3].copy(), float(np.cbrt(np.linalg.det(data_from_engine[:3, :3])))


def with_box(scene: Scene, centre: np.ndarray, edge: float) -> Scene:
    """Return the same scene, photos and all, normalised to another cube."""
    matrix = engine_from_data(centre, edge)
    new_from_old = matrix @ scene.data_from_engine
    factor = float(np.cbrt(np.linalg.det(new_from_old[:3, :3])))
    points = scene.points
    if points is not None:
        moved = points.xyz @ new_from_old[:3, :3].T + new_from_old[:3, 3]
        points = replace(points, xyz=moved.astype(np.float32))
    return replace(
        scene,
        train=_moved(scene.train, new_from_old, factor),
        test=_moved(scene.test, new_from_old, factor),
        data_from_engine=np.linalg.inv(matrix),
        points=points,
    )


def boxed(scene: Scene, options: SceneOptions) -> Scene:
    """Return a scene that a reader normalised by itself, with the cube that the options ask for, if any."""
    if not options.box_centre.strip() and options.box_edge <= 0.0:
        return scene
    centre, edge = box_of(scene.data_from_engine)
    return with_box(scene, *chosen_box(replace(options, scene_scale=1.0), centre, edge))


@dataclass(frozen=True)
class _Rescaled:
    """Photos as they were, their depth in other units."""

    images: ImageSource
    factor: float

    def load_depth(self, index: int) -> np.ndarray | None:
        """Return the z-depth of image `index` in engine units."""
        depth = self.images.load_depth(index)
        return None if depth is None else depth * np.float32(self.factor)

    def __getattr__(self, name: str) -> object:
        return getattr(self.images, name)


def _moved(split: Split, new_from_old: np.ndarray, factor: float) -> Split:
    views = tuple(
        replace(view, camera=view.camera.moved(move_pose(new_from_old, view.camera.world_from_cam)))
        for view in split.views
    )
    images = split.images
    if isinstance(images, _Rescaled):
        images, factor = images.images, images.factor * factor
    return Split(views, _Rescaled(images, factor))
