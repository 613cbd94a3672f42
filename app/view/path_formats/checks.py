# SPDX-License-Identifier: MIT
"""What every file of a camera path must satisfy, and what reading one gives.

A refusal names the file, the key, what was wanted and what came.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from app.view.path import CameraPath
from engine.conventions import similarity
from engine.errors import UserError

MAX_BYTES = 16 << 20
MAX_KEYS = 100_000
LARGEST = 1e12  # a number beyond is a mistake: float64 would no longer tell neighbouring cameras apart
ROTATION_TOLERANCE = 1e-3  # hand-edited files round; more than this is no rotation
# From (x, y, z) of a dataset to instant-ngp's order of axes.
_NGP_AXES = np.array([[0.0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])


@dataclass(frozen=True, eq=False)
class PathFrame:
    """Where other programs' coordinates lie in the dataset's; their path files do not say.

    instant-ngp: "scale" and "offset" of the transforms.json it opened. nerfstudio: "transform" [3,4] and
    "scale" of the dataparser_transforms.json beside its run.
    """

    ngp_scale: float = 0.33
    ngp_offset: tuple[float, float, float] = (0.5, 0.5, 0.5)
    nerfstudio_transform: np.ndarray = field(default_factory=lambda: np.eye(4)[:3])
    nerfstudio_scale: float = 1.0

    @property
    def ngp_from_data(self) -> np.ndarray:
        """The similarity [4,4] into instant-ngp's coordinates."""
        return _NGP_AXES @ similarity(self.ngp_scale, np.asarray(self.ngp_offset, dtype=np.float64))

    @property
    def nerfstudio_from_data(self) -> np.ndarray:
        """The similarity [4,4] into nerfstudio's coordinates: first the transform, then the scale."""
        whole = np.vstack([np.asarray(self.nerfstudio_transform, dtype=np.float64), [0.0, 0.0, 0.0, 1.0]])
        return similarity(self.nerfstudio_scale, np.zeros(3)) @ whole


@dataclass(frozen=True, eq=False)
class FilePath:
    """A path as a file holds it, in dataset coordinates, and what was left out or guessed in reading it."""

    path: CameraPath
    format: str
    notes: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    fps: float | None = None


def listed(file: str, content: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Return a list of objects of a file, 1 to MAX_KEYS of them."""
    entries = content.get(name)
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_KEYS:
        came = len(entries) if isinstance(entries, list) else "no list"
        raise UserError(f"{file} must hold a list of 1 to {MAX_KEYS:,} {name!r}, got {came}.")
    for i, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise UserError(f"{file}: key {i + 1} must be an object, got {type(entry).__name__}.")
    return entries


def number(where: str, entry: dict[str, Any], name: str, default: float | None = None) -> float:
    """Return a finite number of an object; `default` serves where there is none or null."""
    value = entry.get(name)
    if value is None and default is not None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < LARGEST:
        raise UserError(f"{where} must have a finite number {name!r}, got {value!r:.60}.")
    return float(value)


def flag(where: str, entry: dict[str, Any], name: str) -> bool:
    """Return a yes or no of an object; none is no."""
    value = entry.get(name, False)
    if value is not None and not isinstance(value, bool):
        raise UserError(f"{where} must have true or false for {name!r}, got {value!r:.60}.")
    return bool(value)


def numbers(where: str, entry: dict[str, Any], name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return an array of finite numbers of an object, row after row."""
    wanted = " x ".join(str(n) for n in shape)
    try:
        values = np.array(entry.get(name), dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        values = np.empty(0)
    if values.shape != shape or not (np.abs(values) < LARGEST).all():
        raise UserError(
            f"{where} must have a {name!r} of {wanted} finite numbers, got {entry.get(name)!r:.60}."
        )
    return values


def fov_rad(where: str, degrees: float, name: str) -> float:
    """Return a vertical field of view in radians."""
    if not 0.0 < degrees < 180.0:
        raise UserError(f"{where} must have a {name!r} between 0 and 180, got {degrees:g}.")
    return float(np.radians(degrees))


def pose(where: str, name: str, matrix: np.ndarray) -> np.ndarray:
    """Return a pose [4,4] that is a rotation and a position."""
    rotation = matrix[:3, :3]
    skewed = np.abs(rotation.T @ rotation - np.eye(3)).max() > ROTATION_TOLERANCE
    if skewed or np.linalg.det(rotation) < 0.0 or not np.array_equal(matrix[3], [0, 0, 0, 1]):
        raise UserError(f"{where} has a {name!r} that is not a rotation and a position.")
    return matrix


def above_zero(where: str, name: str, value: float) -> float:
    """Return a number that must be more than nothing."""
    if not value > 0.0:
        raise UserError(f"{where} must have a {name!r} above 0, got {value:g}.")
    return value
