# SPDX-License-Identifier: MIT
"""Where this user's files are kept between starts, and JSON files there that are written whole or not at all."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from engine import files

log = logging.getLogger(__name__)


def config_folder() -> Path:
    """Return the folder for this user's settings; it may not exist yet."""
    if "NERFVIEWER_CONFIG" in os.environ:
        return Path(os.environ["NERFVIEWER_CONFIG"])
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA", Path.home() / "AppData" / "Roaming")) / "nerfviewer"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "nerfviewer"
    return Path(os.environ.get("XDG_CONFIG_HOME", Path.home() / ".config")) / "nerfviewer"


def write_json(data: Any, path: Path, what: str) -> bool:
    """Write a file of what is kept; a full or read-only disk costs a line in the log. Return whether it was written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".json")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(data, file, indent=1)
            files.replace(Path(temporary), path)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as error:
        log.warning("%s not saved file=%s reason=%s", what, path, error)
        return False
    return True
