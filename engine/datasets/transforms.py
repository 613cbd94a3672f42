# SPDX-License-Identifier: MIT
"""Reader of `transforms.json` as instant-ngp and nerfstudio write it: photographs with calibrated lenses."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from engine.conventions import opencv_from_opengl
from engine.datasets.assemble import Layout, build_scene
from engine.datasets.checks import cannot_read, check_enough, frames_of, number, pose, positive, read_json
from engine.datasets.images import Progress, are_cut_out, photo_size
from engine.datasets.normalise import foreground_cube
from engine.datasets.options import SceneOptions
from engine.datasets.scene import Scene
from engine.datasets.shots import Lens, Shot, hold_out

OUTSIDE_LEVELS = 4  # the world is 16 foreground cubes wide: rooms and streets fit, the sky is the background
_EXTENSIONS = (".png", ".jpg", ".jpeg", ".JPG", ".JPEG", ".PNG", ".webp")
_MODELS = ("PINHOLE", "SIMPLE_PINHOLE", "PERSPECTIVE", "OPENCV", "SIMPLE_RADIAL", "RADIAL")
_SAME_ASPECT = 0.02  # of the ratio of width and height: what rounding of shrunk photos explains


def load_transforms(path: Path, options: SceneOptions, progress: Progress | None) -> Scene:
    """Return the scene of a transforms file."""
    data = read_json(path)
    shots, warnings = read_shots(path, data)
    check_enough(path, shots)
    train, test = _split(path, data, shots)
    cut_out = are_cut_out([shot.path for shot in shots])
    centre, edge = foreground_cube(np.stack([shot.world_from_cam for shot in shots]))
    layout = Layout(centre, edge, "white" if cut_out else "learned", 0 if cut_out else OUTSIDE_LEVELS)
    return build_scene(path, "transforms", train, test, layout, options, warnings, progress)


def read_shots(path: Path, data: dict[str, Any], required: bool = True) -> tuple[list[Shot], list[str]]:
    """Return the shots of a transforms file whose photos exist, and warnings about the others.

    When `required`, a file none of whose photos exist is refused.
    """
    frames = frames_of(path, data)
    shots: list[Shot] = []
    missing: list[str] = []
    rescaled = 0
    for index, frame in enumerate(frames):
        where = f"frames[{index}] ({frame['file_path']})"
        matrix = pose(path, where, frame.get("transform_matrix"))
        photo = find_photo(path.parent, frame["file_path"])
        if photo is None:
            missing.append(frame["file_path"])
            continue
        lens, same_size = _lens(path, where, frame, data, photo)
        rescaled += not same_size
        shots.append(Shot(_name(path.parent, photo), photo, lens, opencv_from_opengl(matrix)))
    if required and not shots:
        problem = (
            f"none of its {len(frames)} photos has a file (the first wanted is {path.parent / missing[0]})"
        )
        raise cannot_read(path, problem, "put the photos there or correct 'file_path'")
    return shots, _warnings(path, frames, missing, rescaled)


def find_photo(folder: Path, file_path: str) -> Path | None:
    """Return the file that a 'file_path' means, which may lack its extension or use backslashes, or None."""
    for name in dict.fromkeys((file_path, file_path.replace("\\", "/"))):
        for extension in ("", *_EXTENSIONS):
            candidate = folder / (name + extension)
            if os.path.isfile(candidate):  # unlike Path.is_file, false for names the system refuses
                return candidate
    return None


def _split(path: Path, data: dict[str, Any], shots: list[Shot]) -> tuple[list[Shot], list[Shot]]:
    """Return (training, held-out) shots: as the file says (nerfstudio can), else every 8th."""
    for key in ("test_filenames", "val_filenames"):
        names = data.get(key)
        if isinstance(names, list) and names:
            chosen = {find_photo(path.parent, name) for name in names if isinstance(name, str)}
            held_out = [shot for shot in shots if shot.path in chosen]
            if held_out and len(held_out) <= len(shots) - 2:
                return [shot for shot in shots if shot.path not in chosen], held_out
    return hold_out(shots)


def _lens(
    path: Path, where: str, frame: dict[str, Any], data: dict[str, Any], photo: Path
) -> tuple[Lens, bool]:
    """Return the lens at the photo's true size, and whether the file gave that size."""
    both = {**data, **frame}
    _check_model(path, where, both)
    size = photo_size(photo)
    width, height = (
        round(positive(path, where, key, both[key])) if both.get(key) is not None else actual
        for key, actual in zip("wh", size, strict=True)
    )
    fx, fy = _focal(
        path, where, frame if "fl_x" in frame or "camera_angle_x" in frame else both, width, height
    )
    cx = number(path, where, "cx", both["cx"]) if both.get("cx") is not None else 0.5 * width
    cy = number(path, where, "cy", both["cy"]) if both.get("cy") is not None else 0.5 * height
    bend = {
        key: number(path, where, key, both[key])
        for key in ("k1", "k2", "k3", "p1", "p2")
        if both.get(key) is not None
    }
    lens = Lens(width, height, fx, fy, cx, cy, **bend)
    if (width, height) == size:
        return lens, True
    if abs(width * size[1] / (height * size[0]) - 1.0) > _SAME_ASPECT:
        problem = f"the photo of {where} should be {width} x {height} pixels and is {size[0]} x {size[1]}"
        raise cannot_read(
            path, problem, "use the calibrated photo, unrotated and uncropped, or correct 'w' and 'h'"
        )
    return lens.resized(*size), False


def _focal(path: Path, where: str, scope: dict[str, Any], width: int, height: int) -> tuple[float, float]:
    """Return fx, fy in pixels from focal lengths or angles of view."""
    fx = _focal_of(path, where, scope, "x", width)
    fy = _focal_of(path, where, scope, "y", height)
    if fx is None and fy is None:
        problem = f"{where} has no focal length: 'fl_x' in pixels or 'camera_angle_x' in radians is wanted"
        raise cannot_read(path, problem, "add one of them to the frame or the file")
    return fx or fy, fy or fx


def _focal_of(path: Path, where: str, scope: dict[str, Any], axis: str, size: int) -> float | None:
    key = f"fl_{axis}"
    if scope.get(key) is not None:
        return positive(path, where, key, scope[key])
    key = f"camera_angle_{axis}"
    if scope.get(key) is None:
        return None
    angle = positive(path, where, key, scope[key])
    if angle >= math.pi:
        problem = f"'{key}' of {where} must be an angle below 3.14 radians, got {angle:g}"
        raise cannot_read(path, problem, "convert it from degrees or correct it")
    return 0.5 * size / math.tan(0.5 * angle)


def _check_model(path: Path, where: str, scope: dict[str, Any]) -> None:
    model = scope.get("camera_model")
    fisheye = scope.get("is_fisheye") is True or (isinstance(model, str) and "FISHEYE" in model.upper())
    remedy = "undistort the photos to a pinhole camera first"
    if fisheye:
        raise cannot_read(path, f"{where} has a fisheye lens, which is not supported yet", remedy)
    if model is not None and model not in _MODELS:
        problem = (
            f"{where} has the camera model {model!r}, which is not supported (known: {', '.join(_MODELS)})"
        )
        raise cannot_read(path, problem, remedy)
    if scope.get("k4"):
        raise cannot_read(path, f"{where} has a distortion term 'k4', which is not supported yet", remedy)


def _warnings(path: Path, frames: list[dict[str, Any]], missing: list[str], rescaled: int) -> list[str]:
    warnings = []
    if missing:
        named = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        warnings.append(
            f"{len(missing)} of {len(frames)} photos listed in {path.name} have no file ({named})."
        )
    if rescaled:
        warnings.append(
            f"{rescaled} photos differ in size from {path.name}; their lenses were scaled to fit."
        )
    masked = sum(1 for frame in frames if frame.get("mask_path"))
    if masked:
        warnings.append(f"{masked} photos have masks in {path.name}, which are ignored.")
    return warnings


def _name(folder: Path, photo: Path) -> str:
    return photo.relative_to(folder).as_posix() if photo.is_relative_to(folder) else photo.as_posix()
