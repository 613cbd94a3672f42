# SPDX-License-Identifier: MIT
"""Moments of one run beside each other: kept ones, older checkpoints, what is known of them, how far two models are apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine import messages as m
from engine.messages import TrainState
from engine.render.visualise import difference
from tests.fakes import FakeMethod, run_until
from tests.test_worker_beside import Pair, both
from tests.worker_bench import Bench, request


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Steps 2 and 5 are saved, and an evaluation of step 5."""
    bench = Bench(tmp_path).open()
    for steps in (2, 3):
        bench.do(m.Train(steps=steps, finish=False))
        run_until(bench.worker, lambda: bench.state is TrainState.PAUSED)
        bench.do(m.SaveCheckpoint())
    bench.do(m.Evaluate())
    run_until(bench.worker, lambda: bool(bench.of(m.Evaluated)))
    return bench


def run_of(bench: Bench) -> str:
    return bench.of(m.SceneOpened)[-1].run_folder


def test_checkpoints_are_listed_with_their_quality(bench: Bench) -> None:
    bench.do(m.ListCheckpoints())
    newest, older = bench.of(m.CheckpointsListed)[-1].checkpoints
    assert (newest.step, older.step) == (5, 2) and newest.saved_at > 1e9
    assert (newest.psnr, newest.psnr_step) == (bench.of(m.Evaluated)[-1].psnr, 5)
    assert (older.psnr, older.psnr_step) == (None, None)
    assert older.seconds < newest.seconds


def test_an_older_checkpoint_of_the_open_run_stands_beside_and_is_not_trained(bench: Bench) -> None:
    front = bench.method
    bench.do(m.OpenBeside(run_of(bench), 2))
    beside = bench.of(m.BesideChanged)[-1].beside
    assert (beside.moment, bench.method.step, front.step) == (2, 2, 5)
    bench.do(m.TrainBeside())
    assert "one moment of a run" in bench.of(m.Failed)[-1].chain[0]
    bench.do(m.SwapBeside(), m.Train())
    assert "one moment of a run" in bench.of(m.Failed)[-1].chain[0] and bench.state is TrainState.PAUSED


def test_a_checkpoint_that_is_gone_is_named(bench: Bench) -> None:
    bench.do(m.OpenBeside(run_of(bench), 4))
    assert "no checkpoint of step 4" in bench.of(m.Failed)[-1].chain[0]


def test_a_kept_moment_stays_while_training_goes_on(bench: Bench) -> None:
    front = bench.method
    value = front.value
    bench.do(m.KeepBeside())
    kept = bench.method
    assert kept is not front and bench.of(m.BesideChanged)[-1].beside.moment == 5
    bench.do(m.Train(steps=4, finish=False))
    run_until(bench.worker, lambda: bench.state is TrainState.PAUSED)
    assert (kept.value, kept.step) == (value, 5) and (front.step, front.value > value) == (9, True)


def test_a_kept_moment_shares_no_memory_with_what_is_trained(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    live, header = bench.method.state()
    taken: list[np.ndarray] = []
    monkeypatch.setattr(FakeMethod, "state", lambda self: (live, header))
    monkeypatch.setattr(
        FakeMethod, "load_state", lambda self, tensors, header: taken.extend(tensors.values())
    )
    bench.do(m.KeepBeside())
    assert len(taken) == len(live)
    assert not any(np.shares_memory(a, b) for a in taken for b in live.values())


def test_a_frame_shows_how_far_two_models_are_apart(tmp_path: Path) -> None:
    pair = Pair(tmp_path).open()
    both(pair)
    pair.worker.request_view(request(1, beside=True, difference=True, mode="depth"))
    pair.worker.turn()
    frame = pair.worker.frame()
    assert frame.beside_legend == (0.0, 0.5, "mean difference")  # 0.25, in steps of 1, 2, 5
    wanted, _ = difference(np.full((1, 1, 4), 191, np.uint8), np.full((1, 1, 4), 128, np.uint8), "turbo", 0.5)
    assert (frame.beside == wanted[0, 0]).all()
    pair.worker.request_view(request(2, beside=True, difference=True, error_top=0.2))
    pair.worker.turn()
    assert pair.worker.frame().beside_legend[1] == 0.2


def test_the_end_of_the_errors_colours_can_be_chosen(tmp_path: Path) -> None:
    bench = Bench(tmp_path).open()
    for top, seen in ((None, 0.1), (0.4, 0.4)):
        bench.worker.request_view(request(1, mode="error", view_index=0, error_top=top))
        bench.worker.turn()
        low, high, _ = bench.worker.frame().legend
        assert low == 0.0 and high == pytest.approx(seen)
