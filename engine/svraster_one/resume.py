# SPDX-License-Identifier: MIT
"""What a checkpoint of SVRasterOneTrainer holds: everything from which training goes on exactly. A friend of `trainer.py`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from engine import checkpoint
from engine.errors import CheckpointError
from engine.octree import Octree
from engine.svraster_one.optimizer import MOMENTS, NAMES

if TYPE_CHECKING:
    from engine.svraster_one.trainer import SVRasterOneTrainer

KIND = "svraster one training"


def save(trainer: SVRasterOneTrainer, path: str | Path) -> None:
    """Write a checkpoint, whole or not at all. Raises CheckpointError."""
    if trainer.pending:
        raise CheckpointError(
            f"Cannot save between two steps: {trainer.pending} batches of gradients wait; save after an epoch."
        )
    grid = trainer.model.voxel_grid
    tensors = {name: getattr(grid, name).detach() for name in NAMES}
    steps = {}
    states = trainer.grid_adam.states() if trainer.parked is None else trainer.parked.states
    for name, state in zip(NAMES, states):
        tensors |= {f"{name}.{moment}": state[moment] for moment in MOMENTS if state}
        steps[name] = float(state["step"]) if state else None
    tensors |= {"generator": trainer.generator.get_state(), "torch_generator": torch.get_rng_state()}
    if trainer.gradients is not None:
        tensors["gradients"] = trainer.gradients
    arrays = {name: tensor.cpu().numpy() for name, tensor in tensors.items()}
    arrays |= {"path": np.asarray(grid.octree.path), "level": np.asarray(grid.octree.level)}
    header = {
        "kind": KIND, "step": trainer.step, "epoch": trainer.epoch, "total_steps": trainer.total_steps,
        "best_psnr": trainer.best_psnr if math.isfinite(trainer.best_psnr) else None, "history": trainer.history,
        "adam_steps": steps, "gradient_steps": trainer.gradient_steps, "scaler": trainer.scaler.state_dict(),
        "root_size": float(grid.octree.root_size), "config": trainer.config.to_dict(),
    }  # fmt: skip
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    checkpoint.save(path, arrays, header)


def load(trainer: SVRasterOneTrainer, path: str | Path) -> None:
    """Give a trainer the state that `save` wrote, in this or another process. Raises CheckpointError."""
    arrays, header = checkpoint.load(path)
    if header.get("kind") != KIND:
        raise CheckpointError(f"{path} is no checkpoint of SVRasterOneTrainer; choose one that it wrote.")
    tensors = {name: torch.from_numpy(np.array(value)) for name, value in arrays.items()}
    grid = trainer.model.voxel_grid
    octree = Octree.from_leaves(arrays["path"], arrays["level"], float(header["root_size"]))
    device = grid.densities.device
    trainer.model.train()
    grid.replace(octree, *(tensors[name].to(device) for name in NAMES))
    states = []
    for name in NAMES:
        step = header["adam_steps"][name]
        held = {moment: tensors[f"{name}.{moment}"].to(device) for moment in MOMENTS if step is not None}
        states.append(held | {"step": torch.tensor(step)} if held else {})
    trainer.grid_adam.bind(states)
    trainer.step, trainer.epoch = int(header["step"]), int(header["epoch"])
    trainer.total_steps, trainer.history = int(header["total_steps"]), list(header["history"])
    trainer.best_psnr = -math.inf if header["best_psnr"] is None else float(header["best_psnr"])
    trainer.gradients = tensors["gradients"].to(device) if "gradients" in tensors else None
    trainer.gradient_steps, trainer.pending = int(header["gradient_steps"]), 0
    if header["scaler"]:  # empty where nothing is scaled
        trainer.scaler.load_state_dict(header["scaler"])
    trainer.generator.set_state(tensors["generator"])
    torch.set_rng_state(tensors["torch_generator"])
