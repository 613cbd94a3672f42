# SPDX-License-Identifier: MIT
"""Models in files: the library's own .pth, and the app's checkpoints and run folders. Nothing is unpickled but tensors.

A .pth record has `kind`, `version`, `config`, `tree` (centre, half, root_gsd, depth, cell), `fields` (their state),
`occupancy` and, where a trainer wrote it, `trainer`.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from engine.errors import CheckpointError, OptionError
from engine.files import whole_file
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


def write(path: str | Path, record: dict[str, Any]) -> None:
    """Write a record. Whole or not at all."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as temporary:
            torch.save(record, temporary)
    except OSError as error:
        raise CheckpointError(
            f"Cannot write {path}: {error.strerror}. Free some space or choose another folder."
        ) from error


def save(model: InfNeRF, path: str | Path) -> None:
    """Write a model."""
    write(path, record_of(model))


def read(path: str | Path) -> dict[str, Any]:
    """Return a record of the library, or raise CheckpointError in one sentence."""
    try:
        record = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"There is no file {path}; choose one that a trainer wrote.") from None
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"Cannot read {path}: it is torn, or holds more than tensors and plain values, which is not opened. "
            "Choose a file that InfNeRF.save or a trainer wrote."
        ) from error
    if not isinstance(record, dict) or record.get("kind") != KIND:
        raise CheckpointError(f"{path} holds no InfNeRF; choose a file that InfNeRF.save or a trainer wrote.")
    if not isinstance(record.get("version"), int) or record["version"] > VERSION:
        raise CheckpointError(
            f"{path} has version {record.get('version')}, newer than this nerfviewer reads. Update it."
        )
    return record


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
