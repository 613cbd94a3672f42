# SPDX-License-Identifier: MIT
"""Trains a model on photos and their halved copies: random rays, named losses, Adam, checkpoints, validation."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine import torch_files
from engine.errors import OptionError
from engine.inf_nerf import resume
from engine.inf_nerf.marching import remember
from engine.inf_nerf.model import InfNeRF
from engine.inf_nerf.optimizer import TouchedAdam
from engine.inf_nerf.parallel import division_of
from engine.inf_nerf.photos import HeldOut, PyramidRays, points_of, scene_of
from engine.inf_nerf.regularisers import level_and_transparency
from engine.inf_nerf.renderer import InfNeRFRenderer
from engine.inf_nerf.settings import InfNeRFRendererConfig, InfNeRFTrainerConfig
from engine.inf_nerf.volume import VolumeRenderer
from engine.metrics import psnr

log = logging.getLogger(__name__)

Callback = Callable[["InfNeRFTrainer", int, dict[str, float]], Any]
_OF_NODES = ("level_loss", "transparency_loss")  # terms that are not about rays
_PLACES, _PROBES = 0x50, 0x51  # keep random places of a step apart from its rays


class InfNeRFTrainer:
    """Trains a model. `callbacks` are called with (trainer, step, losses) after every step.

    `train_dataset` is a scene of the engine, or views as dictionaries: see `photos.scene_of`. Held-out views are those of
    `val_dataset`, or else of the scene. A model with the root alone gets its tree here, from the scene's points.

    Public: `model`, `config`, `volume_renderer`, `optimizer`, `scene`, `step`, `epoch`, `steps_per_epoch`, `best_psnr`,
    `history` of (step, held-out PSNR in dB).
    """

    def __init__(
        self,
        model: InfNeRF,
        train_dataset: Any,
        config: InfNeRFTrainerConfig | None = None,
        volume_renderer: VolumeRenderer | None = None,
        val_dataset: Any = None,
        callbacks: tuple[Callback, ...] = (),
    ) -> None:
        self.model, self.config = model, config or InfNeRFTrainerConfig()
        self.volume_renderer = volume_renderer or VolumeRenderer()
        self.callbacks = list(callbacks)
        self.scene = scene_of(train_dataset, model.config)
        held_out = self.scene.test if val_dataset is None else scene_of(val_dataset, model.config).train
        self.held_out = HeldOut(held_out, model.config, self.config.validate_views)
        if model.config.appearance_dim and not model.config.num_photos:
            model.config.num_photos = len(self.scene.train)
        if model.tree.nodes == 1:
            nodes = model.build_octree(*points_of(self.scene, model.config))
            log.info("nodes=%d levels=%d bytes=%d", nodes, model.tree.levels, model.model_bytes())
        self.rays = PyramidRays(self.scene, model.config, self.config.pyramid_levels, self.config.seed)
        self.steps_per_epoch = max(1, math.ceil(len(self.rays) / self.config.rays_batch_size))
        self.step, self.best_psnr, self.waited = 0, -math.inf, 0
        self.history: list[tuple[int, float]] = []
        self.optimizer = TouchedAdam(model.fields.parameters(), self.config.lr_init)
        half = self._half() == torch.float16
        self.scaler = torch.amp.GradScaler(model.device.type, enabled=half)
        self.division = division_of(
            self.config.distributed, self.config.parallel, self.config.local_rank, model.device
        )
        if self.config.resume:
            resume.open_into(self, self._place("last"))
        self.division.divide(self)

    # --- training -------------------------------------------------------------------------------------------------

    @property
    def epoch(self) -> int:
        """Whole passes over the pixels so far."""
        return self.step // self.steps_per_epoch

    @property
    def total_steps(self) -> int:
        """Steps of the run."""
        steps = self.config.num_epochs * self.steps_per_epoch
        return min(steps, self.config.max_steps) if self.config.max_steps else steps

    def train(self) -> dict[str, float]:
        """Train to the end; return the last step's losses, the last held-out `psnr`, and the `step` that was reached."""
        config, result = self.config, {}
        every = config.validate_every or self.steps_per_epoch
        while self.step < self.total_steps:
            result |= self.train_step()
            if config.log_every and self.step % config.log_every == 0:
                log.info("step=%d %s", self.step, " ".join(f"{k}={v:.4g}" for k, v in result.items()))
            for callback in self.callbacks:
                callback(self, self.step, result)
            if config.prune_every and self.step % config.prune_every == 0:
                self.prune()
            if self.step % every == 0 or self.step == self.total_steps:
                with self.division.whole(self):
                    result |= self.validate()
                    self._keep(result["psnr"])
                if config.early_stop and self.waited >= config.early_stop:
                    log.info("step=%d stopped early, best psnr=%.2f", self.step, self.best_psnr)
                    break
        return result | {"step": float(self.step)}

    def train_step(self, batch: dict[str, Tensor] | None = None) -> dict[str, float]:
        """Take a step along a batch, or along one drawn at random; return the weighted losses and their `total_loss`.

        A batch has `rays_o`, `rays_d`, `rgb` [n,3] and `focal_length`, and where they differ from the model's `near`, `far`,
        `pixel_width`; where known `photo` and `depth` [n]. Raises OptionError when the loss is no number any more.
        """
        if batch is None:
            batch = self.rays.draw(self.config.rays_batch_size, self.step)
        batch = {name: torch.as_tensor(value).to(self.model.device) for name, value in batch.items()}
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate()
        self.model.train()
        total, losses = self._losses(batch)
        numbers = self.division.sums({name: float(value.detach()) for name, value in losses.items()})
        if not math.isfinite(numbers["total_loss"]):
            named = ", ".join(f"{name} {value:g}" for name, value in numbers.items())
            raise OptionError(f"The loss is no number any more at step {self.step} ({named}); lower lr_init.")
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(total).backward()
        self.division.reduce(self.model)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.model.occupancy is not None:
            remember(self.model, (self.config.seed, self.step, _PROBES), self.step)
        self.step += 1
        return numbers

    def _losses(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return what is minimised, and all terms: this process's part of both, where there are several."""
        model, weights, config = self.model, self.volume_renderer.config, self.config
        count = len(batch["rays_o"])
        first, last = self.division.rays(count)
        batch = {
            name: value[first:last] if value.shape[:1] == (count,) else value for name, value in batch.items()
        }
        outputs = self._outputs(batch, first)
        level, clear = weights.lambda_level > 0.0, weights.lambda_transparency > 0.0
        if config.regularised_nodes and (level or clear):
            if self.division.takes_turn(self.step):
                seed = (config.seed, self.step, _PLACES)
                outputs |= level_and_transparency(
                    model, seed, config.regularised_nodes, config.regularised_points, level, clear
                )
            else:
                outputs |= {name: outputs["acc"].new_zeros(()) for name in _OF_NODES}
        losses = self.volume_renderer.compute_losses(outputs, batch)
        share = (last - first) / count
        losses = {n: v if n in _OF_NODES else v * share for n, v in losses.items() if n != "total_loss"}
        total = torch.stack([torch.as_tensor(term).float() for term in losses.values()]).sum()
        return total, losses | {"total_loss": total}

    def _outputs(self, batch: dict[str, Tensor], first: int) -> dict[str, Tensor]:
        model, config = self.model, self.model.config
        background = None
        if config.random_background:
            drawn = np.random.default_rng((self.config.seed, self.step)).random(3, dtype=np.float32)
            background = torch.from_numpy(drawn).to(model.device)
        numbers = torch.arange(first, first + len(batch["rays_o"]), device=model.device)
        with torch.autocast(model.device.type, self._half(), enabled=self.config.mixed_precision):
            return model(
                batch["rays_o"], batch["rays_d"],
                batch.get("near", config.near_plane * config.scene_bound),
                batch.get("far", config.far_plane * config.scene_bound),
                batch["focal_length"], batch.get("pixel_width", 1.0), photo=batch.get("photo"),
                seed=self.config.seed * 1_000_003 + self.step, ray_numbers=numbers, background=background,
            )  # fmt: skip

    def _half(self) -> torch.dtype:
        return (
            torch.float16
            if self.model.device.type == "cuda" and self.config.mixed_precision
            else torch.bfloat16
        )

    def _rate(self) -> float:
        config = self.config
        share = min(1.0, self.step / max(1, config.lr_decay_steps or self.total_steps))
        return config.lr_init * (config.lr_final / config.lr_init) ** share if config.lr_init > 0.0 else 0.0

    def prune(self) -> int:
        """Drop the nodes that show next to nothing, moments included; return how many."""
        before = self.model.tree.nodes
        with self.division.whole(self):
            rows = self.model.prune()
            if len(rows) < before:
                self.optimizer = self.optimizer.carried(self.model.fields.parameters(), rows, before)
        log.info("step=%d pruned=%d nodes=%d", self.step, before - len(rows), len(rows))
        return before - len(rows)

    # --- looking --------------------------------------------------------------------------------------------------

    def validate(self) -> dict[str, float]:
        """Return the mean `psnr` in dB over the held-out views, at most `validate_views`; NaN without any."""
        values = []
        with self.division.whole(self):
            for photo, camera_matrix, intrinsics in self.held_out if self.division.rank == 0 else ():
                size = photo.shape[:2]
                config = InfNeRFRendererConfig(image_width=size[1], image_height=size[0])
                picture = InfNeRFRenderer(self.model, config).render_image(camera_matrix, intrinsics, size)
                values.append(psnr(picture["rgb"].numpy(), photo))
        mean = self.division.same(float(np.mean(values)) if values else math.nan)
        self.history.append((self.step, mean))
        log.info("step=%d epoch=%d psnr=%.2f", self.step, self.epoch, mean)
        return {"psnr": mean}

    # --- files ----------------------------------------------------------------------------------------------------

    def _keep(self, value: float) -> None:
        """Write checkpoints after a validation."""
        better = value > self.best_psnr
        self.waited = 0 if better else self.waited + 1
        self.best_psnr = max(self.best_psnr, value) if better else self.best_psnr
        if self.config.folder is not None and self.division.rank == 0:
            record = resume.record_of(self)
            torch_files.write(self._place("last"), record)
            if better:
                torch_files.write(self._place("best"), record)

    def _place(self, name: str) -> Any:
        if self.config.folder is None:
            raise OptionError("InfNeRFTrainer has no checkpoint_dir; name one.")
        return self.config.folder / f"{name}.pth"

    def save(self, path: Any) -> None:
        """Write everything from which `load` goes on exactly; in several processes all have to call it, and one writes."""
        with self.division.whole(self):
            if self.division.rank == 0:
                torch_files.write(path, resume.record_of(self))

    def load(self, path: Any) -> None:
        """Go on from what `save` wrote, random numbers included; the settings stay those of this trainer."""
        with self.division.whole(self):
            resume.open_into(self, path)
