# SPDX-License-Identifier: MIT
"""Two exports never write one file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from app.gui.exports import KEPT_OVER, Exports
from app.jobs import estimate, timelapse
from app.jobs.orders import order_of
from app.session import ExportSettings, Session
from app.view.path import CameraPath, Key
from engine import messages
from engine.cameras import Camera, look_at
from engine.errors import UserError
from engine.export import resume
from engine.export.quality import QUALITIES
from engine.messages import TrainState

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


def _waiting(exports: Exports) -> list[str]:
    return [Path(row.path).stem for row in exports.rows()]


def test_waiting_jobs_change_places_and_the_worker_hears_of_it(exports: Exports) -> None:
    sent: list[messages.Command] = []
    exports._send = sent.append
    for kind in ("spiral", "orbit", "zoom-out"):
        exports.start(ExportSettings(kind=kind))
    ids = [row.job_id for row in exports.rows()]
    exports.rows()[0].state = "rendering"
    exports.move(ids[1], -1)
    assert _waiting(exports) == ["spiral", "orbit", "zoom-out"], "what is rendered already stays first"
    exports.move(ids[2], -1)
    assert _waiting(exports) == ["spiral", "zoom-out", "orbit"]
    assert sent[-1] == messages.OrderJobs((ids[0], ids[2], ids[1]))


def test_what_is_over_can_be_forgotten(exports: Exports) -> None:
    for kind in ("spiral", "orbit"):
        exports.start(ExportSettings(kind=kind))
    exports.rows()[0].state = "failed"
    exports.clear()
    assert _waiting(exports) == ["orbit"]


def test_the_list_keeps_what_is_under_way_and_the_newest_of_what_is_over(exports: Exports) -> None:
    for n in range(KEPT_OVER + 3):
        exports.start(ExportSettings(kind="spiral"))
        exports.rows()[-1].state = "finished" if n else "rendering"
    rows = list(exports.rows())
    assert [row.state for row in rows] == ["rendering", *["finished"] * (KEPT_OVER + 1)]
    exports.start(ExportSettings(kind="spiral"))
    assert [row.path for row in exports.rows()[1:-1]] == [row.path for row in rows[2:]]


def test_a_path_is_exported_at_its_own_pace(exports: Exports) -> None:
    with pytest.raises(UserError, match="no camera path yet"):
        exports.start(ExportSettings(kind="path"))
    keys = [Key(t, look_at(np.array([1.0, t, 0.5]), np.zeros(3), UP), 0.8) for t in (0.0, 1.0, 2.0)]
    exports._session.path = CameraPath(keys)
    exports.start(ExportSettings(kind="path", fps=10))
    (row,) = exports.rows()
    assert (row.total, Path(row.path).name) == (21, "path.mp4")


@pytest.mark.parametrize(
    "wrong",
    [{"width": 0}, {"height_px": 99_999}, {"projection": "fisheye"}, {"format": "GIF", "frames": 1_200}],
)
def test_what_cannot_be_made_is_refused_in_a_sentence(exports: Exports, wrong: dict[str, object]) -> None:
    with pytest.raises(UserError):
        exports.start(ExportSettings(**wrong))
    assert not exports.rows()


def test_pictures_that_were_stopped_go_on_in_their_folder(exports: Exports, tmp_path: Path) -> None:
    exports._session.stats = SimpleNamespace(step=7)
    settings = ExportSettings(format="PNG sequence", frames=3)
    first = exports.start(settings)
    exports.stop_all()
    order = order_of(settings, exports._session, first)
    first.mkdir(exist_ok=True)
    manifest = resume.manifest_of(order.film, order.look(), order.scene, "fake", 7)
    (first / resume.NAME).write_text(manifest.text())
    (first / "frame_00000.png").write_text("")
    assert exports.start(settings) == first
    assert exports.rows()[-1].done == 1
    exports.stop_all()
    exports._session.stats = SimpleNamespace(step=8)
    assert exports.start(settings) != first, "the model is another one by now"


def test_estimates_grow_with_what_is_asked_for(exports: Exports) -> None:
    plain = ExportSettings()
    cost = estimate.seconds(plain, 120)
    assert estimate.seconds(replace(plain, supersample=2), 120) == pytest.approx(4 * cost)
    assert estimate.seconds(replace(plain, moments=8), 120) == pytest.approx(8 * cost)
    assert estimate.seconds(plain, 120, state=TrainState.TRAINING) > cost
    sizes = [estimate.size_bytes(replace(plain, quality=quality), 120) for quality in QUALITIES]
    assert sizes == sorted(sizes)
    assert estimate.frame_count(replace(plain, kind="path", fps=10), 2.0) == 21


def test_a_time_lapse_shows_all_its_views_whole(exports: Exports, tmp_path: Path) -> None:
    session = exports._session
    session.timelapse.views = "held-out views"
    with pytest.raises(UserError, match="no held-out views"):
        timelapse.order_of(session, session.scene.views[0].camera, lambda suffix: tmp_path / f"a{suffix}")
    session.timelapse.cameras = [view.camera for view in session.scene.views][:3]
    session.timelapse.views = "chosen views"
    order = timelapse.order_of(session, session.scene.views[0].camera, lambda suffix: tmp_path / f"a{suffix}")
    (shot,) = order.film
    assert shot.size == (960, 540) and len(shot.takes) == 3
    (camera,), wanted = shot.takes[0], session.scene.views[0].camera
    corners = np.array([wanted.rays()[1][y, x] for y in (0, -1) for x in (0, -1)])
    pixels, _ = camera.project(wanted.position + corners)
    assert (pixels > 0).all() and (pixels < (camera.width, camera.height)).all()
