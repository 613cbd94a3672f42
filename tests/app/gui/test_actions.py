# SPDX-License-Identifier: MIT
"""What commands and panels ask for reaches the worker and the dialogs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.gui.actions import Actions
from app.session import Session
from engine import messages


class Desk:
    """Actions on parts that only remember what they were asked."""

    def __init__(self) -> None:
        self.sent: list[messages.Command] = []
        self.chosen: list[tuple[str, str]] = []
        self.notes: list[str] = []
        dialogs = SimpleNamespace(
            choose=lambda kind, folder, then, choice: self.chosen.append((kind, folder))
        )
        self.parts = SimpleNamespace(
            session=Session(),
            send=self.sent.append,
            dialogs=dialogs,
            reports=SimpleNamespace(note=self.notes.append),
            exports=SimpleNamespace(),
            wake=lambda: None,
        )
        self.actions = Actions(self.parts)  # type: ignore[arg-type]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_runs_are_looked_for_where_the_present_one_is(desk: Desk, tmp_path: Path) -> None:
    desk.actions.session.scene = scene_in(tmp_path / "runs" / "lego-1")
    desk.actions.open_dialog("run")
    desk.actions.open_dialog("scene")
    assert desk.chosen == [("run", str(tmp_path / "runs")), ("scene", str(Path.cwd()))]


def test_without_a_scene_both_dialogs_begin_where_one_stands(desk: Desk) -> None:
    desk.actions.open_dialog("run")
    assert desk.chosen == [("run", str(Path.cwd()))]


def test_the_demo_trains_at_once(desk: Desk) -> None:
    desk.actions.open_path("demo")
    desk.actions.run("open_demo")
    assert desk.sent == [messages.OpenScene("demo", start=True)] * 2


def test_a_command_that_cannot_run_says_why(desk: Desk) -> None:
    desk.actions.run("toggle_training")
    assert desk.notes == ["Open a scene first."] and not desk.sent


def test_an_unknown_action_is_a_mistake_of_ours(desk: Desk) -> None:
    with pytest.raises(ValueError, match="goto_view"):
        desk.actions.do("juggle")


def scene_in(run_folder: Path) -> Any:
    return SimpleNamespace(run_folder=str(run_folder))
