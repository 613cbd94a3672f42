# SPDX-License-Identifier: MIT
"""When memory runs out training pauses, says why and how to go on, and loses nothing."""

from __future__ import annotations

import weakref
from types import SimpleNamespace

import pytest

from engine import memory, worker_memory
from engine import messages as m
from engine.messages import TrainState
from engine.methods.svraster.config import SVRasterConfig
from engine.shots import Shot
from tests.fakes import camera_at
from tests.worker_bench import Bench, request

NO_ROOM = MemoryError("Unable to allocate 900. MiB for an array")


@pytest.fixture
def freed(monkeypatch) -> list[int]:
    times: list[int] = []
    monkeypatch.setattr(memory, "free_caches", lambda: times.append(1))
    return times


def test_a_step_without_memory_pauses_training_and_tells_what_was_asked_for(
    bench: Bench, freed: list[int]
) -> None:
    bench.do(m.Train())
    bench.turns(3)
    bench.method.fail_step = NO_ROOM
    bench.turns(1)
    assert (bench.state, bench.method.step) == (TrainState.PAUSED, 3)
    (told,) = bench.of(m.OutOfMemory)
    assert told.user
    assert told.asked_bytes == 900 * 2**20
    assert told.free_bytes > 0
    assert told.chain[0].startswith("There is not enough memory for this (900 MB asked for, ")
    assert freed == [1]


def test_what_the_failed_work_held_is_free_before_the_caches_are_emptied() -> None:
    """An error keeps the frames it has passed, and these the tensors: nothing could be given back."""

    class Tensor:
        pass

    def work() -> None:
        tensor = Tensor()
        held.append(weakref.ref(tensor))
        raise NO_ROOM

    held: list[weakref.ref] = []
    try:
        try:
            work()
        except MemoryError as lack:
            raise ValueError("a step failed") from lack
    except ValueError as error:
        told = worker_memory.event("Training stopped", error, NO_ROOM, None)
        assert held[0]() is None
    assert "in work" in told.trace


def test_training_goes_on_where_it_was_and_a_second_shortage_is_told_again(bench: Bench) -> None:
    bench.do(m.Train())
    bench.turns(2)
    bench.method.fail_step = NO_ROOM
    bench.turns(3)
    bench.method.fail_step = None
    offer = next(o for o in bench.of(m.OutOfMemory)[0].offers if o.label == "Resume training")
    bench.do(*offer.commands)
    bench.turns(2)
    assert (bench.state, bench.method.step) == (TrainState.TRAINING, 4)
    bench.method.fail_step = NO_ROOM
    bench.turns(2)
    assert len(bench.of(m.OutOfMemory)) == 2


def test_what_was_trained_is_saved_when_memory_runs_out(bench: Bench) -> None:
    bench.do(m.Train())
    bench.turns(2)
    bench.method.fail_step = NO_ROOM
    bench.turns(2)
    assert [event.step for event in bench.of(m.CheckpointSaved)] == [2]


def test_a_view_without_memory_pauses_training_and_is_told_once(bench: Bench) -> None:
    bench.do(m.Train())
    bench.method.fail_view = NO_ROOM
    for serial in range(1, 4):
        bench.worker.request_view(request(serial))
        bench.turns(3)
    assert bench.state is TrainState.PAUSED
    (told,) = bench.of(m.OutOfMemory)
    assert told.what == "The view could not be rendered"
    assert [offer.max_scale for offer in told.offers if offer.max_scale is not None] == [
        worker_memory.LOWER_SCALE
    ]


def test_an_export_without_memory_pauses_training_and_ends(bench: Bench) -> None:
    bench.do(m.Train())
    bench.method.fail_view = NO_ROOM
    job = m.RenderJob("film", (Shot.of(camera_at()),))
    bench.do(m.StartJob(job))
    bench.turns(9)
    assert bench.state is TrainState.PAUSED
    assert [job.frames.get_nowait() for _ in range(3)][1:] == [NO_ROOM, None]
    assert [event.what for event in bench.of(m.OutOfMemory)] == ["The export stopped"]


def test_a_method_with_a_voxel_budget_is_offered_to_keep_to_what_it_has() -> None:
    method = SimpleNamespace(config=SVRasterConfig(), structure=lambda: SimpleNamespace(voxels=1_234_567))
    view, cap, resume = worker_memory.offers(SimpleNamespace(method=method))
    assert view.max_scale == worker_memory.LOWER_SCALE
    assert cap.label == "Keep to 1,200,000 voxels and resume"
    assert cap.commands == (m.SetOptions({"adapt.max_voxels": 1_200_000}), m.Train())
    assert resume.commands == (m.Train(),)


def test_a_budget_below_what_the_option_allows_is_not_offered() -> None:
    method = SimpleNamespace(config=SVRasterConfig(), structure=lambda: SimpleNamespace(voxels=64))
    assert len(worker_memory.offers(SimpleNamespace(method=method))) == 2


@pytest.mark.parametrize(("count", "wanted"), [(7, 7), (42, 42), (999, 990), (1_234_567, 1_200_000)])
def test_round_numbers_never_exceed(count: int, wanted: int) -> None:
    assert worker_memory.rounded_down(count) == wanted
