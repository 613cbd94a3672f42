# SPDX-License-Identifier: MIT
"""What a panel is: one file, one class, private state; it builds its widgets, hears events, refreshes from the session.

A panel never calls the engine. It changes `session.view`, sends commands to the worker, or runs a command of the
registry by id. Tags are f"{panel.id}/{name}".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from app.session import Session
from engine.messages import Command, Event


@dataclass(frozen=True)
class PanelContext:
    """What a panel is given when it is built."""

    session: Session
    send: Callable[[Command], None]  # to the worker
    run: Callable[[str], None]  # a registry command by id, as the menu would
    do: Callable[[str, Any], None]  # ("goto_view", 3), ("export.cancel", job id)
    scale: float = 1.0  # of the theme; lengths in pixels are multiplied by it
    plot_theme: int | str = 0  # to bind to each plot


class Panel(Protocol):
    """One foldable part of the window."""

    id: str
    title: str

    def build(self, parent: int | str, context: PanelContext) -> None:
        """Create the widgets under `parent`. Called once."""

    def on_event(self, event: Event) -> None:
        """Hear one engine event. Called from the window's loop."""

    def refresh(self, session: Session) -> None:
        """Bring the widgets up to date; called at most 15 times a second, so set only what changed."""
