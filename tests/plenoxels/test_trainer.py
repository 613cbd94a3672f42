# SPDX-License-Identifier: MIT
"""The library's trainer learns a toy scene, sums the terms it is given, grows its grid, and goes on where it stopped."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

import engine
from engine.errors import CheckpointError, OptionError
from tests.plenoxels.toy import toy_scene

TOY_DB = 25.0  # three boxes on a grid of 32 a side after 200 iterations; 27.2 seen


@pytest.fixture(scope="module")
def scene():
    return toy_scene()


def configs(tmp_path, **values):
    model = engine.PlenoxelConfig(
        grid_resolution=(32, 32, 32), coarse_resolutions=[(16,) * 3, (32,) * 3], coarse_epochs=[30, 10**6],
        sh_degree=0,
    )  # fmt: skip
    settings = dict(
        max_epochs=200, density_learning_rate=3.0, sh_learning_rate=0.05, pruning_interval=0, eval_interval=0,
        save_interval=0, use_tensorboard=False, output_dir=str(tmp_path), experiment_name="toy",
    )  # fmt: skip
    return model, engine.PlenoxelTrainerConfig(**{**settings, **values})


def test_a_toy_scene_is_learned_from_coarse_to_fine(tmp_path, scene):
    trainer = engine.create_plenoxel_trainer(
        *configs(tmp_path, eval_interval=200, pruning_interval=150), scene
    )
    seen = []
    trainer.callbacks.append(
        lambda t, i, losses: seen.append((i, t.model.resolution[0], len(t.model.density)))
    )
    last = trainer.train()
    assert [i for i, _, _ in seen] == list(range(1, 201))
    assert seen[29][1] == 16
    assert seen[31][1] == 32
    assert seen[-1][2] < 32**3
    assert last["psnr"] > TOY_DB
    assert trainer.history == [(200, last["psnr"])]
    assert list(tmp_path.iterdir()) == []


def test_terms_that_a_subclass_adds_are_summed(tmp_path, scene):
    class Grey(engine.PlenoxelLoss):
        def forward(self, outputs, targets):
            losses = super().forward(outputs, targets)
            losses["grey_loss"] = 10.0 * (outputs["rgb"] - 0.5).square().mean()
            return losses

    plain, grey = (
        engine.create_plenoxel_trainer(*configs(tmp_path), scene, loss=loss) for loss in (None, Grey())
    )
    assert set(plain.train_step()) == {"color_loss", "tv_loss", "l1_loss"}
    assert "grey_loss" in grey.train_step()
    for _ in range(30):
        plain.train_step()
        grey.train_step()
    greyness = [np.square(t.render_view(0) - 0.5).mean() for t in (plain, grey)]
    assert greyness[1] < 0.9 * greyness[0]


def test_a_weight_of_the_configuration_multiplies_its_term(tmp_path, scene):
    rows = []
    for weight in (0.0, 1e3):
        trainer = engine.create_plenoxel_trainer(
            *configs(tmp_path, l1_loss_weight=weight, tv_loss_weight=0.0), scene
        )
        for _ in range(20):
            losses = trainer.train_step()
        assert ("l1_loss" in losses) == (weight > 0.0)
        rows.append(float(torch.relu(trainer.model.density).mean().detach()))
    assert rows[1] < 0.5 * rows[0]


def test_the_same_seed_gives_the_same_losses_and_another_does_not(tmp_path, scene):
    runs = []
    for seed in (0, 0, 1):
        trainer = engine.create_plenoxel_trainer(*configs(tmp_path, seed=seed), scene)
        runs.append([trainer.train_step()["color_loss"] for _ in range(4)])
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_pruning_carries_the_optimisers_rows(tmp_path, scene):
    trainer = engine.create_plenoxel_trainer(*configs(tmp_path), scene)
    for _ in range(5):
        trainer.train_step()
    before = trainer.optimizer.state[trainer.model.sh]["square_avg"].clone()
    trainer.model.density.data[: len(before) // 2] = -1.0
    rows = trainer.model.prune_voxels(0.0)
    trainer._carry_optimizer(rows)
    after = trainer.optimizer.state[trainer.model.sh]["square_avg"]
    assert len(after) < len(before)
    assert torch.equal(after, before[rows])
    trainer.train_step()


def test_training_goes_on_where_it_was_saved(tmp_path, scene):
    model, settings = configs(tmp_path, max_epochs=60, save_interval=60)
    first = engine.create_plenoxel_trainer(model, settings, scene)
    first.train()
    settings.resume = True
    again = engine.create_plenoxel_trainer(model, settings, scene)
    assert again.iteration == 60
    assert again.model.resolution == (32, 32, 32)
    assert torch.equal(again.model.sh, first.model.sh)
    state = again.optimizer.state[again.model.density]
    assert torch.equal(state["square_avg"], first.optimizer.state[first.model.density]["square_avg"])
    again.train_step()
    settings.experiment_name = "missing"
    with pytest.raises(CheckpointError, match="There is no checkpoint"):
        engine.create_plenoxel_trainer(model, settings, scene)


def test_half_precision_colours_train_too(tmp_path, scene):
    trainer = engine.create_plenoxel_trainer(*configs(tmp_path, use_amp=True), scene)
    losses = [trainer.train_step()["color_loss"] for _ in range(40)]
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])
    assert trainer.model.density.dtype == trainer.model.sh.dtype == torch.float32


def test_a_loss_that_is_no_number_is_said_so(tmp_path, scene):
    trainer = engine.create_plenoxel_trainer(*configs(tmp_path), scene)
    trainer.model.sh.data[:] = torch.inf
    with pytest.raises(OptionError, match="lower learning_rate"):
        trainer.train_step()


def test_without_tensorboard_training_goes_on_with_a_warning(tmp_path, scene, monkeypatch, caplog):
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    trainer = engine.create_plenoxel_trainer(*configs(tmp_path, max_epochs=1, use_tensorboard=True), scene)
    with caplog.at_level(logging.WARNING):
        trainer.train()
    assert "pip install" in caplog.text


def test_curves_are_written_for_tensorboard(tmp_path, scene):
    pytest.importorskip("tensorboard")
    settings = configs(tmp_path, max_epochs=4, log_interval=2, use_tensorboard=True)
    engine.create_plenoxel_trainer(*settings, scene).train()
    assert list((tmp_path / "toy" / "tensorboard").glob("events.*"))
