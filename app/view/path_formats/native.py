# SPDX-License-Identifier: MIT
"""The app's own camera paths: JSON in seconds and dataset coordinates, so that they outlive a run.

{"format": "nerfviewer-camera-path", "version": 2, "convention": "...", "interpolation": "...",
 "style": {"tension": 0.0, "loop": false, "loop_s": 1.0, "constant_speed": false},
 "keys": [{"time_s": 0.0, "world_from_cam": [[4 numbers] x 4], "fov_y_deg": 50.0, "easing": "auto"}, ...]}

Version 1 had neither a style nor easings.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from app.view.path import EASINGS, CameraPath, Key, PathStyle
from app.view.path_formats.checks import FilePath, flag, fov_rad, listed, number, numbers, pose
from engine.errors import UserError

FORMAT = "nerfviewer-camera-path"
VERSION = 2
CONVENTION = "world_from_cam, rows, OpenCV camera axes (x right, y down, z forward), dataset coordinates"
INTERPOLATION = "centripetal-catmull-rom with tension"


def to_json(path: CameraPath) -> dict[str, Any]:
    """Return what a file of the path holds."""
    keys = [
        {
            "time_s": key.time_s,
            "world_from_cam": key.world_from_cam.tolist(),
            "fov_y_deg": float(np.degrees(key.fov_y_rad)),
            "easing": key.easing,
        }
        for key in path.keys
    ]
    head = {"format": FORMAT, "version": VERSION, "convention": CONVENTION, "interpolation": INTERPOLATION}
    return head | {"style": asdict(path.style), "keys": keys}


def from_json(file: str, content: dict[str, Any]) -> FilePath:
    """Return the path that a file holds."""
    version = content.get("version")
    if isinstance(version, bool) or version not in (1, 2):
        raise UserError(
            f"{file} is a camera path of version {version!r:.20}, but only versions 1 and {VERSION} are known; "
            "open it with the program that wrote it, or update this one."
        )
    keys = listed(file, content, "keys")
    style = _style(file, content.get("style", {})) if version >= 2 else PathStyle()
    return FilePath(CameraPath([_key(file, i, key) for i, key in enumerate(keys)], style), "nerfviewer")


def _style(file: str, content: Any) -> PathStyle:
    if not isinstance(content, dict):
        raise UserError(f"{file} must have an object 'style', got {type(content).__name__}.")
    usual, where = PathStyle(), f"{file}: style"
    return PathStyle(
        number(where, content, "tension", usual.tension),
        flag(where, content, "loop"),
        number(where, content, "loop_s", usual.loop_s),
        flag(where, content, "constant_speed"),
    )


def _key(file: str, index: int, key: dict[str, Any]) -> Key:
    where = f"{file}: key {index + 1}"
    time_s, fov_deg = number(where, key, "time_s"), number(where, key, "fov_y_deg")
    easing = key.get("easing", "auto")
    if not isinstance(easing, str) or easing not in EASINGS:
        raise UserError(f"{where} must have an 'easing' of {', '.join(EASINGS)}, got {easing!r:.40}.")
    place = pose(where, "world_from_cam", numbers(where, key, "world_from_cam", (4, 4)))
    return Key(time_s, place, fov_rad(where, fov_deg, "fov_y_deg"), easing)
