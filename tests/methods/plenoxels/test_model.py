# SPDX-License-Identifier: MIT
"""Plenoxels as the worker sees it: it learns, becomes finer without a jump, drops what is empty, resumes exactly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.cpu.crew import crew, set_threads
from engine.errors import CheckpointError, OptionError
from engine.methods.common import create_method
from engine.methods.plenoxels import Plenoxels, PlenoxelsConfig
from engine.metrics import psnr
from engine.options import updated
from tests.methods.plenoxels.boxes import Pictures, boxes_scene

QUICK = {
    "schedule.resolutions": "16 32",
    "schedule.upsample_at": "60",
    "schedule.rays": 1_000,
    "prune.steps": "40 120",
    "prune.weight": 0.6,
    "prune.dilations": 1,
    "prune.survey_shrink": 2,
    "rates.delay_steps": 10,
    "rates.decay_steps": 360,
}
SCENE = boxes_scene()


def model(seed: int = 1, **values: object) -> Plenoxels:
    chosen = QUICK | {name.replace("__", "."): value for name, value in values.items()}
    return Plenoxels(SCENE, updated(PlenoxelsConfig(), chosen), seed)


def trained_for(steps: int, **values: object) -> Plenoxels:
    made = model(**values)
    while made.step < steps:
        made.train_step()
    return made


def held_out(made: Plenoxels) -> float:
    test = SCENE.test
    return float(
        np.mean([psnr(made.render(v.camera).rgb, test.images.load(i)) for i, v in enumerate(test.views)])
    )


def parameters(made: Plenoxels) -> bytes:
    tensors, _ = made.state()
    return b"".join(tensors[name].tobytes() for name in sorted(tensors))


@pytest.fixture(scope="module")
def finished() -> Plenoxels:
    return trained_for(360)


def test_it_is_found_by_name() -> None:
    made = create_method("plenoxels", SCENE)
    assert isinstance(made, Plenoxels) and made.config == PlenoxelsConfig()


def test_three_boxes_are_learned_to_thirty_decibels(finished: Plenoxels) -> None:
    assert finished.grid.resolution == (32, 32, 32)
    assert held_out(finished) > 30.0


def test_empty_cells_are_dropped_and_those_of_the_boxes_stay(finished: Plenoxels) -> None:
    stats = finished.structure()
    assert stats.voxels == finished.grid.n_voxels == stats.per_level[5]
    assert stats.occupancy < 0.4, "empty space was not pruned"


def test_a_finer_grid_shows_the_same_picture() -> None:
    made = trained_for(55, prune__steps="", prune__weight=0.01)
    camera = SCENE.test.views[0].camera
    before, quality = made.render(camera).rgb, held_out(made)
    report = made.subdivide_now()
    assert made.grid.resolution == (32, 32, 32) and report.after == made.grid.n_voxels
    # 33 dB seen: the finer grid interpolates what was interpolated already, which is a little smoother
    assert psnr(made.render(camera).rgb, before) > 30.0
    assert abs(held_out(made) - quality) < 1.5


def test_pruning_what_no_view_sees_hardly_changes_the_picture(finished: Plenoxels) -> None:
    made = trained_for(120, prune__steps="")
    camera = SCENE.test.views[0].camera
    before, preview = made.render(camera).rgb, made.preview_adapt()
    report = made.prune_now()
    assert 0 < report.pruned == preview.pruned and report.after == made.grid.n_voxels
    assert psnr(made.render(camera).rgb, before) > 35.0
    assert made.prune_now().pruned < report.pruned / 5, "what stays is what is seen"


def test_a_preview_changes_nothing() -> None:
    made = trained_for(30)
    before = parameters(made)
    made.preview_adapt()
    assert parameters(made) == before


def test_pruning_can_be_off_and_go_by_density() -> None:
    off = trained_for(62, prune__on=False)
    assert off.grid.resolution == (32, 32, 32)
    thin = trained_for(62, prune__by="density", prune__steps="")
    assert thin.grid.n_voxels < 0.7 * off.grid.n_voxels


@pytest.mark.parametrize("optimiser, at", [("rmsprop", 45), ("adam", 130), ("rmsprop", 59)])
def test_a_checkpoint_continues_bit_for_bit(optimiser: str, at: int) -> None:
    """Also with a survey for the finer grid under way, at step 59."""
    extra = {"rates__optimiser": optimiser, "prune__steps": "40"} if at != 59 else {"prune__survey_shrink": 1}
    whole = trained_for(at, **extra)
    tensors, header = whole.state()
    tensors = {name: value.copy() for name, value in tensors.items()}
    assert ("survey" in header) == (at == 59)
    other = model(seed=5, **extra)
    other.load_state(tensors, header)
    for _ in range(20):
        whole.train_step()
        other.train_step()
    assert parameters(other) == parameters(whole)


def test_any_number_of_threads_trains_the_same_model() -> None:
    members = crew().n
    try:
        set_threads(1)
        alone = parameters(trained_for(70))
        set_threads(3)
        together = parameters(trained_for(70))
    finally:
        set_threads(members)
    assert alone == together


def test_another_methods_checkpoint_is_refused() -> None:
    with pytest.raises(CheckpointError, match="svraster"):
        model().load_state({}, {"method": "svraster"})


def test_views_that_are_left_out_are_not_trained_on() -> None:
    made = model()
    made.exclude(frozenset(range(1, len(SCENE.train))))
    assert {made.train_step().view for _ in range(30)} == {0}


def test_masked_pixels_are_not_trained_on() -> None:
    """Everything is masked but a corner of white background: the grid learns to be white there and nothing else."""
    images, masks = [], []
    for i in range(len(SCENE.train)):
        image, mask = SCENE.train.images.load(i).copy(), np.zeros((64, 64), np.uint8)
        mask[:8, :8] = 255
        image[:8, :8], image[8:, 8:] = 1.0, 0.0
        images.append(image)
        masks.append(mask)
    scene = replace(SCENE, train=replace(SCENE.train, images=Pictures(images, masks)))
    made = Plenoxels(scene, updated(PlenoxelsConfig(), QUICK | {"schedule.rays": 256}), 0)
    assert all(made.photos.draw(made.rng, step, 256, 4, crew()).target.min() == 1.0 for step in range(20))


def test_only_live_options_change_in_training() -> None:
    made = model()
    made.set_options({"rates.density": 5.0})
    assert made.active.rates.density == 5.0
    with pytest.raises(OptionError, match=r"schedule\.resolutions cannot change"):
        made.set_options({"schedule.resolutions": "8"})


def test_depth_is_where_the_boxes_are(finished: Plenoxels) -> None:
    camera = SCENE.test.views[0].camera
    seen = finished.render(camera, frozenset({"depth_z"}))
    solid = seen.trans < 0.05
    assert solid.mean() > 0.05 and seen.depth_z is not None
    distance = np.linalg.norm(camera.position)
    assert np.abs(seen.depth_z[solid] - distance).max() < 0.45, "within the boxes' reach of the middle"
    assert not seen.depth_z[seen.trans > 0.9995].any()


def test_boxes_of_cells_have_their_size_and_lie_in_the_cube(finished: Plenoxels) -> None:
    boxes = finished.boxes((5,), 500)
    assert boxes.shape == (500, 4) and np.allclose(boxes[:, 3], 1.0 / 32)
    assert np.abs(boxes[:, :3]).max() < 0.5
    assert finished.boxes((6,), 500).shape == (0, 4)
