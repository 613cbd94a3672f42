# SPDX-License-Identifier: MIT
"""Steps on soft pictures: they are the hard steps where nothing is blurred, they learn, and they move cameras that are wrong."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from engine.datasets.scene import Scene, Split
from engine.errors import UserError
from engine.methods.svraster import SVRaster
from engine.methods.svraster.poses import angles_between, common_motion, rotation_of
from engine.metrics import psnr
from tests.methods.test_svraster import config, held_out, make_scene

SHARP = {"soft__sigma": 0.0, "soft__temperature": 0.0, "soft__anneal": False}


@pytest.fixture(scope="module")
def scene() -> Scene:
    return make_scene()


def test_without_blur_a_soft_step_is_a_hard_one(scene):
    options = {"losses__colour_spread": 0.0, "schedule__supersample_from": 0}
    hard = SVRaster(scene, config(**options), seed=1)
    soft = SVRaster(scene, config(objective__kind="soft", **SHARP, **options), seed=1)
    reports = [model.train_step() for model in (hard, soft)]
    assert reports[0].view == reports[1].view
    assert reports[1].psnr == pytest.approx(reports[0].psnr, abs=1e-3)
    for name in (
        "density_m",
        "sh_m",
        "priority",
        "heaviest",
    ):  # the first step's means are its gradients, scaled
        a, b = getattr(hard.field, name), getattr(soft.field, name)
        assert np.abs(a - b).max() < 2e-4 * np.abs(a).max(), name
    assert np.array_equal(hard.field.footprint, soft.field.footprint)


def test_soft_steps_learn_a_scene_that_looks_alike_hard_and_soft(scene):
    model = SVRaster(
        scene, config(objective__kind="soft", soft__anneal_until=80, adapt__max_voxels=6_000), seed=1
    )
    before = held_out(model)
    for _ in range(120):
        model.train_step()
    hard = held_out(model)
    soft = np.mean([
        psnr(model.render(v.camera, frozenset({"soft"})).soft, scene.test.images.load(i))
        for i, v in enumerate(scene.test.views)
    ])  # fmt: skip
    assert hard > max(24.0, before + 8.0) and abs(hard - soft) < 0.5


def test_the_soft_picture_is_blurred_as_the_options_say(scene):
    model = SVRaster(scene, config(), seed=1)
    for _ in range(40):
        model.train_step()
    camera = scene.test.views[0].camera
    hard = model.render(camera).rgb

    def difference(**values: float | bool) -> float:
        model.set_options({f"soft.{name}": value for name, value in values.items()})
        return float(np.abs(model.render(camera, frozenset({"soft"})).soft - hard).mean())

    model.set_options({"soft.anneal": False})
    blurs = [difference(sigma=s, temperature=0.1 * s) for s in (1.0, 0.3, 0.1, 0.0)]
    assert blurs == sorted(blurs, reverse=True) and blurs[0] > 0.01 and blurs[-1] < 1e-4


def test_the_objective_can_be_changed_while_training(scene):
    model, marks = SVRaster(scene, config(adapt__max_voxels=6_000), seed=1), []
    for kind in ("raster", "soft", "rays", "raster"):
        model.set_options({"objective.kind": kind, "soft.sigma": 0.2, "soft.temperature": 0.002})
        for _ in range(40):
            model.train_step()
        marks.append(held_out(model))
    assert all(b > a - 0.3 for a, b in itertools.pairwise(marks)) and marks[-1] > marks[0] + 1.0


def crooked(scene: Scene, degrees: float) -> Scene:
    """Turn every training camera by so much about an axis of its own, without a motion that all have in common."""
    rng, poses = np.random.default_rng(3), []
    for view in scene.train.views:
        axis = rng.normal(size=3)
        pose = view.camera.world_from_cam.copy()
        pose[:3, :3] = pose[:3, :3] @ rotation_of(np.radians(degrees) * axis / np.linalg.norm(axis))
        poses.append(pose)
    views = tuple(
        dataclasses.replace(view, camera=view.camera.moved(pose))
        for view, pose in zip(scene.train.views, poses, strict=True)
    )
    return dataclasses.replace(scene, train=Split(views, scene.train.images))


REFINE = {
    "objective__kind": "soft", "poses__refine": True, "poses__from_step": 20, "poses__until": 900, "soft__anneal_until": 600,
    "poses__rotation_rate": 0.15, "schedule__sh1_from": 10_000, "schedule__sh2_from": 10_000, "adapt__max_voxels": 4_000,
}  # fmt: skip


def test_cameras_that_were_turned_are_turned_back():
    scene = make_scene(24)
    true = np.array([view.camera.world_from_cam[:3] for view in scene.train.views])
    model = SVRaster(crooked(scene, 1.5), config(**REFINE), seed=1)

    def error() -> float:
        turn, _ = common_motion(true, model.poses.pose)
        return float(np.degrees(angles_between(turn @ true[:, :, :3], model.poses.pose[:, :, :3])).mean())

    before = error()
    for _ in range(600):
        model.train_step()
    assert before > 1.3 and error() < 0.6 * before


def test_a_refined_run_continues_exactly(scene):
    turned = crooked(scene, 1.0)
    whole = SVRaster(turned, config(**REFINE), seed=1)
    for _ in range(30):
        whole.train_step()
    tensors, header = whole.state()
    half = SVRaster(turned, config(**REFINE), seed=1)
    half.load_state({name: np.array(tensor) for name, tensor in tensors.items()}, header)
    for _ in range(10):
        assert whole.train_step() == half.train_step()
    assert np.array_equal(whole.poses.pose, half.poses.pose)
    assert np.array_equal(whole.field.density, half.field.density)
    assert whole.poses.angles_deg().max() > 0.1


def test_a_card_says_in_one_sentence_that_it_has_no_soft_steps(scene):
    model = SVRaster(scene, config(objective__kind="soft"), seed=1)
    model.card = "some card"
    with pytest.raises(
        UserError, match=r"objective\.kind=soft cannot be used on a graphics card.*--device cpu"
    ):
        model.train_step()
