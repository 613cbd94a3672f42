# SPDX-License-Identifier: MIT
"""The numbers of VALUE_MODES that SVRaster knows of its voxels, and how they are distributed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.cpu.crew import crew
from engine.cpu.voxel_values import centre_densities, count_bins
from engine.methods.common import LOGARITHMIC_MODES, VALUE_MODES, Histogram

if TYPE_CHECKING:
    from engine.methods.svraster.model import SVRaster

BINS = 64
_PERCENT = (0.5, 99.5)  # what lies beyond goes to the outermost bins
_SAMPLES = 50_000  # voxels looked at for a range
_DECADES = 1e-6  # of the largest value: what is smaller counts as that, where bins grow by a factor


def values_of(model: SVRaster, name: str) -> np.ndarray | None:
    """Return float32 [V]: a number of VALUE_MODES of each voxel; None for what a model in inference mode has put away.

    `density` per engine unit in the voxel's middle, `age` in steps, `weight` the heaviest that pruning knows of, `priority`
    as subdivision ranks by it.
    """
    n = len(model.octree)
    if name == "density":
        out = np.empty(n, dtype=np.float32)
        crew().run(centre_densities, model.here("density"), model.octree.corner_idx, out)
        return out
    if name == "age":
        return (model.step - model.born).astype(np.float32)
    if len(model.heaviest_before) != n:
        return None
    if name == "weight":
        return np.maximum(model.here("heaviest"), model.heaviest_before)
    return model.here("priority")


def born_after(born: np.ndarray, shrink: np.ndarray, carried: np.ndarray, step: int) -> np.ndarray:
    """Return the steps int32 [V'] at which voxels were made, after a change: one of another size than before is new."""
    return np.where(shrink == 1.0, born[carried], np.int32(step)).astype(np.int32)


def histograms_of(model: SVRaster, levels: tuple[int, ...]) -> tuple[Histogram, ...]:
    """Return the histogram of each number that is known, a row for each of `levels`."""
    row_of_level = np.full(17, -1, dtype=np.int64)
    row_of_level[list(levels)] = np.arange(len(levels))
    made = []
    for name in VALUE_MODES:
        values = values_of(model, name)
        if values is not None:
            made.append(histogram(name, values, model.octree.level, row_of_level, len(levels)))
    return tuple(made)


def histogram(
    name: str,
    values: np.ndarray,  # float32 [V]
    level: np.ndarray,  # int8 [V]
    row_of_level: np.ndarray,  # int64 [17], -1 for levels that have no row
    rows: int,
) -> Histogram:
    """Return how one number of voxels is distributed, a row for each of some levels."""
    logarithmic = name in LOGARITHMIC_MODES
    picked = values[:: max(1, len(values) // _SAMPLES)].astype(np.float64)
    if logarithmic:
        top = max(float(picked.max()), 1e-12)
        picked = np.log(np.maximum(picked, _DECADES * top))
    low, high = np.percentile(picked, _PERCENT)
    high = max(float(high), float(low) + 1e-6)
    edges = np.linspace(low, high, BINS + 1)
    edges = (np.exp(edges) if logarithmic else edges).astype(np.float32)
    return Histogram(name, edges, count_bins(values, level, row_of_level, rows, edges, crew()), logarithmic)
