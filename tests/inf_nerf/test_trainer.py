# SPDX-License-Identifier: MIT
"""Training: what is drawn, what is minimised, how it ends, how it goes on."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from engine.errors import CheckpointError, OptionError
from engine.inf_nerf import InfNeRF, InfNeRFTrainer, InfNeRFTrainerConfig, PyramidRays, VolumeRenderer
from engine.inf_nerf.optimizer import TouchedAdam
from engine.inf_nerf.photos import scene_of
from engine.inf_nerf.regularisers import level_and_transparency
from engine.parallel import ParallelError
from tests.inf_nerf.small import QUICK, scene, small_config, small_model, small_trainer


def test_training_makes_held_out_views_better_and_keeps_the_best(tmp_path):
    trainer = small_trainer(
        max_steps=80,
        checkpoint_dir=str(tmp_path),
        validate_every=40,
        lr_decay_steps=1000,
    )
    before = trainer.validate()["psnr"]
    result = trainer.train()
    assert result["step"] == 80.0 and result["psnr"] > before + 4.0
    assert [step for step, _ in trainer.history] == [0, 40, 80]
    assert InfNeRF.load(tmp_path / "best.pth").tree.nodes == trainer.model.tree.nodes > 8
    assert trainer.best_psnr == max(value for _, value in trainer.history)


def test_a_resumed_training_goes_on_exactly(tmp_path):
    values = dict(max_steps=8, checkpoint_dir=str(tmp_path))
    model = dict(appearance_dim=2, occupancy_cells=4, random_background=True)
    one = small_trainer(model, **values)
    for _ in range(5):
        one.train_step()
    one.save(tmp_path / "last.pth")
    wanted = [one.train_step() for _ in range(3)]
    other = small_trainer(model, resume=True, **values)
    assert other.step == 5
    assert [other.train_step() for _ in range(3)] == wanted
    for name, value in one.model.fields.state_dict().items():
        assert torch.equal(value, other.model.fields.state_dict()[name])
    one.model.save(tmp_path / "model.pth")
    with pytest.raises(CheckpointError, match="holds a model but no training"):
        other.load(tmp_path / "model.pth")


def test_training_stops_early_when_nothing_gets_better():
    trainer = small_trainer(max_steps=50, lr_init=0.0, lr_final=0.0, validate_every=2, early_stop=2)
    assert trainer.train()["step"] == 6.0  # better than nothing, then twice the same


def test_an_epoch_is_a_pass_over_the_pixels_of_all_scales():
    trainer = small_trainer(num_epochs=3)
    pixels = 20 * (48 * 48 + 24 * 24 + 12 * 12 - 12 * 12)  # 12 a side is below the smallest scale
    assert len(trainer.rays) == pixels
    assert trainer.total_steps == 3 * math.ceil(pixels / 128)


def test_the_rate_falls_exponentially():
    trainer = small_trainer(max_steps=10, lr_init=1e-2, lr_final=1e-4)
    trainer.step = 5
    assert trainer._rate() == pytest.approx(1e-3)


def test_coarse_pixels_come_a_quarter_as_often_and_ask_coarser_nodes():
    batch = PyramidRays(scene(), small_config(scene_bound=0.5), levels=2).draw(8000, step=3)
    focal = batch["focal_length"]
    fine = focal > 0.75 * focal.max()
    assert float(focal[~fine].max()) == pytest.approx(0.5 * float(focal.max()), rel=1e-3)
    assert float(fine.sum() / (~fine).sum()) == pytest.approx(4.0, rel=0.1)  # of 8000 draws
    again = PyramidRays(scene(), small_config(scene_bound=0.5), levels=2).draw(8000, step=3)
    assert all(torch.equal(batch[name], again[name]) for name in batch)


def views(depth: bool = False) -> list[dict]:
    """Return two photos of a cube 6 scene units wide around (1, 2, 3), as dictionaries."""
    lens = torch.tensor([[120.0, 0, 16], [0, 120, 16], [0, 0, 1]])
    found = []
    for z in (-6.0, -5.0):
        pose = torch.eye(4)
        pose[:3, 3] = torch.tensor([1.0, 2.0, 3.0 + z])
        image = (torch.rand(32, 32, 3, generator=torch.Generator().manual_seed(1)) * 255).to(torch.uint8)
        item = dict(image=image, camera_matrix=pose, intrinsics=lens)
        found.append(item | ({"depth": torch.full((32, 32), -z)} if depth else {}))
    return found


def test_views_may_be_dictionaries_in_any_units_and_depth_is_learned_from():
    config = small_config(scene_bound=3.0, scene_center=(1.0, 2.0, 3.0))
    trainer = InfNeRFTrainer(InfNeRF(config), views(depth=True), InfNeRFTrainerConfig(**QUICK))
    batch = trainer.rays.draw(64, 0)
    assert torch.allclose(batch["rays_o"][:, :2], torch.tensor([1.0, 2.0]).expand(64, 2), atol=1e-4)
    distance = 3.0 - batch["rays_o"][:, 2]
    assert torch.allclose(batch["depth"], distance, atol=1e-3)  # of the plane through the cube's middle
    assert trainer.model.tree.nodes > 1  # the depth maps' points
    assert trainer.train_step()["depth_loss"] > 0.0
    assert math.isnan(trainer.validate()["psnr"])
    assert not math.isnan(InfNeRFTrainer(
        InfNeRF(config), views(), InfNeRFTrainerConfig(**QUICK), val_dataset=views()[:1]
    ).validate()["psnr"])  # fmt: skip


def test_a_dataset_that_will_not_do_is_refused_with_a_sentence():
    with pytest.raises(
        OptionError, match="View 0 of the dataset has no intrinsics; it has image, camera_matrix"
    ):
        scene_of([dict(image=torch.zeros(4, 4, 3), camera_matrix=torch.eye(4))], small_config())
    with pytest.raises(OptionError, match="at least one view"):
        scene_of([], small_config())
    with pytest.raises(OptionError, match="needs a scene or views as dictionaries, got int"):
        scene_of(3, small_config())


def test_a_loss_that_is_no_number_stops_with_its_terms():
    trainer = small_trainer()
    batch = trainer.rays.draw(8, 0)
    batch["rgb"][3] = math.nan
    with pytest.raises(OptionError, match=r"no number any more at step 0 \(rgb_loss nan"):
        trainer.train_step(batch)
    assert trainer.step == 0 and trainer.model.fields.mlp.grad is None


def test_callbacks_and_custom_losses_are_called():
    seen = []
    renderer = VolumeRenderer(
        custom_losses=[lambda outputs, targets: {"opacity": 0.01 * outputs["acc"].mean()}]
    )
    config = InfNeRFTrainerConfig(**(QUICK | dict(max_steps=2)))
    trainer = InfNeRFTrainer(
        InfNeRF(small_config(scene_bound=0.5)), scene(), config, renderer,
        callbacks=(lambda trainer, step, losses: seen.append((step, losses["opacity"])),),
    )  # fmt: skip
    trainer.train()
    assert [step for step, _ in seen] == [1, 2] and all(value > 0.0 for _, value in seen)


def test_mixed_precision_trains_networks_of_ones_own_in_half():
    kinds = []

    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 4)

        def forward(self, unit, directions, photo):
            out = self.layer(unit)
            kinds.append(out.dtype)
            return nn.functional.softplus(out[:, 0]), out[:, 1:].sigmoid()

    model = InfNeRF(small_config(scene_bound=0.5, max_depth=1), field_factory=lambda config, node: Half())
    trainer = InfNeRFTrainer(model, scene(), InfNeRFTrainerConfig(**(QUICK | dict(mixed_precision=True))))
    batch = trainer.rays.draw(64, 0)
    first = trainer.train_step(batch)["total_loss"]
    for _ in range(20):
        last = trainer.train_step(batch)["total_loss"]
    assert torch.bfloat16 in kinds and last < first


def test_distributed_without_torchrun_says_so(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(ParallelError, match="start the program with torchrun"):
        small_trainer(distributed=True, local_rank=0)
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert small_trainer(distributed=True).division.size == 1


def test_pruning_carries_the_optimiser_along():
    trainer = small_trainer()
    trainer.train_step()
    model, before = trainer.model, trainer.model.tree.nodes
    leaf = next(node.index for node in reversed(model.nodes()) if node.is_leaf)
    with torch.no_grad():
        model.fields.mlp.zero_()  # densities of 2 per unit everywhere: all agree
    state = trainer.optimizer.state[model.fields.mlp]["m"].clone()
    trainer.model.config.density_unit = None
    rows = torch.tensor([i for i in range(before) if i != leaf])
    model.prune = lambda: (model.fields.keep(rows), rows)[1]  # type: ignore[method-assign]
    assert trainer.prune() == 1
    assert torch.equal(trainer.optimizer.state[model.fields.mlp]["m"], state[rows])
    assert trainer.optimizer.param_groups[0]["params"][0] is model.fields.tables


# --- its parts -------------------------------------------------------------------------------------------------------


def test_adam_moves_what_has_a_gradient_as_torchs_own_does_and_nothing_else():
    parameter, twin = (nn.Parameter(torch.ones(4, 3, 2)) for _ in range(2))
    ours = TouchedAdam([parameter], 0.1, (0.9, 0.99), 1e-15)
    theirs = torch.optim.Adam([twin], 0.1, (0.9, 0.99), 1e-15)
    for step in range(4):
        grad = torch.randn(4, 3, 2, generator=torch.Generator().manual_seed(step))
        grad[2:] = 0.0
        parameter.grad, twin.grad = grad.clone(), grad.clone()
        ours.step()
        theirs.step()
    assert torch.allclose(parameter[:2], twin[:2], atol=1e-6)
    assert torch.equal(parameter[2:], torch.ones(2, 3, 2))
    rare = ours.state[parameter]["age"].view(4, 3)
    assert rare[:2].eq(4.0).all() and rare[2:].eq(0.0).all()


def test_the_terms_between_levels_lower_density_where_nobody_looks():
    model = small_model()
    found = level_and_transparency(model, (0,), nodes=4, points=64)
    assert (
        float(found["level_loss"].detach()) > 0.0 and 0.0 < float(found["transparency_loss"].detach()) < 1.0
    )
    optimiser = TouchedAdam(model.fields.parameters(), 1e-2)
    for step in range(40):
        optimiser.zero_grad()
        level_and_transparency(model, (step,), 4, 64)["transparency_loss"].backward()
        optimiser.step()
    after = level_and_transparency(model, (0,), nodes=4, points=64)
    assert float(after["transparency_loss"].detach()) < 0.7 * float(found["transparency_loss"].detach())
    root = InfNeRF(small_config())
    assert (
        float(level_and_transparency(root, (0,), 4, 64)["level_loss"]) == 0.0
    )  # a root alone has no levels to agree
    assert np.isfinite(float(level_and_transparency(root, (0,), 4, 64)["transparency_loss"].detach()))
