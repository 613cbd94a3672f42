# SPDX-License-Identifier: MIT
"""Two exports never write one file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from app.gui.exports import Exports
from app.session import ExportSettings, Session
from engine import messages
from engine.cameras import Camera, look_at
from engine.errors import UserError

UP = np.array([0.0, 0.0, 1.0])


@pytest.fixture
def exports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Exports]:
    """Exports of an open scene, rendered by nobody."""
    monkeypatch.setattr("app.jobs.video.GOODBYE_S", 0.0)
    places = [np.array([np.cos(a), np.sin(a), 0.5]) for a in (0.0, 1.0, 2.0, 3.0)]
    cameras = [Camera.from_fov(32, 32, 0.8, look_at(place, np.zeros(3), UP)) for place in places]
    views = tuple(messages.ViewInfo(f"{i}.png", camera, False) for i, camera in enumerate(cameras))
    scene = messages.SceneOpened(
        "grey", "grey", "fake", "fake", views, 4, (), UP, np.eye(4), 0, "white", 0, str(tmp_path), {}
    )
    made = Exports(Session(scene=scene), lambda command: None, lambda event: None)
    yield made
    made.stop_all()


def test_videos_that_are_not_there_yet_are_numbered_too(exports: Exports) -> None:
    names = [
        exports.start(ExportSettings(kind=kind)).name
        for kind in ("spiral", "spiral", "orbit", "spiral", "zoom-out")
    ]
    assert names == ["spiral.mp4", "spiral-2.mp4", "orbit.mp4", "spiral-3.mp4", "zoom-out.mp4"]


@pytest.mark.parametrize("name", ["a.mp4", "pictures"])
def test_a_file_that_is_being_written_is_not_written_twice(
    exports: Exports, tmp_path: Path, name: str
) -> None:
    settings = ExportSettings(file=str(tmp_path / name), format="mp4" if "." in name else "PNG sequence")
    exports.start(settings)
    with pytest.raises(UserError, match=f"{name} is being written just now"):
        exports.start(settings)
    exports.stop_all()
    exports.start(settings)
