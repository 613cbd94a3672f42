# SPDX-License-Identifier: MIT
"""The objective panel shows what a step looks at and changes it while training."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.gui.panels.objective import ObjectivePanel
from engine.messages import OptionsChanged, SetOptions
from engine.methods.svraster.config import SVRasterConfig
from engine.options import flatten


@pytest.fixture
def opened(lego):
    return replace(lego, values=flatten(SVRasterConfig()))


def softened(values, **more):
    return OptionsChanged({**values, "objective.kind": "soft", **more})


def test_blurs_are_offered_only_where_they_act(bench, opened):
    bench.build(ObjectivePanel()).event(opened)
    assert bench.text("kind") == "raster"
    assert not bench.shown("soft.sigma-row") and not bench.shown("poses.refine")
    bench.event(softened(opened.values))
    assert bench.text("kind") == "soft"
    assert bench.shown("soft.sigma-row") and bench.shown("poses.refine")


def test_every_objective_of_the_method_can_be_chosen(bench, opened):
    bench.build(ObjectivePanel()).event(opened)
    assert {"raster", "soft"} <= set(bench.config("kind", "items"))
    bench.press("kind", "soft")
    assert bench.sent == [SetOptions({"objective.kind": "soft"})]


def test_sliders_and_boxes_are_sent_at_once(bench, opened):
    bench.build(ObjectivePanel()).event(softened(opened.values))
    bench.press("soft.sigma", 0.25)
    bench.press("soft.temperature", 0.125)
    bench.press("soft.anneal", False)
    bench.press("poses.refine", True)
    assert bench.sent == [
        SetOptions({"soft.sigma": 0.25}),
        SetOptions({"soft.temperature": 0.125}),
        SetOptions({"soft.anneal": False}),
        SetOptions({"poses.refine": True}),
    ]


def test_the_blur_under_way_is_told(bench, opened, stats):
    bench.build(ObjectivePanel()).event(
        softened(opened.values, **{"soft.sigma": 1.0, "soft.sigma_end": 0.01, "soft.anneal_until": 200})
    )
    bench.stats(replace(stats, step=100))
    assert bench.text("now").startswith("sigma 0.1,")
    bench.stats(replace(stats, step=5000))
    assert bench.text("now").startswith("sigma 0.01,")


def test_a_method_with_one_objective_says_so(bench, lego):
    bench.build(ObjectivePanel()).event(replace(lego, method="plenoxels", values={}))
    assert not bench.shown("all")
    assert "Plenoxels has one objective" in bench.text("none")
