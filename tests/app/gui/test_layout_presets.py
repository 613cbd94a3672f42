# SPDX-License-Identifier: MIT
"""Presets show what a kind of work needs and leave widths alone."""

from __future__ import annotations

import pytest

from app.commands.window import LAYOUTS
from app.gui.layout import Layout
from app.gui.layout_presets import PRESETS, arranged
from app.gui.panels import PANELS

COLUMNS = [make.id for slot, make in PANELS if slot in ("left", "right")]
STRIP = [make.id for slot, make in PANELS if slot == "bottom"]


def test_every_layout_of_the_menu_is_a_preset():
    assert set(LAYOUTS) == set(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_keeps_widths_recent_scenes_and_the_panel_that_minds_itself(name):
    before = Layout(left=321, bottom=200, recent=("/a",), folded=("view",))
    after = arranged(before, name, COLUMNS, STRIP)
    assert (after.left, after.bottom, after.recent) == (321, 200, ("/a",))
    assert "compare" not in after.folded, "it was open"
    assert "compare" in arranged(Layout(), name, COLUMNS, STRIP).folded


def test_a_presentation_shows_nothing_but_the_picture_and_the_timeline():
    after = arranged(Layout(), "presentation", COLUMNS, STRIP)
    assert not (after.show_left or after.show_right or after.show_bottom) and PRESETS["presentation"].timeline


def test_training_shows_the_whole_strip_and_inspecting_only_what_serves_it():
    assert arranged(Layout(hidden=("log",)), "training", COLUMNS, STRIP).hidden == ()
    after = arranged(Layout(), "inspect", COLUMNS, STRIP)
    assert "log" in after.hidden and "views" not in after.hidden and "structure" not in after.folded
