# SPDX-License-Identifier: MIT
"""The foreground box between the two ways to say where it is: engine units of the open scene, and the data's own."""

from __future__ import annotations

import numpy as np

Point = tuple[float, float, float]


def box_in_data(data_from_engine: np.ndarray, centre: Point, edge: float) -> tuple[Point, float]:
    """Return centre and edge in data units of a cube in engine units."""
    place = data_from_engine[:3, :3] @ np.asarray(centre) + data_from_engine[:3, 3]
    return tuple(float(x) for x in place), edge * _scale(data_from_engine)


def box_in_engine(data_from_engine: np.ndarray, centre: Point, edge: float) -> tuple[Point, float]:
    """Return centre and edge in engine units of a cube in data units."""
    return box_in_data(np.linalg.inv(data_from_engine), centre, edge)


def _scale(matrix: np.ndarray) -> float:
    return float(np.cbrt(np.linalg.det(matrix[:3, :3])))
