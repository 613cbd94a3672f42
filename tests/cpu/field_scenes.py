# SPDX-License-Identifier: MIT
"""Small fields and samples to try kernels on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.node_fields import FieldShape, NodeFields, fresh_fields

# Three levels: a dense one, two that hash; appearance that does not fill a vector.
SMALL = FieldShape(levels=3, log2_table=8, base_res=4, max_res=21, hidden=16, geometry=7, appearance=5)
USUAL = FieldShape()


@dataclass(frozen=True, eq=False)
class Samples:
    """M samples of Q rays in the slots of fields."""

    slot: np.ndarray
    place: np.ndarray
    ray: np.ndarray
    directions: np.ndarray
    appearance: np.ndarray | None


def lively_fields(shape: FieldShape, slots: int, seed: int = 0) -> NodeFields:
    """Return fields whose features are of order one, so that every part of the networks matters."""
    fields = fresh_fields(shape, slots, np.random.default_rng(seed))
    fields.tables *= 1e4
    return fields


def random_samples(shape: FieldShape, slots: int, m: int, rays: int = 7, seed: int = 1) -> Samples:
    """Return samples all over the unit cube, corners and faces among them; the last slot has none."""
    rng = np.random.default_rng(seed)
    place = rng.random((m, 3)).astype(np.float32)
    place[:3] = np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [1.0, 0.0, 0.5]])[:m]
    directions = rng.normal(size=(rays, 3))
    directions = (directions / np.linalg.norm(directions, axis=1, keepdims=True)).astype(np.float32)
    looks = rng.normal(size=(rays, shape.appearance)).astype(np.float32) if shape.appearance else None
    slot = rng.integers(0, max(1, slots - 1), m).astype(np.int32)
    return Samples(slot, place, rng.integers(0, rays, m).astype(np.int32), directions, looks)
