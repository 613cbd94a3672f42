# SPDX-License-Identifier: MIT
"""Scene exports beside training: each works on a frozen copy in a thread of its own, one after another.

The copy is made between two steps; from then on nothing is shared. Views are drawn by the same kernel threads as training,
one kernel at a time; while something trains, an export rests after each view as long as the view took.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from engine import memory
from engine import messages as m
from engine.errors import UserError, cause_chain
from engine.messages import Event, TrainState

if TYPE_CHECKING:
    from engine.export.write import Source
    from engine.worker_core import Core

_NICE = 5  # of the threads: the window's comes first
_LONGEST_REST_S = 1.0
_PATIENCE_S = 2.0  # that the end of the worker waits for


class _Cancelled(Exception):  # noqa: N818 - it is no error
    """An export was given up."""


class _Task:
    """An export or an estimate under way."""

    def __init__(self, job_id: str, work: Callable[[Source], Event], source: Source) -> None:
        self.job_id = job_id
        self.work: Callable[[Source], Event] | None = work
        self.source: Source | None = source
        self.cancelled = threading.Event()
        self.thread: threading.Thread | None = None


class SceneExports:
    """The scene exports of one worker. `training()` says whether to be modest; `emit` may be called from any thread."""

    def __init__(self, emit: Callable[[Event], None], training: Callable[[], bool]) -> None:
        self._emit, self._training = emit, training
        self._one_at_a_time = threading.Lock()
        self._tasks: list[_Task] = []

    @property
    def active(self) -> bool:
        """Whether anything is under way."""
        self._tasks = [task for task in self._tasks if task.thread is not None and task.thread.is_alive()]
        return bool(self._tasks)

    def start(self, job_id: str, source: Source, work: Callable[[Source], Event]) -> None:
        """Begin a piece of work that ends in an event."""
        if self.active and any(t.job_id == job_id and not t.cancelled.is_set() for t in self._tasks):
            raise UserError("This export is under way already; wait for its end, or cancel it.")
        task = _Task(job_id, work, source)
        source.report = lambda stage, done, total: self._report(task, stage, done, total)
        source.rest = lambda seconds: self._rest(task, seconds)
        task.thread = threading.Thread(
            target=self._run, args=(task,), name="nerfviewer-scene-export", daemon=True
        )
        self._tasks.append(task)
        task.thread.start()

    def cancel(self, job_id: str | None = None) -> None:
        """Give up one, or all of them."""
        for task in self._tasks:
            if job_id is None or task.job_id == job_id:
                task.cancelled.set()

    def stop(self) -> None:
        """Give up all and wait a little, so that no half-written file is left."""
        self.cancel()
        for task in self._tasks:
            if task.thread is not None:
                task.thread.join(_PATIENCE_S)

    def _report(self, task: _Task, stage: str, done: int, total: int) -> None:
        if task.cancelled.is_set():
            raise _Cancelled
        self._emit(m.SceneExportProgress(task.job_id, stage, done, total))

    def _rest(self, task: _Task, seconds: float) -> None:
        if task.cancelled.is_set() or (
            self._training() and task.cancelled.wait(min(seconds, _LONGEST_REST_S))
        ):
            raise _Cancelled

    def _run(self, task: _Task) -> None:
        if sys.platform.startswith("linux"):
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        with self._one_at_a_time:
            event = self._outcome(task)
            task.work = task.source = None  # the copy of the model goes now, not when the next export begins
            self._emit(event)

    def _outcome(self, task: _Task) -> Event:
        try:
            self._report(task, "starting", 0, 0)
            return task.work(task.source)
        except _Cancelled:
            return m.SceneExported(task.job_id, "cancelled", "")
        except Exception as error:
            ran_out = memory.ran_out(error) is not None
            memory.free_caches()
            short = (
                "Memory ran out; ask for a lower resolution or fewer views, or export when training is over."
            )
            told = (
                short
                if ran_out
                else str(error)
                if isinstance(error, UserError)
                else " / ".join(cause_chain(error))
            )
            return m.SceneExported(task.job_id, "failed", told)


# --- commands ---------------------------------------------------------------------------------------------------------


def export_scene(core: Core, command: m.ExportScene) -> None:
    """Write the open model as it is now."""
    from engine.export.formats import format_of
    from engine.export.options import ExportOptions
    from engine.export.write import write_scene
    from engine.options import build

    try:
        options, chosen = build(ExportOptions, command.options), format_of(command.path, command.format)

        def work(source: Source) -> Event:
            written = write_scene(source, chosen, command.path, options)
            return m.SceneExported(command.job_id, "finished", written.content, written.path, written.bytes)

        core.scenes.start(command.job_id, _source(core), work)
    except UserError as error:
        core.emit(m.SceneExported(command.job_id, "failed", str(error)))


def estimate_export(core: Core, command: m.EstimateExport) -> None:
    """Say what the open model would be in each format."""
    from engine.export.estimate import estimates
    from engine.export.options import ExportOptions
    from engine.options import build

    options, training = build(ExportOptions, command.options), core.training
    key, step = training.key, training.method.step
    core.scenes.cancel(m.ESTIMATE)

    def work(source: Source) -> Event:
        found: tuple[m.FormatEstimate, ...] = ()
        for found in estimates(source, options):
            core.emit(m.ExportEstimated(found, key, step, complete=False))
        return m.ExportEstimated(found, key, step)

    core.scenes.start(m.ESTIMATE, _source(core), work)


def _source(core: Core) -> Source:
    from engine.export.source import frozen
    from engine.export.write import Source

    training = core.training
    return Source(frozen(training.method), training.scene_now(), training.run.spec, training.seconds)


def training_now(core: Core) -> bool:
    """Whether exports must share their time."""
    return core.state is TrainState.TRAINING or core.beside.trains
