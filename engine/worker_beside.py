# SPDX-License-Identifier: MIT
"""Two models of one scene on one worker: the open one, which everything else is about, and one beside it to compare.

Both live on the worker's thread. When both train they take turns step by step, the one that has had less time first, so
each gets half of what training gets, however long its steps are. Swapping puts the other one in front.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine import messages as m
from engine.errors import UserError
from engine.messages import BesideStats, TrainState
from engine.methods.common import method_title
from engine.render.visualise import difference
from engine.training import Training

if TYPE_CHECKING:
    from engine.worker_core import Core


@dataclass
class BesideSlot:
    """The model beside, if there is one, and whether it trains.

    `lead_s`: seconds the open one had more of late; `rests`: it was paused with the open one and will go on with it.
    """

    training: Training | None = None
    trains: bool = False
    lead_s: float = 0.0
    rests: bool = False

    def describe(self) -> m.Beside | None:
        """Return what a front end is told of it."""
        return None if self.training is None else self.training.beside()

    def stats(self) -> BesideStats | None:
        """Return its numbers."""
        one = self.training
        if one is None:
            return None
        voxels = one.method.structure().voxels
        return BesideStats(one.key, one.method.step, one.seconds, one.psnr, voxels, self.trains)


def next_to_train(core: Core) -> Training | None:
    """Return the model whose step is next: of two, the one that has had less time; None if neither trains."""
    slot = core.beside
    front = core.training if core.state is TrainState.TRAINING else None
    if slot.training is None or not slot.trains:
        return front
    return slot.training if front is None or slot.lead_s > 0.0 else front


def took_time(core: Core, training: Training, seconds: float) -> None:
    """Note that one of the two had so much time; while only one of them trains, nobody leads."""
    slot = core.beside
    if slot.trains and core.state is TrainState.TRAINING:
        slot.lead_s += seconds if training is core.training else -seconds
    else:
        slot.lead_s = 0.0


def stop_beside(core: Core) -> None:
    """Let the model beside rest; what it has learned is saved."""
    slot = core.beside
    if slot.trains:
        slot.trains, slot.lead_s = False, 0.0
        slot.training.set_target()
    if slot.training is not None and slot.training.unsaved:
        core.save(slot.training)


def rest_beside(core: Core) -> None:
    """Pause the model beside together with the open one."""
    trained = core.beside.trains
    stop_beside(core)
    core.beside.rests = trained


def wake_beside(core: Core) -> None:
    """Let the model beside go on together with the open one, if it was paused with it."""
    if core.beside.rests:
        core.beside.rests = False
        train_beside(core, m.TrainBeside())


def put_beside(core: Core, training: Training | None, trains: bool = False) -> None:
    """Set the model beside, or none; the one of before is saved and gone."""
    stop_beside(core)
    before = core.beside.training
    if before is not None and before is not core.training:
        core.evaluations.forget(before)
        before.let_go()
    core.beside = BesideSlot(training, trains and training is not None)


def open_beside(core: Core, command: m.OpenBeside) -> None:
    """Load a run beside the open model."""
    training, log = core.opener.beside(command.path, core.training, command.step)
    _show_beside(core, training)
    for line in log:
        core.emit(line)


def keep_beside(core: Core, command: m.KeepBeside) -> None:
    """Put the open model as it is now beside itself."""
    if core.training.method.step == 0:
        raise UserError("Nothing is trained yet; train before you keep a moment to compare with.")
    _show_beside(core, core.opener.kept(core.training))


def _show_beside(core: Core, training: Training) -> None:
    put_beside(core, training)
    core.emit(m.BesideChanged(core.beside.describe()))
    core.emit(training.history())
    core.publish()


def switch_method(core: Core, command: m.SwitchMethod) -> None:
    """Begin with another method on the open scene; the open model is saved, and stays beside if that is wished."""
    before, going_on = core.training, core.state is TrainState.TRAINING
    if before.unsaved:
        core.save()
    training = core.opener.other(before, command.method, command.values)
    core.warm_up(training)
    core.install(training)
    if command.beside:
        put_beside(core, before)
    core.emit(core.opened())
    core.enter(TrainState.PAUSED, f"Ready to train {method_title(training.method.name)}.")
    if going_on or command.start:
        core.start_training()


def swap_beside(core: Core, command: m.SwapBeside) -> None:
    """Exchange the open model and the one beside; who trains goes on training."""
    slot = _occupied(core)
    front, front_trains = core.training, core.state is TrainState.TRAINING
    core.beside = BesideSlot(front, front_trains, -slot.lead_s)
    core.install(slot.training)
    core.emit(core.opened())
    state = TrainState.TRAINING if slot.trains else TrainState.PAUSED
    core.enter(state)


def train_beside(core: Core, command: m.TrainBeside) -> None:
    """Let the model beside train, or rest."""
    slot = _occupied(core)
    slot.rests = False
    if not command.on:
        stop_beside(core)
    elif slot.training.only_shown:
        raise UserError(slot.training.only_shown)
    elif not slot.trains:
        slot.training.set_target()
        slot.training.begin()
        core.begin_training_of(slot.training)
        slot.trains, slot.lead_s = True, 0.0
    core.publish()


def close_beside(core: Core, command: m.CloseBeside) -> None:
    """Save the model beside and forget it."""
    put_beside(core, None)
    core.emit(m.BesideChanged(None))
    core.publish()


def with_beside(core: Core, frame: m.Frame) -> m.Frame:
    """Return a frame with the same view of the model beside, if there is one."""
    if core.beside.training is None:
        return frame
    request = replace(frame.request, on_device=False)
    if request.difference:
        return _with_difference(core, frame, replace(request, mode="colour", error_map=False))
    other = core.render(core.beside.training, request, frame.legend)
    return replace(frame, beside=other.on_host().rgba, render_ms=frame.render_ms + other.render_ms)


def _with_difference(core: Core, frame: m.Frame, colours: m.ViewRequest) -> m.Frame:
    """Return a frame with how far the two models' colours are apart in place of the other one's picture."""
    other, spent = core.render(core.beside.training, colours), frame.render_ms
    front = frame.on_host()
    if frame.request.mode != "colour" or frame.request.error_map:
        front = core.render(core.training, colours)
        spent += front.render_ms
    apart, legend = difference(front.rgba, other.rgba, colours.colour_map, colours.error_top)
    return replace(frame, beside=apart, beside_legend=legend, render_ms=spent + other.render_ms)


def _occupied(core: Core) -> BesideSlot:
    if core.beside.training is None:
        raise UserError("There is no model beside the open one; open one to compare with first.")
    return core.beside
