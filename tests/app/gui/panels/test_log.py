# SPDX-License-Identifier: MIT
"""The log panel keeps the last lines and filters them."""

from __future__ import annotations

import dearpygui.dearpygui as dpg

from app.gui.panels.log import DRAWN_LINES, LINE_LIMIT, LogPanel
from engine.messages import Failed, JobEnded, Logged, StateChanged, TrainState


def test_the_ring_forgets_the_oldest_lines(bench):
    bench.build(LogPanel())
    for number in range(LINE_LIMIT + 5):
        bench.panel.on_event(Logged("info", f"line {number}"))
    bench.refresh()
    assert len(bench.panel.lines) == LINE_LIMIT and bench.panel.lines[0][1] == "line 5"
    drawn = dpg.get_item_children(bench.tag("lines"), 1)
    assert len(drawn) == DRAWN_LINES and dpg.get_value(drawn[-1]) == f"line {LINE_LIMIT + 4}"


def test_the_filter_shows_a_level_and_all_above(bench):
    bench.build(LogPanel())
    bench.event(*(Logged(level, level) for level in ("debug", "info", "warning", "error")))
    for choice, expected in (("all", 4), ("info", 3), ("warning", 2), ("error", 1)):
        bench.press("level", choice)
        bench.refresh()
        assert len(dpg.get_item_children(bench.tag("lines"), 1)) == expected


def test_errors_states_and_failed_exports_are_taken_down_and_other_ends_are_left_to_the_notices(bench):
    bench.build(LogPanel()).event(
        Failed("The export could not start", ("disk full", "OSError")),
        StateChanged(TrainState.PAUSED, "As asked."),
        JobEnded("a", "finished", "spiral.mp4"),
        JobEnded("b", "cancelled", "Export of orbit.mp4 was cancelled."),
        JobEnded("c", "failed", "Cannot write zoom.mp4."),
    )
    assert list(bench.panel.lines) == [
        ("error", "The export could not start: disk full: OSError"),
        ("info", "paused. As asked."),
        ("error", "export failed: Cannot write zoom.mp4."),
    ]


def test_clear_empties_the_list(bench):
    bench.build(LogPanel()).event(Logged("info", "hello"))
    bench.press("clear")
    bench.refresh()
    assert not bench.panel.lines and not dpg.get_item_children(bench.tag("lines"), 1)
