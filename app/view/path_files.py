# SPDX-License-Identifier: MIT
"""Camera paths on disk: the app's own, instant-ngp's, nerfstudio's, and keys from COLMAP's photos.

What a file is, is seen by its content. A path in memory is in engine units, in every file in the dataset's
coordinates, or in those that a program derives from them (`PathFrame`).
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from app.view.path import CameraPath
from app.view.path_edit import transformed
from app.view.path_formats import colmap, instant_ngp, native, nerfstudio
from app.view.path_formats.checks import MAX_BYTES, FilePath, PathFrame, above_zero, number, numbers
from engine.errors import UserError
from engine.files import whole_file

FORMATS = ("nerfviewer", "instant-ngp", "nerfstudio")  # that can be written
USUAL_SIZE, USUAL_FPS = (1280, 720), 30.0
_HEAD_BYTES = 1 << 16  # in which an images.txt shows what it is
PathFile = FilePath  # what reading gives: path, format, notes, size, fps


def read_path(file: Path | str, data_from_engine: np.ndarray, frame: PathFrame | None = None) -> PathFile:
    """Return the path of a file in engine units; whatever is wrong with it is a UserError of one sentence."""
    file, frame = Path(file), frame or PathFrame()
    try:
        found = _read(file, frame)
    except UserError as error:
        raise error if str(file) in str(error) else UserError(f"Cannot use {file}: {error}") from None
    return replace(found, path=transformed(found.path, np.linalg.inv(data_from_engine)))


def write_path(
    file: Path | str,
    path: CameraPath,
    data_from_engine: np.ndarray,
    format: str = "nerfviewer",
    frame: PathFrame | None = None,
    size: tuple[int, int] = USUAL_SIZE,
    fps: float = USUAL_FPS,
    samples_per_s: float | None = None,
) -> tuple[str, ...]:
    """Write a path; the file appears whole or not at all. Return what the format cannot hold, a sentence each.

    `size` and `fps` are of the pictures that nerfstudio makes of it; `samples_per_s` is for instant-ngp.
    """
    file, frame = Path(file), frame or PathFrame()
    in_data = transformed(path, data_from_engine)
    notes: tuple[str, ...] = ()
    if format == "nerfviewer":
        content = native.to_json(in_data)
    elif format == "instant-ngp":
        content, notes = instant_ngp.to_json(in_data, frame, samples_per_s)
    elif format == "nerfstudio":
        content, notes = nerfstudio.to_json(in_data, frame, size, fps)
    else:
        raise UserError(f"A camera path can be written as {', '.join(FORMATS)}, not as {format!r:.40}.")
    data = _text(content).encode("utf-8")
    if len(data) > MAX_BYTES:
        raise UserError(
            f"Cannot write the camera path {file}: it would have {len(data) / 2**20:.0f} MiB, and a path has at most "
            f"{MAX_BYTES >> 20} MiB. Leave keys out, or write fewer frames."
        )
    try:
        with whole_file(file) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"Cannot write the camera path {file}: {reason}. Choose another place.") from error
    if format != "nerfviewer" and path.start_s != 0.0:
        notes += ("Its times count from the first key.",)
    return notes


def keys_to_text(path: CameraPath, indices: list[int], data_from_engine: np.ndarray) -> str:
    """Return some keys as text for the clipboard: a camera path file of them, whose times begin at 0."""
    chosen = [path.keys[i] for i in sorted(set(indices))]
    first = min((key.time_s for key in chosen), default=0.0)
    part = path.with_keys([replace(key, time_s=key.time_s - first) for key in chosen])
    return json.dumps(native.to_json(transformed(part, data_from_engine)))


def keys_from_text(text: str, data_from_engine: np.ndarray) -> CameraPath:
    """Return the keys that `keys_to_text` put on the clipboard, here or in another window, as a path of their own."""
    if len(text) > MAX_BYTES:
        raise UserError("The clipboard holds no keys of a camera path; copy some first.")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or content.get("format") != native.FORMAT:
        raise UserError("The clipboard holds no keys of a camera path; copy some first.")
    found = native.from_json("The clipboard", content).path
    return transformed(found, np.linalg.inv(data_from_engine))


def read_dataparser(file: Path | str) -> PathFrame:
    """Return the frame that a dataparser_transforms.json beside a run of nerfstudio describes."""
    file = Path(file)
    content = _object(file, _bytes(file, "nerfstudio's transform"))
    matrix = numbers(str(file), content, "transform", (3, 4))
    if abs(np.linalg.det(matrix[:, :3])) < 1e-9:
        raise UserError(f"{file} must have a 'transform' that can be undone, got a flat one.")
    scale = above_zero(str(file), "scale", number(str(file), content, "scale"))
    return PathFrame(nerfstudio_transform=matrix, nerfstudio_scale=scale)


def _text(content: dict[str, Any]) -> str:
    """Return JSON with one key or frame a line: legible, and fast to write."""

    def shown(value: Any) -> str:
        if isinstance(value, list) and value:
            return "[\n" + ",\n".join(f"  {json.dumps(entry)}" for entry in value) + "\n ]"
        return json.dumps(value)

    return (
        "{\n"
        + ",\n".join(f" {json.dumps(name)}: {shown(value)}" for name, value in content.items())
        + "\n}\n"
    )


def _read(file: Path, frame: PathFrame) -> FilePath:
    try:
        with open(file, "rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError as error:
        raise UserError(f"Cannot read the camera path {file}: {error.strerror or error}.") from error
    if colmap.recognises(head):  # may be large: most of it are keypoints, which are skipped
        return colmap.read(file)
    content = _object(file, _bytes(file, "a camera path"))
    name = str(file)
    if content.get("format") == native.FORMAT:
        return native.from_json(name, content)
    if "format" not in content and instant_ngp.recognises(content):
        return instant_ngp.from_json(name, content, frame)
    if isinstance(content.get("keyframes"), list) and "clip_duration" in content:
        raise UserError(
            f"{file} is a timeline of LichtFeld Studio, which is not read, as its lenses have no field of view; "
            "save the path for nerfstudio or instant-ngp."
        )
    if "format" not in content and nerfstudio.recognises(content):
        return nerfstudio.from_json(name, content, frame)
    came = (
        f"'format' {content['format']!r:.60}" if "format" in content else ", ".join(map(repr, [*content][:5]))
    )
    raise UserError(
        f"{file} is not a camera path of nerfviewer ('format' {native.FORMAT!r}), instant-ngp ('path') or "
        f"nerfstudio ('keyframes' or 'camera_path'), got {came or 'an empty object'}."
    )


def _bytes(file: Path, what: str) -> bytes:
    try:
        size = file.stat().st_size
        if size > MAX_BYTES:
            limit = MAX_BYTES >> 20
            raise UserError(f"{file} has {size / 2**20:.0f} MiB, but {what} has at most {limit} MiB.")
        return file.read_bytes()
    except OSError as error:
        raise UserError(f"Cannot read the camera path {file}: {error.strerror or error}.") from error


def _object(file: Path, data: bytes) -> dict[str, Any]:
    try:
        content = json.loads(data.decode("utf-8"))
    except json.JSONDecodeError as error:
        raise UserError(f"Cannot read the camera path {file}: {error.msg} in line {error.lineno}.") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"Cannot read the camera path {file}: it is not JSON text.") from error
    if not isinstance(content, dict):
        came = type(content).__name__
        raise UserError(f"{file} is not a camera path: it must hold a JSON object, got {came}.")
    return content
