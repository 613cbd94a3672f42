# SPDX-License-Identifier: MIT
"""A gamepad moves the camera and runs commands, unless it is switched off or a dialog is open."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from app.gui import gamepad
from app.gui.gamepad import GamepadDesk, Joysticks
from app.session import Session
from app.view.sticks import Push
from engine.options import updated


class Bench:
    """A desk on a device that says what the test wants."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.said: list[str] = []
        self.pushes: list[tuple[Any, Any]] = []
        self.session = Session()
        self.dialogs = SimpleNamespace(blocking=False)
        self.seen: Any = ("Pad", Push((0.0, 0.0, -1.0)), (1, 0, 0, 1))
        parts = SimpleNamespace(
            session=self.session,
            dialogs=self.dialogs,
            run=self.ran.append,
            reports=SimpleNamespace(note=self.said.append),
            viewport=SimpleNamespace(controller=SimpleNamespace(push=lambda *push: self.pushes.append(push))),
        )
        self.desk = GamepadDesk(parts, SimpleNamespace(read=lambda: self.seen))


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_what_is_pushed_reaches_the_camera_and_each_press_one_command(bench):
    assert bench.desk.update(0.02) and bench.desk.update(0.02)
    assert np.allclose(bench.pushes[-1][0], (0, 0, -1)) and bench.ran == ["path_add_key", "frame_scene"]
    assert bench.said == ["flying by Pad"]


def test_nothing_moves_behind_a_dialog_or_when_it_is_switched_off(bench):
    bench.dialogs.blocking = True
    assert not bench.desk.update(0.02) and not bench.ran
    bench.dialogs.blocking = False
    bench.session.settings = updated(bench.session.settings, {"gamepad.enabled": False})
    assert not bench.desk.update(0.02) and not bench.ran
    assert not np.any(bench.pushes[-1][0])


def test_a_device_that_goes_lets_the_camera_rest(bench):
    bench.desk.update(0.02)
    bench.seen = None
    assert not bench.desk.update(0.02) and not np.any(bench.pushes[-1][0])
    assert bench.said[-1] == "the gamepad is gone"


def test_without_a_device_glfw_is_never_started(monkeypatch, tmp_path):
    monkeypatch.setattr(gamepad, "DEVICES", tmp_path)
    monkeypatch.setattr(gamepad.sys, "platform", "linux")
    joysticks = Joysticks()
    assert joysticks.read() is None and joysticks.read() is None and joysticks._glfw is None


def test_a_glfw_that_fails_is_left_alone_and_the_window_goes_on(monkeypatch, caplog):
    class Broken:
        JOYSTICK_1, JOYSTICK_LAST = 0, 15

        def poll_events(self) -> None:
            raise OSError("broken")

    joysticks = Joysticks()
    joysticks._glfw = Broken()
    assert joysticks.read() is None and joysticks.read() is None
    assert caplog.text.count("broken") == 1
