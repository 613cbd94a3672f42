# SPDX-License-Identifier: MIT
"""Sparse points refine the start where they lie and say how far things are; the gradient is that of the loss."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from engine.cameras import Camera, look_at
from engine.constants import SH_C0
from engine.cpu.shade import grouped, sh_rows
from engine.datasets.scene import ImageSource, Points, Scene, Split, View
from engine.methods.svraster import SVRaster, SVRasterConfig
from engine.methods.svraster.sparse_points import PointDepths, depth_term, put_points, refined_around
from engine.octree import Octree
from engine.options import updated

SLOPE = 1e-4  # central differences of 1e-4 in float64 were off by 2e-6 of the gradient's length at worst
Z = np.array([0.0, 0.0, 1.0])


class Grey(ImageSource):
    """Photos of an evenly grey room: colour says nothing of depth."""

    def load(self, index: int) -> np.ndarray:
        return np.full((32, 32, 3), 0.4, dtype=np.float32)

    def nbytes(self) -> int:
        return 0


def points_of(xyz: np.ndarray, n_views: int, error_px: float = 0.5) -> Points:
    """Return points that every view saw."""
    start = np.arange(len(xyz) + 1, dtype=np.int32) * n_views
    seen_by = np.tile(np.arange(n_views, dtype=np.int32), len(xyz))
    rgb = np.tile(np.array([[200, 100, 50]], dtype=np.uint8), (len(xyz), 1))
    return Points(xyz.astype(np.float32), rgb, np.full(len(xyz), error_px, np.float32), start, seen_by)


def grey_scene(points: Points | None) -> Scene:
    poses = [look_at(np.array([x, -1.2, 0.0]), np.array([x, 0.0, 0.0]), Z) for x in (-0.1, 0.0, 0.1)]
    views = tuple(View(str(i), Camera.from_fov(32, 32, 0.7, pose)) for i, pose in enumerate(poses))
    splits = Split(views, Grey()), Split((), Grey())
    return Scene("grey", "", "test", *splits, "black", 0, np.eye(4), Z, points=points)


def wall(n: int = 200) -> np.ndarray:
    """Return points on a wall a little behind the middle."""
    rng = np.random.default_rng(0)
    return np.column_stack([rng.uniform(-0.3, 0.3, n), np.full(n, 0.2), rng.uniform(-0.3, 0.3, n)])


def rendered(seed: int) -> tuple[np.ndarray, np.ndarray, Camera, np.ndarray]:
    rng = np.random.default_rng(seed)
    trans = rng.uniform(0.1, 0.8, (12, 16))
    depth = (1.0 - trans) * rng.uniform(0.5, 2.0, (12, 16))
    seen = np.column_stack(
        [rng.uniform(-0.6, 0.6, 40), rng.uniform(-0.4, 0.4, 40), rng.uniform(0.5, 2.0, 40)]
    )
    return trans, depth, Camera(16, 12, 20.0, 20.0, 8.0, 6.0, np.eye(4)), seen


@pytest.mark.parametrize("seed", range(4))
def test_the_gradient_is_the_slope_of_the_loss(seed: int):
    trans, depth, camera, seen = rendered(seed)
    v_trans, v_depth, loss = depth_term(trans, depth, camera, seen, 0.7)
    assert loss > 0.0
    rng = np.random.default_rng(seed + 100)
    along = rng.normal(size=trans.shape), rng.normal(size=depth.shape)
    h = 1e-4
    ends = [depth_term(trans + s * along[0], depth + s * along[1], camera, seen, 0.7)[2] for s in (h, -h)]
    expected = float((v_trans * along[0]).sum() + (v_depth * along[1]).sum())
    margin = SLOPE * float(np.hypot(np.linalg.norm(v_trans), np.linalg.norm(v_depth)))
    assert (ends[0] - ends[1]) / (2 * h) == pytest.approx(expected, abs=margin)


def test_right_depths_and_points_outside_the_picture_cost_nothing():
    trans = np.full((12, 16), 0.3)
    camera = Camera(16, 12, 20.0, 20.0, 8.0, 6.0, np.eye(4))
    seen = np.array([[0.0, 0.0, 1.5], [9.0, 0.0, 3.0], [0.0, -9.0, 3.0]])
    v_trans, v_depth, loss = depth_term(trans, 0.7 * np.full((12, 16), 1.5), camera, seen, 1.0)
    assert (
        loss == pytest.approx(0.0, abs=1e-20)
        and np.abs(v_depth).max() < 1e-9
        and np.abs(v_trans).max() < 1e-9
    )


def test_nothing_is_said_where_nothing_is():
    v_trans, v_depth, loss = depth_term(
        np.ones((12, 16)), np.zeros((12, 16)), rendered(0)[2], rendered(0)[3], 1.0
    )
    assert loss == 0.0 and not v_depth.any() and not v_trans.any()


def test_points_are_given_to_the_views_that_saw_them():
    scene = grey_scene(points_of(wall(), 3))
    scene = dataclasses.replace(
        scene,
        points=dataclasses.replace(
            scene.points, seen_by=np.where(scene.points.seen_by == 2, 7, scene.points.seen_by)
        ),
    )
    depths = PointDepths(scene)
    assert [len(depths.of(view)) for view in range(3)] == [200, 200, 0]
    np.testing.assert_allclose(depths.of(0)[:, 2], 1.4, atol=1e-6)


def test_shaky_points_are_not_trusted():
    assert len(PointDepths(grey_scene(points_of(wall(), 3, error_px=5.0))).of(0)) == 0


def test_leaves_are_split_around_points_only():
    octree = refined_around(Octree.dense(3), wall(), 2)
    leaf = octree.find(wall().astype(np.float32))
    assert np.median(octree.level[leaf]) == 5
    assert (octree.level[octree.center[:, 1] < 0.0] == 3).all()


def test_a_single_stray_point_splits_nothing():
    assert len(refined_around(Octree.dense(3), np.array([[0.1, 0.1, 0.1]]), 3)) == 8**3


def test_leaves_with_points_become_denser_and_take_their_colour():
    octree = Octree.dense(3)
    density = np.full(octree.n_points, -6.0, dtype=np.float32)
    sh = grouped(np.zeros((len(octree), 4, 3), dtype=np.float32))
    put_points(octree, points_of(wall(), 1), density, sh)
    leaf, count = np.unique(octree.find(wall().astype(np.float32)), return_counts=True)
    held = leaf[count >= 2]
    rgb = 0.5 + SH_C0 * sh_rows(sh, len(octree))[:, 0]
    np.testing.assert_allclose(rgb[held], np.tile([[200, 100, 50]], (len(held), 1)) / 255.0, atol=1e-6)
    assert (np.delete(rgb, held, axis=0) == 0.5).all()
    assert (density[octree.corner_idx[held]] > -6.0).all()
    assert (density > -6.0).sum() == len(np.unique(octree.corner_idx[held]))


@pytest.mark.parametrize(("weight", "right"), [(0.0, False), (0.3, True)])
def test_sparse_depth_places_what_colour_cannot(weight: float, right: bool):
    values = {
        "model.initial_level": 4, "losses.sparse_depth": weight, "schedule.quarter_until": 0, "schedule.half_until": 0,
        "losses.colour_spread": 0.0,
    }  # fmt: skip
    method = SVRaster(grey_scene(points_of(wall(), 3)), updated(SVRasterConfig(), values), seed=0)
    for _ in range(60):
        report = method.train_step()
    assert ("sparse depth" in dict(report.losses)) == right
    depth = method.render(method.scene.train.views[1].camera, frozenset({"depth_z"})).depth_z
    assert (abs(float(np.median(depth[8:24, 8:24])) - 1.4) < 0.1) == right  # the wall is 1.4 away


def test_points_seed_the_start_of_a_model():
    plain, seeded = (
        SVRaster(grey_scene(points_of(wall(), 3)), updated(SVRasterConfig(), {"model.point_levels": levels}))
        for levels in (0, 1)
    )
    assert len(seeded.octree) > len(plain.octree)
    assert seeded.field.density.max() > plain.field.density.max()
