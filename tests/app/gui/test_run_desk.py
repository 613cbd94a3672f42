# SPDX-License-Identifier: MIT
"""What the window does about the open run: asks for its checkpoints, draws what is newer, offers to go on with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from app.gui.reports import Reports
from app.gui.run_desk import RunDesk
from engine.messages import ContinueHere, Followed, ListCheckpoints, SceneOpened


@dataclass
class FakeParts:
    """What the desk acts on."""

    sent: list[Any] = field(default_factory=list)
    drawn: int = 0

    def __post_init__(self) -> None:
        self.reports = Reports(lambda *_: None, lambda: None)
        self.viewport = self

    def send(self, command: Any) -> None:
        self.sent.append(command)

    def structure_changed(self) -> None:
        self.drawn += 1

    @property
    def told(self) -> list[str]:
        return [notice.text for notice in self.reports.notices.shown()]


@pytest.fixture
def parts() -> FakeParts:
    return FakeParts()


@pytest.fixture
def desk(parts: FakeParts) -> RunDesk:
    desk = RunDesk(parts)  # type: ignore[arg-type]
    desk.on_event(opened())
    parts.sent.clear()
    return desk


def opened() -> SceneOpened:
    up = np.array([0.0, 0.0, 1.0])
    return SceneOpened("ball", "b", "fake", "svraster", (), 0, (), up, np.eye(4), 0, "black", 0, "run", {})


def followed(step: int, trainer: str, reloaded: bool = False) -> Followed:
    return Followed(1, step, 5.0, step, trainer, reloaded)


def test_a_newer_checkpoint_is_drawn_and_listed_and_newer_numbers_are_not(
    desk: RunDesk, parts: FakeParts
) -> None:
    desk.on_event(followed(3, "process 7"))
    assert (parts.drawn, parts.sent) == (0, [])
    desk.on_event(followed(5, "process 7", reloaded=True))
    assert (parts.drawn, parts.sent) == (1, [ListCheckpoints()])


def test_who_trains_is_told_once_and_when_that_ends_one_can_go_on(desk: RunDesk, parts: FakeParts) -> None:
    for step in (3, 4, 5):
        desk.on_event(followed(step, "process 7"))
    assert parts.told == ["Attached to a run that process 7 trains."]
    for step in (5, 6):
        desk.on_event(followed(step, ""))
    assert parts.told == ["Process 7, which trained this run, has ended."]
    [notice] = parts.reports.notices.shown()
    assert notice.button == "Continue here" and notice.until is None
    notice.act()
    assert parts.sent == [ContinueHere()]
    desk.on_event(opened())  # it goes on here
    assert parts.told == []


def test_a_run_that_nobody_trains_is_told_too(desk: RunDesk, parts: FakeParts) -> None:
    desk.on_event(followed(3, ""))
    assert parts.told == ["Nobody trains this run at the moment."]
