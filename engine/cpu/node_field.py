# SPDX-License-Identifier: MIT
"""Evaluating the fields of nodes on the CPU, and their gradients: what callers use of the `node_*` kernels.

A pass: `Inputs.of(...)` sorts samples by slot, `forward` gives densities and colours, `backward` adds to `FieldGradients`,
`engine.cpu.node_adam.adam_touched` consumes them. Any number of passes may add before one step.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from engine.cpu.crew import Crew
from engine.cpu.lists import Workspace
from engine.cpu.node_grid import (
    CELLS,
    FIRST,
    HASH_MASK,
    N_LEVEL,
    gather_features,
    scatter_features,
    sort_places,
)
from engine.cpu.node_net import APPEARANCE_ROW, net_numbers
from engine.cpu.node_pass import (
    CHUNK,
    add_looks,
    add_partial,
    direction_rows,
    field_backward,
    field_forward,
    sort_by_slot,
)
from engine.cpu.node_waiting import Waiting
from engine.cpu.simd import LANES
from engine.node_fields import N_SH, FieldShape, NodeFields
from engine.shapes import check_shapes

_NOTHING = np.zeros(16, dtype=np.float32)
_NO_ROWS = np.zeros((1, 3), dtype=np.float32)
_NO_RAY = np.zeros(1, dtype=np.int32)


@dataclass(frozen=True, eq=False)
class Groups:
    """Samples sorted by slot: sample order[p] is the p-th; group g, of slots[g], has p in offsets[g] .. offsets[g+1] - 1.

    order int32 [M]; slots int32 [G], only those with samples; offsets int64 [G+1]; chunks int64 [n,3]: slot, begin and end
    of at most CHUNK samples; first_chunk int64 [G+1].
    """

    order: np.ndarray
    slots: np.ndarray
    offsets: np.ndarray
    chunks: np.ndarray
    first_chunk: np.ndarray


def group_by_slot(slot: np.ndarray, slots: int) -> Groups:
    """Return samples sorted by slot int32 [M], each in 0 .. slots - 1, by counting."""
    slot = np.ascontiguousarray(slot, dtype=np.int32)
    if len(slot) and not (0 <= int(slot.min()) and int(slot.max()) < slots):
        raise ValueError(
            f"group_by_slot(): slots must be 0 to {slots - 1}, got {slot.min()} to {slot.max()}."
        )
    starts, order = np.zeros(slots + 1, dtype=np.int64), np.empty(len(slot), dtype=np.int32)
    sort_by_slot(slot, starts, order)
    used = np.flatnonzero(starts[1:] > starts[:-1])
    offsets = np.append(starts[used], len(slot)).astype(np.int64)
    first_chunk = np.concatenate([[0], np.cumsum(-(-np.diff(offsets) // CHUNK))]).astype(np.int64)
    group = np.repeat(np.arange(len(used)), np.diff(first_chunk))
    begin = offsets[group] + (np.arange(len(group)) - first_chunk[group]) * CHUNK
    chunks = np.stack([used[group], begin, np.minimum(begin + CHUNK, offsets[group + 1])], axis=1)
    return Groups(
        order, used.astype(np.int32), offsets, np.ascontiguousarray(chunks, dtype=np.int64), first_chunk
    )


@cache
def level_numbers(shape: FieldShape) -> np.ndarray:
    """Return what the kernels read a shape's levels from, int64 [L, N_LEVEL]."""
    levels = np.zeros((shape.levels, N_LEVEL), dtype=np.int64)
    levels[:, FIRST] = shape.level_offsets[:-1]
    levels[:, CELLS] = shape.resolutions
    levels[:, HASH_MASK] = np.where(shape.hashed, (1 << shape.log2_table) - 1, 0)
    return levels


@dataclass(frozen=True, eq=False)
class Inputs:
    """Samples to evaluate, in any order. Ray q gives the direction and appearance of its samples.

    place float32 [M,3] in the unit cube of the node; groups by slot; ray int32 [M]; directions float32 [Q,3] unit;
    appearance float32 [Q,A] or None. Without rays (None) there is density only.
    """

    groups: Groups
    place: np.ndarray
    ray: np.ndarray | None = None
    directions: np.ndarray | None = None
    appearance: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        fields: NodeFields,
        slot: np.ndarray,  # [M]
        place: np.ndarray,  # [M,3]
        ray: np.ndarray | None = None,  # [M]
        directions: np.ndarray | None = None,  # [Q,3]
        appearance: np.ndarray | None = None,  # [Q,A]
    ) -> Inputs:
        """Return checked inputs. Raises ValueError for shapes that do not fit and for slots that are not there."""
        check_shapes("field inputs", slot=(slot, "M"), place=(place, "M 3"))
        if ray is not None and directions is not None:
            named = {"slot": (slot, "M"), "ray": (ray, "M"), "directions": (directions, "Q 3")}
            if appearance is not None:
                named["appearance"] = (appearance, f"Q {fields.shape.appearance}")
            check_shapes("field inputs", **named)
            if len(ray) and not (0 <= int(ray.min()) and int(ray.max()) < len(directions)):
                raise ValueError(
                    f"field inputs: ray must be 0 to {len(directions) - 1}, got {ray.min()} to {ray.max()}."
                )
            ray = np.ascontiguousarray(ray, dtype=np.int32)
            directions = np.ascontiguousarray(directions, dtype=np.float32)
        place = np.ascontiguousarray(place, dtype=np.float32)
        return cls(group_by_slot(slot, fields.slots), place, ray, directions, appearance)


@dataclass(frozen=True, eq=False)
class Outputs:
    """density float32 [M]; rgb [M,3] or None; and what `backward` needs of a pass that was kept, in its workspace."""

    density: np.ndarray
    rgb: np.ndarray | None
    features: np.ndarray
    places: np.ndarray
    sh: np.ndarray
    looks: np.ndarray


@dataclass(eq=False)
class FieldGradients:
    """Gradients of all slots, added up: tables [S, entries, F], mlp [S, mlp_size]; touched uint8 [S]: slots with any.

    An entry is touched where its gradient is not 0. `adam_touched` sets what it consumed back to 0. With `waiting`, tables
    has no entries: the passes' gradients of features wait there for the step, which gives the same bits in less time.
    """

    tables: np.ndarray
    mlp: np.ndarray
    touched: np.ndarray
    waiting: Waiting | None = None

    @classmethod
    def of(cls, fields: NodeFields, waiting: bool = False) -> FieldGradients:
        """Return zero gradients for fields. Do not let them wait where tables' gradients are looked at before the step."""
        touched, mlp = np.zeros(fields.slots, dtype=np.uint8), np.zeros_like(fields.mlp)
        if waiting:
            none = np.zeros((fields.slots, 0, fields.shape.features), dtype=np.float32)
            return cls(none, mlp, touched, Waiting(fields.slots))
        return cls(np.zeros_like(fields.tables), mlp, touched)

    def clear(self) -> None:
        """Forget the gradients of all touched slots."""
        slots = np.flatnonzero(self.touched)
        self.tables[slots], self.mlp[slots], self.touched[slots] = 0.0, 0.0, 0
        if self.waiting is not None:
            self.waiting.take()

    def nbytes(self) -> int:
        """Return the bytes held."""
        waiting = 0 if self.waiting is None else self.waiting.nbytes()
        return self.tables.nbytes + self.mlp.nbytes + self.touched.nbytes + waiting


def forward(fields: NodeFields, inputs: Inputs, crew: Crew, room: Workspace, keep: bool = False) -> Outputs:
    """Return densities (per engine unit) and, where there are rays, colours in [0,1], in fresh arrays.

    With `keep`, `backward` can follow; what it needs lies in `room` until the next kept pass with the same room.
    """
    shape, n = fields.shape, len(inputs.place)
    net = net_numbers(shape)
    wants = inputs.ray is not None and inputs.directions is not None
    density = np.empty(n, dtype=np.float32)
    rgb = np.empty((n, 3), dtype=np.float32) if wants else _NO_ROWS
    kept = "" if keep else "passing_"
    features = room.take(f"field_{kept}features", (shape.levels * n * 2,), np.float32)
    places = room.take(f"field_{kept}places", (3 * (n + LANES),), np.float32)
    sh, looks = (
        _ray_rows(inputs, int(net[APPEARANCE_ROW]), shape.appearance, crew, room)
        if wants
        else (_NOTHING, _NOTHING)
    )
    groups = inputs.groups
    crew.run(sort_places, inputs.place, groups.order, n + LANES, places)
    crew.run(
        gather_features, groups.chunks, level_numbers(shape), shape.entries, fields.tables.reshape(-1), places, n + LANES,
        n, features,
    )  # fmt: skip
    crew.run(
        field_forward, groups.chunks, groups.order, fields.mlp.reshape(-1), shape.mlp_size, net,
        np.float32(shape.density_unit), inputs.ray if wants else _NO_RAY, sh, looks, wants, features, density, rgb,
    )  # fmt: skip
    return Outputs(density, rgb if wants else None, features, places, sh, looks)


def _ray_rows(
    inputs: Inputs, more: int, appearance: int, crew: Crew, room: Workspace
) -> tuple[np.ndarray, np.ndarray]:
    """Return flat rows per ray: its direction's spherical harmonics, and its appearance padded to whole vectors."""
    assert inputs.directions is not None
    rays = len(inputs.directions)
    sh = room.take("field_sh", (rays, N_SH), np.float32)
    crew.run(direction_rows, inputs.directions, sh)
    looks = room.take("field_looks", (rays, more), np.float32)
    looks[:] = 0.0
    if inputs.appearance is not None:
        looks[:, :appearance] = inputs.appearance
    return sh.reshape(-1), looks.reshape(-1)


def backward(
    fields: NodeFields,
    inputs: Inputs,
    outputs: Outputs,  # of a kept pass
    v_density: np.ndarray,  # [M]
    v_rgb: np.ndarray | None,  # [M,3], None: densities only
    gradients: FieldGradients,
    crew: Crew,
    room: Workspace,
) -> np.ndarray:
    """Add the gradients of a kept pass to `gradients`; return those of the rays' appearance [Q,A] (None given: [Q,0]).

    The same seed gives the same bits, whatever the number of threads.
    """
    shape, groups, n = fields.shape, inputs.groups, len(inputs.place)
    net = net_numbers(shape)
    with_colour = v_rgb is not None and outputs.rgb is not None and inputs.ray is not None
    rays, more = 0 if inputs.directions is None else len(inputs.directions), int(net[APPEARANCE_ROW])
    waiting = gradients.waiting
    if waiting is None:
        v_features = room.take("field_v_features", (shape.levels * n * 2,), np.float32)
    else:
        v_features = waiting.add(groups.slots, groups.offsets, outputs.places, shape.levels, n + LANES, n)
    partial = room.take("field_partial", (len(groups.chunks), shape.mlp_size), np.float32)
    v_samples = room.take("field_v_looks", (n * more,), np.float32)
    crew.run(
        field_backward, groups.chunks, groups.order, fields.mlp.reshape(-1), shape.mlp_size, net,
        np.float32(shape.density_unit), inputs.ray if with_colour else _NO_RAY, outputs.sh, outputs.looks, with_colour,
        outputs.features, outputs.rgb if with_colour else _NO_ROWS,
        np.ascontiguousarray(v_density, dtype=np.float32),
        np.ascontiguousarray(v_rgb, dtype=np.float32) if with_colour else _NO_ROWS, v_features, partial, v_samples,
    )  # fmt: skip
    if waiting is None:
        crew.run(
            scatter_features, groups.slots, groups.offsets, level_numbers(shape), shape.entries, outputs.places, n + LANES,
            v_features, n, gradients.tables.reshape(-1),
        )  # fmt: skip
    crew.run(add_partial, groups.slots, groups.first_chunk, partial, gradients.mlp)
    gradients.touched[groups.slots] = 1
    v_looks = np.zeros((rays, more), dtype=np.float32)
    if with_colour and more:
        add_looks(inputs.ray, v_samples, more, v_looks.reshape(-1))
    return v_looks[:, : shape.appearance]
