# SPDX-License-Identifier: MIT
"""What the mouse means in the viewport: the tools are asked in order, then the frusta, at the place on the screen."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from app.gui import theme
from app.gui.box_tool import LAYERS, BoxTool
from app.gui.gizmo import HANDLES
from app.gui.layout import Rect
from app.gui.pointing import Pointing
from app.session import Session
from engine.cameras import Camera, look_at

UP = np.array([0.0, 0.0, 1.0])
EYE = Camera.from_fov(800, 600, 0.9, look_at(np.array([1.7, -1.9, 1.1]), np.zeros(3), UP))
PHOTO = Camera.from_fov(80, 60, 0.7, look_at(np.array([0.6, 0.3, 0.3]), np.zeros(3), UP))


class Grip:
    """A tool that means what is left of a column, in pixels of the camera; `heard` is what it was told."""

    def __init__(self, until: float) -> None:
        self.until, self.heard = until, []

    def _tell(self, what: str, x: float) -> bool:
        self.heard.append((what, x))
        return x < self.until

    def hover(self, camera: Camera, x: float, y: float) -> bool:
        return self._tell("hover", x)

    def press(self, camera: Camera, x: float, y: float) -> bool:
        return self._tell("press", x)

    def drag(self, camera: Camera, x: float, y: float) -> None:
        self._tell("drag", x)

    def click(self, camera: Camera, x: float, y: float) -> bool:
        return self._tell("click", x)

    def release(self) -> None:
        self.heard.append("release")

    def unhover(self) -> None:
        self.heard.append("unhover")


class Desk:
    """A viewport of 400x300 units at (50, 20) that shows a picture of 800x600 pixels, with one frustum in the scene."""

    def __init__(self) -> None:
        self.session = Session()
        depth = np.full((60, 80), np.inf, np.float32)
        depth[30:, 40:] = 2.5
        frame = SimpleNamespace(request=SimpleNamespace(camera=EYE), depth_z=depth)
        frame.on_host = lambda: frame
        self.canvas = SimpleNamespace(frame=frame, split=True)
        layers = SimpleNamespace(
            cameras=[PHOTO], frustum_size=0.1, view_of=lambda n: None if n is None else 7 + n
        )
        self.look = theme.Theme(theme.Sizes(1.0))
        self.pointing = Pointing(self.session, self.canvas, layers, self.look)
        self.pointing.place(Rect(50, 20, 400, 300))
        (column, row), _ = (array[0] for array in EYE.project(PHOTO.position[None]))
        self.at_photo = column / 2, row / 2


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_frustum_is_found_where_it_stands_unless_it_is_hidden(desk):
    desk.pointing.hover(*desk.at_photo)
    assert desk.pointing.view == 7
    desk.pointing.hover(2.0, 2.0)
    assert desk.pointing.view is None
    desk.session.view.show_frusta = False
    desk.pointing.hover(*desk.at_photo)
    assert desk.pointing.view is None


def test_the_first_tool_that_means_the_place_has_it_and_the_others_are_told(desk):
    left, all_of_it = Grip(100.0), Grip(1000.0)
    desk.pointing.tools += [left, all_of_it]
    desk.pointing.hover(40.0, 10.0)
    assert left.heard == [("hover", 80.0)] and all_of_it.heard == ["unhover"]
    desk.pointing.hover(*desk.at_photo)
    assert all_of_it.heard[-1][0] == "hover" and desk.pointing.view is None  # the frustum is behind a tool


def test_who_took_the_press_gets_the_drag_and_nobody_else(desk):
    left, all_of_it = Grip(100.0), Grip(1000.0)
    desk.pointing.tools += [left, all_of_it]
    assert desk.pointing.press(200.0, 10.0)
    desk.pointing.drag(30.0, 10.0)
    desk.pointing.release()
    desk.pointing.drag(31.0, 10.0)
    desk.pointing.release()
    assert left.heard == [("press", 400.0)]
    assert all_of_it.heard == [("press", 400.0), ("drag", 60.0), "release"]
    assert desk.pointing.click(20.0, 10.0) and ("click", 40.0) not in all_of_it.heard


def test_another_scene_takes_everything_out_of_the_hand(desk):
    tool = Grip(1000.0)
    desk.pointing.hover(*desk.at_photo)
    desk.pointing.tools.append(tool)
    desk.pointing.press(10.0, 10.0)
    desk.pointing.forget()
    assert tool.heard[1:] == ["release", "unhover"] and desk.pointing.view is None


def test_depth_is_that_of_the_place_and_none_where_nothing_is(desk):
    assert desk.pointing.depth_at(210.0, 160.0) == 2.5 and desk.pointing.depth_at(399.9, 1e9) == 2.5
    assert desk.pointing.depth_at(190.0, 160.0) is None
    desk.canvas.frame = None
    assert desk.pointing.depth_at(210.0, 160.0) is None
    desk.pointing.hover(*desk.at_photo)
    assert not desk.pointing.press(1.0, 1.0) and desk.pointing.view is None


def test_lengths_on_the_screen_grow_with_the_window_and_with_the_picture(desk):
    assert desk.pointing.reach(12.0) == 24.0  # two pixels of the picture for one unit of the window
    assert desk.pointing.over_split(0.5 * 400 + 8) and not desk.pointing.over_split(0.5 * 400 + 11)
    desk.look.sizes = theme.Sizes(2.0)
    assert desk.pointing.reach(12.0) == 48.0 and desk.pointing.over_split(0.5 * 400 + 17)
    desk.canvas.split = False
    assert not desk.pointing.over_split(200.0)


# --- the box's handles --------------------------------------------------------------------------------------------


class Layers:
    """An overlay pass that keeps what it was given."""

    def __init__(self) -> None:
        self.held: dict[str, np.ndarray] = {}

    def remove(self, name: str) -> None:
        self.held.pop(name, None)

    def set_lines(self, name: str, places: np.ndarray, colours: np.ndarray, **look: float) -> None:
        self.held[name] = places

    set_points = set_lines


@pytest.fixture
def box(desk: Desk) -> BoxTool:
    return BoxTool(desk.session, lambda length: length)


def pixel(tool: BoxTool, handle: str) -> np.ndarray:
    return EYE.project(tool._box.places())[0][HANDLES.index(handle)]


def test_the_box_is_moved_by_its_handles_while_they_are_out(desk, box):
    x, y = pixel(box, "x")
    assert not box.hover(EYE, x, y) and not box.press(EYE, x, y)
    desk.session.view.edit_box = True
    assert box.hover(EYE, x, y) and box.held == "x"
    assert not box.hover(EYE, 3.0, 3.0) and box.held is None
    assert box.press(EYE, x, y)
    half_way = 0.5 * (pixel(box, "x") + pixel(box, "middle"))
    box.drag(EYE, *half_way)
    (centre, edge), moved = desk.session.box, desk.session.box
    assert centre[0] < -0.1 and centre[1:] == (0.0, 0.0) and edge == 1.0
    box.release()
    box.drag(EYE, x, y)
    assert desk.session.box == moved


def test_the_box_is_drawn_as_it_would_be_and_its_handles_only_while_they_are_out(desk, box):
    lines = Layers()
    refresh = lambda: box.refresh(lines, desk.session, EYE.position)  # noqa: E731
    assert refresh() and not lines.held
    desk.session.view.edit_box = True
    assert refresh() and list(lines.held) == LAYERS[:3] and not refresh()
    box.hover(EYE, *pixel(box, "corner 7"))
    assert refresh() and np.allclose(lines.held["held"], [[0.5, 0.5, 0.5]])
    desk.session.box, desk.session.view.edit_box = ((0.25, 0.0, 0.0), 0.5), False
    assert refresh() and list(lines.held) == ["new box"]
    assert np.allclose(lines.held["new box"].reshape(-1, 3).max(0), [0.5, 0.25, 0.25])
    desk.session.box = None
    assert refresh() and not lines.held
    box.forget()
    assert refresh()
