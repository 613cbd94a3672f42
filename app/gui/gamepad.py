# SPDX-License-Identifier: MIT
"""Flying by gamepad or 3D mouse, through GLFW's joysticks. Costs a look at a folder now and then while there is none."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from app.view import sticks
from app.view.sticks import Push
from engine.messages import Event

if TYPE_CHECKING:
    from app.gui.actions import Parts

log = logging.getLogger(__name__)

LOOK_AGAIN_S = 2.0  # for a device that was plugged in
DEVICES = Path("/dev/input")


class Device(Protocol):
    """What is plugged in."""

    def read(self) -> tuple[str, Push, tuple[int, ...]] | None:
        """Return a device's name, how it is pushed and its buttons; None without one."""


class Joysticks:
    """The first gamepad or 3D mouse that GLFW sees. Started with the first device that the system has."""

    def __init__(self) -> None:
        self._glfw: Any = None
        self._looked_s = -1e9
        self._failed = False

    def read(self) -> tuple[str, Push, tuple[int, ...]] | None:
        """Return a device's name, how it is pushed and its buttons; None without one."""
        try:
            return self._first() if not self._failed and self._started() else None
        except Exception as error:  # a game controller is never worth the window
            log.warning("no gamepads reason=%s", error)
            self._failed = True
            return None

    def _first(self) -> tuple[str, Push, tuple[int, ...]] | None:
        glfw = self._glfw
        for number in range(glfw.JOYSTICK_1, glfw.JOYSTICK_LAST + 1):
            if not glfw.joystick_present(number):
                continue
            name = _text(glfw.get_joystick_name(number))
            if sticks.is_space_mouse(name):
                return name, sticks.of_space_mouse(_values(glfw.get_joystick_axes(number))), ()
            state = glfw.get_gamepad_state(number) if glfw.joystick_is_gamepad(number) else None
            if state is not None:
                return name, sticks.of_gamepad(list(state.axes)), tuple(state.buttons)
        return None

    def _started(self) -> bool:
        """Start GLFW once there may be a device, and let it look for new ones now and then."""
        now = time.monotonic()
        if now - self._looked_s < LOOK_AGAIN_S:
            return self._glfw is not None
        self._looked_s = now
        if self._glfw is None and _may_be_there():
            import glfw

            if not glfw.init():
                raise OSError("GLFW does not start")
            self._glfw = glfw
        if self._glfw is not None:
            self._glfw.poll_events()
        return self._glfw is not None


class GamepadDesk:
    """Hands what is pushed to the viewport's camera, and buttons to the registry."""

    def __init__(self, parts: Parts, device: Device | None = None) -> None:
        self._parts = parts
        self._device = device or Joysticks()
        self._name = ""
        self._buttons: tuple[int, ...] = ()

    def actions(self) -> dict[str, Callable[[Any], None]]:
        """Everything a gamepad does is a command already."""
        return {}

    def on_event(self, event: Event) -> None:
        """Events change nothing here."""

    def close(self) -> None:
        """Nothing to let go of: another part of the program may use GLFW."""

    def update(self, dt: float) -> bool:
        """Move the camera as the device is pushed."""
        settings = self._parts.session.settings.gamepad
        seen = self._device.read() if settings.enabled else None
        if seen is None and not self._name:
            return False
        name, push, buttons = seen or ("", Push(), ())
        if name != self._name:
            self._name = name
            self._parts.reports.note(f"flying by {name}" if name else "the gamepad is gone")
        if self._parts.dialogs.blocking:
            push, buttons = Push(), ()
        for button in sticks.pressed(self._buttons, buttons):
            if button in sticks.BUTTONS:
                self._parts.run(sticks.BUTTONS[button][1])
        self._buttons = buttons
        self._parts.viewport.controller.push(*_arrays(push.times(settings.speed)))
        return not push.still


def _arrays(push: Push) -> tuple[np.ndarray, np.ndarray]:
    return np.array(push.move), np.array(push.turn)


def _may_be_there() -> bool:
    """Whether the system may have a device; on Linux it says so without a library."""
    return not sys.platform.startswith("linux") or any(DEVICES.glob("js*"))


def _text(name: str | bytes | None) -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else name or "a device without a name"


def _values(answer: Any) -> list[float]:
    """Return GLFW's axes, which come as a pointer and a count."""
    pointer, count = answer
    return [pointer[i] for i in range(count)]
