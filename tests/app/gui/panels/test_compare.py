# SPDX-License-Identifier: MIT
"""The compare panel: how a comparison begins, what it shows, what its buttons ask for."""

from __future__ import annotations

from dataclasses import replace

import dearpygui.dearpygui as dpg
import pytest

from app.gui.panels.compare import ComparePanel, checkpoint_line
from engine import messages


@pytest.fixture
def compare(bench, lego, stats):
    bench.build(ComparePanel())
    bench.event(lego)
    bench.stats(stats)
    return bench


def beside(compare, **changes):
    compare.event(messages.BesideChanged(messages.Beside(7, "plenoxels", "runs/other")))
    numbers = messages.BesideStats(7, 310, 12.3, 24.5, 1_142_480, True)
    compare.stats(replace(compare.session.stats, step=1250, beside=replace(numbers, **changes)))


def test_without_a_second_model_it_offers_the_other_method_and_runs(compare):
    assert compare.shown("begin") and not compare.shown("both")
    assert compare.text("method") == "Plenoxels"
    compare.press("start")
    compare.press("compare_run")
    assert compare.ran == ["compare_with_plenoxels", "compare_run"]


def test_another_choice_of_the_method_stays(compare):
    dpg.set_value(compare.tag("method"), "SVRaster")
    compare.refresh()
    compare.press("start")
    assert compare.ran == ["compare_with_svraster"]


def test_without_a_scene_nothing_can_be_started(bench):
    bench.build(ComparePanel()).refresh()
    assert not bench.config("start", "enabled") and "Open a scene" in bench.tip("start")


def test_both_models_numbers_stand_side_by_side(compare, evaluated):
    beside(compare)
    compare.event(evaluated(30.0), replace(evaluated(25.0), key=7))
    assert compare.shown("both") and not compare.shown("begin")
    assert (compare.text("name-left"), compare.text("name-right")) == ("Plenoxels", "SVRaster")
    assert (compare.text("Step-left"), compare.text("Step-right")) == ("310", "1,250")
    assert (compare.text("PSNR-left"), compare.text("PSNR-right")) == ("24.50 dB", "29.20 dB")
    assert (compare.text("Held out-left"), compare.text("Held out-right")) == ("25.00 dB", "30.00 dB")
    assert (compare.text("Voxels-left"), compare.text("Voxels-right")) == ("1,142,480", "204,512")


def test_its_ticks_follow_the_session_and_its_buttons_ask(compare):
    beside(compare, trains=True)
    assert compare.text("train_both") and compare.text("split_beside")
    for name in ("train_both", "split_beside", "swap_beside", "close_beside"):
        compare.press(name)
    assert compare.ran == ["train_both", "split_beside", "swap_beside", "close_beside"]
    compare.event(messages.BesideChanged(None))
    assert compare.shown("begin")


def test_an_older_checkpoint_of_the_run_is_opened_beside(compare):
    assert not compare.config("older", "enabled") and "no checkpoint yet" in compare.tip("older")
    newest = messages.CheckpointInfo(1200, 9e8, 30.0, 29.5, 1200)
    oldest = messages.CheckpointInfo(400, 8e8, 10.0, 24.1, 380)
    compare.event(messages.CheckpointsListed("runs/lego", (newest, oldest)))
    assert compare.text("checkpoint").startswith("step 400, ")  # it differs most
    assert compare.text("checkpoint").endswith(", about 24.1 dB")
    compare.press("older")
    dpg.set_value(compare.tag("checkpoint"), checkpoint_line(newest))
    compare.refresh()
    compare.press("older")
    run = compare.session.scene.run_folder
    assert compare.sent == [messages.OpenBeside(run, 400), messages.OpenBeside(run, 1200)]


def test_a_kept_moment_is_called_by_its_step_and_cannot_be_trained(compare):
    compare.event(messages.BesideChanged(messages.Beside(7, "svraster", "runs/lego", moment=310)))
    assert (compare.text("name-left"), compare.text("name-right")) == ("Step 310", "SVRaster")
    assert not compare.config("train_both", "enabled") and "one moment" in compare.tip("train_both")


def test_the_ends_of_colours_and_the_rate_of_blinking_are_set(compare):
    compare.press("top", "0.1")
    compare.press("rate", "4 /s")
    view = compare.session.view
    assert (view.error_top, view.blink_hz) == (0.1, 4.0)
    compare.press("top", "by the picture")
    assert view.error_top is None
