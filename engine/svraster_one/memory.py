# SPDX-License-Identifier: MIT
"""What a model of SVRaster One holds, in every mode; `fit.py` makes it hold less."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import psutil
import torch

from engine.errors import OptionError
from engine.memory import free_caches
from engine.svraster_one.modes import switch_to_inference_mode, switch_to_training_mode

if TYPE_CHECKING:
    from engine.svraster_one.model import SVRasterOne

MB = 2**20


def usage(model: SVRasterOne) -> dict[str, float]:
    """Return megabytes (2^20 bytes) of every array that a model holds.

    `parameters_mb`, `gradients_mb`, `optimizer_mb` of trainers, `structure_mb` of the octree and its tables, `cache_mb`
    of the inference mode, `workspace_mb` in which its frames are drawn; `total_memory_mb` is their sum. `on_disk_mb` is what
    waits there in inference mode, and no part of it.
    """
    grid, cache = model.voxel_grid, model._cache
    parameters = [] if model.parked is not None else [grid.densities, grid.sh]
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    held: dict[int, int] = {}  # by address: arrays that two share count once
    for array in _structure(model):
        held[array.ctypes.data] = array.nbytes
    tables = [t for t in (grid._corners, grid._centers) if t is not None]
    parts = {
        "parameters": sum(p.nbytes for p in parameters),
        "gradients": sum(g.nbytes for g in gradients),
        "optimizer": sum(trainer.state_bytes() for trainer in model.trainers),
        "structure": sum(held.values()) + sum(t.nbytes for t in tables),
        "cache": 0,
        "workspace": 0,
    }
    if cache is not None:
        shared = sum(held.get(array.ctypes.data, 0) for array in cache.arrays())
        parts |= {"cache": cache.nbytes() - shared, "workspace": cache.room.nbytes()}
    result = {f"{name}_mb": count / MB for name, count in parts.items()}
    result["total_memory_mb"] = sum(result.values())
    result["on_disk_mb"] = 0.0 if model.parked is None else model.parked.bytes / MB
    return result


def _structure(model: SVRasterOne) -> Iterable[np.ndarray]:
    """Yield the arrays of the octree that are in memory."""
    for array in vars(model.voxel_grid.octree).values():
        if isinstance(array, np.ndarray) and not isinstance(array, np.memmap):
            yield array


class MemoryManager:
    """Switches a model's mode with everything that is held for the other one let go, and says what is held."""

    def __init__(self, model: SVRasterOne) -> None:
        self.model = model

    def optimize_memory_for_mode(self, mode: str) -> dict[str, float]:
        """Switch to "training" or "inference" and return what the model then holds; see `get_memory_usage`."""
        if mode not in ("training", "inference"):
            raise OptionError(f"optimize_memory_for_mode() takes 'training' or 'inference', got {mode!r}.")
        if mode == "training":
            switch_to_training_mode(self.model)
        else:
            switch_to_inference_mode(self.model)
        free_caches()
        return usage(self.model)

    def monitor_memory_usage(self) -> dict[str, float]:
        """Return `allocated_gb`, `reserved_gb` (10^9 bytes) and their ratio `utilization`, and the model's `model_gb`.

        On a card: what torch has allocated and reserved there. On a processor: the model's arrays, and the memory that the
        process takes.
        """
        held = usage(self.model)["total_memory_mb"] * MB
        if self.model.voxel_grid.densities.is_cuda or (
            self.model.parked is not None and self.model.parked.device.type == "cuda"
        ):
            allocated, reserved = torch.cuda.memory_allocated(), torch.cuda.memory_reserved()
        else:
            allocated, reserved = held, psutil.Process().memory_info().rss
        return {
            "allocated_gb": allocated / 1e9,
            "reserved_gb": reserved / 1e9,
            "utilization": allocated / reserved if reserved > 0 else 0.0,
            "model_gb": held / 1e9,
        }
