# SPDX-License-Identifier: MIT
"""The lens of one frame of a transforms file: focal lengths or angles, principal point, distortion, size."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from engine.datasets.checks import cannot_read, number, pixels, positive
from engine.datasets.images import photo_size
from engine.datasets.shots import Lens

_MODELS = ("PINHOLE", "SIMPLE_PINHOLE", "PERSPECTIVE", "OPENCV", "SIMPLE_RADIAL", "RADIAL", "OPENCV_FISHEYE")
_SAME_ASPECT = 0.02  # of the ratio of width and height: what rounding of shrunk photos explains
_REMEDY = "undistort the photos to a pinhole camera first"


def lens_of(
    path: Path, where: str, frame: dict[str, Any], data: dict[str, Any], photo: Path
) -> tuple[Lens, bool]:
    """Return the lens at the photo's true size, and whether the file gave that size."""
    both = {**data, **frame}
    fisheye = _is_fisheye(path, where, both)
    size = photo_size(photo)
    width, height = (
        pixels(path, where, key, both[key]) if both.get(key) is not None else actual
        for key, actual in zip("wh", size, strict=True)
    )
    own = frame if "fl_x" in frame or "camera_angle_x" in frame else both
    fx, fy = _focal(path, where, own, width, height)
    cx = number(path, where, "cx", both["cx"]) if both.get("cx") is not None else 0.5 * width
    cy = number(path, where, "cy", both["cy"]) if both.get("cy") is not None else 0.5 * height
    bend = _distortion(path, where, both, fisheye)
    lens = Lens(width, height, fx, fy, cx, cy, **bend, fisheye=fisheye)
    if (width, height) == size:
        return lens, True
    if abs(width * size[1] / (height * size[0]) - 1.0) > _SAME_ASPECT:
        problem = f"the photo of {where} should be {width} x {height} pixels and is {size[0]} x {size[1]}"
        remedy = "use the calibrated photo, unrotated and uncropped, or correct 'w' and 'h'"
        raise cannot_read(path, problem, remedy)
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


def _is_fisheye(path: Path, where: str, scope: dict[str, Any]) -> bool:
    model = scope.get("camera_model")
    if model is not None and model not in _MODELS:
        known = ", ".join(_MODELS)
        problem = f"{where} has the camera model {str(model)[:40]!r}, which is not supported (known: {known})"
        raise cannot_read(path, problem, _REMEDY)
    if "ftheta_p0" in scope:
        problem = f"{where} has an f-theta lens ('ftheta_p0'), which is not supported"
        raise cannot_read(path, problem, _REMEDY)
    return model == "OPENCV_FISHEYE" or scope.get("is_fisheye") is True


def _distortion(path: Path, where: str, scope: dict[str, Any], fisheye: bool) -> dict[str, float]:
    """Return the distortion terms as `Lens` has them; those that the kind of lens does not have must be zero."""
    given = {
        key: number(path, where, key, scope[key])
        for key in ("k1", "k2", "k3", "k4", "p1", "p2")
        if scope.get(key) is not None
    }
    # A fourth term of a pinhole is r^8 in these files and a denominator in OpenCV; a fisheye has no tangential terms.
    alien = ("p1", "p2") if fisheye else ("k4",)
    for key in alien:
        if given.pop(key, 0.0) != 0.0:
            kind = "fisheye lens" if fisheye else "pinhole camera"
            problem = f"{where} has a distortion term '{key}', which is not supported for a {kind}"
            raise cannot_read(path, problem, _REMEDY)
    return given
