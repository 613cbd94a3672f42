# SPDX-License-Identifier: MIT
"""Edits of the structure through the worker: undone and done again to the bit, regions, previews, refusals in a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import messages as m
from engine.methods.common import CAPABILITIES
from engine.methods.svraster import SVRaster
from engine.region import Region, Shown
from engine.runs import open_run
from engine.shots import Shot
from engine.snapshots import Ring
from tests.fakes import camera_at, checkpoint_steps
from tests.methods.test_svraster import config, make_scene
from tests.worker_bench import Bench

BOX = Region.between((0.0, -0.2, -0.2), (0.3, 0.2, 0.2))


class RealBench(Bench):
    """A bench with SVRaster on a small scene."""

    def make(self, name: str, scene: Any, values: dict[str, Any], seed: int) -> Any:
        self.method = SVRaster(scene, config(), seed)  # type: ignore[assignment]
        self.method.warm_up = lambda progress=None: None  # the tests' kernels are these
        return self.method


@pytest.fixture
def real(tmp_path: Path) -> RealBench:
    bench = RealBench(tmp_path, scene_loader=lambda *_: make_scene(4)).open()
    for _ in range(4):
        bench.method.train_step()
    bench.events()
    return bench


def bits(method: SVRaster) -> dict[str, bytes]:
    tensors, header = method.state()
    return {name: tensor.tobytes() for name, tensor in tensors.items()} | {"header": repr(header).encode()}


EDITS = [
    m.PruneNow(),
    m.SubdivideNow(),
    m.DeleteRegion(BOX),
    m.DeleteRegion(BOX, outside=True),
    m.PruneRegion(BOX),
    m.SubdivideRegion(BOX),
    m.FitMemory(500_000),
]


@pytest.mark.parametrize("command", EDITS, ids=[type(c).__name__ for c in EDITS])
def test_every_edit_by_hand_is_undone_and_done_again_to_the_bit(real: RealBench, command: m.Command) -> None:
    before = bits(real.method)
    if isinstance(command, m.FitMemory):
        command = m.FitMemory(real.method.structure().bytes // 2)
    real.do(command)
    after = bits(real.method)
    assert after != before or isinstance(command, (m.PruneNow, m.PruneRegion))
    real.do(m.UndoStructure())
    assert bits(real.method) == before
    real.do(m.RedoStructure())
    assert bits(real.method) == after
    labels = [(event.undo_labels, event.redo_labels) for event in real.of(m.UndoChanged)]
    name = labels[0][0][0]
    assert labels == [((name,), ()), ((), (name,)), ((name,), ())]
    assert not real.of(m.Failed)


def test_training_goes_on_from_an_undone_edit_as_if_nothing_had_been(real: RealBench) -> None:
    other = SVRaster(real.method.scene, real.method.config, 0)
    other.load_state(*real.method.state())
    real.do(m.SubdivideRegion(BOX))
    real.method.train_step()
    real.do(m.UndoStructure())
    event = real.of(m.StructureUndone)[0]
    assert (event.label, event.step, event.lost_steps, event.redone) == ("Subdivide the region", 4, 1, False)
    assert event.stats.voxels == len(other.octree)
    for method in (real.method, other):
        method.train_step()
    assert bits(real.method) == bits(other)


def test_settings_made_after_an_edit_stay_when_it_is_undone(real: RealBench) -> None:
    real.do(m.SubdivideNow(), m.SetOptions({"rates.density": 0.02}), m.SetTrainRegion(BOX))
    real.do(m.UndoStructure())
    assert real.method.config.rates.density == 0.02
    assert real.method.inspection.train_region == BOX


def test_what_fitting_to_memory_did_to_the_budget_is_undone_too(real: RealBench) -> None:
    budget = real.method.config.adapt.max_voxels
    real.do(m.FitMemory(real.method.structure().bytes // 2))
    lowered = real.method.config.adapt.max_voxels
    assert lowered < budget
    real.do(m.UndoStructure())
    assert real.method.config.adapt.max_voxels == budget
    assert real.of(m.OptionsChanged)[-1].values["adapt.max_voxels"] == budget
    real.do(m.RedoStructure())
    assert real.method.config.adapt.max_voxels == lowered


def test_an_edit_that_is_refused_leaves_nothing_to_undo(real: RealBench) -> None:
    real.do(m.DeleteRegion(Region((0.49, 0.49, 0.49), (1e-3, 1e-3, 1e-3)), outside=True))
    assert "no voxels in the region" in real.of(m.Failed)[0].chain[0]
    assert real.of(m.UndoChanged)[-1].undo_labels == ()


def test_an_edit_that_changed_nothing_leaves_nothing_to_undo(real: RealBench) -> None:
    real.do(m.SetOptions({"adapt.prune_threshold": 0.0}), m.PruneNow(), m.PruneNow())
    first, second = (event.report for event in real.of(m.StructureChanged)[-2:])
    assert first.after == second.before == second.after
    assert real.of(m.UndoChanged)[-1].undo_labels == ("Prune",)


def test_regions_previews_picks_and_details_are_answered(real: RealBench) -> None:
    opened = real.of(m.SceneOpened)[0]
    assert opened.can == frozenset(CAPABILITIES) and opened.why_not("pick") == ""
    camera = real.method.scene.test.views[0].camera
    real.do(m.PreviewAdapt(limit=50), m.PickVoxel(camera, 24.5, 24.5), m.GetDetails(), m.SetTrainRegion(BOX))
    preview = real.of(m.AdaptPreviewed)[0]
    assert len(preview.split_boxes) == min(50, preview.report.split) > 0
    picked = real.of(m.VoxelPicked)[0]
    assert (picked.x, picked.voxel.level) == (24.5, 4)
    assert real.of(m.StructureDetails)[0].levels == (4,)
    assert real.of(m.TrainRegionChanged)[0].region == BOX
    real.do(m.Reset())
    assert real.of(m.TrainRegionChanged)[-1].region is None


def test_a_view_request_shows_only_what_it_asks_for(real: RealBench) -> None:
    camera = real.method.scene.test.views[0].camera
    for serial, levels in ((1, ()), (2, (9,))):
        real.worker.request_view(
            m.ViewRequest(serial, camera, mode="alpha", colour_map="grey", levels=levels)
        )
        real.worker.turn()
        frame = real.worker.frame()
        assert (frame.rgba[..., 0].max() > 0) == (not levels)
    assert m.ViewRequest(1, camera, levels=(3,), crop=BOX).shown == Shown((3,), BOX)


@pytest.mark.parametrize("live", [False, True])
def test_an_export_shows_only_what_it_asks_for(real: RealBench, live: bool) -> None:
    camera = real.method.scene.test.views[0].camera
    whites = []
    for levels in ((), (9,)):
        job = m.RenderJob("job", (Shot.of(camera),), shown=Shown(levels), live=live)
        real.do(m.StartJob(job))
        real.turns(2)
        pictures = [item[1].rgb for item in iter(job.frames.get_nowait, None) if isinstance(item, tuple)]
        whites.append((pictures[0] == 255).all())
    assert whites == [False, True]


# --- any method ---------------------------------------------------------------------------------------------------


def test_a_method_without_an_inspection_says_so_and_can_still_undo(bench: Bench) -> None:
    assert bench.of(m.SceneOpened)[0].can == {"undo"}
    bench.do(m.PickVoxel(camera_at(), 1.0, 1.0), m.SubdivideRegion(BOX), m.SetTrainRegion(BOX))
    failed = bench.of(m.Failed)
    assert len(failed) == 3 and all(event.user and "cannot do that" in event.chain[0] for event in failed)
    bench.do(m.GetDetails())  # asked by a window that has not heard yet which model is open
    assert bench.of(m.StructureDetails) == [m.StructureDetails((), ())] and len(bench.of(m.Failed)) == 3
    bench.do(m.PruneNow(), m.UndoStructure())
    assert bench.method.voxels == 100


def test_a_method_that_cannot_hide_a_part_shows_all_of_itself(bench: Bench) -> None:
    bench.worker.request_view(m.ViewRequest(1, camera_at(), crop=BOX, levels=(3,), mode="density"))
    bench.worker.turn()
    assert bench.worker.frame().rgba.shape == (12, 12, 4) and not bench.of(m.Failed)


def test_undoing_nothing_is_refused(bench: Bench) -> None:
    bench.do(m.UndoStructure(), m.RedoStructure())
    assert [event.chain[0] for event in bench.of(m.Failed)] == [
        "There is no change of the structure that could be undone.",
        "There is no change of the structure that could be done again.",
    ]


def test_an_edit_too_large_to_be_kept_goes_on_and_says_so(bench: Bench) -> None:
    bench.worker._core.training.ring = Ring(4, lambda: None)
    bench.do(m.PruneNow())
    assert bench.method.voxels == 90
    assert "cannot be undone" in bench.of(m.Logged)[-1].text
    bench.do(m.UndoStructure())
    assert bench.method.voxels == 90


def test_steps_lost_by_an_undo_are_told_and_forgotten_by_the_run(bench: Bench) -> None:
    bench.do(m.Train(steps=3))
    bench.turns(5)
    bench.do(m.PruneNow(), m.Train(steps=4))
    bench.turns(6)
    bench.do(m.SaveCheckpoint())
    run = Path(bench.of(m.CheckpointSaved)[-1].path).parent.parent
    assert checkpoint_steps(run)[-1] == 7
    bench.do(m.UndoStructure(), m.SaveCheckpoint())
    event = bench.of(m.StructureUndone)[0]
    assert (event.step, event.lost_steps, bench.method.step, bench.method.voxels) == (3, 4, 3, 100)
    assert checkpoint_steps(run)[-1] == 3
    assert all(record.get("step", 0) <= 3 for record in open_run(run).metrics())
    assert np.isclose(bench.method.value, float(open_run(run).newest().tensors["value"]))


def test_what_undoing_holds_is_told_as_memory_and_no_part_of_the_model(real: RealBench) -> None:
    model_bytes = real.worker.stats().model_bytes
    real.do(m.PruneNow())
    stats = real.worker.stats()
    parts = dict(stats.memory)
    assert parts["undo buffers"] == real.of(m.UndoChanged)[-1].bytes > 0
    assert stats.model_bytes <= model_bytes


def test_the_models_beside_each_other_have_their_own_undo(bench: Bench) -> None:
    bench.do(m.Train(steps=1))
    bench.turns(3)
    bench.do(m.PruneNow(), m.SwitchMethod("fake", beside=True))
    assert bench.of(m.SceneOpened)[-1].undo_labels == ()
    bench.do(m.SwapBeside())
    assert bench.of(m.SceneOpened)[-1].undo_labels == ("Prune",)
