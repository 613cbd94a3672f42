# SPDX-License-Identifier: MIT
"""Pictures of a model whose nodes lie on the disk: the whole model's bits once loaded, ancestors until then, a budget."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.cameras import Camera, look_at
from engine.datasets.city import CENTRE, EDGE_M, render_city, sparse_points
from engine.datasets.city_plan import city_cameras
from engine.datasets.options import SceneOptions
from engine.datasets.rendered import Stage, rendered_scene
from engine.datasets.scene import Scene
from engine.errors import UserError
from engine.methods.infnerf import InfNeRF, InfNeRFConfig
from engine.methods.infnerf.rays import rays_of
from engine.methods.infnerf.stored import StoredModel, write
from engine.node_cache import NodeCache
from engine.node_store import open_store
from engine.options import updated
from tests.methods.infnerf.plane import plane_scene

SMALL = {
    "field.levels": 4, "field.log2_table": 10, "field.base_res": 4, "field.max_res": 16, "field.hidden": 16,
    "sampling.grid": 4, "tree.max_depth": 4,
}  # fmt: skip


def model_of(scene: Scene, **values: object) -> InfNeRF:
    """A model that nobody trained, with features large enough that every node shows something of its own."""
    model = InfNeRF(scene, updated(InfNeRFConfig(), SMALL | values))
    random = np.random.default_rng(3)
    model.fields.tables[:] = random.normal(0.0, 0.5, model.fields.tables.shape)
    return model


@pytest.fixture(scope="module")
def scene() -> Scene:
    return plane_scene(32, 6, 2)


@pytest.fixture(scope="module")
def model(scene: Scene) -> InfNeRF:
    return model_of(scene)


@pytest.fixture
def folder(model: InfNeRF, tmp_path: Path) -> Path:
    write(model, tmp_path)
    return tmp_path


def whole(folder: Path) -> int:
    """More bytes than the model has."""
    return 2 * open_store(folder).model_bytes + (1 << 20)


def test_once_loaded_a_picture_is_the_whole_models_bit_for_bit(
    model: InfNeRF, folder: Path, scene: Scene
) -> None:
    want = frozenset({"depth_z", "depth_median", "level", "size", "count"})
    with StoredModel(folder, whole(folder)) as stored:
        for view in scene.test.views:
            expected = model.render(view.camera, want)
            seen = stored.render_whole(view.camera, want)
            assert seen.complete
            for name in ("rgb", "trans", *want):
                assert np.array_equal(getattr(seen.buffers, name), getattr(expected, name)), name
        slots = stored.cache.slot_of[stored.cache.resident]
        assert not np.array_equal(np.sort(slots), slots)  # the fields really lie elsewhere than in the model


def test_a_picture_wants_the_nodes_that_it_touches(model: InfNeRF, folder: Path, scene: Scene) -> None:
    camera = scene.test.views[0].camera
    with StoredModel(folder, whole(folder)) as stored:
        wanted = stored.wanted(camera)
        model.render(camera)
        assert np.array_equal(wanted, model.last_touched)
        counters = stored.render_whole(camera).counters
        assert counters.touched_nodes == len(np.union1d(wanted, [0]))
        assert np.array_equal(np.flatnonzero(stored.cache.resident), np.union1d(wanted, [0]))


def test_before_anything_is_loaded_the_root_shows_everything_at_the_same_samples(
    model: InfNeRF, folder: Path, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera = scene.test.views[1].camera
    monkeypatch.setattr(NodeCache, "_start", lambda self: None)  # nothing is read
    with StoredModel(folder, whole(folder)) as stored:
        seen = stored.render(camera, frozenset({"count", "level"}))
    expected = model.render(camera, frozenset({"count"}))
    assert not seen.complete and seen.buffers.level.max() == 0.0
    assert np.array_equal(seen.buffers.count, expected.count)
    fields = model.fields
    root_alone = np.where(np.arange(model.tree.nodes) == 0, 0, -1).astype(np.int32)
    rays = rays_of(camera, model.tree)
    by_root = model.march(rays.rays_o, rays.rays_d, rays.footprint, fields=fields, slots=root_alone)
    assert np.array_equal(seen.buffers.rgb.reshape(-1, 3), by_root["rgb"])
    assert np.abs(seen.buffers.rgb - expected.rgb).max() > 0.05  # and that is another picture


def test_a_small_budget_renders_every_view_in_turn(model: InfNeRF, folder: Path, scene: Scene) -> None:
    """Nodes come and go, and each picture is still the whole model's."""
    store = open_store(folder)
    cameras = [view.camera.scaled(0.5) for view in (*scene.test.views, *scene.train.views)]
    with StoredModel(folder, whole(folder)) as probe:
        most = max(len(np.union1d(probe.wanted(camera), [0])) for camera in cameras)
    budget = (most + 1) * store.node_bytes
    with StoredModel(folder, budget) as stored:
        for camera in cameras:
            assert np.array_equal(stored.render_whole(camera).buffers.rgb, model.render(camera).rgb)
        assert stored.cache.counters().evictions > 0
    with (
        StoredModel(folder, budget - 1) as stored,
        pytest.raises(UserError, match=f"{budget:,} bytes"),
    ):
        for camera in cameras:
            stored.render_whole(camera)


def test_a_missing_node_file_leaves_its_ancestor_in_the_picture(
    model: InfNeRF, folder: Path, scene: Scene
) -> None:
    camera = scene.test.views[0].camera
    model.render(camera)
    lost = int(model.last_touched[-1])
    open_store(folder).file(lost).unlink()
    with StoredModel(folder, whole(folder)) as stored:
        seen = stored.render_whole(camera)
        assert not seen.complete and list(stored.cache.problems) == [lost]
        assert np.isfinite(seen.buffers.rgb).all()
        assert int(stored.field_tree.stand_in[lost]) == int(model.tree.parent[lost])


def test_a_second_writing_after_a_change_of_one_node_writes_one_file(scene: Scene, tmp_path: Path) -> None:
    model = model_of(scene, **{"tree.max_depth": 2})
    write(model, tmp_path)
    model.fields.mlp[4, 0] += 1.0
    _, update = write(model, tmp_path)
    assert (update.written, update.kept) == (1, model.tree.nodes - 1)


def test_of_the_city_a_low_and_a_high_picture_touch_a_small_share_and_fit_a_third_of_it(
    tmp_path: Path,
) -> None:
    """The issue's acceptance in small: fresh fields, whose untold grids hide nothing, so that rays touch the most they can."""
    cameras, n_train = city_cameras(40, 30)
    rgba, depth = render_city(cameras)
    points = sparse_points(cameras[:n_train], rgba[:n_train], depth[:n_train])
    scene = rendered_scene(
        Stage("city", CENTRE, EDGE_M, points), cameras, n_train, (rgba, lambda: depth, ""), SceneOptions()
    )
    model = model_of(scene, **{"tree.max_depth": 5, "field.max_res": 64, "sampling.near": 0.002})
    assert model.tree.levels == 5 and model.tree.nodes > 100
    store, _ = write(model, tmp_path)
    low, high = (
        Camera(
            80, 60, 62.8, 62.8, 40.0, 30.0, look_at(np.array(eye), np.array(at), np.array([0.0, 0.0, 1.0]))
        )
        for eye, at in (((-100.0, 0.0, 6.0), (0.0, 0.0, 4.0)), ((1.0, 0.0, 1000.0), (0.0, 0.0, 0.0)))
    )
    shares = []
    with StoredModel(tmp_path, int(0.30 * store.model_bytes)) as stored:
        for camera in (low, high):
            pose = camera.world_from_cam.copy()
            pose[:3, 3] = (pose[:3, 3] - CENTRE) / EDGE_M
            seen = stored.render_whole(replace(camera, world_from_cam=pose))
            assert seen.complete and seen.counters.resident_bytes <= 0.30 * store.model_bytes
            shares.append(seen.counters.touched_bytes / store.model_bytes)
    assert shares[0] <= 0.25 and shares[1] <= 0.08, shares
