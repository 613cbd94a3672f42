# SPDX-License-Identifier: MIT
"""A time-lapse of training: the same views again and again of the model as it trains, in one picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from app.jobs.orders import FORMATS, ExportOrder, data_scale, scene_name
from app.session import Session
from engine.cameras import Camera
from engine.errors import UserError
from engine.messages import Every
from engine.shots import Shot

VIEWS = ("current view", "held-out views", "chosen views")
EVERY = ("seconds", "growing steps")
MOST_VIEWS = 9


def order_of(session: Session, current: Camera, free_name: Callable[[str], Path]) -> ExportOrder:
    """Return the order that the session's settings describe; `free_name` takes a suffix. Raises UserError."""
    settings, scene = session.timelapse, session.scene
    if scene is None:
        raise UserError("Cannot take a time-lapse before a scene is open. Open one first.")
    if settings.every == EVERY[0] and not settings.seconds > 0.0:
        raise UserError(f"A time-lapse needs more than 0 seconds between pictures, got {settings.seconds:g}.")
    if settings.every == EVERY[1] and not settings.growth > 1.0:
        raise UserError(f"Steps that grow need a factor above 1, got {settings.growth:g}.")
    held_out = [view.camera for view in scene.views[scene.n_train :]]
    cameras = {VIEWS[0]: [current], VIEWS[1]: held_out, VIEWS[2]: list(settings.cameras)}[settings.views]
    if not cameras:
        raise UserError(f"There are no {settings.views}; choose other views for the time-lapse.")
    every = Every(seconds=settings.seconds) if settings.every == EVERY[0] else Every(growth=settings.growth)
    shot = sheet_of(_spread(cameras), session.export.width, session.export.height_px)
    return ExportOrder(
        free_name(FORMATS[settings.format]), [shot], float(settings.fps), session.export.quality,
        mode=session.export.mode, colour_map=session.view.colour_map, background=session.view.background,
        every=every, shown=session.inspect.shown(scene), scene=scene_name(scene), data_scale=data_scale(scene),
        title="Time-lapse",
    )  # fmt: skip


def sheet_of(cameras: list[Camera], width: int, height: int) -> Shot:
    """Return one picture of at most about width x height with all views, each wholly to be seen."""
    columns = Shot.sheet(cameras).columns
    rows = -(-len(cameras) // columns)
    w, h = max(2, width // columns // 2 * 2), max(2, height // rows // 2 * 2)
    return Shot.sheet([_fitted(camera, w, h) for camera in cameras])


def _fitted(camera: Camera, width: int, height: int) -> Camera:
    """Return a view in a picture of another shape: nothing of it is cut off."""
    zoom = min(width / camera.width, height / camera.height)
    cx = 0.5 * width + zoom * (camera.cx - 0.5 * camera.width)
    cy = 0.5 * height + zoom * (camera.cy - 0.5 * camera.height)
    return replace(camera, width=width, height=height, fx=zoom * camera.fx, fy=zoom * camera.fy, cx=cx, cy=cy)


def _spread(cameras: list[Camera]) -> list[Camera]:
    """Return at most `MOST_VIEWS` of them, evenly chosen."""
    n = len(cameras)
    return cameras if n <= MOST_VIEWS else [cameras[i * n // MOST_VIEWS] for i in range(MOST_VIEWS)]
