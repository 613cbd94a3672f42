# SPDX-License-Identifier: MIT
"""Render jobs inside the worker: a band of a picture at a time, into bounded queues, within their share of the time.

Exports are rendered one after the other, in order; time-lapses whenever a picture of them is due.
"""

from __future__ import annotations

import contextlib
import queue
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from engine.cameras import Camera
from engine.errors import Interrupted
from engine.export.developing import BAND_RAYS, SLOW_BAND_RAYS, Developing, Look
from engine.messages import Began, RenderJob
from engine.methods.common import Buffers

CREDIT_S = 0.1  # of other work that counts for later frames; more would let a job that waited come in a burst


class Source(Protocol):
    """What a job shows: a copy of a model, or the model itself."""

    began: Began
    finest: int  # level of the smallest voxels
    slow: bool  # whether a picture may take seconds

    def render(self, job: RenderJob, camera: Camera, want: frozenset[str]) -> Buffers:
        """Render one camera; raise Interrupted soon after the job was cancelled."""

    def progress(self) -> tuple[float, int]:
        """Return the seconds and the steps that the model was trained for by now."""


class _Active:
    """A job in progress: what is left of it, the shot under way, and finished items that found no room in the queue yet."""

    def __init__(self, job: RenderJob, source: Source | None) -> None:
        self.job, self.source = job, source
        self.left = deque(i for i in range(len(job.shots)) if i not in job.skip)
        self.under_way: Developing | None = None
        self.legend: Any = None
        self.taken = 0  # pictures of a time-lapse
        self.next_at: float | None = None  # seconds or steps at which its next one is due
        self.over = False  # nothing more will be rendered
        self.outbox: deque[Any] = deque()
        self.owed_s = 0.0  # other work that must happen before the next band, so that the share holds
        self._announced = False
        if not self.left:
            self.end()

    def end(self, error: Exception | None = None) -> None:
        """Say that no more pictures come, and why."""
        if not self.over:
            self.outbox.extend((None,) if error is None else (error, None))
        self.over, self.under_way, self.source = True, None, None
        self.left.clear()

    def announce(self) -> None:
        """Say, once, which model is shown: rendering begins."""
        if not self._announced:
            self._announced = True
            self.outbox.append(self.source.began)
            self.flush()

    def flush(self) -> None:
        """Move finished items into the queue as far as there is room."""
        with contextlib.suppress(queue.Full):
            while self.outbox:
                self.job.frames.put_nowait(self.outbox[0])
                self.outbox.popleft()

    def close(self) -> None:
        """Give up at once: what was not taken is dropped, so there is room to say that nothing follows."""
        self.over, self.under_way, self.source = True, None, None
        self.left.clear()
        self.outbox.clear()
        while True:
            try:
                self.job.frames.put_nowait(None)
                return
            except queue.Full:
                with contextlib.suppress(queue.Empty):
                    self.job.frames.get_nowait()

    @property
    def room(self) -> bool:
        """Whether a picture would find room in the queue."""
        return not self.outbox and not self.job.frames.full()

    def due(self) -> bool:
        """Whether a time-lapse is to take its next picture now."""
        if self.under_way is not None or self.next_at is None:
            return True
        seconds, step = self.source.progress()
        return (step if self.job.every.growth > 1.0 else seconds) >= self.next_at

    def set_next(self) -> None:
        """Fix when a time-lapse takes the picture after the one that was begun."""
        seconds, step = self.source.progress()
        every = self.job.every
        self.next_at = max(step + 1, step * every.growth) if every.growth > 1.0 else seconds + every.seconds


class JobRunner:
    """The jobs of one worker. Called from the worker's thread only."""

    def __init__(
        self,
        clock: Callable[[], float] = time.perf_counter,
        failed: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        self._clock, self._failed = clock, failed
        self._jobs: list[_Active] = []

    @property
    def active(self) -> bool:
        """Whether any job is unfinished."""
        return bool(self._jobs)

    @property
    def holds(self) -> bool:
        """Whether training is to wait for the job that is rendered now."""
        head = next((a for a in self._jobs if not a.over and a.job.every is None), None)
        return head is not None and head.job.pauses

    def start(self, job: RenderJob, source: Source) -> None:
        """Take on a job."""
        self._jobs.append(_Active(job, source))

    def refuse(self, job: RenderJob, error: Exception) -> None:
        """End a job before its first picture."""
        active = _Active(job, None)
        active.outbox.clear()
        active.over = False  # whatever was left of it
        active.end(error)
        self._jobs.append(active)

    def cancel(self, job_id: str | None = None) -> None:
        """Cancel one job, or all of them."""
        for active in self._jobs:
            if job_id is None or active.job.job_id == job_id:
                active.job.cancelled.set()
        self._tidy()

    def order(self, job_ids: tuple[str, ...]) -> None:
        """Put the jobs named in front, in that order."""
        place = {job_id: n for n, job_id in enumerate(job_ids)}
        self._jobs.sort(key=lambda active: place.get(active.job.job_id, len(place)))

    def replaced(self, error: Exception) -> None:
        """Hear that another model is shown from now on: live jobs end, time-lapses are complete. Copies live on."""
        for active in self._jobs:
            if active.job.every is not None:
                active.end()
            elif active.job.live:
                active.end(error)
        self._tidy()

    def spent_elsewhere(self, seconds: float) -> None:
        """Hear of other work; it earns the jobs their next band."""
        for active in self._jobs:
            active.owed_s = max(active.owed_s - seconds, -CREDIT_S)

    def turn(self, training: bool) -> float:
        """Render one band if a job may; return the seconds it took, 0 if none may."""
        if not self._jobs:
            return 0.0
        self._tidy()
        for active in self._jobs:
            if active.over:
                continue
            if active.job.every is not None:
                if active.room and active.due():
                    return self._band(active)
                continue
            if active.room and not (training and active.owed_s > 0.0 and not active.job.pauses):
                return self._band(active)
            break  # the others wait for their turn
        return 0.0

    def _band(self, active: _Active) -> float:
        job, source, begin = active.job, active.source, self._clock()
        try:
            if active.under_way is None:
                active.under_way = self._begin(active)
            shot = active.under_way
            shot.take(source.render(job, shot.camera, shot.look.want))
            if shot.done:
                self._finish(active, shot)
        except Interrupted:
            pass  # it was cancelled, and goes when the jobs are tidied
        except Exception as error:  # whatever goes wrong in a job ends that job, never the training
            self._failed(error)
            active.end(error)
        active.flush()
        seconds = self._clock() - begin
        share = min(max(job.share, 0.01), 1.0)
        active.owed_s += seconds * (1.0 - share) / share
        return seconds

    def _begin(self, active: _Active) -> Developing:
        job, source = active.job, active.source
        active.announce()
        if job.every is not None:
            active.set_next()
        look = Look(job.mode, job.colour_map, job.layers, source.finest)
        limit = SLOW_BAND_RAYS if source.slow else BAND_RAYS
        return Developing(job.shots[active.left[0]], look, job.supersample, active.legend, limit)

    def _finish(self, active: _Active, shot: Developing) -> None:
        """Hand a finished picture over."""
        active.legend, active.under_way = shot.legend, None
        if active.job.every is not None:
            active.outbox.append((active.taken, shot.developed()))
            active.taken += 1
            return
        active.outbox.append((active.left.popleft(), shot.developed()))
        if not active.left:
            active.end()

    def _tidy(self) -> None:
        """Deliver what waits, drop jobs that are over."""
        for active in self._jobs:
            if active.job.cancelled.is_set() and not (active.over and not active.outbox):
                active.close()
            active.flush()
        self._jobs = [a for a in self._jobs if a.outbox or not a.over]
