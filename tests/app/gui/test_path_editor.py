# SPDX-License-Identifier: MIT
from dataclasses import replace

import numpy as np
import pytest

from app.undo import Edit
from app.view import path_edit
from app.view.path_change import PathChange
from tests.app.gui.path_session import line, opened, pose, times


def test_the_first_key_opens_the_timeline_and_more_come_behind_the_last():
    session, editor = opened()
    for x in (0.0, 1.0, 3.0):
        editor.add(pose(x), 0.8)
    assert len(times(session)) == 3 and session.timeline.shown
    assert session.timeline.selected == {2} and session.playhead_s == pytest.approx(times(session)[2])
    assert times(session)[2] * session.export.fps == pytest.approx(
        round(times(session)[2] * session.export.fps), abs=1e-4
    )


def test_a_key_is_put_in_at_a_playhead_between_keys_and_replaces_none():
    session, editor = opened(0.0, 2.0, 4.0)
    session.playhead_s = 1.0
    editor.add(pose(9.0), 0.5)
    assert times(session) == [0.0, 1.0, 2.0, 4.0] and session.path.keys[1].position[0] == 9.0
    session.playhead_s = 2.0
    editor.add(pose(9.0), 0.5)
    assert times(session)[:4] == [0.0, 1.0, 2.0, 4.0] and len(times(session)) == 5


def test_every_edit_is_taken_back_and_done_again():
    session, editor = opened(0.0, 2.0, 4.0)
    states = [(times(session), session.timeline.selected)]
    for edit in (
        lambda: editor.split(1.0),
        lambda: editor.overwrite(1, pose(7.0), 0.4),
        lambda: editor.duplicate(),
        lambda: editor.delete(),
        lambda: editor.become("Close path", None, []),
    ):
        edit()
        states.append((times(session), session.timeline.selected))
    for state in states[-2::-1]:
        session.undo.undo()
        assert (times(session), session.timeline.selected) == state
    for state in states[1:]:
        session.undo.redo()
        assert (times(session), session.timeline.selected) == state


def test_what_is_dragged_is_one_edit_until_it_is_let_go():
    session, editor = opened(0.0, 2.0, 4.0)
    for delta in (0.1, 0.2, 0.3):
        start = line(0.0, 2.0, 4.0)
        change = PathChange(
            "Move in time", lambda path, d=delta, s=start: path_edit.retime(s, [1], d), "drag"
        )
        editor.apply(change)
    assert times(session) == [0.0, 2.3, 4.0]
    session.undo.undo()
    assert times(session) == [0.0, 2.0, 4.0] and session.undo.undo_label is None


def test_an_edit_is_taken_back_in_the_units_of_a_box_that_was_moved_since():
    session, editor = opened(0.0, 2.0)
    session.timeline.selected = frozenset({1})
    editor.delete()
    new = np.diag([4.0, 4.0, 4.0, 1.0])  # a dataset unit is now a quarter as long
    editor.carry(np.linalg.inv(new) @ session.scene.data_from_engine)
    session.scene = replace(session.scene, data_from_engine=new)
    session.undo.undo()
    assert session.path.keys[1].position[0] == 0.5 and times(session) == [0.0, 2.0]


def test_a_path_that_is_put_away_takes_its_edits_along_and_leaves_those_of_others():
    session, editor = opened(0.0, 2.0)
    editor.split(1.0)
    session.undo.push(Edit("Prune", lambda: None, lambda: None))
    editor.put_away()
    assert session.path is None and not session.timeline.shown
    assert session.undo.undo() == "Prune" and session.undo.undo_label is None


def test_keys_are_pasted_behind_a_playhead_at_the_end_and_selected():
    session, editor = opened(0.0, 2.0, 4.0)
    session.playhead_s = 4.0
    editor.paste(line(0.0, 1.0))
    assert times(session) == [0.0, 2.0, 4.0, 6.0, 7.0] and session.timeline.selected == {3, 4}


def test_selections_are_set_added_to_toggled_and_filled():
    session, editor = opened(0.0, 1.0, 2.0, 3.0, 4.0)
    state = session.timeline
    editor.select([1])
    editor.select([3], "to")
    assert state.selected == {1, 2, 3}
    editor.select([2], "toggle")
    editor.select([4], "add")
    assert state.selected == {1, 3, 4}
    editor.select([0])
    assert state.selected == {0}
