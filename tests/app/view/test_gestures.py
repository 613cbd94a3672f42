# SPDX-License-Identifier: MIT
"""Every preset of the mouse can do everything, and the help tells what it does."""

from __future__ import annotations

import pytest

from app.settings import Mouse
from app.view import gestures
from app.view.controllers import LOOK, ORBIT, PAN
from engine.options import describe

PRESETS = next(info.choices for info in describe(Mouse) if info.name == "buttons")


def test_the_settings_offer_the_presets_that_there_are():
    assert set(PRESETS) == set(gestures.BUTTONS)


@pytest.mark.parametrize("preset", PRESETS)
def test_each_preset_orbits_looks_and_pans_with_one_button_each(preset):
    kinds = {gestures.drag_of(preset, button, shift=False) for button in (0, 1, 2)}
    assert kinds == {ORBIT, LOOK, PAN}
    assert gestures.drag_of(preset, 0, shift=True) == PAN


@pytest.mark.parametrize("preset", PRESETS)
def test_the_help_names_the_button_that_orbits(preset):
    orbits = next(button for button in (0, 1, 2) if gestures.drag_of(preset, button, False) == ORBIT)
    assert (gestures.NAMES[orbits], "Orbit") in [row[:2] for row in gestures.rows(preset)]
    assert all(text.endswith(".") for _, _, text in gestures.rows(preset))
