# SPDX-License-Identifier: MIT
"""Trains SVRaster One on any loader: windows of photos, Adam, half-precision colours, a structure that adapts."""

from __future__ import annotations

import logging
import math
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.errors import OptionError
from engine.metrics import psnr
from engine.svraster_one import resume
from engine.svraster_one.losses import SVRasterOneLoss, photo_of
from engine.svraster_one.model import SVRasterOne
from engine.svraster_one.optimizer import GridAdam, ParkedMoments
from engine.svraster_one.photos import View, single_views, window
from engine.svraster_one.schedule import rate_share, softness
from engine.svraster_one.settings import SVRasterOneConfig

log = logging.getLogger(__name__)

Loader = Iterable[dict[str, Any]]


class SVRasterOneTrainer:
    """Trains a model. Public: `model`, `config`, `loss`, `optimizer`, `step`, `epoch`, `best_psnr`, `history`.

    A loader is any iterable of dictionaries with `image` [H,W,3] (or uint8), `camera_matrix` [4,4], `intrinsics` [3,3] of the
    image, and where known `depth`, `mask` [H,W]; or of several views stacked. `step` counts Adam's steps. `history` has an
    entry per epoch. The loss may be replaced by any `SVRasterOneLoss`.
    """

    def __init__(
        self, model: SVRasterOne, config: SVRasterOneConfig | None = None, loss: SVRasterOneLoss | None = None
    ) -> None:
        self.model = model
        self.config = config if config is not None else model.config
        self.loss = loss or SVRasterOneLoss(self.config)
        self.step, self.epoch, self.best_psnr = 0, 0, -math.inf
        self.total_steps = 0  # of the run, which rates and softness are about; 0: not known
        self.history: list[dict[str, float]] = []
        self.generator = torch.Generator().manual_seed(self.config.training.seed)
        model.voxel_grid.set_colour_dtype(model.voxel_grid.densities.dtype)
        self.grid_adam = GridAdam(model.voxel_grid)
        self.scaler = torch.amp.GradScaler("cuda", enabled=self._half() == torch.float16)
        self.parked: ParkedMoments | None = None
        self.pending = 0  # batches whose gradients wait for their step
        self._forget_gradients()
        model.trainers.add(self)
        me = weakref.ref(self)

        def carry(*change: Any) -> None:
            if (trainer := me()) is not None:
                trainer.grid_adam.carry(*change)
                trainer._forget_gradients()

        model.voxel_grid.carriers.append(carry)

    @property
    def optimizer(self) -> torch.optim.Adam:
        """torch's optimiser as it is now; after a structure change it is another."""
        return self.grid_adam.adam

    def _half(self) -> torch.dtype | None:
        if not self.config.training.use_amp:
            return None
        return torch.float16 if self.model.voxel_grid.densities.is_cuda else torch.bfloat16

    def _forget_gradients(self) -> None:
        self.gradients: Tensor | None = None  # [V] summed magnitudes since the structure changed
        self.gradient_steps = 0

    # --- training -------------------------------------------------------------------------------------------------

    def train(
        self,
        train_loader: Loader,
        val_loader: Loader | None = None,
        num_epochs: int = 1,
        save_dir: str | Path | None = None,
    ) -> list[dict[str, float]]:
        """Train until `num_epochs` epochs are over, those of a checkpoint that was loaded included; return `history`.

        With `save_dir` `last.safetensors` is written there every `checkpoint_every` epochs and at the end, and
        `best.safetensors` whenever the PSNR on `val_loader` is the best so far.
        """
        every = self.config.training.checkpoint_every
        if hasattr(train_loader, "__len__"):
            self._plan(num_epochs * len(train_loader))
        while self.epoch < num_epochs:
            sums: dict[str, float] = {}
            batches = 0
            for batch in train_loader:
                batches += 1
                for name, value in self.training_step(batch).items():
                    sums[name] = sums.get(name, 0.0) + value
            if batches == 0:
                raise OptionError("SVRasterOneTrainer.train() needs at least one batch, got an empty loader.")
            if self.total_steps == 0:  # a loader that does not say how long it is has been counted now
                self._plan(num_epochs * batches)
            self.epoch += 1
            entry = {name: value / batches for name, value in sums.items()}
            entry |= {"epoch": float(self.epoch), "voxels": float(len(self.model.voxel_grid))}
            if val_loader is not None:
                entry["psnr"] = self.evaluate(val_loader)
            self.history.append(entry)
            log.info("%s", " ".join(f"{name}={value:.4g}" for name, value in entry.items()))
            if save_dir is not None:
                if entry.get("psnr", -math.inf) > self.best_psnr:
                    self.best_psnr = entry["psnr"]
                    self.save(Path(save_dir) / "best.safetensors")
                if every and (self.epoch % every == 0 or self.epoch == num_epochs):
                    self.save(Path(save_dir) / "last.safetensors")
        return self.history

    def _plan(self, batches: int) -> None:
        self.total_steps = -(-batches // self.config.training.gradient_accumulation_steps)

    def training_step(self, batch: dict[str, Any]) -> dict[str, float]:
        """Learn from a batch; return the losses, their sum `total_loss` among them, means over the batch.

        Every `gradient_accumulation_steps` batches Adam takes a step, and every `adaptive_every` steps the structure adapts,
        whose counts are then among the results. Raises OptionError when the loss is no number any more.
        """
        options = self.config.training
        if self.model.parked is not None or not self.model.training:
            self.model.train()
        grid, rasterizer = self.model.voxel_grid, self.model.rasterizer
        if grid.sh.dtype != grid.densities.dtype:  # halves, from `optimize_memory`
            grid.set_colour_dtype(grid.densities.dtype)
            self.rebind()
        rasterizer.softness = softness(options, self.step, self.total_steps)
        views = list(single_views(batch))
        share = 1.0 / (len(views) * options.gradient_accumulation_steps)
        result: dict[str, float] = {}
        rasterizer.colour_dtype = self._half()
        try:
            for view in views:
                losses = self._losses(window(view, options.batch_size, self.generator))
                self.scaler.scale(losses["total_loss"] * share).backward()
                for name, value in losses.items():
                    result[name] = result.get(name, 0.0) + float(value.detach()) / len(views)
        finally:
            rasterizer.colour_dtype = None
        self.pending += 1
        if self.pending == options.gradient_accumulation_steps:
            self.pending = 0
            result |= self._descend()
        return result

    def _losses(self, view: View) -> dict[str, Tensor]:
        model = self.model
        size = tuple(photo_of(view).shape[:2])
        device = model.voxel_grid.densities.device
        target = {name: value.to(device) for name, value in view.items()}
        rendered = model.forward(view["camera_matrix"], view["intrinsics"], mode="training", size=size)
        losses = self.loss(rendered, target, model.voxel_grid.voxel_data())
        if not torch.isfinite(losses["total_loss"]):
            named = ", ".join(f"{name} {value.item():g}" for name, value in losses.items())
            raise OptionError(
                f"The loss is no number any more at step {self.step} ({named}); lower training.learning_rate."
            )
        return losses

    def _descend(self) -> dict[str, float]:
        """Take Adam's step along the gradients that have gathered, and adapt the structure when it is due."""
        options, grid = self.config.training, self.model.voxel_grid
        self.grid_adam.set_rates(options, rate_share(options, self.step, self.total_steps))
        self.scaler.unscale_(self.optimizer)
        with torch.no_grad():
            magnitudes = grid.density_gradient().abs()
        if bool(
            torch.isfinite(magnitudes).all()
        ):  # a scaler that is too high makes infinities, and passes over the step
            self.gradients = magnitudes if self.gradients is None else self.gradients + magnitudes
            self.gradient_steps += 1
        if options.grad_clip > 0.0:
            torch.nn.utils.clip_grad_norm_([grid.densities, grid.sh], options.grad_clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        due = self.step % options.adaptive_every == 0
        if due and self.total_steps and self.step > options.adaptive_until * self.total_steps:
            due = False
        if not due or self.gradients is None:
            return {}
        counts = self.model.adaptive_optimization(self.gradients / self.gradient_steps)
        self._forget_gradients()
        log.info("step=%d %s", self.step, " ".join(f"{k}={v}" for k, v in counts.items()))
        return {name: float(count) for name, count in counts.items()}

    def evaluate(self, loader: Loader) -> float:
        """Return the mean PSNR in dB of inference-mode pictures over a loader's views; NaN without any."""
        found = []
        for batch in loader:
            for view in single_views(batch):
                photo = photo_of(view)
                size = tuple(photo.shape[:2])
                out = self.model.forward(view["camera_matrix"], view["intrinsics"], "inference", size)
                found.append(psnr(out["rgb"].cpu().numpy(), photo.cpu().numpy()))
        if self.model.training:
            self.model.drop_cache()  # the next step makes it stale
        return float(np.mean(found)) if found else math.nan

    # --- memory ---------------------------------------------------------------------------------------------------

    def state_bytes(self) -> int:
        """Return the bytes of the optimiser's state and of the gradient statistics in memory."""
        statistics = 0 if self.gradients is None else self.gradients.nbytes
        return statistics + (self.grid_adam.nbytes() if self.parked is None else 0)

    def park(self, folder: str | Path | None = None) -> int:
        """Move the optimiser's moments to the disk, see `switch_to_inference_mode`; return their bytes."""
        if self.parked is None:
            self.parked = ParkedMoments(self.grid_adam, folder)
        return self.parked.bytes

    def unpark(self) -> None:
        """Bring the moments back."""
        if self.parked is not None:
            parked, self.parked = self.parked, None
            parked.back_into(self.grid_adam)

    def rebind(self) -> None:
        """Serve the grid's present parameters, which hold the same rows as before."""
        self.grid_adam.bind(self.grid_adam.states())

    # --- files ----------------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write everything from which `load` goes on exactly. Whole or not at all."""
        resume.save(self, path)

    def load(self, path: str | Path) -> None:
        """Go on from what `save` wrote, random numbers included; the settings stay those of this trainer."""
        resume.load(self, path)
