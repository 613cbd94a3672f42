# SPDX-License-Identifier: MIT
import numpy as np
import pytest

from app.gui.time_scale import LEAST_SPAN_S, TimeScale, key_near, keys_between, label_step, snapped, ticks

SCALE = TimeScale(1.0, 4.0, 400.0)


def test_time_and_place_are_inverse():
    assert SCALE.x(2.0) == 100.0
    assert [SCALE.time(SCALE.x(t)) for t in (0.5, 1.7, 9.0)] == pytest.approx([0.5, 1.7, 9.0])


def test_what_is_under_the_mouse_stays_there_when_zooming_as_far_as_that_goes():
    zoomed = SCALE.zoomed(150.0, 0.5)
    assert zoomed.span_s == 2.0 and zoomed.time(150.0) == pytest.approx(SCALE.time(150.0))
    assert SCALE.zoomed(0.0, 1e-9).span_s == LEAST_SPAN_S


def test_panning_moves_time_with_the_mouse():
    assert SCALE.panned(50.0).x(2.0) == pytest.approx(SCALE.x(2.0) + 50.0)


def test_a_path_is_shown_whole_and_one_of_no_length_is_shown_at_all():
    scale = TimeScale.fitting(3.0, 13.0, 500.0)
    assert 0.0 < scale.x(3.0) < scale.x(13.0) < 500.0
    assert TimeScale.fitting(2.0, 2.0, 500.0).span_s > 1.0


@pytest.mark.parametrize("span", [0.3, 2.0, 7.0, 45.0, 600.0])
def test_labels_of_the_ruler_never_touch(span):
    scale = TimeScale(0.0, span, 900.0)
    labelled = [scale.x(tick.time_s) for tick in ticks(scale, 30.0, 70.0) if tick.label]
    assert len(labelled) >= 2 and np.diff(labelled).min() >= 70.0 - 1e-6
    assert len({tick.label for tick in ticks(scale, 30.0, 70.0) if tick.label}) == len(labelled)


def test_there_are_no_marks_before_the_beginning_of_time():
    assert min(tick.time_s for tick in ticks(TimeScale(-2.0, 4.0, 400.0), 30.0, 60.0)) == 0.0


def test_steps_are_round():
    assert [label_step(s) for s in (0.03, 0.1, 0.7, 1.1, 9.0, 11.0, 70.0)] == pytest.approx(
        [0.05, 0.1, 1.0, 2.0, 10.0, 15.0, 120.0]
    )


def test_times_snap_to_frames():
    assert snapped(1.02, 24.0) == 24 / 24 and snapped(1.03, 24.0) == 25 / 24


def test_the_nearest_key_in_reach_is_meant():
    times = [1.0, 2.0, 2.1]
    assert key_near(SCALE, times, 104.0, 9.0) == 1
    assert key_near(SCALE, times, 108.0, 9.0) == 2
    assert key_near(SCALE, times, 50.0, 9.0) is None and key_near(SCALE, [], 50.0, 9.0) is None


def test_keys_of_a_stretch_of_time_whichever_end_comes_first():
    assert keys_between([0.0, 1.0, 2.0, 3.0], 2.5, 0.5) == [1, 2]
