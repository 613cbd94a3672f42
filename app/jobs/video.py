# SPDX-License-Identifier: MIT
"""Export of a camera path as a video or pictures, beside training, with progress, remaining time and cancel.

The worker renders into the job's bounded queue; a thread of its own takes the frames out, writes them, and
reports.
"""

from __future__ import annotations

import queue
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from engine.cameras import Camera
from engine.errors import UserError, cause_chain
from engine.export.sequence import FrameWriter, is_video, open_writer
from engine.messages import CancelJob, Command, Event, JobEnded, JobProgress, RenderJob, StartJob

REPORT_S = 0.1  # between two JobProgress events
POLL_S = 0.1  # how soon a cancelled job notices although no frame comes
GOODBYE_S = 5.0  # how long a cancelled worker may take to send its last word


class _CancelError(Exception):
    """Leaves the loop over the frames."""


class ExportJob:
    """Takes the frames of a RenderJob and writes them. Make one with `start_export`."""

    def __init__(
        self,
        job: RenderJob,
        writer: FrameWriter,
        send: Callable[[Command], None],
        emit: Callable[[Event], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.job_id = job.job_id
        self.path = writer.path
        self.total = len(job.cameras)
        self.done = 0
        self.outcome: JobEnded | None = None
        self._job, self._writer = job, writer
        self._heard_last = False  # the worker's None
        self._send, self._emit, self._clock = send, emit, clock
        self._thread = threading.Thread(target=self._run, name=f"export {self.path.name}", daemon=True)

    def start(self) -> None:
        """Begin to take frames."""
        self._thread.start()

    def cancel(self) -> None:
        """Stop soon and delete what was written; JobEnded says so. Returns at once."""
        if self.outcome is None:
            self._job.cancelled.set()
            self._send(CancelJob(self.job_id))

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the end; return whether it came within the time."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._take_frames()
            self._writer.finish()
            ended = JobEnded(self.job_id, "finished", str(self.path))
        except _CancelError:
            ended = JobEnded(self.job_id, "cancelled", f"Export of {self.path.name} was cancelled.")
        except Exception as error:  # whatever goes wrong here must neither end training nor go unsaid
            ended = JobEnded(self.job_id, "failed", self._sentence(error))
        if ended.outcome != "finished":
            self._clean_up()
        self.outcome = ended
        self._emit(ended)
        self._drain()

    def _take_frames(self) -> None:
        started = reported = self._clock()
        while True:
            frame = self._next()
            if frame is None:
                break
            if isinstance(frame, BaseException):
                raise frame
            index, rgb = frame
            self._writer.write(index, np.ascontiguousarray(rgb))
            self.done += 1
            now = self._clock()
            if now - reported >= REPORT_S or self.done == self.total:
                reported = now
                eta_s = (now - started) / self.done * (self.total - self.done)
                self._emit(JobProgress(self.job_id, self.done, self.total, eta_s))
        if self.done < self.total:
            if self._job.cancelled.is_set():
                raise _CancelError
            raise UserError(f"Rendering stopped after {self.done} of {self.total} pictures.")

    def _next(self) -> tuple[int, np.ndarray] | BaseException | None:
        while True:
            if self._job.cancelled.is_set():
                raise _CancelError
            try:
                frame = self._job.frames.get(timeout=POLL_S)
            except queue.Empty:
                continue
            self._heard_last = frame is None
            return frame

    def _clean_up(self) -> None:
        """Tell the worker to stop and remove the files."""
        if not self._job.cancelled.is_set():
            self._job.cancelled.set()
            self._send(CancelJob(self.job_id))
        try:
            self._writer.discard()
        except OSError:
            pass  # the outcome says already that there is no export

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
        return f"Export of {self.path} stopped at picture {self.done + 1} of {self.total}: {causes}."


def start_export(
    path: Path | str,
    cameras: Sequence[Camera],
    fps: float,
    send: Callable[[Command], None],
    emit: Callable[[Event], None],
    *,
    crf: int = 18,
    supersample: float = 1.0,
    background: tuple[float, float, float] | None = None,
    mode: str = "colour",
    colour_map: str = "turbo",
    share: float = 0.5,
) -> ExportJob:
    """Begin to export cameras to a video (.mp4, .mov, .mkv) or, without a suffix, a folder of PNG pictures.

    `send` goes to the worker, `emit` takes JobProgress and JobEnded from the export's thread. Raises
    UserError, before anything is begun, if the path or the cameras will not do. Videos lose a last odd row
    and column: H.264 halves both.
    """
    path = Path(path)
    if not cameras:
        raise UserError(f"Cannot export {path}: the camera path has no pictures. Give it at least one frame.")
    writer = open_writer(path, fps, crf)
    if is_video(path):
        cameras = [_even(camera) for camera in cameras]
        sizes = {(camera.width, camera.height) for camera in cameras}
        if len(sizes) > 1 or 0 in next(iter(sizes)):
            raise UserError(
                f"Cannot export {path}: a video needs pictures of one size, at least 2 x 2 pixels."
            )
    job = RenderJob(
        uuid.uuid4().hex[:8],
        tuple(cameras),
        supersample,
        background,
        mode=mode,
        colour_map=colour_map,
        share=share,
    )
    export = ExportJob(job, writer, send, emit)
    export.start()
    send(StartJob(job))
    return export


def _even(camera: Camera) -> Camera:
    """Return the same view less a last odd row or column; cropping leaves all other pixels as they are."""
    return replace(camera, width=camera.width // 2 * 2, height=camera.height // 2 * 2)
