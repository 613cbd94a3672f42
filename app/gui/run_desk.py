# SPDX-License-Identifier: MIT
"""What the window does about the open run: keeps the list of its checkpoints, and watches over one that is followed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.messages import (
    CheckpointSaved,
    ContinueHere,
    Evaluated,
    Event,
    Followed,
    ListCheckpoints,
    SceneOpened,
)

if TYPE_CHECKING:
    from app.gui.actions import Parts


class RunDesk:
    """A desk without actions of its own: it acts on what happens."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._trainer: str | None = None  # of the followed run, when it was last heard of

    def actions(self) -> dict[str, Callable[[Any], None]]:
        """Return nothing: commands go to the worker directly."""
        return {}

    def update(self, dt: float) -> bool:
        """Nothing happens by itself."""
        return False

    def on_event(self, event: Event) -> None:
        """Ask for the checkpoints when there are others; draw anew, and say who trains, when a followed run got further."""
        newer = isinstance(event, Followed) and event.reloaded
        if newer or isinstance(event, SceneOpened | CheckpointSaved | Evaluated):
            self._parts.send(ListCheckpoints())
        if isinstance(event, SceneOpened):
            self._trainer = None
            self._parts.reports.notices.retract("trainer")
        elif isinstance(event, Followed):
            self._followed(event)

    def close(self) -> None:
        """Nothing is kept here."""

    def _followed(self, event: Followed) -> None:
        if event.reloaded:
            self._parts.viewport.structure_changed()
        before, self._trainer = self._trainer, event.trainer
        if before != "" and not event.trainer:
            self._parts.reports.tell(
                f"{before.capitalize()}, which trained this run, has ended."
                if before
                else "Nobody trains this run at the moment.",
                "warning",
                button="Continue here",
                act=lambda: self._parts.send(ContinueHere()),
                key="trainer",
            )
        elif event.trainer and event.trainer != before:
            self._parts.reports.tell(f"Attached to a run that {event.trainer} trains.", key="trainer")
