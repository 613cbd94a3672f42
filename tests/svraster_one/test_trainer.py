# SPDX-License-Identifier: MIT
"""The trainer: Adam's rows follow their voxels, a run goes on exactly, options do what they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from engine import checkpoint
from engine.errors import CheckpointError, OptionError
from engine.svraster_one import (
    SceneDataset,
    SVRasterOneTrainer,
    TrainingConfig,
    switch_to_inference_mode,
    switch_to_training_mode,
)
from engine.svraster_one.photos import window
from engine.svraster_one.schedule import rate_share, softness
from tests.plenoxels.toy import toy_scene
from tests.svraster_one.small import small_model, view

TOY_DB = 19.0  # three boxes, 16 voxels a side, 60 steps of two photos; SEEN seen


def hard_model():
    return small_model(soft_rasterization=False)


def loader(model, count=4):
    """Return batches of one view each, cameras a little apart."""
    camera_matrix, intrinsics, target = view(model)
    batches = []
    for i in range(count):
        moved = camera_matrix.clone()
        moved[0, 3] += 0.1 * i
        batches.append({"image": target["rgb"], "camera_matrix": moved, "intrinsics": intrinsics})
    return batches


def values(trainer):
    """Return everything that a step changes."""
    grid = trainer.model.voxel_grid
    moments = [s[name] for s in trainer.grid_adam.states() for name in ("exp_avg", "exp_avg_sq") if s]
    return [grid.densities.detach(), grid.sh.detach(), torch.from_numpy(grid.octree.path), *moments]


def same(a, b):
    return len(a) == len(b) and all(torch.equal(x, y) for x, y in zip(a, b))


def test_adams_rows_follow_their_voxels_and_points():
    trainer = SVRasterOneTrainer(hard_model())
    for batch in loader(trainer.model):
        trainer.training_step(batch)
    grid, before = trainer.model.voxel_grid, trainer.model.voxel_grid.octree
    density, sh = ({k: v.clone() for k, v in s.items()} for s in trainer.grid_adam.states())
    mask = np.zeros(64, dtype=bool)
    mask[[7, 30]] = True
    octree, carry = before.subdivide(mask)
    grid.move_to(octree, carry)
    new_density, new_sh = trainer.grid_adam.states()
    child = octree.level > 2
    assert child.sum() == 16
    for power, name in ((1, "exp_avg"), (2, "exp_avg_sq")):
        share = torch.from_numpy(np.where(child, 0.25**power, 1.0)).float()
        wanted = sh[name][torch.from_numpy(carry.voxel_from).long()] * share[:, None, None]
        assert torch.equal(new_sh[name], wanted)
        assert wanted.abs().max() > 0.0
        points = np.where(np.isin(np.arange(octree.n_points), octree.corner_idx[child]), 0.125**power, 1.0)
        wanted = carry.carry_points(density[name].numpy()) * points.astype(np.float32)
        np.testing.assert_allclose(new_density[name].numpy(), wanted, rtol=1e-5, atol=1e-12)
    assert new_sh["step"] == sh["step"] == 4
    assert trainer.optimizer.param_groups[0]["params"][0] is grid.densities
    trainer.training_step(loader(trainer.model)[0])
    assert float(trainer.grid_adam.states()[0]["step"]) == 5


def test_pruned_rows_are_the_kept_ones():
    trainer = SVRasterOneTrainer(hard_model())
    trainer.training_step(loader(trainer.model)[0])
    before = trainer.grid_adam.states()[1]["exp_avg"].clone()
    mask = np.arange(64) % 2 == 0
    trainer.model.voxel_grid.keep(mask)
    assert torch.equal(trainer.grid_adam.states()[1]["exp_avg"], before[torch.from_numpy(mask)])


def test_a_run_that_is_resumed_is_the_run_that_was_not_stopped(tmp_path):
    def fresh():
        model = hard_model()
        options = model.config.training
        options.batch_size, options.adaptive_every, options.use_amp = 200, 3, True
        return SVRasterOneTrainer(model)

    whole, first, second = fresh(), fresh(), fresh()
    batches = loader(whole.model)
    torch.manual_seed(4)
    whole.train(Shuffled(batches), num_epochs=4)
    torch.manual_seed(4)
    with pytest.raises(KeyboardInterrupt):
        first.train(Stopping(batches, after=9), num_epochs=4, save_dir=tmp_path)
    torch.manual_seed(99)
    second.load(tmp_path / "last.safetensors")
    assert (second.epoch, second.step) == (2, 8)
    second.train(Shuffled(batches), num_epochs=4)
    assert len(second.model.voxel_grid) > 64
    assert same(values(second), values(whole))


class Shuffled:
    """Batches in an order drawn from torch's own generator, as DataLoader(shuffle=True) does."""

    def __init__(self, batches):
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        return iter([self.batches[i] for i in torch.randperm(len(self.batches)).tolist()])


class Stopping(Shuffled):
    """The same, cut off in the middle of an epoch by the process' end."""

    def __init__(self, batches, after):
        super().__init__(batches)
        self.left = after

    def __iter__(self):
        for batch in super().__iter__():
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            yield batch


def test_a_toy_scene_is_learned_from_its_photos(tmp_path):
    scene = toy_scene()
    model = small_model(soft_rasterization=False)
    config = model.config
    config.voxel.initial_level, config.voxel.sh_degree, config.voxel.grid_resolution = 4, 0, 16
    config.training.batch_size, config.training.learning_rate = 1024, 3e-3
    model = type(model)(config)
    trainer = SVRasterOneTrainer(model)
    data = torch.utils.data.DataLoader(SceneDataset(scene, config), batch_size=2, shuffle=True)
    history = trainer.train(data, SceneDataset(scene, config, "test"), num_epochs=6, save_dir=tmp_path)
    assert history[-1]["psnr"] > TOY_DB
    assert trainer.best_psnr == max(entry["psnr"] for entry in history)
    assert {p.name for p in tmp_path.iterdir()} == {"last.safetensors", "best.safetensors"}
    header = checkpoint.read_header(tmp_path / "last.safetensors")
    assert header["config"]["voxel"]["grid_resolution"] == 16


def test_gathered_gradients_are_those_of_all_images_at_once():
    apart, together = hard_model(), hard_model()
    apart.config.training.gradient_accumulation_steps = 4
    trainers = [SVRasterOneTrainer(m) for m in (apart, together)]
    batches = loader(apart)
    for batch in batches:
        trainers[0].training_step(batch)
    stacked = {name: torch.stack([b[name] for b in batches]) for name in batches[0]}
    trainers[1].training_step(stacked)
    assert [t.step for t in trainers] == [1, 1]
    for a, b in zip(*(values(t) for t in trainers)):
        assert torch.allclose(a.double(), b.double(), atol=1e-6)


def test_gradients_are_cut_to_their_norm():
    model = hard_model()
    model.config.training.grad_clip = 1e-3
    trainer = SVRasterOneTrainer(model)
    trainer.training_step(loader(model)[0])
    squares = sum(float((s["exp_avg"] / 0.5).square().sum()) for s in trainer.grid_adam.states())
    assert math.sqrt(squares) == pytest.approx(1e-3, rel=1e-3)


def test_half_precision_rounds_colours_and_nothing_else():
    model = hard_model()
    camera_matrix, intrinsics, _ = view(model)
    exact = model(camera_matrix, intrinsics)
    model.rasterizer.colour_dtype = torch.bfloat16
    half = model(camera_matrix, intrinsics)
    assert torch.equal(half["alpha"], exact["alpha"])
    assert torch.equal(half["depth"], exact["depth"])
    assert 1e-4 < (half["rgb"] - exact["rgb"]).abs().max() < 2e-2
    assert half["rgb"].dtype == torch.float32


def test_inference_mode_parks_the_moments_and_gives_them_back():
    stayed, switched = SVRasterOneTrainer(hard_model()), SVRasterOneTrainer(hard_model())
    batches = loader(stayed.model)
    for trainer in (stayed, switched):
        trainer.training_step(batches[0])
    assert switched.model.get_memory_usage()["optimizer_mb"] > 0.0
    switch_to_inference_mode(switched.model)
    assert switched.state_bytes() == switched.grid_adam.grid.density_gradient().nbytes  # only the statistics
    switch_to_training_mode(switched.model)
    for trainer in (stayed, switched):
        trainer.training_step(batches[1])
    assert same(values(stayed), values(switched))


def test_a_step_in_inference_mode_goes_back_to_training():
    trainer = SVRasterOneTrainer(hard_model())
    switch_to_inference_mode(trainer.model)
    assert trainer.training_step(loader(trainer.model)[0])["total_loss"] > 0.0
    assert trainer.model.training


def test_rates_follow_their_schedule():
    def shares(**values):
        config = TrainingConfig(final_rate=0.1, **values)
        return [rate_share(config, step, 100) for step in (0, 15, 30, 50, 100)]

    assert shares(scheduler="constant") == [1.0] * 5
    assert shares(scheduler="exponential") == pytest.approx([1.0, 0.1**0.15, 0.1**0.3, 0.1**0.5, 0.1])
    assert shares(scheduler="cosine")[3] == pytest.approx(0.55)
    assert shares(scheduler="one_cycle") == pytest.approx(
        [0.04, 0.52, 1.0, 0.1 + 0.9 * 0.811745, 0.1], rel=1e-4
    )
    assert shares(scheduler="constant", warmup_steps=30)[:3] == pytest.approx([1 / 30, 16 / 30, 1.0])


def test_softness_falls_geometrically():
    config = TrainingConfig(anneal=True, final_softness=0.01)
    assert [softness(config, step, 101) for step in (0, 50, 100)] == pytest.approx([1.0, 0.1, 0.01])
    assert softness(TrainingConfig(), 50, 101) == 1.0


def test_annealing_hardens_the_pictures_of_training():
    model = small_model()
    model.config.training.anneal, model.config.training.final_softness = True, 1e-3
    model.config.training.learning_rate = 0.0
    trainer = SVRasterOneTrainer(model)
    trainer.train(loader(model, 5), num_epochs=1)
    camera_matrix, intrinsics, _ = view(model)
    soft = model(camera_matrix, intrinsics, mode="training")["rgb"].detach()
    hard = model(camera_matrix, intrinsics, mode="inference")["rgb"]
    assert model.rasterizer.softness == pytest.approx(1e-3)
    assert (soft - hard).square().mean() < 1e-4


def test_a_window_is_that_part_of_the_picture():
    model = hard_model()
    camera_matrix, intrinsics, target = view(model)
    part = window(
        {"image": target["rgb"], "camera_matrix": camera_matrix, "intrinsics": intrinsics},
        64,
        torch.Generator(),
    )
    rows, columns = part["image"].shape[:2]
    assert rows * columns == 64
    left, top = (int(v) for v in (intrinsics - part["intrinsics"])[:2, 2])
    assert torch.equal(part["image"], target["rgb"][top : top + rows, left : left + columns])
    whole = model(camera_matrix, intrinsics)["rgb"][top : top + rows, left : left + columns]
    alone = model(camera_matrix, part["intrinsics"], size=(rows, columns))["rgb"]
    assert torch.allclose(whole, alone, atol=1e-5)


def test_scenes_cameras_are_in_scene_units():
    scene, config = toy_scene(), hard_model().config
    item = SceneDataset(scene, config)[3]
    camera = scene.train.views[3].camera
    assert torch.allclose(
        item["camera_matrix"][:3, 3] / 2.56, torch.from_numpy(camera.position).float(), atol=1e-5
    )
    assert float(item["intrinsics"][0, 0]) == pytest.approx(camera.fx)
    assert item["image"].shape == (48, 48, 3)


def test_foreign_files_and_batches_are_refused_in_a_sentence(tmp_path):
    trainer = SVRasterOneTrainer(hard_model())
    checkpoint.save(tmp_path / "other.safetensors", {"x": np.zeros(1)}, {"kind": "something"})
    with pytest.raises(CheckpointError, match="no checkpoint of SVRasterOneTrainer"):
        trainer.load(tmp_path / "other.safetensors")
    with pytest.raises(OptionError, match="image, camera_matrix and intrinsics, got image"):
        trainer.training_step({"image": torch.zeros(4, 4, 3)})
    with pytest.raises(OptionError, match="at least one batch"):
        trainer.train([], num_epochs=1)
    with torch.no_grad():
        trainer.model.voxel_grid.sh.fill_(float("nan"))
    with pytest.raises(OptionError, match="no number any more at step 0"):
        trainer.training_step(loader(trainer.model)[0])
