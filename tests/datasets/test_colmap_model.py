# SPDX-License-Identifier: MIT
"""COLMAP's model files: both formats, every camera model against COLMAP itself, and files that are spoilt."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from engine.cameras import Camera
from engine.datasets.colmap_model import find_model, lens_of, read_model
from engine.datasets.colmap_records import CAMERA_MODELS, CameraRecord
from engine.datasets.distortion import distort, undistort
from engine.datasets.shots import Lens
from engine.errors import SceneError
from tests.datasets.colmap_scenes import Model, ring_model

LENSES = {
    "SIMPLE_PINHOLE": (500.0, 321.0, 236.0),
    "PINHOLE": (500.0, 510.0, 321.0, 236.0),
    "SIMPLE_RADIAL": (500.0, 321.0, 236.0, -0.12),
    "RADIAL": (500.0, 321.0, 236.0, -0.12, 0.03),
    "OPENCV": (500.0, 510.0, 321.0, 236.0, -0.2, 0.05, 0.002, -0.003),
    "FULL_OPENCV": (500.0, 510.0, 321.0, 236.0, 0.3, 0.05, 0.002, -0.003, 0.01, 0.35, 0.06, 0.02),
    "OPENCV_FISHEYE": (300.0, 305.0, 321.0, 236.0, 0.02, -0.01, 0.003, -0.001),
    "SIMPLE_RADIAL_FISHEYE": (300.0, 321.0, 236.0, 0.03),
    "RADIAL_FISHEYE": (300.0, 321.0, 236.0, 0.03, -0.01),
    "SIMPLE_FISHEYE": (300.0, 321.0, 236.0),
    "FISHEYE": (300.0, 305.0, 321.0, 236.0),
}
# Both sides compute in float64; COLMAP undoes distortion iteratively, to 1e-10 of the focal length or so.
SAME_PX = 1e-6


def lens_named(model: str) -> Lens:
    return lens_of(Path("cameras.bin"), CameraRecord(1, model, 640, 480, LENSES[model]))


def directions(count: int = 400, widest_rad: float = 0.65) -> np.ndarray:
    """Return points [count,3] before a camera, up to an angle from its axis, at different depths."""
    rng = np.random.default_rng(1)
    angle, turn = rng.uniform(0.0, widest_rad, count), rng.uniform(0.0, 2.0 * np.pi, count)
    rays = np.stack([np.tan(angle) * np.cos(turn), np.tan(angle) * np.sin(turn), np.ones(count)], axis=1)
    return rays * rng.uniform(0.5, 20.0, (count, 1))


def pixels_of(lens: Lens, points: np.ndarray) -> np.ndarray:
    x, y = distort(lens, points[:, 0] / points[:, 2], points[:, 1] / points[:, 2])
    return np.stack([x * lens.fx + lens.cx, y * lens.fy + lens.cy], axis=1)


@pytest.mark.parametrize("model", LENSES)
def test_every_camera_model_projects_as_colmap_does(model):
    pycolmap = pytest.importorskip("pycolmap", reason="needs pycolmap (extra sfm) as the oracle")
    if model not in pycolmap.CameraModelId.__members__:
        pytest.skip(f"this pycolmap does not know {model}")
    camera = pycolmap.Camera(model=model, width=640, height=480, params=LENSES[model])
    points = directions(widest_rad=1.2 if "FISHEYE" in model else 0.65)
    lens = lens_named(model)
    wanted = np.asarray(camera.img_from_cam(points))
    np.testing.assert_allclose(pixels_of(lens, points), wanted, atol=SAME_PX)
    back = np.asarray(camera.cam_from_img(wanted))
    back = back[:, :2] / back[:, 2:] if back.shape[1] == 3 else back
    ours = undistort(lens, (wanted[:, 0] - lens.cx) / lens.fx, (wanted[:, 1] - lens.cy) / lens.fy)
    np.testing.assert_allclose(np.stack(ours, axis=1), back, atol=1e-5)


@pytest.mark.parametrize("seed", range(20))
def test_a_point_lands_on_the_pixel_that_its_colmap_camera_gives(tmp_path, seed):
    rng = np.random.default_rng(seed)
    rotation = Rotation.random(random_state=seed)
    translation, points = rng.normal(0.0, 3.0, 3), rng.normal(0.0, 5.0, (50, 3))
    model = ring_model(2, (640, 480))
    w = rotation.as_quat()[[3, 0, 1, 2]] * rng.choice([-1.0, 1.0])  # q and -q are one rotation
    model.images[0][1:3] = [w.tolist(), translation.tolist()]
    photo = read_model(model.write(tmp_path, ".bin")).photos[0]
    lens = photo.lens
    camera = Camera(lens.width, lens.height, lens.fx, lens.fy, lens.cx, lens.cy, photo.world_from_cam)
    uv, z = camera.project(points)
    local = rotation.apply(points) + translation  # by COLMAP's definition
    wanted = local[:, :2] / local[:, 2:] * [lens.fx, lens.fy] + [lens.cx, lens.cy]
    np.testing.assert_allclose(z, local[:, 2], atol=1e-9)
    np.testing.assert_allclose(uv, wanted, rtol=1e-9, atol=1e-6)


def test_text_and_binary_give_identical_models(tmp_path):
    model = ring_model()
    binary = read_model(model.write(tmp_path / "b", ".bin"))
    text = read_model(model.write(tmp_path / "t", ".txt"))
    assert len(binary.photos) == 10
    for a, b in zip(binary.photos, text.photos, strict=True):
        assert (a.id, a.name, a.lens) == (b.id, b.name, b.lens)
        np.testing.assert_array_equal(a.world_from_cam, b.world_from_cam)
    for name in ("xyz", "rgb", "error_px", "counts", "track_ids"):
        np.testing.assert_array_equal(getattr(binary.points, name), getattr(text.points, name))
    wanted = [[p[1], p[2], p[4]] for p in model.points]
    ends = np.cumsum(text.points.counts)
    tracks = np.split(text.points.track_ids, ends[:-1])
    assert [
        [x.tolist(), c.tolist(), t.tolist()] for x, c, t in zip(text.points.xyz, text.points.rgb, tracks)
    ] == wanted


def test_points_are_the_same_whatever_the_size_of_the_blocks(tmp_path, monkeypatch):
    from engine.datasets import colmap_binary

    path = ring_model().write(tmp_path, ".bin") / "points3D.bin"
    whole = colmap_binary.read_points(path)
    for size in (1, 50, 333):
        monkeypatch.setattr(colmap_binary, "_BLOCK_BYTES", size)
        np.testing.assert_array_equal(colmap_binary.read_points(path).track_ids, whole.track_ids)


def test_what_pycolmap_writes_today_is_read_rigs_frames_and_all(tmp_path):
    pycolmap = pytest.importorskip("pycolmap", reason="needs pycolmap (extra sfm)")
    model = ring_model()
    model.points.clear()  # their tracks name keypoints that the photos do not have
    source = model.write(tmp_path / "old", ".bin")
    reconstruction = pycolmap.Reconstruction(str(source))
    for suffix in ("binary", "text"):
        folder = tmp_path / suffix
        folder.mkdir()
        getattr(reconstruction, f"write_{suffix}")(str(folder))
        again = {photo.name: photo for photo in read_model(folder).photos}
        for photo in read_model(source).photos:
            np.testing.assert_allclose(again[photo.name].world_from_cam, photo.world_from_cam, atol=1e-12)


def test_names_with_spaces_and_folders_are_read(tmp_path):
    model = ring_model(3, names="left cam/photo {}.png")
    for suffix in (".bin", ".txt"):
        photos = read_model(model.write(tmp_path / suffix, suffix)).photos
        assert [photo.name for photo in photos] == [f"left cam/photo {i}.png" for i in range(3)]


@pytest.mark.parametrize("place", ["sparse/0", "sparse", "colmap/sparse/0", "."])
@pytest.mark.parametrize("suffix", [".bin", ".txt"])
def test_models_are_found_where_they_use_to_lie(tmp_path, place, suffix):
    assert find_model(tmp_path) is None
    ring_model().write(tmp_path / place, suffix)
    assert find_model(tmp_path) == tmp_path / place


def test_points_without_a_place_are_left_out_and_counted(tmp_path):
    model = ring_model()
    model.points[2][1][0], model.points[3][1][2], model.points[4][3] = float("nan"), 1e300, float("inf")
    read = read_model(model.write(tmp_path, ".bin"))
    assert read.n_bad_points == 2 and len(read.points.xyz) == 38 and read.points.error_px[2] == 0.0
    assert read.points.counts.sum() == len(read.points.track_ids)


def _set(records: str, index: int, at: int, value: object) -> Callable[[Model], None]:
    def change(model: Model) -> None:
        getattr(model, records)[index][at] = value

    return change


BAD_MODELS = {
    "a camera model by number": (
        _set("cameras", 0, 1, "FOV"),
        r"camera 3 has the camera model FOV, which is not",
    ),
    "no width": (_set("cameras", 0, 2, 0), r"must be 1 to 131,072 pixels a side, got 0 x 16"),
    "huge height": (_set("cameras", 0, 3, 2**40), r"pixels a side, got 24 x 1,099,511,627,776"),
    "focal length": (
        _set("cameras", 0, 4, [-20.0, 20.0, 12.0, 8.0]),
        r"focal length -20 for photos of 24 x 16",
    ),
    "a focal length that is none": (
        _set("cameras", 0, 4, [float("nan")] * 4),
        r"parameter that is no finite number",
    ),
    "axis": (_set("cameras", 0, 4, [20.0, 20.0, 1e9, 8.0]), r"its axis at 1e\+09, 8, far outside"),
    "no photo": (lambda model: model.images.clear(), r"holds no posed photo"),
    "NaN pose": (
        _set("images", 4, 2, [0.0, float("nan"), 0.0]),
        r"pose of photo 104 \(04.png\) .* not finite",
    ),
    "zero quaternion": (_set("images", 4, 1, [0.0] * 4), r"quaternion of length 1, got length 0"),
    "unknown camera": (
        _set("images", 4, 3, 9),
        r"photo 104 \(04.png\) has camera 9, which cameras\.\w+ does not",
    ),
    "same name twice": (
        _set("images", 4, 4, "00.png"),
        r"photo 104 \(00.png\) has the name of another photo",
    ),
    "same id twice": (_set("images", 4, 0, 100), r"two records have the photo id 100"),
}


@pytest.mark.parametrize("suffix", [".bin", ".txt"])
@pytest.mark.parametrize("case", BAD_MODELS)
def test_bad_records_are_refused_in_a_sentence(tmp_path, suffix, case):
    change, message = BAD_MODELS[case]
    model = ring_model()
    change(model)
    if suffix == ".bin" and model.cameras[0][1] == "FOV":
        model.cameras[0][1:2], model.cameras[0][4] = [7], [*model.cameras[0][4], 0.9]
    elif model.cameras[0][1] == "FOV":
        model.cameras[0][4] = [*model.cameras[0][4], 0.9]
    with pytest.raises(SceneError, match=message) as caught:
        read_model(model.write(tmp_path, suffix))
    text = str(caught.value)
    assert text.startswith(f"Cannot read {tmp_path}") and text.endswith(".") and "\n" not in text


COUNTS = {  # file -> where its counts stand
    "cameras.bin": (0,),
    "images.bin": (0, 8 + 64 + len("00.png") + 1),
    "points3D.bin": (0, 8 + 43),
}


@pytest.mark.parametrize("huge", [10**6, 2**40, 2**64 - 1])
@pytest.mark.parametrize("file", COUNTS)
def test_a_count_beyond_the_file_is_refused_before_memory_is_taken(tmp_path, file, huge):
    for at in COUNTS[file]:
        path = ring_model().write(tmp_path, ".bin") / file
        data = bytearray(path.read_bytes())
        data[at : at + 8] = struct.pack("<Q", huge)
        path.write_bytes(data)
        with pytest.raises(SceneError, match=rf"{file}: .* more than .* bytes"):
            read_model(tmp_path)


@pytest.mark.parametrize("file", COUNTS)
def test_a_file_cut_short_anywhere_or_too_long_is_refused(tmp_path, file):
    path = ring_model(3).write(tmp_path, ".bin") / file
    data = path.read_bytes()
    cuts = range(0, len(data), max(1, len(data) // 150))
    for cut in cuts:
        path.write_bytes(data[:cut])
        with pytest.raises(SceneError, match=rf"Cannot read .*{file}: "):
            read_model(tmp_path)
    path.write_bytes(data + b"\0" * 5)
    with pytest.raises(SceneError, match=r"5 bytes are left over"):
        read_model(tmp_path)


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("cameras", b"PINHOLE", b"PINHOLE 1.0", r"line 2 has 5 parameters, PINHOLE has 4"),
        ("cameras", b"PINHOLE", b"KODAK", r"camera model KODAK, which is not supported"),
        ("cameras", b" 24 ", b" -24 ", r"line 2 must have a whole number, got '-24'"),
        ("images", b"\n105 ", b"\n1e5 ", r"line 12 must have a whole number, got '1e5'"),
        ("images", b"01.png", b"", r"line 4 must hold id, quaternion.*, got 9 words"),
        ("images", b"01.png\n", b"01.png\n1 2\n", r"the line after line 4 must hold the keypoints"),
        ("images", b"01.png", b"\xff.png", r"line 4 has a name that is no UTF-8 text"),
        ("points3D", b"\n8 ", b"\n8 1 2 3 4 5 6 7 x 0\n9 ", r"line 2 has a word where a number was wanted"),
        (
            "points3D",
            b"\n8 ",
            b"\n8 1 2 3 4 5 6 7 100\n9 ",
            r"line 2 has a track of pairs with one number missing",
        ),
        ("points3D", b"\n8 ", b"\n8 1 2 3 4 999 6 7\n9 ", r"a point has a colour outside 0 to 255"),
    ],
)
def test_a_bad_line_is_named(tmp_path, file, old, new, message):
    path = ring_model().write(tmp_path, ".txt") / f"{file}.txt"
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new, 1))
    with pytest.raises(SceneError, match=message):
        read_model(tmp_path)


def test_every_supported_model_has_as_many_parameters_as_its_binary_record():
    sizes = dict(CAMERA_MODELS.values())
    for model, params in LENSES.items():
        assert len(params) == sizes[model]
        lens_named(model)
