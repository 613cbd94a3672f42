# SPDX-License-Identifier: MIT
"""The registry: unique, documented, wired, and honest about what cannot run now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from app import commands
from app.inspection import Look
from app.session import BesideModel, Session
from app.undo import Edit
from app.view.path import CameraPath, Key
from engine import messages
from engine.cameras import Camera
from engine.messages import SceneOpened, Stats, TrainState, ViewInfo
from engine.methods.common import CAPABILITIES, VIEW_MODES, PickedVoxel, StructureStats
from engine.region import Region

ALL = pytest.mark.parametrize("command", commands.COMMANDS, ids=lambda command: command.id)


class FakeApp:
    """Records what a command asked for."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.calls: list[tuple[object, ...]] = []

    def send(self, command: messages.Command) -> None:
        self.calls.append(("send", command))

    def goto_view(self, index: int) -> None:
        self.calls.append(("goto_view", index))

    def frame_scene(self) -> None:
        self.calls.append(("frame_scene",))

    def go_home(self) -> None:
        self.calls.append(("go_home",))

    def open_dialog(self, kind: str) -> None:
        self.calls.append(("open_dialog", kind))

    def import_photos(self) -> None:
        self.calls.append(("import_photos",))

    def confirm(self, question: str, button: str, then: Callable[[], None]) -> None:
        self.calls.append(("confirm", question, button, then))

    def export(self, kind: str) -> None:
        self.calls.append(("export", kind))

    def export_views(self) -> None:
        self.calls.append(("export_views",))

    def do(self, action: str, argument: object = None) -> None:
        self.calls.append(("do", action, argument))

    def toggle_help(self) -> None:
        self.calls.append(("toggle_help",))

    def quit(self) -> None:
        self.calls.append(("quit",))


VOXEL = PickedVoxel(7, (0, 0, 0), 0.1, 4, (0.0,) * 8, 1.0, (0.5,) * 3, (0.5,) * 3, 0.5, 0.4, 1.0)


def open_session() -> Session:
    camera = Camera.from_fov(64, 64, 0.8, np.eye(4))
    views = tuple(ViewInfo(f"view {i}", camera, held_out=i >= 3) for i in range(4))
    scene = SceneOpened(
        "lego",
        "lego",
        "blender",
        "svraster",
        views,
        3,
        (),
        np.array([0, 0, 1.0]),
        np.eye(4),
        0,
        "white",
        0,
        "",
        {},
        points_xyz=np.zeros((1, 3), np.float32),
        points_rgb=np.zeros((1, 3), np.uint8),
    )
    structure = StructureStats(30, 60, (0, 0, 0, 10, 15, 5), 4096, 1000, 0.1)
    stats = Stats(
        TrainState.PAUSED, 40, None, 1.0, 40.0, None, (), 20.0, structure, 0, 20.0, 10.0, 0.9, 0.1, 30.0, 1.0
    )
    session = Session(scene=scene, state=TrainState.PAUSED, stats=stats)
    session.beside = BesideModel(messages.Beside(2, "plenoxels", "runs/other"))
    session.view.view_index = 1
    session.staged = {"model.degree": 3}
    session.box = (0.1, 0.0, 0.0), 0.5
    session.path = CameraPath([Key(float(t), np.eye(4), 0.8) for t in range(3)])
    session.playhead_s, session.timeline.selected = 0.5, frozenset({1})
    for label in ("Move key", "Delete key"):
        session.undo.push(Edit(label, lambda: None, lambda: None))
    session.undo.undo()
    session.scene = replace(session.scene, can=frozenset(CAPABILITIES))
    region = Region((0, 0, 0), (0.2, 0.2, 0.2))
    session.inspect.look = Look(levels=(4,), region=region, crop=True)
    session.inspect.picked = VOXEL
    return session


def sent(app: FakeApp) -> list[object]:
    return [call[1] for call in app.calls if call[0] == "send"]


def test_ids_and_shortcuts_are_unique():
    ids = [command.id for command in commands.COMMANDS]
    shortcuts = [command.shortcut for command in commands.COMMANDS if command.shortcut]
    assert len(set(ids)) == len(ids)
    assert len(set(shortcuts)) == len(shortcuts)


def test_no_shortcut_is_a_flying_key():
    assert not {command.shortcut for command in commands.COMMANDS} & set("WASDQE")


@ALL
def test_every_command_has_help_a_label_and_a_menu(command):
    assert command.help.endswith(".") and command.help[0].isupper()
    assert command.label and not command.label.endswith(".")
    assert command.menu in commands.MENUS


def test_every_menu_holds_a_command():
    assert {command.menu for command in commands.COMMANDS} == set(commands.MENUS)


@ALL
def test_every_command_changes_something(command):
    app = FakeApp(open_session())
    app.session.view.mode = "error" if command.id == "mode_colour" else "colour"
    if command.id == "mode_node":
        app.session.scene = replace(app.session.scene, method="infnerf", unit="nodes")
    if command.id == "train_with_svraster":
        app.session.scene = replace(app.session.scene, method="plenoxels")
    if command.id == "continue_here":
        app.session.scene = replace(app.session.scene, followed=True)
    app.session.view.frusta_psnr = (
        command.id == "frusta_psnr"
    )  # no view has a PSNR here, so it can only be put off
    before = repr(app.session.view)
    assert commands.perform(command.id, app) is None
    assert app.calls or repr(app.session.view) != before


@ALL
def test_a_disabled_command_gives_a_sentence_and_does_nothing(command):
    app = FakeApp(Session())
    before = repr(app.session.view)
    reason = commands.perform(command.id, app)
    if reason is None:
        assert command.enabled_when is commands.always
    else:
        assert reason.endswith(".")
        assert not app.calls and repr(app.session.view) == before


def test_training_is_toggled_by_one_command():
    app = FakeApp(open_session())
    commands.perform("toggle_training", app)
    app.session.state = TrainState.TRAINING
    commands.perform("toggle_training", app)
    assert sent(app) == [messages.Train(), messages.Pause()]


def test_a_single_step_waits_for_a_pause():
    app = FakeApp(open_session())
    app.session.state = TrainState.TRAINING
    assert commands.perform("train_one_step", app) == "Pause training first."
    app.session.state = TrainState.PAUSED
    commands.perform("train_one_step", app)
    assert sent(app) == [messages.Train(steps=1, finish=False)]


def test_reset_asks_before_it_throws_training_away():
    app = FakeApp(open_session())
    commands.perform("reset", app)
    (_, question, button, then) = app.calls[0]
    assert "40 steps" in question and button == "Reset" and not sent(app)
    then()
    assert sent(app) == [messages.Reset()]


def test_reset_with_options_names_the_changes_asks_and_takes_them_along():
    app = FakeApp(open_session())
    app.session.values = {"model.degree": 2}
    app.session.staged = {"model.degree": 3}
    commands.perform("reset_with_options", app)
    (_, question, _, then) = app.calls[0]
    assert "40 steps" in question and "model.degree: 2 becomes 3" in question and not sent(app)
    then()
    assert sent(app) == [messages.Reset({"model.degree": 3})]


def test_reset_with_options_needs_an_option_that_waits():
    app = FakeApp(open_session())
    app.session.staged.clear()
    assert "Options panel" in commands.perform("reset_with_options", app) and not app.calls


def test_a_box_is_sent_in_data_units_after_asking_for_the_training_it_costs():
    app = FakeApp(open_session())
    matrix = np.diag([2.0, 2.0, 2.0, 1.0])
    matrix[:3, 3] = 0.0, 1.0, 0.0
    app.session.scene = messages.SceneOpened(**{**app.session.scene.__dict__, "data_from_engine": matrix})
    commands.perform("apply_box", app)
    (_, question, _, then) = app.calls[0]
    assert "40 steps" in question and not sent(app)
    then()
    (command,) = sent(app)
    assert np.allclose(command.centre, (0.2, 1.0, 0.0)) and np.isclose(command.edge, 1.0)


def test_an_untrained_scene_takes_another_box_at_once():
    app = FakeApp(open_session())
    app.session.stats = None
    commands.perform("automatic_box", app)
    assert sent(app) == [messages.MoveBox(None, None)]


def test_a_box_that_was_not_moved_cannot_be_used():
    app = FakeApp(open_session())
    app.session.box = None
    assert "move it first" in commands.perform("apply_box", app) and not app.calls


def test_the_view_one_is_in_is_left_out_and_taken_in_again():
    app = FakeApp(open_session())
    commands.perform("exclude_view", app)
    app.session.excluded = frozenset({1})
    commands.perform("exclude_view", app)
    assert sent(app) == [messages.ExcludeViews((1,), True), messages.ExcludeViews((1,), False)]
    app.session.view.view_index = 3
    assert commands.perform("exclude_view", app) == "Held-out views are never trained on."


def test_training_views_are_stepped_through_in_a_ring():
    app = FakeApp(open_session())
    for here, command in ((2, "next_view"), (0, "previous_view"), (None, "next_view"), (3, "previous_view")):
        app.session.view.view_index = here
        commands.perform(command, app)
    assert app.calls == [("goto_view", 0), ("goto_view", 2), ("goto_view", 0), ("goto_view", 2)]


def test_ground_truth_cycles_and_can_always_be_left():
    app = FakeApp(open_session())
    seen = []
    for _ in range(3):
        commands.perform("ground_truth", app)
        seen.append(app.session.view.ground_truth)
    assert seen == ["photo", "split", "off"]
    app.session.view.view_index = None
    assert commands.perform("ground_truth", app) is not None
    app.session.view.ground_truth = "split"
    assert commands.perform("ground_truth", app) is None


def test_the_keys_of_figures_choose_the_modes_of_the_engine():
    app = FakeApp(open_session())
    for key, mode in zip("1234567890", VIEW_MODES, strict=True):
        if mode == "node":
            app.session.scene = replace(app.session.scene, method="infnerf", unit="nodes")
        command = commands.by_shortcut(key)
        commands.perform(command.id, app)
        assert app.session.view.mode == mode and command.checked(app.session)


def test_nodes_are_told_apart_only_where_there_are_nodes():
    app = FakeApp(open_session())
    assert commands.perform("mode_node", app) == "SVRaster has voxels in place of nodes."
    assert app.session.view.mode == "colour"


def test_error_mode_needs_a_capture_view():
    session = open_session()
    session.view.view_index = None
    assert commands.perform("mode_error", FakeApp(session)) is not None
    assert session.view.mode == "colour"


def test_wireframe_starts_with_the_two_coarsest_levels_in_use():
    app = FakeApp(open_session())
    commands.perform("toggle_wireframe", app)
    assert app.session.view.show_wireframe and app.session.view.wire_levels == (3, 4)
    app.session.view.wire_levels = (5,)
    commands.perform("toggle_wireframe", app)
    commands.perform("toggle_wireframe", app)
    assert app.session.view.wire_levels == (5,)


def test_a_scene_without_held_out_views_cannot_be_evaluated():
    session = open_session()
    assert commands.find("evaluate").enabled_when(session) is None
    session.scene = messages.SceneOpened(**{**session.scene.__dict__, "views": session.scene.views[:3]})
    assert commands.find("evaluate").enabled_when(session) == "This scene has no held-out views."


def test_table_lists_every_command_once():
    table = commands.markdown_table()
    assert len(table.splitlines()) == len(commands.COMMANDS) + 2
    assert all(f"| {command.label} |" in table for command in commands.COMMANDS)


def test_another_method_is_started_after_asking_if_there_is_anything_to_lose():
    app = FakeApp(open_session())
    assert "already" in commands.perform("train_with_svraster", app)
    commands.perform("train_with_plenoxels", app)
    (name, question, button, then) = app.calls[-1]
    assert name == "confirm" and "40 steps of SVRaster are saved" in question and button == "Start"
    assert sent(app) == []
    then()
    assert sent(app) == [messages.SwitchMethod("plenoxels", start=True)]


def test_an_untrained_model_gives_way_at_once_and_training_waits_for_start():
    app = FakeApp(open_session())
    app.session.stats = replace(app.session.stats, step=0)
    commands.perform("train_with_plenoxels", app)
    assert sent(app) == [messages.SwitchMethod("plenoxels", start=False)]


def test_the_demo_opens_with_the_chosen_method():
    app = FakeApp(Session(method="plenoxels"))
    commands.perform("open_demo", app)
    assert app.calls == [("do", "open", "demo")]


def test_comparing_keeps_the_open_model_beside_the_new_one():
    app = FakeApp(open_session())
    commands.perform("compare_with_plenoxels", app)
    commands.perform("compare_run", app)
    assert sent(app) == [messages.SwitchMethod("plenoxels", beside=True, start=True)]
    assert app.calls[-1] == ("open_dialog", "beside")


def test_what_acts_on_two_models_needs_two():
    app = FakeApp(open_session())
    app.session.beside = None
    for name in ("split_beside", "train_both", "swap_beside", "close_beside"):
        assert "compare with" in commands.perform(name, app)


def test_the_model_beside_is_trained_and_rests_by_turns():
    app = FakeApp(open_session())
    commands.perform("train_both", app)
    app.session.beside.stats = messages.BesideStats(2, 10, 1.0, 20.0, 5, True)
    assert commands.find("train_both").checked(app.session)
    commands.perform("train_both", app)
    assert sent(app) == [messages.TrainBeside(True), messages.TrainBeside(False)]


def test_the_split_between_models_goes_and_comes_and_the_photo_key_leaves_it():
    app = FakeApp(open_session())
    kinds = []
    for name in ("split_beside", "split_beside", "split_beside", "ground_truth", "ground_truth"):
        commands.perform(name, app)
        kinds.append(app.session.view.ground_truth)
    assert kinds == ["beside", "off", "beside", "off", "photo"]


def test_a_method_names_what_makes_its_voxels_smaller():
    session = open_session()
    command = commands.find("subdivide_now")
    assert command.label_in(session) == "Subdivide now"
    session.scene = replace(session.scene, method="plenoxels", refine="Upsample")
    assert command.label_in(session) == "Upsample now"
