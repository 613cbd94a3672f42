# SPDX-License-Identifier: MIT
"""The capture panel says what is odd and how long it will take, and moves the box."""

from __future__ import annotations

from dataclasses import replace

import dearpygui.dearpygui as dpg
import numpy as np
import pytest

from app.gui.panels.capture import MAX_LISTED, CapturePanel
from engine.capture import Flag
from engine.conventions import similarity
from engine.messages import CaptureSurveyed, ExcludeViews, ViewsExcluded

CLEAN = CaptureSurveyed((), 14.3, 912_000_000)
ODD = CaptureSurveyed(
    (Flag(2, "far", "It stands far out."), Flag(7, "blur", "It may be blurred.")), 140.0, 1_000_000
)


def buttons(bench) -> dict[str, int]:
    """Return the buttons of the flag list by label, the last of each."""
    found = {}
    for group in dpg.get_item_children(bench.tag("flags"), 1):
        for item in dpg.get_item_children(group, 1):
            for widget in dpg.get_item_children(item, 1) or ():
                if dpg.get_item_type(widget).endswith("mvButton"):
                    found.setdefault(dpg.get_item_label(widget), widget)
    return found


def click(widget: int) -> None:
    dpg.get_item_callback(widget)(widget, None, dpg.get_item_user_data(widget))


def test_estimates_are_shown_when_the_scene_was_looked_over(bench, lego):
    bench.build(CapturePanel()).event(lego)
    assert "Looking over" in bench.text("verdict") and bench.text("first") == "–"
    bench.event(CLEAN)
    assert bench.text("first") == "about 14 s" and bench.text("memory") == "about 912 MB"
    assert bench.text("verdict") == "Cameras and photos look consistent." and buttons(bench) == {}


def test_flags_can_be_visited_and_left_out(bench, lego):
    bench.build(CapturePanel()).event(lego, ODD)
    assert bench.text("verdict") == "2 views look odd." and bench.text("first") == "about 2 min 20 s"
    click(buttons(bench)["Go there"])
    click(buttons(bench)["Leave out"])
    assert bench.done == [("goto_view", 2)] and bench.sent[-1] == ExcludeViews((2,), True)
    bench.event(ViewsExcluded((2,)))
    click(buttons(bench)["Use again"])
    assert bench.sent[-1] == ExcludeViews((2,), False)
    assert "Leave out" not in buttons(bench)  # the other one is held out


def test_a_long_list_is_cut_and_says_so(bench, lego):
    many = tuple(Flag(i, kind, "It is odd.") for i in range(MAX_LISTED + 5) for kind in ("far", "away"))
    scene = replace(lego, views=lego.views[:1] * (MAX_LISTED + 5))
    bench.build(CapturePanel()).event(scene, CaptureSurveyed(many, 1.0, 1))
    assert len(dpg.get_item_children(bench.tag("flags"), 1)) == MAX_LISTED + 1
    last = dpg.get_item_children(bench.tag("flags"), 1)[-1]
    assert dpg.get_value(last).startswith("and 5 more")


def test_numbers_of_the_box_are_in_the_data_s_units(bench, lego):
    scene = replace(lego, data_from_engine=similarity(4.0, np.array([1.0, 2.0, 3.0])))
    bench.build(CapturePanel()).event(scene)
    assert bench.text("centre")[:3] == [1.0, 2.0, 3.0] and bench.text("edge") == 4.0
    bench.edit("centre", (1.0, 2.0, 5.0, 0.0))
    assert bench.session.box[0] == pytest.approx((0.0, 0.0, 0.5)) and bench.session.box[1] == pytest.approx(
        1.0
    )
    bench.edit("edge", 2.0)
    assert bench.session.box[1] == pytest.approx(0.5) and bench.session.box[0] == pytest.approx(
        (0.0, 0.0, 0.5)
    )
    bench.refresh()
    assert bench.config("apply_box", "enabled") and "Use it" in bench.text("box-note")


def test_an_impossible_edge_is_put_back(bench, lego):
    bench.build(CapturePanel()).event(lego)
    bench.edit("edge", -1.0)
    bench.refresh()
    assert bench.session.box is None and bench.text("edge") == 1.0
    assert not bench.config("apply_box", "enabled")


def test_moving_the_box_of_a_trained_scene_warns(bench, lego, stats):
    bench.build(CapturePanel()).event(lego)
    bench.stats(stats)
    bench.session.box = (0.1, 0.0, 0.0), 1.0
    bench.refresh()
    assert "starts training anew" in bench.text("box-note")
