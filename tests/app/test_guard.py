# SPDX-License-Identifier: MIT
"""What is asked about before leaving: what would be lost, no more; and that saving comes before leaving."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app import guard
from app.gui.guarding import PATIENCE_S, Guarding
from app.gui.session_feed import apply_event
from app.session import JobRow, Session
from app.view.path import CameraPath, Key, PathStyle
from engine.messages import CheckpointSaved, Failed, SceneExported, SceneExportProgress, SceneOpened
from tests.fakes import FakeClock

FAILED = Failed("The checkpoint could not be saved", ("Cannot write step 9: No space left on device.",))


@pytest.fixture
def session() -> Session:
    session = Session()
    up = np.array([0.0, 0.0, 1.0])
    apply_event(
        session, SceneOpened("ball", "b", "fake", "svraster", (), 0, (), up, np.eye(4), 0, "black", 0, "", {})
    )
    return session


def some_path() -> CameraPath:
    return CameraPath((Key(0.0, np.eye(4), 0.8),), PathStyle())


def test_what_is_saved_by_itself_is_not_asked_about(session: Session) -> None:
    assert guard.losses(session) == ()
    session.path = session.path_kept = some_path()
    session.jobs.append(JobRow("a", "film", "film.mp4", "finished"))
    assert guard.losses(session) == ()


def test_steps_that_could_not_be_saved_are_told_until_they_are(session: Session) -> None:
    apply_event(session, FAILED)
    [loss] = guard.losses(session)
    assert "No space left" in loss.sentence and loss.save == "save_checkpoint"
    apply_event(session, CheckpointSaved("somewhere", 9))
    assert guard.losses(session) == ()


def test_a_path_with_edits_can_be_saved_and_an_export_can_only_be_waited_for(session: Session) -> None:
    session.path, session.path_file = some_path(), str(Path("flights") / "over.json")
    session.jobs.append(JobRow("a", "film", "out/film.mp4", "rendering", 12, 120))
    edited, export = guard.losses(session)
    assert edited.sentence.startswith("over.json has edits") and edited.save == "path.save"
    assert "film.mp4 is at 12 of 120 frames" in export.sentence and not export.save
    assert guard.losses(session, leaving=False) == (edited,)  # an export goes on over another scene
    assert guard.can_save((edited, export)) and not guard.can_save((export,))


def test_an_export_of_the_scene_is_told_until_it_is_over(session: Session) -> None:
    apply_event(session, SceneExportProgress("a", "fusing views", 3, 40))
    assert "(fusing views)" in guard.losses(session)[0].sentence and not guard.losses(session, leaving=False)
    apply_event(session, SceneExported("a", "finished", "wrote it", "scene.ply", 9))
    assert guard.losses(session) == ()


class FakeDialogs:
    """Keeps what was asked."""

    def __init__(self) -> None:
        self.asked: tuple[str, list[str], dict[str, Callable[[], None]]] | None = None
        self.blocking = False

    def ask(self, heading: str, lines: list[str], buttons: Any) -> None:
        self.asked = heading, lines, dict(buttons)


class Desk:
    """A guard whose parts are all fakes."""

    def __init__(self, session: Session) -> None:
        self.dialogs, self.clock = FakeDialogs(), FakeClock()
        self.saved: list[str] = []
        self.told: list[str] = []
        self.left = 0
        self.guard = Guarding(session, self.dialogs, self, self.saved.append, self.clock)  # type: ignore[arg-type]

    def tell(self, text: str, kind: str = "info") -> None:
        self.told.append(text)

    def leave(self) -> None:
        self.left += 1


def test_with_nothing_to_lose_nobody_is_asked(session: Session) -> None:
    desk = Desk(session)
    desk.guard.ask("Quit", desk.leave)
    assert desk.left == 1 and desk.dialogs.asked is None


def test_saving_comes_first_and_leaving_waits_for_it(session: Session) -> None:
    desk = Desk(session)
    apply_event(session, FAILED)
    desk.guard.ask("Quit", desk.leave)
    _, lines, buttons = desk.dialogs.asked
    assert len(lines) == 1 and list(buttons) == ["Save and quit", "Quit without saving"]
    buttons["Save and quit"]()
    desk.guard.update()
    assert desk.saved == ["save_checkpoint"] and desk.left == 0
    apply_event(session, CheckpointSaved("somewhere", 9))
    desk.dialogs.blocking = True  # a dialog asks for a file
    desk.guard.update()
    assert desk.left == 0
    desk.dialogs.blocking = False
    desk.guard.update()
    assert desk.left == 1


def test_what_cannot_be_saved_keeps_the_window_open(session: Session) -> None:
    desk = Desk(session)
    apply_event(session, FAILED)
    desk.guard.ask("Quit", desk.leave)
    desk.dialogs.asked[2]["Save and quit"]()
    desk.clock.sleep(PATIENCE_S)
    desk.guard.update()
    desk.guard.update()
    assert desk.left == 0 and len(desk.told) == 1


def test_discarding_leaves_at_once(session: Session) -> None:
    desk = Desk(session)
    session.jobs.append(JobRow("a", "film", "film.mp4", "rendering"))
    desk.guard.ask("Quit", desk.leave)
    _, _, buttons = desk.dialogs.asked
    assert list(buttons) == ["Quit anyway"]
    buttons["Quit anyway"]()
    assert desk.left == 1 and desk.saved == []
