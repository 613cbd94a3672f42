# SPDX-License-Identifier: MIT
"""COLMAP scenes from folder to `Scene`: photos, shrunk copies, points, masks, warnings, and the real desk."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.datasets.colmap import load_colmap
from engine.datasets.colmap_model import read_model
from engine.datasets.options import SceneOptions
from engine.datasets.scene import Scene
from engine.errors import SceneError
from tests.datasets.colmap_scenes import ring_model, write_photos, write_scene


def opened(folder: Path, **options: object) -> Scene:
    return load_colmap(folder, SceneOptions(**options), None)


def test_a_scene_holds_its_photos_held_out_by_name(tmp_path):
    scene = opened(write_scene(tmp_path / "lab", ring_model()))
    assert (scene.name, scene.path, scene.kind, scene.warnings) == (
        "lab",
        str(tmp_path / "lab"),
        "colmap",
        (),
    )
    assert [view.name for view in scene.test.views] == ["00.png", "08.png"]
    assert len(scene.train) == 8
    for split in (scene.train, scene.test):
        for i, view in enumerate(split.views):
            assert split.images.load_uint8(i)[0, 0, 0] == 10 * int(view.name[:2])
    np.testing.assert_allclose(scene.up, [0, 0, 1], atol=1e-6)


def test_points_are_seen_where_their_views_say(tmp_path):
    model = ring_model()
    scene = opened(write_scene(tmp_path, model))
    views = [*scene.train.views, *scene.test.views]
    points = scene.points
    assert (
        len(points) == 40 and points.xyz.dtype == np.float32 and points.seen_start[-1] == len(points.seen_by)
    )
    to_data = scene.data_from_engine
    for p, (_, xyz, rgb, error, track) in enumerate(model.points):
        np.testing.assert_allclose(to_data[:3, :3] @ points.xyz[p] + to_data[:3, 3], xyz, atol=1e-5)
        assert points.rgb[p].tolist() == rgb and points.error_px[p] == pytest.approx(error)
        seen = points.seen_by[points.seen_start[p] : points.seen_start[p + 1]]
        assert sorted(views[i].name for i in seen) == sorted({f"{v - 100:02}.png" for v in track})
        for i in seen:
            camera, (_, quaternion, translation, *_) = views[i].camera, model.images[int(views[i].name[:2])]
            uv, z = camera.project(points.xyz[p][None])
            local = _rotated(quaternion, np.array(xyz)) + translation
            np.testing.assert_allclose(uv[0], local[:2] / local[2] * [20.0, 21.0] + [12.0, 8.0], atol=1e-3)
            assert z[0] > 0.0


def _rotated(quaternion: list[float], point: np.ndarray) -> np.ndarray:
    w, v = quaternion[0], np.array(quaternion[1:])
    return point + 2.0 * np.cross(v, np.cross(v, point) + w * point)


def test_views_without_a_file_leave_the_tracks_of_the_others_right(tmp_path):
    model = ring_model()
    folder = write_scene(tmp_path, model)
    for name in ("03.png", "04.png", "05.png", "09.png"):
        (folder / "images" / name).unlink()
    scene = opened(folder)
    assert scene.warnings == ("4 of 10 posed photos have no file (03.png, 04.png, 05.png, ...).",)
    views = [view.name for view in (*scene.train.views, *scene.test.views)]
    for p, record in enumerate(model.points):
        seen = scene.points.seen_by[scene.points.seen_start[p] : scene.points.seen_start[p + 1]]
        assert sorted(views[i] for i in seen) == sorted({f"{v - 100:02}.png" for v in record[4]} & set(views))


def test_photos_without_a_pose_and_further_models_are_named(tmp_path):
    folder = write_scene(tmp_path, ring_model(names="left/{:02}.png"))
    for i in range(4):
        Image.new("RGB", (24, 16)).save(folder / "images" / f"extra {i}.jpg")
    (folder / "images" / "notes.txt").write_text("not a photo")
    ring_model(3).write(folder / "sparse" / "1", ".txt")
    scene = opened(folder)
    assert scene.train.views[0].name == "left/01.png"
    assert scene.warnings == (
        "4 photos in images have no pose and are left out (extra 0.jpg, extra 1.jpg, extra 2.jpg, ...).",
        "There are 2 models in sparse; the first, 0, is read.",
    )


@pytest.mark.parametrize(
    ("folders", "options", "read", "size"),
    [
        ((1, 2, 4), {"downscale": 4}, "images_4", (24, 16)),
        ((1, 2, 4), {"downscale": 8}, "images_4", (12, 8)),
        ((1, 2, 4), {"downscale": 2}, "images_2", (48, 32)),
        ((1, 2, 4), {"downscale": 6}, "images_2", (16, 11)),
        ((1, 2, 4), {"downscale": 3}, "images", (32, 21)),
        ((1, 2, 4), {}, "images", (96, 64)),
        ((1, 2), {"downscale": 4}, "images_2", (24, 16)),
        ((1, 2, 4), {"max_size": 30}, "images_2", (30, 20)),
        ((1, 2, 4), {"max_size": 20, "downscale": 2}, "images_4", (20, 13)),
        ((4,), {}, "images_4", (24, 16)),
        ((4,), {"downscale": 2}, "images_4", (24, 16)),
    ],
)
def test_the_smallest_photos_that_are_large_enough_are_read(tmp_path, folders, options, read, size):
    model = ring_model(4, (96, 64))
    model.write(tmp_path / "sparse" / "0", ".bin")
    for n in folders:
        write_photos(tmp_path / ("images" if n == 1 else f"images_{n}"), model, n)
    scene = opened(tmp_path, **options)
    camera = scene.train.views[0].camera
    assert scene.train.views[0].path.parent.name == read
    assert (camera.width, camera.height) == size == scene.train.images.load(0).shape[1::-1]
    assert camera.fx == pytest.approx(20.0 * size[0] / 96) and camera.fy == pytest.approx(21.0 * size[1] / 64)
    assert bool(scene.warnings) == (folders == (4,))


def test_a_folder_of_shrunk_photos_that_is_not_complete_is_passed_over(tmp_path):
    model = ring_model(4, (96, 64))
    folder = write_scene(tmp_path, model)
    write_photos(folder / "images_4", model, 4)
    (folder / "images_4" / "02.png").unlink()
    assert opened(folder, downscale=4).train.views[0].path.parent.name == "images"


def test_shrunk_copies_may_have_another_format_and_a_rounded_size(tmp_path):
    model = ring_model(4, (98, 66))
    folder = write_scene(tmp_path, model)
    (folder / "images_4").mkdir()
    for i in range(4):
        Image.new("RGB", (24, 17), (10 * i, 0, 0)).save(folder / "images_4" / f"{i:02}.JPG")
    camera = opened(folder, downscale=4).train.views[0].camera
    assert (camera.width, camera.height, camera.fx) == (24, 17, pytest.approx(20.0 * 24 / 98))


def test_a_photo_of_another_shape_is_refused(tmp_path):
    folder = write_scene(tmp_path, ring_model(4))
    Image.new("RGB", (16, 24)).save(folder / "images" / "02.png")
    with pytest.raises(
        SceneError, match=r"photo 02\.png should be 24 x 16 pixels or a smaller copy, and is 16 x 24"
    ):
        opened(folder)


@pytest.mark.parametrize("given", ["sparse/0", "sparse"])
def test_the_folder_of_the_model_itself_opens_with_the_photos_above_it(tmp_path, given):
    folder = write_scene(tmp_path, ring_model(4))
    scene = opened(folder / given)
    assert len(scene.train) == 3 and scene.path == str(folder / given)


@pytest.mark.parametrize("name", ["../../secret.png", "/etc/secret.png", "a/../../../secret.png"])
def test_names_that_lead_out_of_the_scene_are_refused_unless_allowed(tmp_path, name):
    folder = tmp_path / "home" / "scene"
    model = ring_model(4)
    write_scene(folder, model)
    Image.new("RGB", (24, 16), (77, 0, 0)).save(tmp_path / "home" / "secret.png")
    model.images[1][4] = name
    model.write(folder / "sparse" / "0", ".bin")
    with pytest.raises(SceneError, match=r"which lies outside the scene folder .* --allow-outside"):
        opened(folder)
    if name == "../../secret.png":
        scene = opened(folder, allow_outside=True)
        views = [view.name for view in scene.train.views]
        assert scene.train.images.load_uint8(views.index(name))[0, 0, 0] == 77


def test_a_link_that_leads_to_itself_is_a_missing_photo(tmp_path):
    folder = write_scene(tmp_path, ring_model())
    for name in ("01.png", "loop"):
        (folder / "images" / name).unlink(missing_ok=True)
        (folder / "images" / name).symlink_to(name)
    (folder / "images" / "up").symlink_to("..")
    assert opened(folder).warnings[0] == "1 of 10 posed photos have no file (01.png)."


def test_a_model_without_poses_says_so(tmp_path):
    folder = write_scene(tmp_path, ring_model())
    (folder / "sparse" / "0" / "images.bin").unlink()
    with pytest.raises(
        SceneError, match=r"sparse/0: its COLMAP model has no images\.bin or images\.txt, which hold the"
    ):
        opened(folder)
    shutil.rmtree(folder / "sparse")
    with pytest.raises(SceneError, match=r"a COLMAP model was wanted in sparse/0"):
        opened(folder)


def test_missing_photos_are_asked_for(tmp_path):
    folder = write_scene(tmp_path, ring_model())
    for path in (folder / "images").iterdir():
        path.unlink()
    with pytest.raises(
        SceneError, match=r"none of its 10 photos is in .*images \(the first wanted is 00\.png\)"
    ):
        opened(folder)
    (folder / "images").rmdir()
    with pytest.raises(SceneError, match=r"the folder .*images with its photos was wanted and is not there"):
        opened(folder)


def test_a_model_without_points_opens(tmp_path):
    folder = write_scene(tmp_path, ring_model())
    (folder / "sparse" / "0" / "points3D.bin").unlink()
    assert opened(folder).points is None


def test_masks_beside_the_photos_are_found_under_colmaps_names(tmp_path):
    folder = write_scene(tmp_path, ring_model(names="cam/{:02}.png"))
    (folder / "masks" / "cam").mkdir(parents=True)
    half = np.zeros((16, 24), np.uint8)
    half[:, 12:] = 255
    for name in ("01.png.png", "02.png", "03.JPG"):
        Image.fromarray(half).save(folder / "masks" / "cam" / name)
    scene = opened(folder)
    for i in range(3):
        np.testing.assert_array_equal(scene.train.images.load_mask(i), half)
    assert scene.train.images.load_mask(3) is None
    assert scene.warnings == (
        "7 photos have no mask and count as a whole (cam/04.png, cam/05.png, cam/06.png, ...).",
    )


def test_a_fisheye_of_180_degrees_opens_with_its_border_masked(tmp_path):
    model = ring_model(4, (200, 200))
    model.cameras[0][1] = "OPENCV_FISHEYE"
    model.cameras[0][4] = [
        63.66,
        63.66,
        100.0,
        100.0,
        0.0,
        0.0,
        0.0,
        0.0,
    ]  # 100 px from the middle are 90 degrees
    scene = opened(write_scene(tmp_path, model))
    camera = scene.train.views[0].camera
    assert 100.0 < np.rad2deg(camera.fov_y_rad) <= 110.5 and camera.fx == pytest.approx(63.66)
    assert scene.train.images.load(0).shape == (camera.height, camera.width, 3)


def test_desk_opens_with_29_views_and_its_points_on_the_photos(real_scene):
    folder = real_scene("desk")
    scene = opened(folder, downscale=8)
    assert (len(scene.train), len(scene.test), scene.warnings) == (25, 4, ())
    assert [view.name for view in scene.test.views] == [f"input_{n:04}.jpg" for n in (1, 9, 17, 25)]
    views, points = [*scene.train.views, *scene.test.views], scene.points
    assert len(points) == len(read_model(folder / "sparse" / "0").points.xyz) > 7000
    for i, view in enumerate(views):
        own = np.repeat(np.arange(len(points)), np.diff(points.seen_start))[points.seen_by == i]
        uv, z = view.camera.project(points.xyz[own])
        inside = (
            (z > 0)
            & (uv > -1).all(axis=1)
            & (uv < [view.camera.width + 1, view.camera.height + 1]).all(axis=1)
        )
        assert len(own) > 500 and inside.mean() > 0.99
