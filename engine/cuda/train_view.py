# SPDX-License-Identifier: MIT
"""One training view on a GPU: lists, colours, forward, loss, backward and Adam, in nine launches and one sort.

Bytes a voxel with colours of degree 3 and their moments in bfloat16, at 1.1 grid points a voxel, six voxels of ten in the view,
1.2 tiles each (counted, not measured; `benchmarks/gpu.py` measures):
    kept       colours 192, their moments 2 x 96, structure 41, statistics 14, densities with moments 15      454
    gradients  of densities 4, of colours, with the heaviest weight, 10                                        14
    the view   rectangles and sums 20, packets 38, pairs 9; sorting takes 35 before there are packets          67
together 535. Parameters, Adam and gradients alone are 411; as float32 with twelve gradients a voxel they would be some 850.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from engine.cuda.gradients import Goal, Gradients, gradients, owners_of_points
from engine.cuda.lists import ViewLists, VoxelTable

SH_GROUP = 16  # voxels whose coefficients stand side by side, as on the CPU


@dataclass(eq=False)
class FieldTensors:
    """What Adam changes, row by row: the same names and layouts as `engine.cpu.train_view.FieldArrays`, on a device.

    `density, density_m, density_v [G]` float32, `density_age [G]` int16; `sh [groups, 3 K, 16]` float32 and its moments,
    bfloat16 or float32; `sh_age [V]` int16; `priority, heaviest, footprint [V]` float32.
    """

    density: Tensor
    density_m: Tensor
    density_v: Tensor
    density_age: Tensor
    sh: Tensor
    sh_m: Tensor
    sh_v: Tensor
    sh_age: Tensor
    priority: Tensor
    heaviest: Tensor
    footprint: Tensor

    @classmethod
    def of(
        cls, arrays: dict[str, np.ndarray], device: torch.device | str, half_moments: bool = True
    ) -> FieldTensors:
        """Return the tensors of numpy arrays by name, as a checkpoint or the CPU's FieldArrays have them."""
        tensors = {}
        for field in fields(cls):
            array = arrays[field.name]
            array = array.astype(np.int16) if field.name.endswith("_age") else array
            tensors[field.name] = torch.from_numpy(np.ascontiguousarray(array)).to(device)
        if half_moments:
            tensors |= {name: tensors[name].to(torch.bfloat16) for name in ("sh_m", "sh_v")}
        return cls(**tensors)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return numpy arrays by name, as `of` takes them and checkpoints hold them."""
        arrays = {}
        for field in fields(self):
            tensor = getattr(self, field.name)
            array = (tensor.float() if tensor.is_floating_point() else tensor).cpu().numpy()
            arrays[field.name] = array.astype(np.uint16) if field.name.endswith("_age") else array
        return arrays

    def nbytes(self) -> int:
        """Return the bytes held."""
        return sum(getattr(self, field.name).nbytes for field in fields(self))


@dataclass(frozen=True, eq=False)
class Scratch:
    """What training on a structure needs beside its field: `v_density` [G], zero between views; owners when ordered."""

    v_density: Tensor
    owners: tuple[Tensor, Tensor] | None

    @classmethod
    def of(cls, table: VoxelTable, ordered: bool = False) -> Scratch:
        """Return the scratch of a structure; with `ordered` gradients are added in a fixed order."""
        zero = torch.zeros(table.n_points, dtype=torch.float32, device=table.device)
        return cls(zero, owners_of_points(table) if ordered else None)


def view_gradients(
    table: VoxelTable,
    density: Tensor,
    priority: Tensor,  # [V], added to
    scratch: Scratch,
    lists: ViewLists,  # packed
    goal: Goal,
    samples: int,
    total_variation: float,
) -> Gradients:
    """Go forward and back, total variation included; the gradients of densities are in `scratch.v_density` then."""
    n, points = table.n_voxels, table.n_points
    got = gradients(
        table, lists, goal, samples,
        v_density=scratch.v_density, priority=priority, ordered=scratch.owners is not None,
    )  # fmt: skip
    if total_variation > 0.0:
        table.run(
            "total_variation", n, n, lists.n_tiles, lists.slot_end, got.v_slot, table.corner_idx, density,
            total_variation, got.v_corners, scratch.v_density,
        )  # fmt: skip
    if got.v_corners is not None:
        table.run("sum_owners", points, points, *scratch.owners, got.v_corners, scratch.v_density)
    return got


def kernel_moments(field: FieldTensors) -> tuple[str, list[Tensor]]:
    """Return how the names of kernels end that take these moments of colours, and the moments as they take them."""
    half = field.sh_m.dtype == torch.bfloat16
    moments = [m.view(torch.int16) if half else m for m in (field.sh_m, field.sh_v)]
    return "_half" if half else "", moments


def train_on_view(
    table: VoxelTable,
    field: FieldTensors,
    scratch: Scratch,
    lists: ViewLists,  # packed
    goal: Goal,
    *,
    samples: int,
    degree: int,
    adam: Tensor,  # [N_ADAM] float32
    corrections: tuple[Tensor, Tensor],  # 1 / (1 - beta^n) by n, float32
    total_variation: float = 0.0,  # adam[TV], which decides whether there is a launch
) -> Tensor:
    """Take one Adam step on a view and return the loss sums, float64 [N_SUMS] on the device; nothing waits for them."""
    n, points = table.n_voxels, table.n_points
    got = view_gradients(table, field.density, field.priority, scratch, lists, goal, samples, total_variation)
    steps = len(corrections[0]), *corrections
    suffix, moments = kernel_moments(field)
    table.run(
        f"update_voxels{suffix}", n, n, lists.n_tiles, lists.slot_end, lists.view, lists.packets,
        got.v_slot, adam, *steps, field.sh.shape[1], degree, field.sh, *moments, field.sh_age, field.heaviest,
        field.footprint,
    )  # fmt: skip
    table.run(
        "update_points", points, points, adam, *steps, scratch.v_density, field.density, field.density_m,
        field.density_v, field.density_age,
    )  # fmt: skip
    return got.sums
