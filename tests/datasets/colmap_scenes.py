# SPDX-License-Identifier: MIT
"""Writes small COLMAP scenes, text or binary, with a writer that shares nothing with the readers."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

from engine.cameras import look_at

NUMBERS = {
    "SIMPLE_PINHOLE": 0,
    "PINHOLE": 1,
    "SIMPLE_RADIAL": 2,
    "RADIAL": 3,
    "OPENCV": 4,
    "OPENCV_FISHEYE": 5,
}


@dataclass
class Model:
    """The records of a model, to be spoilt by a test before `write`."""

    cameras: list[list[Any]] = field(default_factory=list)  # id, model, width, height, params
    images: list[list[Any]] = field(
        default_factory=list
    )  # id, quaternion, translation, camera id, name, keypoints
    points: list[list[Any]] = field(default_factory=list)  # id, xyz, rgb, error, track

    def write(self, folder: Path, suffix: str) -> Path:
        """Write cameras, images and points3D in one of the two formats."""
        folder.mkdir(parents=True, exist_ok=True)
        parts = self._text() if suffix == ".txt" else self._binary()
        for stem, content in zip(("cameras", "images", "points3D"), parts, strict=True):
            (folder / f"{stem}{suffix}").write_bytes(content)
        return folder

    def _binary(self) -> list[bytes]:
        count = struct.Struct("<Q").pack
        cameras = count(len(self.cameras)) + b"".join(
            struct.pack("<IiQQ", i, NUMBERS.get(m, m), w, h) + struct.pack(f"<{len(p)}d", *p)
            for i, m, w, h, p in self.cameras
        )
        images = count(len(self.images)) + b"".join(
            struct.pack("<I7dI", i, *q, *t, c) + name.encode() + b"\0" + count(n) + bytes(24 * n)
            for i, q, t, c, name, n in self.images
        )
        points = count(len(self.points)) + b"".join(
            struct.pack("<Q3d3Bd", i, *xyz, *rgb, e)
            + count(len(track))
            + b"".join(struct.pack("<II", v, 0) for v in track)
            for i, xyz, rgb, e, track in self.points
        )
        return [cameras, images, points]

    def _text(self) -> list[bytes]:
        def line(*parts: Any) -> str:
            flat = [
                x for part in parts for x in (part if isinstance(part, list | tuple | np.ndarray) else [part])
            ]
            return " ".join(repr(float(x)) if isinstance(x, float) else str(x) for x in flat)

        cameras = ["# cameras", *(line(*record) for record in self.cameras)]
        images = ["# photos"]
        for i, q, t, c, name, n in self.images:
            images += [line(i, q, t, c, name), " ".join(["0.0 0.0 -1"] * n)]
        points = [
            line(i, xyz, rgb, e, [x for v in track for x in (v, 0)]) for i, xyz, rgb, e, track in self.points
        ]
        return ["\n".join([*lines, ""]).encode() for lines in (cameras, images, points)]


def ring_model(count: int = 10, size: tuple[int, int] = (24, 16), names: str = "{:02}.png") -> Model:
    """Return a model of cameras on a ring, and points near the origin seen by a few of them; ids are not indices."""
    rng = np.random.default_rng(5)
    model = Model([[3, "PINHOLE", *size, [20.0, 21.0, size[0] / 2, size[1] / 2]]])
    for i in range(count):
        angle = 2.0 * np.pi * i / count
        place = np.array([4.0 * np.cos(angle), 4.0 * np.sin(angle), 1.0])
        cam_from_world = np.linalg.inv(look_at(place, np.zeros(3), np.array([0.0, 0.0, 1.0])))
        quaternion = Rotation.from_matrix(cam_from_world[:3, :3]).as_quat()[[3, 0, 1, 2]].tolist()
        model.images.append([100 + i, quaternion, cam_from_world[:3, 3].tolist(), 3, names.format(i), i % 3])
    for p in range(40):
        track = [100 + int(v) for v in rng.choice(count, rng.integers(0, 5))]
        xyz = rng.normal(0.0, 0.3, 3).tolist()
        model.points.append([p + 7, xyz, rng.integers(0, 256, 3).tolist(), float(rng.random()), track])
    return model


def write_photos(folder: Path, model: Model, shrink: int = 1) -> None:
    """Write a photo for every image of the model; its red says which."""
    sizes = {camera[0]: (camera[2] // shrink, camera[3] // shrink) for camera in model.cameras}
    for i, image in enumerate(model.images):
        path = folder / image[4]
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", sizes[image[3]], (10 * i, 100, 200)).save(path)


def write_scene(folder: Path, model: Model, place: str = "sparse/0", suffix: str = ".bin") -> Path:
    """Write a model and its photos in `images`; return the scene folder."""
    model.write(folder / place, suffix)
    write_photos(folder / "images", model)
    return folder
