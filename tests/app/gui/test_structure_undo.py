# SPDX-License-Identifier: MIT
"""The window's list of edits and the worker's ring of snapshots say the same, whatever happens to either."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from app.gui.structure_undo import KIND, StructureEdits, sentence
from app.undo import Edit, UndoStack
from engine.messages import (
    Failed,
    RedoStructure,
    SceneOpened,
    StructureUndone,
    UndoChanged,
    UndoStructure,
)
from engine.methods.common import StructureStats

STATS = StructureStats(30, 60, (0, 10), 4096, 1000, 0.1)


class Ring:
    """The worker's side: answers as it does."""

    def __init__(self) -> None:
        self.stack, self.asked = UndoStack(), []
        self.edits = StructureEdits(self.stack, self.asked.append)
        self.undo: list[str] = []
        self.redo: list[str] = []

    def tell(self) -> None:
        undo, redo = (tuple(reversed(labels)) for labels in (self.undo, self.redo))
        self.edits.on_event(UndoChanged(undo, redo, 0, 0))

    def edit(self, label: str, most: int = 9) -> None:
        self.undo, self.redo = [*self.undo, label][-most:], []
        self.tell()

    def answer(self) -> None:
        """Do what was asked for, in order."""
        while self.asked:
            back = isinstance(self.asked.pop(0), UndoStructure)
            source, target = (self.undo, self.redo) if back else (self.redo, self.undo)
            target.append(source.pop())
            self.edits.on_event(StructureUndone(target[-1], 5, 2, not back, STATS))
            self.tell()

    def same(self) -> bool:
        return self.stack.labels(KIND) == (tuple(self.undo[::-1]), tuple(self.redo[::-1]))


def window_edit(ring: Ring, label: str = "Move region") -> None:
    ring.stack.push(Edit(label, lambda: None, lambda: None, "look"))


def test_an_edit_by_hand_can_be_undone_and_done_again_through_the_worker():
    ring = Ring()
    ring.edit("Prune")
    assert ring.stack.undo_label == "Prune"
    ring.stack.undo()
    assert ring.asked == [UndoStructure()]
    ring.answer()
    assert ring.same() and ring.stack.redo_label == "Prune"
    ring.stack.redo()
    assert ring.asked == [RedoStructure()]
    ring.answer()
    assert ring.same() and ring.stack.undo_label == "Prune"


def test_two_edits_in_a_row_are_two():
    ring = Ring()
    ring.edit("Prune")
    ring.edit("Prune")
    assert ring.same()


def test_what_the_ring_dropped_goes_here_and_other_edits_stay():
    ring = Ring()
    window_edit(ring, "first")
    ring.edit("Prune", most=2)
    window_edit(ring, "second")
    ring.edit("Subdivide", most=2)
    ring.edit("Delete", most=2)
    assert ring.same() and ring.stack.undo_label == "Delete"  # as many came as went
    ring.undo = []
    ring.tell()
    assert ring.same() and ring.stack.undo_label == "second"


def test_several_undos_may_be_on_their_way():
    ring = Ring()
    for label in ("A", "B", "C"):
        ring.edit(label)
    ring.stack.undo()
    ring.stack.undo()
    ring.tell()  # sent before the worker heard of any
    assert ring.stack.labels(KIND) == (("A",), ("B", "C"))
    ring.answer()
    assert ring.same() and ring.stack.undo_label == "A"


def test_an_edit_that_came_before_the_undo_was_heard_can_still_be_undone():
    ring = Ring()
    ring.edit("A")
    ring.stack.undo()
    ring.edit("B")  # was under way; the undo will take it back
    assert ring.stack.undo_label == "B"
    ring.answer()
    assert ring.undo == ["A"] and ring.stack.labels(KIND)[0] == ("A",)


def test_a_refused_undo_is_set_right_by_the_next_word_of_the_worker():
    ring = Ring()
    ring.edit("A")
    ring.stack.undo()
    ring.asked.clear()
    ring.edits.on_event(Failed("Undoing failed", ("no room",)))
    ring.tell()
    assert ring.same() and ring.stack.undo_label == "A"


def test_another_model_brings_its_own_edits():
    ring = Ring()
    ring.edit("A")
    window_edit(ring)
    scene = SceneOpened(
        "lego", "lego", "blender", "svraster", (), 0, (), np.array([0, 0, 1.0]), np.eye(4), 0, "white", 0, "", {}
    )  # fmt: skip
    ring.edits.on_event(scene)
    assert ring.stack.labels(KIND) == ((), ()) and ring.stack.undo_label == "Move region"
    ring.edits.on_event(replace(scene, undo_labels=("Y", "X")))
    assert ring.stack.labels(KIND) == (("Y", "X"), ())


@pytest.mark.parametrize(
    ("lost", "redone", "text"),
    [
        (30, False, "prune undone: back at step 1,240, 30 steps of training given up"),
        (1, False, "prune undone: back at step 1,240, 1 step of training given up"),
        (0, False, "prune undone: back at step 1,240"),
        (-12, True, "prune done again: back at step 1,240, 12 steps of training brought back"),
    ],
)
def test_the_note_says_what_an_undo_costs(lost, redone, text):
    assert sentence(StructureUndone("Prune", 1240, lost, redone, STATS)) == text
