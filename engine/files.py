# SPDX-License-Identifier: MIT
"""Files that appear whole or not at all: written beside their place, flushed to the disk, then renamed.

A process that is killed at any moment leaves either the old file or the new one, and perhaps a `*.tmp` beside it.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from engine.errors import CheckpointError

TEMPORARY = ".tmp"  # ends the name of a file that is still being written
_ON_WINDOWS = os.name == "nt"
_PATIENCE_S = 2.0  # Windows: what a virus scanner or an indexer may take to look at a new file


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a name to write to; when the block ends well, that file takes the place of `path`, else it is deleted."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}{TEMPORARY}")
    try:
        yield temporary
        _sync(temporary)
        replace(temporary, path)
        _sync(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def saved_file(path: Path) -> Iterator[Path]:
    """As `whole_file`, for what a person asked to write: a disk that refuses is a CheckpointError that says what to do."""
    try:
        with whole_file(path) as temporary:
            yield temporary
    except OSError as error:
        raise CheckpointError(
            f"Cannot write {path}: {error.strerror or error}. Free some space or choose another folder."
        ) from error


def free_path(path: Path, taken: Collection[Path] = ()) -> Path:
    """Return a path that nothing has and that is not in `taken` (absolute): this one, or `name-2`, `name-3` and so on."""
    free, n = path, 1
    while free.exists() or free.absolute() in taken:
        n += 1
        free = path.with_name(f"{path.stem}-{n}{path.suffix}")
    return free


def replace(source: Path, target: Path) -> None:
    """Rename a file over another. On Windows, where nothing that is open can be renamed, wait a little for others."""
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            os.replace(source, target)
            return
        except PermissionError:
            if not _ON_WINDOWS or time.monotonic() >= until:
                raise
        time.sleep(0.02)


def _sync(path: Path) -> None:
    """Wait until a file or folder is on the disk. Windows cannot open folders; its rename is durable enough."""
    if _ON_WINDOWS and path.is_dir():
        return
    handle = os.open(path, os.O_RDWR if _ON_WINDOWS else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
