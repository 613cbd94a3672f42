# SPDX-License-Identifier: MIT
"""Another method on the same scene, and two models side by side: who trains, who is drawn, what is told and kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import messages as m
from engine.messages import TrainState
from engine.options import build
from engine.runs import open_run
from tests.fakes import FakeMethod, checkpoint_steps, run_until
from tests.worker_bench import Bench, request

SLOW = 4.0  # a step of "slow" takes so many times longer than one of "fake"


class Slow(FakeMethod):
    """A method with long steps and a brighter picture."""

    name = "slow"

    def train_step(self) -> Any:
        self.clock.sleep(0.015 * (SLOW - 1.0))
        return super().train_step()

    def render(self, camera: Any, want: frozenset[str] = frozenset(), **options: Any) -> Any:
        buffers = super().render(camera, want, **options)
        return type(buffers)(buffers.rgb + 0.25, buffers.trans, depth_z=buffers.depth_z)


class Pair(Bench):
    """A bench with two methods, "fake" and "slow"."""

    def make(self, name: str, scene: Any, values: dict[str, Any], seed: int) -> FakeMethod:
        self.scenes = [*getattr(self, "scenes", []), scene]
        kind = {"fake": FakeMethod, "slow": Slow}[name]
        self.method = kind(scene, build(FakeMethod.Config, values), seed, self.clock)
        return self.method


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path).open()


def both(pair: Pair, steps: int = 3) -> tuple[FakeMethod, FakeMethod]:
    """Train "fake" a little, then begin "slow" in front of it; return fake and slow, both at rest."""
    pair.do(m.Train(steps=steps, finish=False))
    pair.turns(steps + 2)
    first = pair.method
    pair.do(m.SwitchMethod("slow", beside=True))
    return first, pair.method


def test_another_method_starts_anew_on_the_same_scene_and_the_old_one_is_saved(pair: Pair) -> None:
    pair.do(m.Train(steps=3, finish=False))
    pair.turns(5)
    old = Path(pair.of(m.SceneOpened)[-1].run_folder)
    pair.do(m.SwitchMethod("slow", {"levels": 3}))
    opened = pair.of(m.SceneOpened)[-1]
    assert (opened.method, opened.values["levels"], opened.beside) == ("slow", 3, None)
    assert opened.key != pair.of(m.SceneOpened)[0].key
    assert (pair.state, pair.worker.stats().step) == (TrainState.PAUSED, 0)
    assert checkpoint_steps(old) == [3]
    assert pair.scenes[0] is pair.scenes[1]  # nothing was read again
    pair.do(m.Train(steps=2))
    run_until(pair.worker, lambda: pair.state is TrainState.FINISHED)
    pair.turns(2)
    assert "slow" in opened.run_folder and open_run(opened.run_folder).spec.method == "slow"


def test_training_goes_on_with_the_other_method(pair: Pair) -> None:
    pair.do(m.Train())
    pair.turns(3)
    pair.do(m.SwitchMethod("slow"))
    pair.turns(4)
    assert (pair.state, pair.method.name, pair.method.step) == (TrainState.TRAINING, "slow", 4)


def test_an_unknown_method_or_option_changes_nothing(pair: Pair) -> None:
    pair.do(m.Train())
    pair.turns(3)
    method = pair.method
    pair.do(m.SwitchMethod("slow", {"levels": 99}))
    pair.turns(2)
    assert len(pair.of(m.Failed)) == 1
    assert (pair.method, method.step) == (method, 5) and pair.state is TrainState.TRAINING


def test_the_old_model_stays_beside_and_frames_show_both(pair: Pair) -> None:
    fake, slow = both(pair)
    opened = pair.of(m.SceneOpened)[-1]
    assert (opened.method, opened.beside.method, opened.beside.key) == (
        "slow",
        "fake",
        pair.of(m.SceneOpened)[0].key,
    )
    fake.rendered.clear()  # what the monitor looked at
    pair.worker.request_view(request(1, beside=True))
    pair.worker.turn()
    frame = pair.worker.frame()
    assert frame.rgba.shape == frame.beside.shape
    assert frame.rgba[0, 0, 0] == 191 and frame.beside[0, 0, 0] == 128
    assert len(fake.rendered) == len(slow.rendered) == 1 and frame.render_ms == pytest.approx(20.0)
    pair.worker.request_view(request(2))
    pair.worker.turn()
    assert pair.worker.frame().beside is None and len(fake.rendered) == 1


def test_only_the_model_in_front_trains_until_both_are_asked_for(pair: Pair) -> None:
    fake, slow = both(pair)
    pair.do(m.Train())
    pair.turns(5)
    assert (fake.step, slow.step) == (3, 5)
    assert not pair.worker.stats().beside.trains


def test_two_that_train_get_the_same_time(pair: Pair) -> None:
    fake, slow = both(pair)
    pair.do(m.Train(), m.TrainBeside())
    pair.turns(500)
    spent = 0.015 * (fake.step - 3), 0.015 * SLOW * slow.step
    assert spent[0] == pytest.approx(spent[1], abs=0.015 * SLOW) and slow.step > 50
    stats = pair.worker.stats()
    assert stats.beside.trains and stats.beside.train_seconds == pytest.approx(0.015 * fake.step, abs=0.1)
    assert stats.train_share > 0.9


def test_pause_rests_both_and_both_go_on_together(pair: Pair) -> None:
    fake, slow = both(pair)
    pair.do(m.Train(), m.TrainBeside())
    pair.turns(20)
    pair.do(m.Pause())
    pair.turns(5)
    steps = fake.step, slow.step
    pair.turns(10)
    assert (fake.step, slow.step) == steps and not pair.worker.stats().beside.trains
    pair.do(m.Train())
    pair.turns(20)
    assert fake.step > steps[0] and slow.step > steps[1]


def test_the_model_beside_trains_alone_while_the_open_one_rests(pair: Pair) -> None:
    fake, slow = both(pair)
    pair.do(m.TrainBeside())
    pair.turns(6)
    assert (fake.step, slow.step) == (9, 0) and pair.state is TrainState.PAUSED


def test_swapping_puts_the_other_in_front_and_who_trains_goes_on(pair: Pair) -> None:
    fake, slow = both(pair)
    pair.do(m.Train())
    pair.turns(5)
    pair.do(m.SwapBeside())
    opened = pair.of(m.SceneOpened)[-1]
    assert (opened.method, opened.beside.method) == ("fake", "slow")
    assert opened.key == pair.of(m.SceneOpened)[0].key
    assert pair.state is TrainState.PAUSED and pair.worker.stats().step == 3
    before = slow.step
    pair.turns(4)
    assert (fake.step, slow.step) == (3, before + 4)
    pair.do(m.PruneNow())
    assert (fake.voxels, slow.voxels) == (90, 100)
    pair.do(m.SwapBeside())
    assert pair.state is TrainState.TRAINING and pair.of(m.SceneOpened)[-1].method == "slow"


def test_both_are_evaluated_one_after_the_other(pair: Pair) -> None:
    both(pair)
    keys = pair.of(m.SceneOpened)[-1].key, pair.of(m.SceneOpened)[-1].beside.key
    pair.do(m.Evaluate())
    pair.turns(6)
    found = pair.of(m.Evaluated)
    assert [(e.key, e.step, len(e.per_view)) for e in found] == [(keys[0], 0, 2), (keys[1], 3, 2)]


def test_a_run_is_opened_beside_without_reading_its_photos_again(tmp_path: Path) -> None:
    old = Pair(tmp_path).open()
    old.do(m.Train(steps=4))
    run_until(old.worker, lambda: old.state is TrainState.FINISHED)
    old.turns(2)
    folder = old.of(m.SceneOpened)[-1].run_folder
    reads = []

    def loader(path: str, values: dict[str, Any], report: Any) -> Any:
        from tests.fakes import load_fake_scene

        reads.append(path)
        return load_fake_scene(path, values, report)

    pair = Pair(tmp_path, scene_loader=loader)
    pair.do(m.OpenScene("somewhere", "slow"))
    pair.do(m.OpenBeside(folder))
    assert len(reads) == 1
    beside = pair.of(m.BesideChanged)[-1].beside
    assert (beside.method, beside.run_folder) == ("fake", folder)
    stats = pair.worker.stats()
    assert (stats.beside.step, stats.beside.key, stats.step) == (4, beside.key, 0)


@pytest.mark.parametrize("other", ["elsewhere", "read otherwise", "itself"])
def test_what_cannot_be_compared_is_refused(tmp_path: Path, other: str) -> None:
    bench = Pair(tmp_path)
    place = "elsewhere" if other == "elsewhere" else "somewhere"
    bench.do(m.OpenScene(place, "fake", options={"downscale": 2} if other == "read otherwise" else {}))
    bench.do(m.Train(steps=2))
    run_until(bench.worker, lambda: bench.state is TrainState.FINISHED)
    bench.turns(2)
    folder = bench.of(m.SceneOpened)[-1].run_folder
    if other != "itself":
        bench.do(m.OpenScene("somewhere", "fake"))
    bench.do(m.OpenBeside(folder))
    assert len(bench.of(m.Failed)) == 1 and not bench.of(m.BesideChanged)
    assert bench.worker.stats().beside is None


def test_closing_saves_what_the_model_beside_has_learned(pair: Pair) -> None:
    fake, _ = both(pair)
    folder = pair.of(m.SceneOpened)[-1].beside.run_folder
    pair.do(m.TrainBeside())
    pair.turns(5)
    pair.do(m.CloseBeside())
    pair.turns(5)
    assert pair.of(m.BesideChanged)[-1].beside is None and pair.worker.stats().beside is None
    assert checkpoint_steps(Path(folder))[-1] == fake.step


def test_stopping_saves_both(pair: Pair) -> None:
    fake, slow = both(pair)
    folders = pair.of(m.SceneOpened)[-1].run_folder, pair.of(m.SceneOpened)[-1].beside.run_folder
    pair.do(m.Train(), m.TrainBeside())
    pair.turns(30)
    pair.do(m.Stop())
    assert [checkpoint_steps(Path(f))[-1] for f in folders] == [slow.step, fake.step]


def test_another_scene_leaves_nothing_beside(pair: Pair) -> None:
    both(pair)
    pair.do(m.OpenScene("elsewhere", "fake"))
    assert pair.of(m.SceneOpened)[-1].beside is None and pair.worker.stats().beside is None


def test_a_reset_keeps_the_model_beside_and_its_own_key(pair: Pair) -> None:
    fake, _ = both(pair)
    key = pair.of(m.SceneOpened)[-1].key
    pair.do(m.Train())
    pair.turns(3)
    pair.do(m.Reset())
    assert pair.worker.stats().beside.step == fake.step
    pair.do(m.SwapBeside(), m.SwapBeside())
    assert pair.of(m.SceneOpened)[-1].key == key


def test_a_failing_model_beside_stops_alone(pair: Pair) -> None:
    fake, slow = both(pair)
    pair.do(m.Train(), m.TrainBeside())
    fake.fail_step = RuntimeError("broken")
    pair.turns(20)
    assert [e.what for e in pair.of(m.Failed)] == ["Training of the model beside stopped"]
    assert pair.state is TrainState.TRAINING and slow.step > 10
    assert not pair.worker.stats().beside.trains


@pytest.mark.parametrize("command", [m.SwapBeside(), m.TrainBeside()])
def test_without_a_model_beside_that_is_said(pair: Pair, command: m.Command) -> None:
    pair.do(command)
    assert "beside" in pair.of(m.Failed)[0].chain[0]


def test_a_picture_of_the_model_beside_that_fails_does_not_hide_why(pair: Pair) -> None:
    fake, _ = both(pair)
    fake.fail_view = RuntimeError("no picture")
    pair.worker.request_view(request(1, beside=True))
    pair.worker.turn()
    assert pair.worker.frame() is None
    assert np.any(["no picture" in link for link in pair.of(m.Failed)[0].chain])
