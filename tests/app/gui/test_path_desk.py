# SPDX-License-Identifier: MIT
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from app.gui import clipboard
from app.gui.layout import Rect
from app.gui.path_desk import PathDesk
from app.session import Session
from app.view.camera import ViewCamera
from app.view.controllers import CameraController
from app.view.path_files import write_path
from app.view.presets import LABELS
from tests.app.gui.path_session import line, scene, times


class Window:
    """What a desk needs of the window, without one."""

    def __init__(self) -> None:
        self.session = Session(scene=scene())
        home = ViewCamera.looking_at(np.array([1.4, 0.0, 0.5]), np.zeros(3), np.array([0.0, 0.0, 1.0]), 0.9)
        self.controller = CameraController(home)
        self.notes: list[str] = []
        self.failures: list[str] = []
        self.logged: list[str] = []
        self.asked: list[tuple[object, ...]] = []
        layers = SimpleNamespace(frustum_size=0.1)
        viewport = SimpleNamespace(
            controller=self.controller, use=lambda *tools, layers: None, layers=layers, rect=Rect(0, 0, 800, 400),
            canvas=SimpleNamespace(changed=False),
            pointing=SimpleNamespace(reach=lambda length: length),
        )  # fmt: skip
        reports = SimpleNamespace(
            note=self.notes.append,
            failed=lambda what, error: self.failures.append(str(error)),
            emit=lambda event: self.logged.append(event.text),
        )
        dialogs = SimpleNamespace(
            open_file=lambda *arguments: self.asked.append(arguments),
            save=lambda *arguments: self.asked.append(arguments),
        )
        parts = SimpleNamespace(session=self.session, viewport=viewport, reports=reports, dialogs=dialogs)
        self.desk = PathDesk(parts)
        self.actions = self.desk.actions()
        self.desk.on_event(self.session.scene)

    def do(self, action: str, argument: object = None) -> None:
        """Do it as a command would."""
        self.actions[f"path.{action}"](argument)

    def open(self, **changes: object) -> None:
        """Open a scene."""
        self.desk.update(0.01)
        self.session.scene = scene(**changes)
        self.desk.on_event(self.session.scene)


@pytest.fixture
def window() -> Window:
    return Window()


def test_keys_are_added_from_three_views_and_played(window):
    for x in (1.4, 1.6, 1.8):
        window.controller.camera = window.controller.camera.moved(np.array([x, 0.0, 0.5]))
        window.do("add_key")
    assert len(window.session.path.keys) == 3 and "key 3 of 3" in window.notes[-1]
    window.do("play")
    assert window.desk.update(0.1) and window.controller.camera.position[0] < 1.5


def test_one_goes_from_key_to_key_and_frame_to_frame(window):
    window.session.path = line(0.0, 1.0, 3.0)
    seen = []
    for action, where in (
        ("jump", "next"),
        ("step", 15),
        ("jump", "next"),
        ("jump", "next"),
        ("step", -30),
        ("jump", "previous"),
        ("jump", "first"),
        ("step", -1),
        ("jump", "last"),
    ):
        window.do(action, where)
        seen.append(window.session.playhead_s)
    assert seen == pytest.approx([1.0, 1.5, 3.0, 3.0, 2.0, 1.0, 0.0, 0.0, 3.0])


def test_from_between_two_keys_the_previous_one_is_the_one_before(window):
    window.session.path = line(0.0, 1.0, 3.0)
    window.do("scrub", 2.0)
    window.do("jump", "previous")
    assert window.session.playhead_s == 1.0 and window.session.timeline.selected == {1}


def test_keys_travel_by_the_clipboard(window, monkeypatch):
    texts = []
    monkeypatch.setattr(clipboard, "copy", texts.append)
    monkeypatch.setattr(clipboard, "paste", lambda: texts[-1] if texts else "")
    window.do("paste")
    assert window.session.path is None and "clipboard" in window.notes[-1]
    window.session.path = line(0.0, 1.0, 3.0)
    window.session.timeline.selected = frozenset({1, 2})
    window.do("copy")
    window.session.playhead_s = 3.0
    window.do("paste")
    assert times(window.session) == [0.0, 1.0, 3.0, 5.0, 7.0]


@pytest.mark.parametrize("name", LABELS)
def test_every_preset_makes_a_path_that_can_be_edited(window, name):
    window.do("preset", name)
    assert len(window.session.path.keys) >= 3 and window.session.timeline.shown
    assert window.session.path.duration_s == pytest.approx(4.0)  # 120 frames at 30 a second
    window.session.undo.undo()
    assert window.session.path is None


def test_the_path_stays_in_its_capture_follows_its_box_and_leaves_with_it(window):
    window.session.path = line(0.0, 1.0)
    window.open(scale=2.0)
    assert window.session.path.keys[1].position[0] == pytest.approx(0.5)
    window.open(path="another", scale=2.0)
    assert window.session.path is None


def test_the_path_that_was_kept_with_a_run_is_there_when_the_run_is_opened(window, tmp_path):
    write_path(tmp_path / "path.json", line(0.0, 4.0), np.eye(4))
    window.open(path="another", run_folder=str(tmp_path))
    assert times(window.session) == [0.0, 4.0]
    assert window.session.timeline.shown and not window.session.path_unsaved


def test_what_was_edited_last_is_kept_when_another_capture_or_none_follows(window, tmp_path):
    for name, leave in (("a", lambda: window.open(path="another")), ("b", window.desk.close)):
        (tmp_path / name).mkdir()
        window.open(path=name, run_folder=str(tmp_path / name))
        window.session.path = line(0.0, 5.0)
        leave()
        if window.desk.store._writing is not None:
            window.desk.store._writing.join()
        assert (tmp_path / name / "path.json").is_file()


def test_a_file_is_opened_and_saved_where_it_came_from(window, tmp_path):
    file = str(tmp_path / "flight.json")
    write_path(file, line(0.0, 4.0), np.eye(4))
    window.do("open")
    window.asked[-1][-1](file)
    assert times(window.session) == [0.0, 4.0] and not window.session.path_unsaved
    window.session.path = line(0.0, 9.0)
    window.do("save")
    assert not window.session.path_unsaved and len(window.asked) == 1
    window.do("open", str(tmp_path / "missing.json"))
    assert "missing.json" in window.failures[-1] and times(window.session) == [0.0, 9.0]


def test_a_path_without_a_file_is_saved_as_the_person_says(window, tmp_path):
    window.session.path = line(0.0, 4.0)
    window.do("save")
    _, _, name, suffix, then, choice = window.asked[-1]
    assert (name, suffix) == ("ball path", ".json") and choice.chosen == "nerfviewer"
    choice.act("instant-ngp")
    then(str(tmp_path / "base.json"))
    assert '"spline_order"' in (tmp_path / "base.json").read_text() and window.session.path_unsaved
    window.do("open", str(tmp_path / "base.json"))
    assert "a path of instant-ngp" in window.notes[-1] and window.session.path_file == ""
    assert window.logged and all(text in window.notes[-1] for text in window.logged[-1:])


def test_a_path_that_comes_back_by_undo_is_not_saved_over_the_file_of_another(window, tmp_path):
    own, other = str(tmp_path / "own.json"), str(tmp_path / "other.json")
    write_path(own, line(0.0, 1.0), np.eye(4))
    write_path(other, line(0.0, 4.0), np.eye(4))
    for file in (own, other):
        window.do("open", file)
    window.session.undo.undo()
    assert window.session.path_file == own and times(window.session) == [0.0, 1.0]
    window.session.undo.redo()
    assert window.session.path_file == other
    window.do("close")
    assert window.session.path_file == ""


def test_a_recorded_flight_becomes_a_path_of_few_keys(window):
    window.do("record")
    start = window.controller.camera
    for i in range(100):
        window.controller.camera = start.moved(start.position + np.array([0.01 * i, 0.0, 0.0]))
        window.desk.update(0.05)
    window.do("record")
    assert 2 <= len(window.session.path.keys) <= 4 and window.session.path.duration_s > 4.0
    assert window.session.undo.undo() == "Record path" and window.session.path is None


def test_a_split_where_no_path_runs_is_refused_in_a_sentence(window):
    window.session.path = line(0.0, 4.0)
    window.do("split", 9.0)
    assert times(window.session) == [0.0, 4.0] and window.notes[-1].endswith(".")


def test_a_moved_scene_without_a_path_is_no_reason_to_fail(window):
    window.session.scene = replace(window.session.scene, data_from_engine=2.0 * np.eye(4))
    window.desk.on_event(window.session.scene)
    assert window.session.path is None
