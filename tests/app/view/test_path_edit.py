# SPDX-License-Identifier: MIT
"""Each edit of a camera path changes what it says and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from app.view import path_edit as edit
from app.view.path import CameraPath, Key, PathStyle
from app.view.path_files import keys_from_text, keys_to_text
from engine.cameras import look_at
from engine.conventions import similarity
from engine.errors import UserError

Z = np.array([0.0, 0.0, 1.0])


def _pose(x: float, y: float = 1.0) -> np.ndarray:
    return look_at(np.array([x, y, 0.5]), np.zeros(3), Z)


def _path(*times: float, **style: object) -> CameraPath:
    keys = [Key(t, _pose(2.0 + i, 1.0 - i), 0.5 + 0.1 * i) for i, t in enumerate(times or (0, 1, 3, 4))]
    return CameraPath(keys, PathStyle(**style))


def _times(path: CameraPath) -> list[float]:
    return [key.time_s for key in path.keys]


def test_a_key_is_inserted_at_its_time_and_replaces_one_that_stands_there() -> None:
    path = edit.insert_key(None, Key(1.5, _pose(0), 0.7))
    assert _times(path) == [1.5]
    path = edit.insert_key(_path(), Key(2.0, _pose(0), 0.7))
    assert _times(path) == [0, 1, 2, 3, 4] and path.keys[2].fov_y_rad == 0.7
    replaced = edit.insert_key(path, Key(2.001, _pose(9), 0.9))
    assert _times(replaced) == [0, 1, 2, 3, 4] and replaced.keys[2].fov_y_rad == 0.9


def test_views_are_appended_after_a_gap_or_by_their_distance() -> None:
    path = edit.append_view(None, _pose(0), 0.5)
    path = edit.append_view(path, _pose(1), 0.5)
    assert _times(path) == [0, edit.DEFAULT_GAP_S]
    assert _times(edit.append_view(path, _pose(2), 0.5, gap_s=0.5))[-1] == edit.DEFAULT_GAP_S + 0.5
    assert _times(edit.append_view(path, _pose(4), 0.5))[-1] == pytest.approx(4 * edit.DEFAULT_GAP_S)
    assert edit.append_view(path, _pose(1), 0.5).duration_s == 2 * edit.DEFAULT_GAP_S, "in the same place"


def test_deleting_every_key_leaves_no_path() -> None:
    assert _times(edit.delete(_path(), [1, 2])) == [0, 4]
    assert edit.delete(_path(), range(4)) is None


def test_duplicates_stand_behind_the_last_chosen_key_and_what_follows_moves_on() -> None:
    path = edit.duplicate(_path(), [0, 1])
    assert _times(path) == [0, 1, 3, 4, 6, 7]
    assert [key.fov_y_rad for key in path.keys] == pytest.approx([0.5, 0.6, 0.5, 0.6, 0.7, 0.8])
    assert _times(edit.duplicate(_path(), [3])) == [0, 1, 3, 4, 5]


def test_keys_move_in_time_up_to_their_neighbours() -> None:
    assert _times(edit.retime(_path(), [2], -0.5)) == [0, 1, 2.5, 4]
    assert _times(edit.retime(_path(), [1, 2], 5.0)) == pytest.approx([0, 1.98, 3.98, 4])
    assert _times(edit.retime(_path(), [0], -3.0)) == [-3, 1, 3, 4]
    assert _times(edit.retime(_path(), [1], -9.0)) == pytest.approx([0, edit.LEAST_GAP_S, 3, 4])
    assert _times(edit.retime(_path(), [1], 2.5, ripple=True)) == [0, 3.5, 5.5, 6.5]
    assert _times(edit.retime(_path(), [0, 2], 0.5)) == [0.5, 1, 3.5, 4]


def test_values_are_set_where_they_were_asked_for() -> None:
    path = edit.set_pose(edit.set_fov(edit.set_easing(_path(), [1, 3], "ease"), [0], 1.1), 2, _pose(-3))
    assert [key.easing for key in path.keys] == ["auto", "ease", "auto", "ease"]
    assert path.keys[0].fov_y_rad == 1.1 and np.array_equal(path.keys[2].world_from_cam, _pose(-3))
    styled = edit.set_style(path, tension=0.5, loop=True)
    assert (styled.style.tension, styled.closed, styled.keys) == (0.5, True, path.keys)


def test_a_split_puts_a_key_where_the_camera_is() -> None:
    path, time_s = _path(), 1.7
    there = path.at(time_s).world_from_cam
    divided = edit.split(path, time_s)
    assert _times(divided) == [0, 1, 1.7, 3, 4] and np.array_equal(divided.keys[2].world_from_cam, there)
    assert edit.split(path, 3.0) is path, "a key stands there already"
    with pytest.raises(UserError, match="between 0 s and 4 s, where the path runs, not at 5 s"):
        edit.split(path, 5.0)


def test_in_a_loop_a_split_after_the_last_key_divides_the_way_back() -> None:
    path = _path(loop=True, loop_s=2.0)
    divided = edit.split(path, 5.0)
    assert _times(divided)[-1] == 5.0 and divided.duration_s == 6.0
    assert np.allclose(divided.keys[-1].world_from_cam, path.at(5.0).world_from_cam)


def test_at_constant_speed_a_split_keeps_the_order_of_the_way() -> None:
    path = _path(0, 6, 7, 8, constant_speed=True)
    playing = 0.5 * (path.key_times_s[0] + path.key_times_s[1])
    divided = edit.split(path, playing)
    assert np.array_equal(divided.keys[1].world_from_cam, path.at(playing).world_from_cam)
    assert 0 < divided.keys[1].time_s < 6


def test_played_backward_the_camera_is_where_it_was() -> None:
    for path in (_path(), _path(loop=True, loop_s=1.5), _path(constant_speed=True, tension=0.4)):
        back = edit.reverse(path)
        times = np.linspace(path.keys[0].time_s, path.keys[-1].time_s, 30)
        forward, fovs = path.sample(times)
        backward, back_fovs = back.sample(times[::-1])
        # Constant speed goes by a table of steps, which are laid from the other end.
        tolerance = 2e-3 if path.style.constant_speed else 1e-9
        assert np.allclose(backward, forward, atol=tolerance) and np.allclose(back_fovs, fovs, atol=tolerance)


def test_a_hold_holds_the_same_segment_backward() -> None:
    path = edit.reverse(edit.set_easing(_path(), [1], "hold"))
    assert [key.easing for key in path.keys] == ["auto", "hold", "auto", "auto"]
    assert np.array_equal(path.at(2.5).position, path.keys[1].position)


def test_another_duration_stretches_keys_and_the_way_back() -> None:
    path = edit.scale_time(_path(1, 2, 4, 5, loop=True, loop_s=1.0), 10.0)
    assert _times(path) == [1, 3, 7, 9] and path.style.loop_s == 2.0 and path.duration_s == 10.0
    with pytest.raises(UserError, match="more than 0 s, got 0"):
        edit.scale_time(path, 0.0)


def test_copied_keys_are_pasted_in_another_window_with_other_units() -> None:
    data_from_engine = similarity(2.5, np.array([1.0, 2.0, 3.0]))
    other = similarity(0.5, np.array([-1.0, 0.0, 0.0]))
    text = keys_to_text(edit.set_easing(_path(), [2], "ease"), [2, 3], data_from_engine)
    copied = keys_from_text(text, other)
    assert _times(copied) == [0, 1] and copied.keys[0].easing == "ease"
    there = data_from_engine @ [*_path().keys[2].position, 1.0]
    assert np.allclose(other @ [*copied.keys[0].position, 1.0], there)
    for text in ("", "[]", "{", '{"format": "other"}', "[" * 100_000):
        with pytest.raises(UserError, match="clipboard holds no keys"):
            keys_from_text(text, other)


def test_pasted_keys_begin_at_the_playhead_and_push_on_what_is_in_their_way() -> None:
    copied = _path(0, 0.5)
    assert _times(edit.paste(_path(), copied, 1.2)) == pytest.approx([0, 1, 1.2, 1.7, 3.7, 4.7])
    assert _times(edit.paste(_path(), copied, 5.0)) == pytest.approx([0, 1, 3, 4, 5.0, 5.5])
    assert _times(edit.paste(_path(), copied, -4.0)) == pytest.approx([-4, -3.5, 0, 1, 3, 4])
    assert _times(edit.paste(None, copied, 2.0)) == [2.0, 2.5]


def test_the_whole_path_moves_and_scales() -> None:
    path = _path()
    offset = np.array([1.0, -2.0, 0.5])
    assert np.allclose(
        [k.position for k in edit.moved(path, offset).keys], [k.position + offset for k in path.keys]
    )
    larger = edit.scaled(path, 2.0, pivot=np.zeros(3))
    for before, after in zip(path.keys, larger.keys):
        assert np.allclose(after.position, 2.0 * before.position)
        assert np.allclose(after.world_from_cam[:3, :3], before.world_from_cam[:3, :3])
    with pytest.raises(UserError, match="above 0, got -1"):
        edit.scaled(path, -1.0)


def test_smoothing_moves_inner_keys_towards_their_neighbours_and_keeps_the_ends() -> None:
    zigzag = CameraPath([Key(t, _pose(2.0 + t, 1.0 + t % 2), 0.5 + 0.1 * (t % 2)) for t in range(5)])
    smooth = edit.smoothed(zigzag, 0.5)
    for i in (0, 4):
        assert np.array_equal(smooth.keys[i].world_from_cam, zigzag.keys[i].world_from_cam)
    assert [key.position[1] for key in smooth.keys] == pytest.approx([1, 1.5, 1.5, 1.5, 1])
    assert smooth.keys[1].fov_y_rad == pytest.approx(0.55) and _times(smooth) == _times(zigzag)
    only = edit.smoothed(zigzag, 1.0, indices=[2])
    assert only.keys[1] is zigzag.keys[1] and only.keys[2].position[1] == pytest.approx(2.0)
    loop = edit.smoothed(edit.set_style(zigzag, loop=True))
    assert not np.array_equal(loop.keys[0].world_from_cam, zigzag.keys[0].world_from_cam)
