# SPDX-License-Identifier: MIT
"""Training stops where it should, its time is counted right, its numbers come in time, and a failing step is no end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine import messages as m
from engine.messages import TrainState
from tests.fakes import make_scene, run_until
from tests.worker_bench import Bench, request


def test_training_runs_for_the_steps_asked_for(bench: Bench) -> None:
    bench.do(m.Train(steps=5))
    run_until(bench.worker, lambda: not bench.worker.turn())
    assert (bench.method.step, bench.state) == (5, TrainState.FINISHED)
    bench.do(m.Train(steps=3))
    run_until(bench.worker, lambda: not bench.worker.turn())
    assert bench.method.step == 8


def test_steps_that_do_not_finish_the_run_end_in_a_pause_with_a_sentence(bench: Bench) -> None:
    bench.do(m.Train(steps=5, finish=False))
    bench.turns(4)
    assert bench.worker.stats().target_step == 5
    run_until(bench.worker, lambda: not bench.worker.turn())
    assert (bench.method.step, bench.state) == (5, TrainState.PAUSED)
    assert bench.of(m.StateChanged)[-1].reason == "Trained to step 5."
    assert bench.worker.stats().target_step is None  # going on from here has no end
    bench.do(m.Train())
    bench.turns(20)
    assert bench.state is TrainState.TRAINING


def test_training_runs_for_the_seconds_asked_for(bench: Bench) -> None:
    bench.do(m.Train(seconds=0.3))
    run_until(bench.worker, lambda: not bench.worker.turn())
    assert bench.method.step == 20
    assert bench.worker.stats().train_seconds == pytest.approx(0.3)


def test_pause_stops_after_the_step_in_flight_and_train_goes_on(bench: Bench) -> None:
    bench.do(m.Train())
    bench.turns(4)
    bench.do(m.Pause())
    bench.turns(5)
    assert (bench.method.step, bench.state) == (4, TrainState.PAUSED)
    assert not bench.worker.turn()  # nothing left to do: it would sleep
    bench.do(m.Train(steps=1))
    bench.turns(5)
    assert bench.method.step == 5


def test_training_time_leaves_out_loading_views_and_evaluation(tmp_path: Path) -> None:
    bench = Bench(tmp_path)

    def slow_loader(path: str, options: dict[str, Any], report: Any) -> Any:
        bench.clock.sleep(30.0)
        return make_scene()

    bench.worker._core.opener._loader = slow_loader
    bench.open(start=True)
    for serial in range(10):
        bench.worker.request_view(request(serial))
        bench.turns(2)
    bench.do(m.Evaluate())
    bench.turns(3)
    bench.do(m.Pause())
    stats, timings = bench.worker.stats(), bench.worker.timings()
    assert stats.train_seconds == pytest.approx(0.015 * stats.step)
    assert timings["load"] == pytest.approx(30.0)
    assert timings["evaluate"] == pytest.approx(2 * 0.010)
    assert timings["cpu"] == pytest.approx(2.0 * stats.train_seconds)


def test_a_failing_step_pauses_with_its_causes_and_everything_else_still_works(bench: Bench) -> None:
    bench.do(m.Train())
    bench.turns(2)
    error = RuntimeError("kernel refused")
    error.__cause__ = ValueError("NaN in the densities")
    bench.method.fail_step = error
    bench.worker.turn()
    failed = bench.of(m.Failed)[0]
    assert failed.chain == ("RuntimeError: kernel refused", "ValueError: NaN in the densities")
    assert (bench.state, failed.fatal) == (TrainState.FAILED, False)
    bench.worker.request_view(request(1))
    bench.worker.turn()
    assert bench.worker.frame().step == 2
    bench.method.fail_step = None
    bench.do(m.Train())
    bench.turns(2)
    assert (bench.method.step, bench.state) == (4, TrainState.TRAINING)


def test_running_out_of_memory_comes_with_advice(bench: Bench) -> None:
    bench.do(m.Train())
    bench.method.fail_step = MemoryError()
    bench.worker.turn()
    assert "Lower the voxel budget" in bench.of(m.Failed)[0].chain[0]


def test_no_event_is_dropped(bench: Bench) -> None:
    for i in range(500):
        bench.worker.emit(m.Logged("info", str(i)))
    bench.do(*(m.SetOptions({"rates.density": 0.001 * i}) for i in range(1, 201)))
    assert [e.text for e in bench.of(m.Logged)] == [str(i) for i in range(500)]
    values = [e.values["rates.density"] for e in bench.of(m.OptionsChanged)]
    assert values == [pytest.approx(0.001 * i) for i in range(1, 201)]


def test_stats_come_about_ten_times_a_second_and_tell_rate_and_time_left(bench: Bench) -> None:
    bench.do(m.Train(steps=200))
    seen = set()
    for _ in range(100):
        bench.worker.turn()
        seen.add(bench.worker.stats().step)
    assert 14 <= len(seen) <= 17  # 100 steps of 15 ms are 1.5 s
    stats = bench.worker.stats()
    assert stats.steps_per_s == pytest.approx(1 / 0.015, rel=0.02)
    assert stats.train_ms == pytest.approx(15.0)
    assert stats.eta_s == pytest.approx((200 - stats.step) * 0.015, rel=0.02)
    assert stats.train_share == pytest.approx(1.0, abs=0.02)  # one look at a view took 10 ms
    assert stats.losses == (("mse", 1.0 / stats.step),)
    assert stats.memory_bytes > 1e6


def test_whoever_hears_of_a_state_finds_its_numbers_already_there(bench: Bench) -> None:
    put: list[m.Event] = []

    def listen(event: m.Event) -> None:
        if isinstance(event, m.StateChanged):
            assert bench.worker.stats().state is event.state
            put.append(event)

    bench.worker._outputs.events.put = listen
    bench.do(m.Train(steps=1))
    bench.turns(2)
    assert [event.state for event in put] == [TrainState.TRAINING, TrainState.FINISHED]
