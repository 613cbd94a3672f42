# SPDX-License-Identifier: MIT
"""The inspect panel shows the voxel that was picked and moves the slice in the scene's own units."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from app.gui.panels.inspect import InspectPanel
from app.inspection import SlicePlane
from engine.messages import StructureDetails, VoxelPicked
from engine.methods.common import CAPABILITIES, Histogram, PickedVoxel

VOXEL = PickedVoxel(
    1234,
    (0.1, 0.2, 0.3),
    0.0625,
    4,
    (0.0,) * 8,
    30.0,
    (1.0, 0.5, 0.0),
    (0.4,) * 3,
    0.5,
    0.4,
    1.0,
    None,
    None,
    60,
)


@pytest.fixture
def inspect(bench, lego):
    data = np.diag([2.0, 2.0, 2.0, 1.0])
    data[:3, 3] = 10.0, 0.0, 0.0
    bench.build(InspectPanel()).event(replace(lego, can=frozenset(CAPABILITIES), data_from_engine=data))
    return bench


def test_the_numbers_of_the_picked_voxel_stand_in_rows(inspect):
    assert not inspect.shown("numbers") and not inspect.config("copy_numbers", "enabled")
    inspect.event(VoxelPicked(1, 1, VOXEL))
    assert inspect.shown("numbers") and inspect.config("copy_numbers", "enabled")
    assert (inspect.text("number0-name"), inspect.text("number0")) == ("Voxel", "1,234")
    shown = [row for row in range(11) if inspect.shown(f"number{row}-row")]
    assert inspect.text(f"number{shown[-1]}") == "60 steps" and len(shown) == 9


def test_a_click_into_nothing_is_told(inspect):
    inspect.session.inspect.picking = True
    inspect.event(VoxelPicked(1, 1, None))
    assert inspect.shown("hint") and "Nothing there" in inspect.text("hint")
    assert inspect.config("pick_voxel", "label") == "Stop picking"


def test_colours_are_chosen_by_commands_of_the_registry(inspect):
    inspect.press("mode", "Priority")
    assert inspect.ran == ["mode_priority"]
    inspect.refresh()
    assert inspect.text("mode") == "Colour"  # until the command has done it


def test_the_number_that_colours_stand_for_is_shown_as_a_histogram(inspect):
    edges = np.linspace(0.0, 4.0, 5)
    density = Histogram("density", edges, np.array([[1, 2, 3, 0], [10, 0, 0, 5]]), logarithmic=True)
    inspect.event(StructureDetails((3, 4), (density,)))
    assert not inspect.shown("spread")
    inspect.session.view.mode = "density"
    inspect.refresh()
    assert inspect.shown("spread") and list(inspect.text("bars")[1]) == [11.0, 2.0, 3.0, 5.0]
    assert inspect.text("spread-text") == "21 voxels, 0 to 4, log scale"


def test_the_slice_is_moved_in_the_units_of_the_scene(inspect):
    assert not inspect.shown("slice")
    inspect.session.inspect.look = replace(
        inspect.session.inspect.look, plane=SlicePlane("x", (1.0, 0.0, 0.0), 0.25, 0.1), slicing=True
    )
    inspect.refresh()
    assert inspect.shown("slice")
    assert inspect.text("offset") == pytest.approx(10.5) and inspect.text("thickness") == pytest.approx(0.2)
    assert inspect.config("slice_x", "label") == "[X]"
    inspect.press("offset", 9.0)
    action, plane = inspect.done[-1]
    assert action == "inspect.slice_plane" and plane.offset == pytest.approx(-0.5)
    inspect.press("other", True)
    assert inspect.done[-1][1].other_side


def test_what_the_method_cannot_do_says_why(inspect, lego):
    why = {"pick": "InfNeRF has no voxels to pick.", "slice": "InfNeRF cannot be cut."}
    inspect.event(replace(lego, cannot=why))
    assert not inspect.config("pick_voxel", "enabled") and "no voxels to pick" in inspect.tip("pick_voxel")
    assert not inspect.config("toggle_slice", "enabled") and "cannot be cut" in inspect.tip("toggle_slice")
