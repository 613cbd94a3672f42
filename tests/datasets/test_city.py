# SPDX-License-Identifier: MIT
"""The city: geometry against its plan, points on surfaces, cameras in the open, the same pictures every time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.cameras import Camera, look_at
from engine.datasets import SceneOptions, city, load_scene, recognise
from engine.datasets.city import build_city, render_city, sparse_points
from engine.datasets.city_plan import CLEAR_M, HALF_M, LOTS, PITCH_M, TOP_M, city_cameras, city_plan
from engine.datasets.scene import Scene

SIZE = (40, 30)
SHARE = 0.04
ROUNDING = 1e-4  # relative; depth is stored as float32
# What two pixels (view, row, column) of each held-out view show.
GOLDEN = {
    (0, 20, 8): (138, 130, 114),
    (0, 24, 33): (88, 88, 90),
    (1, 20, 8): (106, 104, 102),
    (1, 24, 33): (112, 71, 68),
    (2, 20, 8): (81, 81, 83),
    (2, 24, 33): (130, 120, 107),
    (3, 20, 8): (101, 97, 91),
    (3, 24, 33): (114, 81, 69),
}
STEP = 1  # of 255: what the rounding of another machine may cost


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setenv("NERFVIEWER_CACHE", str(tmp_path))
    return build_city(SIZE, SHARE)


def above(x: float, y: float, height: float, size: int = 9, focal: float = 400.0) -> Camera:
    """A camera that looks straight down."""
    pose = look_at(np.array([x, y, height]), np.array([x, y, 0.0]), np.array([0.0, 0.0, 1.0]))
    return Camera(size, size, focal, focal, 0.5 * size, 0.5 * size, pose)


def entries(camera: Camera) -> np.ndarray:
    """Return the z-depth at which every third ray each way meets the first of all boxes or the ground; each is tried."""
    origins, directions = (rays[::3, ::3] for rays in camera.rays())
    directions = directions / (directions @ camera.forward)[..., None]
    boxes = city_plan().boxes
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = (
            (boxes[:, part] - origins[..., None, :]) / directions[..., None, :]
            for part in np.split(np.arange(6), 2)
        )
        near, far = np.minimum(low, high).max(axis=-1), np.maximum(low, high).min(axis=-1)
        ground = -origins[..., 2] / directions[..., 2]
    hit = origins + ground[..., None] * directions
    ground[(ground < 0.0) | (np.abs(hit[..., :2]).max(axis=-1) >= HALF_M)] = np.inf
    return np.minimum(np.where((near <= far) & (near > 0.0), near, np.inf).min(axis=-1), ground)


def test_there_are_hundreds_of_blocks_none_outside_its_lot_and_none_too_high() -> None:
    plan = city_plan()
    assert 300 < len(plan.boxes) < 900 and plan.first[-1] == len(plan.boxes)
    lot = np.repeat(np.arange(LOTS**2), np.diff(plan.first))
    low = np.stack([lot // LOTS, lot % LOTS], axis=1) * PITCH_M - HALF_M
    assert (plan.boxes[:, :2] > low).all() and (plan.boxes[:, 3:5] < low + PITCH_M).all()
    assert (plan.boxes[:, 5] > plan.boxes[:, 2]).all() and plan.boxes[:, 5].max() < TOP_M


def test_cameras_fly_at_all_heights_and_never_inside_a_block() -> None:
    cameras, n_train = city_cameras(160, 120)
    assert n_train == 260 and len(cameras) == 284
    places = np.array([camera.position for camera in cameras])
    for low, high in ((0.0, 10.0), (10.0, 70.0), (70.0, 400.0), (400.0, 1200.0)):
        assert ((places[:, 2] > low) & (places[:, 2] < high)).sum() > 30
    boxes = city_plan().boxes
    gap = np.maximum(boxes[:, :3] - places[:, None], places[:, None] - boxes[:, 3:]).max(axis=-1)
    assert gap.min() > CLEAR_M
    held_out = places[n_train:]
    assert np.linalg.norm(held_out[:, None] - places[None, :n_train], axis=-1).min() > 1.0


def test_depth_is_that_of_the_first_of_all_boxes() -> None:
    cameras, _ = city_cameras(*SIZE, SHARE)
    _, depth = render_city(cameras)
    for camera, seen in zip(cameras, depth, strict=True):
        expected = entries(camera)
        expected[np.isinf(expected)] = 0.0
        np.testing.assert_allclose(seen[::3, ::3], expected, rtol=ROUNDING)


def test_a_roof_is_seen_from_above_in_its_colour_and_at_its_height() -> None:
    plan = city_plan()
    middles = 0.5 * (plan.boxes[:, :3] + plan.boxes[:, 3:])
    for b in np.flatnonzero(
        np.diff(plan.first)[np.searchsorted(plan.first, np.arange(len(middles)), "right") - 1] == 1
    )[::40]:
        rgba, depth = render_city([above(*middles[b, :2], 200.0)])
        np.testing.assert_allclose(depth[0, 4, 4], 200.0 - plan.boxes[b, 5], rtol=ROUNDING)
        shown = rgba[0, ..., :3].reshape(-1, 3).mean(axis=0) / 255.0
        assert np.corrcoef(shown, plan.paint[b])[0, 1] > 0.9  # gravel in the walls' paint


def test_a_point_shows_its_colour_in_every_view_that_sees_it() -> None:
    cameras, n_train = city_cameras(160, 120, 0.1)
    rgba, depth = render_city(cameras[:n_train])
    points = sparse_points(cameras[:n_train], rgba, depth)
    assert len(points) > 300 and np.diff(points.seen_start).min() >= 3
    owner = np.repeat(np.arange(len(points)), np.diff(points.seen_start))
    off = []
    for view, camera in enumerate(cameras[:n_train]):
        mine = owner[points.seen_by == view]
        pixel, _ = camera.project(points.xyz[mine])
        column, row = np.floor(pixel).astype(int).T
        shown = rgba[view, row, column, :3].astype(float)
        off.append(np.abs(shown - points.rgb[mine]).mean(axis=1))
    off = np.concatenate(off)
    # Textures are averaged over unlike footprints, and a window's edge falls anywhere: a quarter may differ.
    assert np.median(off) < 12.0 and np.quantile(off, 0.75) < 40.0
    mixed = np.abs(points.rgb[owner].astype(float) - points.rgb[owner[::-1]]).mean(axis=1)
    assert np.median(mixed) > 3.0 * np.median(off)  # a pairing by chance would not pass


def test_points_lie_on_surfaces(small: Scene) -> None:
    boxes = city_plan().boxes
    xyz = small.points.xyz @ small.data_from_engine[:3, :3].T + small.data_from_engine[:3, 3]
    outside = np.maximum(boxes[:, :3] - xyz[:, None], xyz[:, None] - boxes[:, 3:]).max(axis=-1)
    assert np.minimum(np.abs(outside).min(axis=1), np.abs(xyz[:, 2])).max() < 0.01


def test_low_cameras_bring_points_of_fine_detail_and_high_ones_do_not() -> None:
    cameras, n_train = city_cameras(160, 120, 0.25)
    rgba, depth = render_city(cameras[:n_train])
    height = np.array([camera.position[2] for camera in cameras[:n_train]])
    finest = []
    for some in (height < 70.0, height > 400.0):
        chosen = [camera for camera, use in zip(cameras, some, strict=False) if use]
        points = sparse_points(chosen, rgba[some], depth[some])
        owner = np.repeat(np.arange(len(points)), np.diff(points.seen_start))
        places = np.array([camera.position for camera in chosen])[points.seen_by]
        finest.append(np.linalg.norm(points.xyz[owner] - places, axis=1).min() / chosen[0].fx)
    assert finest[0] < 0.25 and finest[1] > 2.0  # metres a pixel: depth 4 of a 1,024 m cube of 256 is 0.25 m


def test_the_scene_is_in_engine_units_with_its_ground_off_every_cell_border(small: Scene) -> None:
    assert (small.name, small.path, small.kind) == ("city", "city", "city")
    assert len(small.train) == 11 and len(small.test) == 4 and small.background == "white"
    np.testing.assert_allclose(small.data_from_engine @ [0.5, 0.5, 0.5, 1.0], [512.0, 512.0, 504.0, 1.0])
    assert np.abs(small.points.xyz).max() < 0.5
    for depth in range(1, 6):
        ground = (8.0 / 1024.0 + 0.5) * 2**depth
        assert abs(ground - round(ground)) > 1e-3
    camera = small.test.views[0].camera
    expected = city_cameras(*SIZE, SHARE)[0][11].position
    np.testing.assert_allclose((small.data_from_engine @ [*camera.position, 1.0])[:3], expected)


def test_smaller_pictures_keep_their_shape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: Scene
) -> None:
    half = build_city(SIZE, SHARE, SceneOptions(downscale=2))
    expected = small.test.images.load(1).reshape(15, 2, 20, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(half.test.images.load(1), expected, atol=0.6 / 255)


def test_the_second_start_reads_the_cache(small: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(city, "render_city", lambda *_: pytest.fail("rendered again"))
    again = build_city(SIZE, SHARE)
    assert np.array_equal(small.train.images.load(3), again.train.images.load(3))
    assert np.array_equal(small.points.xyz, again.points.xyz)


def test_the_city_is_opened_by_its_word(monkeypatch: pytest.MonkeyPatch) -> None:
    assert recognise("city").is_scene
    monkeypatch.setattr(city, "load_city", lambda options, progress: ("the city", options))
    options = SceneOptions(downscale=2)
    assert load_scene("city", options) == ("the city", options)


def test_the_pictures_are_the_ones_of_this_version() -> None:
    """A change of any picture must raise `_VERSION`, else old caches would go on showing what was before."""
    cameras, n_train = city_cameras(*SIZE, SHARE)
    rgba, _ = render_city(cameras[n_train:])
    shown = {
        (v, i, j): tuple(int(c) for c in rgba[v, i, j, :3]) for v in range(4) for i, j in ((20, 8), (24, 33))
    }
    for place, colour in GOLDEN.items():
        assert np.abs(np.subtract(shown[place], colour)).max() <= STEP
