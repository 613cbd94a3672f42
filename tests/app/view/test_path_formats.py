# SPDX-License-Identifier: MIT
"""Camera paths of other programs: hand-made files mean what their description says, and what is written comes back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.view.path import CameraPath, Key, PathStyle
from app.view.path_files import PathFrame, read_dataparser, read_path, write_path
from app.view.rotations import axis_angle_matrix, matrix_from_quaternion
from engine.conventions import similarity
from engine.errors import UserError
from tests.app.view.test_path_many import random_paths

SAME = np.eye(4)
DATA_FROM_ENGINE = similarity(2.0, np.array([3.0, -1.0, 0.5]))
DATA_FROM_ENGINE[:3, :3] = DATA_FROM_ENGINE[:3, :3] @ axis_angle_matrix(np.array([0.6, 0.0, 0.8]), 0.7)
TURN_AND_HALVE = np.array(
    [[0.0, -1, 0, 1], [1, 0, 0, 0], [0, 0, 1, 0]]
)  # a quarter turn about z, a step along x
FRAME = PathFrame(0.4, (0.1, 0.2, 0.3), TURN_AND_HALVE, 0.5)


def _written(folder: Path, content: Any) -> Path:
    file = folder / "file.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def _ngp_key(stamp: float, **change: Any) -> dict[str, Any]:
    # The dataset's (1, 2, 3) with axes right, down, forward along x, y, z, scaled by 0.33, moved by 0.5, and then
    # y, z, x in the places of x, y, z.
    key = {"R": [-0.5, -0.5, -0.5, 0.5], "T": [1.16, 1.49, 0.83], "fov": 50.625, "timestamp": stamp}
    return {**key, "scale": 1.5, "slice": 0.0, "dof": 0.0, **change}


def _ngp(*keys: dict[str, Any], **change: Any) -> dict[str, Any]:
    head = {"loop": False, "time": 0.3, "duration_seconds": 6.0, "spline_order": 3}
    return {**head, "path": list(keys), **change}


def _times(path: CameraPath) -> list[float]:
    return [key.time_s for key in path.keys]


# --- instant-ngp ----------------------------------------------------------------------------------------------------


def test_a_key_of_instant_ngp_lies_where_the_dataset_says(tmp_path: Path) -> None:
    found = read_path(_written(tmp_path, _ngp(_ngp_key(1.0), _ngp_key(2.0))), SAME)
    expected = np.eye(4)
    expected[:3, 3] = 1, 2, 3
    assert found.format == "instant-ngp" and np.allclose(found.path.keys[0].world_from_cam, expected)
    assert np.degrees(found.path.keys[0].fov_y_rad) == pytest.approx(50.625)
    assert any("smooths" in note for note in found.notes) and any("0.33" in note for note in found.notes)


def test_instant_ngps_timestamps_end_the_segments_and_are_stretched_to_its_duration(tmp_path: Path) -> None:
    keys = [_ngp_key(stamp) for stamp in (1.0, 3.0, 99.0)]
    found = read_path(_written(tmp_path, _ngp(*keys)), SAME)
    assert _times(found.path) == [0.0, 2.0, 6.0], "1 and 3 of 3, in 6 seconds; the last stamp is a loop's"
    loop = read_path(_written(tmp_path, _ngp(*keys[:2], _ngp_key(4.0), loop=True)), SAME).path
    assert _times(loop) == [0.0, 1.5, 4.5] and loop.closed and loop.duration_s == 6.0
    plain = _ngp(*keys)
    del plain["duration_seconds"]
    assert _times(read_path(_written(tmp_path, plain), SAME).path) == [0.0, 1.0, 3.0]


@pytest.mark.parametrize("stamps", [(0.0, 0.0, 0.0), (0.0, 1.0, 2.0), (2.0, 1.0, 3.0)])
def test_timestamps_that_do_not_rise_become_even_as_in_instant_ngp(tmp_path: Path, stamps: tuple) -> None:
    found = read_path(_written(tmp_path, _ngp(*(_ngp_key(stamp) for stamp in stamps))), SAME)
    assert _times(found.path) == [0.0, 3.0, 6.0] and any("evenly" in note for note in found.notes)


def test_scale_and_offset_of_instant_ngp_can_be_given(tmp_path: Path) -> None:
    frame = PathFrame(ngp_scale=2.0, ngp_offset=(0.0, 1.0, 0.0))
    key = _ngp_key(1.0, T=[5.0, 6.0, 2.0])  # z and x are 6 / 2 and 2 / 2; y is (5 - 1) / 2
    found = read_path(_written(tmp_path, _ngp(key)), SAME, frame)
    assert np.allclose(found.path.keys[0].position, [1, 2, 3])


def test_instant_ngp_is_told_when_the_segments_end(tmp_path: Path) -> None:
    keys = [Key(t, np.eye(4), 0.8) for t in (0.0, 1.5, 2.0)]
    file = tmp_path / "ngp.json"
    notes = write_path(file, CameraPath(keys), SAME, "instant-ngp")
    content = json.loads(file.read_text())
    assert [key["timestamp"] for key in content["path"]] == [1.5, 2.0, 2.5]
    assert (content["duration_seconds"], content["loop"], content["spline_order"]) == (2.0, False, 3)
    assert content["path"][0]["T"] == pytest.approx([0.5] * 3) and "near the keys" in notes[0]
    write_path(file, CameraPath(keys, PathStyle(loop=True, loop_s=3.0)), SAME, "instant-ngp")
    content = json.loads(file.read_text())
    assert [key["timestamp"] for key in content["path"]] == [1.5, 2.0, 5.0]
    assert (content["duration_seconds"], content["loop"]) == (5.0, True)


@pytest.mark.parametrize("loop", [False, True])
def test_written_as_samples_instant_ngp_follows_the_path_in_straight_lines(
    tmp_path: Path, loop: bool
) -> None:
    path = next(p for p in random_paths(100) if len(p.keys) == 5 and p.style.loop == loop)
    file = tmp_path / "ngp.json"
    write_path(file, path, SAME, "instant-ngp", samples_per_s=20.0)
    assert json.loads(file.read_text())["spline_order"] == 1
    back = read_path(file, SAME).path
    assert back.closed == loop and back.duration_s == pytest.approx(path.duration_s)
    poses, _ = path.sample(path.start_s + np.array(_times(back)))
    assert np.allclose([key.world_from_cam for key in back.keys], poses, atol=1e-9)
    assert len(back.keys) == pytest.approx(20 * path.duration_s, abs=2)


# --- nerfstudio -----------------------------------------------------------------------------------------------------


def _matrix(*place: float) -> list[float]:
    """Right, up and back along x, y and z, row after row."""
    return [1, 0, 0, place[0], 0, 1, 0, place[1], 0, 0, 1, place[2], 0, 0, 0, 1]


def _nerfstudio(**change: Any) -> dict[str, Any]:
    keyframes = [
        {"matrix": _matrix(1, 2, 3), "fov": 50.0, "aspect": 1.5, "override_transition_enabled": False},
        {"matrix": _matrix(2, 2, 3), "fov": 60.0, "aspect": 1.5, "override_transition_enabled": True,
         "override_transition_sec": 0.5},
        {"matrix": _matrix(3, 2, 3), "fov": 70.0, "aspect": 1.5, "override_transition_enabled": False,
         "override_transition_sec": 9.0},
    ]  # fmt: skip
    frames = [{"camera_to_world": _matrix(1 + i / 50, 2, 3), "fov": 50.0, "aspect": 1.5} for i in range(100)]
    head = {"default_fov": 75.0, "default_transition_sec": 2.0, "keyframes": keyframes, "seconds": 2.5}
    size = {"render_height": 600, "render_width": 900, "fps": 24, "camera_type": "perspective"}
    return {**head, **size, "is_cycle": False, "smoothness_value": 0.25, "camera_path": frames, **change}


def test_keyframes_of_nerfstudio_are_met_after_the_transitions_that_lead_to_them(tmp_path: Path) -> None:
    found = read_path(_written(tmp_path, _nerfstudio()), SAME)
    assert _times(found.path) == [0.0, 0.5, 2.5] and found.path.style == PathStyle(tension=0.25)
    expected = np.diag([1.0, -1.0, -1.0, 1.0])  # down and forward instead of up and back
    expected[:3, 3] = 1, 2, 3
    assert np.allclose(found.path.keys[0].world_from_cam, expected)
    assert np.degrees(found.path.keys[2].fov_y_rad) == pytest.approx(70)
    assert (found.size, found.fps, found.notes) == ((900, 600), 40.0, ()), "frames over seconds, not 'fps'"


def test_a_cycle_of_nerfstudio_leads_back_in_the_first_keys_transition(tmp_path: Path) -> None:
    content = _nerfstudio(is_cycle=True)
    content["keyframes"][0] |= {"override_transition_enabled": True, "override_transition_sec": 1.25}
    path = read_path(_written(tmp_path, content), SAME).path
    assert path.closed and path.style.loop_s == 1.25 and _times(path) == [0.0, 0.5, 2.5]


def test_nerfstudios_transform_and_scale_are_undone(tmp_path: Path) -> None:
    transforms = tmp_path / "dataparser_transforms.json"
    transforms.write_text(json.dumps({"transform": TURN_AND_HALVE.tolist(), "scale": 0.5}))
    content = _nerfstudio()
    content["keyframes"] = [content["keyframes"][0] | {"matrix": _matrix(-0.5, 0.5, 1.5)}]
    key = read_path(_written(tmp_path, content), SAME, read_dataparser(transforms)).path.keys[0]
    assert np.allclose(key.position, [1, 2, 3])
    # Right along x there is -y here (the turn undone), down along -y there is -x.
    assert np.allclose(key.world_from_cam[:3, 0], [0, -1, 0]) and np.allclose(
        key.world_from_cam[:3, 1], [-1, 0, 0]
    )


def test_frames_alone_become_keys_that_follow_them(tmp_path: Path) -> None:
    content = _nerfstudio(seconds=4.0)
    del content["keyframes"]
    found = read_path(_written(tmp_path, content), SAME)
    assert len(found.path.keys) == 2 and found.path.duration_s == pytest.approx(4.0 * 99 / 100)
    assert np.allclose(found.path.at(2.0).position, [2, 2, 3])
    assert found.fps == 25.0 and any("100 frames" in note for note in found.notes)


def test_what_nerfstudio_has_and_we_do_not_is_said(tmp_path: Path) -> None:
    content = _nerfstudio(camera_type="fisheye", crop={"crop_center": [0, 0, 0]})
    content["keyframes"][1]["override_time_enabled"] = True
    notes = " ".join(read_path(_written(tmp_path, content), SAME).notes)
    assert "fisheye" in notes and "crops" in notes and "scene times" in notes


def test_nerfstudio_gets_every_frame_of_the_path(tmp_path: Path) -> None:
    path = next(p for p in random_paths(40) if len(p.keys) == 6)
    file = tmp_path / "ns.json"
    write_path(file, path, SAME, "nerfstudio", size=(640, 360), fps=10.0)
    content = json.loads(file.read_text())
    frames, seconds = content["camera_path"], content["seconds"]
    assert len(frames) == int(10 * path.duration_s) and seconds == path.duration_s
    assert (content["render_width"], content["render_height"], content["fps"]) == (640, 360, 10.0)
    for i in (0, 3, len(frames) - 1):
        there = path.at(path.start_s + seconds * i / len(frames))
        assert np.allclose(np.reshape(frames[i]["camera_to_world"], (4, 4))[:, 3], there.world_from_cam[:, 3])
        assert frames[i]["fov"] == pytest.approx(np.degrees(there.fov_y_rad))
        assert frames[i]["aspect"] == pytest.approx(16 / 9)


# --- there and back -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["nerfviewer", "instant-ngp", "nerfstudio"])
def test_what_is_written_comes_back(tmp_path: Path, format: str) -> None:
    file = tmp_path / "path.json"
    for path in random_paths(40, ("auto", "linear", "ease", "hold") if format == "nerfviewer" else ("auto",)):
        if format != "nerfviewer":  # which knows no other beginning than 0, and no constant speed
            keys = [replace(key, time_s=key.time_s - path.start_s) for key in path.keys]
            path = CameraPath(keys, replace(path.style, constant_speed=False))
        write_path(file, path, DATA_FROM_ENGINE, format, FRAME, fps=4.0)
        found = read_path(file, DATA_FROM_ENGINE, FRAME)
        assert found.format == format and len(found.path.keys) == len(path.keys)
        for back, key in zip(found.path.keys, path.keys):
            assert back.time_s == pytest.approx(key.time_s, abs=1e-9) and back.easing == key.easing
            assert np.allclose(back.world_from_cam, key.world_from_cam, atol=1e-9)
            assert back.fov_y_rad == pytest.approx(key.fov_y_rad, abs=1e-12)
        assert found.path.closed == path.closed
        if path.closed:
            assert found.path.style.loop_s == pytest.approx(path.style.loop_s)
        if format == "nerfviewer":
            assert found.path.style == path.style and found.notes == ()
        elif format == "nerfstudio":
            assert found.path.style.tension == pytest.approx(path.style.tension)


@pytest.mark.parametrize("format", ["instant-ngp", "nerfstudio"])
def test_at_constant_speed_other_programs_get_the_times_at_which_keys_are_passed(
    tmp_path: Path, format: str
) -> None:
    keys = [Key(t, similarity(1.0, np.array([x, 0.0, 0.0])), 0.8) for t, x in ((0, 0), (1, 3), (4, 4))]
    file = tmp_path / "path.json"
    write_path(file, CameraPath(keys, PathStyle(constant_speed=True)), SAME, format)
    assert _times(read_path(file, SAME).path) == pytest.approx([0, 3, 4], abs=0.01)


def test_what_a_format_cannot_hold_is_said(tmp_path: Path) -> None:
    keys = [Key(1.0, np.eye(4), 0.8, "ease"), Key(2.0, similarity(1.0, np.ones(3)), 0.8)]
    path, file = CameraPath(keys, PathStyle(tension=0.5, constant_speed=True)), tmp_path / "path.json"
    assert write_path(file, path, SAME) == ()
    ngp = " ".join(write_path(file, path, SAME, "instant-ngp"))
    assert "easing" in ngp and "tension" in ngp and "first key" in ngp
    nerfstudio = " ".join(write_path(file, path, SAME, "nerfstudio"))
    assert "easing" in nerfstudio and "constant speed" in nerfstudio
    with pytest.raises(UserError, match="as nerfviewer, instant-ngp, nerfstudio, not as 'mp4'"):
        write_path(file, path, SAME, "mp4")


# --- COLMAP ---------------------------------------------------------------------------------------------------------

IMAGES = """# Image list with two lines of data per image:
7 0.5 0.5 0.5 0.5 1 2 3 1 b.jpg
1.0 2.0 -1 3.0 4.0 5
3 1 0 0 0 0 0 -2 1 a.jpg

9 1 0 0 0 0 0 -6 1 c.jpg

"""


def test_photos_of_colmap_become_keys_by_name_timed_by_the_way(tmp_path: Path) -> None:
    file = tmp_path / "images.txt"
    file.write_text(IMAGES)
    (tmp_path / "cameras.txt").write_text("1 PINHOLE 640 480 500 240 320 240\n")
    found = read_path(file, SAME)
    a, b, c = found.path.keys
    assert np.allclose(a.position, [0, 0, 2]) and np.allclose(a.world_from_cam[:3, :3], np.eye(3))
    turn = matrix_from_quaternion(np.array([0.5, 0.5, 0.5, 0.5]))
    assert np.allclose(b.world_from_cam[:3, :3], turn.T) and np.allclose(b.position, -turn.T @ [1, 2, 3])
    assert np.degrees(a.fov_y_rad) == pytest.approx(90)
    steps = np.array([np.linalg.norm(b.position - a.position), np.linalg.norm(c.position - b.position)])
    assert np.diff(_times(found.path)) == pytest.approx(2 * steps / steps.sum())
    assert found.format == "colmap" and "3 photos" in found.notes[0]


def test_photos_without_lenses_get_a_usual_field_of_view(tmp_path: Path) -> None:
    file = tmp_path / "images.txt"
    file.write_text(IMAGES)
    found = read_path(file, SAME)
    assert (
        np.degrees(found.path.keys[0].fov_y_rad) == pytest.approx(50) and "no cameras.txt" in found.notes[0]
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("0.5 0.5 0.5 0.5", "0 0 0 0", "quaternion of length 1"),
        ("0.5 0.5 0.5 0.5", "nan 0 0 0", "not finite"),
        ("1 b.jpg", "2 b.jpg", "photo 'b.jpg' has the camera 2, which cameras.txt beside it lacks"),
    ],
)
def test_photos_that_are_none_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    file = tmp_path / "images.txt"
    file.write_text(IMAGES.replace(old, new))
    (tmp_path / "cameras.txt").write_text("1 PINHOLE 640 480 500 240 320 240\n")
    with pytest.raises(UserError, match=message):
        read_path(file, SAME)


# --- refusals -------------------------------------------------------------------------------------------------------


def _with(content: Callable[..., dict[str, Any]], name: str, index: int, **change: Any) -> dict[str, Any]:
    whole = content()
    whole[name][index] |= change
    return whole


def _two() -> dict[str, Any]:
    return _ngp(_ngp_key(1.0), _ngp_key(2.0))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (_with(_two, "path", 1, R=[0, 0, 0, 0]), "key 2 must have a rotation 'R' that is no zero quaternion"),
        (_with(_two, "path", 1, R=[0, 0, 1]), "key 2 must have a 'R' of 4 finite numbers, got [0, 0, 1]"),
        (_with(_two, "path", 0, T=[0, 0, float("nan")]), "key 1 must have a 'T' of 3 finite numbers"),
        (_with(_two, "path", 1, fov=-3), "key 2 must have a 'fov' between 0 and 180, got -3"),
        (_with(_two, "path", 1, fov=None), "key 2 must have a finite number 'fov', got None"),
        (_with(_two, "path", 1, timestamp="soon"), "key 2 must have a finite number 'timestamp', got 'soon'"),
        (_ngp(_ngp_key(1.0), spline_order=7), "a 'spline_order' of 0, 1, 2 or 3, got 7"),
        (_ngp(_ngp_key(1.0), loop="yes"), "true or false for 'loop', got 'yes'"),
        (_ngp(_ngp_key(1.0), duration_seconds=-1), "a 'duration_seconds' above 0, got -1"),
        (_ngp(), "list of 1 to 100,000 'path', got 0"),
        (
            _with(_nerfstudio, "keyframes", 1, matrix=[1, 2]),
            "key 2 must have a 'matrix' of 16 finite numbers",
        ),
        (_with(_nerfstudio, "keyframes", 1, matrix=[0] * 16), "key 2 has a 'matrix' that is not a rotation"),
        (_with(_nerfstudio, "keyframes", 1, fov=0), "key 2 must have a 'fov' between 0 and 180, got 0"),
        (
            _with(_nerfstudio, "keyframes", 1, override_transition_sec=0),
            "key 2 must have a 'override_transition_sec' above 0, got 0",
        ),
        (_nerfstudio(keyframes=[], seconds=0), "a 'seconds' above 0, got 0"),
        (_nerfstudio(keyframes=[], camera_path=[7]), "key 1 must be an object, got int"),
        ({"version": 4, "clip_duration": 9, "keyframes": [{"time": 0}]}, "a timeline of LichtFeld Studio"),
        ({"frames": []}, "is not a camera path of nerfviewer"),
        ({}, "got an empty object"),
        (
            {"format": "nerfviewer-camera-path", "version": 2, "keys": [{}], "style": 3},
            "an object 'style', got int",
        ),
    ],
)
def test_a_file_that_is_no_path_is_refused_in_a_sentence(tmp_path: Path, content: Any, message: str) -> None:
    file = _written(tmp_path, content)
    with pytest.raises(UserError) as caught:
        read_path(file, SAME)
    text = str(caught.value)
    assert message in text and str(file) in text and text.endswith(".") and "\n" not in text


def test_a_dataparser_file_that_is_none_is_refused(tmp_path: Path) -> None:
    for content, message in (
        ({"transform": [[1, 2]], "scale": 1}, "'transform' of 3 x 4 finite numbers"),
        ({"transform": np.zeros((3, 4)).tolist(), "scale": 1}, "can be undone"),
        ({"transform": TURN_AND_HALVE.tolist(), "scale": 0}, "'scale' above 0, got 0"),
    ):
        with pytest.raises(UserError, match=message):
            read_dataparser(_written(tmp_path, content))
