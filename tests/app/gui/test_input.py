# SPDX-License-Identifier: MIT
import pytest

from app import commands
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
