# SPDX-License-Identifier: MIT
"""Evaluations in the worker: held-out views one by one, model after model, as seldom as their cost asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine import worker_records
from engine.errors import UserError
from engine.evaluation import Evaluation
from engine.messages import Evaluated, Progress
from engine.training import Training

if TYPE_CHECKING:
    from engine.worker_core import Core


class Evaluations:
    """The evaluation under way, and the models that wait for theirs."""

    def __init__(self, core: Core, every_s: float | None, share: float | None) -> None:
        """Automatic ones come every `every_s` seconds of training (None: never), and take at most `share` of the time."""
        self._core, self._every_s, self._share = core, every_s, share
        self._evaluation: Evaluation | None = None
        self._trainings: list[Training] = []  # the one under evaluation comes first

    @property
    def under_way(self) -> bool:
        """Whether a view is to be compared next."""
        return self._evaluation is not None

    def start(self, *trainings: Training) -> None:
        """Begin to compare the held-out views with their photos, model by model; training waits until that is done."""
        if self._evaluation is not None:
            return
        scene = self._core.training.scene
        if len(scene.test) == 0:
            raise UserError(f"{scene.name} has no held-out views, so its quality cannot be measured.")
        self._trainings = list(trainings)
        self._next()

    def forget(self, training: Training) -> None:
        """Drop the evaluation of a model that has changed or is gone: it would mix two models."""
        if training not in self._trainings:
            return
        first = self._trainings[0] is training
        self._trainings.remove(training)
        if first:
            self._end()

    def schedule(self, training: Training) -> None:
        """Set when the next automatic evaluation is due: not so soon that all of them take more than their share."""
        if self._every_s is None or len(training.scene.test) == 0:
            return
        rest = self._every_s
        if self._share is not None:
            rest = max(rest, training.evaluated_s / self._share)
        training.evaluate_at = training.seconds + rest

    def advance(self) -> None:
        """Compare one view."""
        core, evaluation, training = self._core, self._evaluation, self._trainings[0]
        begin = core.clock()
        try:
            evaluation.advance()
        except Exception as error:
            self._evaluation = None
            self._trainings.clear()
            core.fail("The evaluation stopped", error, once=True)
            return
        finally:
            now = core.clock()
            training.evaluated_s += now - begin
            self.schedule(training)
            core.timings["evaluate"] += now - begin
            core.meter.record("evaluate", now, now - begin)
        core.emit(Progress("evaluating", len(evaluation.per_view), evaluation.total))
        if evaluation.done:
            self._report(evaluation, self._trainings.pop(0))
            self._end()

    def _next(self) -> None:
        """Begin the evaluation of the first model that waits for it."""
        training = self._trainings[0]
        self._evaluation = Evaluation(training.scene, training.method)
        training.evaluated_s = 0.0
        self.schedule(training)
        self._core.emit(Progress("evaluating", 0, self._evaluation.total))

    def _end(self) -> None:
        self._evaluation = None
        if self._trainings:
            self._next()

    def _report(self, evaluation: Evaluation, training: Training) -> None:
        voxels = training.method.structure().voxels
        record = {"seconds": training.seconds, "step": training.method.step, "psnr": evaluation.psnr}
        record |= {"ssim": evaluation.ssim, "voxels": voxels}
        self._core.emit(Evaluated(per_view=tuple(evaluation.per_view), key=training.key, **record))
        worker_records.write(training, {"kind": "evaluated", **record})
        training.monitor.add({"kind": "evaluated", **record})
        worker_records.diagnose(self._core, training)
