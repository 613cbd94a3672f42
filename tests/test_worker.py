# SPDX-License-Identifier: MIT
"""The thread: it sleeps until something comes, starts once, ends when told, and tells of its own faults."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine import messages as m
from engine.shots import Shot
from tests.fakes import camera_at
from tests.worker_bench import request, threaded


def wait_for(condition: Callable[[], Any], timeout: float = 5.0) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.001)


def test_the_thread_wakes_at_once_for_commands_and_views_and_sleeps_otherwise(tmp_path: Path) -> None:
    worker = threaded(tmp_path)
    worker.send(m.OpenScene("somewhere", "fake"))
    wait_for(worker.stats)
    time.sleep(0.05)
    assert not worker.view_waiting
    begin, cpu = time.perf_counter(), time.process_time()
    time.sleep(0.2)
    assert time.process_time() - cpu < 0.1 * (time.perf_counter() - begin)  # it sleeps
    worker.request_view(request(1))
    wait_for(lambda: worker.frame() is not None)
    worker.send(m.Train(steps=10))
    wait_for(lambda: worker.stats().step == 10)
    assert worker.stop(5.0)
    assert not worker.alive
    assert any(isinstance(e, m.CheckpointSaved) for e in worker.events())


def test_after_a_moment_of_rest_free_memory_goes_back_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[float] = []
    monkeypatch.setattr("engine.worker.REST_S", 0.05)
    monkeypatch.setattr("engine.memory.give_back_pages", lambda: given.append(time.monotonic()))
    worker = threaded(tmp_path)
    worker.send(m.OpenScene("somewhere", "fake"))
    wait_for(worker.stats)
    wait_for(lambda: given)
    time.sleep(0.2)
    before = len(given)
    time.sleep(0.2)
    assert len(given) == before, "once for all work before it"
    worker.request_view(request(1))
    wait_for(lambda: len(given) == before + 1)
    assert worker.stop(5.0)


def test_a_fault_of_the_worker_itself_is_told_as_fatal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("threading.excepthook", lambda args: None)  # the trace would go to the terminal
    worker = threaded(tmp_path)

    class Odd(m.Command):
        pass

    job = m.RenderJob("job", (Shot.of(camera_at()),) * 99)
    worker.send(m.OpenScene("somewhere", "fake"))
    worker.send(m.StartJob(job))
    worker.send(Odd())
    wait_for(lambda: not worker.alive)
    assert worker.events()[-1].fatal
    frames = [job.frames.get_nowait() for _ in range(job.frames.qsize())]
    assert frames[-1] is None  # nobody waits for the others in vain


def test_a_worker_starts_once(tmp_path: Path) -> None:
    worker = threaded(tmp_path)
    with pytest.raises(RuntimeError):
        worker.start()
    assert worker.stop(5.0)
