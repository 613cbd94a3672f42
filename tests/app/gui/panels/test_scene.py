# SPDX-License-Identifier: MIT
"""The scene panel shows facts, or how to get a scene."""

from __future__ import annotations

from dataclasses import replace

import dearpygui.dearpygui as dpg

from app.gui.panels.scene import ScenePanel


def test_an_empty_window_offers_three_ways_to_begin(bench):
    bench.build(ScenePanel()).refresh()
    assert bench.shown("empty") and not bench.shown("facts")
    for command_id in ("open_demo", "open_scene", "open_run"):
        bench.press(command_id)
    assert bench.ran == ["open_demo", "open_scene", "open_run"]


def test_a_scene_shows_counts_sizes_and_memory(bench, lego):
    bench.build(ScenePanel()).event(lego)
    assert not bench.shown("empty") and bench.shown("facts")
    assert bench.text("views") == "6 to train, 2 held out"
    assert bench.text("photos") == "400 x 400 px" and bench.text("images") == "1.9 MB"
    assert bench.text("kind") == "blender, SVRaster"


def test_a_long_path_keeps_its_end_and_is_whole_in_the_tooltip(bench, lego):
    path = "/somewhere/very/far/away/in/a/deep/folder/scenes/lego"
    bench.build(ScenePanel()).event(replace(lego, path=path))
    assert bench.text("path").startswith("...") and bench.text("path").endswith("scenes/lego")
    assert path in bench.tip("path")


def test_photos_of_several_sizes_are_said_to_be(bench, lego):
    odd = replace(lego.views[0], camera=lego.views[0].camera.resized(200, 300))
    bench.build(ScenePanel()).event(replace(lego, views=(odd, *lego.views[1:])))
    assert bench.text("photos") == "400 x 400 px and 1 other size"


def test_warnings_are_counted_and_listed(bench, lego):
    bench.build(ScenePanel()).refresh()
    assert not bench.shown("warnings")
    bench.event(lego)
    assert bench.shown("warnings") and bench.config("warnings", "label").startswith("1 warning#")
    bench.session.warnings.append("Memory is short.")
    bench.refresh()
    assert bench.config("warnings", "label").startswith("2 warnings#")
    lines = dpg.get_item_children(bench.tag("warning-list"), 1)
    assert [dpg.get_value(line) for line in lines] == ["r_9.png is missing.", "Memory is short."]
