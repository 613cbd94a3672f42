# SPDX-License-Identifier: MIT
from types import SimpleNamespace

import pytest

from app.gui.time_scale import TimeScale
from app.gui.timeline_mouse import EVEN, TimelineMouse
from app.view.path_edit import set_style
from tests.app.gui.path_session import opened, times

TRACK, RULER = 50.0, 5.0


class Desk:
    """A strip of 100 pixels a second on keys at 0, 2 and 4 s, whose actions are done on the session."""

    def __init__(self) -> None:
        self.session, self.editor = opened(0.0, 2.0, 4.0)
        self.session.export.fps = 10
        self.strip = SimpleNamespace(scale=TimeScale(0.0, 10.0, 1000.0), hovered=None, band=None, ruler=20,
            fit=lambda: self.done.append(("fit", None)))  # fmt: skip
        self.done: list[tuple[str, object]] = []
        self.mouse = TimelineMouse(self.session, self.strip, self.do, lambda: 9.0)

    def do(self, action: str, argument: object) -> None:
        """Do what the desk would, and remember it."""
        self.done.append((action, argument))
        if action == "path.edit":
            self.editor.apply(argument)
        elif action == "path.select":
            self.editor.select(*argument)

    def drag(self, start: float, end: float, y: float = TRACK, button: int = 0, **modifiers: bool) -> None:
        """Press, move in steps and let go."""
        self.mouse.press(button, start, y, modifiers.get("ctrl", False), modifiers.get("shift", False))
        for i in range(1, 5):
            self.mouse.move(start + (end - start) * i / 4, y)
        self.mouse.release()

    @property
    def selected(self) -> list[int]:
        return sorted(self.session.timeline.selected)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_click_selects_ctrl_toggles_and_shift_fills(desk):
    desk.drag(200, 200)
    assert desk.selected == [1]
    desk.drag(401, 401, shift=True)
    assert desk.selected == [1, 2]
    desk.drag(200, 200, ctrl=True)
    assert desk.selected == [2]
    assert desk.session.undo.undo_label is None


def test_a_click_on_one_of_several_selected_keys_leaves_that_one(desk):
    desk.editor.select([0, 1, 2])
    desk.drag(200, 201)
    assert desk.selected == [1]


def test_a_key_is_dragged_to_a_frame_as_one_edit(desk):
    desk.drag(203, 279)
    assert times(desk.session) == [0.0, 2.8, 4.0] and desk.selected == [1]
    desk.session.undo.undo()
    assert times(desk.session) == [0.0, 2.0, 4.0] and desk.session.undo.undo_label is None


def test_two_drags_are_two_edits(desk):
    desk.drag(200, 250)
    desk.drag(250, 300)
    desk.session.undo.undo()
    assert times(desk.session) == [0.0, 2.5, 4.0]


def test_selected_keys_move_together_and_shift_takes_later_ones_along(desk):
    desk.editor.select([1, 2])
    desk.drag(200, 250)
    assert times(desk.session) == [0.0, 2.5, 4.5]
    desk.drag(250, 300, shift=True)
    assert times(desk.session) == [0.0, 3.0, 5.0]


def test_a_key_that_is_dragged_alone_stops_at_its_neighbour(desk):
    desk.drag(200, 900)
    assert times(desk.session)[1] == pytest.approx(3.98)


def test_with_ctrl_copies_are_dragged_and_then_selected(desk):
    desk.drag(200, 300, ctrl=True)
    assert times(desk.session) == [0.0, 2.0, 3.0, 4.0] and desk.selected == [2]
    desk.drag(300, 400, ctrl=True)  # onto the last key, which is replaced
    assert times(desk.session) == [0.0, 2.0, 3.0, 4.0] and desk.session.path.keys[3].position[0] == 2.0


def test_inner_keys_of_an_even_path_stay_and_the_reason_is_told(desk):
    desk.editor.become("Even speed", set_style(desk.session.path, constant_speed=True))
    desk.drag(200, 300)
    assert times(desk.session) == [0.0, 2.0, 4.0] and ("path.tell", EVEN) in desk.done


def test_the_ruler_scrubs_from_frame_to_frame(desk):
    desk.drag(103, 188, RULER)
    assert desk.done[0] == ("path.scrub", 1.0) and desk.done[-1] == ("path.scrub", 1.9)


def test_a_stretch_of_the_track_selects_its_keys_and_a_click_beside_them_none(desk):
    desk.drag(350, 150)
    assert desk.selected == [1] and desk.strip.band is None
    desk.drag(450, 350, ctrl=True)
    assert desk.selected == [1, 2]
    desk.drag(300, 300)
    assert desk.selected == []


def test_a_double_click_splits_between_keys_and_looks_through_one(desk):
    for x in (100, 200, 700):
        desk.mouse.press(0, x, TRACK, False, False)
        desk.mouse.double_click(x, TRACK)
        done = list(desk.done)
        desk.mouse.release()
        assert desk.done == done, "the second press was part of the double click"
    acts = [entry for entry in desk.done if entry[0] != "path.select"]
    assert acts == [("path.split", 1.0), ("path.look_through", 1)]


def test_a_double_click_on_the_ruler_shows_the_whole_path(desk):
    desk.mouse.double_click(100, RULER)
    assert desk.done == [("fit", None)]


def test_no_key_is_dragged_before_the_beginning_of_time(desk):
    desk.drag(0, 150)
    assert times(desk.session) == [1.5, 2.0, 4.0]
    desk.drag(150, -900)
    assert times(desk.session) == [0.0, 2.0, 4.0]


def test_the_middle_button_pans_and_the_wheel_zooms(desk):
    desk.drag(500, 400, button=2)
    assert desk.strip.scale.start_s == pytest.approx(1.0)
    desk.mouse.wheel(2, 300.0)
    assert desk.strip.scale.span_s == pytest.approx(10.0 / 1.44)


def test_a_key_lights_up_under_the_mouse_but_not_on_the_ruler(desk):
    desk.mouse.hover(204, TRACK)
    assert desk.strip.hovered == 1
    desk.mouse.hover(204, RULER)
    assert desk.strip.hovered is None


def test_without_a_path_there_is_nothing_to_take(desk):
    desk.session.path = None
    desk.drag(200, 300)
    desk.drag(200, 300, RULER)
    assert desk.done == [] and not desk.mouse.busy
