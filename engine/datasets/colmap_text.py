# SPDX-License-Identifier: MIT
"""Reader of COLMAP's text model files: one record a line, photos on two lines, "#" opens a comment."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from engine.datasets.checks import cannot_read
from engine.datasets.colmap_records import LONGEST_NAME, MODEL_SIZES, CameraRecord, ImageRecord, PointRecords

_LONGEST_LINE = 64 << 20  # bytes: a photo with a million keypoints stays below
_LARGEST_ID = (1 << 63) - 1
_REMEDY = "correct the line or export the model again with COLMAP"


def read_cameras(path: Path) -> list[CameraRecord]:
    """Return the cameras of a cameras.txt."""
    cameras = []
    for number, line in _records(path):
        parts = line.split()
        _check_count(path, number, parts, 4, "id, camera model, width, height and parameters")
        model = parts[1].decode("ascii", "replace")
        params = tuple(_float(path, number, part) for part in parts[4:])
        if model in MODEL_SIZES and len(params) != MODEL_SIZES[model]:
            problem = f"line {number} has {len(params)} parameters, {model} has {MODEL_SIZES[model]}"
            raise cannot_read(path, problem, _REMEDY)
        camera_id, width, height = (_int(path, number, parts[i]) for i in (0, 2, 3))
        cameras.append(CameraRecord(camera_id, model, width, height, params))
    return cameras


def read_images(path: Path) -> list[ImageRecord]:
    """Return the posed photos of an images.txt; the second line of each, its keypoints, is skipped unread."""
    images = []
    lines = _lines(path)
    for number, line in lines:
        if _is_blank(line):
            continue
        parts = line.split(maxsplit=9)
        _check_count(path, number, parts, 10, "id, quaternion, translation, camera id and name")
        pose = tuple(_float(path, number, part) for part in parts[1:8])
        image_id, camera_id = _int(path, number, parts[0]), _int(path, number, parts[8])
        images.append(ImageRecord(image_id, pose[:4], pose[4:], camera_id, _name(path, number, parts[9])))
        _, keypoints = next(lines, (0, b""))
        if len(keypoints.split(maxsplit=3)) not in (0, 3, 4):
            problem = f"the line after line {number} must hold the keypoints of that photo, x y point-id each"
            raise cannot_read(path, problem, _REMEDY)
    return images


def read_points(path: Path) -> PointRecords:
    """Return the sparse points of a points3D.txt."""
    numbers, counts, track_ids = array("d"), array("q"), array("q")
    for number, line in _records(path):
        parts = line.split()
        _check_count(path, number, parts, 8, "id, x, y, z, red, green, blue and error")
        if len(parts) % 2:
            raise cannot_read(path, f"line {number} has a track of pairs with one number missing", _REMEDY)
        try:
            numbers.extend(map(float, parts[1:8]))
            track_ids.extend(map(int, parts[8::2]))
        except (ValueError, OverflowError) as error:
            raise cannot_read(path, f"line {number} has a word where a number was wanted", _REMEDY) from error
        counts.append(len(parts) // 2 - 4)
    table = np.array(numbers).reshape(-1, 7)
    colours = table[:, 3:6]
    if not ((colours >= 0) & (colours <= 255)).all():
        raise cannot_read(path, "a point has a colour outside 0 to 255", _REMEDY)
    return PointRecords(
        table[:, :3].copy(),
        colours.astype(np.uint8),
        table[:, 6].copy(),
        np.array(counts, np.int64),
        np.array(track_ids, np.int64),
    )


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield (number, line) of a file, the first number 1."""
    try:
        with open(path, "rb") as file:
            number = 0
            while line := file.readline(_LONGEST_LINE):
                number += 1
                if len(line) == _LONGEST_LINE:
                    raise cannot_read(path, f"line {number} is longer than {_LONGEST_LINE:,} bytes", _REMEDY)
                yield number, line
    except OSError as error:
        problem = f"the file cannot be opened ({error.strerror or error})"
        raise cannot_read(path, problem, "check that it exists and may be read") from error


def _records(path: Path) -> Iterator[tuple[int, bytes]]:
    return ((number, line) for number, line in _lines(path) if not _is_blank(line))


def _is_blank(line: bytes) -> bool:
    text = line.strip()
    return not text or text.startswith(b"#")


def _check_count(path: Path, number: int, parts: list[bytes], wanted: int, what: str) -> None:
    if len(parts) < wanted:
        raise cannot_read(path, f"line {number} must hold {what}, got {len(parts)} words", _REMEDY)


def _int(path: Path, number: int, word: bytes) -> int:
    try:
        value = int(word)
    except ValueError:
        value = -1
    if not 0 <= value <= _LARGEST_ID:
        problem = f"line {number} must have a whole number, got {_shown(word)}"
        raise cannot_read(path, problem, _REMEDY)
    return value


def _float(path: Path, number: int, word: bytes) -> float:
    try:
        return float(word)
    except ValueError as error:
        raise cannot_read(path, f"line {number} must have a number, got {_shown(word)}", _REMEDY) from error


def _name(path: Path, number: int, word: bytes) -> str:
    try:
        name = word.strip().decode("utf-8")
    except UnicodeDecodeError as error:
        problem = f"line {number} has a name that is no UTF-8 text ({_shown(word)})"
        raise cannot_read(path, problem, _REMEDY) from error
    if len(word) > LONGEST_NAME:
        raise cannot_read(path, f"line {number} has a name of {len(word):,} bytes", _REMEDY)
    return name


def _shown(word: bytes) -> str:
    return repr(word[:40].decode("utf-8", "replace"))
