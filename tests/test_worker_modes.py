# SPDX-License-Identifier: MIT
"""Memory and modes of a real model in the worker: what is put away comes back to the bit, and a target is met."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import messages as m
from engine.cpu.shade import sh_rows
from engine.messages import TrainState
from engine.methods.common import NodeUse
from engine.methods.svraster import SVRaster, SVRasterConfig, compact
from engine.octree import Octree
from engine.options import build
from engine.worker_modes import mean_psnr
from tests.methods.test_svraster import QUICK, make_scene
from tests.test_worker_views import request
from tests.worker_bench import Bench

SCENE = make_scene(8)


class RealBench(Bench):
    """A bench whose method is SVRaster on two spheres."""

    def __init__(self, tmp_path: Path) -> None:
        super().__init__(tmp_path, scene_loader=lambda path, values, report: SCENE)

    def make(self, name: str, scene: Any, values: dict[str, Any], seed: int) -> SVRaster:
        self.method = SVRaster(scene, build(SVRasterConfig, QUICK | values), seed)
        return self.method

    def train(self, steps: int) -> None:
        self.do(m.Train(steps=steps, finish=False))
        while self.state is TrainState.TRAINING:
            self.worker.turn()
        self.worker.turn()  # it may save
        self.events_too()

    def events_too(self) -> None:
        self.events()

    def picture(self, serial: int) -> np.ndarray:
        self.worker.request_view(request(serial))
        while (frame := self.worker.frame()) is None or frame.serial != serial:
            self.worker.turn()
        return frame.rgba


@pytest.fixture
def bench(tmp_path: Path) -> RealBench:
    made = RealBench(tmp_path)
    made.open()
    return made


def one(events: list[m.Event], kind: type) -> Any:
    (found,) = [event for event in events if isinstance(event, kind)]
    return found


def memory_of(bench: RealBench) -> dict[str, int]:
    bench.worker._core.publish()
    return dict(bench.worker.stats().memory)


def test_inference_mode_gives_memory_back_and_shows_the_same_picture(bench: RealBench) -> None:
    bench.train(40)
    before, picture = memory_of(bench), bench.picture(1)
    changed = one(bench.do(m.SetMode(True)), m.ModeChanged)
    after = memory_of(bench)
    assert (changed.inference, after["optimiser"], after["photos"]) == (True, 0, 0)
    gone = sum(
        before[name] - after[name] for name in ("optimiser", "statistics", "training buffers", "photos")
    )
    assert changed.freed_bytes == gone > before["parameters"]
    assert after["parameters"] == before["parameters"]
    assert np.array_equal(bench.picture(2), picture)
    assert one(bench.do(m.SetMode(True)), m.ModeChanged).freed_bytes == 0


def test_training_goes_on_from_inference_mode_as_if_it_had_never_rested(
    bench: RealBench, tmp_path: Path
) -> None:
    other = RealBench(tmp_path / "other")
    other.open()
    for one_bench in (bench, other):
        one_bench.train(40)
    bench.do(m.SetMode(True))
    for one_bench in (bench, other):
        one_bench.train(30)
    assert not bench.of(m.ModeChanged)[-1].inference and bench.method.step == 70
    a, b = bench.method.state()[0], other.method.state()[0]
    assert [name for name in a if not np.array_equal(a[name], b[name])] == []


def test_commands_that_change_the_model_bring_it_back_and_those_that_look_do_not(bench: RealBench) -> None:
    bench.train(30)
    bench.do(m.SetMode(True))
    for command in (m.Evaluate(), m.GetBoxes((4,)), m.SaveCheckpoint(), m.Pause()):
        assert not [e for e in bench.do(command) if isinstance(e, m.ModeChanged | m.Failed)]
    events = bench.do(m.PruneNow())
    assert not one(events, m.ModeChanged).inference and one(events, m.StructureChanged).report.before > 0


def test_training_is_paused_and_saved_first(bench: RealBench) -> None:
    bench.do(m.Train())
    while bench.method.step < 20:
        bench.worker.turn()
    events = bench.do(m.SetMode(True))
    assert bench.state is TrainState.PAUSED and one(events, m.CheckpointSaved).step == bench.method.step


def test_nothing_is_put_away_that_was_not_saved(bench: RealBench, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Nothing is trained yet" in one(bench.do(m.SetMode(True)), m.Failed).chain[0]
    bench.train(10)

    def full(*_: Any) -> None:
        raise OSError("No space left on device")

    bench.method.step += 1  # something that is not saved yet
    monkeypatch.setattr("engine.checkpoint.save", full)
    bench.worker._core.training.unsaved = True
    failures = [e for e in bench.do(m.SetMode(True)) if isinstance(e, m.Failed)]
    assert "could not be saved, so it stays in memory" in failures[-1].chain[0]
    assert memory_of(bench)["optimiser"] > 0


def test_a_checkpoint_that_is_gone_is_told_and_the_model_goes_on_showing_itself(bench: RealBench) -> None:
    bench.train(20)
    bench.do(m.SetMode(True))
    for _, file in bench.worker._core.training.run.checkpoints():
        file.unlink()
    assert "is gone, so training cannot go on" in one(bench.do(m.Train()), m.Failed).chain[0]
    assert bench.picture(1).any() and bench.state is TrainState.PAUSED


def test_a_model_is_pruned_to_the_memory_it_may_have_and_stays_there(bench: RealBench) -> None:
    bench.train(70)
    held = bench.worker.stats().model_bytes
    target = int(0.6 * held)
    events = bench.do(m.FitMemory(target))
    fitted = one(events, m.MemoryFitted)
    assert fitted.bytes_before == held and 0.5 * held < fitted.bytes_after <= target
    assert (
        1_000 <= fitted.voxels_after < fitted.voxels_before == one(events, m.StructureChanged).report.before
    )
    assert fitted.psnr_before - 6.0 < fitted.psnr_after < fitted.psnr_before
    assert bench.method.config.adapt.max_voxels == fitted.voxels_after
    assert one(events, m.OptionsChanged).values["adapt.max_voxels"] == fitted.voxels_after
    bench.train(30)
    assert bench.method.structure().voxels <= fitted.voxels_after


def test_a_model_that_fits_already_is_left_alone(bench: RealBench) -> None:
    bench.train(30)
    before = bench.method.state()[0]["field.density"].copy()
    fitted = one(bench.do(m.FitMemory(10**9)), m.MemoryFitted)
    assert fitted.voxels_after == fitted.voxels_before and fitted.psnr_after == fitted.psnr_before
    assert np.array_equal(bench.method.field.density, before)


def test_merging_siblings_costs_less_than_dropping_voxels(bench: RealBench) -> None:
    bench.train(70)
    method, training = bench.method, bench.worker._core.training
    state, voxels = method.state(), len(method.octree)
    count = voxels // 4
    compact._keep_heaviest(method, count)
    dropped = mean_psnr(training)
    method.load_state(*state)
    before = mean_psnr(training)
    report = method.prune_to(count)
    octree = method.octree
    assert 0.9 * count < report.after == len(octree) <= count and report.before == voxels
    assert dropped + 2.0 < mean_psnr(training) < before
    assert (octree.level >= method.config.model.initial_level - 1).all()
    again = Octree.from_leaves(octree.path, octree.level, octree.root_size)  # raises where leaves overlap
    assert np.array_equal(again.corner_idx, octree.corner_idx)
    bench.train(20)
    assert mean_psnr(training) > before - 1.0, "it learns on"


def test_a_merged_voxel_has_its_childrens_place_mean_colour_and_outer_densities(bench: RealBench) -> None:
    bench.train(70)
    method = bench.method
    old, density, weight = method.octree, method.field.density.copy(), method._weights_seen()
    rows = sh_rows(method.field.sh, len(old))
    assert compact._merge(method, 300)
    new, after = method.octree, sh_rows(method.field.sh, len(method.octree))
    merged = np.flatnonzero(~np.isin(new.path * 32 + new.level, old.path * 32 + old.level))
    assert len(merged) > 50
    for voxel in merged[:20]:
        inside = np.flatnonzero(np.abs(old.center - new.center[voxel]).max(axis=1) < 0.5 * new.size[voxel])
        assert len(inside) > 1 and np.allclose(old.size[inside], 0.5 * new.size[voxel])
        share = weight[inside] / weight[inside].sum()
        np.testing.assert_allclose(after[voxel], np.tensordot(share, rows[inside], 1), atol=1e-4)
        places = {tuple(old.point_ijk[p]): density[p] for p in old.corner_idx[inside].reshape(-1)}
        for point in new.corner_idx[voxel]:
            known = places.get(tuple(new.point_ijk[point]))
            assert known is None or known == method.field.density[point]


def test_a_method_without_modes_says_so(tmp_path: Path) -> None:
    fake = Bench(tmp_path).open()
    fake.do(m.Train(steps=3))
    fake.turns(5)
    assert "cannot be pruned to a target" in one(fake.do(m.FitMemory(1)), m.Failed).chain[0]
    assert "has no inference mode" in one(fake.do(m.SetMode(True)), m.Failed).chain[0]
    assert dict(fake.worker.stats().memory) == {"model": 800, "decoded photos": 0}


def test_a_method_in_one_piece_has_no_cache_of_nodes(bench: RealBench) -> None:
    assert (
        "only the nodes of InfNeRF have a cache" in one(bench.do(m.SetCacheBudget(10**6)), m.Failed).chain[0]
    )


def test_a_view_is_made_again_until_its_nodes_have_come_from_the_disk(bench: RealBench) -> None:
    bench.train(5)
    left = [2, 1, 0, 0]
    bench.method.node_use = lambda: NodeUse((1,), 1, 1, 1, loading=left[0])
    bench.worker.request_view(request(5))
    shown = []
    for _ in range(8):
        bench.worker.turn()
        if (frame := bench.worker.frame()) is not None and (not shown or frame is not shown[-1]):
            shown.append(frame)
            left.pop(0)
    assert [frame.serial for frame in shown] == [5, 5, 5]
    bench.worker._core.publish()
    assert bench.worker.stats().nodes == NodeUse((1,), 1, 1, 1)
