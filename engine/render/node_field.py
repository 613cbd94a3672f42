# SPDX-License-Identifier: MIT
"""The fields of octree nodes at samples, differentiable: the public op. Kernels on the CPU in float32, else the torch twin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.cpu.crew import crew
from engine.cpu.lists import Workspace
from engine.cpu.node_field import FieldGradients, Inputs, backward, forward
from engine.node_fields import FieldShape, NodeFields
from engine.reference.node_field import networks
from engine.reference.node_field import node_field as node_field_reference
from engine.shapes import check_shapes

__all__ = ["FieldOutput", "node_field"]


@dataclass(frozen=True, eq=False)
class FieldOutput:
    """density [M] per engine unit; rgb [M,3] in [0,1], None where no directions were given."""

    density: Tensor
    rgb: Tensor | None


def node_field(
    shape: FieldShape,
    tables: Tensor,  # [S,entries,F]
    mlp: Tensor,  # [S,mlp_size]
    slot: Tensor,  # [M] whole numbers: whose field evaluates a sample
    place: Tensor,  # [M,3] in [0,1], in the unit cube of the node
    ray: Tensor | None = None,  # [M] whole numbers: whose direction and appearance a sample has
    directions: Tensor | None = None,  # [Q,3] unit
    appearance: Tensor | None = None,  # [Q,A]
) -> FieldOutput:
    """Return densities and, where rays and directions are given, colours of samples.

    Differentiable inputs: tables, mlp, appearance. Float32 runs the kernels, on a GPU CUDA's for the grids and torch for the
    networks; float64 the twin. Gradients are the same for any number of threads; on a GPU the order of their sums is left to
    chance. Raises ValueError for shapes, slots, places or rays that do not fit.
    """
    entries, size = shape.entries, shape.mlp_size
    named = {
        "tables": (tables, f"S {entries} {shape.features}"), "mlp": (mlp, f"S {size}"), "slot": (slot, "M"),
        "place": (place, "M 3"),
    }  # fmt: skip
    if (ray is None) != (directions is None):
        raise ValueError("node_field(): ray and directions go together; give both or neither.")
    if ray is not None and directions is not None:
        named |= {"ray": (ray, "M"), "directions": (directions, "Q 3")}
        if appearance is not None:
            named["appearance"] = (appearance, f"Q {shape.appearance}")
    check_shapes("node_field", **named)
    if place.numel() and not (float(place.min()) >= 0.0 and float(place.max()) <= 1.0):
        raise ValueError("node_field(): place must be in [0,1]; use unit_position to find it.")
    _check_index("slot", slot, len(tables))
    if ray is not None and directions is not None:
        _check_index("ray", ray, len(directions))
    if tables.dtype == torch.float64 or tables.is_cuda:
        along = None if directions is None or ray is None else directions[ray.long()]
        looks = None if appearance is None or ray is None else appearance[ray.long()]
        found = node_field_reference if tables.dtype == torch.float64 else fields_by_group
        return FieldOutput(*found(shape, tables, mlp, slot.long(), place, along, looks))
    found = _NodeField.apply(tables, mlp, appearance, shape, slot, place, ray, directions)
    return FieldOutput(*found) if directions is not None else FieldOutput(found, None)


def fields_by_group(
    shape: FieldShape,
    tables: Tensor,
    mlp: Tensor,
    slot: Tensor,  # [M] int64
    place: Tensor,
    directions: Tensor | None,  # [M,3]
    appearance: Tensor | None,  # [M,A]
    **launch: Any,
) -> tuple[Tensor, Tensor | None]:
    """Return what the twin returns: the grids by CUDA's kernels, the networks as one product per matrix and slot."""
    from engine.cuda.node_field import encode

    order = torch.argsort(slot, stable=True)
    back = torch.empty_like(order)
    back[order] = torch.arange(len(order), device=order.device)
    sizes = torch.bincount(slot, minlength=len(tables)).tolist()

    def product(values: Tensor, matrices: Tensor, _: Tensor) -> Tensor:
        return torch.cat([part @ m for part, m in zip(values.split(sizes), matrices, strict=True)])

    features = encode(shape, tables, slot[order], place[order], **launch)
    along = None if directions is None else directions[order]
    looks = None if appearance is None else appearance[order]
    density, rgb = networks(shape, mlp, slot[order], features, along, looks, product)
    return density[back], None if rgb is None else rgb[back]


def _check_index(name: str, index: Tensor, n: int) -> None:
    if index.numel() and not (int(index.min()) >= 0 and int(index.max()) < n):
        raise ValueError(
            f"node_field(): {name} must be 0 to {n - 1}, got {int(index.min())} to {int(index.max())}."
        )


class _NodeField(torch.autograd.Function):
    """A kept pass forward and its way back."""

    @staticmethod
    def forward(
        ctx: Any, tables: Tensor, mlp: Tensor, appearance: Tensor | None, shape: FieldShape, slot: Tensor, place: Tensor,
        ray: Tensor | None, directions: Tensor | None,
    ) -> Any:  # fmt: skip
        fields = NodeFields(shape, _array(tables), _array(mlp))
        more = (None if a is None else _array(a) for a in (ray, directions, appearance))
        inputs, room = Inputs.of(fields, _array(slot), _array(place), *more), Workspace()
        out = forward(fields, inputs, crew(), room, keep=True)
        ctx.held = (fields, inputs, out, room, appearance is not None)
        density = torch.from_numpy(out.density)
        return density if out.rgb is None else (density, torch.from_numpy(out.rgb))

    @staticmethod
    def backward(ctx: Any, v_density: Tensor, v_rgb: Tensor | None = None) -> tuple[Tensor | None, ...]:
        fields, inputs, out, room, looked = ctx.held
        gradients = FieldGradients.of(fields)
        v_looks = backward(
            fields, inputs, out, _array(v_density), None if v_rgb is None else _array(v_rgb), gradients, crew(), room
        )  # fmt: skip
        return (
            torch.from_numpy(gradients.tables),  # tables
            torch.from_numpy(gradients.mlp),  # mlp
            torch.from_numpy(np.ascontiguousarray(v_looks)) if looked else None,  # appearance
            None,  # shape
            None,  # slot
            None,  # place
            None,  # ray
            None,  # directions
        )


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().contiguous().numpy()
