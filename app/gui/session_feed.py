# SPDX-License-Identifier: MIT
"""How events and statistics of the worker become the session that panels show. The window's loop calls both functions."""

from __future__ import annotations

import math
from dataclasses import replace

from app.session import BesideModel, CurvePoint, Session
from app.view import presets
from engine.errors import UserError
from engine.messages import (
    ESTIMATE,
    AdaptPreviewed,
    Beside,
    BesideChanged,
    BoxesReady,
    CamerasMoved,
    CaptureSurveyed,
    CheckpointSaved,
    CheckpointsListed,
    Diagnosed,
    Evaluated,
    Event,
    Failed,
    Followed,
    HistoryRead,
    Logged,
    MemoryFitted,
    ModeChanged,
    OptionsChanged,
    Progress,
    RunFolderChanged,
    SceneExported,
    SceneExportProgress,
    SceneOpened,
    StateChanged,
    Stats,
    StructureChanged,
    StructureUndone,
    TrainState,
    ViewsExcluded,
)
from engine.methods.common import VALUE_MODES

CURVE_LIMIT = 2000  # points a curve may hold: more than a plot has pixels, and 20 curves stay below 4 MB
WARNING_LIMIT = 100
NOT_SAVED = (  # what fails when training goes on with nothing on the disk
    "The checkpoint could not be saved",
    "The run folder cannot be written; training goes on without saving",
)
PSNR, HELD_OUT_PSNR, HELD_OUT_SSIM, VOXELS = (
    "psnr",
    "held-out psnr",
    "held-out ssim",
    "voxels",
)  # in Session.curves


def apply_event(session: Session, event: Event) -> None:
    """Bring the session up to date with one event of the worker."""
    session.inspect.hear(event)
    if isinstance(event, SceneOpened):
        _open(session, event)
    elif isinstance(event, StateChanged):
        session.state, session.state_reason = event.state, event.reason
        session.progress = None
        if event.state is TrainState.TRAINING:
            session.last_error = None
            if session.stats is None or session.stats.step == 0:  # what is learned would stand behind them
                session.view.show_points = session.view.edit_box = False
    elif isinstance(event, Progress):
        session.progress = None if 0 < event.total <= event.done else event
    elif isinstance(event, StructureChanged):
        session.preview = None  # it spoke of voxels that are no more
        _append(session.curves, VOXELS, event.report.step, _seconds(session), event.stats.voxels)
    elif isinstance(event, BoxesReady):
        session.wire_drawn = len(event.boxes), event.total
    elif isinstance(event, AdaptPreviewed):
        session.preview = event
    elif isinstance(event, StructureUndone):
        session.preview = None
    elif isinstance(event, CaptureSurveyed):
        session.survey = event
    elif isinstance(event, CamerasMoved) and session.scene is not None:
        rest = session.scene.views[len(event.cameras) :]
        moved = tuple(replace(v, camera=c) for v, c in zip(session.scene.views, event.cameras))
        session.scene = replace(session.scene, views=(*moved, *rest))
    elif isinstance(event, ViewsExcluded):
        session.excluded = frozenset(event.indices)
    elif isinstance(event, Diagnosed):
        session.findings = event.findings
    elif isinstance(event, ModeChanged):
        session.inference, session.freed_bytes = event.inference, event.freed_bytes or session.freed_bytes
    elif isinstance(event, MemoryFitted):
        session.fitted = event
    elif isinstance(event, Evaluated):
        _evaluated(session, event)
    elif isinstance(event, HistoryRead):
        _read_history(session, event)
    elif isinstance(event, BesideChanged):
        _set_beside(session, event.beside, {})
    elif isinstance(event, SceneExportProgress) and event.job_id != ESTIMATE:
        session.scene_exports[event.job_id] = event.stage
    elif isinstance(event, SceneExported):
        session.scene_exports.pop(event.job_id, None)
    elif isinstance(event, CheckpointsListed):
        session.checkpoints = event.checkpoints
    elif isinstance(event, Followed):
        session.followed = event
    elif isinstance(event, OptionsChanged):
        session.values = dict(event.values)
        # What has come into force waits no longer.
        session.staged = {k: v for k, v in session.staged.items() if session.values.get(k) != v}
    elif isinstance(event, RunFolderChanged) and session.scene is not None:
        session.scene = replace(session.scene, run_folder=event.path)
    elif isinstance(event, CheckpointSaved):
        session.save_failed = None
    elif isinstance(event, Failed):
        session.last_error = event
        if event.what in NOT_SAVED:
            session.save_failed = event
    elif isinstance(event, Logged) and event.level == "warning":
        _warn(session, event.text)


def apply_stats(session: Session, stats: Stats) -> None:
    """Take over the newest statistics, and add a point to the curves if training got further."""
    before = session.stats
    if stats is before or (session.scene is not None and stats.key != session.scene.key):
        return  # nothing new, or of a model that is not in front any more
    session.stats = stats
    _follow_beside(session, stats)
    if before is not None and stats.step < before.step:
        _go_back(session, stats.step)
        if session.curves.get(PSNR):  # there it was drawn already
            return
    elif before is not None and stats.step == before.step and session.curves:
        return
    if (
        session.scene is not None and session.scene.followed
    ):  # its curves are what its own process writes down
        return
    if not session.curves.get(VOXELS):
        _append(session.curves, VOXELS, stats.step, stats.train_seconds, stats.structure.voxels)
    if stats.step > 0:
        for name, value in (*stats.losses, (PSNR, stats.psnr)):
            _append(session.curves, name, stats.step, stats.train_seconds, value)
        if before is None or stats.vitals != before.vitals:
            for name, value in stats.vitals:
                _append(session.curves, name, stats.step, stats.train_seconds, value)


def _follow_beside(session: Session, stats: Stats) -> None:
    """Take over the numbers of the model beside, with a point of its curve if it got further."""
    one, now = session.beside, stats.beside
    if one is None or now is None or now.key != one.info.key:
        return
    if now.step > 0 and (one.stats is None or now.step > one.stats.step):
        _append(one.curves, PSNR, now.step, now.train_seconds, now.psnr)
    one.stats = now


def _evaluated(session: Session, event: Evaluated) -> None:
    one = session.beside
    if one is not None and event.key == one.info.key:
        one.evaluated, curves = event, one.curves
    else:
        session.evaluated, curves = event, session.curves
    _append(curves, HELD_OUT_PSNR, event.step, event.seconds, event.psnr)
    _append(curves, HELD_OUT_SSIM, event.step, event.seconds, event.ssim)


def _read_history(session: Session, event: HistoryRead) -> None:
    """Draw the curves of a run that was trained before, unless they are there."""
    one = session.beside
    curves = one.curves if one is not None and event.key == one.info.key else session.curves
    if not event.more:
        if any(name != VOXELS for name in curves):
            return
        curves.clear()
    for point in event.points:
        for name, value in point.values:
            name = f"held-out {name}" if point.held_out and name in ("psnr", "ssim") else name
            if not (point.held_out and name == VOXELS):  # said by the training's records too
                _append(curves, name, point.step, point.seconds, value)


def _set_beside(session: Session, info: Beside | None, known: dict[int, BesideModel]) -> None:
    """Set what stands beside the open model; the split slider shows it, or no longer."""
    had, view = session.beside, session.view
    session.beside = None if info is None else known.get(info.key) or BesideModel(info)
    if session.beside is not None:
        session.beside.info = info
    if info is None and view.ground_truth in ("beside", "difference"):
        view.ground_truth = "off"
    elif info is not None and (had is None or had.info.key != info.key):
        view.ground_truth = "beside" if view.ground_truth != "difference" else view.ground_truth


def _open(session: Session, scene: SceneOpened) -> None:
    before = session.scene
    again = before is not None and (before.path, before.kind) == (scene.path, scene.kind)
    known = _known_models(session)
    session.scene, session.method = scene, scene.method
    session.values, session.card = dict(scene.values), scene.card
    session.staged.clear()
    session.findings, session.inference, session.fitted = scene.findings, scene.inference, None
    session.stats = session.last_error = session.wire_drawn = session.preview = None
    session.warnings = list(scene.warnings)
    session.excluded, session.box = frozenset(scene.excluded), None
    front = known.get(scene.key) or BesideModel(Beside(scene.key, scene.method, scene.run_folder))
    session.curves, session.evaluated = front.curves, front.evaluated
    _set_beside(session, scene.beside, known)
    if session.view.mode in VALUE_MODES and scene.why_not(session.view.mode):
        session.view.mode = "colour"
    session.checkpoints, session.save_failed = (), None
    session.followed = session.followed if scene.followed else None
    if scene.key in known:  # it was beside: nothing else has changed
        return
    session.view.edit_box, session.view.show_points = False, True
    if before is None or (before.data_from_engine != scene.data_from_engine).any() or not again:
        session.inspect.forget_places()
    if again:  # a reset: the person goes on looking from where they are
        return
    session.survey = None
    view = session.view
    view.view_index, view.ground_truth, view.wire_levels, view.show_wireframe = None, "off", (), False
    if view.mode == "error":
        view.mode = "colour"
    try:
        preset = presets.suggest([view.camera for view in scene.views], scene.up)
    except UserError:
        return  # too few cameras to say anything; the settings of before serve as well as any
    session.export.radius, session.export.height = round(preset.radius, 3), round(preset.height, 3)
    session.export.file = ""


def _known_models(session: Session) -> dict[int, BesideModel]:
    """Return what is known of the models that are shown, by their keys; one without a key is never met again."""
    known = [] if session.beside is None else [session.beside]
    if session.scene is not None and session.scene.key:
        info = Beside(session.scene.key, session.scene.method, session.scene.run_folder)
        known.append(BesideModel(info, None, session.evaluated, session.curves))
    return {model.info.key: model for model in known}


def _go_back(session: Session, step: int) -> None:
    """What was learned after a step is gone: an edit was undone, or, at step 0, training begins anew."""
    session.preview = session.fitted = None
    if session.evaluated is not None and session.evaluated.step > step:
        session.evaluated = None
    if step == 0:
        session.curves.clear()
        session.evaluated, session.findings, session.inference = None, (), False
        return
    for name, points in list(session.curves.items()):
        session.curves[name] = [point for point in points if point.step <= step]
        if not session.curves[name]:
            del session.curves[name]


def _seconds(session: Session) -> float:
    return session.stats.train_seconds if session.stats else 0.0


def _append(curves: dict[str, list[CurvePoint]], name: str, step: int, seconds: float, value: float) -> None:
    """Add a point; a full curve first has its neighbours averaged in pairs, so that its newer end stays the denser."""
    if not math.isfinite(value):
        return
    points = curves.setdefault(name, [])
    if len(points) >= CURVE_LIMIT:
        pairs = zip(points[0::2], points[1::2])
        points[:] = [CurvePoint(b.step, b.seconds, 0.5 * (a.value + b.value)) for a, b in pairs]
    points.append(CurvePoint(step, seconds, float(value)))


def _warn(session: Session, text: str) -> None:
    if text not in session.warnings and len(session.warnings) < WARNING_LIMIT:
        session.warnings.append(text)
