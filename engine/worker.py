# SPDX-License-Identifier: MIT
"""The one thread that owns the model. Front ends send commands and requests, and read frames, numbers, events.

    worker = Worker()
    worker.start()
    worker.send(OpenScene("demo", start=True))
    worker.request_view(ViewRequest(1, camera))
    frame = worker.frame()  # None until there is a new one
    worker.stop()

No model lock exists: between two training steps the thread does whatever else was asked for
(`worker_core.py`), so a frame never shows a half-changed model, and a front end never waits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from engine import memory
from engine.errors import cause_chain
from engine.messages import Command, Event, Failed, Frame, Stats, Stop, ViewRequest
from engine.slots import EventQueue, Inbox, Latest
from engine.training import MethodFactory, Opener, SceneLoader, load_scene, make_method
from engine.worker_core import Core, Outputs

REST_S = 1.0  # without work, until free pages go back to the system: a window that is only looked at holds what it needs


class Worker:
    """Runs training, views and render jobs on its own thread. Public methods may be called from any thread.

    `runs_dir` is where run folders go, `out` the folder of the first run instead. `autosave_s` is wall time
    while training; `evaluate_every_s` is training time between evaluations, None for none. `evaluate_share` stretches
    that time so that evaluating takes no more than this share of the training time. `scene_loader` and `method_factory`
    replace what reads scenes and makes methods.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.perf_counter,
        *,
        runs_dir: Path | str = "runs",
        out: Path | str | None = None,
        autosave_s: float = 120.0,
        evaluate_every_s: float | None = None,
        evaluate_share: float | None = None,
        scene_loader: SceneLoader = load_scene,
        method_factory: MethodFactory = make_method,
        cpu_clock: Callable[[], float] = time.process_time,
    ) -> None:
        self._inbox = Inbox()
        self._outputs = Outputs(EventQueue(), Latest(), Latest())
        opener = Opener(scene_loader, method_factory, Path(runs_dir), None if out is None else Path(out))
        self._core = Core(
            self._inbox,
            self._outputs,
            opener,
            clock,
            cpu_clock,
            autosave_s,
            evaluate_every_s,
            evaluate_share,
        )
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread. Once only."""
        if self._thread is not None:
            raise RuntimeError("Worker.start() was called before; make a new Worker.")
        self._thread = threading.Thread(target=self._run, name="nerfviewer-worker", daemon=True)
        self._thread.start()

    def send(self, command: Command) -> None:
        """Queue a command; one with a `supersedes` key takes the place of a queued one with the same key."""
        self._inbox.send(command)

    def request_view(self, request: ViewRequest) -> None:
        """Ask for a picture, in place of one that was asked for and not begun."""
        self._inbox.request(request)

    @property
    def view_waiting(self) -> bool:
        """Whether the last request has not been begun yet, so that a newer one would take its place."""
        return self._inbox.has_request

    def frame(self) -> Frame | None:
        """Return the newest picture that was not taken yet, or None."""
        return self._outputs.frames.take()

    def photo(self, index: int) -> np.ndarray | None:
        """Return the photo [H,W,3] in [0,1] of `SceneOpened.views[index]`; decodes it on the caller's thread.

        None if there is no such view or no scene.
        """
        training = self._core.training
        if training is None or index < 0:
            return None
        n_train = len(training.scene.train)
        split, i = (
            (training.scene.train, index) if index < n_train else (training.scene.test, index - n_train)
        )
        return split.images.load(i) if i < len(split) else None

    def stats(self) -> Stats | None:
        """Return the newest numbers, None before a scene is open."""
        return self._outputs.stats.peek()

    def events(self) -> list[Event]:
        """Return everything that happened since the last call, oldest first."""
        return self._outputs.events.drain()

    def emit(self, event: Event) -> None:
        """Add an event, as `app/jobs` does; also wakes the worker, for a job queue may have room again."""
        self._outputs.events.put(event)
        self._inbox.nudge()

    def timings(self) -> dict[str, float]:
        """Return seconds so far of "load", "compile", "evaluate", "train" and "cpu" (all threads, training)."""
        return dict(self._core.timings)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def stop(self, timeout: float | None = None) -> bool:
        """Save what is unsaved and end the thread; return whether it ended within `timeout` seconds."""
        if self._thread is None:
            return True
        self.send(Stop())
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def turn(self) -> bool:
        """Do one piece of work on the caller's thread, without `start`; return whether there was any."""
        return self._core.turn()

    def _run(self) -> None:
        core, rested = self._core, True
        try:
            while not core.stopped:
                if core.turn() or core.stopped:
                    rested = False
                    continue
                # A request can only be served once there is a model; until then it must not keep us awake.
                ignored, patience = core.training is None, core.patience_s()
                if rested or core.jobs.active:
                    self._inbox.wait(patience, ignore_request=ignored)
                elif not self._inbox.wait(REST_S, ignore_request=ignored):
                    memory.give_back_pages()
                    rested = True
        except BaseException as error:  # people must hear of the worker's own fault before it is gone
            self._outputs.events.put(Failed("The worker stopped", tuple(cause_chain(error)), fatal=True))
            raise
        finally:
            core.let_go()
            core.jobs.cancel()  # whoever waits for their frames must not wait forever
