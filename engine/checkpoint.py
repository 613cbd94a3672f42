# SPDX-License-Identifier: MIT
"""One checkpoint file: safetensors with a JSON header. Whole or not there at all; nothing in it is executed.

A process that is killed at any moment leaves either the old file or the new one (`files.py`). The header holds every
option value, because defaults change.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import CheckpointError
from engine.files import TEMPORARY, whole_file

FORMAT_VERSION = 1
UNFINISHED = (
    f"*{TEMPORARY}",
    ".tmp*",
)  # file names of writes that a kill cut short; the second is safetensors' own
_KEY = "nerfviewer"  # the one metadata entry; safetensors metadata are strings


def save(path: str | Path, tensors: dict[str, np.ndarray], header: dict[str, Any]) -> None:
    """Write tensors and a JSON-able header, atomically: the file appears complete or not at all."""
    from safetensors.numpy import save_file

    metadata = {_KEY: json.dumps({"format_version": FORMAT_VERSION, **header})}
    solid = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    with _written(Path(path)) as temporary:
        save_file(solid, temporary, metadata)


def load(
    path: str | Path, names: Collection[str] | None = None
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the tensors, all or those named, and the header of a checkpoint, or raise CheckpointError in one sentence."""
    with _opened(path) as file:
        header = _header(path, file.metadata())
        return {name: file.get_tensor(name) for name in (file.keys() if names is None else names)}, header


def read_header(path: str | Path) -> dict[str, Any]:
    """Return only the header; a torn file is still found out, because its length must match."""
    with _opened(path) as file:
        return _header(path, file.metadata())


def write_text(path: Path, text: str) -> None:
    """Write a small text file as atomically as a checkpoint."""
    with _written(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def _written(path: Path) -> Iterator[Path]:
    """Yield the name to write a file under before it takes its place; whatever fails becomes a CheckpointError."""
    from safetensors import SafetensorError  # its own, no OSError, also for a full disk

    try:
        with whole_file(path) as temporary:
            yield temporary
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"Cannot write {path}: {_reason(error)}. Free some space or choose another folder."
        ) from error


@contextlib.contextmanager
def _opened(path: str | Path) -> Any:
    """Open a safetensors file; whatever is wrong with it becomes a CheckpointError."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            yield file
    except FileNotFoundError:
        raise CheckpointError(f"There is no checkpoint {path}; choose another step.") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"Cannot read {path}: it is torn or no checkpoint ({_reason(error)}). "
            "Delete it or use an older one."
        ) from error


def _header(path: str | Path, metadata: dict[str, str] | None) -> dict[str, Any]:
    if not metadata or _KEY not in metadata:
        raise CheckpointError(
            f"{path} is a safetensors file of another program; open a run folder of nerfviewer instead."
        )
    header = json.loads(metadata[_KEY])
    version = header.get("format_version") if isinstance(header, dict) else None
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format {version}, and this nerfviewer reads up to {FORMAT_VERSION}. "
            "Update nerfviewer to open it."
        )
    return header


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
