# SPDX-License-Identifier: MIT
"""Drives the worker from a terminal: sends the commands a window would send, prints what the worker reports."""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TextIO, TypeVar

from engine import messages as m
from engine.board import Board
from engine.errors import UserError
from engine.messages import TrainState
from engine.worker import Worker

POLL_S = 0.05  # how often the terminal looks at the worker; the worker itself never polls
LINE_EVERY_S = 5.0  # where the output is no terminal, a line this often
STOP_WAIT_S = 60.0  # for the last checkpoint
BAR_CELLS = 24
_SAVING = (
    "The checkpoint could not be saved",
    "The run folder cannot be written; training goes on without saving",
)

E = TypeVar("E", bound=m.Event)


class RunError(Exception):
    """Something went wrong that the user cannot mend: training or rendering failed. `trace` is for --debug."""

    def __init__(self, sentence: str, trace: str = "") -> None:
        super().__init__(sentence)
        self.trace = trace


class Console:
    """One line of progress that is rewritten on a terminal, and repeated now and then elsewhere."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        self._rewrites = self.stream.isatty()
        self._shown = 0
        self._last = -LINE_EVERY_S

    def say(self, text: str) -> None:
        """Print a line that stays."""
        print(f"{self._erased()}{text}", file=self.stream, flush=True)

    def progress(self, text: str) -> None:
        """Show a line that the next one replaces."""
        if self._rewrites:
            text = text[:110]
            print(f"{self._erased()}{text}", end="", file=self.stream, flush=True)
            self._shown = len(text)
        elif time.monotonic() - self._last >= LINE_EVERY_S:
            self._last = time.monotonic()
            print(text, file=self.stream, flush=True)

    def _erased(self) -> str:
        erased = "\r" + " " * self._shown + "\r" if self._shown else ""
        self._shown = 0
        return erased


class Driver:
    """A worker and the terminal that watches it."""

    def __init__(self, worker: Worker, console: Console) -> None:
        self.worker = worker
        self.console = console
        self.scene: m.SceneOpened | None = None
        self.evaluated: m.Evaluated | None = None
        self.state = TrainState.EMPTY
        self._found: set[str] = set()  # what was said of a diagnosis already
        self.unsaved: m.Failed | None = None  # why the last checkpoint could not be written
        self.board: Board | None = None  # where the curves go besides

    def open(self, command: m.OpenScene | m.OpenRun) -> m.SceneOpened:
        """Open a scene or a run and wait for it."""
        self.worker.send(command)
        self.pump(lambda: self.state is TrainState.PAUSED)
        scene = self.scene
        held_out = len(scene.views) - scene.n_train
        self.console.say(f"{scene.name}: {scene.n_train} training views, {held_out} held out.")
        for warning in scene.warnings:
            self.console.say(f"Note: {warning}")
        return scene

    def ask(self, command: m.Command, answer: type[E]) -> E:
        """Send a command and wait for the event that answers it."""
        got: list[E] = []
        self.worker.send(command)
        self.pump(lambda: bool(got), lambda event: got.append(event) if isinstance(event, answer) else None)
        return got[0]

    def pump(self, done: Callable[[], bool], hear: Callable[[m.Event], Any] | None = None) -> None:
        """Print what happens until `done()`; every event also goes to `hear`."""
        while True:
            alive = self.worker.alive  # asked first: what it says before it ends shall be heard
            for event in self.worker.events():
                self._hear(event)
                if hear is not None:
                    hear(event)
            if done():
                return
            if not alive:
                raise RunError("The worker ended unexpectedly.")
            if self.state is TrainState.TRAINING and (stats := self.worker.stats()) is not None:
                if self.board is not None:
                    self.board.see(stats)
                self.console.progress(training_line(stats, self.evaluated, self.unit))
            time.sleep(POLL_S)

    def hear_the_end(self, ended: bool) -> None:
        """Print what the worker said while it stopped, such as that its last checkpoint could not be written."""
        for event in self.worker.events():
            if isinstance(event, m.Failed):
                self.console.say(f"Warning: {_sentence(event)}")
            self._note_saving(event)
        if not ended:
            self.console.say("Warning: the worker is still busy; the newest steps may not be saved.")

    def _note_saving(self, event: m.Event) -> None:
        if isinstance(event, m.CheckpointSaved):
            self.unsaved = None
        elif isinstance(event, m.Failed) and event.what in _SAVING:
            self.unsaved = event

    @property
    def unit(self) -> str:
        """What the open model consists of."""
        return "voxels" if self.scene is None else self.scene.unit

    def _hear(self, event: m.Event) -> None:
        self._note_saving(event)
        if self.board is not None:
            self.board.hear(event)
        if isinstance(event, m.StateChanged):
            self.state = event.state
        elif isinstance(event, m.SceneOpened):
            self.scene = event
        elif isinstance(event, m.RunFolderChanged):
            self.scene = replace(self.scene, run_folder=event.path)
        elif isinstance(event, m.Progress):
            self.console.progress(f"{event.stage} {bar(event.done, event.total)}")
        elif isinstance(event, m.JobProgress):
            left = "" if event.eta_s is None else f"  {duration(event.eta_s)} left"
            self.console.progress(f"rendering {bar(event.done, event.total)}{left}")
        elif isinstance(event, m.Evaluated):
            self.evaluated = event
            self.console.say(
                f"step {event.step:,}  {event.seconds:.1f} s  held-out PSNR {event.psnr:.2f} dB  "
                f"SSIM {event.ssim:.3f}  {event.voxels:,} {self.unit}"
            )
        elif isinstance(event, m.Logged):
            self.console.say(event.text)
        elif isinstance(event, m.Diagnosed):
            for one in event.findings:
                if one.id not in self._found:
                    self._found.add(one.id)
                    self.console.say(f"{one.title}: {one.evidence} Try {one.flag}.")
        elif isinstance(event, m.Failed):
            self._hear_failure(event)

    def _hear_failure(self, event: m.Failed) -> None:
        """Opening, training and evaluating are what a command is for; a checkpoint or a view can fail beside them."""
        if self.state is TrainState.LOADING:
            raise UserError(event.chain[0]) if event.user else RunError(_sentence(event), event.trace)
        if event.what == "Training could not start" and event.user:
            raise UserError(event.chain[0])
        if event.fatal or event.what in (
            "Training could not start",
            "Training stopped",
            "The evaluation stopped",
        ):
            raise RunError(_sentence(event), event.trace)
        if event.what in ("The evaluation could not start", "The options could not be changed"):
            raise UserError(event.chain[0])
        self.console.say(f"Warning: {_sentence(event)}")


@contextlib.contextmanager
def driving(worker: Worker, console: Console | None = None) -> Iterator[Driver]:
    """Start a worker, and stop it at the end whatever happens; SIGTERM counts as Ctrl-C meanwhile.

    Raises RunError at the end if the newest steps could not be saved.
    """

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    driver = Driver(worker, console or Console())
    worker.start()
    try:
        yield driver
    finally:
        ended = worker.stop(timeout=STOP_WAIT_S)
        signal.signal(signal.SIGTERM, before)
        driver.hear_the_end(ended)
    if driver.unsaved is not None:
        raise RunError(f"The last steps are lost. {_sentence(driver.unsaved)}", driver.unsaved.trace)


def training_line(stats: m.Stats, evaluated: m.Evaluated | None, unit: str = "voxels") -> str:
    """Return the progress line of training."""
    parts = []
    if stats.eta_s is not None and stats.train_seconds + stats.eta_s > 0.0:
        share = stats.train_seconds / (stats.train_seconds + stats.eta_s)
        parts.append(bar(round(100 * share), 100).split(" ", 1)[0])
    parts.append(f"step {stats.step:,}")
    parts.append(f"{stats.steps_per_s:.1f} it/s")
    psnr = f"psnr {stats.psnr:.1f}"
    parts.append(psnr if evaluated is None else f"{psnr} (held out {evaluated.psnr:.2f})")
    parts.append(f"{stats.structure.voxels:,} {unit}")
    if stats.eta_s is not None:
        parts.append(f"{duration(stats.eta_s)} left")
    return "  ".join(parts)


def bar(done: int, total: int) -> str:
    """Return a progress bar, or nothing where the end is unknown."""
    if total <= 0:
        return "..."
    full = min(BAR_CELLS, BAR_CELLS * done // total)
    return f"[{'#' * full}{'-' * (BAR_CELLS - full)}] {done}/{total}"


def duration(seconds: float) -> str:
    """Return a time as m:ss or h:mm:ss."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def _sentence(event: m.Failed) -> str:
    return f"{event.what}: {' / '.join(event.chain)}"
