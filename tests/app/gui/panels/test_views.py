# SPDX-License-Identifier: MIT
"""The views panel lists photos with their quality, sorts them, jumps to them and leaves them out."""

from __future__ import annotations

from dataclasses import replace

import dearpygui.dearpygui as dpg
import pytest

from app.gui.panels.views import ViewsPanel
from engine.messages import ExcludeViews, ViewsExcluded
from engine.tally import Tally


class Clock:
    """Ten seconds pass between any two looks, so numbers are always due."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 10.0
        return self.now


@pytest.fixture
def panel() -> ViewsPanel:
    return ViewsPanel(Clock())


def cells(bench, row: int) -> list[str]:
    return [bench.text(f"{name}-{row}") for name in ("psnr_last", "psnr_mean", "seen", "held_out_psnr")]


def test_rows_tell_use_and_quality(bench, panel, lego, stats, evaluated):
    tally = Tally(6)
    tally.note(1, 25.0)
    tally.note(1, 28.0)
    bench.build(panel).event(lego, evaluated(31.0, 28.0))
    bench.stats(replace(stats, views=tally.copy(frozenset())))
    assert cells(bench, 0) == ["–", "–", "0", "–"]
    assert cells(bench, 1) == ["28.00", "26.50", "2", "–"]
    assert cells(bench, 7) == ["–", "–", "–", "28.00"]
    assert bench.shown("use1") and not bench.shown("use7") and bench.shown("held7")
    assert bench.text("summary").startswith("29.50 dB  0.9")
    assert "held-out views at step" in bench.tip("summary")


def test_a_click_jumps_and_the_mark_follows_the_camera(bench, panel, lego):
    bench.build(panel).event(lego)
    bench.press("view5", True)
    assert bench.done == [("goto_view", 5)]
    bench.refresh()
    assert not bench.text("view5")  # the window has not moved the camera yet
    bench.session.view.view_index = 5
    bench.refresh()
    assert bench.text("view5") and not bench.text("view4")


def test_a_click_on_a_heading_sorts_and_a_row_still_means_its_view(bench, panel, lego, evaluated):
    bench.build(panel).event(lego, evaluated(31.0, 28.0))
    column = dpg.get_alias_id(bench.tag("column-held_out_psnr"))
    panel._sorted(bench.tag("table"), [[column, 1]])
    bench.refresh()
    assert panel.order[:2] == [7, 6]
    panel._sorted(bench.tag("table"), [[column, -1]])
    bench.refresh()
    assert panel.order[:2] == [6, 7]
    bench.press("view0", True)
    assert bench.done == [("goto_view", 6)]
    panel._sorted(bench.tag("table"), None)
    bench.refresh()
    assert panel.order == list(range(8))


def test_a_tick_asks_the_worker_and_shows_what_it_answered(bench, panel, lego):
    bench.build(panel).event(lego)
    bench.press("use2", False)
    assert bench.sent == [ExcludeViews((2,), True)]
    bench.refresh()
    assert bench.text("use2")  # not yet
    bench.event(ViewsExcluded((2,)))
    assert not bench.text("use2") and "1 left out" in bench.text("summary")
    bench.press("use2", True)
    assert bench.sent[-1] == ExcludeViews((2,), False)


def test_names_are_shown_without_the_folder_they_share(bench, panel, lego):
    named = [f"images_4/{place}{i}.png" for i, place in enumerate(("left/",) * 4 + ("right/",) * 4)]
    views = tuple(replace(view, name=name) for view, name in zip(lego.views, named, strict=True))
    bench.build(panel).event(replace(lego, views=views))
    assert bench.config("view0", "label").startswith("left/0.png") and panel.order[0] == 0


def test_a_smaller_scene_leaves_no_rows_behind(bench, panel, lego):
    bench.build(panel).event(lego)
    bench.event(replace(lego, views=lego.views[:4], n_train=4))
    assert len(dpg.get_item_children(bench.tag("table"), 1)) == 4 and panel.order == [0, 1, 2, 3]
    assert bench.shown("use0")
