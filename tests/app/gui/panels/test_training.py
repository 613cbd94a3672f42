# SPDX-License-Identifier: MIT
"""The training panel tells the truth about the worker and steers it."""

from __future__ import annotations

from dataclasses import replace

import dearpygui.dearpygui as dpg
import pytest

from app.gui.panels.training import STATE_COLOUR, TrainingPanel
from engine import messages
from engine.messages import TrainState


def test_every_state_has_a_colour_and_is_named(bench, lego):
    bench.build(TrainingPanel())
    assert set(STATE_COLOUR) == set(TrainState)
    for state in TrainState:
        bench.event(messages.StateChanged(state, "because"))
        assert bench.text("state").lower() == state.value and bench.text("reason") == "because"


def test_numbers_carry_their_units(bench, lego, stats):
    bench.build(TrainingPanel()).event(lego)
    bench.stats(stats)
    assert bench.text("step") == "1,240 of 5,000"
    assert bench.text("speed") == "41 it/s, 24.3 ms each"
    bench.stats(replace(stats, steps_per_s=0.0))
    assert bench.text("speed") == "–"  # nothing runs
    assert bench.text("elapsed") == "30 s" and bench.text("eta") == "1 min 31 s"
    assert bench.config("share", "overlay") == "train 87 %   view 13 %"


def test_without_a_scene_every_button_says_what_is_missing(bench):
    bench.build(TrainingPanel()).refresh()
    for name in ("toggle_training", "train_one_step", "run", "evaluate", "save_checkpoint", "reset"):
        assert not bench.config(name, "enabled")
        assert bench.tip(name).startswith("Open a scene first.")


def test_the_main_button_says_what_it_will_do(bench, lego):
    bench.build(TrainingPanel()).event(lego, messages.StateChanged(TrainState.PAUSED))
    assert bench.config("toggle_training", "label") == "Start" and bench.config("train_one_step", "enabled")
    bench.event(messages.StateChanged(TrainState.TRAINING))
    assert bench.config("toggle_training", "label") == "Pause"
    assert bench.tip("train_one_step").startswith("Pause training first.")


def test_the_chosen_number_of_steps_is_run(bench, lego):
    bench.build(TrainingPanel()).event(lego)
    bench.press("toggle_training")
    dpg.set_value(bench.tag("steps"), 250)
    bench.press("run")
    assert bench.ran == ["toggle_training"] and bench.sent == [messages.Train(steps=250, finish=False)]


def test_loading_shows_how_far_it_is(bench):
    bench.build(TrainingPanel()).event(messages.Progress("loading images", 20, 80))
    assert bench.shown("progress") and bench.text("progress") == pytest.approx(0.25)
    assert bench.config("progress", "overlay") == "loading images  20 of 80"
    bench.event(messages.Progress("loading images", 80, 80))
    assert not bench.shown("progress")


def test_an_error_shows_its_cause_until_training_goes_on(bench, lego):
    bench.build(TrainingPanel()).event(
        lego, messages.Failed("Training stopped", ("out of memory", "MemoryError"))
    )
    assert bench.shown("error") and bench.text("error") == "Training stopped: out of memory"
    assert bench.tip("error") == "out of memory\nMemoryError"
    bench.event(messages.StateChanged(TrainState.TRAINING))
    assert not bench.shown("error")


def test_the_saved_step_is_the_one_on_disk(bench, lego):
    bench.build(TrainingPanel()).event(lego)
    assert bench.text("saved") == "–"
    bench.event(messages.CheckpointSaved("x", 1200))
    assert bench.text("saved") == "step 1,200"
    bench.event(lego)
    assert bench.text("saved") == "–"
