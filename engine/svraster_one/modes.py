# SPDX-License-Identifier: MIT
"""Training and inference mode of one model: what is freed on the way there, and how it comes back.

`model.eval()` makes the inference cache beside the parameters. `switch_to_inference_mode` goes on to drop all gradients
and to move parameters, an optimiser's moments and the tables that only training reads into a file on the disk, which has no name
and goes with the model. `switch_to_training_mode`, or `model.train()`, brings all back, bit by bit.
"""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from engine.svraster_one.cache import key_of

if TYPE_CHECKING:
    from engine.svraster_one.model import SVRasterOne


def switch_to_inference_mode(model: SVRasterOne, folder: str | Path | None = None) -> None:
    """Switch a model over to showing pictures: smaller and faster. Its parameters can still be read, not trained.

    `folder` is where the parameters wait, None: that of temporary files; choose a real disk if that is in memory.
    """
    if model.parked is not None:
        return
    for parameter in model.parameters():
        parameter.grad = None
        parameter.requires_grad_(False)
    model.eval()
    model.parked = Parked.of(model, folder)


def switch_to_training_mode(model: SVRasterOne) -> None:
    """Switch a model back: cache dropped, parameters and the moments of its optimisers where they were."""
    model.train()
    for parameter in model.parameters():
        parameter.requires_grad_(True)


def on_disk(array: np.ndarray, folder: str | Path | None = None) -> np.ndarray:
    """Return the same values, read from a file without a name when they are looked at; it goes with the array."""
    if array.nbytes == 0:
        return array
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(np.ascontiguousarray(array).data)
        file.flush()
        # copy on write: nothing of the file is in memory before it is read
        return np.memmap(file, dtype=array.dtype, mode="c", shape=array.shape)


def parked_tensor(tensor: Tensor, folder: str | Path | None = None) -> Tensor:
    """Return the values of a tensor on the processor, in a file."""
    return torch.from_numpy(on_disk(tensor.detach().cpu().numpy(), folder))


@dataclasses.dataclass(eq=False)
class Parked:
    """What a model in inference mode has on the disk: its parameters' device, and the bytes of everything."""

    device: torch.device
    bytes: int

    @classmethod
    def of(cls, model: SVRasterOne, folder: str | Path | None) -> Parked:
        """Move parameters, the octree's corners and the optimisers' moments of a model into files."""
        grid, cache = model.voxel_grid, model.inference_cache()
        parked = cls(grid.densities.device, 0)
        octree = grid.octree
        small = dataclasses.replace(
            octree,
            path=cache.table.path,
            level=cache.table.level,
            corner_idx=on_disk(octree.corner_idx, folder),
            point_ijk=on_disk(octree.point_ijk, folder),
        )
        parked.bytes += octree.corner_idx.nbytes + octree.point_ijk.nbytes
        densities, sh = (parked_tensor(p, folder) for p in (grid.densities, grid.sh))
        parked.bytes += densities.nbytes + sh.nbytes
        parked.bytes += sum(trainer.park(folder) for trainer in model.trainers)
        grid.replace(small, densities, sh)
        cache.key = key_of(grid)
        if cache.octree is not None:  # a card's kernels read the corners from the octree they know
            cache.octree = octree
        if parked.device.type == "cuda":
            torch.cuda.empty_cache()
        return parked

    def bring_back(self, model: SVRasterOne) -> None:
        """Undo `of`."""
        grid = model.voxel_grid
        octree = dataclasses.replace(
            grid.octree,
            corner_idx=np.array(grid.octree.corner_idx),
            point_ijk=np.array(grid.octree.point_ijk),
        )
        densities, sh = (p.detach().clone().to(self.device) for p in (grid.densities, grid.sh))
        grid.replace(octree, densities, sh)
        for parameter in model.parameters():
            parameter.requires_grad_(True)
        for trainer in model.trainers:
            trainer.unpark()
