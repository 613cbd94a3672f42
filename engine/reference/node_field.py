# SPDX-License-Identifier: MIT
"""The fields of nodes, written to be read: differentiable by autograd in any float type.

Per sample with place u in its node's unit cube, direction d and appearance a:
    features = trilerp(table of level l at u) for all l,  (raw, g) = W2^T max(0, W1^T features),
    density = unit exp(min(raw, 15)), with the gradient unit exp(raw held within +-15),
    rgb = sigmoid(C3^T max(0, C2^T max(0, C1^T [SH(d), sigmoid(g), a]))).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from engine.constants import HASH_Y, HASH_Z
from engine.node_fields import RAW_LIMIT, FieldShape
from engine.sh import sh_basis


class _TruncExp(torch.autograd.Function):
    """exp(min(x, RAW_LIMIT)), whose gradient goes on beyond the limit so that a density can come back."""

    @staticmethod
    def forward(ctx: Any, raw: Tensor) -> Tensor:
        ctx.save_for_backward(raw)
        return torch.exp(raw.clamp(max=RAW_LIMIT))

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> Tensor:
        (raw,) = ctx.saved_tensors
        return v * torch.exp(raw.clamp(-RAW_LIMIT, RAW_LIMIT))


def node_field(
    shape: FieldShape,
    tables: Tensor,  # [S, entries, F]
    mlp: Tensor,  # [S, mlp_size]
    slot: Tensor,  # [M] int64
    place: Tensor,  # [M,3] in [0,1]
    directions: Tensor | None = None,  # [M,3] unit; None: density only
    appearance: Tensor | None = None,  # [M,A]
) -> tuple[Tensor, Tensor | None]:
    """Return densities [M] and colours [M,3], in the dtype of `tables`."""
    return networks(shape, mlp, slot, encode(shape, tables, slot, place), directions, appearance)


# Multiplies values [M, rows] by the matrices [S, rows, columns] of their slots [M].
Product = Callable[[Tensor, Tensor, Tensor], Tensor]


def product_of_each(values: Tensor, matrices: Tensor, slot: Tensor) -> Tensor:
    """Return each sample's values times its slot's matrix."""
    return torch.einsum("mi,mio->mo", values, matrices[slot])


def networks(
    shape: FieldShape,
    mlp: Tensor,  # [S, mlp_size]
    slot: Tensor,  # [M] int64
    features: Tensor,  # [M, L F]
    directions: Tensor | None,  # [M,3]
    appearance: Tensor | None,  # [M,A]
    product: Product = product_of_each,
) -> tuple[Tensor, Tensor | None]:
    """Return densities and colours of interpolated features."""
    matrices = [mlp[:, m.offset : m.end].unflatten(1, (m.rows, m.columns)) for m in shape.matrices]

    def through(which: int, values: Tensor) -> Tensor:
        return product(values, matrices[which], slot)

    out = through(1, through(0, features).relu())
    density = _TruncExp.apply(out[:, 0]) * shape.density_unit
    if directions is None:
        return density, None
    parts = [sh_basis(directions, 3), out[:, 1:].sigmoid()]
    if shape.appearance:
        parts.append(appearance if appearance is not None else out.new_zeros(len(out), shape.appearance))
    rgb = through(4, through(3, through(2, torch.cat(parts, dim=1)).relu()).relu()).sigmoid()
    return density, rgb


def encode(shape: FieldShape, tables: Tensor, slot: Tensor, place: Tensor) -> Tensor:
    """Return the interpolated features [M, L F], level by level."""
    found = []
    for level in range(shape.levels):
        cells, first = int(shape.resolutions[level]), int(shape.level_offsets[level])
        scaled = place * cells
        low = scaled.detach().floor().long().clamp(max=cells - 1)
        part = scaled - low
        total = tables.new_zeros(len(place), shape.features)
        for corner in range(8):
            step = torch.tensor([corner >> 2, (corner >> 1) & 1, corner & 1])
            x, y, z = (low + step).unbind(dim=1)
            if shape.hashed[level]:
                entry = (x ^ (y * HASH_Y) ^ (z * HASH_Z)) % (1 << shape.log2_table)
            else:
                entry = x + (cells + 1) * (y + (cells + 1) * z)
            weight = torch.where(step.bool(), part, 1.0 - part).prod(dim=1)
            total = total + weight[:, None] * tables[slot, first + entry]
        found.append(total)
    return torch.cat(found, dim=1)
