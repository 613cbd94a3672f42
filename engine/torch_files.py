# SPDX-License-Identifier: MIT
"""Records of the libraries in .pth files: written whole or not at all, read without unpickling but tensors and plain values."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from engine.errors import CheckpointError
from engine.files import whole_file


def write(path: str | Path, record: dict[str, Any]) -> None:
    """Write a record, `kind` and `version` among its values."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as temporary:
            torch.save(record, temporary)
    except OSError as error:
        raise CheckpointError(
            f"Cannot write {path}: {error.strerror}. Free some space or choose another folder."
        ) from error


def read(path: str | Path, kind: str, version: int, holds: str, wanted: str) -> dict[str, Any]:
    """Return a record of a kind, at most as new as `version`. Raises CheckpointError in one sentence.

    `holds` says what other files lack ("no voxels of SVRaster One"), `wanted` which to choose ("one that ... wrote").
    """
    try:
        record = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"There is no file {path}; choose {wanted}.") from None
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"Cannot read {path}: it is torn, or holds more than tensors and plain values, which is not opened. "
            f"Choose {wanted}."
        ) from error
    if not isinstance(record, dict) or record.get("kind") != kind:
        raise CheckpointError(f"{path} holds {holds}; choose {wanted}.")
    if not isinstance(record.get("version"), int) or record["version"] > version:
        raise CheckpointError(
            f"{path} has version {record.get('version')}, newer than this nerfviewer reads. Update it."
        )
    return record
