# SPDX-License-Identifier: MIT
"""The threads that run kernels: all take part, errors reach the caller, calls do not mix."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.cpu.crew import Crew, crew, default_threads, set_threads

PATIENCE_S = 20.0  # a deadlock fails after this long; nothing here waits otherwise


@pytest.fixture
def three() -> Iterator[Crew]:
    """A crew of three, dismissed at the end."""
    team = Crew(3)
    yield team
    team.close()


@pytest.fixture
def hired() -> Iterator[None]:
    """Put the process' crew back as it was."""
    before = crew().n
    yield
    set_threads(before)


def test_a_kernel_runs_on_all_threads_at_once(three: Crew) -> None:
    together, seen = threading.Barrier(3), []

    def kernel(counter: np.ndarray, argument: str) -> None:
        together.wait(PATIENCE_S)
        seen.append((threading.get_ident(), argument, counter.dtype, int(counter.sum())))

    three.run(kernel, "argument")
    assert len({ident for ident, *_ in seen}) == 3
    assert {tuple(rest) for _, *rest in seen} == {("argument", np.dtype(np.int64), 0)}


def test_every_call_gets_a_fresh_counter(three: Crew) -> None:
    seen = []

    def kernel(counter: np.ndarray) -> None:
        seen.append(int(counter[0]))
        counter[1] = 5

    for _ in range(3):
        three.run(lambda counter: seen.append(int(counter.sum())))
        three.run(kernel)
    assert set(seen) == {0}


def test_a_crew_of_one_needs_no_helpers() -> None:
    seen = []
    Crew(1).run(lambda counter: seen.append(threading.get_ident()))
    assert seen == [threading.get_ident()]


@pytest.mark.parametrize("who", ["helper", "caller"])
def test_an_exception_reaches_the_caller_and_the_crew_goes_on(three: Crew, who: str) -> None:
    main = threading.get_ident()

    def kernel(counter: np.ndarray) -> None:
        if (threading.get_ident() == main) == (who == "caller"):
            raise ZeroDivisionError(who)

    with pytest.raises(ZeroDivisionError, match=who):
        three.run(kernel)
    seen = []
    three.run(lambda counter: seen.append(1))
    assert len(seen) == 3


def test_run_waits_for_the_slowest_helper(three: Crew) -> None:
    main, done = threading.get_ident(), []

    def kernel(counter: np.ndarray) -> None:
        if threading.get_ident() != main:
            time.sleep(0.05)
            done.append(1)

    three.run(kernel)
    assert len(done) == 2


def test_an_interrupted_wait_still_waits_and_the_next_call_is_whole(three: Crew) -> None:
    """Ctrl-C while helpers work: the interrupt is raised, but not before they are done."""
    main, done, release = threading.get_ident(), [], threading.Event()

    def kernel(counter: np.ndarray) -> None:
        if threading.get_ident() != main:
            release.wait(PATIENCE_S)
            done.append(1)

    class Interrupted:
        """A semaphore whose first wait is interrupted."""

        def __init__(self, real: threading.Semaphore) -> None:
            self.real, self.calls = real, 0

        def acquire(self) -> bool:
            self.calls += 1
            if self.calls == 1:
                release.set()
                raise KeyboardInterrupt
            return self.real.acquire()

        def release(self) -> None:
            self.real.release()

    three._done = Interrupted(three._done)
    with pytest.raises(KeyboardInterrupt):
        three.run(kernel)
    assert len(done) == 2
    three.run(kernel)
    assert len(done) == 4


def test_two_threads_that_call_at_once_do_not_mix(three: Crew) -> None:
    inside: list[str] = []
    mixed, totals = [], {"a": 0, "b": 0}
    lock = threading.Lock()

    def kernel(counter: np.ndarray, name: str) -> None:
        with lock:
            inside.append(name)
            mixed.extend(set(inside) - {name})
            totals[name] += 1
        time.sleep(0.0005)
        with lock:
            inside.remove(name)

    def work(name: str) -> None:
        for _ in range(25):
            three.run(kernel, name)

    threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert not mixed and totals == {"a": 75, "b": 75}


def test_a_crew_can_be_replaced_while_another_thread_uses_it(hired: None) -> None:
    set_threads(3)
    held, calls, stop = crew(), [], threading.Event()

    def work() -> None:
        while not stop.is_set():
            held.run(lambda counter: None)  # a crew that has been dismissed still does its caller's work
            calls.append(1)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    for n in (1, 2, 4, 1, 2) * 5:
        set_threads(n)
        assert crew().n == n and crew() is not held
        time.sleep(0.001)
    before = len(calls)
    time.sleep(0.02)
    stop.set()
    thread.join(PATIENCE_S)
    assert not thread.is_alive() and len(calls) > before


class Late:
    """A semaphore whose waiter does not run on before it is told to, as happens on a loaded machine."""

    def __init__(self) -> None:
        self.real, self.on = threading.Semaphore(0), threading.Event()

    def release(self) -> None:
        self.real.release()

    def acquire(self) -> None:
        self.real.acquire()
        self.on.wait(PATIENCE_S)


def test_a_helper_that_hears_late_of_its_dismissal_leaves_the_next_job_alone(
    hired: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [Late(), Late()]
    hand_out = iter(made)
    monkeypatch.setattr(threading, "Semaphore", lambda _: next(hand_out))
    before = set(threading.enumerate())
    held = Crew(2)
    (helper,) = set(threading.enumerate()) - before
    monkeypatch.undo()
    held.close()
    ran: list[str] = []

    def job(counter: np.ndarray) -> None:
        ran.append(threading.current_thread().name)
        for late in made:  # the helper wakes while this job runs
            late.on.set()
        helper.join(PATIENCE_S)

    held.run(job)
    assert ran == [threading.current_thread().name] and not helper.is_alive()


def test_set_threads_ends_the_helpers_it_replaces(hired: None) -> None:
    set_threads(1)
    before = set(threading.enumerate())
    set_threads(4)
    helpers = set(threading.enumerate()) - before
    assert len(helpers) == 3 and {helper.name for helper in helpers} == {"nerfviewer-kernel"}
    set_threads(1)
    for helper in helpers:
        helper.join(PATIENCE_S)
        assert not helper.is_alive()


def test_the_crew_is_hired_once(hired: None) -> None:
    set_threads(2)
    team = crew()
    set_threads(2)
    assert crew() is team


@pytest.mark.parametrize(("value", "expected"), [("3", 3), ("1", 1), ("0", None), ("many", None), ("", None)])
def test_numba_num_threads_decides_in_a_fresh_process(
    value: str, expected: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_NUM_THREADS", value)
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert default_threads() == (expected or available)
    if value != "3":
        return
    code = "from engine.cpu.crew import crew; print(crew().n)"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "3"
