# SPDX-License-Identifier: MIT
"""Scene exports beside training: a copy is written while the model goes on, sizes are told, and both can be given up."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from engine import messages as m
from engine.errors import UserError
from engine.export import write
from engine.export.formats import FORMATS, find, format_of
from engine.export.voxel_set import as_svraster
from engine.options import updated
from engine.worker import Worker
from tests.export.toy import ball, ball_scene

PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def scene():
    return ball_scene(ball(4), n_train=10, n_test=2, size=32, noise=0.03)


@pytest.fixture
def worker(scene, tmp_path: Path) -> Worker:
    """A worker without a thread, with a trained ball open."""
    model = as_svraster(ball(4), scene)
    model.use(updated(model.config, {"adapt.until_step": 0}))
    model.step = 5

    def factory(name, scene, values, seed):
        return model

    found = Worker(
        runs_dir=tmp_path, scene_loader=lambda path, options, report: scene, method_factory=factory
    )
    found.send(m.OpenScene("ball"))
    while found.turn():
        pass
    found.events()
    return found


def _until(worker: Worker, kind: type) -> tuple[m.Event, list[m.Event]]:
    """Turn the worker until the last event of a kind comes; return it and all that came before."""
    heard: list[m.Event] = []
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        worker.turn()
        for event in worker.events():
            own = getattr(event, "job_id", "") != m.ESTIMATE and getattr(event, "complete", True)
            if isinstance(event, kind) and own:
                return event, heard
            heard.append(event)
        time.sleep(0.005)
    raise AssertionError(f"no {kind.__name__} came, but {heard}")


def test_sizes_and_losses_of_all_formats_are_told(worker: Worker) -> None:
    worker.send(m.EstimateExport())
    told, heard = _until(worker, m.ExportEstimated)
    counts = [len(event.formats) for event in heard if isinstance(event, m.ExportEstimated)]
    assert counts == list(range(1, len(FORMATS) + 1))  # they come as they are known
    assert [row.format for row in told.formats] == [one.id for one in FORMATS] and told.step == 5
    by_format = {row.format: row for row in told.formats}
    assert all(row.bytes > 0 for row in told.formats if not row.problem)
    assert abs(by_format["compact"].loss_db) < 0.1 and by_format["webgl"].loss_db is not None
    assert by_format["points"].rough and not by_format["voxels"].rough
    assert all(task.source is None for task in worker._core.scenes._tasks), (
        "the copy of the model is given back"
    )


def test_what_is_written_is_the_model_of_the_moment_it_was_asked_for(worker: Worker, tmp_path: Path) -> None:
    before = worker._core.training.method.field.density.copy()
    worker.send(m.ExportScene("a", "compact", str(tmp_path / "a.voxels")))
    worker.turn()
    worker._core.training.method.field.density[:] = -9.0  # training goes on
    done, heard = _until(worker, m.SceneExported)
    assert (done.outcome, done.job_id, done.path) == ("finished", "a", str(tmp_path / "a.voxels"))
    assert done.bytes == (tmp_path / "a.voxels").stat().st_size
    assert any(isinstance(event, m.SceneExportProgress) for event in heard)
    from engine.export.compact import read

    assert abs(read(tmp_path / "a.voxels").voxels.density.max() - before.max()) < 0.1


def test_an_export_can_be_given_up_and_leaves_nothing(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, wait = threading.Event(), threading.Event()

    def slow(source, path, options):
        source.report("drawing", 1, 9)
        begun.set()
        wait.wait(PATIENCE_S)
        source.report("drawing", 2, 9)
        raise AssertionError("it went on")

    monkeypatch.setitem(write._WRITERS, "points", slow)
    worker.send(m.ExportScene("a", "points", str(tmp_path / "a.ply")))
    worker.turn()
    assert begun.wait(PATIENCE_S)
    worker.send(m.CancelJob("a"))
    worker.turn()
    wait.set()
    done, _ = _until(worker, m.SceneExported)
    assert done.outcome == "cancelled" and not (tmp_path / "a.ply").exists()


def test_the_worker_ends_with_an_export_under_way(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless(source, path, options):
        while True:
            source.rest(0.001)

    monkeypatch.setitem(write._WRITERS, "points", endless)
    worker.send(m.ExportScene("a", "points", str(tmp_path / "a.ply")))
    worker.turn()
    worker.send(m.Stop())
    worker.turn()
    assert not worker._core.scenes.active


@pytest.mark.parametrize(
    ("format_id", "name", "options", "words"),
    [
        ("mesh", "a.stl", {}, "must end in .glb or .ply or .obj"),
        ("nothing", "a.ply", {}, "no export format"),
        ("points", "a.ply", {"points.size": 3}, "no option points.size"),
        ("voxels", "folder.ply", {}, "a folder has that name"),
    ],
)
def test_what_cannot_be_written_is_told_in_a_sentence(
    worker: Worker, tmp_path: Path, format_id: str, name: str, options: dict, words: str
) -> None:
    (tmp_path / "folder.ply").mkdir()
    worker.send(m.ExportScene("a", format_id, str(tmp_path / name), options))
    done, _ = _until(worker, m.SceneExported)
    assert done.outcome == "failed" and words in done.detail and done.detail[-1] in ".?"


def test_a_fault_ends_the_export_and_not_the_worker(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(source, path, options):
        raise ZeroDivisionError("by nothing")

    monkeypatch.setitem(write._WRITERS, "points", broken)
    worker.send(m.ExportScene("a", "points", str(tmp_path / "a.ply")))
    done, _ = _until(worker, m.SceneExported)
    assert done.outcome == "failed" and "by nothing" in done.detail


def test_a_suffix_says_which_format_is_meant() -> None:
    assert [format_of(f"a{suffix}").id for suffix in (".voxels", ".glb", ".OBJ", ".ply")] == [
        "compact", "mesh", "mesh", "voxels",
    ]  # fmt: skip
    assert format_of("a.ply", "points") is find("points")
    with pytest.raises(UserError, match="must end in"):
        format_of("a.stl")
