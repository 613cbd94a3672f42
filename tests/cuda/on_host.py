# SPDX-License-Identifier: MIT
"""Kernels on torch tensors of the CPU: what `engine.cuda.launch.launch` is on a GPU, the harness is here."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from engine.cuda import registry
from engine.cuda.lists import VoxelTable
from engine.octree import Octree
from tests.cuda import host


def launcher(checks: bool = False, seed: int = 0) -> Callable[..., None]:
    """Return a function to launch kernels with: the checked build or the plain one, blocks and threads shuffled by a seed."""

    def launch(
        name: str, grid: Sequence[int], block: Sequence[int], *args: torch.Tensor | float | None
    ) -> None:
        kernel = registry.kernels()[name]
        values = [_value(kind, arg) for kind, arg in zip(kernel.kinds, args, strict=True)]
        host.load(kernel.file, checks=checks).launch(name, grid, block, *values, seed=seed)

    return launch


def _value(kind: str, arg: torch.Tensor | float | None) -> np.ndarray | float | None:
    if not isinstance(arg, torch.Tensor):
        return arg
    array = arg.detach().numpy()
    return array.view(np.uint16) if kind[1:] == "H" else array


def host_table(octree: Octree, checks: bool = False, seed: int = 0) -> VoxelTable:
    """Return an octree laid out for kernels that run here."""
    return VoxelTable.of(octree, "cpu", launcher(checks, seed))
