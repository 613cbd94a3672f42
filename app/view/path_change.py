# SPDX-License-Identifier: MIT
"""An edit of the camera path as something that a command or a widget can ask for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.view.path import CameraPath


@dataclass(frozen=True)
class PathChange:
    """What the menu calls an edit, the function that makes it, and a merge key while something is dragged."""

    label: str
    function: Callable[[CameraPath], CameraPath | None]
    merge: str = ""
