# SPDX-License-Identifier: MIT
"""What the worker tells is shown, said or asked."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from app.gui import reactions
from app.gui.layout import Layout
from app.gui.reactions import Reactions
from app.session import Session
from engine.messages import (
    Failed,
    JobEnded,
    JobProgress,
    Logged,
    Offer,
    OutOfMemory,
    SceneOpened,
    StateChanged,
    SurveyCapture,
    Train,
    TrainState,
)

SCENE = SceneOpened(
    "lego", "/scenes/lego", "blender", "svraster", (), 0, (), np.array([0.0, 0.0, 1.0]), np.eye(4), 0, "white", 0, "", {},
)  # fmt: skip


class Window:
    """The parts of a window that write down what is asked of them."""

    def __init__(self) -> None:
        self.session, self.happened = Session(), []
        columns = SimpleNamespace(layout=Layout(), fold=self._keep("fold"))
        viewport = SimpleNamespace(
            **{
                name: self._keep(name)
                for name in ("open_scene", "state_changed", "request_failed", "boxes_ready")
            }
        )
        self.parts = SimpleNamespace(
            session=self.session, send=self._keep("send"), do=self._keep("do"), viewport=viewport, columns=columns,
            dialogs=SimpleNamespace(error=self._keep("error")),
            reports=SimpleNamespace(note=self._keep("note"), tell=self._keep("tell")),
        )  # fmt: skip
        self.hear = Reactions(self.parts)

    def _keep(self, name: str) -> Any:
        return lambda *given, **named: self.happened.append((name, *given, *([named] if named else [])))

    def names(self) -> list[str]:
        return [name for name, *_ in self.happened]


@pytest.fixture
def window(monkeypatch: pytest.MonkeyPatch) -> Window:
    monkeypatch.setattr(reactions.dpg, "set_viewport_title", lambda title: None)
    return Window()


def test_a_capture_is_surveyed_once_and_anew_on_another_box(window):
    window.hear(SCENE)
    window.hear(replace(SCENE, method="plenoxels"))
    surveys = [what for what in window.happened if what == ("send", SurveyCapture())]
    assert len(surveys) == 1 and window.names().count("open_scene") == 2
    window.hear(replace(SCENE, data_from_engine=2.0 * np.eye(4)))
    assert window.happened.count(("send", SurveyCapture())) == 2
    assert window.parts.columns.layout.recent == ("/scenes/lego",)


def test_the_capture_folds_when_a_model_is_first_trained_and_not_when_it_goes_on(window):
    window.hear(StateChanged(TrainState.TRAINING))
    assert ("fold", "capture", True) in window.happened
    window.happened.clear()
    window.session.stats = SimpleNamespace(step=40)
    window.hear(StateChanged(TrainState.TRAINING))
    assert window.names() == ["state_changed"]


def test_a_failure_comes_up_unless_it_is_of_a_picture_and_comes_again_and_again(window):
    window.hear(Failed("Rendering the view", ("It broke.",)))
    assert window.names() == ["request_failed"]
    window.hear(Failed("Rendering the view", ("It broke.",), fatal=True))
    window.hear(Failed("Saving", ("The disk is full.",), trace="where"))
    assert window.happened[-1] == ("error", "Saving", ("The disk is full.",), [], "where")
    assert window.names().count("error") == 2


def test_what_is_offered_when_memory_runs_out_is_done_when_it_is_taken(window):
    window.session.view.max_scale = 0.8
    offers = (Offer("Smaller", max_scale=0.5), Offer("Larger", max_scale=0.9), Offer("Resume", (Train(),)))
    window.hear(OutOfMemory("Rendering", ("There is not enough memory.",), offers=offers))
    (shown,) = [what for what in window.happened if what[0] == "error"]
    assert [label for label, _ in shown[3]] == ["Smaller", "Larger", "Resume"]
    for _, take in shown[3]:
        take()
    assert window.session.view.max_scale == 0.5 and window.happened[-1] == ("send", Train())


def test_an_export_tells_how_far_it_is_and_how_it_ended(window):
    window.hear(JobProgress("a", 3, 1200, None))
    window.hear(JobProgress("b", 3, 0, None))
    assert window.happened == [
        ("note", "exporting, 3 of 1,200 frames"),
        ("note", "exporting, 3 pictures of the time-lapse"),
    ]
    window.hear(JobEnded("a", "finished", "/films/turn.mp4"))
    _, said, named = window.happened[-1]
    assert said == "Export written: turn.mp4" and named["line"].endswith("/films/turn.mp4")
    named["act"]()
    assert window.happened[-1] == ("do", "export.open_folder", "/films/turn.mp4")
    window.hear(JobEnded("a", "cancelled", "Cancelled after 3 frames."))
    assert window.happened[-1] == ("tell", "Cancelled after 3 frames.")
    window.hear(JobEnded("a", "failed", "The disk is full."))
    assert window.happened[-1] == ("error", "The export failed", ("The disk is full.",))


def test_what_concerns_nobody_is_let_be(window):
    window.hear(Logged("info", "hello"))
    assert window.happened == []
