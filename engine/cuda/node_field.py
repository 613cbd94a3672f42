# SPDX-License-Identifier: MIT
"""The hash grids of nodes' fields on a GPU, differentiable. Gradients are added in an order left to chance."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.cuda.launch import launch as launch_on_gpu
from engine.cuda.lists import THREADS, Launch, upload
from engine.cuda.registry import blocks_for
from engine.node_fields import FieldShape


def encode(
    shape: FieldShape,
    tables: Tensor,  # [S, entries, 2]
    slot: Tensor,  # [M] whole numbers
    place: Tensor,  # [M,3] in [0,1]
    launch: Launch = launch_on_gpu,
) -> Tensor:
    """Return the interpolated features [M, 2 L], level by level, in float32."""
    places, slots = place.float().contiguous(), slot.to(torch.int32).contiguous()
    features = _Encode.apply(tables.float().contiguous(), slots, places, shape, launch)
    return features.permute(1, 0, 2).flatten(1)


def _levels(shape: FieldShape, device: torch.device) -> Tensor:
    """Return what the kernels read levels from, int32 [L,3]: first entry, cells an axis, mask of the hash."""
    mask = np.where(shape.hashed, (1 << shape.log2_table) - 1, 0)
    rows = np.stack([shape.level_offsets[:-1], shape.resolutions, mask], axis=1)
    return upload(np.ascontiguousarray(rows, dtype=np.int32), device)


class _Encode(torch.autograd.Function):
    """`node_encode` and its way back."""

    @staticmethod
    def forward(
        ctx: Any, tables: Tensor, slots: Tensor, places: Tensor, shape: FieldShape, launch: Launch
    ) -> Tensor:
        n, levels = len(slots), _levels(shape, tables.device)
        features = tables.new_empty((shape.levels, n, shape.features))
        grid = (blocks_for(n, THREADS), shape.levels)
        if n:
            launch("node_encode", grid, (THREADS,), n, shape.entries, levels, slots, places, tables, features)
        ctx.save_for_backward(levels, slots, places)
        ctx.grid, ctx.launch, ctx.tables = grid, launch, tables.shape
        return features

    @staticmethod
    def backward(ctx: Any, v_features: Tensor) -> tuple[Tensor | None, ...]:
        if torch.are_deterministic_algorithms_enabled():
            raise RuntimeError(
                "node_field() adds gradients on a GPU in an order left to chance, but "
                "torch.use_deterministic_algorithms(True) was called; evaluate on the CPU."
            )
        levels, slots, places = ctx.saved_tensors
        v_tables = v_features.new_zeros(ctx.tables)
        if len(slots):
            ctx.launch(
                "node_encode_backward", ctx.grid, (THREADS,), len(slots), ctx.tables[1], levels, slots, places,
                v_features.contiguous(), v_tables,
            )  # fmt: skip
        return (
            v_tables,  # tables
            None,  # slots
            None,  # places
            None,  # shape
            None,  # launch
        )
