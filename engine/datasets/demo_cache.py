# SPDX-License-Identifier: MIT
"""Where the pictures of built-in scenes are kept between starts, and how they get there whole.

One uncompressed .npz of all views; its checksums tell a torn file, which is then made again. Written under another
name and renamed, so a reader sees either nothing or all of it (`engine/files.py`).
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from engine.files import whole_file

_UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


def read_array(file: Path, name: str, shape: tuple[int, ...], dtype: type) -> np.ndarray | None:
    """Return an array of a cache file, or None where the file is missing, torn or of another make."""
    try:
        with np.load(file, allow_pickle=False) as arrays:
            array = arrays[name]
    except _UNREADABLE:
        return None
    return array if array.shape == shape and array.dtype == dtype else None


def write_arrays(file: Path, arrays: dict[str, np.ndarray], scene: str) -> str:
    """Write a cache file; return "" or, where that fails, a sentence saying why (the arrays are still good)."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(file) as temporary, temporary.open("wb") as stream:
            np.savez(stream, **arrays)
    except OSError as error:
        why = error.strerror or error
        return f"The {scene} scene cannot be kept in {file.parent} ({why}); set NERFVIEWER_CACHE to a writable folder."
    return ""
