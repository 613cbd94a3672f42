# SPDX-License-Identifier: MIT
"""A run that another process trains, looked at from here: what is shown and told, that nothing is written, taking it over."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine import messages as m
from engine import run_lock
from engine.messages import TrainState
from engine.run_lock import NAME
from engine.worker_follow import LOOK_S
from tests.fakes import checkpoint_steps, run_until
from tests.test_run_lock import held_by_process
from tests.test_run_lock import stranger as stranger
from tests.worker_bench import Bench


@pytest.fixture
def trainer(tmp_path: Path) -> Bench:
    """Who trains: four steps are saved."""
    bench = Bench(tmp_path / "theirs").open()
    train(bench, 4)
    return bench


def train(bench: Bench, steps: int) -> None:
    bench.do(m.Train(steps=steps, finish=False))
    run_until(bench.worker, lambda: bench.state is TrainState.PAUSED)
    bench.do(m.SaveCheckpoint())


def run_of(bench: Bench) -> Path:
    return Path(bench.of(m.SceneOpened)[-1].run_folder)


@pytest.fixture
def watcher(tmp_path: Path, trainer: Bench) -> Bench:
    bench = Bench(tmp_path / "ours")
    bench.do(m.OpenRun(str(run_of(trainer)), start=True, follow=True))
    return bench


def look(bench: Bench) -> list[m.Event]:
    """Let it be time to look."""
    bench.events()
    bench.clock.sleep(LOOK_S)
    bench.turns(1)
    return bench.events()


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(p): (p.stat().st_mtime_ns, p.stat().st_size) for p in sorted(folder.rglob("*"))}


def test_a_newer_checkpoint_is_shown_and_told(trainer: Bench, watcher: Bench) -> None:
    assert watcher.of(m.SceneOpened)[-1].followed
    assert (watcher.state, watcher.method.step) == (TrainState.PAUSED, 4)
    assert watcher.of(m.Followed)[-1].step == 4
    assert look(watcher) == []  # nothing new, nothing told
    train(trainer, 3)
    told = look(watcher)
    [followed] = [event for event in told if isinstance(event, m.Followed)]
    assert (followed.step, followed.reloaded) == (7, True) and followed.saved_at > 1e9
    assert (watcher.method.step, watcher.method.value) == (7, trainer.method.value)
    assert watcher.worker.stats().step == 7
    assert not look(watcher)


def test_nothing_is_ever_written_into_a_followed_run(trainer: Bench, watcher: Bench) -> None:
    before = listing(run_of(trainer))
    for command in (
        m.Train(),
        m.SaveCheckpoint(),
        m.PruneNow(),
        m.SetOptions({"smooth": True}),
        m.SetMode(True),
    ):
        [failed] = [e for e in watcher.do(command) if isinstance(e, m.Failed)]
        assert "only looked at here" in failed.chain[0]
    watcher.do(m.Evaluate(), m.KeepBeside(), m.SwapBeside(), m.TrainBeside(), m.SwapBeside(), m.CloseBeside())
    watcher.turns(5)
    assert watcher.of(m.Evaluated)
    watcher.do(m.Stop())
    assert listing(run_of(trainer)) == before


def test_the_runs_numbers_grow_as_they_are_written(trainer: Bench, watcher: Bench) -> None:
    [first] = watcher.of(m.HistoryRead)
    assert first.more and first.points
    metrics = run_of(trainer) / "metrics.jsonl"
    with metrics.open("a") as file:
        file.write('{"kind": "training", "step": 9, "seconds": 1.5, "psnr": 23.0}\n{"kind": "trai')
    told = look(watcher)
    [points] = [event.points for event in told if isinstance(event, m.HistoryRead)]
    assert [(p.step, p.values) for p in points] == [(9, (("psnr", 23.0),))]
    assert [e.log_step for e in told if isinstance(e, m.Followed)] == [9]


def test_a_checkpoint_that_cannot_be_read_is_waited_for(trainer: Bench, watcher: Bench) -> None:
    torn = run_of(trainer) / "checkpoints" / "step-0000009.safetensors"
    torn.write_bytes(b"half")
    assert look(watcher) == [] and watcher.method.step == 4
    torn.unlink()
    train(trainer, 2)
    look(watcher)
    assert watcher.method.step == 6


def test_other_options_make_another_model(trainer: Bench, watcher: Bench) -> None:
    before = watcher.method
    trainer.do(m.SetOptions({"smooth": True}), m.ExcludeViews((1,)))
    train(trainer, 2)
    told = look(watcher)
    assert watcher.method is not before and watcher.method.config.smooth and watcher.method.step == 6
    assert watcher.method.excluded == {1}
    assert {m.OptionsChanged, m.ViewsExcluded, m.Followed} <= {type(event) for event in told}


def test_a_run_is_taken_over_only_after_its_trainer_has_ended(
    trainer: Bench, watcher: Bench, stranger: object
) -> None:
    run = run_of(trainer)
    trainer.do(m.Stop())
    held_by_process(run, stranger.pid)
    look(watcher)
    assert watcher.of(m.Followed)[-1].trainer == f"process {stranger.pid}"
    watcher.do(m.ContinueHere())
    assert f"trained by process {stranger.pid}" in watcher.of(m.Failed)[-1].chain[0]
    stranger.kill()
    stranger.wait()
    look(watcher)
    assert watcher.of(m.Followed)[-1].trainer == ""
    watcher.do(m.ContinueHere())
    assert watcher.state is TrainState.TRAINING and not watcher.of(m.SceneOpened)[-1].followed
    assert run_lock.holder(run) is not None
    watcher.turns(2)
    watcher.do(m.Pause(), m.SaveCheckpoint())
    assert checkpoint_steps(run)[-1] == watcher.method.step == 6
    watcher.do(m.Stop())
    assert not (run / NAME).exists()


def test_a_run_that_another_process_trains_is_not_trained_here(trainer: Bench, stranger: object) -> None:
    run = run_of(trainer)
    trainer.do(m.Stop())
    held_by_process(run, stranger.pid)
    bench = Bench(run.parent)
    bench.do(m.OpenRun(str(run)))
    bench.do(m.Train())
    [failed] = bench.of(m.Failed)
    assert failed.what == "Training could not start" and bench.state is TrainState.PAUSED
    assert failed.offers[0].commands == (m.OpenRun(str(run), follow=True),)


def test_a_trainer_whose_run_was_taken_stops_and_writes_no_more(trainer: Bench, stranger: object) -> None:
    trainer.do(m.Train())
    trainer.turns(2)
    held_by_process(run_of(trainer), stranger.pid)
    trainer.clock.sleep(run_lock.BEAT_S)
    trainer.turns(1)
    assert trainer.state is TrainState.PAUSED
    assert trainer.of(m.Failed)[-1].what == "This run was taken over"
    steps = checkpoint_steps(run_of(trainer))
    trainer.turns(3)
    assert checkpoint_steps(run_of(trainer)) == steps


def test_a_followed_run_that_vanishes_stays_on_the_screen(trainer: Bench, watcher: Bench) -> None:
    shutil.rmtree(run_of(trainer))
    look(watcher)
    assert watcher.method.step == 4 and not watcher.of(m.Failed)
