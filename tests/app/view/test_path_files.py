# SPDX-License-Identifier: MIT
"""Camera paths survive the disk, and broken files are refused in a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from app.view.path import CameraPath, Key
from app.view.path_files import MAX_BYTES, read_path, write_path
from app.view.rotations import axis_angle_matrix
from engine.cameras import look_at
from engine.conventions import similarity
from engine.errors import UserError

DATA_FROM_ENGINE = similarity(3.7, np.array([1.0, -2.0, 0.5]))
DATA_FROM_ENGINE[:3, :3] = DATA_FROM_ENGINE[:3, :3] @ axis_angle_matrix(np.array([0.0, 0.6, 0.8]), 0.4)


def _path() -> CameraPath:
    keys = [
        Key(t, look_at(np.array([1.0 + t, 0.5, -t]), np.zeros(3), np.array([0.0, 1.0, 0.0])), 0.5 + 0.1 * t)
        for t in (0.0, 1.5, 2.0)
    ]
    return CameraPath(keys)


def test_a_path_comes_back_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "tour.json"
    write_path(file, _path(), DATA_FROM_ENGINE)
    for key, back in zip(_path().keys, read_path(file, DATA_FROM_ENGINE).path.keys):
        assert back.time_s == key.time_s
        assert np.allclose(back.world_from_cam, key.world_from_cam, atol=1e-12)
        assert back.fov_y_rad == pytest.approx(key.fov_y_rad)
    assert [entry.name for entry in tmp_path.iterdir()] == ["tour.json"], "no partial file is left"


def test_the_file_holds_dataset_coordinates_and_says_so(tmp_path: Path) -> None:
    file = tmp_path / "tour.json"
    write_path(file, _path(), DATA_FROM_ENGINE)
    content = json.loads(file.read_text())
    position = np.array(content["keys"][0]["world_from_cam"])[:3, 3]
    expected = DATA_FROM_ENGINE[:3, :3] @ [1.0, 0.5, 0.0] + DATA_FROM_ENGINE[:3, 3]
    assert np.allclose(position, expected)
    assert "dataset" in content["convention"] and "OpenCV" in content["convention"]


def test_an_unwritable_place_is_a_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Cannot write the camera path .*nowhere.*Choose another place"):
        write_path(tmp_path / "nowhere" / "tour.json", _path(), np.eye(4))


def _broken(tmp_path: Path, change) -> Path:
    file = tmp_path / "broken.json"
    write_path(file, _path(), np.eye(4))
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    return file


def _set_key(name: str, value):
    return lambda content: content["keys"][1].__setitem__(name, value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.__setitem__("version", 99), "version 99, but only versions 1 and 2 are known"),
        (lambda c: c.__setitem__("format", "other"), "is not a camera path"),
        (lambda c: c.__setitem__("keys", []), "list of 1 to 100,000 'keys', got 0"),
        (lambda c: c.__setitem__("keys", {}), "got no list"),
        (lambda c: c["keys"].__setitem__(1, 7), "key 2 must be an object"),
        (_set_key("time_s", float("nan")), "key 2 must have a finite number 'time_s'"),
        (_set_key("time_s", "soon"), "key 2 must have a finite number 'time_s', got 'soon'"),
        (_set_key("time_s", 0.0), "Two keys"),
        (_set_key("fov_y_deg", 180), "'fov_y_deg' between 0 and 180, got 180"),
        (_set_key("world_from_cam", [[1, 2], [3]]), "4 x 4 finite numbers"),
        (_set_key("world_from_cam", None), "4 x 4 finite numbers"),
        (_set_key("world_from_cam", np.full((4, 4), np.inf).tolist()), "4 x 4 finite numbers"),
        (_set_key("world_from_cam", np.diag([2.0, 2, 2, 1]).tolist()), "not a rotation"),
        (_set_key("world_from_cam", np.diag([1.0, 1, -1, 1]).tolist()), "not a rotation"),
        (_set_key("world_from_cam", np.zeros((4, 4)).tolist()), "not a rotation"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, change, message: str) -> None:
    file = _broken(tmp_path, change)
    with pytest.raises(UserError) as caught:
        read_path(file, np.eye(4))
    assert message in str(caught.value)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'{"format":\n oops}', "line 2"),
        (b"[1, 2]", "JSON object, got list"),
        (b"\xff\xfe\x00", "not JSON text"),
        (b"[" * 100_000, "Cannot read"),
    ],
)
def test_text_that_is_no_path_is_refused(tmp_path: Path, text: bytes, message: str) -> None:
    file = tmp_path / "path.json"
    file.write_bytes(text)
    with pytest.raises(UserError, match=message):
        read_path(file, np.eye(4))


def test_a_missing_and_a_huge_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read_path(tmp_path / "none.json", np.eye(4))
    huge = tmp_path / "huge.json"
    with open(huge, "wb") as stream:
        stream.truncate(MAX_BYTES + 1)
    with pytest.raises(UserError, match="at most 16 MiB"):
        read_path(huge, np.eye(4))
