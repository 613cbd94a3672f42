# SPDX-License-Identifier: MIT
"""The nodes panel tells what the picture needed of the model, and asks for another mode or budget."""

from __future__ import annotations

from dataclasses import replace

import dearpygui.dearpygui as dpg
import pytest

from app.gui.panels.nodes import NodesPanel
from engine.messages import ModeChanged, SetCacheBudget, SetMode, TrainState
from engine.methods.common import NodeUse

USE = NodeUse((1, 6, 20), 27_000_000, 60_000_000, 45_000_000, 45_000_000, 31, 14, 2)


@pytest.fixture
def panel(bench, lego, stats):
    bench.build(NodesPanel()).event(replace(lego, method="infnerf", unit="nodes"))
    bench.stats(replace(stats, nodes=USE))
    return bench


def test_nodes_and_bytes_of_the_last_picture_are_told(panel):
    assert panel.text("touched") == "27  (1 + 6 + 20)"
    assert panel.text("needed") == "27.0 MB, 45 % of 60.0 MB"
    assert panel.text("resident") == "45.0 MB, 75 % of 60.0 MB"
    assert panel.text("cache") == "the whole model is in memory", "as long as it is trained"
    panel.event(ModeChanged(True, 1))
    panel.refresh()
    assert panel.text("cache") == "31 hits, 14 misses, 2 on the way"


def test_the_graphs_go_on_with_each_picture_and_begin_anew_with_another_model(panel, stats, lego):
    panel.stats(replace(stats, nodes=replace(USE, per_level=(1, 2, 3), touched_bytes=6_000_000)))
    assert list(dpg.get_value("nodes/line-touched")[1]) == [27.0, 6.0]
    assert list(dpg.get_value("nodes/line-needed")[1]) == [27.0, 6.0]
    assert list(dpg.get_value("nodes/line-in memory")[1]) == [45.0, 45.0]
    panel.event(replace(lego, method="infnerf", unit="nodes", key=5))
    panel.stats(replace(stats, nodes=USE, key=5))
    assert list(dpg.get_value("nodes/line-touched")[1]) == [27.0]


def test_nodes_come_from_the_disk_when_that_is_in_force(panel):
    panel.press("mode", True)
    assert panel.sent == [SetMode(True)]
    panel.refresh()
    assert panel.text("mode") is False, "not yet"
    panel.event(ModeChanged(True, 1))
    panel.refresh()
    assert panel.text("mode") is True


def test_the_budget_in_force_is_shown_until_another_is_granted(panel):
    assert (panel.text("budget"), panel.config("budget", "max_value")) == (45, 60)
    panel.panel._send_budget(20)
    assert panel.sent == [SetCacheBudget(20_000_000)]
    panel.refresh()
    assert panel.text("budget") == 45


def test_an_untrained_model_has_nothing_on_the_disk(bench, lego, stats):
    bench.build(NodesPanel()).event(replace(lego, method="infnerf", unit="nodes"))
    bench.stats(replace(stats, state=TrainState.PAUSED, step=0))
    assert not bench.config("mode", "enabled") and "Nothing is trained yet" in bench.tip("mode")


def test_a_method_without_nodes_says_so(bench, lego, stats):
    bench.build(NodesPanel()).event(lego)
    bench.stats(stats)
    assert not bench.shown("all") and bench.text("none").startswith("SVRaster is one structure")
