# SPDX-License-Identifier: MIT
"""The library's trainer: random rays, named losses, torch's own RMSProp, from coarse grids to fine ones."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine import checkpoint
from engine.board import Board, BoardMissingError
from engine.datasets import Scene
from engine.errors import OptionError
from engine.metrics import psnr
from engine.plenoxels.loss import PlenoxelLoss, weighted_sum
from engine.plenoxels.model import PlenoxelModel
from engine.plenoxels.photos import RayBatches
from engine.plenoxels.settings import PlenoxelConfig, PlenoxelDatasetConfig, PlenoxelTrainerConfig

log = logging.getLogger(__name__)

DENSITY_RATE, SH_RATE = 300.0, 0.1  # of `learning_rate`: 30 and 0.01 at 0.1, as published
FINAL_DENSITY_RATE, FINAL_SH_RATE = (
    0.038,
    0.02,
)  # shares left at the end, those of 128,000 published iterations
DELAY, DELAY_START = (
    0.12,
    0.01,
)  # densities begin at a hundredth of their rate, which is full after this share of a run
DECAY, EPSILON = 0.95, 1e-8  # of RMSProp, as published

Callback = Callable[["PlenoxelTrainer", int, dict[str, float]], Any]


def create_plenoxel_trainer(
    model_config: PlenoxelConfig,
    trainer_config: PlenoxelTrainerConfig,
    dataset_config: PlenoxelDatasetConfig | Scene,
    loss: PlenoxelLoss | None = None,
    device: torch.device | str = "cpu",
) -> PlenoxelTrainer:
    """Return a trainer of a new model on a scene. Raises SceneError and OptionError in one sentence.

    In place of a dataset configuration a scene that is open already may be given.
    """
    rays = 1024
    behind = 1.0
    if isinstance(dataset_config, Scene):
        scene = dataset_config
    else:
        scene, rays = dataset_config.load(), dataset_config.num_rays_train
        behind = 1.0 if dataset_config.white_background else 0.0
    model_config = model_config.copy()
    model_config.background_brightness = behind
    torch.manual_seed(trainer_config.seed)
    model = PlenoxelModel(model_config).to(device)
    return PlenoxelTrainer(model, trainer_config, scene, rays, loss or PlenoxelLoss())


class PlenoxelTrainer:
    """Trains a model on a scene. `callbacks` are called with (trainer, iteration, losses) after every iteration.

    Public: `model`, `optimizer`, `loss`, `config`, `iteration`, `best_psnr`, `history` of (iteration, held-out PSNR in dB).
    """

    def __init__(
        self,
        model: PlenoxelModel,
        config: PlenoxelTrainerConfig,
        scene: Scene,
        num_rays: int = 1024,
        loss: PlenoxelLoss | None = None,
        callbacks: tuple[Callback, ...] = (),
    ) -> None:
        self.model, self.scene, self.num_rays = model, scene, num_rays
        self.config = config = config.copy()
        for name in ("tv", "l1"):
            if getattr(config, f"{name}_loss_weight") is None:
                setattr(config, f"{name}_loss_weight", getattr(model.config, f"{name}_lambda"))
        self.loss = loss or PlenoxelLoss()
        self.callbacks = list(callbacks)
        self.iteration, self.best_psnr = 0, -math.inf
        self.history: list[tuple[int, float]] = []
        self.batches = RayBatches(scene, model.config, config.seed)
        self._generator = torch.Generator().manual_seed(config.seed)
        self._board: Board | None = None
        self._new_optimizer()
        if config.resume:
            self.load()

    # --- training -------------------------------------------------------------------------------------------------

    def train(self) -> dict[str, float]:
        """Train to `config.max_epochs` iterations; return the last losses and the held-out `psnr` where it was measured."""
        config, losses = self.config, {}
        self._open_board()
        try:
            while self.iteration < config.max_epochs:
                losses = self.train_step()
                self._record(losses)
                for callback in self.callbacks:
                    callback(self, self.iteration, losses)
                if _due(self.iteration, config.eval_interval, config.max_epochs):
                    losses["psnr"] = self.evaluate()
                if _due(self.iteration, config.save_interval, config.max_epochs):
                    self.save("last")
        finally:
            if self._board is not None:
                self._board.close()
                self._board = None
        return losses

    def train_step(self) -> dict[str, float]:
        """Take one iteration, a finer grid and pruning included when they are due; return the unweighted losses."""
        self._adapt()
        batch = self.batches.draw(self.num_rays, self.model.density.device)
        self._set_rates()
        self.model.colour_dtype = self._half() if self.config.use_amp else None
        outputs = self.model(batch["rays_o"], batch["rays_d"])
        if self.config.tv_loss_weight > 0.0:
            outputs["tv"] = self.model.total_variation(generator=self._generator)
        if self.config.l1_loss_weight > 0.0:
            outputs["l1"] = torch.relu(self.model.density).mean()
        losses = self.loss(outputs, batch)
        total = weighted_sum(losses, self.config)
        if not torch.isfinite(total):
            named = ", ".join(f"{name} {torch.as_tensor(value).item():g}" for name, value in losses.items())
            raise OptionError(
                f"The loss is no number any more at iteration {self.iteration} ({named}); lower learning_rate."
            )
        self.optimizer.zero_grad(set_to_none=True)
        if total.requires_grad:  # else no ray meets anything that can be seen
            total.backward()
            self.optimizer.step()
        self.iteration += 1
        return {name: float(value.detach()) for name, value in losses.items()}

    def _half(self) -> torch.dtype:
        return torch.float16 if self.model.density.is_cuda else torch.bfloat16

    def _adapt(self) -> None:
        """Refine the grid when the schedule says so, and drop empty voxels now and then."""
        config, model = self.config, self.model
        wanted = model.config.resolution_at(self.iteration)
        if wanted != model.resolution:
            model.upsample(wanted)
            self._new_optimizer()
            log.info("iteration=%d resolution=%s voxels=%d", self.iteration, wanted, len(model.density))
        elif config.pruning_interval and self.iteration and self.iteration % config.pruning_interval == 0:
            rows = model.prune_voxels(config.pruning_threshold)
            self._carry_optimizer(rows)
            log.info("iteration=%d pruned, voxels=%d", self.iteration, len(model.density))

    # --- the optimiser --------------------------------------------------------------------------------------------

    def _new_optimizer(self) -> None:
        groups = [{"params": [self.model.density]}, {"params": [self.model.sh]}]
        self.optimizer = torch.optim.RMSprop(
            groups, lr=0.0, alpha=DECAY, eps=EPSILON, weight_decay=self.config.weight_decay
        )

    def _carry_optimizer(self, rows: Tensor) -> None:
        """Give the pruned parameters the optimiser state of the rows that were kept."""
        before = [self.optimizer.state.get(group["params"][0], {}) for group in self.optimizer.param_groups]
        self._new_optimizer()
        for group, state in zip(self.optimizer.param_groups, before):
            if state:
                self.optimizer.state[group["params"][0]] = {
                    name: value[rows] if value.ndim else value for name, value in state.items()
                }

    def _set_rates(self) -> None:
        """Set both learning rates of this iteration; densities' are per unit of length of a box of half side 1."""
        share = self.iteration / max(self.config.max_epochs, 1)
        rise = math.sin(0.5 * math.pi * min(share / DELAY, 1.0))
        half_side = 0.5 * float((self.model.bounds[1] - self.model.bounds[0]).max())
        density, sh = self.optimizer.param_groups
        rates = self.config.density_learning_rate, self.config.sh_learning_rate
        base = [
            part * self.config.learning_rate if rate is None else rate
            for rate, part in zip(rates, (DENSITY_RATE, SH_RATE))
        ]
        delayed = DELAY_START + (1.0 - DELAY_START) * rise
        density["lr"] = base[0] / half_side * FINAL_DENSITY_RATE**share * delayed
        sh["lr"] = base[1] * FINAL_SH_RATE**share

    # --- looking --------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def render_view(self, index: int, held_out: bool = True) -> np.ndarray:
        """Return the picture [H,W,3] float32 of a view of the scene."""
        split = self.scene.test if held_out else self.scene.train
        rays_o, rays_d, photo = self.batches.view(split, index)
        device = self.model.density.device
        chunks = zip(rays_o.split(self.num_rays * 4), rays_d.split(self.num_rays * 4))
        rgb = [self.model(o.to(device), d.to(device))["rgb"].cpu() for o, d in chunks]
        return torch.cat(rgb).reshape(photo.shape).numpy()

    def evaluate(self, most_views: int = 20) -> float:
        """Return the mean PSNR in dB over up to `most_views` held-out views, evenly chosen; NaN without any."""
        views = np.unique(np.linspace(0, len(self.scene.test) - 1, most_views).round().astype(int))
        views = views if len(self.scene.test) else views[:0]
        values = [psnr(self.render_view(i), self.scene.test.images.load(i)) for i in views]
        mean = float(np.mean(values)) if values else math.nan
        self.history.append((self.iteration, mean))
        log.info("iteration=%d psnr=%.2f", self.iteration, mean)
        if self._board is not None:
            self._board.scalars(self.iteration, {"held out/psnr": mean})
        if mean > self.best_psnr:
            self.best_psnr = mean
            if self.config.save_interval:
                self.save("best")
        return mean

    def _open_board(self) -> None:
        if self.config.use_tensorboard:
            try:
                self._board = Board(self.config.folder / "tensorboard")
            except BoardMissingError as error:  # it is on by default, so its absence must not stop anybody
                log.warning("%s", error)

    def _record(self, losses: dict[str, float]) -> None:
        if not _due(self.iteration, self.config.log_interval, self.config.max_epochs):
            return
        text = " ".join(f"{name}={value:.3g}" for name, value in losses.items())
        log.info("iteration=%d %s", self.iteration, text)
        if self._board is not None:
            self._board.scalars(self.iteration, {f"training/{name}": value for name, value in losses.items()})

    # --- files ----------------------------------------------------------------------------------------------------

    def save(self, name: str = "last") -> None:
        """Write model, optimiser and settings to `<name>.safetensors` in the folder of the experiment."""
        self.config.folder.mkdir(parents=True, exist_ok=True)
        tensors = {f"model.{key}": value for key, value in self.model.state_dict().items()}
        for i, group in enumerate(self.optimizer.param_groups):
            state = self.optimizer.state.get(group["params"][0], {})
            tensors |= {f"optimizer.{i}.{key}": torch.as_tensor(value) for key, value in state.items()}
        header = {
            "kind": "plenoxel library model",
            "iteration": self.iteration,
            "best_psnr": self.best_psnr if math.isfinite(self.best_psnr) else None,
            "model": self.model.config.to_dict(),
            "trainer": self.config.to_dict(),
        }
        arrays = {key: value.detach().cpu().numpy() for key, value in tensors.items()}
        checkpoint.save(self.config.folder / f"{name}.safetensors", arrays, header)

    def load(self, name: str = "last") -> None:
        """Go on from what `save` wrote. Raises CheckpointError if it is not there or torn."""
        arrays, header = checkpoint.load(self.config.folder / f"{name}.safetensors")
        tensors = {key: torch.from_numpy(np.array(value)) for key, value in arrays.items()}
        device = self.model.density.device
        self.model.load_state_dict(
            {key[6:]: value.to(device) for key, value in tensors.items() if key.startswith("model.")}
        )
        self.iteration = int(header["iteration"])
        self.best_psnr = -math.inf if header["best_psnr"] is None else float(header["best_psnr"])
        self._new_optimizer()
        for i, group in enumerate(self.optimizer.param_groups):
            prefix = f"optimizer.{i}."
            state = {key[len(prefix) :]: v for key, v in tensors.items() if key.startswith(prefix)}
            if state:
                self.optimizer.state[group["params"][0]] = {key: v.to(device) for key, v in state.items()}


def _due(iteration: int, interval: int, last: int) -> bool:
    return interval > 0 and (iteration % interval == 0 or iteration == last)
