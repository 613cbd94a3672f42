# SPDX-License-Identifier: MIT
"""What the worker writes down of a training while it goes on, and what it concludes from that."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from engine import options
from engine.cpu.crew import spent_and_waited_s
from engine.diagnosis import diagnose as found_in
from engine.messages import CamerasMoved, Diagnosed
from engine.training import Training
from engine.worker_meter import resident_bytes

if TYPE_CHECKING:
    from engine.worker_core import Core


class Records:
    """Looks at trainings, and remembers how busy the kernels were at the last look."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._kernels_s = (0.0, 0.0)  # spent and waited

    def take(self, training: Training, looks: int = 1) -> None:
        """Write down how a model is, if it took steps since the last time."""
        if not training.monitor.pending:
            return
        spent, waited = (now - before for now, before in zip(spent_and_waited_s(), self._kernels_s))
        self._kernels_s = spent_and_waited_s()
        facts = {"memory_mb": resident_bytes() / 2**20, "waiting": waited / spent if spent > 0.0 else 0.0}
        method, losses = training.method, training.losses
        try:
            record = training.monitor.record(
                method, training.scene_now(), training.seconds, losses, training.psnr, facts, looks
            )
        except Exception as error:  # a view that cannot be drawn; training itself may go on
            self._core.fail("The training could not be looked at", error, once=True)
            return
        write(training, record)
        diagnose(self._core, training)
        if training is self._core.training and training.scene_now() is not training.scene:
            tell_cameras(self._core)


def note_change(core: Core, voxels: int) -> None:
    """Write down that the open model's structure was changed by hand, to so many voxels."""
    training = core.training
    record = {
        "kind": "changed",
        "step": training.method.step,
        "seconds": training.seconds,
        "voxels": voxels,
    }
    training.monitor.add(record)
    write(training, record)


def tell_cameras(core: Core) -> None:
    """Tell where the training cameras of the open model are by now."""
    core.emit(CamerasMoved(tuple(view.camera for view in core.training.scene_now().train.views)))


def diagnose(core: Core, training: Training) -> None:
    """Tell what is found to go wrong with the open model, whenever that has changed."""
    config = training.method.config
    defaults = {info.name: info.default for info in options.describe(config)}
    findings = tuple(found_in(training.monitor.records, options.flatten(config), defaults))
    if training is core.training and findings != training.findings:
        core.emit(Diagnosed(findings, training.key))
    training.findings = findings


def write(training: Training, record: dict[str, object]) -> None:
    """Add a record to the log in the run folder."""
    # an evaluation of a model that was never trained makes no run folder
    if training.run.exists and not training.only_shown:
        with contextlib.suppress(OSError):  # a full disk is told when a checkpoint fails
            training.run.log(record)
