# SPDX-License-Identifier: MIT
"""What a checkpoint holds of a model: everything from which training goes on exactly. A friend of `model.py`."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.cpu.train_view import FieldArrays
from engine.errors import CheckpointError
from engine.methods.svraster.train_region import TrainRegion
from engine.octree import Octree
from engine.options import flatten, updated
from engine.region import Region

if TYPE_CHECKING:
    from engine.methods.svraster.model import SVRaster

_FIELDS = tuple(field.name for field in dataclasses.fields(FieldArrays))


def state_of(model: SVRaster) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return (tensors, JSON-able header)."""
    tensors = {f"field.{name}": getattr(model.field, name) for name in _FIELDS}
    tensors |= {
        "octree.path": model.octree.path,
        "octree.level": model.octree.level,
        "octree.point_ijk": model.octree.point_ijk,
        "octree.corner_idx": model.octree.corner_idx,
        "heaviest_before": model.heaviest_before,
        "born": model.born,
        "background": model.backdrop.rows(),
        "exposure": model.exposure.rows(),
        "poses": model.poses.rows(),
        "errors": model.errors.rows(),
        "queue": np.array(model.queue, dtype=np.int64),
    }
    header = {
        "method": model.name,
        "step": model.step,
        "seed": model.seed,
        "options": flatten(model.config),
        "window_views": model.window_views,
        "root_size": float(model.octree.root_size),
        "rng": json.dumps(model.rng.bit_generator.state),
        "train_region": None if model.region is None else model.region.region.as_json(),
    }
    return tensors, header


def load_into(model: SVRaster, tensors: dict[str, np.ndarray], header: dict[str, Any]) -> None:
    """Give a model the state that `state_of` returned, in this or another process."""
    if header.get("method") != model.name:
        raise CheckpointError(f"The checkpoint holds a {header.get('method')} model, not {model.name}.")
    model.use(updated(model.config, header["options"]))
    model.step, model.seed = int(header["step"]), int(header["seed"])
    model.rng = np.random.default_rng(model.seed)
    model.rng.bit_generator.state = json.loads(header["rng"])
    model.queue = [int(i) for i in tensors["queue"]]
    # earlier versions told since which step, and took one view a step
    model.window_views = int(header.get("window_views", model.step - header.get("window_start", 0)))
    model.backdrop.load_rows(tensors["background"])
    if "exposure" in tensors:  # checkpoints of earlier versions have none
        model.exposure.load_rows(tensors["exposure"])
    if "poses" in tensors:
        model.poses.load_rows(tensors["poses"])
    if "errors" in tensors:
        model.errors.load_rows(np.array(tensors["errors"]))
    model.field = FieldArrays(**{name: np.array(tensors[f"field.{name}"]) for name in _FIELDS})
    model.heaviest_before = np.array(tensors["heaviest_before"])
    n = len(tensors["octree.path"])
    # earlier versions did not count: every voxel is as old as the run
    model.born = np.array(tensors["born"]) if "born" in tensors else np.zeros(n, dtype=np.int32)
    # a card trains everything; SceneOpened says so
    region = None if model.card else header.get("train_region")
    cameras = [view.camera for view in model.scene.train.views]
    model.region = None if region is None else TrainRegion(Region.from_json(region), cameras)
    model.exposure.held = region is not None
    model.lay_out(
        Octree(
            np.array(tensors["octree.path"]),
            np.array(tensors["octree.level"]),
            float(header["root_size"]),
            np.array(tensors["octree.corner_idx"]),
            np.array(tensors["octree.point_ijk"]),
        )
    )
