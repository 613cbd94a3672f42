# SPDX-License-Identifier: MIT
"""What each command does to the worker. A command that fails is reported, and the worker goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import (
    memory,
    worker_beside,
    worker_follow,
    worker_modes,
    worker_moments,
    worker_records,
    worker_scenes,
    worker_structure,
)
from engine import messages as m
from engine.errors import UserError
from engine.messages import TrainState
from engine.methods.inspection import inspection_of
from engine.training import Report, Training
from engine.worker_meter import resident_bytes
from engine.worker_source import ModelSource
from engine.worker_survey import Survey

if TYPE_CHECKING:
    from engine.worker_core import Core


class _StoppedError(Exception):
    """Leaves a long piece of work because the worker is to stop."""


def obey(core: Core, command: m.Command) -> None:
    """Carry out a command."""
    what, needs_scene, handler = _HANDLERS[type(command)]
    try:
        if needs_scene and core.training is None:
            raise UserError("There is no scene yet; open one first.")
        if command.changes and core.training is not None and core.training.only_shown:
            raise UserError(core.training.only_shown)
        if needs_scene and type(command) not in _AT_REST:
            worker_modes.wake(core)
        handler(core, command)
    except _StoppedError:
        pass  # the next command is Stop
    except Exception as error:
        core.fail(what, error)


def _open_scene(core: Core, command: m.OpenScene) -> None:
    _open(core, lambda report: (core.opener.scene(command, report), []), command.start)


def _open_run(core: Core, command: m.OpenRun) -> None:
    _open(core, lambda report: core.opener.run(command, report), command.start)


def _open(core: Core, make: Callable[[Any], tuple[Training, list[m.Logged]]], start: bool) -> None:
    """Load something and put it in the place of what is open; if that fails, what is open stays and goes on."""
    _save_if_needed(core)
    was_training = core.state is TrainState.TRAINING
    back_to = TrainState.EMPTY if core.training is None else TrainState.PAUSED
    core.enter(TrainState.LOADING)
    begin = core.clock()
    try:
        training, log = make(reporter(core))
        core.timings["load"] += core.clock() - begin
        core.warm_up(training)
    except _StoppedError:
        raise
    except Exception as error:
        core.fail("The scene could not be opened", error)
        if was_training:
            core.begin_training_of(core.training)
            core.enter(TrainState.TRAINING)
        else:
            core.enter(back_to, "Opening failed.")
        return
    replaced = core.training is not None
    core.install(training)
    if replaced:  # what was open may have been large, and fragments of it stay with the allocator
        memory.free_caches()
    core.emit(core.opened())
    if training.method.step > 0:
        if not training.followed:  # else it is told as it grows
            core.emit(training.history())
        worker_records.diagnose(core, training)
    for line in log:
        core.emit(line)
    core.enter(TrainState.PAUSED)
    if training.followed:
        worker_follow.follow(core, training)
    elif start:
        _train(core, m.Train())


def reporter(core: Core, prefix: str = "") -> Report:
    """Return what tells the progress of a long piece of work, and ends that work once the worker is to stop."""

    def report(stage: str, done: int = 0, total: int = 0) -> None:
        if core.inbox.stop_waits:
            raise _StoppedError
        core.emit(m.Progress(f"{prefix}{stage}", done, total))

    return report


def _train(core: Core, command: m.Train) -> None:
    worker_beside.wake_beside(core)
    core.start_training(command.steps, command.seconds, command.finish)


def _pause(core: Core, command: m.Pause) -> None:
    worker_beside.rest_beside(core)
    if core.state is TrainState.TRAINING:
        core.pause()


def _reset(core: Core, command: m.Reset) -> None:
    _save_if_needed(core)
    had_moved = core.training.scene_now() is not core.training.scene
    ring, region = core.training.ring, inspection_of(core.training.method).train_region
    training = core.opener.again(core.training, command.values)
    if command.values:  # other options may need other kernels
        core.warm_up(training)
    was_training = core.state is TrainState.TRAINING
    core.install(training)
    core.emit(m.OptionsChanged(training.opened().values))
    if had_moved:
        worker_records.tell_cameras(core)
    if ring.undo_labels or ring.redo_labels:
        core.emit(worker_structure.undo_changed(training))
    if region is not None:
        core.emit(m.TrainRegionChanged(None, training.key))
    core.tell_run_folder()
    core.emit(m.Logged("info", f"Training starts again from step 0, to be saved in {training.run.path}."))
    core.enter(TrainState.PAUSED, "Reset to step 0.")
    if was_training:
        _train(core, m.Train())


def _move_box(core: Core, command: m.MoveBox) -> None:
    _save_if_needed(core)
    if (command.centre is None) != (command.edge is None) or (
        command.edge is not None and not command.edge > 0.0
    ):
        raise UserError(f"A box needs a centre and an edge above 0, got {command.centre} and {command.edge}.")
    box = None if command.centre is None else (np.array(command.centre, dtype=np.float64), command.edge)
    training = core.opener.moved(core.training, box, reporter(core))
    was_training = core.state is TrainState.TRAINING
    core.install(training)
    core.emit(core.opened())
    core.enter(TrainState.PAUSED, "Ready to train on the new box.")
    if was_training:
        _train(core, m.Train())


def _exclude(core: Core, command: m.ExcludeViews) -> None:
    core.training.exclude(command.indices, command.excluded)
    core.emit(m.ViewsExcluded(tuple(sorted(core.training.excluded))))
    core.publish()


def _survey(core: Core, command: m.SurveyCapture) -> None:
    core.survey = Survey(core.training.scene, core.training.method, core.clock, resident_bytes())


def _set_options(core: Core, command: m.SetOptions) -> None:
    core.training.method.set_options(command.values)
    if "objective.kind" in command.values:  # other kernels
        core.warm_up(core.training)
    core.training.unsaved |= core.training.method.step > 0
    core.emit(m.OptionsChanged(core.training.opened().values))


def _evaluate(core: Core, command: m.Evaluate) -> None:
    beside = core.beside.training
    core.evaluations.start(core.training, *([] if beside is None else [beside]))


def _save(core: Core, command: m.SaveCheckpoint) -> None:
    if core.training.resting:
        core.emit(m.Logged("info", "The run was saved when inference mode began, and has not changed since."))
        return
    core.save(asked=True)


def _boxes(core: Core, command: m.GetBoxes) -> None:
    method = core.training.method
    per_level = method.structure().per_level
    total = sum(per_level[level] for level in command.levels if 0 <= level < len(per_level))
    core.emit(m.BoxesReady(command.levels, method.boxes(command.levels, command.limit), total))


def _start_job(core: Core, command: m.StartJob) -> None:
    if core.training is None:
        core.jobs.refuse(command.job, UserError("There is nothing to render yet; open a scene first."))
    else:
        try:
            core.jobs.start(command.job, ModelSource(core.training, command.job))
        except Exception as error:  # whoever waits for the pictures must hear of it
            core.jobs.refuse(command.job, error)


def _order_jobs(core: Core, command: m.OrderJobs) -> None:
    core.jobs.order(command.job_ids)


def _cancel_job(core: Core, command: m.CancelJob) -> None:
    core.jobs.cancel(command.job_id)
    core.scenes.cancel(command.job_id)


def _set_autosave(core: Core, command: m.SetAutosave) -> None:
    core.autosave_s = max(1.0, command.seconds)


def _stop(core: Core, command: m.Stop) -> None:
    core.stopped = True
    core.jobs.cancel()
    core.scenes.stop()
    _save_if_needed(core)
    core.let_go()


def _save_if_needed(core: Core) -> None:
    if core.training is not None and core.training.unsaved:
        core.save()
    beside = core.beside.training
    if beside is not None and beside.unsaved:
        core.save(beside)


# command -> (what failed, in words; whether it needs an open scene; what it does)
_HANDLERS: dict[type, tuple[str, bool, Callable[[Core, Any], None]]] = {
    m.OpenScene: ("The scene could not be opened", False, _open_scene),
    m.OpenRun: ("The run could not be opened", False, _open_run),
    m.Train: ("Training could not start", True, _train),
    m.Pause: ("Training could not be paused", False, _pause),
    m.Reset: ("The model could not be reset", True, _reset),
    m.SwitchMethod: ("The method could not be changed", True, worker_beside.switch_method),
    m.ContinueHere: ("The run cannot go on here", True, worker_follow.continue_here),
    m.KeepBeside: ("The moment could not be kept", True, worker_beside.keep_beside),
    m.ListCheckpoints: ("The checkpoints could not be listed", True, worker_moments.list_checkpoints),
    m.OpenBeside: ("The run could not be opened beside", True, worker_beside.open_beside),
    m.SwapBeside: ("The models could not be swapped", True, worker_beside.swap_beside),
    m.TrainBeside: ("The model beside could not be trained", True, worker_beside.train_beside),
    m.CloseBeside: ("The comparison could not be ended", True, worker_beside.close_beside),
    m.MoveBox: ("The box could not be moved", True, _move_box),
    m.ExcludeViews: ("The views could not be left out", True, _exclude),
    m.SurveyCapture: ("The capture could not be looked over", True, _survey),
    m.SetOptions: ("The options could not be changed", True, _set_options),
    m.PruneNow: ("Pruning failed", True, worker_structure.prune_now),
    m.SubdivideNow: ("Subdividing failed", True, worker_structure.subdivide_now),
    m.PreviewAdapt: ("The preview failed", True, worker_structure.preview),
    m.PickVoxel: ("No voxel could be picked", True, worker_structure.pick),
    m.GetDetails: ("The voxels could not be looked over", True, worker_structure.details),
    m.SetTrainRegion: ("The region to train could not be set", True, worker_structure.set_train_region),
    m.DeleteRegion: ("Deleting failed", True, worker_structure.delete_region),
    m.PruneRegion: ("Pruning the region failed", True, worker_structure.prune_region),
    m.SubdivideRegion: ("Subdividing the region failed", True, worker_structure.subdivide_region),
    m.UndoStructure: ("The change could not be undone", True, worker_structure.undo),
    m.RedoStructure: ("The change could not be done again", True, worker_structure.redo),
    m.FitMemory: ("The model could not be fitted to the memory", True, worker_modes.fit_memory),
    m.SetMode: ("The mode could not be changed", True, worker_modes.set_mode),
    m.SetCacheBudget: ("The cache could not get that size", True, worker_modes.set_cache_budget),
    m.SetAutosave: ("The time between checkpoints could not be changed", False, _set_autosave),
    m.Evaluate: ("The evaluation could not start", True, _evaluate),
    m.SaveCheckpoint: ("The checkpoint could not be saved", True, _save),
    m.GetBoxes: ("The wireframe could not be made", True, _boxes),
    m.StartJob: ("The export could not start", False, _start_job),
    m.OrderJobs: ("The exports could not be put in order", False, _order_jobs),
    m.CancelJob: ("The export could not be cancelled", False, _cancel_job),
    m.EstimateExport: ("The sizes of an export could not be found out", True, worker_scenes.estimate_export),
    m.ExportScene: ("The scene could not be exported", True, worker_scenes.export_scene),
    m.Stop: ("The last save failed", False, _stop),
}
# What a model in inference mode can do as it is, or what replaces it; for any other command it is brought back first.
_AT_REST = (
    m.Pause,
    m.Reset,
    m.MoveBox,
    m.SurveyCapture,
    m.Evaluate,
    m.SaveCheckpoint,
    m.GetBoxes,
    m.PickVoxel,
    m.GetDetails,
    m.ListCheckpoints,
    m.SetMode,
    m.SetAutosave,
    m.SetCacheBudget,
)
