# SPDX-License-Identifier: MIT
"""The frame scheduler against a fake clock and a slow fake worker."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np
import pytest

from app.view.scheduler import CostModel, Decision, FrameScheduler
from engine.messages import TrainState

WIDTH, HEIGHT = 960, 540
TICK_S = 1 / 60  # the window's own pace


@dataclass
class Shown:
    """A picture that reached the window."""

    at_s: float
    camera_s: float  # when the camera was as the picture shows it
    decision: Decision


@dataclass
class Simulation:
    """A window at 60 ticks a second and a worker that renders a waiting request, else trains, else sleeps.

    A picture costs `base_s + per_pixel_s * pixels`, now and then more (`hiccup`); a training step `step_s`.
    """

    step_s: float = 0.02
    base_s: float = 0.004
    per_pixel_s: float = 20e-3 / (WIDTH * HEIGHT)
    training: bool = True
    hiccup: float = 0.0
    replace: bool = False
    now: float = 0.0
    trained_s: float = 0.0
    rendered_s: float = 0.0
    shown: list[Shown] = field(default_factory=list)
    sent: list[tuple[float, Decision]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.scheduler = FrameScheduler(lambda: self.now)
        self.scheduler.resized(WIDTH, HEIGHT)
        self.scheduler.state_changed(TrainState.TRAINING if self.training else TrainState.PAUSED)
        self.scheduler.step_took(1e3 * self.step_s)
        self.slot: tuple[Decision, float] | None = None
        self.worker_free_s = 0.0
        self.on_the_way: list[tuple[float, Shown, float]] = []
        self.random = np.random.default_rng(0)

    def run(self, seconds: float, moving: bool = False) -> Simulation:
        """Let time pass, with or without a hand on the mouse."""
        end = self.now + seconds
        while self.now < end - 1e-9:
            self.tick(moving)
        return self

    def tick(self, moving: bool = False) -> None:
        """One frame of the window, and what the worker does meanwhile."""
        for item in [item for item in self.on_the_way if item[0] <= self.now]:
            self.on_the_way.remove(item)
            _, shown, render_s = item
            shown.at_s = self.now
            self.shown.append(shown)
            pixels = round(WIDTH * shown.decision.scale) * round(HEIGHT * shown.decision.scale)
            self.scheduler.frame_received(shown.decision.serial, 1e3 * render_s, pixels)
        if moving:
            self.scheduler.camera_changed()
        decision = self.scheduler.poll(waiting=self.replace and self.slot is not None)
        if decision is not None:
            assert self.replace or (self.slot is None and not self.on_the_way), "two requests in flight"
            self.sent.append((self.now, decision))
            self.slot = decision, self.now
        self.now += TICK_S
        self._work()

    def _work(self) -> None:
        while self.worker_free_s < self.now:
            if self.slot is not None and self.slot[1] <= self.worker_free_s:
                (decision, camera_s), self.slot = self.slot, None
                cost = self.base_s + self.per_pixel_s * WIDTH * HEIGHT * decision.scale**2
                cost *= 1 + (self.random.random() < self.hiccup) * 8
                self.worker_free_s += cost
                self.rendered_s += cost
                self.on_the_way.append((self.worker_free_s, Shown(0, camera_s, decision), cost))
            elif self.training:
                self.worker_free_s += self.step_s
                self.trained_s += self.step_s
            else:
                start = self.now if self.slot is None else min(self.now, self.slot[1])
                self.worker_free_s = max(self.worker_free_s + 1e-6, start)

    def full_picture_s(self) -> float:
        """What a picture at full size costs."""
        return self.base_s + self.per_pixel_s * WIDTH * HEIGHT

    def latencies(self, since_s: float) -> np.ndarray:
        """Seconds from a camera to its picture, for the pictures that came after a moment."""
        return np.array([shown.at_s - shown.camera_s for shown in self.shown if shown.at_s > since_s])


STEPS_S = (0.005, 0.02, 0.05, 0.2)
COSTS = ((0.002, 0.008), (0.005, 0.020), (0.01, 0.06), (0.01, 0.3))  # base, all pixels


def _simulation(step_s: float, cost: tuple[float, float], **more) -> Simulation:
    return Simulation(step_s=step_s, base_s=cost[0], per_pixel_s=cost[1] / (WIDTH * HEIGHT), **more)


@pytest.mark.parametrize("step_s", STEPS_S)
@pytest.mark.parametrize("cost", COSTS)
def test_a_move_is_shown_within_a_step_and_40_ms(step_s: float, cost: tuple[float, float]) -> None:
    simulation = _simulation(step_s, cost).run(2)
    simulation.run(3, moving=True)
    latencies = simulation.latencies(since_s=2.5)  # the cost model has settled
    assert latencies.size > 5
    # The fake window sees a picture up to one tick late; the real one wakes as late.
    assert latencies.max() <= step_s + 0.040 + TICK_S


@pytest.mark.parametrize("step_s", STEPS_S)
def test_moving_pictures_come_30_times_a_second_or_as_often_as_steps_allow(step_s: float) -> None:
    simulation = _simulation(step_s, COSTS[2]).run(1)
    before = len(simulation.shown)
    simulation.run(4, moving=True)
    rate = (len(simulation.shown) - before) / 4
    wanted = min(30, 1 / (step_s + 1 / 60 + 2 * TICK_S))
    assert wanted * 0.75 <= rate <= 33


def test_moving_pictures_are_as_large_as_the_time_allows() -> None:
    cheap = _simulation(0.005, COSTS[0]).run(1).run(2, moving=True)
    assert cheap.shown[-1].decision.scale == 1.0
    dear = _simulation(0.005, COSTS[2]).run(1).run(2, moving=True)
    scale = dear.shown[-1].decision.scale
    right = np.sqrt((1 / 30 - 0.005 - 0.01) / 0.06)
    assert scale == pytest.approx(right, rel=0.1)
    hopeless = _simulation(0.005, (0.05, 0.3)).run(1).run(2, moving=True)
    assert hopeless.shown[-1].decision.scale == 0.25


def test_a_first_picture_that_compiled_does_not_hold_up_the_next_ones() -> None:
    simulation = _simulation(0.01, COSTS[1])
    simulation.base_s = 1.5
    while not simulation.on_the_way:
        simulation.tick()
    simulation.base_s = COSTS[1][0]
    simulation.run(simulation.worker_free_s - simulation.now)
    count = len(simulation.shown)
    simulation.run(2)
    assert len(simulation.shown) - count >= 7


def test_the_moving_scale_does_not_flicker() -> None:
    simulation = _simulation(0.01, COSTS[2], hiccup=0.1).run(1).run(2, moving=True)
    count = len(simulation.sent)
    simulation.run(5, moving=True)
    scales = [decision.scale for _, decision in simulation.sent[count:]]
    assert np.count_nonzero(np.diff(scales)) <= 4


@pytest.mark.parametrize("step_s", STEPS_S)
@pytest.mark.parametrize("cost", COSTS)
def test_training_keeps_its_share_while_the_picture_rests(step_s: float, cost: tuple[float, float]) -> None:
    simulation = _simulation(step_s, cost).run(3)
    simulation.trained_s = simulation.rendered_s = 0.0
    simulation.run(60)
    share = simulation.trained_s / (simulation.trained_s + simulation.rendered_s)
    assert share >= 0.85
    assert all(decision.scale == 1.0 and not decision.moving for at, decision in simulation.sent if at > 1)


@pytest.mark.parametrize("step_s", [0.005, 0.02, 0.05])
@pytest.mark.parametrize("cost", COSTS[:2])
def test_a_resting_picture_is_refreshed_4_times_a_second(step_s: float, cost: tuple[float, float]) -> None:
    simulation = _simulation(step_s, cost).run(2)
    before = len(simulation.shown)
    simulation.run(10)
    # One tick and half a step of slack: the window polls, the worker ends its step.
    assert (len(simulation.shown) - before) / 10 >= 1 / (0.25 + TICK_S + 0.5 * step_s)


@pytest.mark.parametrize("share", [0.5, 0.7, 0.9])
def test_utilisation_is_what_training_gets(share: float) -> None:
    simulation = _simulation(0.002, (0.005, 0.015))
    simulation.scheduler.configure(utilisation=share, max_scale=1.0)
    simulation.run(2)
    simulation.trained_s = simulation.rendered_s = 0.0
    simulation.run(20)
    got = simulation.trained_s / (simulation.trained_s + simulation.rendered_s)
    # Polling at 60 ticks a second and step ends only ever give training more.
    assert share - 0.02 <= got <= share + 0.27 * (1 - share) + 0.15


def test_the_sharp_picture_comes_a_fifth_of_a_second_after_the_last_input() -> None:
    for training in (True, False):
        simulation = _simulation(0.01, COSTS[2], training=training).run(1).run(1, moving=True)
        assert simulation.sent[-1][1].scale < 1
        stopped = simulation.now
        simulation.run(1)
        sharp = next(at for at, decision in simulation.sent if at > stopped and not decision.moving)
        assert 0.2 - TICK_S <= sharp - stopped <= 0.2 + 3 * TICK_S
        assert all(decision.scale == 1.0 for at, decision in simulation.sent if at >= sharp)


def test_the_last_move_is_shown_at_once_not_only_when_sharp() -> None:
    simulation = _simulation(0.05, COSTS[1]).run(1).run(0.5, moving=True)
    stopped = simulation.now
    simulation.run(0.15)
    assert any(shown.camera_s >= stopped - TICK_S - 0.04 for shown in simulation.shown)


def test_at_rest_and_paused_one_picture_is_rendered_and_no_more() -> None:
    simulation = _simulation(0.02, COSTS[1], training=False).run(10)
    assert [decision.scale for _, decision in simulation.sent] == [1.0]
    simulation.run(0.5, moving=True).run(1)
    count = len(simulation.sent)
    assert not simulation.sent[-1][1].moving
    simulation.run(10)
    assert len(simulation.sent) == count


def _force_cases() -> list:
    return [
        lambda s: s.state_changed(TrainState.FINISHED),
        lambda s: s.setting_changed(),
        lambda s: s.structure_changed(),
        lambda s: s.resized(HEIGHT, WIDTH),
        lambda s: s.configure(0.9, 0.5),
        lambda s: s.camera_changed(),
    ]


@pytest.mark.parametrize("change", _force_cases())
def test_what_changes_the_picture_is_shown_although_nothing_trains(change) -> None:
    simulation = _simulation(0.02, COSTS[1], training=False).run(3)
    count = len(simulation.sent)
    change(simulation.scheduler)
    simulation.run(2 * TICK_S)
    assert len(simulation.sent) == count + 1
    simulation.run(3)
    assert simulation.sent[-1][1] == Decision(
        simulation.sent[-1][1].serial, 0.5 if simulation.scheduler._max_scale == 0.5 else 1.0, False
    )
    final = len(simulation.sent)
    simulation.run(3)
    assert len(simulation.sent) == final


def test_pausing_shows_the_final_state_even_behind_a_picture_in_flight() -> None:
    simulation = _simulation(0.05, COSTS[2]).run(2)
    while simulation.slot is None:
        simulation.tick()
    simulation.training = False
    simulation.scheduler.state_changed(TrainState.PAUSED)
    paused = simulation.now
    simulation.run(2)
    assert [decision.scale for at, decision in simulation.sent if at >= paused] == [1.0]


def test_structure_changes_do_not_eat_into_training() -> None:
    simulation = _simulation(0.005, COSTS[1]).run(2)
    simulation.trained_s = simulation.rendered_s = 0.0
    for _ in range(100):
        simulation.scheduler.structure_changed()
        simulation.run(0.1)
    assert simulation.trained_s / (simulation.trained_s + simulation.rendered_s) >= 0.85


def test_no_scene_asks_for_nothing_and_a_new_scene_is_shown() -> None:
    simulation = Simulation(training=False)
    simulation.scheduler.state_changed(TrainState.LOADING)
    simulation.run(1, moving=True)
    assert not simulation.sent
    simulation.scheduler.state_changed(TrainState.PAUSED)
    simulation.run(1)
    assert simulation.sent[-1][1].scale == 1.0


def test_opening_another_scene_does_not_wait_for_a_picture_of_the_old_one() -> None:
    simulation = Simulation(training=False).run(1)
    simulation.scheduler.setting_changed()
    assert simulation.scheduler.poll() is not None  # and no frame will ever answer it
    simulation.scheduler.state_changed(TrainState.LOADING)
    simulation.run(0.2)
    simulation.scheduler.state_changed(TrainState.PAUSED)
    assert simulation.scheduler.poll() is not None


def test_a_request_that_is_never_answered_is_made_again() -> None:
    simulation = Simulation(training=False).run(1)
    simulation.scheduler.setting_changed()
    simulation.scheduler.poll()
    simulation.run(1.9)
    count = len(simulation.sent)
    simulation.run(0.3)
    assert len(simulation.sent) == count + 1


def test_a_failed_picture_is_not_tried_again_and_again() -> None:
    scheduler = FrameScheduler(lambda: 10.0)
    scheduler.resized(WIDTH, HEIGHT)
    scheduler.state_changed(TrainState.PAUSED)
    assert scheduler.poll() is not None
    scheduler.frame_lost()
    assert scheduler.poll() is None
    scheduler.setting_changed()
    assert scheduler.poll() is not None


def test_replacing_a_waiting_request_shows_newer_cameras() -> None:
    plain = _simulation(0.2, COSTS[1]).run(1).run(4, moving=True)
    fresh = _simulation(0.2, COSTS[1], replace=True).run(1).run(4, moving=True)
    assert fresh.latencies(2).mean() < 0.5 * plain.latencies(2).mean()
    assert len(fresh.shown) == pytest.approx(len(plain.shown), abs=4), "no more pictures than without"


def test_the_cost_model_finds_the_line_despite_hiccups() -> None:
    model, random = CostModel(), np.random.default_rng(1)
    for i in range(24):
        pixels = random.integers(30_000, 500_000)
        model.add(pixels, (0.004 + 4e-8 * pixels) * (20 if i % 6 == 0 else 1))
    for pixels in (50_000, 500_000):
        assert model.seconds(pixels) == pytest.approx(0.004 + 4e-8 * pixels, rel=0.1)
        assert model.pixels(0.004 + 4e-8 * pixels) == pytest.approx(pixels, rel=0.15)


def test_the_cost_model_recovers_from_a_first_picture_that_compiled() -> None:
    model = CostModel()
    model.add(130_000, 4.0)
    for _ in range(4):
        model.add(32_000, 0.004)
    assert model.seconds(500_000) < 0.2


def test_the_cost_model_follows_a_scene_that_became_dearer() -> None:
    model = CostModel()
    for factor in [1.0] * 20 + [3.0] * 3:
        model.add(200_000, factor * 0.01)
    assert model.seconds(200_000) == pytest.approx(0.03, rel=0.05)


def test_free_pixels_are_no_division_by_zero() -> None:
    model = CostModel()
    for pixels in (1000, 5000, 20_000, 100_000):
        model.add(pixels, 0.003)
    assert model.pixels(0.01) > 1e9
    assert model.pixels(0.001) == 0.0


class Marched(Simulation):
    """A method whose pictures take seconds, and whose worker gives one up when another is asked for."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.replace = True
        self.scheduler.expect(dear=True)

    def _work(self) -> None:
        if self.slot is not None and self.on_the_way and self.on_the_way[-1][0] > self.now:
            self.on_the_way.pop()
            self.worker_free_s = self.now
        super()._work()


def _marched(**more) -> Marched:
    return Marched(step_s=0.03, base_s=0.005, per_pixel_s=2.5 / (WIDTH * HEIGHT), **more)


def test_a_slow_picture_is_coarse_at_first_and_then_finer_until_it_is_sharp() -> None:
    simulation = _marched(training=False).run(12)
    scales = [shown.decision.scale for shown in simulation.shown]
    assert scales[0] == 0.125 and scales[-1] == 1.0
    assert all(0 < b / a <= 2.0 + 1e-9 and b > a for a, b in itertools.pairwise(scales))
    assert simulation.shown[0].at_s < 0.1
    simulation.run(5)
    assert len(simulation.shown) == len(scales)  # then there is nothing more to draw


def test_a_slow_picture_is_given_up_as_soon_as_the_camera_moves() -> None:
    simulation = _marched(training=False).run(1.0)
    assert (
        simulation.on_the_way and simulation.on_the_way[-1][0] > simulation.now + 0.2
    )  # under way, for long
    begin = simulation.now
    simulation.run(0.5, moving=True)
    first = next(shown for shown in simulation.shown if shown.camera_s >= begin)
    assert first.at_s - begin < 0.15 and first.decision.moving
    still = next(shown for shown in simulation.run(3).shown if shown.at_s > begin + 0.5 + 0.2)
    assert still.decision.scale < 1.0  # and at rest it is refined again


def test_a_slow_picture_of_what_trains_is_as_fine_as_training_can_spare_and_never_coarser_again() -> None:
    simulation = _marched().run(4)
    simulation.trained_s = simulation.rendered_s = 0.0
    count = len(simulation.shown)
    simulation.run(30)
    share = simulation.trained_s / (simulation.trained_s + simulation.rendered_s)
    later = [shown.decision.scale for shown in simulation.shown[count:]]
    assert share >= 0.84 and len(later) >= 8
    assert min(later) >= 0.9 * max(later) and 0.3 < max(later) < 0.5  # a third of a second's worth of pixels


def test_what_is_known_of_one_model_is_forgotten_with_the_next() -> None:
    simulation = _marched(training=False).run(5)
    assert simulation.scheduler.cost.known
    simulation.scheduler.expect(dear=False)
    assert not simulation.scheduler.cost.known


def test_before_a_first_picture_of_a_slow_model_nothing_but_a_coarse_one_is_asked_for() -> None:
    simulation = _marched(training=False)
    simulation.tick()
    simulation.slot, simulation.worker_free_s = (
        None,
        3.0,
    )  # the worker gave it up for a command, and now it compiles
    simulation.on_the_way.clear()
    simulation.scheduler.state_changed(TrainState.TRAINING)
    while simulation.now < 3.0:
        simulation.tick()
    assert len(simulation.sent) <= 2 and {decision.scale for _, decision in simulation.sent} == {0.125}
