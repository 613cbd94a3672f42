# SPDX-License-Identifier: MIT
"""Models in files: the library's own .pth, and the app's checkpoints and run folders. Nothing is unpickled but tensors.

A .pth record has `kind`, `version`, `config`, `tree` (centre, half, root_gsd, depth, cell), `fields` (their state),
`occupancy` and, where a trainer wrote it, `trainer`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from engine import torch_files
from engine.errors import CheckpointError, OptionError
from engine.inf_nerf.settings import InfNeRFConfig
from engine.node_occupancy import Occupancy
from engine.node_tree import NodeTree

if TYPE_CHECKING:
    from engine.inf_nerf.fields import FieldFactory
    from engine.inf_nerf.model import InfNeRF

KIND, VERSION = "infnerf library model", 1


def record_of(model: InfNeRF) -> dict[str, Any]:
    """Return all of a model as tensors and plain values."""
    tree, occupancy = model.tree, model.occupancy
    return {
        "kind": KIND,
        "version": VERSION,
        "config": model.config.to_dict(),
        "tree": {
            "centre": tree.centre.tolist(), "half": tree.half, "root_gsd": tree.root_gsd,
            "depth": torch.from_numpy(tree.depth.copy()), "cell": torch.from_numpy(tree.cell.copy()),
        },
        "fields": {name: value.detach().cpu() for name, value in model.fields.state_dict().items()},
        "occupancy": {
            "density": torch.from_numpy(occupancy.density.copy()), "free": torch.from_numpy(occupancy.free.copy()),
            "threshold": occupancy.threshold,
        } if occupancy is not None else {},
    }  # fmt: skip


def save(model: InfNeRF, path: str | Path) -> None:
    """Write a model."""
    torch_files.write(path, record_of(model))


def read(path: str | Path) -> dict[str, Any]:
    """Return a record of the library, or raise CheckpointError in one sentence."""
    return torch_files.read(path, KIND, VERSION, "no InfNeRF", "one that InfNeRF.save or a trainer wrote")


def model_of(record: dict[str, Any], path: str | Path, factory: FieldFactory | None, cls: Any) -> InfNeRF:
    """Return the model of a record of the file `path`."""
    try:
        saved = record["tree"]
        depth, cell = (np.asarray(saved[name]) for name in ("depth", "cell"))
        tree = NodeTree.of(np.asarray(saved["centre"]), saved["half"], saved["root_gsd"], depth, cell)
        model = cls(InfNeRFConfig.from_dict(record["config"]), tree, factory)
        model.fields.load_state_dict(record["fields"])
        if model.occupancy is not None:
            held = record["occupancy"]
            model.occupancy = Occupancy(
                model.config.occupancy_cells,
                held["density"].numpy(),
                held["free"].numpy(),
                held["threshold"],
                model.config.unbounded,
            )
    except (KeyError, ValueError, TypeError, RuntimeError, OptionError) as error:
        hint = "Give it the field_factory that it was trained with, or save it again."
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"Cannot read {path}: it does not fit ({reason}). {hint}") from error
    return model


def load(path: str | Path, factory: FieldFactory | None, cls: Any) -> InfNeRF:
    """Return the model of a library's .pth, of an app's checkpoint (.safetensors), or of a run folder."""
    path = Path(path)
    if path.is_dir() or path.suffix == ".safetensors":
        from engine.inf_nerf.conversion import model_of_app

        return model_of_app(path, cls)
    return model_of(read(path), path, factory, cls)
