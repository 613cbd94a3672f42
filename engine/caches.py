# SPDX-License-Identifier: MIT
"""Where things are kept that can be made again: compiled kernels, the demo scene."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder for things that can be made again: NERFVIEWER_CACHE or the platform's own place."""
    chosen = os.environ.get("NERFVIEWER_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        return (
            Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "nerfviewer" / "cache"
        )
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "nerfviewer"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nerfviewer"


def kernel_cache_folder() -> Path:
    """Return the folder of kernels compiled from exactly these sources.

    Numba notices a change in a kernel's own file, not in a file whose functions or constants it inlines: a changed
    constant would go on running as it was. So the folder is named after all of the engine's sources.
    """
    root = Path(__file__).parent
    digest = hashlib.sha256()
    for source in sorted(root.rglob("*.py")):
        digest.update(source.relative_to(root).as_posix().encode() + source.read_bytes())
    return cache_folder() / f"kernels-{digest.hexdigest()[:16]}"


def use_kernel_cache() -> None:
    """Tell Numba where to keep compiled kernels, unless the user already did (NUMBA_CACHE_DIR). Imports nothing."""
    folder = os.environ.setdefault("NUMBA_CACHE_DIR", str(kernel_cache_folder()))
    numba = sys.modules.get("numba")
    if numba is not None and not numba.config.CACHE_DIR:  # it read the environment when it was imported
        numba.config.CACHE_DIR = folder
