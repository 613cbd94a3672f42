# SPDX-License-Identifier: MIT
"""Memory figures are those of the arrays, inference mode is smaller, targets are met, costs are true."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.errors import OptionError
from engine.metrics import psnr
from engine.svraster_one import (
    SVRasterOne,
    SVRasterOneTrainer,
    switch_to_inference_mode,
    switch_to_training_mode,
)
from engine.svraster_one.memory import MB
from tests.svraster_one.small import small_config, view


def batch(model):
    """Return a view whose photo is what the model shows now."""
    camera_matrix, intrinsics, _ = view(model)
    photo = model(camera_matrix, intrinsics, mode="inference")["rgb"]
    return {"image": photo, "camera_matrix": camera_matrix, "intrinsics": intrinsics}


def larger_model() -> SVRasterOne:
    """Return a model of 4096 voxels, of which those in the middle are dense."""
    config = small_config(soft_rasterization=False)
    config.voxel.initial_level, config.voxel.sh_degree, config.voxel.max_voxels = 4, 2, 10_000
    model = SVRasterOne(config)
    grid = model.voxel_grid
    distance = torch.from_numpy(grid.octree.point_position).norm(dim=1)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        grid.densities.copy_(6.0 - 30.0 * distance)
        grid.sh.copy_(0.3 * torch.randn(grid.sh.shape, generator=generator))
    return model


def test_the_figures_are_those_of_the_arrays():
    model = larger_model()
    grid, usage = model.voxel_grid, model.get_memory_usage()
    parameters = 4 * (grid.octree.n_points + 4096 * 27)
    assert usage["parameters_mb"] * MB == parameters
    assert usage["gradients_mb"] == usage["optimizer_mb"] == usage["cache_mb"] == 0.0
    trainer = SVRasterOneTrainer(model)
    model.config.training.grad_clip = 0.0
    trainer.training_step(batch(model))
    camera_matrix, intrinsics, target = view(model)
    model.training_step_forward(camera_matrix, intrinsics, target)["total_loss"].backward()
    usage = model.get_memory_usage()
    assert usage["gradients_mb"] * MB == parameters
    assert usage["optimizer_mb"] * MB == 2 * parameters + 4 * 4096  # the statistics are a number a voxel
    total = sum(value for name, value in usage.items() if name not in ("total_memory_mb", "on_disk_mb"))
    assert usage["total_memory_mb"] == pytest.approx(total)


def test_inference_mode_holds_less_than_two_fifths_of_the_training_state():
    model = larger_model()
    parameters = sum(p.nbytes for p in model.parameters())
    switch_to_inference_mode(model)
    usage = model.get_memory_usage()
    assert usage["parameters_mb"] == usage["gradients_mb"] == 0.0
    assert usage["total_memory_mb"] * MB < 0.4 * 4 * parameters
    assert usage["on_disk_mb"] * MB > parameters
    assert usage["cache_mb"] * MB == pytest.approx(
        4096 * (48 + 6 * 9), rel=0.05
    )  # path and level are the octree's


@pytest.mark.parametrize("inference", [False, True])
def test_a_target_is_met_and_what_it_cost_is_true(inference):
    model = larger_model()
    if inference:
        switch_to_inference_mode(model)
    seen = batch(model)
    before = model.get_memory_usage()["total_memory_mb"]
    report = model.optimize_memory(0.4 * before, views=[seen])
    assert (
        model.get_memory_usage()["total_memory_mb"]
        == report["after_mb"]
        <= 0.4 * before
        == report["target_mb"]
    )
    assert report["before_mb"] == pytest.approx(before, rel=1e-6)
    assert report["voxels"] == len(model.voxel_grid) == 4096 - report["pruned_voxels"]
    assert report["quantised"] is (not inference)
    assert (model.parked is not None) is inference
    now = model(seen["camera_matrix"], seen["intrinsics"], mode="inference")["rgb"]
    measured = psnr(now.numpy(), seen["image"].numpy())
    assert report["psnr_after"] == pytest.approx(measured, abs=1e-6)
    assert report["psnr_before"] == 100.0
    assert report["psnr_cost"] == pytest.approx(100.0 - measured, abs=1e-6)


def test_the_lightest_voxels_go_first():
    model = larger_model()
    report = model.optimize_memory(0.5 * model.get_memory_usage()["total_memory_mb"])
    assert report["pruned_voxels"] > 1000
    assert report["picture_db"] > 35.0
    octree = model.voxel_grid.octree
    assert np.linalg.norm(octree.center, axis=1).mean() < 0.42  # of all 4096: 0.48


def test_a_model_that_fits_is_left_alone():
    model = larger_model()
    values = [p.detach().clone() for p in model.parameters()]
    report = model.optimize_memory(1000.0)
    assert (report["pruned_voxels"], report["quantised"], report["picture_db"]) == (0, False, 100.0)
    assert all(torch.equal(a, b) for a, b in zip(values, model.parameters()))


def test_a_quantised_model_trains_on_in_single_precision():
    model = larger_model()
    trainer = SVRasterOneTrainer(model)
    seen = batch(model)
    trainer.training_step(seen)
    report = model.optimize_memory(0.55 * model.get_memory_usage()["total_memory_mb"])
    assert report["quantised"]
    assert model.voxel_grid.sh.dtype == torch.float16
    trainer.training_step(seen)
    assert model.voxel_grid.sh.dtype == torch.float32
    assert trainer.grid_adam.states()[1]["exp_avg"].dtype == torch.float32


def test_impossible_targets_are_refused_in_a_sentence():
    model = larger_model()
    with pytest.raises(OptionError, match="above 0 MB"):
        model.optimize_memory(0.0)
    with pytest.raises(OptionError, match="cannot fit this model into 1e-05 MB"):
        model.optimize_memory(1e-5)


def test_switching_to_and_fro_leaks_nothing():
    model = larger_model()
    held = []
    for _ in range(4):
        switch_to_inference_mode(model)
        switch_to_training_mode(model)
        held.append(model.get_memory_usage()["total_memory_mb"])
    assert held[1:] == held[:-1]
