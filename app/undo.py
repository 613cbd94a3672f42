# SPDX-License-Identifier: MIT
"""One list of edits for the whole window: camera paths, regions, boxes, settings, and the model's structure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

MOST_EDITS = 200


@dataclass(frozen=True)
class Edit:
    """Something that was done and how to take it back and do it again.

    Edits that follow each other with the same `merge_key` are one, as while something is dragged: its first `undo` and
    its last `redo`.
    """

    label: str  # "Move key", as the menu says it after Undo
    undo: Callable[[], None]
    redo: Callable[[], None]
    merge_key: str = ""


class UndoStack:
    """Edits in order, newest last. What they act on is theirs to know."""

    def __init__(self, most: int = MOST_EDITS) -> None:
        self._done: list[Edit] = []
        self._undone: list[Edit] = []
        self._most = most
        self._sealed = False

    @property
    def undo_label(self) -> str | None:
        """What `undo` would take back; None: nothing."""
        return self._done[-1].label if self._done else None

    @property
    def redo_label(self) -> str | None:
        """What `redo` would do again; None: nothing."""
        return self._undone[-1].label if self._undone else None

    def push(self, edit: Edit) -> None:
        """Remember an edit that was just done; what was undone before it is forgotten."""
        self._undone.clear()
        if edit.merge_key and not self._sealed and self._done and self._done[-1].merge_key == edit.merge_key:
            first = self._done.pop()
            edit = Edit(edit.label, first.undo, edit.redo, edit.merge_key)
        self._done.append(edit)
        del self._done[: -self._most]
        self._sealed = False

    def seal(self) -> None:
        """The next edit stands for itself even with the same merge key: the mouse was let go."""
        self._sealed = True

    def undo(self) -> str | None:
        """Take the newest edit back; return its label, None if there is none. An edit that fails stays where it was."""
        if not self._done:
            return None
        edit = self._done[-1]
        edit.undo()
        self._undone.append(self._done.pop())
        self._sealed = True
        return edit.label

    def redo(self) -> str | None:
        """Do what was undone last again; return its label, None if there is nothing."""
        if not self._undone:
            return None
        edit = self._undone[-1]
        edit.redo()
        self._done.append(self._undone.pop())
        self._sealed = True
        return edit.label

    def clear(self) -> None:
        """Forget all edits: what they acted on is gone."""
        self._done.clear()
        self._undone.clear()

    def forget(self, merge_key: str) -> None:
        """Forget the edits of one kind, whose keys begin so, as those of a model that is no longer open."""
        self._done = [edit for edit in self._done if not edit.merge_key.startswith(merge_key)]
        self._undone = [edit for edit in self._undone if not edit.merge_key.startswith(merge_key)]

    def labels(self, merge_key: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return what edits of one kind can be undone, and what can be done again, each beginning with the next."""
        done, undone = (
            tuple(edit.label for edit in reversed(edits) if edit.merge_key == merge_key)
            for edits in (self._done, self._undone)
        )
        return done, undone

    def keep(self, merge_key: str, done: int, undone: int) -> None:
        """Forget edits of one kind, except so many that would be undone next and so many that would be done again next."""
        self._done = _newest(self._done, merge_key, done)
        self._undone = _newest(self._undone, merge_key, undone)


def _newest(edits: list[Edit], merge_key: str, count: int) -> list[Edit]:
    """Return edits without those of one kind that come before its last `count`."""
    kept: list[Edit] = []
    for edit in reversed(edits):
        if edit.merge_key == merge_key:
            count -= 1
        if edit.merge_key != merge_key or count >= 0:
            kept.append(edit)
    return kept[::-1]
