# SPDX-License-Identifier: MIT
"""Held-out views are measured on a model that stands still, as often as asked and within their share of the time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine import messages as m
from tests.fakes import make_scene, run_until
from tests.worker_bench import Bench, request


def test_evaluation_holds_the_model_still_and_lets_views_through(bench: Bench) -> None:
    bench.do(m.Train())
    bench.turns(3)
    bench.do(m.Evaluate())
    bench.worker.request_view(request(1))
    bench.turns(3)
    assert bench.worker.frame().serial == 1
    evaluated = bench.of(m.Evaluated)[0]
    assert (evaluated.step, bench.method.step) == (3, 3)
    assert evaluated.psnr == pytest.approx(20.0, abs=1e-3)  # 0.1 off everywhere
    assert [name for name, _, _ in evaluated.per_view] == ["4.png", "5.png"]
    bench.turns(1)
    assert bench.method.step == 4


def test_evaluation_comes_by_itself_every_so_many_training_seconds(tmp_path: Path) -> None:
    bench = Bench(tmp_path, evaluate_every_s=0.15).open(start=True)
    run_until(bench.worker, lambda: bench.method.step >= 30)
    bench.turns(3)
    assert [round(e.seconds, 3) for e in bench.of(m.Evaluated)] == [0.15, 0.3, 0.45]


def test_evaluations_together_take_no_more_than_their_share_of_the_training_time(tmp_path: Path) -> None:
    bench = Bench(tmp_path, evaluate_every_s=0.15, evaluate_share=0.05).open(
        start=True
    )  # 0.02 s each, 0.4 s apart
    run_until(bench.worker, lambda: bench.worker._core.training.seconds >= 1.4)
    first, *later = (event.seconds for event in bench.of(m.Evaluated))
    assert first == pytest.approx(0.15)  # nothing is known of the cost yet
    gaps = np.diff([first, *later])
    assert len(gaps) >= 2 and np.all((gaps > 0.4 - 1e-6) & (gaps < 0.4 + 2 * 0.015))
    assert bench.worker.timings()["evaluate"] <= 0.05 * bench.worker.timings()["train"] + 0.02


def test_cheap_evaluations_keep_their_pace_and_one_asked_for_starts_the_wait_anew(tmp_path: Path) -> None:
    bench = Bench(tmp_path, evaluate_every_s=0.15, evaluate_share=0.5).open(start=True)
    run_until(bench.worker, lambda: bench.worker._core.training.seconds >= 0.22)
    bench.do(m.Evaluate())
    run_until(bench.worker, lambda: bench.worker._core.training.seconds >= 0.39)
    assert [round(e.seconds, 3) for e in bench.of(m.Evaluated)] == [0.15, 0.225, 0.375]


def test_a_scene_without_held_out_views_trains_with_automatic_evaluation_on(tmp_path: Path) -> None:
    bench = Bench(tmp_path, evaluate_every_s=0.05, scene_loader=lambda *_: make_scene(0)).open(start=True)
    bench.turns(20)
    assert bench.method.step == 20 and not bench.of(m.Failed)


def test_after_a_reset_evaluation_starts_from_the_beginning(tmp_path: Path) -> None:
    bench = Bench(tmp_path, evaluate_every_s=0.15).open(start=True)
    run_until(bench.worker, lambda: bench.method.step >= 30)
    bench.do(m.Reset())
    bench.heard.clear()
    run_until(bench.worker, lambda: bench.method.step >= 12)
    assert [round(e.seconds, 3) for e in bench.of(m.Evaluated)] == [0.15]


def test_a_failing_evaluation_does_not_end_training(bench: Bench) -> None:
    bench.do(m.Train(), m.Evaluate())
    bench.method.fail_view = ValueError("no")
    bench.turns(3)
    assert bench.of(m.Failed)
    assert bench.method.step == 2
