# SPDX-License-Identifier: MIT
"""How events and statistics of the worker become the session that panels show. The window's loop calls both functions."""

from __future__ import annotations

import math
from dataclasses import replace

from app.session import CurvePoint, Session
from app.view import presets
from engine.errors import UserError
from engine.messages import (
    AdaptPreviewed,
    BoxesReady,
    CaptureSurveyed,
    Evaluated,
    Event,
    Failed,
    Logged,
    OptionsChanged,
    Progress,
    RunFolderChanged,
    SceneOpened,
    StateChanged,
    Stats,
    StructureChanged,
    TrainState,
    ViewsExcluded,
)

CURVE_LIMIT = 2000  # points a curve may hold: more than a plot has pixels, and 20 curves stay below 4 MB
WARNING_LIMIT = 100
PSNR, HELD_OUT_PSNR, HELD_OUT_SSIM, VOXELS = (
    "psnr",
    "held-out psnr",
    "held-out ssim",
    "voxels",
)  # in Session.curves


def apply_event(session: Session, event: Event) -> None:
    """Bring the session up to date with one event of the worker."""
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
        _append(session, VOXELS, event.report.step, _seconds(session), event.stats.voxels)
    elif isinstance(event, BoxesReady):
        session.wire_drawn = len(event.boxes), event.total
    elif isinstance(event, AdaptPreviewed):
        session.preview = event
    elif isinstance(event, CaptureSurveyed):
        session.survey = event
    elif isinstance(event, ViewsExcluded):
        session.excluded = frozenset(event.indices)
    elif isinstance(event, Evaluated):
        session.evaluated = event
        _append(session, HELD_OUT_PSNR, event.step, event.seconds, event.psnr)
        _append(session, HELD_OUT_SSIM, event.step, event.seconds, event.ssim)
    elif isinstance(event, OptionsChanged):
        session.values = dict(event.values)
        # What has come into force waits no longer.
        session.staged = {k: v for k, v in session.staged.items() if session.values.get(k) != v}
    elif isinstance(event, RunFolderChanged) and session.scene is not None:
        session.scene = replace(session.scene, run_folder=event.path)
    elif isinstance(event, Failed):
        session.last_error = event
    elif isinstance(event, Logged) and event.level == "warning":
        _warn(session, event.text)


def apply_stats(session: Session, stats: Stats) -> None:
    """Take over the newest statistics, and add a point to the curves if training got further."""
    before = session.stats
    if stats is before:
        return
    session.stats = stats
    if before is not None and stats.step < before.step:  # trained anew: what was learned before is gone
        _forget_training(session)
    elif before is not None and stats.step == before.step and session.curves:
        return
    if not session.curves.get(VOXELS):
        _append(session, VOXELS, stats.step, stats.train_seconds, stats.structure.voxels)
    if stats.step > 0:
        for name, value in (*stats.losses, (PSNR, stats.psnr)):
            _append(session, name, stats.step, stats.train_seconds, value)


def _open(session: Session, scene: SceneOpened) -> None:
    again = session.scene is not None and (session.scene.path, session.scene.kind) == (scene.path, scene.kind)
    session.scene = scene
    session.values, session.card = dict(scene.values), scene.card
    session.staged.clear()
    session.stats = session.last_error = session.wire_drawn = None
    session.warnings = list(scene.warnings)
    session.excluded, session.box = frozenset(scene.excluded), None
    session.view.edit_box, session.view.show_points = False, True
    _forget_training(session)
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


def _forget_training(session: Session) -> None:
    session.curves.clear()
    session.evaluated = session.preview = None


def _seconds(session: Session) -> float:
    return session.stats.train_seconds if session.stats else 0.0


def _append(session: Session, name: str, step: int, seconds: float, value: float) -> None:
    """Add a point; a full curve first has its neighbours averaged in pairs, so that its newer end stays the denser."""
    if not math.isfinite(value):
        return
    points = session.curves.setdefault(name, [])
    if len(points) >= CURVE_LIMIT:
        pairs = zip(points[0::2], points[1::2])
        points[:] = [CurvePoint(b.step, b.seconds, 0.5 * (a.value + b.value)) for a, b in pairs]
    points.append(CurvePoint(step, seconds, float(value)))


def _warn(session: Session, text: str) -> None:
    if text not in session.warnings and len(session.warnings) < WARNING_LIMIT:
        session.warnings.append(text)
