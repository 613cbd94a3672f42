# SPDX-License-Identifier: MIT
"""What a feature adds to the viewport: a tool that takes the mouse, and layers of lines and points over the picture.

Tools are asked in order; the first that answers True has the mouse. Places are pixels of the camera that comes with them,
the one whose picture is on the screen.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from app.gl.overlays import OverlayPass
from app.gui.colours import Colour
from app.session import Session
from engine.cameras import Camera


class Tool(Protocol):
    """Something in the scene that the mouse can take hold of, or that waits for a click."""

    def hover(self, camera: Camera, x: float, y: float) -> bool:
        """Say whether the mouse means something of this tool there, and show it."""

    def unhover(self) -> None:
        """The mouse is elsewhere."""

    def press(self, camera: Camera, x: float, y: float) -> bool:
        """The left button went down; return True to get the drag that follows."""

    def drag(self, camera: Camera, x: float, y: float) -> None:
        """The mouse moved with what `press` took."""

    def release(self) -> None:
        """The button was let go."""

    def click(self, camera: Camera, x: float, y: float) -> bool:
        """The left button went down and up in one place and no tool took the press; return True if that was meant here."""


RIM_PX = 1.2  # around what the mouse takes hold of or points at: it must be seen on any picture


def rgba(colour: Colour | tuple[int, ...], alpha: float = 1.0) -> np.ndarray:
    """Return a colour of the theme as the overlay pass takes it, [4] float32."""
    return np.array([*(c / 255 for c in colour[:3]), alpha], dtype=np.float32)


class LayerSource(Protocol):
    """Named layers of the overlay pass that belong to a feature."""

    def names(self) -> list[str]:
        """Return the layers in the order to draw them in."""

    def refresh(self, overlay_pass: OverlayPass, session: Session, eye: np.ndarray) -> bool:
        """Bring the layers up to date; return whether anything on the screen became another."""

    def forget(self) -> None:
        """Everything must be uploaded again: the pass is a new one."""
