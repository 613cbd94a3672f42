# SPDX-License-Identifier: MIT
"""Reader of COLMAP's binary model files: little-endian, no padding, a count first.

Every count is held against the bytes that are there before anything is made from it, photos' keypoints are skipped
unread, and points go through in blocks: memory is that of the result and a few megabytes.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np

from engine.datasets.checks import cannot_read
from engine.datasets.colmap_records import (
    CAMERA_MODELS,
    LONGEST_NAME,
    CameraRecord,
    ImageRecord,
    PointRecords,
)

_T = TypeVar("_T")
_COUNT = struct.Struct("<Q")
_CAMERA = struct.Struct("<IiQQ")  # id, model, width, height; parameters follow
_IMAGE = struct.Struct("<I4d3dI")  # id, quaternion w x y z, translation, camera id; name, 0, keypoints follow
_KEYPOINT_BYTES = 24  # x, y, point id
_POINT = np.dtype([("id", "<u8"), ("xyz", "<f8", 3), ("rgb", "u1", 3), ("error_px", "<f8")])
_POINT_BYTES = _POINT.itemsize + _COUNT.size  # the length of the track stands between the two
_TRACK_BYTES = 8  # photo id, keypoint
_BLOCK_BYTES = (
    4 << 20
)  # points are gathered from blocks of this size; the index arrays are ten times as large
_REMEDY = "copy the model again or export it again with COLMAP"


def read_cameras(path: Path) -> list[CameraRecord]:
    """Return the cameras of a cameras.bin."""
    return _with_file(path, lambda file, size: _cameras(path, file.read(), size))


def read_images(path: Path) -> list[ImageRecord]:
    """Return the posed photos of an images.bin."""
    return _with_file(path, lambda file, size: _images(path, file, size))


def read_points(path: Path) -> PointRecords:
    """Return the sparse points of a points3D.bin."""
    return _with_file(path, lambda file, size: _points(path, file, size))


def _with_file(path: Path, read: Callable[[BinaryIO, int], _T]) -> _T:
    try:
        with open(path, "rb") as file:
            return read(file, os.fstat(file.fileno()).st_size)
    except OSError as error:
        problem = f"the file cannot be opened ({error.strerror or error})"
        raise cannot_read(path, problem, "check that it exists and may be read") from error


def _cameras(path: Path, data: bytes, size: int) -> list[CameraRecord]:
    count = _count(path, data[:8], size, "cameras", _CAMERA.size)
    cameras, at = [], 8
    for index in range(count):
        if at + _CAMERA.size > len(data):
            raise _cut_short(path, f"camera {index + 1} of {count}")
        camera_id, number, width, height = _CAMERA.unpack_from(data, at)
        at += _CAMERA.size
        if number not in CAMERA_MODELS:
            raise cannot_read(
                path, f"camera {camera_id} has the unknown camera model number {number}", _REMEDY
            )
        name, length = CAMERA_MODELS[number]
        if at + 8 * length > len(data):
            raise _cut_short(path, f"camera {index + 1} of {count}")
        params = struct.unpack_from(f"<{length}d", data, at)
        at += 8 * length
        cameras.append(CameraRecord(camera_id, name, width, height, params))
    _check_end(path, at, len(data))
    return cameras


def _images(path: Path, file: BinaryIO, size: int) -> list[ImageRecord]:
    count = _count(path, file.read(8), size, "photos", _IMAGE.size + 1 + 8)
    images, at = [], 8
    for index in range(count):
        where = f"photo {index + 1} of {count}"
        file.seek(at)
        head = file.read(_IMAGE.size + LONGEST_NAME + 1 + 8)
        if len(head) < _IMAGE.size + 1 + 8:
            raise _cut_short(path, where)
        image_id, *pose, camera_id = _IMAGE.unpack_from(head)
        end = head.find(b"\0", _IMAGE.size, _IMAGE.size + LONGEST_NAME + 1)
        if end < 0:
            raise cannot_read(path, f"the name of {where} has no end", _REMEDY)
        if end + 9 > len(head):
            raise _cut_short(path, where)
        (keypoints,) = _COUNT.unpack_from(head, end + 1)
        at += end + 9
        if keypoints * _KEYPOINT_BYTES > size - at:
            problem = f"{where} says it has {keypoints:,} keypoints, more than the {size - at:,} bytes left can hold"
            raise cannot_read(path, problem, _REMEDY)
        at += keypoints * _KEYPOINT_BYTES
        name = _text(path, where, head[_IMAGE.size : end])
        images.append(ImageRecord(image_id, tuple(pose[:4]), tuple(pose[4:]), camera_id, name))
    _check_end(path, at, size)
    return images


def _points(path: Path, file: BinaryIO, size: int) -> PointRecords:
    count = _count(path, file.read(8), size, "points", _POINT_BYTES)
    parts: list[PointRecords] = []
    done, carry, left = 0, b"", size - 8
    while done < count:
        block = file.read(max(_BLOCK_BYTES, len(carry)))
        left -= len(block)
        data = carry + block
        starts, lengths, end = _scan(path, data, count - done, len(data) + left)
        if not block:
            raise _cut_short(path, f"point {done + 1:,} of {count:,}")
        if len(starts):
            parts.append(_gather(data, starts, lengths))
        done += len(starts)
        carry = data[end:]
    _check_end(path, size - left - len(carry), size)
    return PointRecords.joined(parts)


def _scan(path: Path, data: bytes, most: int, available: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Return starts [n] and track lengths [n] of the whole points in a block, and where the last of them ends."""
    starts, lengths, at = [], [], 0
    length_of = _COUNT.unpack_from
    while len(starts) < most and at + _POINT_BYTES <= len(data):
        (length,) = length_of(data, at + _POINT.itemsize)
        end = at + _POINT_BYTES + length * _TRACK_BYTES
        if end > available:
            problem = f"a point says it is seen in {length:,} photos, more than the bytes left can hold"
            raise cannot_read(path, problem, _REMEDY)
        if end > len(data):
            break
        starts.append(at)
        lengths.append(length)
        at = end
    return np.array(starts, np.int64), np.array(lengths, np.int64), at


def _gather(data: bytes, starts: np.ndarray, lengths: np.ndarray) -> PointRecords:
    raw = np.frombuffer(data, np.uint8)
    points = raw[starts[:, None] + np.arange(_POINT.itemsize)].view(_POINT)[:, 0]
    before = np.cumsum(lengths) - lengths
    tracks = np.repeat(starts + _POINT_BYTES - _TRACK_BYTES * before, lengths)
    tracks += _TRACK_BYTES * np.arange(len(tracks))
    ids = raw[tracks[:, None] + np.arange(4)].view("<u4")[:, 0].astype(np.int64)
    return PointRecords(
        np.array(points["xyz"]), np.array(points["rgb"]), np.array(points["error_px"]), lengths, ids
    )


def _count(path: Path, head: bytes, size: int, what: str, least_bytes: int) -> int:
    if len(head) < 8:
        raise _cut_short(path, "its first number")
    (count,) = _COUNT.unpack(head)
    if count * least_bytes > size - 8:
        problem = f"it says it holds {count:,} {what}, more than its {size:,} bytes can hold"
        raise cannot_read(path, problem, _REMEDY)
    return count


def _check_end(path: Path, at: int, size: int) -> None:
    if at != size:
        problem = f"{size - at:,} bytes are left over after the last record, so its counts are wrong"
        raise cannot_read(path, problem, _REMEDY)


def _text(path: Path, where: str, name: bytes) -> str:
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError as error:
        raise cannot_read(path, f"the name of {where} is no UTF-8 text ({name[:40]!r})", _REMEDY) from error


def _cut_short(path: Path, where: str) -> Exception:
    return cannot_read(path, f"it is cut short: it ends within {where}", _REMEDY)
