# SPDX-License-Identifier: MIT
"""The app's models as the library's, and back: the same tree, the same parameters, the same pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from engine import checkpoint
from engine.errors import CheckpointError, OptionError
from engine.inf_nerf.fields import HashFields
from engine.inf_nerf.settings import InfNeRFConfig
from engine.node_fields import NodeFields
from engine.node_occupancy import Occupancy
from engine.node_tree import NodeTree

if TYPE_CHECKING:
    from engine.inf_nerf.model import InfNeRF

METHOD = "infnerf"


def model_of_app(path: Path, cls: Any) -> InfNeRF:
    """Return the model of the app's checkpoint, or of the newest one in a run folder."""
    if path.is_dir():
        from engine.runs import open_run  # no reader of scenes

        resumed = open_run(path).newest()
        if resumed is None:
            raise CheckpointError(f"{path} has no checkpoint yet; train it first.")
        tensors, header = resumed.tensors, resumed.header
    else:
        tensors, header = checkpoint.load(path)
    state = header.get("state", header)
    if state.get("method") != METHOD:
        raise CheckpointError(
            f"{path} holds a model of {state.get('method')}; InfNeRF opens those of {METHOD}."
        )
    return from_state(tensors, state, cls)


def from_method(method: Any, cls: Any) -> InfNeRF:
    """Return a copy of what a method object of the app holds."""
    tensors, state = method.state()
    return from_state({name: np.array(array) for name, array in tensors.items()}, state, cls)


def from_state(tensors: dict[str, np.ndarray], state: dict[str, Any], cls: Any) -> InfNeRF:
    """Return the model of a state as `engine.methods.infnerf` writes it."""
    place = state["tree"]
    tree = NodeTree.of(
        np.asarray(place["centre"]),
        place["half"],
        place["root_gsd"],
        tensors["tree.depth"],
        tensors["tree.cell"],
    )
    photos = tensors.get("appearance.rows", np.zeros((0, 0), np.float32))
    model = cls(_config(state, tree, len(photos)), tree)
    hold(model, tensors["fields.tables"], tensors["fields.mlp"], photos)
    model.occupancy = Occupancy(
        model.config.occupancy_cells, np.array(tensors["occupancy.density"]), np.array(tensors["occupancy.free"]),
        float(state["threshold"]), model.config.unbounded,
    )  # fmt: skip
    return model


def hold(model: InfNeRF, tables: np.ndarray, mlp: np.ndarray, photos: np.ndarray) -> None:
    """Give a model parameters: tables [N,E,F], mlp [N,P], and the photos' appearance [photos,A], if it has any."""
    fields = model.fields
    fields.tables, fields.mlp = (nn.Parameter(torch.from_numpy(np.array(a))) for a in (tables, mlp))
    if fields.shape.appearance:
        fields.appearance = nn.Parameter(torch.from_numpy(np.array(photos)))


def _config(state: dict[str, Any], tree: NodeTree, photos: int) -> InfNeRFConfig:
    """Return the library's settings of a model of the app: what is the same by another name or in another unit."""
    options = state["options"]
    rounds = tuple(int(word) for word in str(options["sampling.rounds"]).replace(",", " ").split())
    return InfNeRFConfig(
        max_depth=options["tree.max_depth"], hidden_dim=options["field.hidden"],
        num_samples=options["sampling.view_samples"], scene_bound=tree.half, scene_center=tuple(tree.centre.tolist()),
        grid_size=options["field.max_res"], grid_levels=options["field.levels"],
        base_resolution=options["field.base_res"], log2_hashmap_size=options["field.log2_table"],
        geometry_dim=options["field.geometry"], appearance_dim=options["field.appearance"], num_photos=photos,
        density_unit=1.0, gsd_divisor=options["tree.gsd_divisor"], min_points=options["tree.min_points"],
        proposal_samples=rounds or None, occupancy_cells=options["sampling.grid"],
        sample_spacing=options["sampling.spacing"], sample_candidates=options["sampling.candidates"],
        outside_candidates=options["sampling.outside"], sample_padding=options["sampling.padding"],
        stop_transmittance=options["sampling.stop_trans"], jitter=options["sampling.jitter"],
        unbounded=state["scene"]["background"], near_plane=2.0 * options["sampling.near"],
        far_plane=2.0 * options["sampling.far"], background=tuple(state["scene"]["behind"]), seed=state["seed"],
    )  # fmt: skip


def write_into(model: InfNeRF, method: Any) -> None:
    """Give a method object of the app, on the processor, this model's tree and fields. Adam's moments start anew.

    Raises OptionError where the fields' sizes, the units or the kind of field are others than the method's.
    """
    fields = model.fields
    if not isinstance(fields, HashFields):
        raise OptionError("InfNeRF.write_into() takes models of hash grids, not those of a field_factory.")
    wanted, tree = method.shape(), model.tree
    if fields.shape != wanted:
        raise OptionError(
            f"InfNeRF.write_into(): fields of {fields.shape} do not fit the method's of {wanted}; make one with its sizes."
        )
    if abs(tree.half - method.tree.half) > 1e-9 or np.any(tree.centre != method.tree.centre):
        raise OptionError(
            "InfNeRF.write_into() takes models in engine units, a cube with an edge of 1 around the origin; "
            f"this one is {2.0 * tree.half:g} wide around {tree.centre.tolist()}."
        )
    from engine.cpu.node_adam import FieldMoments

    tables, mlp = (p.detach().float().cpu().numpy().copy() for p in (fields.tables, fields.mlp))
    held = NodeFields(wanted, tables, mlp)
    occupancy = model.occupancy
    if occupancy is None or occupancy.resolution != method.occupancy.resolution:
        occupancy = Occupancy.fresh(tree.nodes, method.occupancy.resolution, model.config.unbounded)
    method.take(tree, held, FieldMoments.of(held), occupancy, np.zeros(tree.nodes, dtype=np.float32))
    rows = fields.appearance.detach().float().cpu().numpy()
    method.appearance = method.fresh_appearance()
    if method.appearance.on and rows.shape == method.appearance.rows.shape:
        method.appearance.rows[:] = rows
