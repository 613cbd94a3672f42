# SPDX-License-Identifier: MIT
from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine.conventions import move_pose
from engine.datasets import SceneOptions, load_scene
from engine.datasets.transforms import OUTSIDE_LEVELS, find_file
from engine.errors import SceneError


def test_a_capture_becomes_a_scene_in_engine_units(capture, ring):
    folder = capture()
    scene = load_scene(folder)
    assert (scene.name, scene.path, scene.kind) == ("capture", str(folder), "transforms")
    assert (len(scene.train), len(scene.test)) == (8, 2)
    assert [view.name for view in scene.test.views] == ["images/1.png", "images/9.png"]
    assert (scene.background, scene.outside_levels, scene.warnings) == ("learned", OUTSIDE_LEVELS, ())
    np.testing.assert_allclose(scene.up, [0, 0, 1], atol=1e-9)
    view = scene.train.views[0]
    back = move_pose(scene.data_from_engine, view.camera.world_from_cam)
    np.testing.assert_allclose(back, ring(10)[1], atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(view.camera.world_from_cam[:3, :3]), 1.0)
    centre, z = view.camera.project(np.zeros((1, 3)))  # the ring looks at the origin, the centre of the cube
    np.testing.assert_allclose(centre[0], [12.0, 8.0], atol=1e-6)
    assert z[0] > 0.5


def test_images_belong_to_their_views(capture):
    scene = load_scene(capture())
    for split in (scene.train, scene.test):
        for i, view in enumerate(split.views):
            number = int(view.name.split("/")[1].split(".")[0]) - 1
            assert split.images.load(i)[0, 0, 0] == pytest.approx(number / 255.0)


def test_the_json_file_itself_may_be_opened(capture):
    folder = capture()
    assert load_scene(str(folder / "transforms.json")).path == str(folder)
    (folder / "transforms.json").rename(folder / "mine.json")
    assert len(load_scene(folder / "mine.json").train) == 8


def test_angles_give_focal_lengths(capture):
    camera = load_scene(capture()).train.views[0].camera
    assert camera.fx == camera.fy == pytest.approx(12.0 / math.tan(0.4))
    assert (camera.cx, camera.cy) == (12.0, 8.0)
    camera = load_scene(capture(camera_angle_y=0.5)).train.views[0].camera
    assert camera.fy == pytest.approx(8.0 / math.tan(0.25))


def test_focal_lengths_go_before_angles_and_frames_before_globals(capture):
    def own(data: dict[str, Any]) -> None:
        data["frames"][1] |= {"fl_x": 33.0, "cx": 10.0}
        data["frames"][2] |= {"camera_angle_x": 1.0}

    views = load_scene(capture(own, fl_x=20.0, fl_y=21.0, cx=11.0, cy=7.0)).train.views
    assert [views[0].camera.fx, views[0].camera.fy] == [33.0, 33.0]
    assert [views[0].camera.cx, views[0].camera.cy] == [10.0, 7.0]
    assert views[1].camera.fx == views[1].camera.fy == pytest.approx(12.0 / math.tan(0.5))
    assert [views[2].camera.fx, views[2].camera.fy, views[2].camera.cx] == [20.0, 21.0, 11.0]


def test_missing_photos_are_left_out_with_one_warning_that_counts_them(capture):
    folder = capture()
    for number in (2, 3, 5, 7):
        (folder / f"images/{number}.png").unlink()
    scene = load_scene(folder)
    assert len(scene.train) + len(scene.test) == 6
    assert scene.warnings == (
        "4 of 10 photos listed in transforms.json have no file (images/2.png, images/3.png, images/5.png, ...).",
    )


def test_file_paths_may_lack_the_extension_or_use_backslashes(tmp_path):
    (tmp_path / "a").mkdir()
    Image.new("RGB", (2, 2)).save(tmp_path / "a" / "r_0.5.jpg")
    path, options = tmp_path / "transforms.json", SceneOptions()
    for name in ("a/r_0.5.jpg", "./a/r_0.5", "a\\r_0.5", str(tmp_path / "a" / "r_0.5")):
        assert find_file(path, name, options).samefile(tmp_path / "a" / "r_0.5.jpg")
    for name in ("a", "a/r_0", "x" * 5000, "a\0b", ".", ""):
        assert find_file(path, name, options) is None


def test_photos_smaller_than_calibrated_scale_the_lens_with_a_warning(capture):
    scene = load_scene(capture(w=48, h=32, fl_x=60.0, cx=20.0))
    camera = scene.train.views[0].camera
    assert (camera.width, camera.height, camera.fx, camera.fy, camera.cx) == (24, 16, 30.0, 30.0, 10.0)
    assert scene.warnings == (
        "10 photos differ in size from transforms.json; their lenses were scaled to fit.",
    )


def test_photos_may_differ_in_size(capture):
    folder = capture()
    Image.new("RGB", (40, 60)).save(folder / "images/2.png")
    split = load_scene(folder).train
    assert (split.views[0].camera.width, split.views[0].camera.height) == (40, 60)
    assert (split.views[1].camera.width, split.views[1].camera.height) == (24, 16)
    assert split.images.load(0).shape == (60, 40, 3) and split.images.load(1).shape == (16, 24, 3)


@pytest.mark.parametrize(
    ("options", "size"),
    [
        (SceneOptions(downscale=2), (12, 8)),
        (SceneOptions(downscale=3), (8, 5)),
        (SceneOptions(max_size=10), (10, 7)),
        (SceneOptions(max_size=100), (24, 16)),
        (SceneOptions(downscale=2, max_size=6), (6, 4)),
        (SceneOptions(downscale=64), (1, 1)),
    ],
)
def test_shrinking_scales_the_lens_exactly(capture, options, size):
    split = load_scene(capture(cx=11.0, cy=7.0), options).train
    camera = split.views[0].camera
    assert (camera.width, camera.height) == size
    assert split.images.load(0).shape == (size[1], size[0], 3)
    assert camera.fx == pytest.approx(12.0 / math.tan(0.4) * size[0] / 24)
    assert (camera.cx, camera.cy) == pytest.approx((11.0 * size[0] / 24, 7.0 * size[1] / 16))


def test_bent_photos_are_straightened(capture):
    split = load_scene(capture(k1=0.2, k2=-0.01, p1=0.001, p2=0.001)).train
    camera = split.views[0].camera
    assert (camera.width, camera.height) < (24, 16)
    assert split.images.load(0).shape == (camera.height, camera.width, 3)


def test_one_bent_lens_among_straight_ones_is_enough(capture):
    split = load_scene(capture(lambda d: d["frames"][1].update(k1=0.3))).train
    assert split.views[0].camera.width < split.views[1].camera.width == 24


def test_options_override_what_is_automatic(capture):
    plain = load_scene(capture())
    scene = load_scene(capture(), SceneOptions(background="black", scene_scale=2.0, outside_levels=1))
    assert (scene.background, scene.outside_levels) == ("black", 1)
    np.testing.assert_allclose(scene.data_from_engine[:3, :3], 2.0 * plain.data_from_engine[:3, :3])


def test_cut_out_objects_have_white_around_them_and_no_surroundings(capture):
    scene = load_scene(capture(mode="RGBA"))
    assert (scene.background, scene.outside_levels) == ("white", 0)
    assert (scene.train.images.load(0) == 1.0).all()
    assert (
        load_scene(capture(mode="RGBA"), SceneOptions(background="black")).train.images.load(0) == 0.0
    ).all()


def test_a_split_in_the_file_is_used(capture):
    scene = load_scene(capture(test_filenames=["images/3.png", "images/4.png"]))
    assert [view.name for view in scene.test.views] == ["images/3.png", "images/4.png"]
    assert len(scene.train) == 8


def test_a_split_in_the_file_that_names_no_photo_is_passed_over(capture):
    assert len(load_scene(capture(test_filenames=["other.png", 3])).test) == 2


def test_two_photos_are_both_trained_on(capture):
    scene = load_scene(capture(count=2))
    assert (len(scene.train), len(scene.test)) == (2, 0)
    assert scene.warnings == ("Too few photos to hold any out, so no quality is measured.",)


def test_masks_and_depth_named_by_frames_belong_to_their_photos(capture):
    folder = capture(lambda d: d["frames"][1].update(mask_path="m.png", depth_file_path="./d.png"))
    mask = np.zeros((16, 24), dtype=np.uint8)
    mask[:, 12:] = 255
    Image.fromarray(mask).save(folder / "m.png")
    Image.fromarray(np.full((16, 24), 2500, dtype=np.uint16)).save(folder / "d.png")
    scene = load_scene(folder)
    assert len(scene.warnings) == 1 and scene.warnings[0].startswith("9 photos have no mask")
    index = [view.name for view in scene.train.views].index("images/2.png")
    assert (scene.train.images.load_mask(index) == mask).all()
    assert scene.train.images.load_mask(index + 1) is None
    units = np.cbrt(np.linalg.det(scene.data_from_engine[:3, :3]))
    np.testing.assert_allclose(scene.train.images.load_depth(index) * units, 2.5, rtol=1e-6)
    assert scene.train.images.load_depth(index + 1) is None


@pytest.mark.parametrize(
    ("file", "keys", "metres"),
    [("d.png", {}, 3.0), ("d.npy", {}, 3000.0), ("d.png", {"depth_unit_scale_factor": 0.01}, 30.0)],
)
def test_depth_is_in_millimetres_in_pictures_and_in_units_of_the_poses_in_arrays(capture, file, keys, metres):
    folder = capture(lambda d: d["frames"][1].update(depth_file_path=file), **keys)
    if file.endswith(".npy"):
        np.save(folder / file, np.full((16, 24), 3000.0, dtype=np.float32))
    else:
        Image.fromarray(np.full((16, 24), 3000, dtype=np.uint16)).save(folder / file)
    scene = load_scene(folder)
    units = np.cbrt(np.linalg.det(scene.data_from_engine[:3, :3]))
    np.testing.assert_allclose(scene.train.images.load_depth(0) * units, metres, rtol=1e-6)
    chosen = load_scene(folder, SceneOptions(depth_unit=0.5)).train.images.load_depth(0)
    np.testing.assert_allclose(chosen * units, 1500.0, rtol=1e-6)


@pytest.mark.parametrize(("key", "what"), [("mask_path", "mask"), ("depth_file_path", "depth map")])
def test_a_mask_or_depth_map_far_larger_than_its_photo_is_refused_before_it_is_decoded(capture, key, what):
    folder = capture(lambda d: d["frames"][1].update({key: "big.png"}))
    Image.new("L", (10000, 8000)).save(folder / "big.png")
    with pytest.raises(
        SceneError, match=f"a {what} shaped like its photo of 24 x 16 pixels was wanted, got 10000 x 8000"
    ):
        load_scene(folder).train.images.load_depth(0)


def test_masks_depth_and_points_without_a_file_are_counted(capture):
    def name(data: dict[str, Any]) -> None:
        data["ply_file_path"] = "sparse.ply"
        for frame in data["frames"][:4]:
            frame.update(mask_path="masks/x.png", depth_file_path="d.png")

    assert load_scene(capture(name)).warnings == (
        "4 masks listed in transforms.json have no file (masks/x.png, masks/x.png, masks/x.png, ...).",
        "4 depth maps listed in transforms.json have no file (d.png, d.png, d.png, ...).",
        "The points sparse.ply that transforms.json names have no file.",
    )


def test_points_lie_where_the_poses_do_and_the_way_to_the_original_is_kept(capture):
    applied = [[0, 1, 0, 5], [1, 0, 0, 0], [0, 0, -1, 0]]
    folder = capture(ply_file_path="points.ply", applied_transform=applied, applied_scale=2.0)
    (folder / "points.ply").write_text(
        "ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nproperty float y\nproperty float z\n"
        "end_header\n0 0 0\n4 0 1\n"
    )
    scene = load_scene(folder)
    data = scene.points.xyz @ scene.data_from_engine[:3, :3].T + scene.data_from_engine[:3, 3]
    np.testing.assert_allclose(data, [[0, 0, 0], [4, 0, 1]], atol=1e-5)
    assert scene.points.seen_start.tolist() == [0, 0, 0] and len(scene.points.seen_by) == 0
    back = scene.extras["original_from_data"] @ [4.0, 0.0, 1.0, 1.0]
    np.testing.assert_allclose(back, [0.0, 2.0 - 5.0, -0.5, 1.0], atol=1e-9)


@pytest.mark.parametrize("matrix", ["x", [[1, 2], [3]], [[0] * 4] * 3, [[float("inf")] * 4] * 3, {"a": 1}])
def test_an_unusable_applied_transform_is_ignored_with_a_warning(capture, matrix):
    scene = load_scene(capture(applied_transform=matrix))
    assert "'applied_transform' of transforms.json is no invertible matrix" in scene.warnings[0]
    assert "original_from_data" not in scene.extras


@pytest.mark.parametrize("keys", [{"camera_model": "OPENCV_FISHEYE"}, {"is_fisheye": True}])
def test_fisheye_photos_are_straightened(capture, keys):
    terms = {"k1": 0.01, "k2": 0.001, "k3": -0.0001, "k4": 0.0001, "p1": 0.0}
    scene = load_scene(capture(fl_x=20.0, **terms, **keys))
    camera = scene.train.views[0].camera
    plain = load_scene(capture(fl_x=20.0)).train.views[0].camera
    assert (camera.width, camera.height) != (plain.width, plain.height)
    image = scene.train.images.load(0)
    assert image.shape == (camera.height, camera.width, 3)
    np.testing.assert_allclose(
        image[image.shape[0] // 2, image.shape[1] // 2], [1 / 255, 100 / 255, 200 / 255], atol=0.01
    )


@pytest.mark.parametrize("key", ["file_path", "mask_path", "depth_file_path", "ply_file_path"])
@pytest.mark.parametrize("name", ["../out.png", "{absolute}", "images/../../out.png", "..\\out.png"])
def test_files_outside_the_folder_are_read_only_when_allowed(capture, tmp_path, key, name):
    outside = tmp_path / "out.png"
    name = name.format(absolute=outside)

    def change(data: dict[str, Any]) -> None:
        target = data if key == "ply_file_path" else data["frames"][1]
        target[key] = name

    folder = capture(change)
    if key == "ply_file_path":
        outside.write_bytes(b"no points")
    else:
        Image.new("L", (24, 16), 255).save(outside)
    with pytest.raises(
        SceneError, match=r"names the .* which lies outside the scene folder .*--allow-outside"
    ):
        load_scene(folder)
    allowed = SceneOptions(allow_outside=True)
    if key == "ply_file_path":
        with pytest.raises(SceneError, match="it does not begin with the word ply"):
            load_scene(folder, allowed)
    else:
        assert len(load_scene(folder, allowed).train) == 8


def test_photos_that_are_linked_into_the_folder_are_read(capture, tmp_path):
    folder = capture()
    (folder / "images").rename(tmp_path / "elsewhere")
    (folder / "images").symlink_to(tmp_path / "elsewhere")
    assert len(load_scene(folder).train) == 8


def test_progress_counts_both_splits(capture):
    seen = []
    load_scene(capture(), progress=lambda *args: seen.append(args))
    assert seen[7] == ("Reading training photos", 8, 8)
    assert seen[-1] == ("Reading held-out photos", 2, 2)


def test_a_cache_too_small_for_the_photos_is_said(capture):
    folder = capture(size=(1500, 1200))
    scene = load_scene(folder, SceneOptions(cache_mb=16))
    assert "need 54 MB and 16 MB are allowed" in scene.warnings[0]
    assert scene.train.images.nbytes() + scene.test.images.nbytes() <= 16_000_000
    assert scene.train.images.load(7).shape == (1200, 1500, 3)


def test_poses_of_three_rows_and_files_with_a_byte_order_mark_are_read(capture):
    def shorten(data: dict[str, Any]) -> None:
        for frame in data["frames"]:
            del frame["transform_matrix"][3]

    folder = capture(shorten)
    file = folder / "transforms.json"
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps(json.loads(file.read_text())).encode())
    assert len(load_scene(folder).train) == 8


def test_rounded_rotations_are_made_orthonormal(capture):
    def blunt(data: dict[str, Any]) -> None:
        for frame in data["frames"]:
            frame["transform_matrix"] = np.round(frame["transform_matrix"], 2).tolist()

    rotation = load_scene(capture(blunt)).train.views[0].camera.world_from_cam[:3, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)


def test_fox_is_read_whole(real_scene):
    scene = load_scene(real_scene("fox"), SceneOptions(downscale=8))
    assert (len(scene.train), len(scene.test)) == (43, 7)
    assert scene.warnings[0].startswith(
        "17 of 67 photos listed in transforms.json have no file (images/0005.jpg,"
    )
    assert (scene.background, scene.outside_levels) == ("learned", 4)
    assert (np.abs(scene.up) - [0, 0, 1] < 0.15).all() and scene.up[2] > 0.9
    camera = scene.train.views[0].camera
    assert 130 <= camera.width <= 135 and 235 <= camera.height <= 240
    # Dark corners would mean that pixels from outside the photo came in; this wall is light.
    assert scene.test.images.load(2)[[0, 0, -1, -1], [0, -1, 0, -1]].mean(axis=-1).min() > 0.02
    reach = np.abs([view.camera.position for view in scene.train.views]).max(axis=1)
    assert 0.4 < np.median(reach) < 0.9
