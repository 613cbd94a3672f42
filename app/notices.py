# SPDX-License-Identifier: MIT
"""Short messages that come by themselves: the newest few are shown, good news goes by itself, warnings wait for a person."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field

MOST = 3  # shown at once
GOES_AFTER_S = 6.0
KINDS = ("info", "warning")


@dataclass(frozen=True)
class Notice:
    """One message. `until`: when it goes by itself, None if it waits to be dismissed; `button` does `act` and ends it."""

    id: int
    text: str
    kind: str = "info"
    until: float | None = None
    button: str = ""
    act: Callable[[], None] | None = field(default=None, compare=False)
    key: str = ""


class Notices:
    """What is to be shown now. One with a `key` takes the place of an older one with the same."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._numbers = itertools.count(1)
        self._notices: list[Notice] = []

    def add(
        self,
        text: str,
        kind: str = "info",
        button: str = "",
        act: Callable[[], None] | None = None,
        key: str = "",
    ) -> Notice:
        """Show a message. A fourth one takes the place of the oldest good news, else of the oldest warning."""
        if kind not in KINDS:
            raise ValueError(f"Notices.add: the kind must be one of {', '.join(KINDS)}, got {kind!r}.")
        self._notices = [one for one in self._notices if not key or one.key != key]
        until = None if kind == "warning" else self._clock() + GOES_AFTER_S
        notice = Notice(next(self._numbers), text, kind, until, button, act, key)
        self._notices.append(notice)
        while len(self._notices) > MOST:
            oldest = next((one for one in self._notices[:-1] if one.kind == "info"), self._notices[0])
            self._notices.remove(oldest)
        return notice

    def shown(self) -> tuple[Notice, ...]:
        """Return what is to be seen now, oldest first; what had its time is forgotten."""
        now = self._clock()
        self._notices = [one for one in self._notices if one.until is None or one.until > now]
        return tuple(self._notices)

    def retract(self, key: str) -> None:
        """Take away what was said under a key: it is no longer so."""
        self._notices = [one for one in self._notices if one.key != key]

    def dismiss(self, number: int) -> None:
        """Take one away."""
        self._notices = [one for one in self._notices if one.id != number]
