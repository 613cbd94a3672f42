# SPDX-License-Identifier: MIT
"""Sticks rest in the middle, reach the end, and push where they point."""

from __future__ import annotations

import numpy as np
import pytest

from app import commands
from app.view import sticks
from app.view.camera import ViewCamera
from app.view.controllers import CameraController
from app.view.sticks import DEAD, Push, eased, of_gamepad, of_space_mouse, pressed

REST = [0.0, 0.0, 0.0, 0.0, -1.0, -1.0]


def pad(**axes: float) -> Push:
    names = ("left_x", "left_y", "right_x", "right_y", "left_trigger", "right_trigger")
    return of_gamepad([axes.get(name, rest) for name, rest in zip(names, REST, strict=True)])


def test_an_axis_is_still_around_its_middle_odd_monotone_and_ends_at_one():
    assert eased(0.9 * DEAD) == eased(-0.9 * DEAD) == eased(float("nan")) == 0.0
    values = [eased(v) for v in np.linspace(-1, 1, 101)]
    assert values == sorted(values) and values[-1] == 1.0 and values[0] == -1.0
    assert eased(7.0) == 1.0 and eased(-0.6) == -eased(0.6)


def test_a_gamepad_at_rest_and_a_device_with_few_axes_push_nothing():
    assert of_gamepad(REST).still and of_gamepad([1.0, 1.0]).still and of_space_mouse([1.0]).still


@pytest.mark.parametrize(
    ("axes", "move", "turn"),
    [
        ({"left_y": -1.0}, (0, 0, -1), (0, 0)),  # up on the stick is forward
        ({"left_x": 1.0}, (1, 0, 0), (0, 0)),
        ({"right_trigger": 1.0}, (0, 1, 0), (0, 0)),
        ({"left_trigger": 1.0}, (0, -1, 0), (0, 0)),
        ({"right_x": 1.0}, (0, 0, 0), (-1, 0)),
        ({"right_y": -1.0}, (0, 0, 0), (0, 1)),
    ],
)
def test_each_stick_pushes_where_it_points(axes, move, turn):
    push = pad(**axes)
    assert np.allclose(push.move, move) and np.allclose(np.sign(push.turn), turn)


def test_the_cap_of_a_3d_mouse_is_the_camera():
    assert np.allclose(of_space_mouse([0, -1, 0, 0, 0, 0]).move, (0, 0, -1)), "pushed away: forward"
    assert np.allclose(of_space_mouse([0, 0, -1, 0, 0, 0]).move, (0, 1, 0)), "lifted: up"
    assert of_space_mouse([0, 0, 0, 0, 0, 1]).turn[0] < 0, "twisted to the right: looks right"


@pytest.mark.parametrize(
    ("name", "is_one"),
    [("3Dconnexion SpaceMouse Pro", True), ("SpaceNavigator", True), ("Xbox Wireless Controller", False)],
)
def test_a_3d_mouse_is_known_by_its_name(name, is_one):
    assert sticks.is_space_mouse(name) is is_one


def test_a_button_counts_when_it_goes_down_not_while_it_is_held():
    assert pressed((), (1, 0)) == [0] and pressed((1, 0), (1, 1)) == [1] and pressed((1, 1), (0, 0)) == []


def test_every_button_runs_a_command_that_there_is():
    for _, command in sticks.BUTTONS.values():
        assert commands.find(command).id == command


def controller() -> CameraController:
    home = ViewCamera.looking_at(np.array([0.0, -2.0, 0.0]), np.zeros(3), np.array([0.0, 0.0, 1.0]), 0.8)
    return CameraController(home)


def test_a_stick_flies_as_far_as_it_is_pushed_and_stops_when_it_is_let_go():
    ways = []
    for strength in (0.5, 1.0):
        moved = controller()
        moved.push(np.array([0.0, 0.0, -strength]), np.zeros(2))
        for _ in range(60):
            moved.update(1 / 60)
        ways.append(moved.camera.position - [0.0, -2.0, 0.0])
        moved.push(np.zeros(3), np.zeros(2))
        for _ in range(120):
            moved.update(1 / 60)
        assert not moved.update(1 / 60)
    assert ways[1] == pytest.approx(2 * ways[0], abs=1e-9) and ways[1][1] > 0.2, "forward, along y"


def test_a_turn_to_the_right_looks_right_from_where_one_stands():
    turned = controller()
    turned.push(np.zeros(3), np.array([-1.0, 0.0]))
    for _ in range(30):
        turned.update(1 / 60)
    assert turned.camera.forward[0] > 0.2 and np.allclose(turned.camera.position, [0.0, -2.0, 0.0])
