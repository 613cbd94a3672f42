# SPDX-License-Identifier: MIT
"""How a model in training is, in a few numbers, and what memory it holds: read now and then, changing nothing."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from engine.methods.svraster.adapt import prune_threshold

if TYPE_CHECKING:
    from engine.methods.svraster.model import SVRaster

_OPTIMISER = ("density_m", "density_v", "density_age", "sh_m", "sh_v", "sh_age")


def vitals_of(model: SVRaster) -> dict[str, float]:
    """Return the numbers of a record.

    `dead`: share of the voxels whose heaviest weight, since the round over all views before the last pruning, is below the
    pruning threshold. `gradient_densities` and `gradient_colours`: lengths of the gradients of all rows, from Adam's running
    mean squares, that is over the last hundred updates of each row.
    """
    field = model.field
    per_voxel = field.sh_v.sum(axis=1).reshape(-1)  # [groups, 16]: one lane a voxel
    return vitals_from(model, field.heaviest, field.density_v, field.density_age, per_voxel, field.sh_age)


def vitals_from(
    model: SVRaster,
    heaviest: np.ndarray,  # [V] of this round
    density_v: np.ndarray,  # [G]
    density_age: np.ndarray,  # [G]
    colour_v: np.ndarray,  # [V or more] summed over a voxel's coefficients
    colour_age: np.ndarray,  # [V]
) -> dict[str, float]:
    """Return what `vitals_of` does, of a field wherever it lies."""
    beta2, n = model.config.rates.beta2, len(colour_age)
    seen_a_round = model.window_views >= len(model.scene.train) or bool(model.heaviest_before.any())
    threshold = prune_threshold(model.active.adapt, model.step)
    dead = np.maximum(heaviest, model.heaviest_before) < threshold
    return {
        "dead": float(np.mean(dead)) if seen_a_round else 0.0,
        "gradient_densities": _length(density_v, density_age, beta2),
        "gradient_colours": _length(colour_v[:n], colour_age, beta2),
    }


def _length(mean_square: np.ndarray, age: np.ndarray, beta2: float) -> float:
    """Return the root of the sum of running mean squares, the bias of young ones undone."""
    bias = 1.0 - beta2 ** np.arange(
        1, int(age.max(initial=0)) + 2
    )  # a power for every age, not for every row
    corrected = mean_square / bias[np.maximum(age, 1) - 1]
    return float(np.sqrt(corrected.sum(dtype=np.float64)))


def memory_of(model: SVRaster) -> dict[str, int]:
    """Return the bytes of each part of a model, by the names that people read."""
    field = model.field
    arrays = {f.name: getattr(field, f.name).nbytes for f in dataclasses.fields(field)}
    octree, table = model.octree, model.table
    structure = (octree.path, octree.level, octree.point_ijk, octree.corner_idx)
    statistics = sum(arrays[name] for name in ("priority", "heaviest", "footprint"))
    statistics += (
        model.heaviest_before.nbytes
        + model.born.nbytes
        + sum(a.nbytes for a in (*model._owners, *model._scratch))
    )
    return {
        "parameters": arrays["density"] + arrays["sh"],
        "optimiser": sum(arrays[name] for name in _OPTIMISER),
        "structure": sum(a.nbytes for a in (*structure, table.soa, table.box, table.chunks)),
        "statistics": statistics,
        "training buffers": model._room.nbytes(),
        "view buffers": model._view_room.nbytes(),
        "photos": model._targets.nbytes(),
    }
