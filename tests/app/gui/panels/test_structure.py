# SPDX-License-Identifier: MIT
"""The structure panel counts voxels as they are and steers how they change."""

from __future__ import annotations

from dataclasses import replace

import dearpygui.dearpygui as dpg
import pytest

from app.gui.panels.structure import StructurePanel
from engine.messages import AdaptPreviewed, PreviewAdapt, SetOptions, StructureChanged
from engine.methods.common import AdaptReport


def test_levels_are_bars_against_the_fullest_one(bench, lego, stats):
    bench.build(StructurePanel()).event(lego)
    bench.stats(stats)
    assert [level for level in range(17) if bench.shown(f"level{level}-row")] == [5, 6, 7]
    assert bench.text("level7") == 1.0 and bench.text("level6") == pytest.approx(0.25)
    assert bench.config("level6", "overlay") == "40,000"


def test_totals_stand_against_the_budget(bench, lego, stats):
    bench.build(StructurePanel()).event(lego)
    bench.stats(stats)
    assert bench.text("voxels") == "204,512" and bench.text("bytes") == "61.2 MB"
    assert bench.config("budget", "overlay") == "51 % of 400,000 voxels"
    assert bench.text("occupancy") == "4.31 %"


def test_a_level_that_empties_loses_its_bar(bench, lego, stats):
    bench.build(StructurePanel()).event(lego)
    bench.stats(stats)
    per_level = (*(0,) * 6, 40_000, *(0,) * 10)
    bench.stats(
        replace(stats, step=1241, structure=replace(stats.structure, voxels=40_000, per_level=per_level))
    )
    assert [level for level in range(17) if bench.shown(f"level{level}-row")] == [6]


def test_only_options_the_method_has_are_offered(bench, lego):
    bench.build(StructurePanel()).event(lego)
    assert bench.shown("adapt.prune_threshold-row") and bench.shown("adapt.every_steps-row")
    assert not bench.shown("adapt.subdivide_share-row")
    assert bench.text("adapt.every_steps") == 100


def test_a_changed_threshold_is_sent_and_previewed(bench, lego):
    bench.build(StructurePanel()).event(lego)
    bench.edit("adapt.prune_threshold", 0.125)
    assert bench.sent == [SetOptions({"adapt.prune_threshold": 0.125}), PreviewAdapt()]


def test_a_preview_tells_both_counts_until_the_structure_changes(bench, lego, stats):
    bench.build(StructurePanel()).event(lego, AdaptPreviewed(AdaptReport(9, 100_000, 980, 4210, 128_490)))
    assert bench.text("preview") == "would split 4,210 / drop 980, leaving 128,490"
    bench.event(StructureChanged(AdaptReport(10, 1, 0, 0, 1), stats.structure))
    assert "4,210" not in bench.text("preview")


def test_a_level_is_isolated_where_the_method_can_and_the_reason_is_told_where_not(bench, lego, stats):
    bench.build(StructurePanel()).event(replace(lego, can=frozenset({"levels"})))
    bench.stats(stats)
    bench.press("level6-name", True)
    bench.panel.isolate(7, True)
    assert bench.done == [("inspect.level", (6, False)), ("inspect.level", (7, True))]
    bench.refresh()
    assert not bench.text("level6-name")  # until the level is drawn alone
    assert not bench.config("all_levels", "enabled")
    bench.session.inspect.look = replace(bench.session.inspect.look, levels=(6,))
    bench.refresh()
    assert bench.text("level6-name") and not bench.text("level7-name")
    assert bench.config("all_levels", "enabled")
    bench.event(replace(lego, cannot={"levels": "This method has one level."}))
    bench.panel.isolate(6, False)
    assert len(bench.done) == 2 and "has one level" in bench.tip("level6-name")
    assert not bench.config("level6-name", "enabled")


def test_a_slider_renews_the_boxes_of_a_preview_that_is_shown(bench, lego):
    bench.build(StructurePanel()).event(lego)
    bench.session.inspect.preview = True
    bench.edit("adapt.prune_threshold", 0.125)
    assert bench.sent[-1].limit > 0


def test_buttons_run_commands_of_the_registry(bench, lego):
    bench.build(StructurePanel()).event(lego)
    for name in ("preview_adapt", "prune_now", "subdivide_now"):
        assert bench.config(name, "enabled")
        bench.press(name)
    assert bench.ran == ["preview_adapt", "prune_now", "subdivide_now"]


def test_growth_is_drawn_up_to_the_present_step(bench, lego, stats):
    bench.build(StructurePanel()).event(lego)
    bench.stats(replace(stats, step=100))
    bench.event(
        StructureChanged(AdaptReport(200, 204_512, 0, 10, 204_582), replace(stats.structure, voxels=204_582))
    )
    bench.stats(replace(stats, step=300))
    steps, counts = dpg.get_value(bench.tag("growth"))[:2]
    assert list(steps) == [100.0, 200.0, 300.0]
    assert list(counts) == [204_512.0, 204_582.0, 204_582.0]


def test_what_a_model_consists_of_is_called_by_its_name(bench, lego, stats):
    bench.build(StructurePanel()).event(replace(lego, unit="nodes"))
    bench.stats(stats)
    assert bench.text("voxels-name") == "Nodes" and bench.config("budget", "overlay").endswith("nodes")
    bench.event(lego)
    bench.stats(stats)
    assert bench.text("voxels-name") == "Voxels" and bench.config("budget", "overlay").endswith("voxels")
