# SPDX-License-Identifier: MIT
"""Whether a window can be opened at all."""

from __future__ import annotations

import os
import sys


class NoWindowError(Exception):
    """No window can be opened; `str(error)` is the reason as a clause, such as "OpenGL 3.3 is missing"."""


def why_no_window() -> str | None:
    """Return why no window can be opened here, as a clause, or None if nothing is known against it."""
    if sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        return "neither DISPLAY nor WAYLAND_DISPLAY is set"
    return None
