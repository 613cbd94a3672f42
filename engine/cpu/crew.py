# SPDX-License-Identifier: MIT
"""The threads that run kernels: every member calls the same `nogil` kernel, which hands out its own work.

Why not `numba.prange`: its thread pool depends on what is installed (OpenMP, TBB or a work queue that must not be entered
twice), compiles slowly, and cuts the work into equal parts. Here a kernel takes a shared counter as its first argument
and draws the next chunk with `simd.fetch_add`, so tiles are balanced whatever they cost, for any number of threads.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

_COUNTERS = 8  # int64 slots in a counter array: one cache line, kernels use slot 0


def default_threads() -> int:
    """Return NUMBA_NUM_THREADS if it is set, else the processors this process may use."""
    wanted = os.environ.get("NUMBA_NUM_THREADS", "")
    if wanted.isdigit() and int(wanted) > 0:
        return int(wanted)
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return max(1, os.cpu_count() or 1)


class Crew:
    """`n` threads that work together: the caller and n - 1 helpers, which sleep between calls."""

    def __init__(self, n: int) -> None:
        self.n = n
        self._entry = threading.Lock()  # one kernel at a time, whoever calls
        self._job: tuple[Callable[..., Any], tuple[Any, ...]] | None = None
        self._dismissed = (
            False  # a flag of its own: a helper may hear of its end only when the caller is in its next job
        )
        self._go = [threading.Semaphore(0) for _ in range(n - 1)]
        self._done = threading.Semaphore(0)
        self._error: BaseException | None = None
        self._ended = [0.0] * n  # when each was through with its part of the kernel
        self.spent_s = 0.0  # in kernels, added up over all members
        self.waited_s = 0.0  # of that for the slowest member at a kernel's end
        for i, go in enumerate(self._go):
            threading.Thread(target=self._help, args=(go, i), name="nerfviewer-kernel", daemon=True).start()

    def run(self, kernel: Callable[..., Any], *args: Any) -> None:
        """Call kernel(counter, *args) on every thread and return when all have returned.

        `counter` is a fresh int64 array of zeros, shared by the threads. An exception in any of them is raised here.
        """
        with self._entry:
            counter = np.zeros(_COUNTERS, dtype=np.int64)
            self._job, self._error = (kernel, (counter, *args)), None
            begin = time.perf_counter()
            for go in self._go:
                go.release()
            try:
                kernel(counter, *args)
            finally:
                self._ended[-1] = time.perf_counter()
                self._wait()
                self._job = None
                last = max(self._ended)
                self.spent_s += len(self._ended) * (last - begin)
                self.waited_s += len(self._ended) * last - sum(self._ended)
            if self._error is not None:
                raise self._error

    def _wait(self) -> None:
        """Wait until every helper is done. Ctrl-C is raised after that: they must not go on in arrays of the next call."""
        waiting, interrupt = len(self._go), None
        while waiting:
            try:
                self._done.acquire()
                waiting -= 1
            except KeyboardInterrupt as error:
                interrupt = error
        if interrupt is not None:
            raise interrupt

    def _help(self, go: threading.Semaphore, i: int) -> None:
        while True:
            go.acquire()
            if self._dismissed:
                return
            job = self._job
            assert job is not None  # it is there until every helper is done with it
            try:
                job[0](*job[1])
            except BaseException as error:  # handed to the caller, which raises it
                self._error = error
            self._ended[i] = time.perf_counter()
            self._done.release()

    def close(self) -> None:
        """End the helper threads, once they are done. Who still holds this crew goes on working alone."""
        with self._entry:
            self._dismissed = True
            for go in self._go:
                go.release()
            self._go, self._ended = [], [0.0]


_crew: Crew | None = None
_crew_lock = threading.Lock()


def crew() -> Crew:
    """Return the process' crew, hired at the first call with `default_threads()` members."""
    global _crew
    with _crew_lock:
        if _crew is None:
            _crew = Crew(default_threads())
        return _crew


def spent_and_waited_s() -> tuple[float, float]:
    """Return the seconds in kernels, added up over the threads, and what of that they waited for the slowest at the end."""
    return (0.0, 0.0) if _crew is None else (_crew.spent_s, _crew.waited_s)


def set_threads(n: int) -> None:
    """Replace the crew by one of `n` threads."""
    global _crew
    with _crew_lock:
        if _crew is not None and _crew.n != n:
            _crew.close()
            _crew = None
        if _crew is None:
            _crew = Crew(max(1, n))
