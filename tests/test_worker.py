# SPDX-License-Identifier: MIT
"""The worker serves views between steps, drops no event, and never lets a view or a job end the training."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import messages as m
from engine.messages import TrainState, ViewRequest
from engine.runs import open_run
from engine.worker import Worker
from engine.worker_meter import Meter
from tests.fakes import (
    FakeClock,
    FakeMethod,
    camera_at,
    checkpoint_steps,
    load_fake_scene,
    make_scene,
    run_until,
)


class Bench:
    """A worker without a thread, its fake clock, its method, and every event so far."""

    def __init__(self, tmp_path: Path, **options: Any) -> None:
        self.clock = FakeClock()
        self.method: FakeMethod
        self.runs = tmp_path / "runs"
        options.setdefault("scene_loader", load_fake_scene)
        self.worker = Worker(
            self.clock,
            runs_dir=self.runs,
            method_factory=self.make,
            cpu_clock=lambda: 2.0 * self.clock.now,
            **options,
        )
        self.heard: list[m.Event] = []

    def make(self, name: str, scene: Any, values: dict[str, Any], seed: int) -> FakeMethod:
        from engine.options import build

        self.method = FakeMethod(scene, build(FakeMethod.Config, values), seed, self.clock)
        return self.method

    def do(self, *commands: m.Command) -> list[m.Event]:
        """Send commands, let the worker obey them, return the events."""
        for command in commands:
            self.worker.send(command)
        for _ in commands:
            self.worker.turn()
        return self.events()

    def events(self) -> list[m.Event]:
        new = self.worker.events()
        self.heard += new
        return new

    def open(self, **options: Any) -> Bench:
        self.do(m.OpenScene("somewhere", "fake", **options))
        return self

    def turns(self, n: int) -> None:
        for _ in range(n):
            self.worker.turn()

    @property
    def state(self) -> TrainState:
        return self.worker.stats().state

    def of(self, kind: type) -> list[Any]:
        self.events()
        return [event for event in self.heard if isinstance(event, kind)]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path).open()


def request(serial: int, **options: Any) -> ViewRequest:
    return ViewRequest(serial, camera_at(), **options)


# --- opening --------------------------------------------------------------------------------------------------


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


# --- training -------------------------------------------------------------------------------------------------


def test_training_runs_for_the_steps_asked_for(bench: Bench) -> None:
    bench.do(m.Train(steps=5))
    run_until(bench.worker, lambda: not bench.worker.turn())
    assert (bench.method.step, bench.state) == (5, TrainState.FINISHED)
    bench.do(m.Train(steps=3))
    run_until(bench.worker, lambda: not bench.worker.turn())
    assert bench.method.step == 8


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


# --- views ----------------------------------------------------------------------------------------------------


def test_views_are_served_between_steps_and_the_newest_request_wins(bench: Bench) -> None:
    bench.do(m.Train())
    for serial in (1, 2, 3):
        bench.worker.request_view(request(serial))
    bench.turns(2)
    frame = bench.worker.frame()
    assert (frame.serial, len(bench.method.rendered)) == (3, 1)
    assert bench.worker.frame() is None  # taken
    assert bench.method.step == 1


def test_a_viewer_that_asks_without_pause_cannot_starve_the_training(bench: Bench) -> None:
    bench.do(m.Train())
    for serial in range(20):
        bench.worker.request_view(request(serial))
        bench.worker.turn()
    assert bench.method.step == 10
    assert len(bench.method.rendered) == 10


def test_a_view_is_scaled_and_has_depth_for_the_overlays(bench: Bench) -> None:
    bench.worker.request_view(request(4, scale=0.5))
    bench.worker.turn()
    frame = bench.worker.frame()
    assert frame.rgba.shape == (6, 6, 4)
    assert np.isinf(frame.depth_z[0]).all()
    assert (frame.depth_z[1:] == 2.0).all()
    assert frame.render_ms == pytest.approx(10.0)


def test_a_request_before_the_scene_is_served_when_it_is_open(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.worker.request_view(request(9))
    assert not bench.worker.turn()
    bench.open()
    bench.worker.turn()
    assert bench.worker.frame().serial == 9


def test_training_goes_on_after_a_view_fails_and_the_failure_is_told_once(bench: Bench) -> None:
    bench.do(m.Train())
    bench.method.fail_view = ValueError("no such buffer")
    for serial in range(6):
        bench.worker.request_view(request(serial))
        bench.turns(2)
    bench.method.fail_view = ValueError("another one")
    bench.worker.request_view(request(7))
    bench.turns(2)
    assert [e.chain[0] for e in bench.of(m.Failed)] == [
        "ValueError: no such buffer",
        "ValueError: another one",
    ]
    assert (bench.method.step, bench.state) == (7, TrainState.TRAINING)


def test_the_error_mode_compares_with_the_photo_only_where_it_was_taken(bench: Bench) -> None:
    wide = camera_at(0.1).resized(24, 12)
    wide = m.Camera(24, 12, wide.fx / 2, wide.fy, 12.0, 6.0, wide.world_from_cam)
    bench.worker.request_view(ViewRequest(1, wide, mode="error", view_index=1))
    bench.worker.turn()
    frame = bench.worker.frame()
    assert frame.legend is not None
    inside, outside = frame.rgba[6, 12, :3], frame.rgba[6, 1, :3]
    assert (inside != outside).any()  # 0.1 off inside the photo, nothing to compare with beside it
    bench.worker.request_view(ViewRequest(2, camera_at(0.55), mode="error", view_index=1))
    bench.worker.turn()
    assert bench.worker.frame().legend is None


# --- evaluation -----------------------------------------------------------------------------------------------


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


def test_a_command_takes_the_place_of_a_queued_one_with_the_same_key(bench: Bench) -> None:
    bench.do(m.PreviewAdapt(), m.GetBoxes((5,), 3), m.PreviewAdapt(), m.SetOptions({}), m.GetBoxes((5,), 7))
    assert len(bench.of(m.AdaptPreviewed)) == 1
    assert [len(e.boxes) for e in bench.of(m.BoxesReady)] == [7]
    assert len(bench.of(m.OptionsChanged)) == 1


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


# --- saving ---------------------------------------------------------------------------------------------------


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


def test_a_failing_save_does_not_end_training_and_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path, autosave_s=0.03).open(start=True)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    bench.turns(20)
    monkeypatch.undo()
    told = {e.chain for e in bench.of(m.Failed)}
    assert any("No space left" in chain[0] for chain in told)
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
    from engine import runs

    records = runs.open_run(bench.of(m.SceneOpened)[0].run_folder).metrics()
    kinds = {record["kind"] for record in records}
    assert kinds == {"training", "evaluated"}
    assert all(set(record) >= {"seconds", "step", "psnr", "voxels"} for record in records)


# --- numbers and events -----------------------------------------------------------------------------------------


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
    assert stats.train_share == pytest.approx(1.0, abs=0.01)
    assert stats.losses == (("mse", 1.0 / stats.step),)
    assert stats.memory_bytes > 1e6


def test_shares_sum_to_one_when_training_and_viewing_alternate() -> None:
    meter = Meter(0.0)
    now = 0.0
    for _ in range(400):
        for kind, seconds in (("train", 0.015), ("view", 0.005)):
            now += seconds
            meter.record(kind, now, seconds)
    assert meter.share("train", now) == pytest.approx(0.75, abs=0.01)
    assert meter.share("view", now) == pytest.approx(0.25, abs=0.01)
    assert meter.rate("view", now) == pytest.approx(50.0, rel=0.02)
    meter.restart(now)
    assert meter.share("train", now + 1.0) == 0.0


# --- the thread -----------------------------------------------------------------------------------------------


def threaded(tmp_path: Path) -> Worker:
    def make(name: str, scene: Any, values: dict[str, Any], seed: int) -> FakeMethod:
        return FakeMethod(scene, FakeMethod.Config(), seed)

    worker = Worker(runs_dir=tmp_path, scene_loader=load_fake_scene, method_factory=make)
    worker.start()
    return worker


def wait_for(condition: Callable[[], Any], timeout: float = 5.0) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.001)


def test_the_thread_wakes_at_once_for_commands_and_views_and_sleeps_otherwise(tmp_path: Path) -> None:
    worker = threaded(tmp_path)
    worker.send(m.OpenScene("somewhere", "fake"))
    wait_for(worker.stats)
    time.sleep(0.05)
    assert not worker.view_waiting
    begin, cpu = time.perf_counter(), time.process_time()
    time.sleep(0.2)
    assert time.process_time() - cpu < 0.1 * (time.perf_counter() - begin)  # it sleeps
    worker.request_view(request(1))
    wait_for(lambda: worker.frame() is not None)
    worker.send(m.Train(steps=10))
    wait_for(lambda: worker.stats().step == 10)
    assert worker.stop(5.0)
    assert not worker.alive
    assert any(isinstance(e, m.CheckpointSaved) for e in worker.events())


def test_a_fault_of_the_worker_itself_is_told_as_fatal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("threading.excepthook", lambda args: None)  # the trace would go to the terminal
    worker = threaded(tmp_path)

    class Odd(m.Command):
        pass

    job = m.RenderJob("job", (camera_at(),) * 99)
    worker.send(m.OpenScene("somewhere", "fake"))
    worker.send(m.StartJob(job))
    worker.send(Odd())
    wait_for(lambda: not worker.alive)
    assert worker.events()[-1].fatal
    frames = [job.frames.get_nowait() for _ in range(job.frames.qsize())]
    assert frames[-1] is None  # nobody waits for the others in vain


def test_a_worker_starts_once(tmp_path: Path) -> None:
    worker = threaded(tmp_path)
    with pytest.raises(RuntimeError):
        worker.start()
    assert worker.stop(5.0)


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
