# SPDX-License-Identifier: MIT
import numpy as np
import pytest

from app.gui.path_player import PathPlayer, frame_in
from app.view.camera import ViewCamera
from app.view.controllers import LOOK, CameraController
from app.view.path_edit import set_style
from tests.app.gui.path_session import opened


class Stage:
    """A path, a camera and a player in a viewport of 800 x 400 pixels."""

    def __init__(self, *times: float) -> None:
        self.session, self.editor = opened(*times)
        home = ViewCamera.looking_at(np.array([0.0, -2.0, 0.0]), np.zeros(3), np.array([0.0, 0.0, 1.0]), 0.9)
        self.controller = CameraController(home)
        self.controller.resize(800, 400)
        self.player = PathPlayer(self.session, self.controller, lambda: (800, 400))

    def turn(self, dt: float) -> bool:
        """One turn of the window's loop."""
        changed = self.player.update(dt)
        self.controller.update(dt)
        return changed

    @property
    def x(self) -> float:
        return float(self.controller.camera.position[0])


@pytest.fixture
def stage() -> Stage:
    return Stage(0.0, 1.0, 2.0)


def test_the_largest_frame_of_an_aspect_lies_in_the_middle():
    assert frame_in((800, 400), 1.0) == (200.0, 0.0, 400.0, 400.0)
    assert frame_in((800, 400), 4.0) == (0.0, 100.0, 800.0, 200.0)
    assert frame_in((800, 400), None) == (0.0, 0.0, 800.0, 400.0)


def test_looking_from_a_key_is_the_key_to_the_last_bit(stage):
    stage.player.look(1.0)
    pose, fov = stage.player.view()
    np.testing.assert_array_equal(pose, stage.session.path.keys[1].world_from_cam)
    assert fov == pytest.approx(0.8) and stage.player.on_path


@pytest.mark.parametrize("width, height", [(1000, 1000), (1600, 400), (960, 540)])
def test_the_frame_of_a_preview_has_the_field_of_view_of_the_export(stage, width, height):
    export = stage.session.export
    export.width, export.height_px, stage.session.timeline.preview = width, height, True
    stage.player.look(1.0)
    assert stage.player.view()[1] == pytest.approx(0.8)
    frame = frame_in((800, 400), stage.player.aspect)
    half = 0.5 * frame[3] / stage.controller.camera.intrinsics(800, 400)[1]
    assert 2.0 * np.arctan(half) == pytest.approx(0.8)


def test_a_preview_that_is_turned_on_shows_the_moment_it_stood_at_anew(stage):
    stage.player.look(1.0)
    stage.session.timeline.preview = True
    stage.turn(0.01)
    assert stage.player.view()[1] == pytest.approx(0.8) and stage.player.on_path


def test_playing_follows_the_clock_and_stops_at_the_end(stage):
    stage.player.play()
    for _ in range(4):
        stage.turn(0.2)
    assert stage.session.playhead_s == pytest.approx(0.8)
    np.testing.assert_array_equal(
        stage.controller.camera.position, stage.session.path.at(stage.session.playhead_s).position
    )
    for _ in range(8):
        stage.turn(0.2)
    assert stage.session.playhead_s == 2.0 and not stage.session.timeline.playing
    assert not stage.turn(0.2)


def test_a_loop_goes_on_and_a_path_that_ended_begins_anew(stage):
    stage.player.look(2.0)
    stage.player.play()
    assert stage.session.playhead_s == 0.0
    stage.editor.become("Loop", set_style(stage.session.path, loop=True, loop_s=1.0))
    for _ in range(16):
        stage.turn(0.2)
    assert stage.session.timeline.playing and stage.session.playhead_s == pytest.approx(0.2)


def test_a_hiccup_of_the_window_skips_no_part_of_the_path(stage):
    stage.player.play()
    stage.turn(5.0)
    assert stage.session.playhead_s < 0.5


@pytest.mark.parametrize("taking", ["drag", "fly", "home"])
def test_who_takes_the_camera_ends_the_playing(stage, taking):
    stage.player.play()
    stage.turn(0.1)
    if taking == "drag":
        stage.controller.press(LOOK)
    elif taking == "fly":
        stage.controller.hold({"w"})
        stage.turn(0.1)
    else:
        stage.controller.reset()
    stage.turn(0.1)
    stage.turn(0.1)
    at = stage.session.playhead_s
    stage.turn(0.1)
    assert not stage.session.timeline.playing and stage.session.playhead_s == at < 1.0


def test_a_flight_is_written_down_from_its_first_move_to_its_last(stage):
    stage.player.begin_recording()
    start = stage.controller.camera
    for i in range(60):
        flying = 20 <= i < 40
        if flying:
            stage.controller.camera = start.moved(start.position + np.array([0.01 * (i - 19), 0.0, 0.0]))
        stage.turn(0.05)
    samples = stage.player.end_recording()
    assert not stage.session.timeline.recording and samples[0].time_s == 0.0
    assert 0.9 < samples[-1].time_s < 1.2
    moved = samples[-1].position[0] - samples[0].position[0]
    assert moved == pytest.approx(0.2)


def test_of_a_camera_that_never_moved_one_moment_is_left(stage):
    stage.player.begin_recording()
    for _ in range(10):
        stage.turn(0.05)
    assert len(stage.player.end_recording()) == 1
