# SPDX-License-Identifier: MIT
"""Render jobs inside the worker: one frame at a time, into bounded queues, within their share of the time."""

from __future__ import annotations

import contextlib
import queue
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from engine.cameras import Camera
from engine.messages import RenderJob

CREDIT_S = 0.1  # of other work that counts for later frames; more would let a job that waited come in a burst

RenderFrame = Callable[[RenderJob, Camera], np.ndarray]  # -> rgb [H,W,3] uint8


class _Active:
    """A job in progress: the next frame, and finished items that found no room in the queue yet."""

    def __init__(self, job: RenderJob) -> None:
        self.job = job
        self.next = 0
        self.outbox: deque[Any] = deque()
        self.owed_s = 0.0  # other work that must happen before the next frame, so that the share holds

    def flush(self) -> None:
        """Move finished items into the queue as far as there is room."""
        with contextlib.suppress(queue.Full):
            while self.outbox:
                self.job.frames.put_nowait(self.outbox[0])
                self.outbox.popleft()

    def close(self) -> None:
        """Give up at once: what was not taken is dropped, so there is room to say that nothing follows."""
        self.outbox.clear()
        while True:
            try:
                self.job.frames.put_nowait(None)
                return
            except queue.Full:
                with contextlib.suppress(queue.Empty):
                    self.job.frames.get_nowait()


class JobRunner:
    """The jobs of one worker, oldest first. Called from the worker's thread only."""

    def __init__(self, render: RenderFrame, clock: Callable[[], float] = time.perf_counter) -> None:
        self._render = render
        self._clock = clock
        self._jobs: list[_Active] = []

    @property
    def active(self) -> bool:
        """Whether any job is unfinished."""
        return bool(self._jobs)

    def start(self, job: RenderJob) -> None:
        """Take on a job."""
        self._jobs.append(_Active(job))

    def refuse(self, job: RenderJob, error: Exception) -> None:
        """End a job before its first frame."""
        active = _Active(job)
        active.outbox.extend((error, None))
        active.next = len(job.cameras)
        self._jobs.append(active)

    def cancel(self, job_id: str | None = None) -> None:
        """Cancel one job, or all of them."""
        for active in self._jobs:
            if job_id is None or active.job.job_id == job_id:
                active.job.cancelled.set()
        self._tidy()

    def abandon(self, error: Exception) -> None:
        """End the jobs that still have frames to render: what they show is gone."""
        for active in self._jobs:
            if active.next < len(active.job.cameras):
                active.outbox.extend((error, None))
                active.next = len(active.job.cameras)
        self._tidy()

    def spent_elsewhere(self, seconds: float) -> None:
        """Hear of other work; it earns the jobs their next frame."""
        for active in self._jobs:
            active.owed_s = max(active.owed_s - seconds, -CREDIT_S)

    def turn(self, training: bool) -> float:
        """Render one frame if a job may; return the seconds it took, 0 if none may."""
        if not self._jobs:
            return 0.0
        self._tidy()
        for active in self._jobs:
            held_back = training and active.owed_s > 0.0
            if not (active.outbox or held_back or active.job.frames.full()):
                return self._frame(active)
        return 0.0

    def _frame(self, active: _Active) -> float:
        job = active.job
        begin = self._clock()
        try:
            active.outbox.append((active.next, self._render(job, job.cameras[active.next])))
            active.next += 1
        except Exception as error:  # whatever goes wrong in a job ends that job, never the training
            active.outbox.append(error)
            active.next = len(job.cameras)
        if active.next >= len(job.cameras):
            active.outbox.append(None)
        active.flush()
        seconds = self._clock() - begin
        share = min(max(job.share, 0.01), 1.0)
        active.owed_s += seconds * (1.0 - share) / share
        return seconds

    def _tidy(self) -> None:
        """Deliver what waits, drop jobs that are over."""
        for active in self._jobs:
            if active.job.cancelled.is_set():
                active.close()
                active.next = len(active.job.cameras)
            elif not active.job.cameras and active.next == 0:
                active.outbox.append(None)
                active.next = 1
            active.flush()
        self._jobs = [a for a in self._jobs if a.outbox or a.next < len(a.job.cameras)]
