# SPDX-License-Identifier: MIT
"""One checkpoint file: safetensors with a JSON header. Whole or not there at all; nothing in it is executed.

The file is written beside its final name, flushed to the disk and then renamed, so that a process that is
killed at any moment leaves either the old file or the new one. The header holds every option value, because
defaults change.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import CheckpointError

FORMAT_VERSION = 1
TEMPORARY = ".tmp"  # ends the name of a file that is still being written
UNFINISHED = (
    f"*{TEMPORARY}",
    ".tmp*",
)  # file names of writes that a kill cut short; the second is safetensors' own
_KEY = "nerfviewer"  # the one metadata entry; safetensors metadata are strings


def save(path: str | Path, tensors: dict[str, np.ndarray], header: dict[str, Any]) -> None:
    """Write tensors and a JSON-able header, atomically: the file appears complete or not at all."""
    from safetensors.numpy import save_file

    path = Path(path)
    metadata = {_KEY: json.dumps({"format_version": FORMAT_VERSION, **header})}
    solid = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    temporary = path.with_name(f"{path.name}.{os.getpid()}{TEMPORARY}")
    try:
        save_file(solid, temporary, metadata)
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)
    except OSError as error:
        raise CheckpointError(
            f"Cannot write {path}: {_reason(error)}. Free some space or choose another folder."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def load(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the tensors and the header of a checkpoint, or raise CheckpointError in one sentence."""
    with _opened(path) as file:
        header = _header(path, file.metadata())
        return {name: file.get_tensor(name) for name in file.keys()}, header


def read_header(path: str | Path) -> dict[str, Any]:
    """Return only the header; a torn file is still found out, because its length must match."""
    with _opened(path) as file:
        return _header(path, file.metadata())


def write_text(path: Path, text: str) -> None:
    """Write a small text file as atomically as a checkpoint."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}{TEMPORARY}")
    try:
        temporary.write_text(text, encoding="utf-8")
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)
    except OSError as error:
        raise CheckpointError(
            f"Cannot write {path}: {_reason(error)}. Free some space or choose another folder."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


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
    version = header.get("format_version")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format {version}, and this nerfviewer reads up to {FORMAT_VERSION}. "
            "Update nerfviewer to open it."
        )
    return header


def _sync(path: Path) -> None:
    """Wait until a file or folder is on the disk. Windows cannot open folders; its rename is durable enough."""
    if os.name == "nt" and path.is_dir():
        return
    handle = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
