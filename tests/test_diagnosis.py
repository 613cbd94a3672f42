# SPDX-License-Identifier: MIT
"""Every rule finds what it is for in a real, tiny training that was spoiled on purpose, and nothing in healthy ones."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine.cameras import Camera
from engine.datasets.scene import Scene, Split
from engine.diagnosis import diagnose, watched
from engine.findings import Finding
from engine.methods.svraster import SVRaster, SVRasterConfig
from engine.monitor import Monitor
from engine.options import describe, flatten, updated
from tests.methods.test_svraster import Pictures, make_scene

SHORT = {
    "model.initial_level": 4,
    "adapt.every_steps": 30,
    "adapt.split_all_to": 5,
    "adapt.max_voxels": 60_000,
    "schedule.half_until": 20,
    "schedule.quarter_until": 0,
    "schedule.supersample_from": 10_000,
    "schedule.sh1_from": 40,
    "schedule.sh2_from": 10_000,
}
DEFAULTS = {info.name: info.default for info in describe(SVRasterConfig)}
EVERY = 20  # steps between records


class Run:
    """A training that writes records by steps instead of by the clock."""

    def __init__(self, scene: Scene, **values: Any) -> None:
        named = {name.replace("__", "."): value for name, value in values.items()}
        self.model = SVRaster(scene, updated(SVRasterConfig(), SHORT | named))
        self.monitor = Monitor()

    def train(self, steps: int) -> Run:
        for _ in range(steps):
            report = self.model.train_step()
            self.monitor.note(report)
            if self.model.step % EVERY == 0:
                seconds = 0.05 * self.model.step
                self.monitor.record(self.model, self.model.scene, seconds, report.losses, report.psnr, {})
        return self

    def findings(self) -> list[Finding]:
        records = json.loads(json.dumps(self.monitor.records))  # as a run's folder holds them
        return diagnose(records, flatten(self.model.config), DEFAULTS)

    def only(self) -> Finding:
        (found,) = self.findings()
        return found


def with_photos(scene: Scene, change: Callable[[int, np.ndarray], np.ndarray]) -> Scene:
    """The scene with its training photos changed, each by its number."""
    photos = [change(i, scene.train.images.load(i)).astype(np.float32) for i in range(len(scene.train))]
    return replace(scene, train=Split(scene.train.views, Pictures(photos)))


def solves(finding: Finding, scene: Scene, steps: int = 200, **values: Any) -> bool:
    """Whether a training with the suggested change has no such finding."""
    named = {**values, finding.option.replace(".", "__"): finding.value}
    return finding.id not in [f.id for f in Run(scene, **named).train(steps).findings()]


@pytest.fixture(scope="module")
def scene() -> Scene:
    return make_scene(12)


@pytest.fixture(scope="module")
def healthy(scene: Scene) -> Run:
    return Run(scene).train(240)


def test_a_healthy_training_has_no_findings_at_any_time(healthy: Run) -> None:
    assert healthy.findings() == [] and healthy.monitor.records[-1]["psnr_mean"] > 20.0
    records = healthy.monitor.records
    for n in range(1, len(records)):
        assert diagnose(records[:n], flatten(healthy.model.config), DEFAULTS) == []


def test_a_healthy_training_before_a_learned_background_has_no_findings() -> None:
    assert Run(make_scene(12, background="learned")).train(160).findings() == []


def test_rates_far_too_high_explode_and_their_defaults_are_suggested(scene: Scene) -> None:
    run = Run(scene).train(120)
    run.model.set_options({"rates.sh0": 1.0, "rates.half_life": 0.0})
    found = run.train(80).only()
    assert found.id == "exploding" and "PSNR on training views fell from" in found.evidence
    assert (found.option, found.value, found.flag) == ("rates.sh0", 0.04, "--rates.sh0 0.04")


def test_a_model_that_was_made_smaller_by_hand_does_not_explode(healthy: Run, scene: Scene) -> None:
    run = Run(scene, rates__density=0.0, rates__sh0=0.0, rates__shs=0.0, adapt__until_step=0)
    run.model.load_state(*healthy.model.state())
    run.model.set_options({"rates.density": 0.0, "rates.sh0": 0.0, "rates.shs": 0.0, "adapt.until_step": 0})
    run.monitor.records = list(healthy.monitor.records)
    run.model.prune_to(100)
    run.train(60)
    assert run.findings()[0].id == "exploding"
    marked = {"kind": "changed", "step": 240, "seconds": 12.0, "voxels": 100}
    run.monitor.records.insert(len(healthy.monitor.records), marked)
    assert "exploding" not in [f.id for f in run.findings()]


def test_numbers_that_are_none_any_more_explode(scene: Scene) -> None:
    run = Run(scene).train(60)
    run.model.field.sh[:, 0] = np.inf
    found = run.train(20).findings()[0]
    assert found.id == "exploding" and "not finite" in found.evidence


def test_rates_far_too_low_do_not_converge(scene: Scene) -> None:
    slow = {"rates__density": 1e-5, "rates__sh0": 1e-5, "rates__shs": 1e-5}
    found = Run(scene, **slow, adapt__until_step=0).train(240).only()
    assert found.id == "not_converging" and "PSNR on training views was" in found.evidence
    assert found.option.startswith("rates.") and found.value == DEFAULTS[found.option]


def test_a_scene_that_is_pruned_before_it_was_learned_is_empty_for_its_slow_rates(scene: Scene) -> None:
    found = Run(scene, rates__density=1e-5, rates__sh0=1e-5, rates__shs=1e-5).train(160).only()
    assert found.id == "empty_scene" and found.option.startswith("rates.")
    assert found.value == DEFAULTS[found.option]


def test_a_pruning_threshold_of_one_empties_the_scene(scene: Scene) -> None:
    values = {"adapt__prune_threshold": 1.0, "adapt__prune_start": 1.0}
    found = Run(scene, **values).train(120).only()
    assert found.id == "empty_scene" and "voxels are left of 4,096" in found.evidence
    assert (found.option, found.value) == ("adapt.prune_threshold", 0.05)


def test_voxels_that_start_too_thin_leave_nothing_but_background(scene: Scene) -> None:
    found = Run(scene, model__initial_density=-20.0, adapt__until_step=0).train(120).only()
    assert found.id == "all_background" and "0.0% opaque" in found.evidence
    assert (found.option, found.value) == ("model.initial_density", -6.0)
    assert solves(found, scene, adapt__until_step=0)


def test_a_background_of_another_colour_is_built_of_voxels_and_named(scene: Scene) -> None:
    found = Run(replace(scene, background="black")).train(200).only()
    assert found.id == "painted_background" and "#ffffff" in found.evidence and "#000000" in found.evidence
    assert (found.option, found.value, found.of_scene) == ("background", "white", True)
    assert found.flag == "--background white"


def test_a_blob_in_front_of_a_camera_is_a_floater(scene: Scene) -> None:
    run = Run(replace(scene, outside_levels=2), adapt__until_step=0, model__initial_level=5).train(100)
    assert run.findings() == []
    camera: Camera = scene.train.views[3].camera
    octree = run.model.octree
    blob = np.linalg.norm(octree.center - (camera.position + 0.2 * camera.forward), axis=1).argmin()
    run.model.field.density[octree.corner_idx[blob]] = 20.0
    run.monitor.note(run.model.train_step())
    run.monitor.record(run.model, run.model.scene, 6.0, (), 20.0, {}, looks=12)
    found = run.only()
    assert found.id == "floaters" and "of 12 training views" in found.evidence
    assert (found.option, found.value) == ("losses.distortion", 0.1)


def test_photos_with_gains_of_their_own_drift_and_fitting_them_is_suggested(scene: Scene) -> None:
    gains = 1.0 - 0.4 * np.random.default_rng(0).random(len(scene.train))

    def dimmed(i: int, photo: np.ndarray) -> np.ndarray:
        return np.where(photo.min(axis=-1, keepdims=True) < 1.0, gains[i] * photo, photo)

    drifting = with_photos(scene, dimmed)
    # colours that depend on the view hide the exposure of few photos
    found = [f for f in Run(drifting, model__sh_degree=0).train(200).findings() if f.id == "exposure_drift"]
    assert len(found) == 1 and "times as bright" in found[0].evidence
    assert (found[0].option, found[0].flag) == ("exposure.on", "--exposure.on")
    assert solves(found[0], drifting, model__sh_degree=0)


def test_a_tiny_budget_is_reached_too_early(scene: Scene) -> None:
    found = Run(scene, adapt__max_voxels=4_100).train(100).only()
    assert found.id == "budget_early" and "4,096 voxels of at most 4,100" in found.evidence
    assert found.option == "adapt.max_voxels" and found.value >= 16_000
    assert solves(found, scene, 100)


def test_photos_learned_by_heart_are_told_by_held_out_views_that_become_worse(healthy: Run) -> None:
    quality = healthy.monitor.records[-1]["psnr_mean"]
    held_out = [
        {"kind": "evaluated", "step": s, "psnr": quality - fell}
        for s, fell in ((50, 6.0), (100, 5.5), (200, 7.0))
    ]
    values = flatten(healthy.model.config)
    (found,) = diagnose([*healthy.monitor.records, *held_out], values, DEFAULTS)
    assert found.id == "over_fitting" and found.option == "losses.total_variation"
    assert diagnose([*healthy.monitor.records, *held_out[:2]], values, DEFAULTS) == []


def test_records_of_earlier_versions_are_told_apart(healthy: Run) -> None:
    old = [
        {"kind": "training", "seconds": 5.0, "step": 100, "psnr": 20.0, "voxels": 9, "losses": {"mse": 0.1}}
    ]
    assert not watched(old) and watched(healthy.monitor.records)
    assert diagnose(old, flatten(healthy.model.config), DEFAULTS) == []


def test_every_suggestion_is_an_option_and_every_flag_is_one(scene: Scene) -> None:
    assert Finding("x", "X", "", "a.b_c", False, "").flag == "--a.no-b-c"
    assert Finding("x", "X", "", "a.b_c", 2.5, "").flag == "--a.b-c 2.5"
    assert math.isclose(Run(scene, rates__density=4.0).model.config.rates.density, 4.0)
