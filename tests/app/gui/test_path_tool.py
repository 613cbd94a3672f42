# SPDX-License-Identifier: MIT
import numpy as np
import pytest

from app.gui.path_tool import LAYERS, PathTool
from app.view.path import CameraPath, Key
from engine.cameras import Camera
from tests.app.gui.path_session import opened, pose

SIZE = 0.1


class Layers:
    """An overlay pass that keeps segments."""

    def __init__(self) -> None:
        self.lines: dict[str, np.ndarray] = {}

    def set_lines(self, name: str, segments: np.ndarray, colours: np.ndarray, **look: float) -> None:
        """Keep them."""
        assert len(segments) == len(colours)
        self.lines[name] = segments

    def names(self) -> set[str]:
        """Return what holds anything."""
        return {name for name, segments in self.lines.items() if len(segments)}


class Scene:
    """Keys at x = -1, 0 and 1, seen from 4 units in front of them; 100 pixels are one unit there."""

    def __init__(self) -> None:
        self.session, self.editor = opened()
        self.session.path = CameraPath([Key(float(i), pose(x), 0.8) for i, x in enumerate((-1.0, 0.0, 1.0))])
        self.session.timeline.shown = True
        self.looked: list[int] = []
        self.hidden, self.now, self.modifiers = False, 0.0, (False, False)
        self.tool = PathTool(
            self.session, self.editor, self.looked.append, lambda: self.hidden, lambda: SIZE,
            lambda: self.modifiers, lambda: self.now,
        )  # fmt: skip
        back = np.eye(4)
        back[2, 3] = -4.0
        self.camera = Camera(400, 400, 400.0, 400.0, 200.0, 200.0, back)

    def click(self, x: float, y: float) -> None:
        """Press and let go, as the viewport does."""
        if self.tool.press(self.camera, x, y):
            self.tool.drag(self.camera, x + 1, y)
            self.tool.release()
        else:
            self.tool.click(self.camera, x, y)

    @property
    def selected(self) -> list[int]:
        return sorted(self.session.timeline.selected)


@pytest.fixture
def stage() -> Scene:
    return Scene()


def test_a_click_selects_the_key_under_it_and_modifiers_add(stage):
    stage.click(100, 200)
    assert stage.selected == [0]
    stage.modifiers = (False, True)
    stage.click(300, 200)
    assert stage.selected == [0, 1, 2]
    assert not stage.tool.click(stage.camera, 50, 50)


def test_two_quick_clicks_look_through_a_key_and_two_slow_ones_do_not(stage):
    stage.click(300, 200)
    stage.now = 2.0
    stage.click(300, 200)
    assert stage.looked == []
    stage.now = 2.2
    stage.click(300, 200)
    assert stage.looked == [2] and stage.session.undo.undo_label is None


def test_an_arrow_moves_the_selected_key_along_its_axis_as_one_edit(stage):
    stage.editor.select([1])
    gizmo = stage.tool._gizmo(stage.camera.position)
    tip = 200.0 + 100.0 * gizmo.size
    assert stage.tool.press(stage.camera, tip - 3, 200.0)
    for x in (10.0, 30.0, 50.0):
        stage.tool.drag(stage.camera, tip - 3 + x, 200.0)
    stage.tool.release()
    np.testing.assert_allclose(stage.session.path.keys[1].position, [0.5, 0.0, 0.0], atol=1e-9)
    assert stage.session.undo.undo() == "Move key" and stage.session.undo.undo_label is None
    assert stage.session.path.keys[1].position[0] == 0.0


def test_two_drags_of_a_handle_are_two_edits(stage):
    stage.editor.select([1])
    for start in (200.0, 250.0):
        assert stage.tool.press(stage.camera, start, 200.0)
        stage.tool.drag(stage.camera, start + 50.0, 200.0)
        stage.tool.release()
    stage.session.undo.undo()
    np.testing.assert_allclose(stage.session.path.keys[1].position, [0.5, 0.0, 0.0], atol=1e-9)


def test_several_keys_move_together_about_their_middle(stage):
    stage.editor.select([0, 2])
    assert stage.tool.press(stage.camera, 200.0, 200.0)
    stage.tool.drag(stage.camera, 200.0, 300.0)
    stage.tool.release()
    places = [key.position for key in stage.session.path.keys]
    np.testing.assert_allclose(places, [[-1, 1, 0], [0, 0, 0], [1, 1, 0]], atol=1e-9)


def test_nothing_stands_in_the_scene_while_hidden(stage):
    layers = Layers()
    stage.editor.select([1])
    assert stage.tool.refresh(layers, stage.session, stage.camera.position)
    assert layers.names() == set(LAYERS)
    assert not stage.tool.refresh(layers, stage.session, stage.camera.position)
    stage.hidden = True
    assert stage.tool.refresh(layers, stage.session, stage.camera.position)
    assert layers.names() == set() and not stage.tool.hover(stage.camera, 100, 200)


def test_no_line_leads_through_the_eye(stage):
    layers = Layers()
    stage.tool.refresh(layers, stage.session, np.zeros(3))
    nearest = min(np.linalg.norm(layers.lines[name], axis=2).min() for name in layers.names())
    assert nearest > SIZE


def test_an_edit_redraws_the_way_and_a_moved_playhead_only_itself(stage):
    layers = Layers()
    stage.tool.refresh(layers, stage.session, stage.camera.position)
    way = layers.lines["path"]
    stage.session.playhead_s = 1.5
    assert stage.tool.refresh(layers, stage.session, stage.camera.position)
    assert layers.lines["path"] is way
    stage.editor.split(0.5)
    stage.tool.refresh(layers, stage.session, stage.camera.position)
    assert layers.lines["path"] is not way
