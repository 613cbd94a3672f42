# SPDX-License-Identifier: MIT
"""Export of a film as a video or pictures, beside training, with progress, remaining time and cancel.

The worker renders into the job's bounded queue; a thread of its own takes the pictures out, writes them, and reports. A job
that is stopped keeps what it has: a shorter video that plays, or pictures from which the same export goes on.
"""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np

from app.jobs.orders import ExportOrder
from app.jobs.places import Places
from app.session import JobRow
from engine.errors import UserError, cause_chain
from engine.export.developing import Developed
from engine.messages import Began, CancelJob, Command, Event, JobEnded, JobProgress, Logged, StartJob

REPORT_S = 0.1  # between two JobProgress events
POLL_S = 0.1  # how soon a cancelled job notices although no picture comes
GOODBYE_S = 5.0  # how long a cancelled worker may take to send its last word
THUMBNAIL_PX = 240  # across the latest picture that people are shown
NICE = 5  # of the thread that writes, and of the encoder: behind the window, before training, so that a cancelled file ends soon
THUMBNAIL_S = 0.2  # between two of them


class _CancelError(Exception):
    """Leaves the loop over the pictures."""


class ExportJob:
    """Takes the pictures of a RenderJob and writes them. Make one with `start_export`."""

    def __init__(
        self,
        order: ExportOrder,
        send: Callable[[Command], None],
        emit: Callable[[Event], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.order, self.path = order, order.path
        self._places = Places(order)
        kept = self._places.kept()
        self.total = 0 if order.every is not None else len(order.film)
        self.done = len(kept)
        self.outcome: JobEnded | None = None
        self.job_id = uuid.uuid4().hex[:8]
        self._job = order.job(self.job_id, kept)
        self.row = JobRow(self.job_id, order.title, str(order.path), done=self.done, total=self.total)
        self._heard_last = False  # the worker's None
        self._send, self._emit, self._clock = send, emit, clock
        self._thumbnail_s = -np.inf
        self._thread = threading.Thread(target=self._run, name=f"export {self.path.name}", daemon=True)

    def start(self) -> None:
        """Begin to take pictures."""
        self._thread.start()
        self._send(StartJob(self._job))

    def cancel(self) -> None:
        """Stop soon, keeping what there is; JobEnded says so. Returns at once."""
        if self.outcome is None:
            self._job.cancelled.set()
            self._send(CancelJob(self.job_id))

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the end; return whether it came within the time."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        _step_back()
        try:
            self._take_pictures()
            self._places.finish()
            ended = JobEnded(self.job_id, "finished", str(self.path))
        except _CancelError:
            ended = self._stopped()
        except Exception as error:  # whatever goes wrong here must neither end training nor go unsaid
            ended = JobEnded(self.job_id, "failed", self._sentence(error))
            self._clean_up()
        row = self.row
        row.path = str(self.path)
        row.state, row.detail, row.done, row.eta_s, row.bytes = (
            ended.outcome,
            ended.detail,
            self.done,
            None,
            0,
        )
        row.picture = None  # it is shown only while it is rendered
        self.outcome = ended
        self._emit(ended)
        self._drain()

    def _take_pictures(self) -> None:
        started, reported, first = self._clock(), -np.inf, self.done
        while True:
            item = self._next()
            if item is None:
                break
            if isinstance(item, BaseException):
                raise item
            if isinstance(item, Began):
                self._begin(item)
                started = self._clock()
                continue
            self._write(*item)
            now = self._clock()
            if now - reported >= REPORT_S or self.done == self.total:
                reported = now
                left = self.total - self.done
                eta_s = (now - started) / max(self.done - first, 1) * left if self.total else None
                self.row.done, self.row.eta_s = self.done, eta_s
                self._emit(JobProgress(self.job_id, self.done, self.total, eta_s))
        if self._job.cancelled.is_set():
            raise _CancelError
        if self.done < self.total:
            raise UserError(f"Rendering stopped after {self.done} of {self.total} pictures.")

    def _begin(self, began: Began) -> None:
        """Hear which model is shown; a folder with pictures of another one is refused."""
        self.row.state, self.row.bytes = "rendering", began.bytes
        if began.bytes:
            copied = f"a copy of the model, {began.bytes / 2**20:,.0f} MB meanwhile"
            self._emit(Logged("info", f"{self.path.name} shows step {began.step:,}: {copied}."))
        self._places.begin(began)

    def _write(self, index: int, picture: Developed) -> None:
        self.row.state = "rendering"
        self._places.write(index, picture)
        self.done += 1
        now = self._clock()
        if now - self._thumbnail_s >= THUMBNAIL_S:
            self._thumbnail_s = now
            every = -(-picture.rgb.shape[1] // THUMBNAIL_PX)
            self.row.picture = np.ascontiguousarray(picture.rgb[every // 2 :: every, every // 2 :: every])
            self.row.serial += 1

    def _next(self) -> Any:
        while True:
            if self._job.cancelled.is_set():
                raise _CancelError
            try:
                item = self._job.frames.get(timeout=POLL_S)
            except queue.Empty:
                continue
            self._heard_last = item is None
            return item

    def _stopped(self) -> JobEnded:
        """End early with what there is."""
        name, count = self.path.name, f"{self.done:,} picture" + ("s" if self.done != 1 else "")
        try:
            if self.done:
                self.path = self._places.stop()
            else:
                self._places.remove()
        except Exception as error:
            self._clean_up()
            return JobEnded(self.job_id, "failed", self._sentence(error))
        if self.order.every is not None and self.done:
            return JobEnded(self.job_id, "finished", str(self.path))
        if not self.done:
            return JobEnded(
                self.job_id, "cancelled", f"Export of {name} was cancelled before its first picture."
            )
        goes_on = "; the same export goes on from there" if self.order.is_sequence else ""
        kept = f"{self.path.name} has {count}{goes_on}"
        return JobEnded(self.job_id, "cancelled", f"Export of {name} was cancelled; {kept}.")

    def _clean_up(self) -> None:
        """Tell the worker to stop and remove what is of no use."""
        if not self._job.cancelled.is_set():
            self._job.cancelled.set()
            self._send(CancelJob(self.job_id))
        self._places.discard()

    def _drain(self) -> None:
        """Take what the worker still sends, up to its last word, so that it never waits for room."""
        until = time.monotonic() + GOODBYE_S
        while not self._heard_last and time.monotonic() < until:
            try:
                self._heard_last = self._job.frames.get(timeout=POLL_S) is None
            except queue.Empty:
                continue

    def _sentence(self, error: BaseException) -> str:
        if isinstance(error, UserError):
            return str(error)
        if isinstance(error, OSError) and error.strerror:
            return f"Cannot write {self.path}: {error.strerror}. Choose another place or make room there."
        causes = " / ".join(text.splitlines()[0] for text in cause_chain(error))
        of = f" of {self.total}" if self.total else ""
        return f"Export of {self.path} stopped at picture {self.done + 1}{of}: {causes}."


def _step_back() -> None:
    """Let the window and the training go first on Linux, where threads have priorities; the encoder inherits this one's."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


def start_export(
    order: ExportOrder, send: Callable[[Command], None], emit: Callable[[Event], None]
) -> ExportJob:
    """Begin an export.

    `send` goes to the worker, `emit` takes JobProgress and JobEnded from the export's thread. Raises UserError, before
    anything is begun, if the place or the film will not do. Videos lose a last odd row and column: H.264 halves both.
    """
    export = ExportJob(order.even(), send, emit)
    export.start()
    return export
