# SPDX-License-Identifier: MIT
"""The timeline panel shows the path, asks for edits of what is selected, and draws only what changed."""

from __future__ import annotations

import numpy as np
import pytest

from app.gui.panels.timeline import TimelinePanel
from app.gui.timeline_strip import speeds
from app.view.path import CameraPath, Key
from app.view.path_change import PathChange
from tests.app.gui.path_session import line


@pytest.fixture
def timeline(bench, lego):
    bench.session.scene = lego
    bench.build(TimelinePanel())
    bench.session.timeline.shown = True
    bench.refresh()
    return bench


def asked_for(bench) -> CameraPath | None:
    """Return the path that the last edit would make, and take the edit off the list."""
    action, change = bench.done.pop()
    assert action == "path.edit" and isinstance(change, PathChange)
    return change.function(bench.session.path)


def test_without_a_path_buttons_say_what_to_do(timeline):
    assert not timeline.config("path_play", "enabled") and "add a key first" in timeline.tip("path_play")
    assert timeline.config("path_add_key", "enabled")


def test_numbers_are_of_the_path_until_keys_are_selected(timeline):
    timeline.session.path = line(0.0, 2.0, 5.0)
    timeline.refresh()
    assert timeline.shown("of path") and timeline.text("duration") == 5.0
    timeline.session.timeline.selected = frozenset({1})
    timeline.refresh()
    assert timeline.shown("of keys") and not timeline.shown("of path")
    assert timeline.text("at") == 2.0 and timeline.text("easing") == "auto"
    timeline.session.timeline.selected = frozenset({1, 2})
    timeline.refresh()
    assert timeline.text("at-name") == "2 keys" and not timeline.config("at", "enabled")


@pytest.mark.parametrize(
    "name, value, read",
    [
        ("at", 2.5, lambda path: path.keys[1].time_s),
        ("fov", 40.0, lambda path: np.degrees(path.keys[1].fov_y_rad)),
        ("easing", "hold", lambda path: path.keys[1].easing),
        ("duration", 10.0, lambda path: path.duration_s),
        ("tension", 0.25, lambda path: path.style.tension),
    ],
)
def test_each_number_edits_what_it_names(timeline, name, value, read):
    timeline.session.path = line(0.0, 2.0, 5.0)
    timeline.session.timeline.selected = frozenset({1})
    timeline.refresh()
    timeline.press(name, value)
    after = read(asked_for(timeline))
    assert after == value if isinstance(value, str) else after == pytest.approx(value)


def test_a_preset_is_run_as_the_command_of_its_name_and_the_list_shows_its_title_again(timeline):
    timeline.press("preset", "Figure eight")
    timeline.refresh()
    assert timeline.ran == ["path_figure-eight"] and timeline.text("preset") == "Presets"


def test_play_and_record_say_what_a_press_does_now(timeline):
    timeline.session.path = line(0.0, 2.0)
    state = timeline.session.timeline
    state.playing = state.recording = True
    timeline.refresh()
    assert (timeline.config("path_play", "label"), timeline.config("path_record", "label")) == (
        "Pause",
        "Stop",
    )


def test_the_strip_is_drawn_when_something_changed_and_fitted_to_a_new_path(timeline):
    view = timeline.panel.view
    view.strip.resize(500, 80)
    timeline.session.path = line(0.0, 20.0)
    assert view.draw() and not view.draw()
    assert 0.0 < view.strip.scale.x(20.0) < 500.0
    timeline.session.playhead_s = 3.0
    assert view.draw()
    timeline.session.timeline.selected = frozenset({0})
    assert view.draw()


def test_a_zoomed_strip_keeps_its_stretch_of_time_while_keys_are_edited(timeline):
    view = timeline.panel.view
    timeline.session.path = line(0.0, 4.0, 20.0)
    view.draw()
    view.strip.scale = view.strip.scale.zoomed(0.0, 0.2)
    before = view.strip.scale
    timeline.session.path = line(0.0, 5.0, 20.0)
    view.draw()
    assert view.strip.scale == before


def test_every_easing_can_be_drawn(timeline):
    keys = [
        Key(float(i), np.eye(4), 0.8, easing) for i, easing in enumerate(("auto", "linear", "ease", "hold"))
    ]
    timeline.session.path = CameraPath(keys)
    assert timeline.panel.view.draw()


def test_speed_is_highest_where_the_camera_goes_fastest_and_a_cut_is_none():
    path = line(0.0, 2.0, 5.0)
    assert speeds(path, np.linspace(0.0, 5.0, 50)).max() == 1.0
    keys = [*path.keys[:1], Key(2.0, path.keys[1].world_from_cam, 0.8, "hold"), *path.keys[2:]]
    times = np.linspace(0.0, 5.0, 51)
    held = speeds(CameraPath(keys), times)
    assert held[5] > 0.5 and held[30] == 0.0
    assert speeds(line(0.0), times).max() == 0.0
