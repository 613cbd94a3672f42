# SPDX-License-Identifier: MIT
"""What is recorded of a training: often at first, then seldom, true, kept in the run, and without changing the training."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from engine.cpu.crew import Crew
from engine.diagnosis import watched
from engine.findings import QUANTILES
from engine.messages import Diagnosed, OpenRun, Pause, SceneOpened, Train
from engine.methods.svraster import SVRaster, SVRasterConfig
from engine.methods.svraster.adapt import prune_threshold
from engine.monitor import EVERY_S, KEPT, Monitor
from engine.options import updated
from engine.probe import probe
from tests.methods.test_svraster import QUICK, make_scene
from tests.worker_bench import Bench

SCENE = make_scene(8)


@pytest.fixture(scope="module")
def model() -> SVRaster:
    made = SVRaster(SCENE, updated(SVRasterConfig(), QUICK))
    for _ in range(60):
        made.train_step()
    return made


def test_records_come_quickly_at_first_and_then_every_few_seconds(tmp_path) -> None:
    bench = Bench(tmp_path).open()
    bench.do(Train(seconds=60.0))
    bench.turns(4_100)
    records = [r for r in bench.worker._core.training.run.metrics() if r["kind"] == "training"]
    at = np.array([r["seconds"] for r in records])
    assert at[0] < 0.6 and np.all(np.diff(at[:4]) < 0.6), "while people wait for the first of them"
    assert np.all(np.diff(at[at > 30.0])[:-1] > EVERY_S - 0.1) and len(at) < 30
    assert at[-1] == pytest.approx(60.0, abs=0.1) and len(records[-1]["probes"]) == 4, (
        "the last looks at more"
    )
    assert watched(records) and all(
        {"psnr_mean", "step_ms", "memory_mb", "waiting", "budget"} <= set(r) for r in records
    )
    assert records[-1]["step_ms"] == pytest.approx(15.0)
    assert {p["view"] for r in records for p in r["probes"]} == {0, 1, 2, 3}, "every view has its turn"


def test_quality_is_the_mean_over_the_steps_since_the_record_before(tmp_path) -> None:
    bench = Bench(tmp_path).open()
    bench.do(Train(steps=8, finish=False))
    bench.turns(10)
    (record,) = [r for r in bench.worker._core.training.run.metrics() if r["kind"] == "training"]
    assert (record["psnr"], record["psnr_mean"]) == (23.0, 21.5), "four views of 20 to 23 dB, twice"


def test_a_pause_without_steps_writes_nothing(tmp_path) -> None:
    bench = Bench(tmp_path).open()
    bench.do(Train(), Pause())
    assert bench.worker._core.training.run.metrics() == []


def test_findings_are_told_when_they_change_and_known_to_a_window_that_opens_the_run(tmp_path) -> None:
    bench = Bench(tmp_path).open()
    real = bench.method.train_step
    bench.method.train_step = lambda: replace(real(), psnr=float("nan"))
    bench.do(Train(seconds=3.0))
    bench.turns(400)
    told = bench.of(Diagnosed)
    assert len(told) == len(set(told)) > 0, "only when a number in them has changed"
    assert {f.id for event in told for f in event.findings} == {"exploding"}
    assert told[-1].findings[0].option == "rates.density"
    bench.do(OpenRun(bench.of(SceneOpened)[0].run_folder))
    assert bench.of(Diagnosed)[-1].findings == told[-1].findings and len(bench.of(Diagnosed)) == len(told) + 1


def test_looking_changes_no_bit_of_the_training(model: SVRaster) -> None:
    one, two = (SVRaster(SCENE, model.config) for _ in range(2))
    for step in range(30):
        one.train_step(), two.train_step()
        if step % 7 == 0:
            two.vitals(), two.memory(), probe(two, SCENE, step % 8)
    a, b = one.state()[0], two.state()[0]
    assert [name for name in a if not np.array_equal(a[name], b[name])] == []


def test_a_look_tells_depths_gains_and_frames(model: SVRaster) -> None:
    look = json.loads(json.dumps(probe(model, SCENE, 2)))
    camera = SCENE.train.views[2].camera
    shown = model.render(camera, frozenset({"depth_z"}), supersample=1.0)
    solid = shown.trans < 0.5
    assert look["opacity"] == pytest.approx(float((1.0 - shown.trans).mean()), rel=1e-3)
    assert look["depths"][0] == pytest.approx(float(shown.depth_z[solid].min()), rel=0.05)
    share = solid.mean()
    assert [d is not None for d in look["depths"]] == [q < share for q in QUANTILES]
    assert look["gain"][0] == pytest.approx(1.0, abs=0.1)
    assert look["border"] == [1.0, 1.0, 1.0] == look["background"] and look["border_spread"] == 0.0


def test_a_look_compares_the_photo_with_the_picture_that_is_trained(model: SVRaster) -> None:
    before = model.config
    try:
        blurred = {"soft.sigma": 1.5, "soft.temperature": 0.2, "soft.anneal": False}
        model.set_options(blurred)
        hard = probe(model, model.scene, 0)
        model.set_options({"objective.kind": "soft"})
        soft = probe(model, model.scene, 0)
    finally:
        model.use(before)
    assert soft["psnr"] < hard["psnr"] - 1.0 and soft["gain"] != hard["gain"]
    assert soft["depths"] == hard["depths"]


def test_vitals_count_dead_voxels_and_measure_gradients(model: SVRaster) -> None:
    strict = SVRaster(SCENE, updated(model.config, {"adapt.prune_threshold": 0.3, "adapt.prune_start": 0.3}))
    strict.load_state(*model.state())
    strict.set_options({"adapt.prune_threshold": 0.3, "adapt.prune_start": 0.3})
    model, vitals = strict, strict.vitals()
    threshold = prune_threshold(model.active.adapt, model.step)
    heaviest = np.maximum(model.field.heaviest, model.heaviest_before)
    assert vitals["dead"] == np.mean(heaviest < threshold) and 0.1 < vitals["dead"] < 0.9
    beta2, age = model.config.rates.beta2, model.field.density_age.astype(float)
    unbiased = model.field.density_v[age > 0] / (1.0 - beta2 ** age[age > 0])
    assert vitals["gradient_densities"] == pytest.approx(np.sqrt(unbiased.sum()), rel=1e-5)


def test_memory_is_that_of_the_arrays(model: SVRaster) -> None:
    parts = model.memory()
    assert parts["parameters"] == model.field.density.nbytes + model.field.sh.nbytes
    assert (
        parts["optimiser"]
        == 2 * parts["parameters"] + model.field.density_age.nbytes + model.field.sh_age.nbytes
    )
    assert min(parts.values()) > 0


def test_old_records_are_thinned_and_new_ones_kept() -> None:
    monitor = Monitor()
    for step in range(KEPT + 1):
        monitor.add({"kind": "training", "step": step})
    steps = [r["step"] for r in monitor.records]
    assert len(steps) < KEPT and steps[:2] == [0, 2] and steps[-3:] == [KEPT - 2, KEPT - 1, KEPT]


def test_the_crew_measures_how_long_its_members_wait_for_the_slowest() -> None:
    import threading
    import time

    crew, turn = Crew(2), threading.Lock()

    def kernel(counter: np.ndarray) -> None:
        with turn:
            counter[0] += 1
            first = counter[0] == 1
        time.sleep(0.02 if first else 0.1)

    crew.run(kernel)
    assert crew.spent_s == pytest.approx(0.2, abs=0.06) and crew.waited_s == pytest.approx(0.08, abs=0.04)
    crew.close()
    crew.run(lambda counter: time.sleep(0.01))
    assert crew.waited_s == pytest.approx(0.08, abs=0.04), "who is alone waits for nobody"
