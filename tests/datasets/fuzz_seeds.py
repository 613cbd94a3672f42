# SPDX-License-Identifier: MIT
"""One small whole capture of every format, whose files are then spoiled."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from engine.cameras import look_at
from engine.conventions import opengl_from_opencv

SIZE = (12, 8)
COUNT = 4


@dataclass(frozen=True)
class Seed:
    """A whole capture: `victims` are the files to spoil, `open` reads the capture with the public function."""

    name: str
    folder: Path
    victims: tuple[Path, ...]
    open: Callable[[], Any]


def _poses() -> list[np.ndarray]:
    angles = np.arange(COUNT) * 1.1
    places = np.stack([4.0 * np.cos(angles), 4.0 * np.sin(angles), np.full(COUNT, 1.0)], axis=1)
    return [look_at(place, np.zeros(3), np.array([0.0, 0.0, 1.0])) for place in places]


def _photos(folder: Path, mode: str = "RGB", suffix: str = ".png") -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0)
    paths = []
    for i in range(COUNT):
        pixels = noise.integers(0, 255, (SIZE[1], SIZE[0], len(mode)), dtype=np.uint8)
        paths.append(folder / f"{i}{suffix}")
        Image.fromarray(pixels.squeeze(), mode).save(paths[-1])
    return paths


def _scene(path: Path) -> Callable[[], Any]:
    from engine.datasets import SceneOptions, load_scene

    def read() -> None:
        scene = load_scene(path, SceneOptions(cache_mb=16))
        assert np.isfinite(scene.data_from_engine).all() and np.isfinite(scene.up).all()
        assert scene.points is None or np.isfinite(scene.points.xyz).all()
        for split in (scene.train, scene.test):
            for i, view in enumerate(split.views):
                camera = view.camera
                assert np.isfinite(
                    [*camera.world_from_cam.flat, camera.fx, camera.fy, camera.cx, camera.cy]
                ).all()
                split.images.load(i)
                split.images.load_mask(i)
                split.images.load_depth(i)

    return read


def _frames(names: list[str]) -> list[dict[str, Any]]:
    return [
        {"file_path": name, "transform_matrix": opengl_from_opencv(pose).round(5).tolist()}
        for name, pose in zip(names, _poses(), strict=True)
    ]


def transforms(folder: Path) -> Seed:
    """nerfstudio's format with everything that it may name."""
    _photos(folder / "images")
    _photos(folder / "m", "L")
    frames = _frames([f"images/{i}.png" for i in range(COUNT)])
    frames[0] |= {"mask_path": "m/0.png", "k1": 0.01, "fl_x": 11.0, "fl_y": 11.5}
    np.save(folder / "d.npy", np.ones((SIZE[1], SIZE[0]), dtype=np.float32))
    frames[1] |= {"depth_file_path": "d.npy", "w": 24, "h": 16}
    _ply(folder / "points.ply", "ascii")
    globals_ = {
        "camera_model": "OPENCV",
        "camera_angle_x": 0.9,
        "w": SIZE[0],
        "h": SIZE[1],
        "cx": 6.0,
        "p1": 0.001,
    }
    rest = {"applied_transform": np.eye(4)[:3].tolist(), "ply_file_path": "points.ply", "test_filenames": []}
    file = folder / "transforms.json"
    file.write_text(json.dumps({**globals_, **rest, "frames": frames}))
    return Seed("transforms", folder, (file,), _scene(folder))


def fisheye(folder: Path) -> Seed:
    """A transforms file with a fisheye lens."""
    _photos(folder / "images")
    lens = {
        "camera_model": "OPENCV_FISHEYE",
        "fl_x": 9.0,
        "fl_y": 9.0,
        "cx": 6,
        "cy": 4,
        "k1": 0.02,
        "k2": 1e-3,
        "k3": 0,
        "k4": 0,
    }
    file = folder / "transforms.json"
    file.write_text(json.dumps({**lens, "frames": _frames([f"images/{i}.png" for i in range(COUNT)])}))
    return Seed("fisheye", folder, (file,), _scene(folder))


def blender(folder: Path) -> Seed:
    """Both files of a Blender scene."""
    files = []
    for split in ("train", "test"):
        _photos(folder / split, "RGBA")
        files.append(folder / f"transforms_{split}.json")
        frames = _frames([f"./{split}/{i}" for i in range(COUNT)])
        files[-1].write_text(json.dumps({"camera_angle_x": 0.7, "frames": frames}))
    return Seed("blender", folder, tuple(files), _scene(folder))


def _world_to_camera() -> list[tuple[np.ndarray, np.ndarray]]:
    """Return a quaternion (w, x, y, z) and a translation for every pose, as COLMAP has them."""
    result = []
    for pose in _poses():
        cam_from_world = np.linalg.inv(pose)
        m = cam_from_world[:3, :3]
        k = np.array(
            [
                [m[0, 0] - m[1, 1] - m[2, 2], 0, 0, 0],
                [m[0, 1] + m[1, 0], m[1, 1] - m[0, 0] - m[2, 2], 0, 0],
                [m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], m[2, 2] - m[0, 0] - m[1, 1], 0],
                [m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], np.trace(m)],
            ]
        )
        vector = np.linalg.eigh(k)[1][:, -1]
        result.append((np.array([vector[3], *vector[:3]]), cam_from_world[:3, 3]))
    return result


_PARAMETERS = (12.0, 12.5, 6.0, 4.0, 0.01, -0.001, 1e-4, 2e-4)


def colmap_binary(folder: Path) -> Seed:
    """A binary COLMAP model with points."""
    _photos(folder / "images")
    model = folder / "sparse" / "0"
    model.mkdir(parents=True)
    cameras = struct.pack("<Q", 2) + struct.pack("<iiQQ4d", 1, 1, *SIZE, *_PARAMETERS[:4])
    cameras += struct.pack("<iiQQ8d", 2, 4, *SIZE, *_PARAMETERS)
    images = struct.pack("<Q", COUNT)
    for i, (quaternion, shift) in enumerate(_world_to_camera()):
        images += struct.pack("<i7di", i + 1, *quaternion, *shift, 1 + i % 2) + f"{i}.png\0".encode()
        images += struct.pack("<Q", 2) + struct.pack("<ddq", 3.0, 3.0, 1) + struct.pack("<ddq", 5.0, 2.0, -1)
    points = struct.pack("<Q", 3)
    for i in range(3):
        points += struct.pack("<Q3d3Bd", i + 1, 0.1 * i, 0.2, -0.1, 9, 99, 199, 0.5)
        points += struct.pack("<Q", 2) + struct.pack("<iiii", 1, 0, 2, 1)
    files = [model / f"{name}.bin" for name in ("cameras", "images", "points3D")]
    for file, content in zip(files, (cameras, images, points), strict=True):
        file.write_bytes(content)
    return Seed("colmap_binary", folder, tuple(files), _scene(folder))


def colmap_text(folder: Path) -> Seed:
    """The same as text."""
    _photos(folder / "images")
    model = folder / "sparse"
    model.mkdir(parents=True)
    numbers = " ".join(map(str, _PARAMETERS))
    cameras = (
        f"# cameras\n1 PINHOLE {SIZE[0]} {SIZE[1]} 12 12.5 6 4\n2 OPENCV {SIZE[0]} {SIZE[1]} {numbers}\n"
    )
    images = "# images\n"
    for i, (quaternion, shift) in enumerate(_world_to_camera()):
        values = " ".join(f"{v:.9g}" for v in (*quaternion, *shift))
        images += f"{i + 1} {values} {1 + i % 2} {i}.png\n3.0 3.0 1 5.0 2.0 -1\n"
    points = "# points\n" + "".join(f"{i + 1} {0.1 * i} 0.2 -0.1 9 99 199 0.5 1 0 2 1\n" for i in range(3))
    files = [model / f"{name}.txt" for name in ("cameras", "images", "points3D")]
    for file, content in zip(files, (cameras, images, points), strict=True):
        file.write_text(content)
    return Seed("colmap_text", folder, tuple(files), _scene(folder))


def llff(folder: Path) -> Seed:
    """A forward-facing capture."""
    _photos(folder / "images_4")
    rows = []
    for i, pose in enumerate(_poses()):
        right, down, forward = pose[:3, 0], pose[:3, 1], pose[:3, 2]
        columns = [down, right, -forward, pose[:3, 3], [4.0 * SIZE[1], 4.0 * SIZE[0], 40.0]]
        rows.append([*np.stack(columns, axis=1).ravel(), 2.0 + 0.1 * i, 9.0])
    file = folder / "poses_bounds.npy"
    np.save(file, np.array(rows))
    return Seed("llff", folder, (file,), _scene(folder))


def _ply(file: Path, form: str, count: int = 5) -> Path:
    head = f"ply\nformat {form} 1.0\ncomment points\nelement vertex {count}\n"
    head += "".join(f"property float {axis}\n" for axis in "xyz")
    head += "".join(f"property uchar {name}\n" for name in ("red", "green", "blue")) + "end_header\n"
    if form == "ascii":
        body = "".join(f"{0.1 * i} 0.5 -1.25 {i} 100 200\n" for i in range(count)).encode()
    else:
        body = b"".join(struct.pack("<fffBBB", 0.1 * i, 0.5, -1.25, i, 100, 200) for i in range(count))
    file.write_bytes(head.encode() + body)
    return file


def ply(folder: Path) -> Seed:
    """Points, as text and as bytes."""
    from engine.datasets.ply import read_ply

    folder.mkdir(parents=True, exist_ok=True)
    files = (_ply(folder / "a.ply", "ascii"), _ply(folder / "b.ply", "binary_little_endian"))
    return Seed("ply", folder, files, lambda: [read_ply(file) for file in files])


def camera_path(folder: Path) -> Seed:
    """A camera path in every format that is read."""
    from app.view.path import CameraPath, Key
    from app.view.path_files import FORMATS, read_path, write_path

    folder.mkdir(parents=True, exist_ok=True)
    path = CameraPath([Key(float(i), pose, 0.8) for i, pose in enumerate(_poses())])
    files = tuple(folder / f"{name}.json" for name in FORMATS)
    for file, name in zip(files, FORMATS):
        write_path(file, path, np.eye(4), name, fps=4.0)
    return Seed(
        "camera_path", folder, files, lambda: [read_path(file, np.eye(4)).path.at(0.5) for file in files]
    )


def pictures(folder: Path) -> Seed:
    """The photos, masks and depth maps of a scene: PNG, JPEG and .npy."""
    _photos(folder / "images", "RGB", ".jpg")
    photos = [folder / "images" / f"{i}.jpg" for i in range(2)] + _photos(folder / "images", "RGBA")[2:]
    masks = _photos(folder / "masks", "L")[:1]
    Image.fromarray(np.full((SIZE[1], SIZE[0]), 700, dtype=np.uint16)).save(folder / "d.png")
    np.save(folder / "d.npy", np.ones((SIZE[1], SIZE[0]), dtype=np.float32))
    frames = _frames([f"images/{photo.name}" for photo in photos])
    frames[0]["depth_file_path"], frames[1]["depth_file_path"] = "d.png", "d.npy"
    (folder / "transforms.json").write_text(json.dumps({"camera_angle_x": 0.9, "frames": frames}))
    victims = (*photos, *masks, folder / "d.png", folder / "d.npy")
    return Seed("pictures", folder, victims, _scene(folder))


FORMATS: dict[str, Callable[[Path], Seed]] = {
    make.__name__: make
    for make in (
        transforms, fisheye, blender, colmap_binary, colmap_text, llff, ply, camera_path, pictures
    )
}  # fmt: skip
