# SPDX-License-Identifier: MIT
"""What a checkpoint holds of a model: everything from which training goes on exactly. A friend of `model.py`."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import CheckpointError
from engine.methods.plenoxels.survey import Survey
from engine.options import flatten, updated
from engine.region import Region

if TYPE_CHECKING:
    from engine.methods.plenoxels.model import Plenoxels


def state_of(model: Plenoxels) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return (tensors, JSON-able header)."""
    model.settle()
    grid, optimiser, survey = model.grid, model.optimiser, model.survey
    tensors = {
        "grid.links": grid.links,
        "grid.density": grid.density,
        "grid.sh": grid.sh,
        "optimiser.squares": optimiser.squares,
        "photos.views": np.array(model.photos.views, dtype=np.int64),
        "photos.waiting": np.array(model.photos.waiting, dtype=np.int64),
    }
    if optimiser.means is not None:
        tensors["optimiser.means"] = optimiser.means
    if model.spheres is not None:
        tensors |= model.spheres.tensors()
    header = {
        "method": model.name,
        "step": model.step,
        "seed": model.seed,
        "options": flatten(model.config),
        "finer": model.finer,
        "adapted_at": model.adapted_at,
        "center": [float(v) for v in grid.center],
        "radius": [float(v) for v in grid.radius],
        "rng": json.dumps(model.rng.bit_generator.state),
        "train_region": None if model.region is None else model.region.as_json(),
    }
    if survey is not None:
        tensors["survey.heaviest"] = survey.heaviest
        if survey.finer:
            tensors |= {"survey.links": survey.grid.links, "survey.density": survey.grid.density}
        names = ("finer", "at", "shrink", "view", "row")
        header["survey"] = {name: getattr(survey, name) for name in names}
    return tensors, header


def load_into(model: Plenoxels, tensors: dict[str, np.ndarray], header: dict[str, Any]) -> None:
    """Give a model the state that `state_of` returned, in this or another process."""
    if header.get("method") != model.name:
        raise CheckpointError(f"The checkpoint holds a {header.get('method')} model, not {model.name}.")
    model.use(updated(model.config, header["options"]))
    model.step, model.seed = int(header["step"]), int(header["seed"])
    model.finer, model.adapted_at = int(header["finer"]), int(header["adapted_at"])
    model.rng = np.random.default_rng(model.seed)
    model.rng.bit_generator.state = json.loads(header["rng"])
    model.photos.restore(
        [int(i) for i in tensors["photos.views"]], [int(i) for i in tensors["photos.waiting"]]
    )
    grid = replace(
        model.grid,
        links=np.array(tensors["grid.links"]),
        density=np.array(tensors["grid.density"]),
        sh=np.array(tensors["grid.sh"]),
        center=np.array(header["center"]),
        radius=np.array(header["radius"]),
        degree=model.active.model.sh_degree,
    )
    model.lay_out(grid, None)
    model.optimiser.squares = np.array(tensors["optimiser.squares"])
    if "optimiser.means" in tensors:
        model.optimiser.means = np.array(tensors["optimiser.means"])
    model.spheres = model.fresh_spheres()
    if model.spheres is not None:
        model.spheres.load(tensors)
    region = None if model.card else header.get("train_region")  # a card trains everything
    model.region = None if region is None else Region.from_json(region)
    model.survey = _survey_of(model, tensors, header["survey"]) if "survey" in header else None


def _survey_of(model: Plenoxels, tensors: dict[str, np.ndarray], header: dict[str, Any]) -> Survey:
    grid = model.grid
    if header["finer"]:
        links, density = np.array(tensors["survey.links"]), np.array(tensors["survey.density"])
        grid = replace(grid, links=links, density=density)  # a survey reads no colours
    return Survey(grid, np.array(tensors["survey.heaviest"]), **header)
