# SPDX-License-Identifier: MIT
"""Undoing what was done to a model by hand: whole states of it, kept in memory within a limit, the oldest dropped first.

A snapshot is what a checkpoint would hold, so going back is exact: parameters, optimiser, structure, random numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine import memory

State = tuple[dict[str, np.ndarray], dict[str, Any]]
LIMIT_BYTES = 1 << 30
FREE_SHARE = 0.25  # of what memory is free at the time of an edit, together with what snapshots hold already


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A model's state before the edit `label`, or after it where it waits to be done again.

    `reverts` are options that the edit changed, with their values at the time of the snapshot.
    """

    label: str
    tensors: dict[str, np.ndarray]
    header: dict[str, Any]
    reverts: dict[str, Any] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """The bytes that it holds."""
        return sum(tensor.nbytes for tensor in self.tensors.values())

    @property
    def step(self) -> int:
        """The step of the model at that time."""
        return int(self.header["step"])


class Ring:
    """The snapshots of one model. `free_bytes` says what memory is free; None where that is not known."""

    def __init__(
        self, limit_bytes: int = LIMIT_BYTES, free_bytes: Callable[[], int | None] = memory.host_free_bytes
    ) -> None:
        self._most = limit_bytes
        self._free_bytes = free_bytes
        self._undo: list[Snapshot] = []
        self._redo: list[Snapshot] = []

    @property
    def nbytes(self) -> int:
        """The bytes that all snapshots hold."""
        return sum(snapshot.nbytes for snapshot in (*self._undo, *self._redo))

    @property
    def limit_bytes(self) -> int:
        """The bytes that they may hold now."""
        free = self._free_bytes()
        return self._most if free is None else min(self._most, int(FREE_SHARE * (free + self.nbytes)))

    @property
    def undo_labels(self) -> tuple[str, ...]:
        """What can be undone, the last edit first."""
        return tuple(snapshot.label for snapshot in reversed(self._undo))

    @property
    def redo_labels(self) -> tuple[str, ...]:
        """What can be done again, what was undone last first."""
        return tuple(snapshot.label for snapshot in reversed(self._redo))

    def clear(self) -> None:
        """Forget everything."""
        self._undo, self._redo = [], []

    def keep(self, label: str, state: State) -> bool:
        """Keep a state before an edit; return whether there was room. What was undone cannot be done again after that.

        Without room, earlier edits cannot be undone either: the way back would miss a step.
        """
        self._redo = []
        kept = self._copied(label, state)
        if kept is None:
            self._undo = []
            return False
        self._undo.append(kept)
        return True

    def edited(self, reverts: dict[str, Any]) -> None:
        """Note which options the last edit has changed, with their values before it."""
        last = self._undo[-1]
        self._undo[-1] = Snapshot(last.label, last.tensors, last.header, reverts)

    def drop_last(self) -> None:
        """Forget the last state kept: its edit did not come about."""
        self._undo.pop()

    def go_back(self, present: State, options: dict[str, Any]) -> Snapshot | None:
        """Take the state before the last edit, None if there is none; keep the present one, to do the edit again."""
        return self._swap(self._undo, self._redo, present, options)

    def go_forward(self, present: State, options: dict[str, Any]) -> Snapshot | None:
        """Take the state of when the last edit was undone, None if there is none; keep the present one, to undo it again."""
        return self._swap(self._redo, self._undo, present, options)

    def _swap(
        self, source: list[Snapshot], target: list[Snapshot], present: State, options: dict[str, Any]
    ) -> Snapshot | None:
        if not source:
            return None
        taken = source.pop()
        kept = self._copied(taken.label, present, {name: options[name] for name in taken.reverts})
        if kept is None:
            target.clear()
        else:
            target.append(kept)
        return taken

    def _copied(self, label: str, state: State, reverts: dict[str, Any] | None = None) -> Snapshot | None:
        """Return a snapshot of a state, None if there is no room for it even without the oldest ones."""
        tensors, header = state
        needed = sum(tensor.nbytes for tensor in tensors.values())
        limit = self.limit_bytes
        if needed > limit:
            return None
        while self.nbytes + needed > limit:
            (self._undo or self._redo).pop(0)
        return Snapshot(
            label, {name: np.array(t) for name, t in tensors.items()}, dict(header), reverts or {}
        )
