# SPDX-License-Identifier: MIT
"""The memory panel shows what is held, against a target, prunes to it and switches modes."""

from __future__ import annotations

from dataclasses import replace

import dearpygui.dearpygui as dpg
import pytest

from app.gui.panels.memory import INFERENCE, TRAINING, MemoryPanel
from engine.messages import FitMemory, MemoryFitted, ModeChanged, SetMode, TrainState

PARTS = (
    ("parameters", 30_000_000),
    ("optimiser", 62_000_000),
    ("structure", 20_000_000),
    ("photos", 48_000_000),
)


@pytest.fixture
def panel(bench, lego, stats):
    bench.build(MemoryPanel()).event(lego)
    bench.stats(replace(stats, memory=PARTS))
    return bench


def test_parts_are_told_and_photos_do_not_count_against_the_target(panel):
    assert [name for name in ("parameters", "optimiser", "structure", "photos") if panel.shown(f"{name}-row")] == [
        "parameters", "optimiser", "structure", "photos",
    ]  # fmt: skip
    assert not panel.shown("model-row") and not panel.shown("view buffers-row")
    assert (panel.text("optimiser"), panel.text("process")) == ("62.0 MB", "812 MB")
    assert panel.config("bar", "overlay") == "112 MB of 256 MB" and panel.text("bar") == pytest.approx(
        112 / 256
    )


def test_fitting_is_offered_only_beyond_the_target(panel):
    assert not panel.config("fit", "enabled") and "within the target already" in panel.tip("fit")

    dpg.set_value(panel.tag("target"), 80)
    panel.refresh()
    assert panel.config("fit", "enabled") and panel.text("bar") == 1.0
    panel.press("fit")
    assert panel.sent == [FitMemory(80_000_000)]


def test_what_fitting_did_is_told_with_its_cost(panel):
    assert not panel.shown("fitted")
    panel.event(MemoryFitted(80_000_000, 112_000_000, 79_500_000, 204_512, 145_000, 31.6, 31.52))
    assert panel.text("fitted") == (
        "145,000 voxels are left of 204,512: 79.5 MB instead of 112 MB, PSNR 31.52 dB instead of 31.60 dB over a few views."
    )
    panel.event(MemoryFitted(1_000_000, 79_500_000, 9_500_000, 145_000, 1_000, 31.52, 18.0))
    assert panel.text("fitted").endswith("No fewer voxels can be left.")
    panel.event(MemoryFitted(80_000_000, 79_500_000, 79_500_000, 1_000, 1_000, 31.5, 31.5))
    assert panel.text("fitted") == "Nothing was changed: the model holds 79.5 MB."


def test_the_mode_is_asked_for_and_shown_when_it_is_in_force(panel):
    panel.press("mode", INFERENCE)
    assert panel.sent == [SetMode(True)]
    panel.refresh()
    assert panel.text("mode") == TRAINING, "not yet"
    panel.event(ModeChanged(True, 84_000_000))
    assert panel.text("mode") == INFERENCE and panel.shown("freed")
    assert panel.text("freed") == "Training rests and gave back 84.0 MB."
    panel.event(ModeChanged(False))
    assert panel.text("mode") == TRAINING and not panel.shown("freed")


def test_an_untrained_model_has_no_other_mode(bench, lego, stats):
    bench.build(MemoryPanel()).event(lego)
    bench.stats(replace(stats, state=TrainState.PAUSED, step=0, memory=PARTS))
    assert not bench.config("mode", "enabled") and "Nothing is trained yet" in bench.tip("mode")


def test_a_method_that_cannot_be_pruned_to_a_target_says_so(bench, lego, stats):
    bench.build(MemoryPanel()).event(lego)
    bench.stats(replace(stats, memory=(("model", 900_000_000), ("decoded photos", 5))))
    assert bench.shown("model-row") and not bench.config("fit", "enabled")
    assert "cannot be pruned to a target" in bench.tip("fit")
