# SPDX-License-Identifier: MIT
"""Edits of the model's structure in the window's list of edits, kept in step with the ring of snapshots that the worker has.

The worker says after each edit what can be undone (`UndoChanged`). A label more there is an edit more here; one that the
ring had no room for any more goes here too. Undoing asks the worker, who answers with `StructureUndone`.
"""

from __future__ import annotations

from collections.abc import Callable

from app.gui import formats
from app.undo import Edit, UndoStack
from engine.messages import (
    Command,
    Event,
    Failed,
    RedoStructure,
    SceneOpened,
    StructureUndone,
    UndoChanged,
    UndoStructure,
)

KIND = "structure"


class StructureEdits:
    """Hears the worker and keeps `stack` in step."""

    def __init__(self, stack: UndoStack, send: Callable[[Command], None]) -> None:
        self._stack, self._send = stack, send
        self._undoing = self._redoing = 0  # asked for and not answered yet

    def on_event(self, event: Event) -> None:
        """Hear an event of the worker."""
        if isinstance(event, SceneOpened):
            self._open(event)
        elif isinstance(event, UndoChanged):
            self._follow(event)
        elif isinstance(event, StructureUndone):
            if event.redone:
                self._redoing = max(0, self._redoing - 1)
            else:
                self._undoing = max(0, self._undoing - 1)
        elif isinstance(event, Failed):
            self._undoing = self._redoing = (
                0  # perhaps it was an answer; the next UndoChanged sets things right
            )

    def _open(self, scene: SceneOpened) -> None:
        """Another model is open: the edits of the one before go; those it brings along can be undone."""
        self._stack.forget(KIND)
        self._undoing = self._redoing = 0
        for label in reversed(scene.undo_labels):
            self._push(label)

    def _follow(self, event: UndoChanged) -> None:
        done, undone = self._stack.labels(KIND)
        # What was asked for and is not answered yet has moved edits here, but not there.
        ahead = self._undoing - self._redoing
        expected = undone[: max(0, ahead)][::-1] + done[max(0, -ahead) :]
        there = event.undo_labels
        new = next(n for n in range(len(there) + 1) if there[n:] == expected[: len(there) - n])
        for label in reversed(there[:new]):
            self._push(label)
        self._stack.keep(KIND, max(0, len(there) - ahead), max(0, len(event.redo_labels) + ahead))

    def _push(self, label: str) -> None:
        self._stack.seal()
        self._stack.push(Edit(label, self._undo, self._redo, KIND))

    def _undo(self) -> None:
        self._undoing += 1
        self._send(UndoStructure())

    def _redo(self) -> None:
        self._redoing += 1
        self._send(RedoStructure())


def sentence(event: StructureUndone) -> str:
    """Return what an undo or a redo did, and what training it cost or gave back."""
    label = f"{event.label[:1].lower()}{event.label[1:]}"
    text = f"{label} {'done again' if event.redone else 'undone'}: back at step {formats.count(event.step)}"
    steps = abs(event.lost_steps)
    if steps == 0:
        return text
    steps_text = f"{formats.count(steps)} step{'s' if steps > 1 else ''} of training"
    return f"{text}, {steps_text} {'given up' if event.lost_steps > 0 else 'brought back'}"
