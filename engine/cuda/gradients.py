# SPDX-License-Identifier: MIT
"""The training rasteriser on a GPU: losses and gradients of a view whose packets are filled.

Two ways to add up what many pixels say about one voxel: with atomics, fast but in an order left to chance; or `ordered`, a row
per (voxel, tile) pair added up in a fixed order, so that the same seed gives the same run.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.constants import GIVEN, N_SUMS
from engine.cuda.lists import COLOUR_TERMS, ViewLists, VoxelTable

ROW = 16  # floats of a gradient row, see raster_grad.cu


@dataclass(frozen=True, eq=False)
class Goal:
    """What a view is compared with, and gradients at its pixels that come from outside. All on the device.

    `target` uint8 [H/shrink, W/shrink, 3] with mode MSE, L1 or HUBER; `keep` uint8 [H/shrink, W/shrink]: only pixels count where
    it is not 0; `v_rgb` [H,W,3], `v_trans`, `v_depth` [H,W]; `background` [3]; `weights` [N_WEIGHTS] float32.
    """

    background: Tensor
    weights: Tensor
    mode: int = GIVEN
    shrink: int = 1
    target: Tensor | None = None
    keep: Tensor | None = None
    v_rgb: Tensor | None = None
    v_trans: Tensor | None = None
    v_depth: Tensor | None = None

    @property
    def arguments(self) -> tuple[Tensor | int | None, ...]:
        """What the kernels take, in their order."""
        given = self.v_rgb, self.v_trans, self.v_depth
        return self.mode, self.shrink, self.target, self.keep, *given, self.background, self.weights


@dataclass(frozen=True, eq=False)
class Gradients:
    """Gradients of one view. `v_slot` [S,4] is r, g, b and the heaviest weight of each visible voxel.

    Densities: `v_density` [G] has them already, or `v_corners` [V,8] has yet to be summed by `sum_owners`. `v_colours`
    [V,8,3] with eight colours a voxel. `sums` float64 [N_SUMS], see constants.SUM_PHOTO and on.
    """

    sums: Tensor
    v_slot: Tensor
    v_density: Tensor
    v_corners: Tensor | None = None
    v_colours: Tensor | None = None


def gradients(
    table: VoxelTable,
    lists: ViewLists,
    goal: Goal,
    samples: int,
    *,
    v_density: Tensor,  # [G], zero before
    priority: Tensor | None = None,  # [V], added to
    ordered: bool = False,
) -> Gradients:
    """Rasterise, form the loss and go back."""
    run = _by_rows if ordered else _by_atomics
    shape = len(lists.range), N_SUMS
    tile_sums = torch.empty(shape, dtype=torch.float32, device=table.device)
    v_slot = torch.zeros((lists.n_slots, 4), dtype=torch.float32, device=table.device)
    v_corners, v_colours = run(table, lists, goal, samples, v_density, v_slot, priority, tile_sums)
    return Gradients(tile_sums.sum(dim=0, dtype=torch.float64), v_slot, v_density, v_corners, v_colours)


def _zeros(table: VoxelTable, *shape: int) -> Tensor:
    return torch.zeros(shape, dtype=torch.float32, device=table.device)


def _by_atomics(
    table: VoxelTable, lists: ViewLists, goal: Goal, samples: int,
    v_density: Tensor, v_slot: Tensor, priority: Tensor | None, tile_sums: Tensor,
) -> tuple[None, Tensor | None]:  # fmt: skip
    inputs = (*lists.frame, samples, *goal.arguments, table.corner_idx, v_density, v_slot)
    if lists.colour_terms is None:
        table.launch("raster_gradients", *lists.tiles, *inputs, priority, tile_sums)
        return None, None
    v_colours = _zeros(table, table.n_voxels, 8, 3)
    inputs = (*inputs[:7], lists.colour_terms, *inputs[7:])
    table.launch("raster_gradients_eight", *lists.tiles, *inputs, v_colours, priority, tile_sums)
    return None, v_colours


def _by_rows(
    table: VoxelTable, lists: ViewLists, goal: Goal, samples: int,
    v_density: Tensor, v_slot: Tensor, priority: Tensor | None, tile_sums: Tensor,
) -> tuple[Tensor, Tensor | None]:  # fmt: skip
    n = table.n_voxels
    rows = _zeros(table, lists.n_pairs, ROW)
    v_corners = torch.empty((n, 8), dtype=torch.float32, device=table.device)
    inputs = (samples, *goal.arguments, lists.origin, rows)
    v_colours = None
    if lists.colour_terms is None:
        table.launch("raster_rows", *lists.tiles, *lists.frame, *inputs, tile_sums)
    else:
        colour_rows = _zeros(table, lists.n_pairs, COLOUR_TERMS)
        v_colours = _zeros(table, n, 8, 3)
        terms = lists.colour_terms
        table.launch("raster_rows_eight", *lists.tiles, *lists.frame, terms, *inputs, colour_rows, tile_sums)
        table.run("sum_colour_rows", 24 * n, n, lists.n_tiles, lists.pair_end, colour_rows, v_colours)
    table.run(
        "sum_rows",
        16 * n,
        n,
        lists.n_tiles,
        lists.pair_end,
        lists.slot_end,
        rows,
        v_corners,
        v_slot,
        priority,
    )
    return v_corners, v_colours


def owners_of_points(table: VoxelTable) -> tuple[Tensor, Tensor]:
    """Return (owner_start int32 [G+1], owners int32 [8 V]): the voxel corners that meet in each point, in voxel order."""
    points, owners = torch.sort(table.corner_idx.reshape(-1), stable=True)
    edges = torch.arange(table.n_points + 1, dtype=torch.int32, device=table.device)
    return torch.searchsorted(points, edges, out_int32=True), owners.to(torch.int32)
