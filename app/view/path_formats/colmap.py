# SPDX-License-Identifier: MIT
"""Keys from the photos of a COLMAP model in text: images.txt, with the lenses of a cameras.txt beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from app.view.path import CameraPath, Key
from app.view.path_formats.checks import MAX_KEYS, FilePath
from engine.datasets import colmap_text
from engine.datasets.colmap_model import lens_of, pose_of
from engine.errors import UserError

FORMAT = "colmap"
SECONDS_A_KEY = 1.0  # on average
LEAST_S = 0.1  # between two photos in one place
USUAL_FOV_RAD = np.radians(50.0)


def recognises(head: bytes) -> bool:
    """Return whether a file begins as an images.txt does: comments, then ten words, eight of them numbers."""
    for line in head.splitlines():
        if not line.strip() or line.lstrip().startswith(b"#"):
            continue
        words = line.split()
        try:
            [float(word) for word in words[:9]]
        except ValueError:
            return False
        return len(words) >= 10
    return False


def read(file: Path) -> FilePath:
    """Return the photos as keys in the order of their names, spaced in time by the way between them."""
    images = sorted(colmap_text.read_images(file), key=lambda image: image.name)
    if not 1 <= len(images) <= MAX_KEYS:
        raise UserError(f"{file} must hold 1 to {MAX_KEYS:,} photos to make a path of, got {len(images):,}.")
    fovs, notes = _fovs(file)
    poses = [pose_of(file, f"photo {image.name!r}", image) for image in images]
    unknown = next((image for image in images if fovs and image.camera_id not in fovs), None)
    if unknown is not None:
        raise UserError(
            f"{file}: photo {unknown.name!r} has the camera {unknown.camera_id}, which cameras.txt beside it lacks."
        )
    gaps = np.linalg.norm(np.diff([pose[:3, 3] for pose in poses], axis=0).reshape(-1, 3), axis=1)
    mean = gaps.mean() if gaps.any() else 1.0
    steps = (
        np.maximum(gaps * SECONDS_A_KEY / mean, LEAST_S) if gaps.any() else np.full(len(gaps), SECONDS_A_KEY)
    )
    times = np.concatenate([[0.0], np.cumsum(steps)])
    keys = [
        Key(float(time), pose, fovs.get(image.camera_id, USUAL_FOV_RAD))
        for time, pose, image in zip(times, poses, images)
    ]
    notes.append(
        f"{len(keys):,} photos became keys in the order of their names, timed by the way between them."
    )
    return FilePath(CameraPath(keys), FORMAT, tuple(notes))


def _fovs(file: Path) -> tuple[dict[int, float], list[str]]:
    """Return the vertical fields of view by camera id, empty without a cameras.txt."""
    cameras = file.with_name("cameras.txt")
    if not cameras.is_file():
        return {}, [f"There is no cameras.txt beside {file.name}; a field of view of 50 degrees was taken."]
    lenses = {camera.id: lens_of(cameras, camera) for camera in colmap_text.read_cameras(cameras)}
    return {i: float(2.0 * np.arctan(0.5 * lens.height / lens.fy)) for i, lens in lenses.items()}, []
