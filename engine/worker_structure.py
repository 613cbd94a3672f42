# SPDX-License-Identifier: MIT
"""What a person does to the structure of the open model: edits that can be undone, regions, previews, picking.

Before every edit the model's state is kept (`engine.snapshots`), so that `UndoStructure` brings it back to the bit. Options
and the region that is trained stay as they are when an edit is undone, but for options that the edit itself has changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine import messages as m
from engine import worker_records
from engine.errors import UserError
from engine.methods.common import AdaptReport
from engine.methods.inspection import inspection_of
from engine.options import flatten
from engine.training import Training

if TYPE_CHECKING:
    from engine.worker_core import Core

_KEPT = ("options", "train_region")  # of a state's header: settings, not structure


def edit(core: Core, label: str, change: Callable[[], AdaptReport | None]) -> AdaptReport | None:
    """Change the open model's structure by hand so that it can be undone; None: nothing was changed.

    A state that does not fit into the memory for undoing does not stop the edit; the log says so.
    """
    training = core.training
    ring, method = training.ring, training.method
    before = flatten(method.config)
    kept = ring.keep(label, method.state())
    try:
        report = change()
    except BaseException:
        _drop(core, kept)
        raise
    if report is None:
        _drop(core, kept)
        return None
    if not report.pruned and not report.split and report.before == report.after:  # nothing to undo
        _drop(core, kept)
        return report
    if kept:
        after = flatten(method.config)
        ring.edited({name: value for name, value in before.items() if after[name] != value})
    else:
        core.emit(
            m.Logged(
                "warning",
                f"{label} cannot be undone: there is not enough memory to keep the model as it was.",
            )
        )
    _tell(core)
    return report


def _drop(core: Core, kept: bool) -> None:
    """Forget the state kept for an edit that did not come about."""
    if kept:
        core.training.ring.drop_last()
    _tell(core)


def _tell(core: Core) -> None:
    core.emit(undo_changed(core.training))


def undo_changed(training: Training) -> m.UndoChanged:
    """Return what can be undone in a model."""
    ring = training.ring
    return m.UndoChanged(ring.undo_labels, ring.redo_labels, ring.nbytes, ring.limit_bytes, training.key)


def forget(core: Core) -> None:
    """Give back the memory that undoing takes: there is none left for what is going on."""
    if core.training is not None and core.training.ring.nbytes:
        core.training.ring.clear()
        _tell(core)


def changed(core: Core, report: AdaptReport) -> None:
    """Tell everybody of a change by hand."""
    core.training.unsaved = True
    core.evaluations.forget(core.training)
    core.changed_by_hand(report)
    core.publish()


def _edit_and_tell(core: Core, label: str, change: Callable[[], AdaptReport]) -> None:
    report = edit(core, label, change)
    if report is not None:
        changed(core, report)


def prune_now(core: Core, command: m.PruneNow) -> None:
    """Drop the voxels below the pruning threshold."""
    _edit_and_tell(core, "Prune", core.training.method.prune_now)


def subdivide_now(core: Core, command: m.SubdivideNow) -> None:
    """Split the voxels of highest priority."""
    method = core.training.method
    _edit_and_tell(core, getattr(method, "refine", "Subdivide"), method.subdivide_now)


def delete_region(core: Core, command: m.DeleteRegion) -> None:
    """Delete what is in a region, or all outside it."""
    tools = _tools(core, "delete_region")
    label = "Delete outside the region" if command.outside else "Delete the region"
    _edit_and_tell(core, label, lambda: tools.delete(command.region, command.outside))


def prune_region(core: Core, command: m.PruneRegion) -> None:
    """Prune in a region alone."""
    tools = _tools(core, "prune_region")
    _edit_and_tell(core, "Prune the region", lambda: tools.prune(command.region))


def subdivide_region(core: Core, command: m.SubdivideRegion) -> None:
    """Split every voxel in a region."""
    tools = _tools(core, "subdivide_region")
    _edit_and_tell(core, "Subdivide the region", lambda: tools.subdivide(command.region))


def _tools(core: Core, capability: str) -> Any:
    """Return what can be done with the open model's structure; raise UserError unless it can do this."""
    tools = inspection_of(core.training.method)
    tools.need(capability)
    return tools


# --- undoing ------------------------------------------------------------------------------------------------------


def undo(core: Core, command: m.UndoStructure) -> None:
    """Bring the model back to before the last edit."""
    _travel(core, back=True)


def redo(core: Core, command: m.RedoStructure) -> None:
    """Bring the model back to when the last edit was undone."""
    _travel(core, back=False)


def _travel(core: Core, back: bool) -> None:
    training = core.training
    ring, method = training.ring, training.method
    tensors, header = method.state()
    options = flatten(method.config)
    snapshot = (ring.go_back if back else ring.go_forward)((tensors, header), options)
    if snapshot is None:
        done = "undone" if back else "done again"
        raise UserError(f"There is no change of the structure that could be {done}.")
    step = method.step
    kept = {name: header[name] for name in _KEPT if name in header}
    if "options" in kept:
        kept["options"] = kept["options"] | snapshot.reverts
    method.load_state(snapshot.tensors, snapshot.header | kept)
    training.came_back()
    core.evaluations.forget(training)
    stats = method.structure()
    worker_records.note_change(core, stats.voxels)
    lost = step - method.step
    core.emit(m.StructureUndone(snapshot.label, method.step, lost, not back, stats, training.key))
    if snapshot.reverts:
        core.emit(m.OptionsChanged(training.opened().values))
    _tell(core)
    core.publish()


# --- regions, previews, picking -----------------------------------------------------------------------------------


def set_train_region(core: Core, command: m.SetTrainRegion) -> None:
    """Train a region alone, or everything again."""
    tools = inspection_of(core.training.method)
    if command.region is not None or tools.train_region is not None:
        tools.set_train_region(command.region)
        core.training.unsaved |= core.training.method.step > 0
    core.emit(m.TrainRegionChanged(tools.train_region, core.training.key))


def preview(core: Core, command: m.PreviewAdapt) -> None:
    """Say what pruning and subdividing would do, with boxes if they are asked for."""
    if command.limit <= 0 and command.region is None:
        core.emit(m.AdaptPreviewed(core.training.method.preview_adapt()))
        return
    report, prune, split = _tools(core, "preview_boxes").preview(command.limit, command.region)
    core.emit(m.AdaptPreviewed(report, prune, split, command.region))


def pick(core: Core, command: m.PickVoxel) -> None:
    """Say which voxel a pixel shows most of."""
    voxel = _tools(core, "pick").pick(command.camera, command.x, command.y, command.shown)
    core.emit(m.VoxelPicked(command.x, command.y, voxel))


def details(core: Core, command: m.GetDetails) -> None:
    """Say how the voxels' numbers are distributed; nothing of a model without such, as another may just have been opened."""
    tools, per_level = inspection_of(core.training.method), core.training.method.structure().per_level
    if "details" in tools.cannot:
        core.emit(m.StructureDetails((), ()))
        return
    levels = tuple(
        level
        for level, count in enumerate(per_level)
        if count and (not command.levels or level in command.levels)
    )
    core.emit(m.StructureDetails(levels, tools.details(levels)))
