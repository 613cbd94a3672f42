# SPDX-License-Identifier: MIT
import threading

from app.gui.idle import AFTERGLOW_S, LISTEN_S, NUMBERS_S, SLEEP_S, Pacer, yield_to_window
from tests.fakes import FakeClock


class Watch:
    def __init__(self) -> None:
        self.moved = False

    def changed(self) -> bool:
        moved, self.moved = self.moved, False
        return moved


def draws(pacer: Pacer, clock: FakeClock, seconds: float, changed: bool = False) -> int:
    """Return how many frames are drawn in a time."""
    end, count = clock.now + seconds, 0
    while clock.now < end:
        pacer.wait()
        clock.now += 1e-4
        if pacer.due(changed):
            pacer.drew()
            count += 1
    return count


def rested(watch: Watch | None) -> tuple[Pacer, FakeClock]:
    clock = FakeClock()
    pacer = Pacer(watch, clock, clock.sleep)
    clock.now += 2 * AFTERGLOW_S
    return pacer, clock


def test_a_window_in_use_is_drawn_sixty_times_a_second():
    pacer, clock = rested(None)
    count = 0
    for _ in range(10):
        pacer.touch()
        count += draws(pacer, clock, 0.1)
    assert 55 <= count <= 62


def test_late_frames_keep_the_beat_and_what_takes_too_long_is_not_made_up_for():
    pacer, clock = rested(None)
    for late, expected in ((0.003, 60), (0.02, 27)):  # beside a period of 16.7 ms: a little, or more than one
        count, end = 0, clock.now + 1.0
        while clock.now < end:
            pacer.touch()
            pacer.wait()
            clock.now += late
            if pacer.due(True):
                pacer.drew()
                count += 1
        assert abs(count - expected) <= 2


def test_an_untouched_window_is_drawn_seldom():
    pacer, clock = rested(None)
    assert draws(pacer, clock, 2.0) <= 2.0 / LISTEN_S + 1
    pacer, clock = rested(Watch())
    assert draws(pacer, clock, 2.0) <= 2.0 / SLEEP_S + 1


def test_numbers_wait_for_a_picture_but_not_for_long():
    pacer, clock = rested(Watch())
    pacer.drew()
    assert not pacer.due(False, numbers=True)
    clock.now += 0.1
    assert not pacer.due(False, numbers=True)
    assert pacer.due(True, numbers=True)
    clock.now += NUMBERS_S
    assert pacer.due(False, numbers=True)
    assert not pacer.due(False)
    pacer.touch()
    assert pacer.due(False)


def test_input_wakes_the_window_at_once():
    watch = Watch()
    pacer, clock = rested(watch)
    draws(pacer, clock, 1.0)
    watch.moved = True
    before = clock.now
    while not (pacer.wait() or pacer.due(False)):
        pass
    assert clock.now - before < 0.03
    assert pacer.awake


def test_something_new_is_drawn_without_waiting_for_input():
    pacer, clock = rested(Watch())
    assert draws(pacer, clock, 1.0, changed=True) > 40


def test_giving_way_survives_a_thread_that_is_not_there():
    yield_to_window(None)
    yield_to_window(threading.Thread(target=lambda: None))


def test_a_person_decides_how_often_a_window_in_use_is_drawn_at_most():
    pacer, clock = rested(None)
    pacer.active_s = 1 / 20
    count = 0
    for _ in range(10):
        pacer.touch()
        count += draws(pacer, clock, 0.1)
    assert 18 <= count <= 21
