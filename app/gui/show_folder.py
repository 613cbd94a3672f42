# SPDX-License-Identifier: MIT
"""Shows a folder in the desktop's own file manager."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

from engine.errors import UserError


def show_folder(folder: Path) -> None:
    """Open a folder for a person to look into. Raises UserError where the desktop has no way to."""
    if not folder.is_dir():
        raise UserError(f"{folder} is gone; it was moved or deleted.")
    try:
        if sys.platform == "win32":
            os.startfile(folder)
        else:
            program = "open" if sys.platform == "darwin" else "xdg-open"
            process = subprocess.Popen(
                [program, str(folder)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            threading.Thread(target=process.wait, name="file manager", daemon=True).start()  # no zombie stays
    except OSError as error:
        raise UserError(
            f"No file manager could be started ({error.strerror}); the folder is {folder}."
        ) from error
