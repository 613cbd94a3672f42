# SPDX-License-Identifier: MIT
"""Screenshots lead back to their views, views go out as text, a folder with other pictures is asked about."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from app.gui.export_desk import ExportDesk
from app.gui.exports import Exports
from app.session import ExportSettings, Session
from app.view.camera import ViewCamera
from app.view.view_record import view_from_screenshot
from engine import messages
from engine.cameras import Camera, look_at
from engine.conventions import similarity
from engine.export.developing import Developed

UP = np.array([0.0, 0.0, 1.0])


class Window:
    """The parts of a window on a scene, without a window."""

    def __init__(self, folder: Path) -> None:
        places = [np.array([np.cos(a), np.sin(a), 0.5]) for a in (0.0, 1.0, 2.0)]
        cameras = [Camera.from_fov(32, 32, 0.8, look_at(place, np.zeros(3), UP)) for place in places]
        views = tuple(messages.ViewInfo(f"{i}.png", camera, False) for i, camera in enumerate(cameras))
        self.session = Session()
        self.session.scene = messages.SceneOpened(
            "grey",
            "demo",
            "fake",
            "fake",
            views,
            3,
            (),
            UP,
            similarity(2.0, np.ones(3)),
            0,
            "white",
            0,
            str(folder),
            {},
        )
        self.sent: list[messages.Command] = []
        self.told: list[str] = []
        self.questions: list[Any] = []
        self.jumps: list[Camera] = []
        view = ViewCamera.looking_at(np.array([1.0, -1.0, 0.4]), np.zeros(3), UP, 0.9)
        viewport = SimpleNamespace(
            rect=SimpleNamespace(width=64, height=40),
            controller=SimpleNamespace(camera=view, jump=self.jumps.append),
            picture=lambda: np.full((40, 64, 3), 77, np.uint8),
            frame=None,
        )
        reports = SimpleNamespace(
            note=self.told.append,
            tell=lambda text, **button: self.told.append(text),
            failed=lambda what, error: self.told.append(f"{what}: {error}"),
            emit=self.hear,
        )
        dialogs = SimpleNamespace(confirm=lambda *question: self.questions.append(question))
        exports = Exports(self.session, self.sent.append, lambda event: None)
        self.parts = SimpleNamespace(
            session=self.session, exports=exports, viewport=viewport, reports=reports, dialogs=dialogs,
            send=self.sent.append,
        )  # fmt: skip
        self.desk = ExportDesk(self.parts)

    def hear(self, event: messages.Event) -> None:
        self.told.append(event.text)

    def do(self, action: str, argument: Any = None) -> None:
        self.desk.actions()[action](argument)


@pytest.fixture
def window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Window:
    monkeypatch.setattr("app.jobs.video.GOODBYE_S", 0.0)
    made = Window(tmp_path)
    yield made
    made.parts.exports.stop_all()
    made.desk.close()


def test_a_screenshot_leads_back_to_its_view(window: Window, tmp_path: Path) -> None:
    window.do("export.screenshot")
    window.do("export.screenshot")
    assert window.told == ["Screenshot saved: screenshot.png", "Screenshot saved: screenshot-2.png"]
    window.do("export.open_view", str(tmp_path / "screenshot.png"))
    (camera,) = window.jumps
    wanted = window.parts.viewport.controller.camera.engine_camera(64, 40)
    assert np.allclose(camera.world_from_cam, wanted.world_from_cam, atol=1e-12)
    assert (camera.fx, camera.cy) == pytest.approx((wanted.fx, wanted.cy))


def test_who_begins_a_camera_path_exports_that_until_something_else_is_chosen(window: Window) -> None:
    export = window.session.export
    window.desk.update(0.0)
    assert export.kind == "spiral"
    window.session.path = SimpleNamespace(duration_s=2.0)
    window.desk.update(0.0)
    assert export.kind == "path"
    export.kind = "orbit"
    window.desk.update(0.0)
    window.session.path = None
    window.desk.update(0.0)
    assert export.kind == "orbit"
    for path, kind in ((SimpleNamespace(duration_s=2.0), "path"), (None, "spiral")):
        window.session.path = path
        window.desk.update(0.0)
        assert export.kind == kind


def test_a_screenshot_of_another_scene_is_not_jumped_to(window: Window, tmp_path: Path) -> None:
    window.do("export.screenshot")
    window.session.scene = replace(window.session.scene, path="city")
    window.do("export.open_view", str(tmp_path / "screenshot.png"))
    assert not window.jumps and "shows demo; open that scene" in window.told[-1]


def test_a_full_size_picture_is_rendered_by_the_worker_as_large_as_fits(
    window: Window, tmp_path: Path
) -> None:
    window.session.view.mode = "depth"
    window.do("export.full_screenshot")
    (command,) = window.sent
    job = command.job
    assert job.shots[0].size == (3456, 2160) and (job.mode, job.live) == ("depth", True)
    window.do("export.full_screenshot")
    assert [still.file.name for still in window.desk._stills] == ["picture.png", "picture-2.png"]
    window.desk._stills[1].cancel()
    job.frames.put(messages.Began("fake", 41, 0))
    job.frames.put((0, Developed(np.zeros((4, 6, 3), np.uint8))))
    job.frames.put(None)
    assert window.desk._stills[0].wait(20.0)
    assert window.told[-1] == f"Saved {tmp_path / 'picture.png'}"
    record = view_from_screenshot(tmp_path / "picture.png")
    assert (record.step, record.mode, record.method) == (41, "depth", "fake")


def test_views_are_copied_as_text(window: Window, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[str] = []
    monkeypatch.setattr("app.gui.clipboard.copy", copied.append)
    window.do("export.copy_command")
    window.do("export.copy_python")
    assert copied[0].startswith(f"nerfviewer render {window.session.scene.run_folder} --view=")
    assert "nv.open_trained(" in copied[1]


def test_a_folder_with_other_pictures_is_asked_about_and_begun_anew(window: Window, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "frame_00000.png").write_text("")
    window.session.export.format, window.session.export.file = "PNG sequence", str(folder)
    window.do("export.start")
    assert not window.sent
    ((question, button, act),) = window.questions
    assert "Starting anew deletes" in question and button == "Start anew"
    act()
    assert isinstance(window.sent[0], messages.StartJob) and not list(folder.glob("*.png"))


def test_views_are_gathered_for_a_time_lapse(window: Window) -> None:
    for _ in range(10):
        window.do("export.add_view")
    assert len(window.session.timelapse.cameras) == 9 and "at most 9 views" in window.told[-1]
    window.do("export.timelapse")
    assert len(window.sent[-1].job.shots[0].takes) == 9
    window.do("export.forget_views")
    assert not window.session.timelapse.cameras
    scene = window.session.scene
    window.desk.on_event(scene)
    window.do("export.add_view")
    window.desk.on_event(replace(scene, method="other"))
    assert len(window.session.timelapse.cameras) == 1, "another model on the same scene"
    window.desk.on_event(replace(scene, path="elsewhere"))
    assert not window.session.timelapse.cameras


def test_the_cost_is_known_for_presets_and_unknown_without_a_path(window: Window) -> None:
    window.desk.update(0.01)
    seconds, size = window.session.export_estimate
    assert seconds > 0.0 and size > 1e5
    window.session.export = ExportSettings(frames=10, width=200, height_px=100, supersample=2)
    looks = (
        (False, 100.0),
        (True, 9_000.0),
        (False, 300.0),
        (False, 110.0),
    )  # in motion most time is not for rays
    for moving, ns in looks:
        window.parts.viewport.frame = SimpleNamespace(
            request=SimpleNamespace(moving=moving), rgba=np.zeros((40, 64, 4)), render_ms=1e-6 * ns * 40 * 64
        )
        window.desk._estimated_s = -1e9
        window.desk.update(0.01)
    assert window.session.export_estimate[0] == pytest.approx(10 * 80_000 * 110e-9), "the median at rest"
    window.desk.on_event(window.session.scene)
    assert not window.desk._rays_ns, "another model takes other times"
    window.session.export.kind, window.desk._estimated_s = "path", -1e9
    window.desk.update(0.01)
    assert window.session.export_estimate is None
