# SPDX-License-Identifier: MIT
import dearpygui.dearpygui as dpg
import pytest

from app import commands
from app.gui import input as inputs
from app.gui.input import FLY_KEYS, chord, key_names


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


def test_a_chord_that_is_up_again_before_it_is_heard_is_still_a_chord(monkeypatch):
    ran: list[str] = []
    names = {name: code for code, name in key_names().items()}
    monkeypatch.setattr(inputs, "_down", lambda *codes: False)
    monkeypatch.setattr(inputs, "typing", lambda: False)
    listening = inputs.Input(None, ran.append, lambda: False)
    listening._key(dpg.mvKey_LShift)
    listening._key(names["T"])
    assert ran == ["train_more"]
