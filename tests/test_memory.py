# SPDX-License-Identifier: MIT
"""Every way to say "out of memory" is understood; nothing else is taken for it."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from engine import memory

GIB = 2**30


class OutOfMemoryError(RuntimeError):
    """Looks like torch's."""


OutOfMemoryError.__module__ = "torch"

TORCH = "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 1 has a total capacity of 7.79 GiB of which 1.10 GiB is free."


@pytest.fixture
def card(monkeypatch) -> SimpleNamespace:
    """A fake torch with a card that has 1 of 8 GiB free."""
    asked: list[object] = []
    cuda = SimpleNamespace(
        is_initialized=lambda: True,
        mem_get_info=lambda index: (asked.append(index), (GIB, 8 * GIB))[1],
        empty_cache=lambda: asked.append("emptied"),
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    return SimpleNamespace(asked=asked, cuda=cuda)


@pytest.mark.parametrize(
    ("error", "asked"),
    [
        (MemoryError(), None),
        (OutOfMemoryError(TORCH), round(2.5 * GIB)),
        (RuntimeError("CUDA_ERROR_OUT_OF_MEMORY: out of memory"), None),
        (
            RuntimeError(
                "[enforce] DefaultCPUAllocator: can't allocate memory: you tried to allocate 4096 bytes."
            ),
            4096,
        ),
    ],
)
def test_every_way_to_say_it_is_understood(error, asked):
    assert memory.ran_out(error) is error
    assert memory.shortage(error).asked_bytes == asked


def test_what_numpy_says_is_understood():
    with pytest.raises(MemoryError) as caught:
        np.empty((2**20, 2**30))
    assert memory.ran_out(caught.value) is caught.value
    assert memory.shortage(caught.value).asked_bytes == 2**53


def test_the_cause_of_another_error_counts():
    try:
        try:
            raise MemoryError("no room")
        except MemoryError as inner:
            raise ValueError("the step failed") from inner
    except ValueError as error:
        assert str(memory.ran_out(error)) == "no room"


@pytest.mark.parametrize(
    "error", [ValueError("out of bounds"), RuntimeError("CUDA error: an illegal access"), None]
)
def test_other_errors_are_left_alone(error):
    assert memory.ran_out(error) is None


def test_a_card_is_asked_for_its_own_memory(card):
    lack = memory.shortage(OutOfMemoryError(TORCH))
    assert (lack.device, lack.free_bytes, lack.total_bytes) == ("the graphics card", GIB, 8 * GIB)
    assert card.asked == [1]
    wanted = (
        "There is not enough memory for this (2.5 GB asked for, 1.0 GB of 8.0 GB free on the graphics card)."
    )
    assert lack.sentence() == wanted


def test_a_card_that_does_not_answer_is_no_second_failure(card):
    def refuse(index: int) -> None:
        raise RuntimeError("CUDA error: unspecified launch failure")

    card.cuda.mem_get_info = refuse
    assert "how much is free is not known" in memory.shortage(OutOfMemoryError(TORCH)).sentence()


def test_the_cards_caches_are_given_back_only_if_there_are_any(card):
    memory.free_caches()
    assert card.asked == ["emptied"]
    card.cuda.is_initialized = lambda: False
    memory.free_caches()
    assert card.asked == ["emptied"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc is asked for its pages")
def test_free_pages_between_blocks_in_use_go_back_to_the_system():
    blocks = [np.ones(1000) for _ in range(16_000)]  # 128 MB of 8 kB each: from the allocator's heap
    kept = blocks[::50]
    full = psutil.Process().memory_info().rss
    del blocks
    memory.free_caches()
    assert full - psutil.Process().memory_info().rss > 60e6
    assert len(kept) == 320
