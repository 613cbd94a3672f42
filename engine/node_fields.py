# SPDX-License-Identifier: MIT
"""The radiance fields inside the nodes of an octree: one hash grid and two small networks each, all of one shape.

A field reads a position in the unit cube of its node. Each level of its grid has `resolution` cells an axis; entry
(x, y, z) of a level lies at x + (R+1) (y + (R+1) z) while (R+1)^3 entries fit the table, else at the XOR of x, y P1 and
z P2 modulo the table. Interpolated features -> hidden -> (density | geometry), and for the colour
(SH of the direction | sigmoid of the geometry | appearance) -> hidden -> hidden -> rgb. No biases.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from engine.errors import UserError

N_SH = 16  # values of a direction: spherical harmonics up to degree 3
RAW_LIMIT = 15.0  # the density's exponent is held below this, and within +- this for its gradient
TABLE_INIT = 1e-4  # features begin uniform in +- this


class Cubes(Protocol):
    """What `unit_position` asks of a tree: see `engine.node_tree`."""

    centre: np.ndarray
    half: float

    @property
    def nodes(self) -> int:
        """N, how many nodes there are."""

    def lower(self, nodes: np.ndarray) -> np.ndarray:
        """Return the low corners [n,3] of nodes."""

    def edge(self, nodes: np.ndarray) -> np.ndarray:
        """Return the edges [n] of nodes."""


@dataclass(frozen=True)
class Matrix:
    """Where a matrix [rows, columns] (inputs, outputs), row after row, lies in a network's parameters."""

    offset: int
    rows: int
    columns: int

    @property
    def end(self) -> int:
        """The offset behind it."""
        return self.offset + self.rows * self.columns


@dataclass(frozen=True)
class FieldShape:
    """The sizes of a node's field. All fields of a tree share one shape, so that capacity per level is fixed."""

    levels: int = 8
    log2_table: int = 14  # a level holds at most 2^this entries
    base_res: int = 16  # cells an axis of the coarsest level
    max_res: int = 128  # and of the finest
    features: int = 2  # of an entry
    hidden: int = 32
    geometry: int = 15  # values that the density network hands to the colour network
    appearance: int = 0  # values of a photo's appearance
    density_unit: float = 1.0  # density is exp(raw) times this, per engine unit

    def __post_init__(self) -> None:
        limits = (
            ("levels", 1, 16), ("log2_table", 4, 24), ("base_res", 1, self.max_res), ("max_res", 1, 1 << 16),
            ("features", 2, 2), ("hidden", 16, 128), ("geometry", 1, 15), ("appearance", 0, 64),
        )  # fmt: skip
        for name, low, high in limits:
            value = getattr(self, name)
            if not low <= value <= high:
                raise UserError(
                    f"FieldShape: {name} must be {low} to {high}, got {value}. Choose a value in that range."
                )
        if self.hidden % 16:
            raise UserError(
                f"FieldShape: hidden must be a multiple of 16, got {self.hidden}. Choose 32 or 64."
            )
        if not self.density_unit > 0.0:
            raise UserError(f"FieldShape: density_unit must be above 0, got {self.density_unit}. Choose 1.")

    @cached_property
    def resolutions(self) -> np.ndarray:
        """Cells an axis per level, int32 [L], growing by a constant factor."""
        steps = np.arange(self.levels) / max(1, self.levels - 1)
        exact = self.base_res * (self.max_res / self.base_res) ** steps
        return np.floor(exact + 1e-6).astype(np.int32)  # the last must not fall below max_res by rounding

    @cached_property
    def level_offsets(self) -> np.ndarray:
        """Where each level's entries begin, int64 [L+1]; a level holds min((R+1)^3, 2^log2_table)."""
        dense = (self.resolutions.astype(np.int64) + 1) ** 3
        return np.concatenate([[0], np.cumsum(np.minimum(dense, 1 << self.log2_table))])

    @property
    def hashed(self) -> np.ndarray:
        """Which levels hash, bool [L]."""
        return (self.resolutions.astype(np.int64) + 1) ** 3 > (1 << self.log2_table)

    @property
    def entries(self) -> int:
        """Entries of a node's table, all levels."""
        return int(self.level_offsets[-1])

    @cached_property
    def matrices(self) -> tuple[Matrix, Matrix, Matrix, Matrix, Matrix]:
        """The networks' matrices: density in, density out, colour in, colour middle, colour out."""
        h = self.hidden
        sizes = (
            (self.levels * self.features, h), (h, 1 + self.geometry),
            (N_SH + self.geometry + self.appearance, h), (h, h), (h, 3),
        )  # fmt: skip
        found, offset = [], 0
        for rows, columns in sizes:
            found.append(Matrix(offset, rows, columns))
            offset = found[-1].end
        return tuple(found)  # type: ignore[return-value]

    @property
    def mlp_size(self) -> int:
        """Parameters of a node's two networks."""
        return self.matrices[-1].end

    @property
    def parameters(self) -> int:
        """Parameters of a node."""
        return self.entries * self.features + self.mlp_size

    @property
    def node_bytes(self) -> int:
        """Bytes of a node in float32."""
        return 4 * self.parameters


@dataclass(eq=False)
class NodeFields:
    """The fields of S slots: tables float32 [S, entries, F] and mlp float32 [S, mlp_size] (see `FieldShape.matrices`).

    While training a slot is a node; a store that holds part of a tree keeps a map from nodes to slots.
    """

    shape: FieldShape
    tables: np.ndarray
    mlp: np.ndarray

    @property
    def slots(self) -> int:
        """How many fields there are."""
        return len(self.tables)

    def matrix(self, slot: int, which: int) -> np.ndarray:
        """Return a matrix [rows, columns] of a slot: a view."""
        place = self.shape.matrices[which]
        return self.mlp[slot, place.offset : place.end].reshape(place.rows, place.columns)

    def nbytes(self) -> int:
        """Return the bytes held."""
        return self.tables.nbytes + self.mlp.nbytes


def empty_fields(shape: FieldShape, slots: int) -> NodeFields:
    """Return fields of zeros."""
    tables = np.zeros((slots, shape.entries, shape.features), dtype=np.float32)
    return NodeFields(shape, tables, np.zeros((slots, shape.mlp_size), dtype=np.float32))


def fresh_fields(shape: FieldShape, slots: int, rng: np.random.Generator) -> NodeFields:
    """Return fields to begin training from: features near 0, matrices uniform with He's variance 2 / rows.

    Slot s draws the same numbers however many slots follow it.
    """
    fields = empty_fields(shape, slots)
    for slot in range(slots):
        draw = rng.random(shape.entries * shape.features, dtype=np.float32).reshape(shape.entries, -1)
        fields.tables[slot] = (draw - np.float32(0.5)) * np.float32(2.0 * TABLE_INIT)
        for which, place in enumerate(shape.matrices):
            bound = np.sqrt(6.0 / place.rows)
            fields.matrix(slot, which)[:] = rng.uniform(-bound, bound, (place.rows, place.columns))
    return fields


def contract(offset: Any) -> Any:
    """Return offsets [M,3] from a cube's centre in half edges, those outside [-1,1]^3 drawn into [-2,2]^3.

    A point at distance r > 1 in the maximum norm comes to 2 - 1/r. Numpy or torch.
    """
    far = abs(offset)
    size = far.max(-1)[0] if hasattr(far, "detach") else far.max(axis=-1)
    outside = size > 1.0
    size = size * outside + ~outside  # 1 inside, where the scale is 1
    return offset * ((2.0 - 1.0 / size) / size)[..., None]


def unit_position(
    tree: Cubes,
    nodes: np.ndarray,  # [M] int32
    positions: np.ndarray,  # [M,3] world
    background: bool = True,
) -> np.ndarray:
    """Return float32 [M,3] in [0,1]: where positions lie in their nodes' cubes.

    The root takes what lies outside it, by contraction: its cube is the middle half of its grid along each axis. Without
    a background the root's grid is its cube like any other's, and what is outside is moved to its faces.
    """
    place = (positions - tree.lower(nodes)) / tree.edge(nodes)[:, None]
    if background:
        root = nodes == 0
        place[root] = (contract((positions[root] - tree.centre) / tree.half) + 2.0) / 4.0
    return np.clip(place, 0.0, 1.0).astype(np.float32)
