# SPDX-License-Identifier: MIT
"""The SVRaster method as the worker sees it: it learns, adapts without a jump, resumes exactly, is deterministic."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from engine.cameras import Camera, look_at
from engine.cpu.crew import crew, set_threads
from engine.datasets.scene import ImageSource, Scene, Split, View
from engine.errors import CheckpointError, OptionError
from engine.methods.common import create_method
from engine.methods.svraster import SVRaster, SVRasterConfig
from engine.methods.svraster.adapt import keep_mask, prune_threshold, split_mask
from engine.methods.svraster.config import in_scene
from engine.metrics import psnr
from engine.octree import Octree
from engine.options import updated

SIZE = 48
QUICK = {
    "model.initial_level": 4,
    "adapt.every_steps": 24,
    "adapt.split_all_to": 5,
    "adapt.max_voxels": 20_000,
    "schedule.half_until": 12,
    "schedule.quarter_until": 0,
    "schedule.supersample_from": 60,
    "schedule.sh1_from": 10,
    "schedule.sh2_from": 20,
}


class Pictures(ImageSource):
    """An image source over arrays."""

    def __init__(self, images: list[np.ndarray]) -> None:
        self.images = images

    def load(self, index: int) -> np.ndarray:
        return self.images[index]

    def nbytes(self) -> int:
        return sum(image.nbytes for image in self.images)


def two_spheres(camera: Camera) -> np.ndarray:
    """Ray-cast a red sphere beside a blue one, shaded by their normals, on white."""
    origins, directions = camera.rays()
    image = np.ones((*origins.shape[:2], 3))
    nearest = np.full(origins.shape[:2], np.inf)
    for centre, radius, colour in (
        ((0.12, 0, 0), 0.2, (0.9, 0.2, 0.1)),
        ((-0.2, 0.05, 0.05), 0.12, (0.1, 0.3, 0.8)),
    ):
        to = np.asarray(centre) - origins
        along = np.sum(to * directions, axis=-1)
        inside = radius**2 - (np.sum(to * to, axis=-1) - along**2)
        t = along - np.sqrt(np.maximum(inside, 0.0))
        hit = (inside > 0.0) & (t < nearest)
        normal = (origins + t[..., None] * directions - centre) / radius
        shade = 0.6 + 0.4 * normal[..., 2:3]
        image = np.where(hit[..., None], np.asarray(colour) * shade, image)
        nearest = np.where(hit, t, nearest)
    return image.astype(np.float32)


def make_scene(n_train: int = 16, background: str = "white") -> Scene:
    def views(n: int, shift: float) -> tuple[View, ...]:
        made = []
        for k in range(n):
            angle, height = 2 * np.pi * (k + shift) / n, 0.5 + 0.3 * np.sin(2.4 * k + shift)
            eye = np.array([1.2 * np.cos(angle), 1.2 * np.sin(angle), height])
            pose = look_at(eye, np.zeros(3), np.array([0.0, 0.0, 1.0]))
            made.append(View(f"{k}.png", Camera.from_fov(SIZE, SIZE, 0.7, pose)))
        return tuple(made)

    train, test = views(n_train, 0.0), views(4, 0.5)
    splits = [Split(v, Pictures([two_spheres(view.camera) for view in v])) for v in (train, test)]
    return Scene("spheres", "", "test", *splits, background, 0, np.eye(4), np.array([0.0, 0.0, 1.0]))


@pytest.fixture(scope="module")
def scene() -> Scene:
    return make_scene()


def config(**values: object) -> SVRasterConfig:
    return updated(
        SVRasterConfig(), QUICK | {name.replace("__", "."): value for name, value in values.items()}
    )


def held_out(method: SVRaster) -> float:
    test = method.scene.test
    return float(
        np.mean([psnr(method.render(v.camera).rgb, test.images.load(i)) for i, v in enumerate(test.views)])
    )


@pytest.fixture(scope="module")
def trained(scene: Scene) -> SVRaster:
    method = SVRaster(scene, config(), seed=1)
    for _ in range(120):
        method.train_step()
    return method


def test_training_learns_views_it_has_not_seen(trained: SVRaster) -> None:
    # 27.6 dB seen; an untrained model is at 9 dB, the mean colour at 15
    assert held_out(trained) > 25.0


def test_the_structure_follows_the_surface(trained: SVRaster) -> None:
    stats = trained.structure()
    assert stats.per_level[5] > 0 and stats.voxels == sum(stats.per_level)
    assert stats.occupancy < 0.3, "empty space was not pruned"
    radius = np.minimum(
        np.linalg.norm(trained.octree.center - [0.12, 0, 0], axis=1) / 0.2,
        np.linalg.norm(trained.octree.center - [-0.2, 0.05, 0.05], axis=1) / 0.12,
    )
    assert np.mean(radius < 1.6) > 0.8


def test_subdividing_does_not_change_the_picture_much(scene: Scene) -> None:
    method = SVRaster(scene, config(adapt__until_step=0), seed=1)
    for _ in range(60):
        method.train_step()
    camera = scene.test.views[0].camera
    before = method.render(camera, supersample=2).rgb
    report = method.subdivide_now()
    assert report.split > 100 and report.after == report.before + 7 * report.split
    assert psnr(method.render(camera, supersample=2).rgb, before) > 30.0


def test_same_seed_gives_the_same_run_for_any_number_of_threads(scene: Scene) -> None:
    threads = crew().n
    runs = []
    try:
        for n in (1, 3):
            set_threads(n)
            method = SVRaster(scene, config(), seed=3)
            for _ in range(60):
                method.train_step()
            runs.append(method)
    finally:
        set_threads(threads)
    for name, array in runs[0].state()[0].items():
        assert np.array_equal(array, runs[1].state()[0][name]), name


def test_another_seed_gives_another_run(scene: Scene) -> None:
    a, b = SVRaster(scene, config(), seed=3), SVRaster(scene, config(), seed=4)
    for _ in range(3):
        a.train_step(), b.train_step()
    assert not np.array_equal(a.field.density, b.field.density)


def test_resuming_continues_exactly(scene: Scene) -> None:
    straight = SVRaster(scene, config(), seed=5)
    for _ in range(30):
        straight.train_step()
    tensors, header = straight.state()
    tensors = {name: array.copy() for name, array in tensors.items()}
    resumed = SVRaster(scene, SVRasterConfig(), seed=0)
    resumed.load_state(tensors, header)
    for _ in range(40):  # across a structure change and the switch to four rays a pixel
        a, b = straight.train_step(), resumed.train_step()
        assert (a.view, a.psnr) == (b.view, b.psnr)
    for name, array in straight.state()[0].items():
        assert np.array_equal(array, resumed.state()[0][name]), name


class Masked(Pictures):
    """Pictures whose left halves do not count."""

    def load_mask(self, index: int) -> np.ndarray:
        mask = np.full(self.images[index].shape[:2], 255, dtype=np.uint8)
        mask[:, : mask.shape[1] // 2] = 0
        return mask


def test_what_a_mask_covers_is_not_learned(scene: Scene) -> None:
    spoiled = [image.copy() for image in scene.train.images.images]  # type: ignore[attr-defined]
    for image in spoiled:
        image[:, : image.shape[1] // 2] = 0.0
    models = []
    for images in (scene.train.images.images, spoiled):  # type: ignore[attr-defined]
        train = dataclasses.replace(scene.train, images=Masked(images))
        model = SVRaster(dataclasses.replace(scene, train=train), config(), seed=3)
        reports = [model.train_step() for _ in range(60)]
        models.append((model.field.density, reports[-1]))
    assert np.array_equal(models[0][0], models[1][0])
    assert models[0][1] == models[1][1]
    assert models[0][1].psnr > reports[0].psnr


def test_views_left_out_are_passed_over_and_the_others_all_come_each_round(scene: Scene) -> None:
    method = SVRaster(scene, config(), seed=1)
    left_out = frozenset(range(0, len(scene.train), 2))
    method.exclude(left_out)
    seen = [method.train_step().view for _ in range(2 * (len(scene.train) - len(left_out)))]
    assert not left_out & set(seen) and all(seen.count(view) == 2 for view in set(seen))
    assert len(set(seen)) == len(scene.train) - len(left_out)


def test_a_foreign_checkpoint_is_refused(scene: Scene) -> None:
    with pytest.raises(CheckpointError, match="plenoxels"):
        SVRaster(scene, config()).load_state({}, {"method": "plenoxels"})


def test_preview_says_what_the_buttons_do(scene: Scene) -> None:
    method = SVRaster(scene, config(adapt__until_step=0), seed=2)
    for _ in range(50):
        method.train_step()
    preview = method.preview_adapt()
    assert method.preview_adapt() == preview, "a preview must change nothing"
    assert method.prune_now().pruned == preview.pruned > 0
    assert preview.split > 0 and method.subdivide_now().split > 0


def test_live_options_change_and_others_say_why_not(scene: Scene) -> None:
    method = SVRaster(scene, config())
    method.set_options({"adapt.prune_threshold": 0.2})
    assert method.config.adapt.prune_threshold == 0.2
    with pytest.raises(OptionError, match=r"model.sh_degree cannot change"):
        method.set_options({"model.sh_degree": 1})
    with pytest.raises(OptionError, match=r"Did you mean adapt.prune_threshold"):
        method.set_options({"adapt.prune_treshold": 0.2})


def test_every_loss_is_reported_and_lowers_what_it_names(scene: Scene) -> None:
    losses = {
        "losses__ssim": 0.05,
        "losses__transmittance": 0.1,
        "losses__colour_spread": 0.01,
        "losses__distortion": 0.1,
        "losses__total_variation": 2e-3,
    }
    method = SVRaster(scene, config(**losses), seed=1)
    reports = [method.train_step() for _ in range(60)]
    names = [name for name, _ in reports[-1].losses]
    assert names == ["mse", "ssim", "transmittance", "colour spread", "distortion"]
    first, last = (
        np.array([[v for _, v in r.losses] for r in part]) for part in (reports[12:24], reports[-12:])
    )
    assert np.all(last.mean(axis=0)[:2] < first.mean(axis=0)[:2])


@pytest.mark.parametrize("kind", ["l1", "huber"])
def test_other_photometric_losses_learn_too(scene: Scene, kind: str) -> None:
    method = SVRaster(scene, config(losses__photometric=kind), seed=1)
    for _ in range(60):
        method.train_step()
    assert held_out(method) > 20.0


def test_a_learned_background_finds_the_colour_behind() -> None:
    method = SVRaster(make_scene(8, "learned"), config(rates__background=0.05), seed=0)
    for _ in range(60):
        method.train_step()
    assert np.all(method.background > 0.9), method.background


def test_render_gives_every_buffer_that_is_wanted(trained: SVRaster) -> None:
    camera = trained.scene.test.views[0].camera.resized(50, 37)
    names = frozenset({"depth_z", "depth_median", "normal", "count", "level", "size"})
    buffers = trained.render(camera, names)
    assert buffers.rgb.shape == (37, 50, 3)
    for name in names:
        field = getattr(buffers, name)
        assert field.shape[:2] == (37, 50) and np.all(np.isfinite(field)), name
    solid = buffers.trans < 0.05
    assert solid.any()
    assert np.all(np.abs(buffers.depth_z[solid] - buffers.depth_median[solid]) < 0.15)
    assert np.all((buffers.level[solid] > 3.9) & (buffers.level[solid] < 7.1))
    assert np.allclose(buffers.size[solid], 0.5 ** buffers.level[solid], rtol=0.5)
    towards = np.sum(buffers.normal * camera.rays()[1], axis=-1)
    assert np.mean(towards[solid] < 0.0) > 0.9, "normals must face the viewer"


def test_render_takes_another_background(trained: SVRaster) -> None:
    camera = trained.scene.test.views[0].camera
    black = trained.render(camera, background=(0.0, 0.0, 0.0))
    empty = black.trans > 0.999
    assert empty.any() and np.all(black.rgb[empty] < 1e-2)


def test_boxes_are_leaves_of_the_levels_asked_for(trained: SVRaster) -> None:
    level = int(trained.octree.level.max())
    boxes = trained.boxes((level,), 10)
    assert boxes.shape == (10, 4) and np.all(boxes[:, 3] == 0.5**level)


def test_the_pruning_threshold_rises_linearly() -> None:
    options = updated(SVRasterConfig(), {"adapt.prune_start": 0.01, "adapt.prune_threshold": 0.05}).adapt
    ramp = options.prune_ramp_steps
    assert prune_threshold(options, 0) == 0.01
    assert prune_threshold(options, ramp // 2) == pytest.approx(0.03, rel=0.02)
    assert prune_threshold(options, 10 * ramp) == 0.05


def test_pruning_never_drops_everything() -> None:
    assert keep_mask(np.array([0.1, 0.3, 0.2], dtype=np.float32), 0.5).tolist() == [False, True, False]


def test_splits_keep_to_share_budget_and_pixel_size() -> None:
    octree = Octree.dense(3)
    rng = np.random.default_rng(0)
    priority = rng.random(512).astype(np.float32)
    fine = np.full(512, 1e-4, dtype=np.float32)
    options = updated(SVRasterConfig(), {"adapt.split_all_to": 0, "adapt.subdivide_share": 0.1}).adapt
    mask = split_mask(octree, priority, fine, options, 0)
    assert mask.sum() == 51 and priority[mask].min() > np.sort(priority)[-52]
    tight = updated(SVRasterConfig(), {"adapt.split_all_to": 4, "adapt.max_voxels": 1_000}).adapt
    assert split_mask(octree, priority, fine, tight, 0).sum() == (1_000 - 512) // 7
    assert not split_mask(octree, priority, np.full(512, 1.0, dtype=np.float32), options, 0).any(), (
        "sub-pixel children"
    )
    everything = updated(SVRasterConfig(), {"adapt.split_all_to": 4}).adapt
    assert split_mask(octree, priority, fine, everything, 0).all()


def test_scenes_with_surroundings_take_the_open_options() -> None:
    closed, opened = (in_scene(SVRasterConfig(), shells, 10**8) for shells in (0, 4))
    assert closed == SVRasterConfig() and opened.model == closed.model
    assert (opened.adapt.split_all_to, opened.losses.total_variation) == (5, 3e-5)
    assert (closed.adapt.split_all_to, closed.losses.total_variation) == (7, 0.0)


def test_the_budget_follows_the_pixels_that_there_are_to_learn_from() -> None:
    budgets = [in_scene(SVRasterConfig(), 0, pixels).adapt.max_voxels for pixels in (10, 10**6, 10**7)]
    assert budgets == [50_000, 100_000, 250_000]
    unlimited = updated(SVRasterConfig(), {"adapt.pixels_per_voxel": 0.0})
    assert in_scene(unlimited, 0, 10).adapt.max_voxels == 250_000


def test_open_options_change_live_where_there_are_surroundings() -> None:
    method = SVRaster(dataclasses.replace(make_scene(2), outside_levels=2), config(), seed=0)
    method.set_options({"open.split_all_to": 3, "adapt.split_all_to": 9})
    assert method.active.adapt.split_all_to == 3 and method.config.adapt.split_all_to == 9


def test_create_method_finds_svraster_by_name(scene: Scene) -> None:
    assert create_method("svraster", scene).name == "svraster"
