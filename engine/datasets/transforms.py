# SPDX-License-Identifier: MIT
"""Reader of `transforms.json` as instant-ngp and nerfstudio write it: photographs with calibrated lenses.

Of nerfstudio's further keys it reads `mask_path`, `depth_file_path` and `ply_file_path`. Poses, points and depth share
one frame, which stays the scene's data frame. `applied_transform` (with `applied_scale`) says how that frame was made
from the original capture's; it changes nothing here, and `Scene.extras["original_from_data"] [4,4]` leads back.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from engine.conventions import opencv_from_opengl, similarity
from engine.datasets.assemble import Layout, build_scene
from engine.datasets.checks import (
    cannot_read,
    check_enough,
    first_few,
    frames_of,
    inside,
    positive,
    read_json,
)
from engine.datasets.checks import pose as read_pose
from engine.datasets.images import Progress, are_cut_out
from engine.datasets.normalise import foreground_cube
from engine.datasets.options import SceneOptions
from engine.datasets.ply import read_ply
from engine.datasets.scene import Points, Scene
from engine.datasets.shots import Shot, hold_out
from engine.datasets.transforms_lens import lens_of

OUTSIDE_LEVELS = 4  # the world is 16 foreground cubes wide: rooms and streets fit, the sky is the background
_EXTENSIONS = (".png", ".jpg", ".jpeg", ".JPG", ".JPEG", ".PNG", ".webp")
_MILLIMETRES = (
    0.001  # depth pictures hold whole millimetres, .npy files the poses' own units, unless something says
)


def load_transforms(path: Path, options: SceneOptions, progress: Progress | None) -> Scene:
    """Return the scene of a transforms file."""
    data = read_json(path)
    shots, warnings = read_shots(path, data, options)
    check_enough(path, shots)
    train, test = _split(path, data, shots, options)
    points, more = _points(path, data, options)
    cut_out = are_cut_out([shot.path for shot in shots])
    centre, edge = foreground_cube(np.stack([shot.world_from_cam for shot in shots]))
    layout = Layout(centre, edge, "white" if cut_out else "learned", 0 if cut_out else OUTSIDE_LEVELS)
    original_from_data, note = _original_from_data(path, data)
    warnings = [*warnings, *more, *note]
    scene = build_scene(path, "transforms", train, test, layout, options, warnings, progress, points)
    if original_from_data is None:
        return scene
    return replace(scene, extras={**scene.extras, "original_from_data": original_from_data})


@dataclass
class _Missing:
    """What a file names and nobody finds."""

    photos: list[str] = field(default_factory=list)
    masks: list[str] = field(default_factory=list)
    depths: list[str] = field(default_factory=list)


def read_shots(
    path: Path, data: dict[str, Any], options: SceneOptions, required: bool = True
) -> tuple[list[Shot], list[str]]:
    """Return the shots of a transforms file whose photos exist, and warnings about the others.

    When `required`, a file none of whose photos exist is refused.
    """
    frames = frames_of(path, data)
    shots: list[Shot] = []
    missing = _Missing()
    rescaled = 0
    for index, frame in enumerate(frames):
        where = f"frames[{index}] ({frame['file_path']})"
        matrix = read_pose(path, where, frame.get("transform_matrix"))
        photo = find_file(path, frame["file_path"], options)
        if photo is None:
            missing.photos.append(frame["file_path"])
            continue
        lens, same_size = lens_of(path, where, frame, data, photo)
        rescaled += not same_size
        mask = _named(path, where, frame, "mask_path", options, missing.masks)
        depth = _named(path, where, frame, "depth_file_path", options, missing.depths)
        scale = 1.0 if depth is None else _depth_scale(path, data, depth, options)
        name = _name(path.parent, photo)
        shots.append(Shot(name, photo, lens, opencv_from_opengl(matrix), mask, depth, scale))
    if required and not shots:
        wanted = path.parent / missing.photos[0]
        problem = f"none of its {len(frames)} photos has a file (the first wanted is {wanted})"
        raise cannot_read(path, problem, "put the photos there or correct 'file_path'")
    return shots, _warnings(path, len(frames), missing, rescaled)


def find_file(path: Path, name: str, options: SceneOptions, what: str = "photo") -> Path | None:
    """Return the file that a name in a transforms file means, which may lack its extension or use backslashes, or None."""
    for spelling in dict.fromkeys((name, name.replace("\\", "/"))):
        place = inside(path.parent, spelling, options.allow_outside, path, what)
        for extension in ("", *_EXTENSIONS):
            candidate = place.with_name(place.name + extension) if extension and place.name else place
            if os.path.isfile(candidate):  # unlike Path.is_file, false for names the system refuses
                return candidate
    return None


def _named(
    path: Path, where: str, frame: dict[str, Any], key: str, options: SceneOptions, missing: list[str]
) -> Path | None:
    """Return the file that a frame names beside its photo, if any."""
    name = frame.get(key)
    if name is None or name == "":
        return None
    what = {"mask_path": "mask", "depth_file_path": "depth map"}[key]
    if not isinstance(name, str):
        problem = f"'{key}' of {where} must be the name of a {what}, got {str(name)[:40]}"
        raise cannot_read(path, problem, "correct or remove it")
    found = find_file(path, name, options, what)
    if found is None:
        missing.append(name)
    return found


def _depth_scale(path: Path, data: dict[str, Any], depth: Path, options: SceneOptions) -> float:
    """Return what depth is multiplied by to be in the units of the poses."""
    if options.depth_unit > 0.0:
        return options.depth_unit
    if data.get("depth_unit_scale_factor") is not None:
        return positive(path, "the file", "depth_unit_scale_factor", data["depth_unit_scale_factor"])
    return 1.0 if depth.suffix.lower() == ".npy" else _MILLIMETRES


def _points(path: Path, data: dict[str, Any], options: SceneOptions) -> tuple[Points | None, list[str]]:
    """Return the sparse points of the file, in data units as the poses are, and warnings about them."""
    name = data.get("ply_file_path")
    if name is None or name == "":
        return None, []
    if not isinstance(name, str):
        problem = f"'ply_file_path' must be the name of a file of points, got {str(name)[:40]}"
        raise cannot_read(path, problem, "correct or remove it")
    file = find_file(path, name, options, "file of points")
    if file is None:
        return None, [f"The points {name} that {path.name} names have no file."]
    points, n_bad = read_ply(file)
    notes = [f"{n_bad} points of {file.name} have no finite position and are left out."] if n_bad else []
    return (points if len(points) else None), notes


def _original_from_data(path: Path, data: dict[str, Any]) -> tuple[np.ndarray | None, list[str]]:
    """Return the way back from 'applied_transform', None where there is none, and a warning where it is unusable."""
    if data.get("applied_transform") is None:
        return None, []
    try:
        matrix = np.array(data["applied_transform"], dtype=np.float64)
        scale = float(data.get("applied_scale", 1.0))
        if matrix.shape not in ((3, 4), (4, 4)) or not np.isfinite([*matrix.flat, scale]).all():
            raise ValueError
        data_from_original = similarity(scale, np.zeros(3)) @ np.vstack([matrix[:3], [0.0, 0.0, 0.0, 1.0]])
        usable = np.isfinite(data_from_original).all() and abs(np.linalg.det(data_from_original)) > 1e-12
    except (TypeError, ValueError, OverflowError):
        usable = False
    if usable:
        return np.linalg.inv(data_from_original), []
    return None, [f"'applied_transform' of {path.name} is no invertible matrix of 3 x 4 and is ignored."]


def _split(
    path: Path, data: dict[str, Any], shots: list[Shot], options: SceneOptions
) -> tuple[list[Shot], list[Shot]]:
    """Return (training, held-out) shots: as the file says (nerfstudio can), else every 8th."""
    for key in ("test_filenames", "val_filenames"):
        names = data.get(key)
        if isinstance(names, list) and names:
            chosen = {find_file(path, name, options) for name in names if isinstance(name, str)}
            held_out = [shot for shot in shots if shot.path in chosen]
            if held_out and len(held_out) <= len(shots) - 2:
                return [shot for shot in shots if shot.path not in chosen], held_out
    return hold_out(shots)


def _warnings(path: Path, count: int, missing: _Missing, rescaled: int) -> list[str]:
    warnings = []
    for names, what in ((missing.photos, "photos"), (missing.masks, "masks"), (missing.depths, "depth maps")):
        if names:
            of = f"{len(names)} of {count}" if what == "photos" else f"{len(names)}"
            warnings.append(f"{of} {what} listed in {path.name} have no file ({first_few(names)}).")
    if rescaled:
        warnings.append(
            f"{rescaled} photos differ in size from {path.name}; their lenses were scaled to fit."
        )
    return warnings


def _name(folder: Path, photo: Path) -> str:
    return photo.relative_to(folder).as_posix() if photo.is_relative_to(folder) else photo.as_posix()
