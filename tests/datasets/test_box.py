# SPDX-License-Identifier: MIT
"""A foreground cube set by options equals one moved on the open scene, and nothing but units changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.cameras import Camera
from engine.conventions import move_pose
from engine.datasets.box import box_of, boxed, centre_of_text, chosen_box, text_of_centre, with_box
from engine.datasets.normalise import engine_from_data
from engine.datasets.options import SceneOptions
from engine.datasets.scene import ImageSource, Points, Scene, Split, View
from engine.errors import OptionError

CENTRE, EDGE = np.array([1.0, -2.0, 0.5]), 3.0


class DeepPhotos(ImageSource):
    """Photos whose depth is 2 engine units of the scene below."""

    def load(self, index: int) -> np.ndarray:
        return np.full((4, 4, 3), 0.25 * index, np.float32)

    def load_depth(self, index: int) -> np.ndarray:
        return np.full((4, 4), 2.0, np.float32)

    def nbytes(self) -> int:
        return 7


@pytest.fixture
def scene() -> Scene:
    """Two cameras and a point in a cube of edge 3 at (1, -2, 0.5)."""
    data_poses = [np.eye(4), np.eye(4)]
    data_poses[1][:3, 3] = 4.0, 0.0, -1.0
    matrix = engine_from_data(CENTRE, EDGE)
    views = [
        View(f"{i}.png", Camera(4, 4, 4.0, 4.0, 2.0, 2.0, move_pose(matrix, pose)))
        for i, pose in enumerate(data_poses)
    ]
    point = (np.array([[2.0, 2.0, 2.0]]) @ matrix[:3, :3].T + matrix[:3, 3]).astype(np.float32)
    points = Points(
        point,
        np.zeros((1, 3), np.uint8),
        np.zeros(1, np.float32),
        np.zeros(2, np.int64),
        np.zeros(0, np.int32),
    )
    split = Split(tuple(views), DeepPhotos())
    up = np.array([0.0, -1.0, 0.0])
    return Scene(
        "s", "s", "fake", split, Split((), DeepPhotos()), "white", 0, np.linalg.inv(matrix), up, points=points
    )


def test_the_cube_of_a_scene_is_read_back(scene):
    centre, edge = box_of(scene.data_from_engine)
    assert np.allclose(centre, CENTRE) and edge == pytest.approx(EDGE)


def test_moving_the_cube_keeps_every_place_in_the_data(scene):
    moved = with_box(scene, np.array([0.0, 1.0, 0.0]), 1.5)
    assert box_of(moved.data_from_engine)[1] == pytest.approx(1.5)
    for old, new in zip(scene.train.views, moved.train.views, strict=True):
        before = move_pose(scene.data_from_engine, old.camera.world_from_cam)
        after = move_pose(moved.data_from_engine, new.camera.world_from_cam)
        assert np.allclose(before, after, atol=1e-12)
    back = moved.points.xyz @ moved.data_from_engine[:3, :3].T + moved.data_from_engine[:3, 3]
    assert np.allclose(back, 2.0, atol=1e-6)


def test_depth_follows_the_units_and_photos_stay(scene):
    moved = with_box(with_box(scene, CENTRE, 1.5), CENTRE, 6.0)  # in the end the cube is twice as large
    assert np.allclose(moved.train.images.load_depth(0), 1.0)
    assert moved.train.images.load(1)[0, 0, 0] == 0.25 and moved.train.images.nbytes() == 7
    assert moved.train.images.images is scene.train.images  # wrapped once, however often it moves


def test_options_name_a_cube(scene):
    options = SceneOptions(box_centre="0, 1, 0", box_edge=1.5, scene_scale=4.0)
    centre, edge = chosen_box(options, CENTRE, EDGE)
    assert np.allclose(centre, [0, 1, 0]) and edge == 1.5
    assert chosen_box(SceneOptions(scene_scale=4.0), CENTRE, EDGE)[1] == 12.0
    moved = boxed(scene, options)
    assert np.allclose(box_of(moved.data_from_engine)[0], [0, 1, 0])
    assert boxed(scene, SceneOptions()) is scene


def test_a_centre_alone_keeps_the_size_that_was_found(scene):
    centre, edge = box_of(boxed(scene, SceneOptions(box_centre="0 0 0", scene_scale=2.0)).data_from_engine)
    assert np.allclose(centre, 0.0, atol=1e-12) and edge == pytest.approx(EDGE)


def test_a_centre_survives_its_text():
    centre = np.array([1 / 3, -2e-7, 5e6])
    assert (centre_of_text(text_of_centre(centre)) == centre).all()


@pytest.mark.parametrize("text", ["1,2", "a,b,c", "1,2,nan", "1 2 3 4"])
def test_a_bad_centre_is_one_sentence(text):
    with pytest.raises(OptionError, match="box_centre must be three numbers"):
        chosen_box(replace(SceneOptions(), box_centre=text), CENTRE, EDGE)
