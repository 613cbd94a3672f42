# SPDX-License-Identifier: MIT
"""Every bad scene is refused in one sentence that names the file, what was wanted, what came and what to do."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine.datasets import load_scene
from engine.datasets.checks import inside
from engine.datasets.load import load_scene as load
from engine.errors import SceneError


def refusal(path: Path, named: Path | None = None) -> str:
    """Return the message that opening `path` ends in; it names `named` (default: the transforms file) and is a sentence."""
    with pytest.raises(SceneError) as caught:
        load_scene(path)
    message = str(caught.value)
    assert message.startswith(f"Cannot read {named or path / 'transforms.json'}: ")
    assert message.endswith(".") and "\n" not in message and "; " in message
    return message


def with_frame(index: int, **changes: Any) -> Callable[[dict[str, Any]], None]:
    """Return a change that overwrites entries of one frame; None removes the entry."""

    def change(data: dict[str, Any]) -> None:
        for key, value in changes.items():
            data["frames"][index][key] = value
            if value is None:
                del data["frames"][index][key]

    return change


def with_rotation(index: int, edit: Callable[[np.ndarray], np.ndarray]) -> Callable[[dict[str, Any]], None]:
    """Return a change that edits the 3x3 part of one pose."""

    def change(data: dict[str, Any]) -> None:
        pose = np.array(data["frames"][index]["transform_matrix"])
        pose[:3, :3] = edit(pose[:3, :3])
        data["frames"][index]["transform_matrix"] = pose.tolist()

    return change


def test_a_path_without_anything_is_refused(tmp_path):
    path = tmp_path / "nowhere"
    assert "a scene was wanted there and nothing is; correct the path" in refusal(path, path)


def test_a_folder_that_is_no_scene_is_refused(tmp_path):
    message = refusal(tmp_path, tmp_path)
    assert "a scene of posed photos was wanted, but this folder is empty (looked for " in message
    assert message.endswith("choose the folder that holds the posed photos.")


def test_a_folder_above_the_scene_is_told_to_open_the_scene(capture):
    folder = capture()
    assert f"open {folder} instead" in refusal(folder.parent, folder.parent)


def test_a_file_that_is_no_json_is_refused(tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(b"\x89PNG")
    assert "a scene of posed photos was wanted, but this is a .png file of an unknown kind" in refusal(
        path, path
    )


def test_broken_json_is_refused_with_its_line(tmp_path):
    (tmp_path / "transforms.json").write_text('{\n  "fl_x": 10,\n  "frames": [oops]\n}')
    assert "line 3, column 14 is not valid JSON" in refusal(tmp_path)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00bad", b"[" * 100_000])
def test_a_file_that_is_no_json_text_is_refused(tmp_path, content):
    (tmp_path / "transforms.json").write_bytes(content)
    refusal(tmp_path)


def test_json_that_is_no_object_is_refused(tmp_path):
    (tmp_path / "transforms.json").write_text("[1, 2]")
    assert "an object with a list 'frames' was expected, got a list" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("text", "came"),
    [("{}", "there is none"), ('{"frames": {}}', "it is an object"), ('{"frames": 3}', "it is a number")],
)
def test_a_file_without_a_list_of_frames_is_refused(tmp_path, text, came):
    (tmp_path / "transforms.json").write_text(text)
    assert f"a list 'frames' was expected but {came}" in refusal(tmp_path)


def test_an_empty_list_of_frames_is_refused(tmp_path):
    (tmp_path / "transforms.json").write_text('{"frames": []}')
    assert "its list 'frames' is empty; add the posed photos" in refusal(tmp_path)


def test_a_frame_that_is_no_object_is_refused(capture):
    assert "frames[1] must be an object, got a text" in refusal(capture(lambda d: d["frames"].insert(1, "x")))


def test_a_frame_without_file_path_is_refused(capture):
    message = refusal(capture(with_frame(3, file_path=None)))
    assert (
        "frames[3] has no 'file_path', the name of its photo was wanted; add it or remove the frame"
        in message
    )


def test_a_scene_without_any_photo_is_refused(capture):
    folder = capture(lambda d: [frame.update(file_path="gone/x.png") for frame in d["frames"]])
    message = refusal(folder)
    assert f"none of its 10 photos has a file (the first wanted is {folder / 'gone/x.png'})" in message


def test_a_file_that_is_no_photo_is_refused(capture):
    folder = capture()
    photo = folder / "images/4.png"
    photo.write_text("these are not pixels")
    assert "a photo (PNG, JPEG, ...) was expected and its content is none; replace" in refusal(folder, photo)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_truncated_photo_is_refused(capture, suffix):
    folder = capture(with_frame(3, file_path=f"images/cut.{suffix}"), size=(64, 48))
    photo = folder / f"images/cut.{suffix}"
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(photo)
    photo.write_bytes(photo.read_bytes()[: photo.stat().st_size // 2])
    assert "a whole photo was expected and it is damaged or cut short (" in refusal(folder, photo)


def test_a_photo_of_another_shape_than_the_calibration_is_refused(capture):
    message = refusal(capture(w=16, h=24, fl_x=20.0))
    assert "should be 16 x 24 pixels and is 24 x 16; use the calibrated photo" in message


def test_a_singular_pose_is_refused(capture):
    folder = capture(with_rotation(2, lambda r: r * [1.0, 1.0, 0.0]))
    message = refusal(folder)
    assert "frames[2] (images/3.png) is singular (determinant 0) where a rotation was wanted" in message


@pytest.mark.parametrize("edit", [lambda r: 2.0 * r, lambda r: r @ [[1, 0.3, 0], [0, 1, 0], [0, 0, 1]]])
def test_a_pose_with_scale_or_shear_is_refused(capture, edit):
    message = refusal(capture(with_rotation(2, edit)))
    assert "the pose of frames[2] (images/3.png) is no rotation" in message and "got lengths" in message


def test_a_mirrored_pose_is_refused(capture):
    message = refusal(capture(with_rotation(2, lambda r: r * [1.0, 1.0, -1.0])))
    assert "mirrors the scene (determinant -1) where a rotation was wanted" in message


def test_a_transposed_pose_is_refused(capture):
    def transpose(data: dict[str, Any]) -> None:
        frame = data["frames"][0]
        frame["transform_matrix"] = np.array(frame["transform_matrix"]).T.tolist()

    assert "must be 0 0 0 1, got" in refusal(capture(transpose))


@pytest.mark.parametrize(
    ("matrix", "came"),
    [
        (None, "nothing"),
        ([[1.0] * 3] * 3, "3 x 3"),
        ([[1.0] * 4] * 3 + [[1.0]], "rows of 4, 4, 4, 1 numbers"),
        ("identity", "a text"),
    ],
)
def test_a_pose_of_the_wrong_shape_is_refused(capture, matrix, came):
    message = refusal(capture(with_frame(5, transform_matrix=matrix)))
    assert f"of frames[5] (images/6.png) must be 4 rows of 4 numbers, got {came}" in message


@pytest.mark.parametrize("focal", [0.0, -1200.0])
def test_a_focal_length_that_is_not_positive_is_refused(capture, focal):
    message = refusal(capture(fl_x=focal))
    assert f"must be greater than zero, got {focal:g}; correct the camera's calibration" in message


def test_an_angle_of_view_in_degrees_is_refused(capture):
    assert "an angle below 3.14 radians, got 50; convert it from degrees" in refusal(
        capture(camera_angle_x=50)
    )


def test_a_scene_without_focal_length_is_refused(capture):
    assert "has no focal length: 'fl_x' in pixels" in refusal(capture(lambda d: d.pop("camera_angle_x")))


@pytest.mark.parametrize("key", ["fl_x", "cx", "k1", "p2", "w"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_nan_and_infinity_in_a_calibration_are_refused(capture, key, value):
    message = refusal(capture(**{"fl_x": 20.0, key: value}))
    assert f"'{key}' of frames[0] (images/1.png) must be a finite number, got {value}" in message


def test_nan_in_a_pose_is_refused(capture):
    def spoil(data: dict[str, Any]) -> None:
        data["frames"][7]["transform_matrix"][1][3] = math.nan

    assert "'transform_matrix' of frames[7] (images/8.png) must be a finite number" in refusal(capture(spoil))


def test_text_where_a_number_belongs_is_refused(capture):
    assert "'cy' of frames[0] (images/1.png) must be a number, got '12'" in refusal(capture(cy="12"))


def test_a_single_photo_is_refused(capture):
    assert "at least 2 photos from different places are wanted, got 1 (images/1.png)" in refusal(
        capture(count=1)
    )


def test_long_names_and_line_breaks_do_not_spoil_the_sentence(capture):
    for name in ("x" * 9000, "a\nb\x1b[31m.png"):

        def rename(data: dict[str, Any], name: str = name) -> None:
            data["frames"][3].update(file_path=name, transform_matrix=3)

        message = refusal(capture(rename))
        assert len(message) < 1000 and message.isprintable()
        assert "must be 4 rows of 4 numbers, got a number" in message


def test_a_pose_with_huge_numbers_is_refused(capture):
    def far(data: dict[str, Any]) -> None:
        data["frames"][0]["transform_matrix"][1][3] = 1e200

    assert "the position of frames[0] (images/1.png) must be below 1e+12 units" in refusal(capture(far))
    assert "is no rotation" in refusal(capture(with_rotation(0, lambda rotation: rotation * 1e200)))


@pytest.mark.parametrize("at", [0.0, 1e4])
def test_cameras_at_one_point_are_refused(capture, at):
    def gather(data: dict[str, Any]) -> None:
        for frame in data["frames"]:
            for row in range(3):
                frame["transform_matrix"][row][3] = at

    assert "all 10 cameras stand at one point" in refusal(capture(gather))


@pytest.mark.parametrize(
    ("keys", "what"),
    [
        ({"is_fisheye": True, "p1": 0.1}, "'p1', which is not supported for a fisheye lens"),
        ({"camera_model": "OPENCV", "k4": 0.1}, "'k4', which is not supported for a pinhole camera"),
        ({"ftheta_p0": 1.0}, "an f-theta lens"),
        ({"w": 1e300}, "'w' of frames[0] (images/1.png) must be 1 to 131,072 pixels"),
        ({"w": 0.2}, "must be 1 to 131,072 pixels, got 0.2"),
        ({"ply_file_path": 3}, "'ply_file_path' must be the name of a file of points, got 3"),
        ({"mask_path": ["a"]}, None),
    ],
)
def test_a_lens_or_a_name_that_cannot_be_is_refused(capture, keys, what):
    if what is None:
        message = refusal(capture(lambda data: data["frames"][2].update(keys)))
        what = "'mask_path' of frames[2] (images/3.png) must be the name of a mask, got ['a']"
    else:
        message = refusal(capture(**keys))
    assert what in message


def test_an_unknown_camera_model_is_refused(capture):
    assert "the camera model 'EQUIRECTANGULAR', which is not supported (known: PINHOLE" in refusal(
        capture(camera_model="EQUIRECTANGULAR")
    )


def test_a_distortion_that_folds_over_is_refused(capture):
    message = refusal(capture(k1=-9.0))
    assert "lens distortion of images/2.png cannot be undone" in message and "k1 -9" in message


def test_blender_files_are_checked_alike(capture):
    folder = capture(with_frame(3, file_path=None), file="transforms_train.json")
    assert "frames[3] has no 'file_path'" in refusal(folder, folder / "transforms_train.json")
    folder = capture(count=1, file="transforms_train.json")
    assert "got 1 (images/1.png)" in refusal(folder, folder / "transforms_train.json")


def test_the_package_offers_the_loader():
    assert load is load_scene


@pytest.mark.parametrize(
    "name", ["../x.png", "images/../../x.png", "/etc/hosts", "a/../../capture2/x.png", "..", "../capture2"]
)
def test_a_name_that_leads_out_of_the_scene_folder_is_refused_unless_allowed(tmp_path, name):
    folder = tmp_path / "capture"
    with pytest.raises(SceneError, match=r"outside the scene folder .*--allow-outside") as caught:
        inside(folder, name, allow=False, source=folder / "t.json", what="mask")
    assert str(caught.value).startswith(f"Cannot read {folder / 't.json'}: it names the mask {name!r}")
    assert inside(folder, name, allow=True) == Path(os.path.normpath(folder / name))


def test_a_name_inside_the_scene_folder_is_found_however_it_is_written(tmp_path, monkeypatch):
    folder, link = tmp_path / "capture", tmp_path / "link"
    folder.mkdir()
    link.symlink_to(folder)
    for name in ("./a/b.png", "a/../a/b.png", folder / "a/b.png", "../capture/a/b.png"):
        assert inside(folder, name, allow=False) == folder / "a/b.png"
    assert inside(link, folder / "a/b.png", allow=False) == folder / "a/b.png"
    monkeypatch.chdir(folder)
    assert inside(Path("."), "a/b.png", allow=False) == Path("a/b.png")
    assert inside(Path(".."), "a.png", allow=False) == Path("../a.png")
    with pytest.raises(SceneError):
        inside(Path("."), "../a.png", allow=False)
    with pytest.raises(SceneError):
        inside(Path(".."), "../a.png", allow=False)
