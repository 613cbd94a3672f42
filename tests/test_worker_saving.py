# SPDX-License-Identifier: MIT
"""Checkpoints come by the clock and at every end; what was saved goes on exactly; torn files are passed over."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import messages as m
from engine.runs import open_run
from engine.worker_core import WORTH_SAVING_S
from tests.fakes import checkpoint_steps, run_until
from tests.worker_bench import Bench, request


def test_autosave_comes_by_the_clock_and_keeps_three(tmp_path: Path) -> None:
    bench = Bench(tmp_path, autosave_s=0.15).open(start=True)
    run_until(bench.worker, lambda: bench.method.step == 55)
    assert [e.step for e in bench.of(m.CheckpointSaved)] == [10, 20, 30, 40, 50]
    (run,) = bench.runs.iterdir()
    assert checkpoint_steps(run) == [30, 40, 50]


def test_autosave_waits_for_the_camera_to_rest_but_not_forever(tmp_path: Path) -> None:
    bench = Bench(tmp_path, autosave_s=0.15).open(start=True)
    while bench.clock.now < 120.0:
        bench.worker.request_view(request(1, moving=True))
        bench.worker.turn()
    assert not bench.of(m.CheckpointSaved)
    bench.turns(40)  # half a second of training with nothing moving
    assert len(bench.of(m.CheckpointSaved)) == 1
    begin = bench.clock.now
    while bench.clock.now < begin + 31.0:
        bench.worker.request_view(request(1, moving=True))
        bench.worker.turn()
    assert len(bench.of(m.CheckpointSaved)) == 2


def test_pause_end_and_stop_save_what_is_new_and_only_that(bench: Bench) -> None:
    bench.do(m.Train(steps=2))
    bench.turns(4)
    bench.do(m.Train())
    bench.turns(1)
    bench.do(m.Pause())
    bench.turns(3)
    assert [e.step for e in bench.of(m.CheckpointSaved)] == [2, 3]
    bench.do(m.Pause(), m.Stop())
    assert [e.step for e in bench.of(m.CheckpointSaved)] == [2, 3]


def test_steps_asked_for_one_by_one_are_saved_only_once_they_are_worth_a_file(bench: Bench) -> None:
    for _ in range(10):
        bench.do(m.Train(steps=1, finish=False))
        bench.turns(3)
    assert not bench.of(m.CheckpointSaved)
    enough = round(WORTH_SAVING_S / 0.015)  # a step of the fakes takes 15 ms
    bench.do(m.Train(steps=enough, finish=False))
    bench.turns(enough + 3)
    assert [e.step for e in bench.of(m.CheckpointSaved)] == [10 + enough]
    bench.do(m.Train(steps=1, finish=False))
    bench.turns(3)
    bench.do(m.Stop())
    assert [e.step for e in bench.of(m.CheckpointSaved)] == [10 + enough, 11 + enough]


def test_a_failing_save_does_not_end_training_and_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path, autosave_s=0.03).open(start=True)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    bench.turns(20)
    monkeypatch.undo()
    (failed,) = bench.of(m.Failed)
    assert "No space left" in failed.chain[0]
    assert bench.method.step >= 19
    bench.turns(20)
    assert bench.of(m.CheckpointSaved)


def test_a_run_continues_exactly(tmp_path: Path) -> None:
    straight = Bench(tmp_path / "a").open(start=True, seed=5)
    run_until(straight.worker, lambda: straight.method.step == 40)
    first = Bench(tmp_path / "b").open(seed=5)
    first.do(m.SetOptions({"rates.density": 0.4}), m.Train(steps=25))
    run_until(first.worker, lambda: first.method.step == 25)
    first.do(m.Stop())
    second = Bench(tmp_path / "c")
    second.do(m.OpenRun(first.of(m.SceneOpened)[0].run_folder, start=True))
    assert second.worker.stats().train_seconds == pytest.approx(25 * 0.015)
    run_until(second.worker, lambda: second.method.step == 40)
    assert (second.method.value, second.method.voxels) == (straight.method.value, straight.method.voxels)


def test_a_resumed_run_has_the_options_of_its_checkpoint(tmp_path: Path) -> None:
    first = Bench(tmp_path).open()
    first.do(m.SetOptions({"rates.density": 0.05}), m.Train(steps=2))
    first.turns(5)
    second = Bench(tmp_path)
    second.do(m.OpenRun(first.of(m.SceneOpened)[0].run_folder))
    assert second.method.config.rates.density == 0.05


def test_a_torn_checkpoint_is_skipped_with_a_warning(tmp_path: Path) -> None:
    first = Bench(tmp_path, autosave_s=0.15).open(start=True)
    run_until(first.worker, lambda: first.method.step == 25)
    folder = Path(first.of(m.SceneOpened)[0].run_folder)
    newest = folder / "checkpoints" / "step-0000020.safetensors"
    newest.write_bytes(newest.read_bytes()[:-3])
    second = Bench(tmp_path)
    second.do(m.OpenRun(str(folder)))
    assert second.method.step == 10
    assert any(e.level == "warning" and newest.name in e.text for e in second.of(m.Logged))


def test_a_run_that_was_killed_before_its_first_save_starts_from_the_beginning(tmp_path: Path) -> None:
    first = Bench(tmp_path).open(start=True, seed=4)
    first.turns(2)
    second = Bench(tmp_path)
    second.do(m.OpenRun(first.of(m.SceneOpened)[0].run_folder, start=True))
    assert (second.method.step, second.method.seed) == (0, 4)
    assert any("no checkpoint" in e.text for e in second.of(m.Logged))


def test_numbers_are_kept_in_the_run_folder(tmp_path: Path) -> None:
    bench = Bench(tmp_path, evaluate_every_s=0.3).open(start=True)
    run_until(bench.worker, lambda: bench.worker.stats().train_seconds > 6.0)
    records = open_run(bench.of(m.SceneOpened)[0].run_folder).metrics()
    kinds = {record["kind"] for record in records}
    assert kinds == {"training", "evaluated"}
    assert all(set(record) >= {"seconds", "step", "psnr", "voxels"} for record in records)


def test_what_is_new_is_saved_before_a_long_evaluation(bench: Bench) -> None:
    bench.do(m.Train(steps=2))
    bench.turns(2)
    bench.do(m.Evaluate())
    bench.turns(1)
    assert [e.step for e in bench.of(m.CheckpointSaved)] == [2]
    assert not bench.of(m.Evaluated)


def test_a_save_that_fails_again_after_one_that_went_well_is_told_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    bench.do(m.Train())
    for works in (False, False, True, False):
        with monkeypatch.context() as patch:
            if not works:
                patch.setattr("os.replace", fail)
            bench.turns(1)
            bench.worker._core.save()
    assert [e.what for e in bench.of(m.Failed)] == ["The checkpoint could not be saved"] * 2
    monkeypatch.setattr("os.replace", fail)
    bench.do(m.SaveCheckpoint())
    assert len(bench.of(m.Failed)) == 3, "whoever asks is told every time"


def test_two_processes_that_open_one_scene_train_in_folders_of_their_own(tmp_path: Path) -> None:
    benches = [Bench(tmp_path).open(seed=seed) for seed in (3, 4)]
    for bench in benches:
        bench.do(m.Train(steps=1))
        bench.turns(3)
    first, second = (Path(bench.of(m.CheckpointSaved)[0].path).parents[1] for bench in benches)
    assert [open_run(run).spec.seed for run in (first, second)] == [3, 4]
    assert first == Path(benches[0].of(m.SceneOpened)[0].run_folder)
    assert not benches[0].of(m.RunFolderChanged)
    assert [Path(e.path) for e in benches[1].of(m.RunFolderChanged)] == [second]


def test_the_time_between_autosaves_can_be_changed_while_it_trains(tmp_path: Path) -> None:
    bench = Bench(tmp_path, autosave_s=1e6).open(start=True)
    run_until(bench.worker, lambda: bench.method.step == 60)
    assert not bench.of(m.CheckpointSaved)
    bench.worker.send(m.SetAutosave(0.5))  # less than a second is taken for a second
    begin = bench.clock.now
    run_until(bench.worker, lambda: bench.clock.now > begin + 1.5)
    assert bench.of(m.CheckpointSaved)
