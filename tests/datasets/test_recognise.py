# SPDX-License-Identifier: MIT
"""What a path holds is told from its content, and what is no scene is refused with what to do about it."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.datasets import load_scene
from engine.datasets.recognise import SCENES, NotASceneError, recognise
from engine.datasets.signatures import kind_of_bytes


def _photos(folder: Path, count: int = 3) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        Image.new("RGB", (8, 6)).save(folder / f"{i}.jpg")
    return folder


def _files(folder: Path, *names: str, content: bytes = b"x") -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize(
    ("names", "kind", "opened"),
    [
        (["transforms_train.json", "transforms.json"], "blender", "."),
        (["transforms.json", "sparse/0/cameras.bin", "sparse/0/images.bin"], "transforms", "transforms.json"),
        (["sparse/0/cameras.bin", "sparse/0/images.bin", "poses_bounds.npy"], "colmap", "."),
        (["sparse/cameras.txt", "sparse/images.txt"], "colmap", "."),
        (["colmap/sparse/0/cameras.txt", "colmap/sparse/0/images.txt"], "colmap", "."),
        (["0/cameras.bin", "0/images.bin"], "colmap", "0"),
        (["sparse/0/cameras.bin", "sparse/0/points3D.bin", "poses_bounds.npy"], "llff", "poses_bounds.npy"),
        (["sparse/0/cameras.bin", "sparse/0/images.txt"], "part", "."),
        (["transforms_test.json"], "part", "."),
        (["run.json", "transforms.json"], "run", "."),
        (["lego/transforms.json"], "inside", "lego"),
        (["old/run.json"], "inside", "old"),
        (["points.ply"], "ply", "."),
        (["clip.mp4"], "video", "clip.mp4"),
        (["notes.odt"], "unknown", "."),
        ([], "empty", "."),
    ],
)
def test_a_folder_is_told_by_what_lies_in_it(tmp_path, names, kind, opened):
    found = recognise(_files(tmp_path, *names))
    assert (found.kind, found.path) == (kind, tmp_path / opened)
    assert found.sentence.endswith(".") and found.is_scene == (kind in SCENES)


def test_photos_without_poses_are_told_from_photos_beside_their_poses(tmp_path, capture):
    assert recognise(_photos(tmp_path / "holiday")).kind == "photos"
    nested = recognise(_photos(tmp_path / "other" / "images").parent)
    assert (nested.kind, nested.path) == ("photos", tmp_path / "other" / "images")
    folder = capture()
    beside = recognise(folder / "images")
    assert (beside.kind, beside.path) == ("inside", folder)
    fake = _files(tmp_path / "fake", "a.jpg", "b.jpg", content=b"no photo at all")
    assert recognise(fake).kind == "unknown"


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.json", b'{"camera_angle_x": 1, "frames": []}', "transforms"),
        ("a.json", b'{"w": 1}', "unknown"),
        ("transforms.json", b'{"frames": [', "transforms"),
        ("transforms.json", b"no JSON", "transforms"),
        ("flight.json", b'{"format": "nerfviewer-camera-path", "version": 1, "keys": []}', "camera_path"),
        ("flight.json", b'{"keyframes": [], "camera_path": []}', "camera_path"),
        ("a.ply", b"ply\nformat ascii 1.0\n", "ply"),
        ("a.bin", b"\0\0\0\x18ftypmp42\0\0\0\0", "video"),
        ("a.mov", b"\0\0\0\x08wide\0\0\0\0mdat", "video"),
        ("a.webm", b"\x1a\x45\xdf\xa3rest", "video"),
        ("a.avi", b"RIFF\0\0\0\0AVI LIST", "video"),
        ("a.mp4", b"\xff\xd8\xff\xe0", "photo"),
        ("a.heic", b"\0\0\0\x18ftypheic\0\0\0\0", "photo"),
        ("a.safetensors", struct.pack("<Q", 2) + b"{}", "checkpoint"),
        ("a.pth", b"PK\x03\x04....archive/data.pkl", "torch"),
        ("a.npz", b"PK\x03\x04....images.npy", "array"),
        ("a.bin", b"\0\1\2\3", "unknown"),
        ("a.txt", b"hello", "unknown"),
        ("a", b"", "empty"),
    ],
)
def test_a_file_is_told_by_its_first_bytes(tmp_path, name, content, kind):
    (tmp_path / name).write_bytes(content)
    assert recognise(tmp_path / name).kind == kind


def test_arrays_are_told_apart_by_their_shape(tmp_path):
    np.save(tmp_path / "poses_of_fern.npy", np.zeros((3, 17)))
    np.save(tmp_path / "other.npy", np.zeros((3, 16)))
    assert [recognise(tmp_path / f"{n}.npy").kind for n in ("poses_of_fern", "other")] == ["llff", "array"]


def test_files_of_a_scene_or_a_run_lead_to_it(tmp_path):
    scene = _files(
        tmp_path / "desk", "sparse/0/cameras.bin", "sparse/0/images.bin", content=b"\0\0\0\0\0\0\0\0"
    )
    _photos(scene / "images")
    assert recognise(scene / "sparse/0/images.bin") == recognise(scene)
    assert recognise(scene / "sparse").path == scene / "sparse" / "0"
    run = _files(tmp_path / "run", "run.json", content=b"{}")
    checkpoint = _files(run, "checkpoints/1.safetensors", content=struct.pack("<Q", 2) + b"{}")
    for path in (run, run / "run.json", run / "checkpoints", checkpoint / "checkpoints/1.safetensors"):
        assert (recognise(path).kind, recognise(path).path) == ("run", run)


def test_nothing_and_what_is_no_file_are_told(tmp_path):
    assert recognise(tmp_path / "nowhere").kind == "missing"
    assert recognise("a\0b").kind in ("missing", "unreadable")
    assert recognise("/dev/null").kind == "unknown"
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert recognise(tmp_path / "loop").kind in ("missing", "unreadable")


def test_what_is_no_scene_is_refused_with_what_it_is_and_what_to_do(tmp_path):
    cases = {
        _files(tmp_path / "run", "run.json"): ("this is a run of nerfviewer", 'open it with "nerfviewer '),
        _photos(tmp_path / "holiday"): ("this holds 3 photos without poses", 'with "nerfviewer import '),
        _files(tmp_path / "film", "a.mp4"): (
            "this holds the video a.mp4",
            f"import {tmp_path / 'film/a.mp4'} -o",
        ),
        _files(tmp_path / "x", "y.z"): (
            "holds nothing that is known (looked for transforms_train",
            "choose a folder",
        ),
    }
    for path, (what, remedy) in cases.items():
        with pytest.raises(NotASceneError) as caught:
            load_scene(path)
        message = str(caught.value)
        assert message.startswith(f"Cannot read {path}: a scene of posed photos was wanted, but this ")
        assert what in message and remedy in message and message.endswith(".")
        assert caught.value.recognised == recognise(path)


def test_a_long_header_does_not_hide_the_frames_of_a_scene(tmp_path):
    data = {"notes": "x" * 100_000, "frames": []}
    (tmp_path / "long.json").write_text(json.dumps(data))
    assert recognise(tmp_path / "long.json").kind == "transforms"


def test_a_character_cut_in_two_is_still_text():
    text = '{"ä": 1}'.encode()
    assert kind_of_bytes(text[:3], len(text)) == "json"
    assert kind_of_bytes(b"{\xff\xfe\xfd" + b"x" * 9, 13) == "unknown"
