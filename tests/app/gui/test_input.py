# SPDX-License-Identifier: MIT
from types import SimpleNamespace

import dearpygui.dearpygui as dpg
import pytest

from app import commands
from app.gui import input as inputs
from app.gui.input import FLY_KEYS, chord, key_names
from app.session import Session


def test_a_chord_is_spelt_as_in_the_registry():
    assert chord("O", ctrl=True, shift=True) == "Ctrl+Shift+O"
    assert chord("T", ctrl=False, shift=False) == "T"
    assert chord("/", ctrl=False, shift=True) == "?"


@pytest.mark.parametrize("shortcut", [c.shortcut for c in commands.COMMANDS if c.shortcut])
def test_every_shortcut_of_the_registry_can_be_typed(shortcut):
    typed = {
        chord(name, ctrl, shift)
        for name in key_names().values()
        for ctrl in (False, True)
        for shift in (False, True)
    }
    assert shortcut in typed


@pytest.mark.parametrize("key", FLY_KEYS)
def test_keys_to_fly_with_are_no_commands(key):
    assert commands.by_shortcut(key.upper()) is None
    assert commands.by_shortcut(f"Shift+{key.upper()}") is None


CODES = {name: code for code, name in key_names().items()}


class Keyboard:
    """An Input whose keys are `down` as the test says; `ran` are the commands it asked for."""

    def __init__(self, monkeypatch):
        self.ran: list[str] = []
        self.down: set[int] = set()
        monkeypatch.setattr(inputs.dpg, "is_key_down", lambda code: code in self.down)
        monkeypatch.setattr(inputs, "typing", lambda: False)
        viewport = SimpleNamespace(session=Session())
        self.listening = inputs.Input(viewport, self.ran.append, lambda: False)


@pytest.fixture
def keyboard(monkeypatch):
    return Keyboard(monkeypatch)


def test_a_chord_that_is_up_again_before_it_is_heard_is_still_a_chord(keyboard):
    keyboard.listening._key(dpg.mvKey_LShift)
    keyboard.listening._key(CODES["T"])
    assert keyboard.ran == ["train_more"]


def test_a_modifier_that_goes_up_in_the_turn_of_the_other_key_still_counts(keyboard):
    keyboard.down = {dpg.mvKey_LControl}
    keyboard.listening._key(dpg.mvKey_LControl)
    keyboard.listening._new_turn()
    keyboard.down = set()  # the release is heard in the same turn as the press
    keyboard.listening._key(CODES["Q"])
    assert keyboard.ran == ["quit"]


def test_a_modifier_that_went_up_a_turn_ago_does_not_count(keyboard):
    keyboard.down = {dpg.mvKey_LControl}
    keyboard.listening._new_turn()
    keyboard.down = set()
    keyboard.listening._new_turn()
    keyboard.listening._key(CODES["T"])
    assert keyboard.ran == ["toggle_training"]


def test_escape_with_nothing_to_leave_is_not_answered(keyboard):
    keyboard.listening._key(CODES["Esc"])
    assert keyboard.ran == []
    keyboard.listening._viewport.session.inspect.picking = True
    keyboard.listening._held.clear()
    keyboard.listening._key(CODES["Esc"])
    assert keyboard.ran == ["put_away"]
