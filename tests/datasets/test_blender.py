# SPDX-License-Identifier: MIT
from __future__ import annotations

import json
import shutil
from typing import Any

import numpy as np

from engine.datasets import SceneOptions, load_scene
from engine.datasets.blender import TEST_FILE, TRAIN_FILE


def test_the_cube_follows_the_format_and_nothing_is_outside(capture):
    scene = load_scene(capture(file=TRAIN_FILE, mode="RGBA"))
    assert scene.kind == "blender"
    assert (scene.background, scene.outside_levels) == ("white", 0)
    np.testing.assert_allclose(scene.data_from_engine, np.diag([3.0, 3.0, 3.0, 1.0]))


def test_the_test_file_is_the_held_out_split(capture):
    folder = capture(file=TRAIN_FILE)
    data = json.loads((folder / TRAIN_FILE).read_text())
    (folder / TEST_FILE).write_text(json.dumps(data | {"frames": data["frames"][:3]}))
    scene = load_scene(folder)
    assert (len(scene.train), len(scene.test), scene.warnings) == (10, 3, ())
    assert len(load_scene(folder / TEST_FILE).train) == 10, "opening one of the files opens the scene"


def test_without_test_photos_every_eighth_is_held_out_with_a_warning(capture):
    folder = capture(file=TRAIN_FILE)
    said = "There are no photos for transforms_test.json, so every 8th training photo is held out."
    scene = load_scene(folder)
    assert (len(scene.train), len(scene.test), scene.warnings) == (8, 2, (said,))
    data = json.loads((folder / TRAIN_FILE).read_text())
    data["frames"] = [frame | {"file_path": "gone/x"} for frame in data["frames"]]
    (folder / TEST_FILE).write_text(json.dumps(data))
    scene = load_scene(folder)
    assert len(scene.test) == 2 and scene.warnings[-1] == said
    assert "10 of 10 photos listed in transforms_test.json have no file" in scene.warnings[0]


def test_cameras_that_look_elsewhere_get_a_cube_there(capture):
    def away(data: dict[str, Any]) -> None:
        for frame in data["frames"]:
            frame["transform_matrix"][0][3] += 20.0

    scene = load_scene(capture(away, file=TRAIN_FILE, mode="RGBA"))
    np.testing.assert_allclose(scene.data_from_engine[:3, 3], [20, 0, 0], atol=1e-6)
    assert (scene.background, scene.outside_levels) == ("white", 0)
    assert any("do not look at the origin" in warning for warning in scene.warnings)


def test_a_folder_with_both_kinds_is_a_blender_scene(capture):
    folder = capture(file=TRAIN_FILE)
    shutil.copy(folder / TRAIN_FILE, folder / "transforms.json")
    assert load_scene(folder).kind == "blender"
    assert load_scene(folder / "transforms.json").kind == "transforms"


def test_lego_cameras_look_at_the_origin_from_where_the_file_says(real_scene):
    folder = real_scene("lego")
    scene = load_scene(folder, SceneOptions(downscale=4))
    assert (len(scene.train), len(scene.test), scene.warnings) == (100, 40, ())
    np.testing.assert_allclose(scene.up, [0, 0, 1], atol=1e-4)
    for view in (*scene.train.views, *scene.test.views):
        pixel, z = view.camera.project(np.zeros((1, 3)))
        np.testing.assert_allclose(pixel[0], [50.0, 50.0], atol=0.01)
        np.testing.assert_allclose(z, 4.0311 / 3.0, rtol=1e-3)
    first = json.loads((folder / TEST_FILE).read_text())["frames"][0]["transform_matrix"]
    np.testing.assert_allclose(3.0 * scene.test.views[0].camera.position, np.array(first)[:3, 3], atol=1e-5)


def test_lego_silhouettes_agree_in_space(real_scene):
    # A point carved away by no photo must exist near the middle, and a wrong axis or order would carve away all.
    scene = load_scene(real_scene("lego"), SceneOptions(downscale=4))
    axis = np.linspace(-0.48, 0.48, 25)
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    inside = np.ones(len(points), dtype=bool)
    for i, view in enumerate(scene.train.views):
        pixel, _ = view.camera.project(points)
        column, row = np.clip(np.floor(pixel).astype(int), 0, 99).T
        inside &= (scene.train.images.load(i) < 0.999).any(axis=-1)[row, column]
    hull = points[inside]
    assert 100 < len(hull) < 0.2 * len(points)
    # The bulldozer stands on z = 0 or a little below and is longest along y.
    size = np.ptp(hull, axis=0)
    assert size[1] > size[0] > 0.2 and np.abs(hull).max() < 0.45
