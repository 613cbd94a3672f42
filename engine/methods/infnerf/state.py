# SPDX-License-Identifier: MIT
"""What a checkpoint holds of a model: everything from which training goes on exactly. A friend of `model.py`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.cpu.node_adam import FieldMoments
from engine.errors import CheckpointError
from engine.node_fields import NodeFields
from engine.node_occupancy import Occupancy
from engine.node_tree import NodeTree
from engine.options import flatten, updated

if TYPE_CHECKING:
    from engine.methods.infnerf.model import InfNeRF


def state_of(model: InfNeRF) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return (tensors, JSON-able header)."""
    tree, occupancy = model.tree, model.occupancy
    tensors = {
        "tree.depth": tree.depth,
        "tree.cell": tree.cell,
        "fields.tables": model.fields.tables,
        "fields.mlp": model.fields.mlp,
        **{f"moments.{name}": array for name, array in model.moments.arrays().items()},
        **model.appearance.tensors(),
        "occupancy.density": occupancy.density,
        "occupancy.free": occupancy.free,
        "asked": model.asked,
        "photos.views": np.array(model.photos.views, dtype=np.int64),
        "photos.waiting": np.array(model.photos.waiting, dtype=np.int64),
    }
    header = {
        "method": model.name,
        "step": model.step,
        "seed": model.seed,
        "options": flatten(model.config),
        "tree": {"centre": [float(v) for v in tree.centre], "half": tree.half, "root_gsd": tree.root_gsd},
        "scene": {"background": model.has_background, "behind": [float(v) for v in model.background]},
        "threshold": float(occupancy.threshold),
        "rng": json.dumps(model.rng.bit_generator.state),
    }
    return tensors, header


def load_into(model: InfNeRF, tensors: dict[str, np.ndarray], header: dict[str, Any]) -> None:
    """Give a model the state that `state_of` returned, in this or another process."""
    if header.get("method") != model.name:
        raise CheckpointError(f"The checkpoint holds a {header.get('method')} model, not {model.name}.")
    model.config = updated(model.config, header["options"])
    model.step, model.seed = int(header["step"]), int(header["seed"])
    model.rng = np.random.default_rng(model.seed)
    model.rng.bit_generator.state = json.loads(header["rng"])
    place = header["tree"]
    tree = NodeTree.of(
        np.array(place["centre"]),
        place["half"],
        place["root_gsd"],
        tensors["tree.depth"],
        tensors["tree.cell"],
    )
    fields = NodeFields(model.shape(), np.array(tensors["fields.tables"]), np.array(tensors["fields.mlp"]))
    occupancy = Occupancy(
        model.config.sampling.grid, np.array(tensors["occupancy.density"]), np.array(tensors["occupancy.free"]),
        float(header["threshold"]), model.has_background,
    )  # fmt: skip
    moments = FieldMoments(
        **{
            name.partition(".")[2]: np.array(array)
            for name, array in tensors.items()
            if name.startswith("moments.")
        }
    )
    model.take(tree, fields, moments, occupancy, np.array(tensors["asked"]))
    model.appearance = model.fresh_appearance()
    model.appearance.load(tensors)
    model.photos.restore(
        [int(i) for i in tensors["photos.views"]], [int(i) for i in tensors["photos.waiting"]]
    )
