# SPDX-License-Identifier: MIT
"""Which voxels to drop and which to split: decisions only, nothing is changed here."""

from __future__ import annotations

import numpy as np

from engine.constants import MAX_LEVEL
from engine.methods.svraster.config import AdaptOptions
from engine.octree import Octree


def prune_threshold(options: AdaptOptions, step: int) -> float:
    """Return the blending weight below which voxels are dropped at a step: a linear ramp."""
    if step >= options.prune_ramp_steps:
        return options.prune_threshold
    share = step / options.prune_ramp_steps
    return options.prune_start + share * (options.prune_threshold - options.prune_start)


def keep_mask(heaviest: np.ndarray, threshold: float) -> np.ndarray:
    """Return which voxels [V] stay: those whose heaviest weight [V] reaches the threshold; never none at all."""
    keep = heaviest >= threshold
    if not keep.any():
        keep[np.argmax(heaviest)] = True
    return keep


def split_mask(
    octree: Octree, priority: np.ndarray, footprint: np.ndarray, options: AdaptOptions, outside_levels: int
) -> np.ndarray:
    """Return which voxels [V] to split.

    Eligible: seen at all, above the finest level, children at least `sampling_rate` pixels wide in the closest view
    (`footprint [V]`: world size of a pixel there). All eligible voxels coarser than `split_all_to` (counted inside the
    foreground cube) are split; of the rest the `subdivide_share` of all voxels with the highest priority. Never more
    than the budget `max_voxels` allows: a split adds seven.
    """
    n = len(octree.level)
    children_px = 0.5 * octree.size / footprint
    eligible = (priority > 0.0) & (octree.level < MAX_LEVEL) & (children_px >= options.sampling_rate)
    coarse = eligible & (octree.level < options.split_all_to + outside_levels)
    wanted = round(options.subdivide_share * n)
    rank = np.where(eligible, priority, -1.0)
    rank[coarse] = np.inf
    wanted = min(max(wanted, int(coarse.sum())), max(0, (options.max_voxels - n) // 7), int(eligible.sum()))
    mask = np.zeros(n, dtype=bool)
    if wanted > 0:
        mask[np.argpartition(-rank, wanted - 1)[:wanted]] = True
    return mask & eligible
