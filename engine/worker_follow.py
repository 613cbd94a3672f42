# SPDX-License-Identifier: MIT
"""A run that another process trains, looked at from here: its newer checkpoints, its numbers, and whether it still runs.

A look costs listing one folder and reading what was added to one file; nothing is ever written there. A checkpoint appears
under its name only when it is whole, and one that was dropped before it could be read is followed by a newer one.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING

from engine import messages as m
from engine import run_lock, worker_records
from engine.errors import CheckpointError, UserError
from engine.messages import TrainState
from engine.options import flatten
from engine.runs import Resumed
from engine.training import Training, history_points

if TYPE_CHECKING:
    from engine.worker_core import Core

LOOK_S = 2.0  # between two looks


class Follower:
    """What is known of a followed run."""

    def __init__(self, training: Training) -> None:
        self.training = training
        self.saved_at = 0.0
        self.log_step = 0
        self.trainer = ""
        self._read = 0  # bytes of the run's numbers
        self._looked_at: float | None = None
        self._told: m.Followed | None = None

    def due(self, now: float) -> bool:
        """Whether it is time to look."""
        return self._looked_at is None or now - self._looked_at >= LOOK_S

    def look(self, core: Core) -> None:
        """Take over what is new, and tell it."""
        self._looked_at = core.clock()
        training = self.training
        found = run_lock.holder(training.run.path)
        self.trainer = "" if found is None else str(found)
        points = self._new_points()
        if points:
            self.log_step = max(self.log_step, points[-1].step)
            core.emit(m.HistoryRead(training.key, points, more=True))
        busy = core.jobs.active or core.evaluations.under_way  # these show one model to their end
        reloaded = not busy and self._reload(core)
        event = m.Followed(training.key, training.method.step, self.saved_at, self.log_step, self.trainer)
        if event != self._told:
            self._told = event
            core.emit(replace(event, reloaded=reloaded))

    def _reload(self, core: Core) -> bool:
        """Show the newest checkpoint, if it is another one; return whether."""
        training = self.training
        newest = next(iter(training.run.checkpoints()), None)
        if newest is None:
            return False
        step, path = newest
        known = step <= training.method.step
        if known and self.saved_at > 0.0:
            return False
        with contextlib.suppress(
            OSError, CheckpointError
        ):  # dropped meanwhile: the next look finds a newer one
            saved_at = path.stat().st_mtime
            if not known:
                self._take(core, training.run.at_step(step))
            self.saved_at = saved_at
            return not known
        return False

    def _take(self, core: Core, resumed: Resumed) -> None:
        training = self.training
        before = training.method.config, training.excluded
        core.evaluations.forget(training)
        core.opener.newer(training, resumed)
        _last_numbers(training)
        worker_records.diagnose(core, training)
        if training is core.training:
            core.timings["train"], core.timings["cpu"] = training.seconds, training.cpu_seconds
            if flatten(training.method.config) != flatten(before[0]):
                core.emit(m.OptionsChanged(training.opened().values))
            if training.excluded != before[1]:
                core.emit(m.ViewsExcluded(tuple(sorted(training.excluded))))
            if training.scene_now() is not training.scene:
                worker_records.tell_cameras(core)
        core.publish()

    def _new_points(self) -> tuple[m.HistoryPoint, ...]:
        """Return the moments that were added to the run's numbers since the last look; a line half written waits."""
        try:
            with (self.training.run.path / "metrics.jsonl").open("rb") as file:
                if file.seek(0, 2) < self._read:  # cut off: somebody went on from an older checkpoint
                    self._read = 0
                file.seek(self._read)
                text = file.read()
        except OSError:
            return ()
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        records = []
        for line in whole.splitlines():
            with contextlib.suppress(ValueError):
                records.append(json.loads(line))
        return history_points(record for record in records if isinstance(record, dict))


def _last_numbers(training: Training) -> None:
    """Take over losses and PSNR that the run's numbers hold of its newest steps."""
    last = next((r for r in reversed(training.monitor.records) if r.get("kind") == "training"), None)
    if last is not None:
        training.psnr = float(last.get("psnr", float("nan")))
        training.losses = tuple(last.get("losses", {}).items())


def follow(core: Core, training: Training) -> None:
    """Begin to look at the run of a model that was just opened."""
    core.follower = Follower(training)
    _last_numbers(training)
    core.follower.look(core)


def continue_here(core: Core, command: m.ContinueHere) -> None:
    """Train the followed run from here on. Raises RunInUseError while its process lives."""
    follower = core.follower
    if follower is None:
        raise UserError("No run is followed here; open one to follow first.")
    training = follower.training
    if training is not core.training:
        raise UserError("The followed run stands beside; swap the two models first.")
    run_lock.acquire(training.run.path)  # first, so that nobody else does while its last checkpoint is read
    training.holds_run = True
    try:
        follower.look(core)
    except BaseException:
        training.let_go()
        raise
    training.followed, training.only_shown = False, ""
    core.follower = None
    core.emit(core.opened())
    core.emit(m.Logged("info", f"{training.run.path} goes on here from step {training.method.step:,}."))
    core.enter(TrainState.PAUSED, "Taken over.")
    if command.start:
        core.start_training()
