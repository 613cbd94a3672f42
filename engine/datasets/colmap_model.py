# SPDX-License-Identifier: MIT
"""A COLMAP model: where its files are, and what its records mean as lenses, poses and points in our conventions.

COLMAP's cameras have our axes (x right, y down, z forward) and our pixel centres (+0.5); its poses lead from the
world to the camera, so they are inverted here. Files of rigs and frames (COLMAP 3.12 and later) are not needed: the
photos' own file still holds every pose.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TypeVar

import numpy as np

from engine.datasets import colmap_binary, colmap_text
from engine.datasets.checks import LARGEST_LENGTH, LARGEST_PHOTO, cannot_read
from engine.datasets.colmap_records import CameraRecord, ImageRecord, PointRecords
from engine.datasets.shots import Lens

_R = TypeVar("_R", CameraRecord, ImageRecord)
MODEL_FOLDERS = ("sparse/0", "sparse", "colmap/sparse/0", "colmap/sparse", ".", "0")
_FORMATS = ((".bin", colmap_binary), (".txt", colmap_text))
# What each parameter of a model is; "f" is both focal lengths.
_LENSES = {
    "SIMPLE_PINHOLE": "f cx cy",
    "PINHOLE": "fx fy cx cy",
    "SIMPLE_RADIAL": "f cx cy k1",
    "RADIAL": "f cx cy k1 k2",
    "OPENCV": "fx fy cx cy k1 k2 p1 p2",
    "FULL_OPENCV": "fx fy cx cy k1 k2 p1 p2 k3 k4 k5 k6",
    "OPENCV_FISHEYE": "fx fy cx cy k1 k2 k3 k4",
    "SIMPLE_RADIAL_FISHEYE": "f cx cy k1",
    "RADIAL_FISHEYE": "f cx cy k1 k2",
    "SIMPLE_FISHEYE": "f cx cy",
    "FISHEYE": "fx fy cx cy",
}
_UNIT_TOLERANCE = 0.02  # of a quaternion's length: what six printed digits and no normalising explain
_REMEDY = "correct it or export the model again with COLMAP"


@dataclass(frozen=True, eq=False)
class PosedPhoto:
    """A photo of a model: its name below the photos' folder, its lens, `world_from_cam [4,4]` in data units."""

    id: int
    name: str
    lens: Lens
    world_from_cam: np.ndarray


@dataclass(frozen=True, eq=False)
class ColmapModel:
    """Posed photos in the order of the file, and sparse points (None: the model has no file of them)."""

    folder: Path
    photos: tuple[PosedPhoto, ...]
    points: PointRecords | None
    n_bad_points: int = 0


def find_model(folder: Path) -> Path | None:
    """Return the folder in a scene folder that holds a COLMAP model with cameras and poses, None where none does."""
    return next((place for place in _places(folder) if _format(place) is not None), None)


def lacking(folder: Path) -> tuple[Path, str] | None:
    """Return where a scene folder has part of a model, and which of "cameras" and "images" is not there."""
    for place in _places(folder):
        stems = {stem for stem in ("cameras", "images", "points3D") if _file(place, stem) is not None}
        if stems:
            return place, "images" if "images" not in stems else "cameras"
    return None


def read_model(folder: Path) -> ColmapModel:
    """Return the model in a folder that `find_model` has named."""
    suffix, reader = _format(folder) or _FORMATS[0]
    cameras_path, images_path = folder / f"cameras{suffix}", folder / f"images{suffix}"
    cameras = _by_id(cameras_path, "camera", reader.read_cameras(cameras_path))
    images = _by_id(images_path, "photo", reader.read_images(images_path))
    if not images:
        raise cannot_read(images_path, "it holds no posed photo", "reconstruct the scene again with COLMAP")
    lenses: dict[int, Lens] = {}
    photos: dict[str, PosedPhoto] = {}
    for image in images.values():
        where = f"photo {image.id} ({image.name})"
        if not image.name.strip() or image.name in photos:
            came = "has the name of another photo" if image.name.strip() else "has no name"
            raise cannot_read(images_path, f"{where} {came}", _REMEDY)
        if image.camera_id not in cameras:
            problem = f"{where} has camera {image.camera_id}, which {cameras_path.name} does not hold"
            raise cannot_read(images_path, problem, _REMEDY)
        if image.camera_id not in lenses:
            lenses[image.camera_id] = lens_of(cameras_path, cameras[image.camera_id])
        pose = pose_of(images_path, where, image)
        photos[image.name] = PosedPhoto(image.id, image.name, lenses[image.camera_id], pose)
    points_path = folder / f"points3D{suffix}"
    points, n_bad = _finite(reader.read_points(points_path)) if os.path.isfile(points_path) else (None, 0)
    return ColmapModel(folder, tuple(photos.values()), points, n_bad)


def lens_of(path: Path, camera: CameraRecord) -> Lens:
    """Return the lens of a camera record; `path` is the file it came from."""
    where = f"camera {camera.id}"
    if camera.model not in _LENSES:
        problem = f"{where} has the camera model {camera.model[:40]}, which is not supported"
        raise cannot_read(
            path, f"{problem} (known: {', '.join(_LENSES)})", "undistort the photos with COLMAP first"
        )
    size = (camera.width, camera.height)
    if not all(1 <= side <= LARGEST_PHOTO for side in size):
        problem = f"the photos of {where} must be 1 to {LARGEST_PHOTO:,} pixels a side, got {size[0]:,} x {size[1]:,}"
        raise cannot_read(path, problem, _REMEDY)
    values = dict(zip(_LENSES[camera.model].split(), camera.params))
    if not all(math.isfinite(value) for value in values.values()):
        raise cannot_read(path, f"{where} has a parameter that is no finite number", _REMEDY)
    if "f" in values:
        values["fx"] = values["fy"] = values.pop("f")
    for key in ("fx", "fy"):
        if not 0.01 * min(size) <= values[key] <= 1000.0 * max(size):
            problem = (
                f"{where} has the focal length {values[key]:g} for photos of {size[0]} x {size[1]} pixels"
            )
            raise cannot_read(path, problem, "correct the camera's calibration")
    if not all(-10.0 * side <= values[key] <= 11.0 * side for key, side in zip(("cx", "cy"), size)):
        problem = f"{where} has its axis at {values['cx']:g}, {values['cy']:g}, far outside its photos"
        raise cannot_read(path, problem, "correct the camera's calibration")
    return Lens(*size, **values, fisheye=camera.model.endswith("FISHEYE"))


def _places(folder: Path) -> list[Path]:
    return [folder / name for name in MODEL_FOLDERS]


def _format(folder: Path) -> tuple[str, ModuleType] | None:
    """Return suffix and reader of the model in a folder; binary goes first, as it does in COLMAP."""
    for suffix, reader in _FORMATS:
        if all(os.path.isfile(folder / f"{stem}{suffix}") for stem in ("cameras", "images")):
            return suffix, reader
    return None


def _file(folder: Path, stem: str) -> Path | None:
    files = (folder / f"{stem}{suffix}" for suffix, _ in _FORMATS)
    return next((file for file in files if os.path.isfile(file)), None)


def _by_id(path: Path, what: str, records: list[_R]) -> dict[int, _R]:
    found: dict[int, _R] = {}
    for record in records:
        if record.id in found:
            raise cannot_read(path, f"two records have the {what} id {record.id}", _REMEDY)
        found[record.id] = record
    return found


def pose_of(path: Path, where: str, image: ImageRecord) -> np.ndarray:
    """Return `world_from_cam [4,4]` of a photo; `path` is the file it came from, `where` its name in a refusal."""
    quaternion, translation = np.array(image.quaternion), np.array(image.translation)
    if not (np.isfinite(quaternion).all() and (np.abs(translation) <= LARGEST_LENGTH).all()):
        raise cannot_read(path, f"the pose of {where} has a number that is not finite", _REMEDY)
    length = math.hypot(*image.quaternion)  # unlike numpy's norm silent on numbers whose squares overflow
    if abs(length - 1.0) > _UNIT_TOLERANCE:
        problem = f"the rotation of {where} must be a quaternion of length 1, got length {length:.4g}"
        raise cannot_read(path, problem, _REMEDY)
    w, x, y, z = quaternion / length
    world_from_cam = np.eye(4)
    world_from_cam[:3, :3] = [  # the transpose of the rotation that COLMAP stores
        [1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)],
        [2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)],
        [2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)],
    ]
    world_from_cam[:3, 3] = -world_from_cam[:3, :3] @ translation
    return world_from_cam


def _finite(points: PointRecords) -> tuple[PointRecords, int]:
    """Return the points that lie somewhere, and how many did not."""
    good = (np.abs(points.xyz) <= LARGEST_LENGTH).all(axis=1)
    n_bad = int(len(good) - good.sum())
    if n_bad:
        in_track = np.repeat(good, points.counts)
        points = PointRecords(
            points.xyz[good],
            points.rgb[good],
            points.error_px[good],
            points.counts[good],
            points.track_ids[in_track],
        )
    error = np.where(np.isfinite(points.error_px) & (points.error_px > 0.0), points.error_px, 0.0)
    return replace(points, error_px=error), n_bad
