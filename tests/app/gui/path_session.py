# SPDX-License-Identifier: MIT
"""A session with a camera path on a straight line, and an editor of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from app.gui.path_editor import PathEditor
from app.session import Session
from app.view.path import CameraPath, Key
from engine.messages import SceneOpened
from tests.app.gui.fake_worker import UP, ring


def pose(x: float = 0.0) -> np.ndarray:
    """A pose at (x, 0, 0)."""
    matrix = np.eye(4)
    matrix[0, 3] = x
    return matrix


def line(*times: float) -> CameraPath:
    """A path that is at x = t at its keys."""
    return CameraPath([Key(t, pose(t), 0.8) for t in times])


def scene(path: str = "scenes/ball", run_folder: str = "", scale: float = 1.0) -> SceneOpened:
    """A scene of the fake worker's cameras."""
    matrix = np.diag([scale, scale, scale, 1.0])
    return SceneOpened(
        "ball", path, "fake", "svraster", ring(), 20, (), UP, matrix, 0, "black", 1, run_folder, {}
    )


def opened(*times: float, **changes: object) -> tuple[Session, PathEditor]:
    """A session with a scene and, if there are times, a path through them."""
    session = Session(scene=replace(scene(), **changes))
    session.path = line(*times) if times else None
    return session, PathEditor(session)


def times(session: Session) -> list[float]:
    """The times of the open path's keys."""
    return [] if session.path is None else [round(key.time_s, 6) for key in session.path.keys]
