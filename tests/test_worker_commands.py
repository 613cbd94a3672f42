# SPDX-License-Identifier: MIT
"""Opening, resetting, options, structure changes: what each command does, and that a bad one changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine import messages as m
from engine.messages import TrainState
from engine.runs import open_run
from tests.fakes import FakeMethod, checkpoint_steps, make_scene, run_until
from tests.worker_bench import Bench, request


def test_opening_tells_what_was_opened_and_pauses(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.open(values={"rates.density": 0.2}, seed=7)
    opened = bench.of(m.SceneOpened)[0]
    assert [view.held_out for view in opened.views] == [False] * 4 + [True] * 2
    assert (opened.n_train, opened.values["rates.density"], bench.method.seed) == (4, 0.2, 7)
    assert [e.state for e in bench.of(m.StateChanged)] == [TrainState.LOADING, TrainState.PAUSED]
    assert m.Progress("decoding", 1, 1) in bench.heard
    assert not bench.runs.exists()  # whoever only looks leaves nothing behind


def test_opening_with_start_trains(tmp_path: Path) -> None:
    bench = Bench(tmp_path).open(start=True)
    bench.turns(3)
    assert bench.method.step == 3


def test_a_scene_that_cannot_be_opened_leaves_the_open_one_as_it_was(bench: Bench) -> None:
    method = bench.method
    bench.do(m.Train(steps=2))
    bench.turns(3)
    bench.do(m.OpenScene("missing", "fake"))
    assert bench.of(m.Failed)[0].chain == (
        "Cannot read missing: a scene was wanted there and nothing is. Correct the path.",
    )
    assert bench.state is TrainState.PAUSED
    bench.worker.request_view(request(1))
    bench.worker.turn()
    assert bench.worker.frame().step == 2
    assert bench.method is method


def test_training_goes_on_when_another_scene_cannot_be_opened(bench: Bench) -> None:
    bench.do(m.Train(steps=30))
    bench.turns(3)
    bench.do(m.OpenScene("missing", "fake"))
    bench.turns(3)
    assert (bench.method.step, bench.state) == (6, TrainState.TRAINING)
    assert bench.worker.stats().target_step == 30


def test_without_a_scene_commands_are_refused_and_the_worker_goes_on(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.do(m.Train(), m.PruneNow(), m.Evaluate())
    assert [e.chain for e in bench.of(m.Failed)] == [("There is no scene yet; open one first.",)] * 3
    bench.open()
    assert bench.state is TrainState.PAUSED


def test_a_method_that_warms_up_does_so_outside_the_training_time(tmp_path: Path) -> None:
    bench = Bench(tmp_path)

    def warm_up(self: FakeMethod, progress: Callable[..., None]) -> None:
        self.clock.sleep(4.0)
        progress("kernels", 1, 2)

    class WarmMethod(FakeMethod):
        pass

    WarmMethod.warm_up = warm_up
    bench.worker._core.opener._factory = lambda *a: WarmMethod(
        make_scene(), FakeMethod.Config(), 0, bench.clock
    )
    bench.open(start=True)
    bench.turns(2)
    assert bench.worker.timings()["compile"] == pytest.approx(4.0)
    assert bench.worker.timings()["train"] == pytest.approx(0.030)
    assert m.Progress("compiling kernels", 1, 2) in bench.heard


def test_reset_starts_again_in_a_run_folder_of_its_own(bench: Bench) -> None:
    bench.do(m.Train(steps=3))
    bench.turns(5)
    bench.do(m.SetOptions({"rates.density": 0.1}), m.Reset())
    assert bench.worker.stats().step == 0
    assert bench.method.config.rates.density == 0.1
    bench.do(m.Train(steps=1))
    bench.turns(3)
    assert sorted(checkpoint_steps(run)[-1] for run in bench.runs.iterdir()) == [1, 3]


def test_a_reset_takes_options_along_that_are_not_live(bench: Bench) -> None:
    bench.do(m.SetOptions({"rates.density": 0.1}), m.Train(steps=3))
    bench.turns(5)
    bench.do(m.Reset({"levels": 7}))
    assert (bench.method.config.levels, bench.method.config.rates.density, bench.method.step) == (7, 0.1, 0)
    assert bench.of(m.OptionsChanged)[-1].values["levels"] == 7
    bench.do(m.Train(steps=1))
    bench.turns(3)
    specs = sorted(
        (open_run(run).spec for run in bench.runs.iterdir()), key=lambda spec: spec.values["levels"]
    )
    assert [(s.values["levels"], s.values["rates.density"]) for s in specs] == [(5, 0.4), (7, 0.1)]


def test_a_reset_before_the_run_folder_exists_writes_the_new_options_into_it(bench: Bench) -> None:
    bench.do(m.Reset({"levels": 7}), m.Train(steps=1))
    (run,) = bench.runs.iterdir()
    assert open_run(run).spec.values["levels"] == 7


@pytest.mark.parametrize("values", [{"levels": 99}, {"depth": 3}])
def test_a_reset_with_a_wrong_option_leaves_the_model_in_training(
    bench: Bench, values: dict[str, Any]
) -> None:
    bench.do(m.Train())
    bench.turns(3)
    method, step = bench.method, bench.method.step
    (run,) = bench.runs.iterdir()
    bench.do(m.Reset(values))
    (failed,) = bench.of(m.Failed)
    assert failed.what == "The model could not be reset" and failed.user
    assert next(iter(values)) in failed.chain[0]
    bench.turns(5)
    assert bench.method is method and method.step > step and bench.state is TrainState.TRAINING
    assert list(bench.runs.iterdir()) == [run] and bench.of(m.OptionsChanged) == []


def test_a_reset_with_other_options_compiles_what_they_need(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    warm: list[int] = []
    monkeypatch.setattr(
        FakeMethod, "warm_up", lambda self, report: warm.append(self.config.levels), raising=False
    )
    bench.do(m.Reset(), m.Reset({"levels": 7}))
    assert warm == [7]


def test_options_change_between_steps_and_bad_ones_change_nothing(bench: Bench) -> None:
    bench.do(m.SetOptions({"rates.density": 0.1}))
    assert bench.of(m.OptionsChanged)[0].values["rates.density"] == 0.1
    bench.do(m.SetOptions({"rates.densty": 0.2}))
    assert bench.of(m.Failed)[0].chain == ("There is no option rates.densty. Did you mean rates.density?",)
    assert bench.method.config.rates.density == 0.1


def test_structure_changes_are_told_with_fresh_counts(bench: Bench) -> None:
    bench.do(m.PruneNow(), m.SubdivideNow(), m.PreviewAdapt(), m.GetBoxes((5, 99), 10))
    assert [e.stats.voxels for e in bench.of(m.StructureChanged)] == [90, 97]
    assert bench.of(m.AdaptPreviewed)[0].report.pruned == 10
    boxes = bench.of(m.BoxesReady)[0]
    assert (boxes.total, boxes.boxes.shape) == (97, (10, 4))
    bench.do(m.Train(steps=50))
    run_until(bench.worker, lambda: bench.method.step == 50)
    assert bench.of(m.StructureChanged)[-1].stats.voxels == 104


def test_a_command_takes_the_place_of_a_queued_one_with_the_same_key(bench: Bench) -> None:
    bench.do(m.PreviewAdapt(), m.GetBoxes((5,), 3), m.PreviewAdapt(), m.SetOptions({}), m.GetBoxes((5,), 7))
    assert len(bench.of(m.AdaptPreviewed)) == 1
    assert [len(e.boxes) for e in bench.of(m.BoxesReady)] == [7]
    assert len(bench.of(m.OptionsChanged)) == 1


def test_a_reset_tells_the_new_run_folder(bench: Bench) -> None:
    bench.do(m.Train(steps=1))
    bench.turns(3)
    bench.do(m.Reset())
    (changed,) = bench.of(m.RunFolderChanged)
    assert changed.path != bench.of(m.SceneOpened)[0].run_folder
    bench.do(m.Train(steps=1))
    bench.turns(3)
    assert len(bench.of(m.RunFolderChanged)) == 1
    assert Path(bench.of(m.CheckpointSaved)[-1].path).parents[1] == Path(changed.path)


def test_a_stop_ends_the_loading_of_a_scene(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    decoded: list[int] = []

    def slow_loader(path: str, options: dict[str, Any], report: Any) -> Any:
        for i in range(100):
            if i == 3:
                bench.worker.send(m.Stop())
            report("decoding", i, 100)
            decoded.append(i)
        return make_scene()

    bench.worker._core.opener._loader = slow_loader
    bench.do(m.OpenScene("somewhere", "fake"), m.PreviewAdapt())
    bench.turns(1)
    assert decoded == [0, 1, 2]
    assert bench.worker._core.stopped
    assert not any(e.what == "The scene could not be opened" for e in bench.of(m.Failed))
