# SPDX-License-Identifier: MIT
"""Parts of space that a person marks: a box that may be turned, a slice, and which voxels are shown. Plain values.

Everything is in engine units. Values compare and hash by what they say, so whoever keeps something per region can look it up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.errors import UserError

Vector = tuple[float, float, float]
_UNTURNED = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
_ORTHONORMAL = 1e-4  # how far rotation times its transpose may be off: written with few digits, it is rounded


@dataclass(frozen=True)
class Region:
    """A box with its middle at `centre`, `half` edges, and its axes the columns of `rotation` (world from box).

    Arrays may be given; they are kept as tuples of floats.
    """

    centre: Vector
    half: Vector
    rotation: tuple[Vector, Vector, Vector] = _UNTURNED

    def __post_init__(self) -> None:
        for name, shape in (("centre", (3,)), ("half", (3,)), ("rotation", (3, 3))):
            object.__setattr__(self, name, _tuples(name, getattr(self, name), shape))
        if min(self.half) <= 0.0:
            raise UserError(f"A region's half edges must be above 0, got {self.half}; make it larger.")
        turned = np.array(self.rotation)
        off = np.abs(turned @ turned.T - np.eye(3)).max()
        if off > _ORTHONORMAL or np.linalg.det(turned) <= 0.0:
            raise UserError("A region's rotation must turn without stretching or mirroring; set it anew.")

    @classmethod
    def between(cls, low: Sequence[float], high: Sequence[float]) -> Region:
        """Return the box along the axes from one corner to the opposite one."""
        low, high = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
        return cls(0.5 * (low + high), 0.5 * (high - low))  # type: ignore[arg-type]

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Return bool [N]: which of the points [N,3] lie in the box, its faces included; computed in the points' precision."""
        points = np.asarray(points)
        kind = points.dtype if points.dtype == np.float32 else np.float64  # a million points: twice as fast
        inside = np.ones(len(points), dtype=bool)
        for axis, middle, half in zip(self._axes.T, self._middle @ self._axes, self.half, strict=True):
            along = points @ axis.astype(kind)
            along -= along.dtype.type(middle)
            inside &= np.abs(along, out=along) <= half
        return inside

    def hit_by(self, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """Return bool [N]: which rays from `origins` along `directions` [N,3] pass through the box, ahead of their start."""
        begin = (np.asarray(origins, dtype=np.float64) - self._middle) @ self._axes
        along = np.asarray(directions, dtype=np.float64) @ self._axes
        along = np.where(np.abs(along) < 1e-12, 1e-12, along)  # parallel to a face: never or always between
        near, far = (-np.array(self.half) - begin) / along, (np.array(self.half) - begin) / along
        enter, leave = np.minimum(near, far).max(axis=-1), np.maximum(near, far).min(axis=-1)
        return (leave >= enter) & (leave > 0.0)

    def corners(self) -> np.ndarray:
        """Return the corners [8,3], corner 4 x + 2 y + z with x, y, z the sides along the box's axes."""
        signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float64)
        return self._middle + (signs * np.array(self.half)) @ self._axes.T

    def mapped(self, transform: np.ndarray) -> Region:
        """Return the region in other coordinates; `transform` [4,4] turns, moves and scales evenly."""
        linear = np.asarray(transform, dtype=np.float64)[:3, :3]
        scale = float(np.cbrt(np.linalg.det(linear)))
        centre = linear @ self._middle + np.asarray(transform)[:3, 3]
        return Region(centre, scale * np.array(self.half), linear @ self._axes / scale)  # type: ignore[arg-type]

    def as_json(self) -> dict[str, Any]:
        """Return the region as what `from_json` reads."""
        return {
            "centre": list(self.centre),
            "half": list(self.half),
            "rotation": [list(r) for r in self.rotation],
        }

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Region:
        """Return the region that `as_json` wrote."""
        return cls(record["centre"], record["half"], record["rotation"])

    @property
    def _middle(self) -> np.ndarray:
        return np.array(self.centre)

    @property
    def _axes(self) -> np.ndarray:
        return np.array(self.rotation)


@dataclass(frozen=True)
class Slice:
    """A plane through `point`: what lies on the side that `normal` points to is hidden; with a `thickness`, all but a slab.

    The slab reaches from the plane that far against the normal.
    """

    point: Vector
    normal: Vector
    thickness: float = 0.0

    def __post_init__(self) -> None:
        for name in ("point", "normal"):
            object.__setattr__(self, name, _tuples(name, getattr(self, name), (3,)))
        length = float(np.linalg.norm(self.normal))
        if length == 0.0 or not self.thickness >= 0.0:
            raise UserError(
                "A slice needs a normal that is not zero and a thickness of at least 0; set it anew."
            )
        object.__setattr__(self, "normal", tuple(float(v) / length for v in self.normal))

    def shows(self, points: np.ndarray) -> np.ndarray:
        """Return bool [N]: which of the points [N,3] are shown."""
        points, normal = np.asarray(points), np.array(self.normal)
        kind = points.dtype if points.dtype == np.float32 else np.float64
        height = points @ normal.astype(kind)
        height -= height.dtype.type(np.array(self.point) @ normal)
        return (height <= 0.0) if self.thickness == 0.0 else (height <= 0.0) & (height >= -self.thickness)


@dataclass(frozen=True)
class Shown:
    """Which voxels a view shows: those of `levels` (none given: all), in `crop` (with `crop_outside`, around it), by a slice.

    A voxel counts by its centre.
    """

    levels: tuple[int, ...] = ()
    crop: Region | None = None
    crop_outside: bool = False
    slice: Slice | None = None

    @property
    def everything(self) -> bool:
        """Whether nothing is hidden."""
        return not self.levels and self.crop is None and self.slice is None

    def mask(self, centre: np.ndarray, level: np.ndarray) -> np.ndarray:
        """Return bool [V]: which voxels of `centre` [V,3] and `level` [V] are shown."""
        shown = np.isin(level, self.levels) if self.levels else np.ones(len(level), dtype=bool)
        if self.crop is not None:
            shown &= self.crop.contains(centre) != self.crop_outside
        if self.slice is not None:
            shown &= self.slice.shows(centre)
        return shown


EVERYTHING = Shown()


def _tuples(name: str, value: Any, shape: tuple[int, ...]) -> Any:
    """Return numbers of a shape as tuples of floats."""
    array = np.asarray(value, dtype=np.float64)
    if array.shape != shape or not np.isfinite(array).all():
        raise UserError(f"A region's {name} must be {list(shape)} finite numbers, got {value}.")
    rows = array.tolist()
    return tuple(tuple(row) for row in rows) if len(shape) == 2 else tuple(rows)
