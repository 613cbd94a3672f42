# SPDX-License-Identifier: MIT
"""The region panel says where the box is in the scene's coordinates, and keeps looking, training and editing apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from app.gui.panels.region import RegionPanel
from app.undo import Edit
from app.view.regions import angle_rad, turned
from engine.messages import TrainRegionChanged, UndoChanged
from engine.methods.common import CAPABILITIES
from engine.region import Region

UP = np.array([0.0, 0.0, 1.0])
REGION = turned(Region((0.1, 0.0, 0.0), (0.2, 0.1, 0.3)), UP, 0.5)


@pytest.fixture
def region(bench, lego):
    data = np.diag([2.0, 2.0, 2.0, 1.0])
    data[:3, 3] = 10.0, 0.0, 0.0
    bench.build(RegionPanel()).event(replace(lego, can=frozenset(CAPABILITIES), data_from_engine=data))
    return bench


@pytest.fixture
def marked(region):
    region.session.inspect.look = replace(region.session.inspect.look, region=REGION)
    region.refresh()
    return region


def test_without_a_region_all_that_needs_one_says_so(region):
    assert not region.shown("box") and region.config("region_scene", "enabled")
    for name in ("delete_outside", "delete_inside", "prune_region", "subdivide_region", "train_region"):
        assert not region.config(name, "enabled") and "no region yet" in region.tip(name)


def test_the_box_is_told_in_the_scenes_coordinates(marked):
    assert list(marked.text("centre"))[:3] == pytest.approx([10.2, 0.0, 0.0])
    assert list(marked.text("size"))[:3] == pytest.approx([0.8, 0.4, 1.2])
    assert marked.text("angle") == pytest.approx(np.degrees(0.5), abs=0.01)


def test_typed_numbers_set_the_box(marked):
    marked.edit("centre", (11.0, 2.0, -1.0, 0.0))
    assert marked.done[-1][0] == "region.set" and marked.done[-1][1].centre == pytest.approx((0.5, 1.0, -0.5))
    marked.edit("size", (1.0, 1.0, 2.0, 0.0))
    assert marked.done[-1][1].half == pytest.approx((0.25, 0.25, 0.5))
    count = len(marked.done)
    marked.edit("size", (0.0, 1.0, 2.0, 0.0))  # no box
    assert len(marked.done) == count


def test_the_angle_turns_about_the_scenes_up(marked):
    marked.press("angle", 90.0)
    action, turned_to = marked.done[-1]
    assert action == "region.set" and angle_rad(turned_to, UP) == pytest.approx(np.pi / 2)


def test_each_thing_runs_its_own_command(marked):
    for name in (
        "crop_view",
        "train_region",
        "delete_outside",
        "delete_inside",
        "prune_region",
        "subdivide_region",
    ):
        assert marked.config(name, "enabled")
        marked.press(name)
    assert marked.ran == [
        "crop_view", "train_region", "delete_outside", "delete_inside", "prune_region", "subdivide_region",
    ]  # fmt: skip


def test_toggles_show_what_is_in_force(marked):
    assert not marked.text("crop_view") and not marked.text("train_region")
    marked.session.inspect.look = replace(marked.session.inspect.look, crop=True)
    marked.event(TrainRegionChanged(REGION))
    assert marked.text("crop_view") and marked.text("train_region")


def test_what_is_kept_for_undoing_is_told(marked):
    assert not marked.shown("undo")
    marked.session.undo.push(Edit("Prune", lambda: None, lambda: None, "structure"))
    marked.event(UndoChanged(("Prune",), (), 93_500_000, 10**9))
    assert marked.text("undo") == "1 edit kept to be undone, 93.5 MB"
