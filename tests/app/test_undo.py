# SPDX-License-Identifier: MIT
"""The window's list of edits."""

from __future__ import annotations

import pytest

from app.undo import Edit, UndoStack


class Number:
    """A value whose changes go through an undo stack."""

    def __init__(self, stack: UndoStack) -> None:
        self.value, self._stack = 0, stack

    def become(self, value: int, merge_key: str = "") -> None:
        before = self.value
        self.value = value
        edit = Edit(f"Become {value}", lambda: self._set(before), lambda: self._set(value), merge_key)
        self._stack.push(edit)

    def _set(self, value: int) -> None:
        self.value = value


def test_edits_are_taken_back_and_done_again_in_order():
    stack = UndoStack()
    number = Number(stack)
    for value in (1, 2, 3):
        number.become(value)
    assert [stack.undo(), stack.undo()] == ["Become 3", "Become 2"]
    assert number.value == 1 and stack.redo_label == "Become 2"
    assert stack.redo() == "Become 2" and number.value == 2


def test_a_new_edit_forgets_what_was_undone():
    stack = UndoStack()
    number = Number(stack)
    number.become(1)
    stack.undo()
    number.become(5)
    assert stack.redo() is None and number.value == 5


def test_a_drag_is_one_edit_and_the_next_drag_another():
    stack = UndoStack()
    number = Number(stack)
    for value in (1, 2, 3):
        number.become(value, "drag")
    stack.seal()
    for value in (4, 5):
        number.become(value, "drag")
    stack.undo()
    assert number.value == 3
    stack.undo()
    assert number.value == 0 and stack.undo_label is None


def test_an_edit_after_an_undo_does_not_merge_into_what_was_before():
    stack = UndoStack()
    number = Number(stack)
    number.become(1, "drag")
    stack.seal()
    number.become(2, "drag")
    stack.undo()
    number.become(7, "drag")
    stack.undo()
    assert number.value == 1


def test_an_undo_that_fails_stays_where_it_was():
    stack = UndoStack()

    def fail() -> None:
        raise RuntimeError("no")

    stack.push(Edit("Fail", fail, fail))
    with pytest.raises(RuntimeError):
        stack.undo()
    assert stack.undo_label == "Fail" and stack.redo_label is None


def test_no_more_edits_are_kept_than_asked_for():
    stack = UndoStack(most=2)
    number = Number(stack)
    for value in (1, 2, 3):
        number.become(value)
    while stack.undo():
        pass
    assert number.value == 1


def test_edits_of_one_kind_are_forgotten():
    stack = UndoStack()
    number = Number(stack)
    number.become(1, "model")
    number.become(2)
    stack.forget("model")
    stack.undo()
    assert stack.undo_label is None
