# SPDX-License-Identifier: MIT
"""The ring of snapshots: back and forth, within its limit, with nothing shared with the model."""

from __future__ import annotations

import numpy as np

from engine.snapshots import Ring, State

KB = 1024


def state(value: int, step: int = 0) -> State:
    """Return a state of one kilobyte."""
    return {"x": np.full(KB, value, dtype=np.uint8)}, {"step": step}


def ring(kilobytes: int, free: int | None = None) -> Ring:
    return Ring(kilobytes * KB, lambda: free)


def test_undo_and_redo_walk_through_the_states() -> None:
    kept = ring(10)
    assert kept.keep("a", state(1)) and kept.keep("b", state(2))
    assert kept.undo_labels == ("b", "a")
    back = kept.go_back(state(3), {})
    assert (back.label, back.tensors["x"][0], kept.redo_labels) == ("b", 2, ("b",))
    back = kept.go_back(state(2), {})
    assert (back.label, back.tensors["x"][0]) == ("a", 1)
    assert kept.go_back(state(1), {}) is None
    forth = kept.go_forward(state(1), {})
    assert (forth.label, forth.tensors["x"][0], kept.undo_labels, kept.redo_labels) == (
        "a",
        2,
        ("a",),
        ("b",),
    )


def test_an_edit_ends_what_could_be_done_again() -> None:
    kept = ring(10)
    kept.keep("a", state(1))
    kept.go_back(state(2), {})
    kept.keep("c", state(1))
    assert (kept.undo_labels, kept.redo_labels) == (("c",), ())


def test_beyond_the_limit_the_oldest_goes_first() -> None:
    kept = ring(2)
    for value, label in enumerate("abc"):
        assert kept.keep(label, state(value))
    assert (kept.undo_labels, kept.nbytes) == (("c", "b"), 2 * KB)


def test_a_state_larger_than_the_limit_is_not_kept_and_breaks_the_chain() -> None:
    kept = ring(1)
    kept.keep("a", state(1))
    assert not kept.keep("b", ({"x": np.zeros(2 * KB, np.uint8)}, {"step": 0}))
    assert kept.undo_labels == ()


def test_the_limit_follows_what_memory_is_free() -> None:
    kept = ring(100, free=4 * KB)
    assert kept.limit_bytes == KB
    kept.keep("a", state(1))
    assert kept.limit_bytes == KB + KB // 4, "what snapshots hold counts as free for them"


def test_a_snapshot_shares_nothing_with_the_model() -> None:
    kept, (tensors, header) = ring(10), state(1)
    kept.keep("a", (tensors, header))
    tensors["x"][:] = 9
    assert kept.go_back((tensors, header), {}).tensors["x"][0] == 1


def test_options_that_an_edit_changed_go_back_and_forth_with_it() -> None:
    kept = ring(10)
    kept.keep("a", state(1))
    kept.edited({"adapt.max_voxels": 500})
    assert kept.go_back(state(2), {"adapt.max_voxels": 300, "other": 1}).reverts == {"adapt.max_voxels": 500}
    assert kept.go_forward(state(1), {"adapt.max_voxels": 500}).reverts == {"adapt.max_voxels": 300}
