# SPDX-License-Identifier: MIT
"""What a trainer writes beside its model, and how it goes on from that."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import CheckpointError
from engine.inf_nerf import files
from engine.inf_nerf.optimizer import TouchedAdam

if TYPE_CHECKING:
    from engine.inf_nerf.trainer import InfNeRFTrainer


def record_of(trainer: InfNeRFTrainer) -> dict[str, Any]:
    """Return the model and the state of its training as tensors and plain values."""
    state = {
        "step": trainer.step, "best_psnr": trainer.best_psnr, "waited": trainer.waited, "history": trainer.history,
        "config": trainer.config.to_dict(), "optimizer": trainer.optimizer.state_dict(),
        "scaler": trainer.scaler.state_dict(),
    }  # fmt: skip
    return files.record_of(trainer.model) | {"trainer": state}


def open_into(trainer: InfNeRFTrainer, path: str | Path) -> None:
    """Give a trainer, whose model is whole, what another one wrote."""
    record, model = files.read(path), trainer.model
    if "trainer" not in record:
        raise CheckpointError(f"{path} holds a model but no training; open it with InfNeRF.load.")
    device = model.device
    model.adopt(files.model_of(record, path, model.field_factory, type(model)))
    model.to(device)
    state = record["trainer"]
    trainer.step, trainer.best_psnr, trainer.waited = state["step"], state["best_psnr"], state["waited"]
    trainer.history = [tuple(entry) for entry in state["history"]]
    trainer.optimizer = TouchedAdam(model.fields.parameters(), trainer.config.lr_init)
    trainer.optimizer.load_state_dict(state["optimizer"])
    trainer.scaler.load_state_dict(state["scaler"])
