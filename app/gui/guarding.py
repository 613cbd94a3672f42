# SPDX-License-Identifier: MIT
"""Asks before something unsaved is lost: one dialog that lists it, with Save, Discard and Cancel."""

from __future__ import annotations

import time
from collections.abc import Callable

from app import guard
from app.gui.dialogs import Dialogs
from app.gui.reports import Reports
from app.session import Session

PATIENCE_S = 20.0  # for what is being saved


class Guarding:
    """`ask` before leaving; `update` once a turn carries on after what could be saved was."""

    def __init__(
        self,
        session: Session,
        dialogs: Dialogs,
        reports: Reports,
        save: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session, self._dialogs, self._reports = session, dialogs, reports
        self._save, self._clock = save, clock
        self._then: Callable[[], None] | None = None  # waits for something to be saved
        self._until = 0.0

    def ask(self, verb: str, then: Callable[[], None]) -> None:
        """Do `then`, at once if nothing would be lost; `verb` is what it is, such as "Quit"."""
        self._then = None
        found = guard.losses(self._session, leaving=verb == "Quit")
        if not found:
            then()
            return
        buttons: list[tuple[str, Callable[[], None]]] = []
        if guard.can_save(found):
            buttons.append((f"Save and {verb.lower()}", lambda: self._save_all(then)))
        buttons.append((f"{verb} without saving" if buttons else f"{verb} anyway", then))
        heading = f"{verb}? This would be lost:" if guard.can_save(found) else f"{verb}? This would end:"
        self._dialogs.ask(heading, [loss.sentence for loss in found], buttons)

    def update(self) -> None:
        """Carry on once everything that can be saved is; say so if it cannot be."""
        if self._then is None or self._dialogs.blocking:
            return
        left = [loss for loss in guard.losses(self._session) if loss.save]
        if not left:
            then, self._then = self._then, None
            then()
        elif self._clock() >= self._until:
            self._then = None
            self._reports.tell(f"Not saved, so nothing was closed: {left[0].sentence}", "warning")

    def _save_all(self, then: Callable[[], None]) -> None:
        self._then, self._until = then, self._clock() + PATIENCE_S
        for loss in guard.losses(self._session):
            if loss.save:
                self._save(loss.save)
