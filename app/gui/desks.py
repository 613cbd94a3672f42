# SPDX-License-Identifier: MIT
"""Features of the window that act: each is a desk, with named actions, an ear for events, and a turn of the loop.

A desk is made of what all actions act on (`app.gui.actions.Parts`); it may add tools and layers to the viewport. Commands
and panels reach it by the names of its actions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from app.gui.export_desk import ExportDesk
from app.gui.gamepad import GamepadDesk
from app.gui.help_window import HelpWindow
from app.gui.inspect_desk import InspectDesk
from app.gui.palette import Palette
from app.gui.path_desk import PathDesk
from app.gui.run_desk import RunDesk
from app.gui.scene_export_desk import SceneExportDesk
from app.gui.settings_window import SettingsWindow
from app.gui.start_desk import StartDesk
from app.gui.window_desk import WindowDesk
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

    def close(self) -> None:
        """The window is being closed."""


DESKS: tuple[Callable[[Parts], Desk], ...] = (  # in the order of their turns
    WindowDesk,
    SettingsWindow,
    StartDesk,
    HelpWindow,
    RunDesk,
    PathDesk,
    InspectDesk,
    ExportDesk,
    SceneExportDesk,
    GamepadDesk,
    Palette,  # last: Esc closes it before all others
)
