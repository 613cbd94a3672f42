# SPDX-License-Identifier: MIT
"""Edits of which voxels are drawn, in the window's list of edits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from app.inspection import Look
from app.session import Session
from app.undo import Edit

KIND = "look"


class LookEdits:
    """Changes `Session.inspect.look` so that it can be undone."""

    def __init__(self, session: Session, wake: Callable[[], None]) -> None:
        self._session, self._wake = session, wake
        self._merging = ""  # what the last edit may be merged with

    def changed(self, **changes: Any) -> Look:
        """Return the present look with something else in it."""
        return replace(self._session.inspect.look, **changes)

    def show(self, label: str, look: Look, merging: str = "") -> None:
        """Show another look, and remember the edit; those that follow each other with one `merging` are one."""
        before = self._session.inspect.look
        if look == before:
            return
        if not merging or merging != self._merging:
            self._session.undo.seal()
        self._merging = merging
        self._session.undo.push(Edit(label, lambda: self._set(before), lambda: self._set(look), KIND))
        self._set(look)

    def seal(self) -> None:
        """The next edit stands for itself."""
        self._merging = ""
        self._session.undo.seal()

    def forget(self) -> None:
        """Forget all: what they acted on is another scene."""
        self._session.undo.forget(KIND)

    def _set(self, look: Look) -> None:
        self._session.inspect.look = look
        self._wake()
