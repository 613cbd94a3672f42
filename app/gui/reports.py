# SPDX-License-Identifier: MIT
"""How the window tells a person what went well and what went wrong: a note, a line in the log, a dialog."""

from __future__ import annotations

import logging
import queue
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from app.notices import Notices
from engine.errors import UserError, cause_chain
from engine.messages import Event, Logged

log = logging.getLogger(__name__)

NOTE_S = 6.0
MAX_ERRORS = 20  # different ones that are told only once


@dataclass(frozen=True)
class Told(Logged):
    """A line for the log panel that was shown already."""


class Reports:
    """The window's own events beside the worker's. `emit` may be called from any thread, the rest from the window's."""

    def __init__(
        self,
        show: Callable[..., None],
        wake: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._show, self._wake, self._clock = show, wake, clock
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._note = ("", 0.0)
        self.notices = Notices(clock)
        self._told: set[str] = set()

    def emit(self, event: Event) -> None:
        """Add an event, to be heard like one of the worker."""
        self._events.put(event)

    def events(self) -> list[Event]:
        """Return the events since the last call."""
        events = []
        while not self._events.empty():
            events.append(self._events.get())
        return events

    def note(self, text: str) -> None:
        """Show a passing message in the status bar."""
        self._note = (text, self._clock() + NOTE_S)
        self._wake()

    def tell(
        self,
        text: str,
        kind: str = "info",
        button: str = "",
        act: Callable[[], None] | None = None,
        key: str = "",
        line: str = "",
    ) -> None:
        """Show a message over the viewport, with a button for what one may do about it, and keep it in the log panel.

        `line` is what the log keeps where that is longer.
        """
        self.notices.add(text, kind, button, act, key)
        self.emit(Told(kind, line or text))
        self._wake()

    def current_note(self) -> str:
        """Return the passing message, "" when its time is over."""
        text, until = self._note
        return text if self._clock() < until else ""

    def failed(self, what: str, error: BaseException) -> None:
        """Put an error into the log panel and before the person's eyes."""
        if not isinstance(error, UserError):
            log.error("%s", what, exc_info=error)
        chain = tuple(cause_chain(error))
        self.emit(Logged("error", ": ".join((what, *chain))))
        self._show(what, chain, details="".join(traceback.format_exception(error)))
        self._wake()

    def failed_once(self, what: str, error: Exception) -> None:
        """The same, but for an error that would come up again and again."""
        key = f"{what} {type(error).__name__} {error}"
        if key not in self._told and len(self._told) < MAX_ERRORS:
            self._told.add(key)
            self.failed(what, error)
