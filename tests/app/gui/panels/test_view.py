# SPDX-License-Identifier: MIT
"""The view panel changes how the session is looked at, and follows keys and menus."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from app.gui.panels.view import MODES, ViewPanel
from engine import messages
from engine.methods.common import VALUE_MODES, VIEW_MODES


@pytest.fixture
def view(bench, lego):
    return bench.build(ViewPanel())


def test_modes_are_those_of_the_engine_with_their_keys(view):
    assert tuple(MODES) == (*VIEW_MODES, *VALUE_MODES)
    assert [label[0] for label in MODES.values()] == [*"1234567890", *" " * len(VALUE_MODES)]
    view.press("mode", MODES["depth"])
    assert view.ran == ["mode_depth"]


def test_a_refused_mode_does_not_stay_in_the_list(view):
    view.refresh()
    view.press("mode", MODES["error"])  # the registry refuses it while the camera is in no view
    view.refresh()
    assert view.text("mode") == MODES["colour"]


def test_keys_show_in_the_panel(view, lego):
    view.event(lego)
    view.session.view.mode, view.session.view.show_box = "normal", False
    view.refresh()
    assert view.text("mode") == MODES["normal"] and view.text("toggle_box") is False
    assert view.text("toggle_axes") is True


def test_the_error_map_is_one_press_away_where_the_method_keeps_one(view, lego):
    view.event(lego)
    view.press("toggle_errors", True)
    assert view.ran == ["toggle_errors"]
    view.event(replace(lego, method="plenoxels"))
    view.refresh()
    assert not view.config("toggle_errors", "enabled")
    assert "Only SVRaster keeps an error map." in view.tip("toggle_errors")


def test_a_mode_with_its_own_colours_needs_no_map(view):
    view.refresh()
    assert not view.config("colour_map", "enabled") and view.tip("colour_map").startswith(
        "This mode has colours"
    )
    view.session.view.mode = "depth"
    view.refresh()
    assert view.config("colour_map", "enabled")


@pytest.mark.parametrize(
    ("name", "value"), [("fov_y_deg", 70.0), ("fly_speed", 1.5), ("max_scale", 0.5), ("utilisation", 0.75)]
)
def test_sliders_change_the_session(view, name, value):
    view.press(name, value)
    assert getattr(view.session.view, name) == pytest.approx(value)


def test_background_is_the_scenes_or_a_colour(view):
    view.press("background", "white")
    assert view.session.view.background == (1.0, 1.0, 1.0)
    view.press("background", "custom")
    view.refresh()
    assert view.shown("custom-row")
    view.press("custom", (255.0, 0.0, 51.0, 255.0))
    assert view.session.view.background == pytest.approx((1.0, 0.0, 0.2), abs=0.003)
    view.press("background", "scene")
    view.refresh()
    assert view.session.view.background is None and not view.shown("custom-row")


def test_photos_need_a_capture_view_and_the_split_its_slider(view, lego):
    view.event(lego)
    assert not view.config("ground_truth", "enabled") and "capture view" in view.tip("ground_truth")
    view.session.view.view_index = 2
    view.refresh()
    assert view.config("ground_truth", "enabled") and not view.shown("split-row")
    view.press("ground_truth", "split")
    view.refresh()
    assert view.session.view.ground_truth == "split" and view.shown("split-row")


def test_overlays_run_the_commands_of_the_keys(view, lego):
    view.event(lego)
    view.press("toggle_frusta", False)
    assert view.ran == ["toggle_frusta"]


def test_wireframe_offers_the_levels_in_use(view, lego, stats):
    view.event(lego)
    view.stats(stats)
    assert not view.shown("levels")
    view.session.view.show_wireframe, view.session.view.wire_levels = True, (6,)
    view.refresh()
    assert [level for level in range(17) if view.shown(f"level{level}")] == [5, 6, 7]
    assert view.text("level6") and not view.text("level7")
    view.press("level7", True)
    assert view.session.view.wire_levels == (6, 7)


def test_the_legend_tells_the_ends_of_the_colour_map(view):
    view.refresh()
    assert not view.shown("legend-row")
    view.session.legend = (1.5, 2.934567, "cubes")
    view.refresh()
    assert view.shown("legend-row") and view.text("legend") == "1.5 to 2.935 cubes"


def test_a_wireframe_that_is_not_whole_says_so(view, lego, stats):
    view.event(lego)
    view.stats(stats)
    view.session.view.show_wireframe, view.session.view.wire_levels = True, (6,)
    view.event(messages.BoxesReady((6,), np.zeros((2, 4), dtype=np.float32), 249_998))
    assert view.text("wire") == "Wireframe levels: 2 of 249,998 drawn"
    view.event(messages.BoxesReady((6,), np.zeros((2, 4), dtype=np.float32), 2))
    assert view.text("wire") == "Wireframe levels"
