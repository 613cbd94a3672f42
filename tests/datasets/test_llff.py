# SPDX-License-Identifier: MIT
"""LLFF captures: a small one written here, its faults, and the real fern."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.cameras import look_at
from engine.conventions import move_pose, opencv_from_llff
from engine.datasets import SceneOptions, load_scene
from engine.datasets.llff import average_pose
from engine.errors import SceneError

Write = Callable[..., Path]
FULL = (96, 64)  # calibrated width and height
FOCAL = 100.0


def _poses(count: int) -> list[np.ndarray]:
    """Return OpenCV poses in a wavy row that look at a point 10 units away; z up, looking along y."""
    x = np.linspace(-1.0, 1.0, count)
    places = np.stack([x, np.zeros(count), 0.3 * np.sin(3.0 * x) + 5.0], axis=1)
    return [look_at(place, np.array([0.0, 10.0, 5.0]), np.array([0.0, 0.0, 1.0])) for place in places]


@pytest.fixture
def forward_facing(tmp_path: Path) -> Write:
    """Write a capture of 10 photos at the given shrunk sizes; `change(table)` may spoil the table."""

    def write(
        change: Callable[[np.ndarray], np.ndarray | None] | None = None, sizes=(4, 8), count=10
    ) -> Path:
        rows = []
        for i, pose in enumerate(_poses(count)):
            right, down, forward = pose[:3, 0], pose[:3, 1], pose[:3, 2]
            columns = [down, right, -forward, pose[:3, 3], [FULL[1], FULL[0], FOCAL]]
            rows.append([*np.stack(columns, axis=1).ravel(), 5.0 + 0.1 * i, 40.0])
        table = np.array(rows)
        folder = tmp_path / "row"
        folder.mkdir(exist_ok=True)
        for factor in sizes:
            place = folder / (f"images_{factor}" if factor > 1 else "images")
            place.mkdir(parents=True, exist_ok=True)
            for i in range(count):
                Image.new("RGB", (FULL[0] // factor, FULL[1] // factor), (i, 9, 9)).save(
                    place / f"{i:03}.png"
                )
        changed = change(table) if change else None
        np.save(folder / "poses_bounds.npy", table if changed is None else changed)
        return folder

    return write


def test_axes_of_the_file_become_opencv_axes():
    columns = np.eye(4)
    pose = opencv_from_llff(columns)
    np.testing.assert_array_equal(pose[:3, 0], columns[:3, 1])
    np.testing.assert_array_equal(pose[:3, 1], columns[:3, 0])
    np.testing.assert_array_equal(pose[:3, 2], -columns[:3, 2])
    assert np.linalg.det(pose) == 1.0


def test_a_capture_becomes_a_scene_that_leads_back_to_the_file(forward_facing):
    folder = forward_facing()
    scene = load_scene(folder)
    assert (scene.kind, scene.name, scene.path) == ("llff", "row", str(folder))
    assert (len(scene.train), len(scene.test)) == (8, 2)
    assert [view.name for view in scene.test.views] == ["images_4/000.png", "images_4/008.png"]
    views = (*scene.train.views, *scene.test.views)
    poses = _poses(10)
    for view in views:
        index = int(Path(view.name).stem)
        data = move_pose(scene.data_from_engine, view.camera.world_from_cam)
        original = scene.extras["original_from_data"] @ data
        np.testing.assert_allclose(original, poses[index], atol=1e-6)
        np.testing.assert_allclose(view.camera.fx, FOCAL / 4)
    np.testing.assert_allclose(
        scene.extras["bounds"][:, 0], [5.0 + 0.1 * int(Path(v.name).stem) for v in views]
    )
    np.testing.assert_allclose(scene.up, [0, 1, 0], atol=0.05)
    np.testing.assert_allclose(scene.train.images.load(0)[0, 0, 0], int(Path(views[0].name).stem) / 255.0)


def test_depth_runs_along_minus_z_and_the_cube_begins_before_the_near_bound(forward_facing):
    scene = load_scene(forward_facing())
    middle = np.mean([view.camera.position for view in (*scene.train.views, *scene.test.views)], axis=0)
    scale = np.cbrt(np.linalg.det(scene.data_from_engine[:3, :3]))
    np.testing.assert_allclose(middle[:2], 0.0, atol=0.02)
    nearest = middle[2] - 5.0 / scale
    assert 0.4 < nearest < 0.5  # in the cube, close to the face that it begins with


def test_ndc_is_offered_and_holds_the_scene(forward_facing):
    scene = load_scene(forward_facing())
    ndc = scene.extras["ndc"]
    inner = np.array([[0.0, 0.0, 0.4], [0.2, -0.1, 0.0], [0.0, 0.0, -0.5]])
    data = inner @ scene.data_from_engine[:3, :3].T + scene.data_from_engine[:3, 3]
    cube = ndc.forward(data)
    assert (np.abs(cube) <= 1.0).all()
    assert (np.diff(cube[:, 2]) > 0.0).all()


@pytest.mark.parametrize(
    ("options", "folder", "width"),
    [
        ({}, "images_4", 24),
        ({"downscale": 4}, "images_4", 24),
        ({"downscale": 8}, "images_8", 12),
        ({"downscale": 16}, "images_8", 6),
        ({"downscale": 6}, "images_4", 16),
        ({"max_size": 12}, "images_8", 12),
        ({"max_size": 20}, "images_4", 20),
        ({"downscale": 2, "max_size": 9}, "images_8", 9),
    ],
)
def test_the_wanted_width_chooses_the_photos_and_the_lens_follows(forward_facing, options, folder, width):
    scene = load_scene(forward_facing(), SceneOptions(**options))
    view = scene.train.views[0]
    assert (view.name.split("/")[0], view.camera.width) == (folder, width)
    np.testing.assert_allclose(view.camera.fx, FOCAL * width / FULL[0])


def test_full_photos_serve_where_nothing_is_shrunk(forward_facing):
    scene = load_scene(forward_facing(sizes=(1,)), SceneOptions(downscale=4))
    assert (scene.train.views[0].name, scene.train.views[0].camera.width) == ("images/001.png", 24)


def test_cameras_all_around_still_have_an_average_pose():
    ring = np.stack(
        [
            look_at(np.array([np.cos(a), np.sin(a), 0.0]), np.zeros(3), np.array([0.0, 0, 1]))
            for a in (0, np.pi)
        ]
    )
    for poses in (ring, ring[:1], np.stack([np.eye(4), np.diag([1.0, -1, -1, 1])])):
        mean = average_pose(poses)
        np.testing.assert_allclose(mean[:3, :3] @ mean[:3, :3].T, np.eye(3), atol=1e-12)
        assert np.linalg.det(mean) > 0


def _refusal(folder: Path) -> str:
    with pytest.raises(SceneError) as caught:
        load_scene(folder)
    message = str(caught.value)
    assert message.startswith(f"Cannot read {folder / 'poses_bounds.npy'}: ") and message.endswith(".")
    return message


def _spoil(row: int, column: int, value: float) -> Callable[[np.ndarray], None]:
    def change(table: np.ndarray) -> None:
        table[row, column] = value

    return change


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda table: table[:, :16], "a table of 17 numbers a photo was expected, got 10 x 16"),
        (lambda table: table[0], "photo was expected, got 17;"),
        (lambda table: table[:0], "got 0 x 17"),
        (lambda table: table.astype("U32"), "it holds something else than numbers"),
        (lambda table: table[:9], "it has 9 poses and images_4 has 10 photos"),
        (_spoil(3, 7, np.nan), "of row 3 must be a finite number, got nan"),
        (_spoil(3, 0, 2.0), "the pose of row 3 is no rotation"),
        (_spoil(3, 14, -1.0), "'focal length' of row 3 must be greater than zero"),
        (_spoil(3, 4, np.inf), "'height' of row 3 must be a finite number"),
        (_spoil(3, 4, 96.0), "should be shaped like 96 x 96 pixels and is 24 x 16"),
        (_spoil(3, 16, 1.0), "the bounds of row 3 must be a nearer and a farther depth, got 5.3 and 1"),
        (_spoil(3, 16, 1e200), "a nearer and a farther depth, got 5.3 and 1e+200"),
        (_spoil(3, 15, 1e-300), "a nearer and a farther depth, got 1e-300 and 40"),
        (_spoil(3, 15, 0.0), "'near' of row 3 must be greater than zero"),
    ],
)
def test_a_bad_table_is_refused_in_one_sentence(forward_facing, change, what):
    assert what in _refusal(forward_facing(change))


def test_a_damaged_file_is_refused_in_one_sentence(forward_facing):
    folder = forward_facing()
    file = folder / "poses_bounds.npy"
    whole = file.read_bytes()
    for content in (whole[:-8], whole[:100], whole[:9], b"\x93NUMPY\x09\x00" + whole[8:], whole + b"x"):
        file.write_bytes(content)
        assert "a table of 17 numbers a photo was expected and the file is no such table (" in _refusal(
            folder
        )
    header = whole[:128].replace(b"(10, 17), }      ", b"(99999999, 17), }")
    file.write_bytes(header + whole[128:])
    assert "99999999 x 17 numbers are announced and 1,360 bytes follow" in _refusal(folder)
    np.save(file, np.array([{}] * 17, dtype=object)[None], allow_pickle=True)
    assert "it holds something else than numbers" in _refusal(folder)


def test_photos_that_are_not_there_are_asked_for(forward_facing):
    assert "in a folder images, images_4 or images_8, and there are none" in _refusal(
        forward_facing(sizes=())
    )


def test_fern_is_read_whole(real_scene):
    scene = load_scene(real_scene("fern"), SceneOptions(max_size=480))
    assert (scene.kind, len(scene.train), len(scene.test)) == ("llff", 17, 3)
    camera = scene.train.views[0].camera
    assert (camera.width, camera.height) == (480, 360)
    np.testing.assert_allclose(camera.fx, 3260.5263 * 480 / 4032, rtol=1e-3)
    assert scene.up[1] > 0.99
    assert all(view.camera.world_from_cam[2, 2] < -0.9 for view in scene.train.views)
