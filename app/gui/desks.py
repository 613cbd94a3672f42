# SPDX-License-Identifier: MIT
"""Features of the window that act: each is a desk, with named actions, an ear for events, and a turn of the loop.

A desk is made of what all actions act on (`app.gui.actions.Parts`); it may add tools and layers to the viewport. Commands
and panels reach it by the names of its actions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from app.gui.export_desk import ExportDesk
from app.gui.scene_export_desk import SceneExportDesk
from engine.messages import Event

if TYPE_CHECKING:
    from app.gui.actions import Parts


class Desk(Protocol):
    """One feature."""

    def actions(self) -> dict[str, Callable[[Any], None]]:
        """Return what it can do, by names such as "path.add_key"; each is called with one argument."""

    def on_event(self, event: Event) -> None:
        """Hear an event, after the session did."""

    def update(self, dt: float) -> bool:
        """Take a turn, `dt` seconds after the last one; return whether the window must be drawn anew."""


DESKS: tuple[Callable[[Parts], Desk], ...] = (ExportDesk, SceneExportDesk)  # in the order of their turns
