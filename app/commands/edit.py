# SPDX-License-Identifier: MIT
"""The Edit menu: taking edits back and doing them again."""

from __future__ import annotations

from app.commands.base import Command
from app.session import Session


def _with_edit(session: Session) -> str | None:
    return None if session.undo.undo_label else "There is nothing to undo."


def _with_undone(session: Session) -> str | None:
    return None if session.undo.redo_label else "There is nothing to redo."


def _label(word: str, edit: str | None) -> str:
    return f"{word}: {edit[:1].lower()}{edit[1:]}" if edit else word


COMMANDS: tuple[Command, ...] = (
    Command("undo", "Undo", "Edit", "Ctrl+Z",
            "Take the last edit of the camera path, the regions or the structure back.",
            lambda app: app.do("undo"), _with_edit,
            label_in=lambda session: _label("Undo", session.undo.undo_label)),
    Command("redo", "Redo", "Edit", "Ctrl+Shift+Z",
            "Do what was undone last again.",
            lambda app: app.do("redo"), _with_undone,
            label_in=lambda session: _label("Redo", session.undo.redo_label)),
)  # fmt: skip
