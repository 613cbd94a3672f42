# SPDX-License-Identifier: MIT
"""What the sticks of a gamepad and the cap of a 3D mouse mean for the camera. Numbers in, numbers out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

DEAD = 0.14  # sticks never rest at exactly 0
TURN_RAD_PER_S = 1.8  # at the end of a stick
SPACE_MICE = ("spacemouse", "spacenavigator", "spacepilot", "spaceexplorer", "3dconnexion")
A, X, Y, LEFT_BUMPER, RIGHT_BUMPER = 0, 2, 3, 4, 5  # as GLFW numbers a gamepad's buttons
BUTTONS = {
    A: ("A", "path_add_key"),
    X: ("X", "go_home"),
    Y: ("Y", "frame_scene"),
    LEFT_BUMPER: ("Left bumper", "previous_view"),
    RIGHT_BUMPER: ("Right bumper", "next_view"),
}  # button -> its name, the command that it runs
ROWS = (
    ("Left stick", "Fly", "Forward, back and sideways."),
    ("Right stick", "Look", "Turn the head where you stand."),
    ("Triggers", "Rise and sink", "The right one up, the left one down."),
    ("3D mouse", "Fly and look", "The camera follows the cap: push, lift and turn it."),
)


@dataclass(frozen=True)
class Push:
    """How the camera is pushed: right, up, back in -1..1, and turned: to the left and up in rad/s."""

    move: tuple[float, float, float] = (0.0, 0.0, 0.0)
    turn: tuple[float, float] = (0.0, 0.0)

    @property
    def still(self) -> bool:
        """Whether nothing is pushed."""
        return not any(self.move) and not any(self.turn)

    def times(self, factor: float) -> Push:
        """Return a push that is stronger by a factor."""
        x, y, z = (factor * v for v in self.move)
        return Push((x, y, z), (factor * self.turn[0], factor * self.turn[1]))


def eased(value: float) -> float:
    """Return what an axis means: 0 around its middle, from there slowly at first up to -1 or 1."""
    if not np.isfinite(value):
        return 0.0
    reach = (min(abs(value), 1.0) - DEAD) / (1.0 - DEAD)
    return float(np.copysign(reach * reach, value)) if reach > 0.0 else 0.0


def of_gamepad(axes: Sequence[float]) -> Push:
    """Return what a gamepad's six axes mean: left x, y, right x, y (down is positive), triggers from -1 (let go) to 1."""
    if len(axes) < 6:
        return Push()
    left_x, left_y, right_x, right_y = (eased(value) for value in axes[:4])
    down, up = (eased(0.5 * (value + 1.0)) for value in axes[4:6])
    return Push((left_x, up - down, left_y), (-TURN_RAD_PER_S * right_x, -TURN_RAD_PER_S * right_y))


def of_space_mouse(axes: Sequence[float]) -> Push:
    """Return what a cap's six axes mean: right, towards one, down; tilt forwards, sideways, twist, all in -1..1."""
    if len(axes) < 6:
        return Push()
    right, towards, down, tilt, _, twist = (eased(value) for value in axes[:6])
    return Push((right, -down, towards), (-TURN_RAD_PER_S * twist, -TURN_RAD_PER_S * tilt))


def is_space_mouse(name: str) -> bool:
    """Whether a joystick of that name is a 3D mouse."""
    return any(known in name.casefold().replace(" ", "") for known in SPACE_MICE)


def pressed(before: Sequence[int], now: Sequence[int]) -> list[int]:
    """Return the buttons that went down between two looks."""
    return [
        number for number, state in enumerate(now) if state and not (number < len(before) and before[number])
    ]
