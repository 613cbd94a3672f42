# SPDX-License-Identifier: MIT
"""The views panel lists photos with their quality and jumps to them."""

from __future__ import annotations

import dearpygui.dearpygui as dpg

from app.gui.panels.views import ViewsPanel, sort_views


def test_views_without_a_measure_come_last(lego):
    quality = {"r_6.png": (31.0, 0.9), "r_7.png": (28.0, 0.8)}
    assert sort_views(lego, quality, "worst first") == [7, 6, 0, 1, 2, 3, 4, 5]
    assert sort_views(lego, quality, "best first") == [6, 7, 0, 1, 2, 3, 4, 5]
    assert sort_views(lego, quality, "in order") == list(range(8))


def test_rows_tell_use_and_quality(bench, lego, evaluated):
    bench.build(ViewsPanel()).event(lego, evaluated(31.0, 28.0))
    rows = dpg.get_item_children(bench.tag("table"), 1)
    cells = [[dpg.get_value(cell) for cell in dpg.get_item_children(row, 1)[1:]] for row in rows]
    assert cells[0] == ["train", "–", "–"] and cells[7] == ["held out", "28.00 dB", "0.910"]
    assert bench.text("summary").startswith("29.50 dB  0.9")
    assert "held-out views at step" in bench.tip("summary")


def test_a_click_jumps_and_the_mark_follows_the_camera(bench, lego):
    bench.build(ViewsPanel()).event(lego)
    bench.press("view5", True)
    assert bench.done == [("goto_view", 5)]
    bench.refresh()
    assert not bench.text("view5")  # the window has not moved the camera yet
    bench.session.view.view_index = 5
    bench.refresh()
    assert bench.text("view5") and not bench.text("view4")


def test_another_order_makes_the_list_anew(bench, lego, evaluated):
    bench.build(ViewsPanel()).event(lego, evaluated(31.0, 28.0))
    dpg.set_value(bench.tag("order"), "worst first")
    bench.refresh()
    first = dpg.get_item_children(dpg.get_item_children(bench.tag("table"), 1)[0], 1)[0]
    assert dpg.get_item_user_data(first) == 7
