# SPDX-License-Identifier: MIT
"""Looking into the structure: what is asked of the worker, what is an edit, and what another scene does to both."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from app.gui import inspect_captions
from app.gui.inspect_desk import InspectDesk
from app.gui.inspect_tools import frame_lines, grips
from app.gui.session_feed import apply_event
from app.inspection import Look, Numbers, SlicePlane, along_in_data, levels_after
from app.session import Session
from engine.cameras import Camera, look_at
from engine.messages import (
    AdaptPreviewed,
    Failed,
    GetDetails,
    PickVoxel,
    PreviewAdapt,
    SceneOpened,
    SetTrainRegion,
    Stats,
    StructureChanged,
    StructureUndone,
    TrainRegionChanged,
    TrainState,
    UndoChanged,
    UndoStructure,
    VoxelPicked,
)
from engine.methods.common import CAPABILITIES, AdaptReport, PickedVoxel, StructureStats
from engine.region import Region, Shown

UP = np.array([0.0, 0.0, 1.0])
STRUCTURE = StructureStats(30, 60, (0, 0, 0, 10, 15, 5), 4096, 1000, 0.1)
VOXEL = PickedVoxel(
    1234, (0.1, 0.2, 0.3), 0.0625, 4, (0.0,) * 8, 30.0, (0.5,) * 3, (0.4,) * 3, 0.5, 0.4, 1.0, 0.2, None, 60
)
SCENE = SceneOpened(
    "lego", "lego", "blender", "svraster", (), 0, (), UP, np.eye(4), 0, "white", 0, "", {}, can=frozenset(CAPABILITIES),
)  # fmt: skip


class Window:
    """A desk, and what it asked for."""

    def __init__(self) -> None:
        self.session, self.sent, self.notes, self.failed, self.opened = Session(), [], [], [], []
        pose = look_at(np.array([0.4, -2.0, 1.0]), np.zeros(3), UP)
        self.camera = Camera.from_fov(800, 600, 0.9, pose)
        self.frame = None
        self.structure_changed = 0
        viewport = SimpleNamespace(
            use=self._use,
            pointing=SimpleNamespace(reach=lambda length: length),
            canvas=SimpleNamespace(software=True),
            frame=None,
            controller=SimpleNamespace(camera=SimpleNamespace(engine_camera=lambda w, h: self.camera)),
            structure_changed=self._changed,
        )
        self.viewport = viewport
        reports = SimpleNamespace(
            note=self.notes.append, failed=lambda what, error: self.failed.append(str(error))
        )
        columns = SimpleNamespace(reveal=self.opened.append)
        parts = SimpleNamespace(
            session=self.session, send=self.sent.append, viewport=viewport, reports=reports, columns=columns,
            wake=lambda: None,
        )  # fmt: skip
        self.desk = InspectDesk(parts)
        self.actions = self.desk.actions()
        self.hear(SCENE)
        self.session.stats = Stats(
            TrainState.PAUSED, 40, None, 1.0, 40.0, None, (), 20.0, STRUCTURE, 0, 20.0, 10.0, 0.9, 0.1, 30.0, 1.0
        )  # fmt: skip

    def _use(self, *tools: object, layers: object) -> None:
        self.tools = tools

    def _changed(self) -> None:
        self.structure_changed += 1

    def hear(self, *events: object) -> None:
        for event in events:
            apply_event(self.session, event)
            self.desk.on_event(event)

    def do(self, action: str, argument: object = None) -> None:
        self.actions[action](argument)

    @property
    def look(self) -> Look:
        return self.session.inspect.look

    def tool(self, kind: int) -> object:
        """The tools in their order: region, slice, pick."""
        return self.tools[kind]


@pytest.fixture
def window() -> Window:
    return Window()


# --- levels -----------------------------------------------------------------------------------------------------


def test_a_click_isolates_a_second_one_shows_all_and_ctrl_adds():
    assert levels_after((), 5, False) == (5,) and levels_after((5,), 5, False) == ()
    assert levels_after((4, 5), 5, False) == (5,)
    assert levels_after((5,), 3, True) == (3, 5) and levels_after((3, 5), 5, True) == (3,)


def test_levels_are_stepped_through_and_each_step_can_be_undone(window):
    seen = []
    for _ in range(4):
        window.do("inspect.next_level")
        seen.append(window.look.levels)
    assert seen == [(3,), (4,), (5,), ()]
    window.session.undo.undo()
    window.session.undo.undo()
    assert window.look.levels == (4,)


def test_the_wireframe_follows_the_chosen_levels(window):
    window.session.view.wire_levels = (3, 4)
    window.do("inspect.level", (5, False))
    assert window.session.view.wire_levels == (3, 4)  # it is not shown
    window.session.view.show_wireframe = True
    window.do("inspect.level", (4, True))
    assert window.session.view.wire_levels == (4, 5)


def test_what_a_method_cannot_leave_out_is_drawn(window):
    region = Region((0, 0, 0), (0.1, 0.1, 0.1))
    window.session.inspect.look = Look((5,), region, crop=True, slicing=True)
    assert window.session.inspect.shown(SCENE) == Shown((5,), region, False, SlicePlane().slice)
    assert window.session.inspect.shown(replace(SCENE, can=frozenset({"crop"}))) == Shown((), region)
    assert window.session.inspect.shown(replace(SCENE, can=frozenset())).everything


# --- preview and picking ----------------------------------------------------------------------------------------


def test_a_preview_stands_until_the_structure_changes_and_is_toggled(window):
    window.do("inspect.preview")
    (command,) = window.sent
    assert isinstance(command, PreviewAdapt) and command.limit > 0 and window.session.inspect.preview
    window.hear(AdaptPreviewed(AdaptReport(40, 30, 3, 4, 55), np.zeros((3, 4)), np.zeros((2, 4))))
    assert [text for text, _ in inspect_captions.lines(window.session)] == [
        "would drop 3 voxels", "would split 4 voxels, 2 drawn",
    ]  # fmt: skip
    window.do("inspect.preview")
    assert not window.session.inspect.preview and len(window.sent) == 1
    window.do("inspect.preview")
    window.hear(StructureChanged(AdaptReport(41, 30, 3, 0, 27), STRUCTURE))
    assert not window.session.inspect.preview and not inspect_captions.lines(window.session)


def test_a_method_without_boxes_previews_its_numbers_alone(window):
    window.session.scene = replace(SCENE, can=frozenset())
    window.do("inspect.preview")
    assert window.sent == [PreviewAdapt()] and not window.session.inspect.preview


def test_a_click_picks_only_while_that_is_switched_on(window):
    pick = window.tool(2)
    assert not pick.click(window.camera, 3.0, 4.0) and not pick.hover(window.camera, 3.0, 4.0)
    window.do("inspect.level", (4, False))
    window.do("inspect.pick")
    assert pick.hover(window.camera, 3.0, 4.0) and pick.click(window.camera, 3.0, 4.0)
    assert window.sent == [PickVoxel(window.camera, 3.0, 4.0, Shown((4,)))]
    window.hear(VoxelPicked(3.0, 4.0, VOXEL))
    assert window.session.inspect.picked is VOXEL and window.opened == ["inspect"]
    window.hear(VoxelPicked(9.0, 4.0, None))
    assert window.session.inspect.picked is None and window.session.inspect.missed
    assert window.notes[-1] == "there is no voxel"


def test_numbers_are_told_in_the_scenes_own_units_and_unknown_ones_left_out():
    rows = dict(Numbers.of(VOXEL, np.diag([4.0, 4.0, 4.0, 1.0])).rows)
    assert rows["Edge"] == "0.25" and rows["Density"] == "7.5 per unit" and rows["Depth"] == "4"
    assert rows["Centre"] == "0.400  0.800  1.200" and rows["Age"] == "60 steps"
    assert "Priority" not in rows and rows["Weight"] == "0.2000"


def test_escape_puts_the_tools_away_and_leaves_what_is_shown(window):
    for action in ("inspect.pick", "inspect.preview", "region.handles", "region.crop"):
        window.do(action)
    window.hear(VoxelPicked(1.0, 1.0, VOXEL))
    window.do("inspect.put_away")
    inspect = window.session.inspect
    assert not (inspect.picking or inspect.preview or inspect.handles or inspect.picked)
    assert inspect.look.crop


def test_numbers_are_asked_how_they_are_distributed_when_they_are_looked_at_and_not_at_every_step(window):
    window.desk.update(9.0)
    assert not window.sent
    window.session.view.mode = "age"
    for _ in range(3):
        window.desk.update(0.1)
    assert window.sent == [GetDetails()]
    window.do("inspect.level", (4, False))
    window.desk.update(0.1)
    assert window.sent[1:] == [GetDetails((4,))]
    for step in range(60):
        window.session.stats = replace(window.session.stats, step=50 + step)
        window.desk.update(0.1)
    assert 2 <= len(window.sent[2:]) <= 3


# --- the slice --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", ["x", "y", "z", "view"])
def test_a_slice_hides_what_is_nearer_to_the_eye(window, axis):
    window.do("inspect.slice_axis", axis)
    assert window.look.slicing
    shows = window.look.plane.slice.shows
    assert not shows(window.camera.position[None]).any() and shows(-window.camera.position[None]).all()


def test_dragging_a_handle_moves_the_plane_with_the_mouse_as_one_edit(window):
    window.do("inspect.slice_axis", "x")
    tool, before = window.tool(1), window.look.plane
    moved = replace(before, offset=before.offset + 0.2)
    start, end = (window.camera.project(grips(plane, UP)[[2]])[0][0] for plane in (before, moved))
    assert tool.hover(window.camera, *start) and tool.press(window.camera, *start)
    tool.drag(window.camera, *(0.5 * (start + end)))
    tool.drag(window.camera, *end)
    tool.release()
    assert window.look.plane.offset == pytest.approx(moved.offset)
    assert window.session.undo.undo() == "Move slice" and window.look.plane == before


def test_the_frame_lies_in_its_plane_and_a_slab_has_two(window):
    plane = SlicePlane("view", (0.6, 0.0, 0.8), 0.1)
    lines = frame_lines(plane, UP).reshape(-1, 3)
    assert np.allclose(lines @ plane.along, 0.1, atol=1e-6) and len(lines) == 8
    slab = frame_lines(replace(plane, thickness=0.3), UP).reshape(-1, 3)
    assert set(np.round(slab @ plane.along, 4).tolist()) == {0.1, -0.2}


def test_where_the_plane_stands_is_told_in_the_scenes_coordinates():
    data = np.diag([2.0, 2.0, 2.0, 1.0])
    data[:3, 3] = 5.0, 6.0, 7.0
    start, scale = along_in_data(SlicePlane("y", (0.0, 1.0, 0.0)), data)
    assert (start, scale) == pytest.approx((6.0, 2.0))


# --- the region -------------------------------------------------------------------------------------------------


def test_cropping_is_a_look_at_a_region_and_asks_nothing_of_the_worker(window):
    window.do("region.crop")
    assert window.look.crop and window.look.region == Region((0, 0, 0), (0.5, 0.5, 0.5)) and not window.sent
    window.do("region.crop_outside")
    assert window.session.inspect.shown(SCENE).crop_outside
    window.session.undo.undo()
    window.session.undo.undo()
    assert window.look == Look()


def test_dragging_the_region_is_one_edit_and_the_next_drag_another(window):
    window.do("region.handles")
    tool = window.tool(0)
    for _ in range(2):
        centre = np.array(window.look.region.centre)
        x, y = window.camera.project(centre[None])[0][0]
        assert tool.press(window.camera, x, y)
        tool.drag(window.camera, x + 10, y)
        tool.drag(window.camera, x + 30, y)
        tool.release()
    labels = []
    while (label := window.session.undo.undo()) is not None:
        labels.append(label)
    assert labels == ["Move region", "Move region", "Region"]


def test_handles_that_are_put_away_cannot_be_taken(window):
    window.do("region.handles")
    x, y = window.camera.project(np.zeros((1, 3)))[0][0]
    assert window.tool(0).hover(window.camera, x, y)
    window.do("inspect.pick")  # a click is for the voxel behind the handle
    assert not window.tool(0).press(window.camera, x, y)
    window.do("inspect.pick")
    window.do("region.handles")
    assert not window.tool(0).press(window.camera, x, y)


def test_the_region_can_be_put_round_a_voxel_and_what_is_seen(window):
    window.session.inspect.picked = VOXEL
    window.do("region.preset", "voxel")
    assert window.look.region.centre == VOXEL.centre and window.session.inspect.handles
    window.do("region.preset", "seen")
    assert window.look.region.centre == VOXEL.centre and "nothing in the picture" in window.notes[-1]


def test_a_region_is_copied_and_pasted_and_other_text_is_refused(window, monkeypatch):
    clipboard = [""]
    monkeypatch.setattr("app.gui.clipboard.copy", lambda text: clipboard.__setitem__(0, text))
    monkeypatch.setattr("app.gui.clipboard.paste", lambda: clipboard[0])
    region = Region((0.1, 0.2, 0.3), (0.1, 0.1, 0.2))
    window.do("region.set", region)
    window.do("region.copy")
    window.do("region.preset", "scene")
    window.do("region.paste")
    assert np.allclose(window.look.region.corners(), region.corners())
    clipboard[0] = "no region"
    window.do("region.paste")
    assert np.allclose(window.look.region.corners(), region.corners()) and "Copy a region" in window.failed[0]


# --- the model --------------------------------------------------------------------------------------------------


def test_training_a_region_is_an_edit_once_the_worker_does_it(window):
    region = Region((0, 0, 0), (0.1, 0.1, 0.1))
    window.do("region.train", region)
    assert window.session.undo.undo_label is None and window.sent == [SetTrainRegion(region)]
    window.hear(TrainRegionChanged(region))
    assert window.session.inspect.train_region == region
    assert window.session.undo.undo() == "Train only here"
    window.hear(TrainRegionChanged(None))
    assert window.sent[-1] == SetTrainRegion(None) and window.session.undo.undo_label is None
    assert window.session.undo.redo() == "Train only here" and window.sent[-1] == SetTrainRegion(region)


def test_a_region_that_cannot_be_trained_is_no_edit(window):
    window.do("region.train", Region((9, 9, 9), (0.1, 0.1, 0.1)))
    window.hear(Failed("Training the region failed", ("There are no voxels.",)))
    window.hear(TrainRegionChanged(None))  # of something else
    assert window.session.undo.undo_label is None


def test_an_undone_edit_of_the_model_is_shown_and_told(window):
    window.hear(UndoChanged(("Prune",), (), 1000, 2000))
    window.session.undo.undo()
    assert window.sent == [UndoStructure()] and window.session.inspect.undo_bytes == 1000
    window.session.inspect.picked = VOXEL
    window.hear(StructureUndone("Prune", 30, 10, False, STRUCTURE))
    assert window.structure_changed == 1 and "10 steps of training given up" in window.notes[-1]
    assert window.session.inspect.picked is None  # its number means another voxel now


def test_another_method_keeps_the_region_and_another_scene_does_not(window):
    window.do("region.crop")
    window.do("inspect.level", (4, False))
    window.hear(replace(SCENE, method="plenoxels"))
    assert window.look.crop and window.look.levels == () and window.session.undo.undo_label == "Choose levels"
    window.hear(replace(SCENE, path="ship"))
    assert window.look == Look() and window.session.undo.undo_label is None


def test_a_moved_box_forgets_where_things_were(window):
    window.do("region.crop")
    window.hear(replace(SCENE, data_from_engine=np.diag([2.0, 2.0, 2.0, 1.0])))
    assert window.look == Look() and window.session.undo.undo_label is None
