# SPDX-License-Identifier: MIT
"""The demo scene: geometry against closed forms, light, cameras, and the cache."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from engine.caches import cache_folder
from engine.cameras import Camera, look_at
from engine.datasets import SceneOptions, demo, demo_shapes, rendered
from engine.datasets.demo import build_demo, demo_cameras, render_demo
from engine.datasets.demo_colours import TO_LAMP
from engine.datasets.rendered import RenderedDepth
from engine.datasets.scene import Scene

SIZE = 24
DEPTH = 2e-4  # rays stop 3e-5 before a surface, and a grazing ray sees that stretched; worst seen 7e-5
UP = np.array([0.0, 0.0, 1.0])


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NERFVIEWER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def small_demo(options: SceneOptions | None = None, **more: object) -> Scene:
    return build_demo(3, 2, SIZE, options, **more)  # type: ignore[arg-type]


def camera_at(position: list[float], target: list[float], size: int = 48, fov_deg: float = 20.0) -> Camera:
    pose = look_at(np.array(position), np.array(target), UP)
    return Camera.from_fov(size, size, np.radians(fov_deg), pose)


def sphere_depth(camera: Camera, centre: tuple[float, float, float], radius: float) -> np.ndarray:
    """Return the z-depth [H,W] at which pixel rays meet a sphere, inf where they miss."""
    origins, directions = camera.rays()
    offset = origins - np.array(centre)
    b = np.sum(offset * directions, axis=-1)
    inside = b * b - (np.sum(offset * offset, axis=-1) - radius**2)
    t = np.where(inside > 0.0, -b - np.sqrt(np.maximum(inside, 0.0)), np.inf)
    return t * (directions @ camera.forward)


def top_depth(camera: Camera) -> np.ndarray:
    """Return the z-depth [H,W] of the table's top, inf outside its disc."""
    origins, directions = camera.rays()
    t = (demo_shapes.TABLE_TOP - origins[..., 2]) / directions[..., 2]
    hit = origins + t[..., None] * directions
    on_disc = np.hypot(hit[..., 0], hit[..., 1]) < demo_shapes.TABLE_RADIUS
    return np.where(on_disc & (t > 0.0), t * (directions @ camera.forward), np.inf)


@pytest.mark.parametrize(
    ("centre", "radius", "position"),
    [
        (demo_shapes.GLOBE_AT, demo_shapes.GLOBE_RADIUS, [0.5, -0.9, 0.3]),
        (demo_shapes.FINIAL_AT, demo_shapes.FINIAL_RADIUS, [-0.9, 0.5, 0.6]),
        (demo_shapes.BALL_AT, demo_shapes.BALL_RADIUS, [-0.3, -1.0, 0.1]),
    ],
)
def test_depth_on_a_sphere_equals_its_closed_form(
    centre: tuple[float, float, float], radius: float, position: list[float]
) -> None:
    camera = camera_at(position, list(centre))
    _, depth = render_demo([camera])
    expected = sphere_depth(camera, centre, radius)
    middle = np.abs(np.indices(expected.shape) - 23.5).max(axis=0) < 5
    assert np.isfinite(expected[middle]).all()
    np.testing.assert_allclose(depth[0][middle], expected[middle], atol=DEPTH)


def test_depth_on_the_open_table_equals_the_plane() -> None:
    camera = camera_at([0.9, 0.3, 0.2], [0.41, 0.0, demo_shapes.TABLE_TOP], fov_deg=4.0)
    _, depth = render_demo([camera])
    np.testing.assert_allclose(depth[0], top_depth(camera), atol=1e-6)  # met exactly; float32 storage


def test_nothing_is_seen_behind_the_table_top() -> None:
    cameras = demo_cameras(4, SIZE, False)
    _, depth = render_demo(cameras)
    for camera, seen in zip(cameras, depth):
        assert (seen <= top_depth(camera) + 1e-5).all()
        outside = ~np.isfinite(top_depth(camera)) & (seen == 0.0)
        assert outside.any()  # some of the picture is background


def test_everything_lies_inside_the_foreground_cube() -> None:
    cameras = demo_cameras(6, SIZE, False)
    _, depth = render_demo(cameras)
    for camera, z in zip(cameras, depth):
        origins, directions = camera.rays()
        points = origins + directions * (z / (directions @ camera.forward))[..., None]
        assert np.abs(points[z > 0]).max() <= 0.5


def test_distances_never_overshoot() -> None:
    """Sphere tracing is safe when no two points differ by more in distance than they lie apart."""
    random = np.random.default_rng(0)
    points = random.uniform([-0.5, -0.5, -0.31], [0.5, 0.5, 0.35], (3000, 3))
    near = points + random.normal(0.0, 0.01, points.shape)
    distances = _distances(points), _distances(near)
    apart = np.linalg.norm(points - near, axis=1)
    assert (np.abs(distances[0] - distances[1]) <= 1.02 * apart).all()  # the flutes are 2 % too steep at most


def _distances(points: np.ndarray) -> np.ndarray:
    found = np.empty(len(points))
    demo_shapes.distances(points, found)
    return found


def test_the_grid_of_free_distances_never_promises_too_much() -> None:
    grid = demo_shapes.free_distances()
    low = np.array(demo_shapes.GRID_LOW)
    points = np.random.default_rng(1).uniform(low, low + demo_shapes.CELL * np.array(grid.shape), (20_000, 3))
    cells = tuple(((points - low) / demo_shapes.CELL).astype(int).T)
    assert (grid[cells] <= _distances(points) + 1e-6).all()
    assert (grid > 0.01).mean() > 0.5  # else it would speed nothing up


def test_the_glossy_globe_looks_different_from_another_side_and_a_matt_step_does_not() -> None:
    globe, r = np.array(demo_shapes.GLOBE_AT), demo_shapes.GLOBE_RADIUS
    towards_lamp = np.array(TO_LAMP)
    glossy = globe + r * towards_lamp / np.linalg.norm(towards_lamp)
    matt = np.array([demo_shapes.CUBES_AT[0], demo_shapes.CUBES_AT[1], demo_shapes.TABLE_TOP + 0.25])
    change = []
    for point in (glossy, matt):
        views = [camera_at(list(point + offset), list(point), 9, 1.0) for offset in _SIDES]
        rgba, depth = render_demo(views)
        np.testing.assert_allclose(
            depth[:, 4, 4], np.linalg.norm(_SIDES, axis=1), atol=2e-3
        )  # the point is seen
        colours = rgba[:, 4, 4, :3].astype(int)
        change.append(np.abs(colours - colours[0]).max())
    assert change[0] > 40 and change[1] <= 2


_SIDES = np.array([TO_LAMP, [0.30, -0.50, 0.80], [-0.70, 0.20, 0.68]])


def test_the_lamp_casts_a_shadow_of_the_globe() -> None:
    globe, lamp = np.array(demo_shapes.GLOBE_AT), np.array(TO_LAMP)
    under = globe + lamp * (demo_shapes.TABLE_TOP - globe[2]) / lamp[2]
    lit = np.array([0.20, -0.33, demo_shapes.TABLE_TOP])
    views = [camera_at([*(p[:2] + 0.03), 0.6], list(p), 15, 5.0) for p in (under, lit)]
    rgba, _ = render_demo(views)
    dark, bright = (np.median(view[..., :3]) for view in rgba)
    assert dark < 0.75 * bright


def test_the_pictures_are_the_same_every_time_and_for_any_number_of_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cameras = demo_cameras(3, SIZE, True)
    first = render_demo(cameras)
    monkeypatch.setattr(rendered.numba.config, "NUMBA_NUM_THREADS", 3)
    second = render_demo(cameras)
    assert np.array_equal(first[0], second[0]) and np.array_equal(first[1], second[1])


def test_the_real_demo_has_sixty_views_and_ten_held_out_ones_at_256_pixels() -> None:
    train, test = (
        demo_cameras(demo.N_TRAIN, demo.SIZE_PX, False),
        demo_cameras(demo.N_TEST, demo.SIZE_PX, True),
    )
    assert (len(train), len(test)) == (60, 10)
    assert {(c.width, c.height) for c in train + test} == {(256, 256)}
    places = np.array([c.position for c in train])
    gaps = [np.linalg.norm(places - c.position, axis=1).min() for c in test]
    assert 0.02 < min(gaps) and max(gaps) < 0.6  # between the training views, never on one
    distances = np.linalg.norm(places, axis=1)
    assert (distances < 0.95).sum() >= 10 and (places[:, 2] > 0.0).all()


def test_a_scene_has_names_depth_and_the_identity_frame(cache: Path) -> None:
    scene = small_demo()
    assert [view.name for view in scene.train.views] == ["train_00", "train_01", "train_02"]
    assert len(scene.test) == 2 and scene.warnings == ()
    assert scene.background == "white" and scene.outside_levels == 0
    assert np.array_equal(scene.data_from_engine, np.eye(4)) and np.array_equal(scene.up, UP)
    depth = scene.extras["depth_test"]
    assert isinstance(depth, RenderedDepth)
    _, expected = render_demo([view.camera for view in scene.test.views])
    assert np.array_equal(depth.load(), expected)
    image = scene.train.images.load(0)
    assert image.shape == (SIZE, SIZE, 3) and image.dtype == np.float32
    assert 0.0 <= image.min() < image.max() <= 1.0
    assert scene.train.images.nbytes() == 3 * SIZE * SIZE * 3


def test_empty_pixels_take_the_background_that_was_asked_for(cache: Path) -> None:
    white, black = small_demo(), small_demo(SceneOptions(background="black"))
    empty = white.extras["depth_train"].load()[0] == 0.0  # type: ignore[attr-defined]
    corner = (
        empty & np.roll(empty, 1, 0) & np.roll(empty, -1, 0) & np.roll(empty, 1, 1) & np.roll(empty, -1, 1)
    )
    assert corner.any()
    assert (white.train.images.load(0)[corner] == 1.0).all()
    assert (black.train.images.load(0)[corner] == 0.0).all()


def test_smaller_pictures_are_area_means_with_matching_cameras(cache: Path) -> None:
    full, half = small_demo(), small_demo(SceneOptions(downscale=2))
    expected = full.test.images.load(1).reshape(SIZE // 2, 2, SIZE // 2, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(half.test.images.load(1), expected, atol=0.6 / 255)
    camera = half.test.views[1].camera
    assert (camera.width, camera.fx) == (SIZE // 2, full.test.views[1].camera.fx / 2)
    assert small_demo(SceneOptions(max_size=10)).train.images.load(0).shape == (10, 10, 3)


def test_a_larger_foreground_cube_brings_cameras_closer_and_keeps_the_way_back(cache: Path) -> None:
    plain, scaled = small_demo(), small_demo(SceneOptions(scene_scale=2.0))
    position = scaled.train.views[0].camera.position
    np.testing.assert_allclose(2.0 * position, plain.train.views[0].camera.position)
    np.testing.assert_allclose((scaled.data_from_engine @ [*position, 1.0])[:3], 2.0 * position)


def test_the_second_start_reads_the_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, int, int]] = []
    first = small_demo(progress=lambda *call: calls.append(call))
    assert calls[0][1:] == (0, 5) and calls[-1][1:] == (5, 5)
    assert [file.suffix for file in cache.iterdir()] == [".npz"]  # no temporary file is left
    monkeypatch.setattr(demo, "render_demo", lambda *_: pytest.fail("rendered again"))
    second = small_demo()
    assert np.array_equal(first.train.images.load(2), second.train.images.load(2))
    assert np.array_equal(first.extras["depth_train"].load(), second.extras["depth_train"].load())  # type: ignore[attr-defined]


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "other"])
def test_a_torn_cache_is_made_again(cache: Path, damage: str) -> None:
    before = small_demo().train.images.load(0)
    (file,) = cache.iterdir()
    data = bytearray(file.read_bytes())
    if damage == "flipped":
        data[1000] ^= 0xFF
    file.write_bytes(
        {"cut": data[: len(data) // 2], "empty": b"", "other": b"not an archive"}.get(damage, data)
    )
    calls: list[tuple[str, int, int]] = []
    after = small_demo(progress=lambda *call: calls.append(call)).train.images.load(0)
    assert calls and np.array_equal(before, after)
    calls.clear()
    small_demo(progress=lambda *call: calls.append(call))
    assert not calls


def test_a_cache_that_cannot_be_written_becomes_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("NERFVIEWER_CACHE", str(tmp_path / "file" / "cache"))
    scene = small_demo()
    assert len(scene.warnings) == 1 and "NERFVIEWER_CACHE" in scene.warnings[0]
    assert scene.extras["depth_train"].load().shape == (3, SIZE, SIZE)  # type: ignore[attr-defined]


def test_the_cache_folder_follows_the_platform(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NERFVIEWER_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    for platform, expected in (
        ("linux", tmp_path / "nerfviewer"),
        ("win32", tmp_path / "local" / "nerfviewer" / "cache"),
        ("darwin", Path.home() / "Library" / "Caches" / "nerfviewer"),
    ):
        monkeypatch.setattr("engine.caches.sys.platform", platform)
        assert cache_folder() == expected
    monkeypatch.setenv("NERFVIEWER_CACHE", os.fspath(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
