# SPDX-License-Identifier: MIT
"""Camera paths on disk: the app's own JSON, in the coordinates of the dataset, so that it outlives a run.

{"format": "nerfviewer-camera-path", "version": 1, "convention": "...", "interpolation": "...",
 "keys": [{"time_s": 0.0, "world_from_cam": [[4 numbers] x 4], "fov_y_deg": 50.0}, ...]}
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from app.view.path import CameraPath, Key
from engine.conventions import move_pose
from engine.errors import UserError
from engine.files import whole_file

FORMAT = "nerfviewer-camera-path"
VERSION = 1
CONVENTION = "world_from_cam, rows, OpenCV camera axes (x right, y down, z forward), dataset coordinates"
INTERPOLATION = "centripetal-catmull-rom"
MAX_BYTES = 16 << 20
MAX_KEYS = 100_000
ROTATION_TOLERANCE = 1e-3  # hand-edited files round; more than this is no rotation


def write_path(file: Path | str, path: CameraPath, data_from_engine: np.ndarray) -> None:
    """Write a path; the file appears whole or not at all."""
    file = Path(file)
    keys = [
        {
            "time_s": key.time_s,
            "world_from_cam": move_pose(data_from_engine, key.world_from_cam).tolist(),
            "fov_y_deg": float(np.degrees(key.fov_y_rad)),
        }
        for key in path.keys
    ]
    head = {"format": FORMAT, "version": VERSION, "convention": CONVENTION, "interpolation": INTERPOLATION}
    try:
        with whole_file(file) as temporary:
            temporary.write_text(json.dumps(head | {"keys": keys}, indent=1), encoding="utf-8")
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"Cannot write the camera path {file}: {reason}. Choose another place.") from error


def read_path(file: Path | str, data_from_engine: np.ndarray) -> CameraPath:
    """Return the path of a file in engine units; whatever is wrong with it is a UserError of one sentence."""
    file = Path(file)
    content = _load(file)
    if content.get("format") != FORMAT:
        came = repr(content.get("format"))
        raise UserError(f"{file} is not a camera path: its 'format' must be {FORMAT!r}, got {came:.60}.")
    if content.get("version") != VERSION:
        came = repr(content.get("version"))
        raise UserError(
            f"{file} is a camera path of version {came:.20}, but only version {VERSION} is known; "
            "open it with the program that wrote it, or update this one."
        )
    keys = content.get("keys")
    if not isinstance(keys, list) or not 1 <= len(keys) <= MAX_KEYS:
        count = len(keys) if isinstance(keys, list) else "no list"
        raise UserError(f"{file} must hold a list of 1 to {MAX_KEYS:,} 'keys', got {count}.")
    engine_from_data = np.linalg.inv(data_from_engine)
    try:
        return CameraPath([_key(file, i, key, engine_from_data) for i, key in enumerate(keys)])
    except UserError as error:
        raise error if str(file) in str(error) else UserError(f"Cannot use {file}: {error}") from None


def _load(file: Path) -> dict[str, Any]:
    try:
        size = file.stat().st_size
        if size > MAX_BYTES:
            limit = MAX_BYTES >> 20
            raise UserError(f"{file} has {size / 2**20:.0f} MiB, but a camera path has at most {limit} MiB.")
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"Cannot read the camera path {file}: {error.strerror or error}.") from error
    except json.JSONDecodeError as error:
        raise UserError(f"Cannot read the camera path {file}: {error.msg} in line {error.lineno}.") from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"Cannot read the camera path {file}: it is not JSON text.") from error
    if not isinstance(content, dict):
        came = type(content).__name__
        raise UserError(f"{file} is not a camera path: it must hold a JSON object, got {came}.")
    return content


def _key(file: Path, index: int, key: Any, engine_from_data: np.ndarray) -> Key:
    where = f"{file}: key {index + 1}"
    if not isinstance(key, dict):
        raise UserError(f"{where} must be an object, got {type(key).__name__}.")
    time_s = _number(where, key, "time_s")
    fov_deg = _number(where, key, "fov_y_deg")
    if not 0.0 < fov_deg < 180.0:
        raise UserError(f"{where} must have a 'fov_y_deg' between 0 and 180, got {fov_deg:g}.")
    try:
        pose = np.array(key.get("world_from_cam"), dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        pose = np.empty(0)
    if pose.shape != (4, 4) or not np.isfinite(pose).all():
        raise UserError(f"{where} must have a 'world_from_cam' of 4 x 4 finite numbers.")
    rotation = pose[:3, :3]
    skewed = np.abs(rotation.T @ rotation - np.eye(3)).max() > ROTATION_TOLERANCE
    if skewed or np.linalg.det(rotation) < 0.0 or not np.array_equal(pose[3], [0, 0, 0, 1]):
        raise UserError(f"{where} has a 'world_from_cam' that is not a rotation and a position.")
    return Key(time_s, move_pose(engine_from_data, pose), float(np.radians(fov_deg)))


def _number(where: str, key: dict[str, Any], name: str) -> float:
    value = key.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e12:
        raise UserError(f"{where} must have a finite number {name!r}, got {value!r}.")
    return float(value)
