# SPDX-License-Identifier: MIT
"""The diagnosis panel says what goes wrong and applies the one change, each in the way that its option allows."""

from __future__ import annotations

from dataclasses import replace

import dearpygui.dearpygui as dpg
import pytest

from app.gui import clipboard
from app.gui.panels.diagnosis import DiagnosisPanel
from engine.findings import Finding
from engine.messages import Diagnosed, OpenScene, OptionsChanged, SetOptions

LIVE = Finding(
    "budget_early",
    "The voxel budget is reached too early",
    "4,096 of 4,100.",
    "adapt.max_voxels",
    16_400,
    "Allow more.",
)
FIXED = Finding(
    "all_background", "All is background", "0.0% opaque.", "model.initial_density", -6.0, "Start with more."
)
SCENE = Finding(
    "painted_background",
    "Made of voxels",
    "Frames are white.",
    "background",
    "white",
    "Read it so.",
    of_scene=True,
)
ON = Finding("exposure_drift", "Exposure drifts", "0.8 to 1.1.", "exposure.on", True, "Fit them.")
VITALS = (("dead", 0.034), ("gradient_densities", 0.00123), ("waiting", 0.12))


@pytest.fixture
def panel(bench, lego):
    bench.build(DiagnosisPanel()).event(lego)
    return bench


def test_a_training_without_findings_is_said_to_be_well(panel, stats):
    assert panel.text("verdict") == "Findings appear while a scene trains." and not panel.shown("vitals")
    panel.stats(replace(stats, vitals=VITALS))
    assert panel.text("verdict") == "Nothing goes wrong so far."
    assert (panel.text("dead"), panel.text("gradient_densities"), panel.text("waiting")) == (
        "3 %",
        "0.0012",
        "12 %",
    )
    assert not panel.shown("gradient_colours-row"), "this method does not tell it"


def test_findings_come_with_their_evidence_and_go(panel):
    panel.event(Diagnosed((LIVE, ON)))
    assert panel.text("verdict") == "2 things go wrong."
    texts = [dpg.get_value(item) for group in dpg.get_item_children(panel.tag("findings"), 1)
             for item in dpg.get_item_children(group, 1) if "mvText" in dpg.get_item_type(item)]  # fmt: skip
    assert {LIVE.title, LIVE.evidence, LIVE.advice, ON.title} <= set(texts)
    assert panel.config("apply-budget_early", "label") == "Set max voxels to 16,400"
    assert panel.config("apply-exposure_drift", "label") == "Turn exposure on"
    panel.event(Diagnosed(()))
    assert dpg.get_item_children(panel.tag("findings"), 1) == []


def test_a_live_option_is_set_at_once(panel):
    panel.event(Diagnosed((LIVE,)))
    panel.press("apply-budget_early")
    assert panel.sent == [SetOptions({"adapt.max_voxels": 16_400})]
    assert "Takes effect at once" in panel.tip("apply-budget_early")


def test_another_option_waits_for_a_reset_and_says_so(panel):
    panel.event(Diagnosed((FIXED,)))
    panel.press("apply-all_background")
    assert panel.sent == [] and panel.session.staged == {"model.initial_density": -6.0}
    panel.refresh()
    group = dpg.get_item_children(panel.tag("findings"), 1)[0]
    assert "Waits for a reset, see Options." in [dpg.get_value(i) for i in dpg.get_item_children(group, 1)]
    panel.event(OptionsChanged({"model.initial_density": -6.0}))
    assert panel.session.staged == {}


def test_an_option_of_the_reader_opens_the_scene_anew_with_the_others_kept(bench, lego):
    bench.build(DiagnosisPanel()).event(replace(lego, options={"downscale": 2}))
    bench.event(Diagnosed((SCENE,)))
    bench.press("apply-painted_background")
    (command,) = bench.sent
    assert isinstance(command, OpenScene) and command.options == {"downscale": 2, "background": "white"}
    assert (command.path, command.method, command.values, command.start) == (
        "scenes/lego",
        "svraster",
        lego.values,
        True,
    )


def test_the_flag_goes_onto_the_clipboard(panel, monkeypatch):
    copied = []
    monkeypatch.setattr(clipboard, "copy", copied.append)
    panel.event(Diagnosed((ON,)))
    panel.press("copy-exposure_drift")
    assert copied == ["--exposure.on"]


def test_another_scene_has_none_of_the_findings_of_the_last(panel, lego):
    panel.event(Diagnosed((LIVE,)))
    panel.event(replace(lego, path="scenes/other"))
    assert panel.session.findings == () and dpg.get_item_children(panel.tag("findings"), 1) == []
    panel.event(replace(lego, findings=(ON,)))
    assert panel.session.findings == (ON,), "known before it came to the front"
