# SPDX-License-Identifier: MIT
"""An InfNeRF run becomes voxels that open as a run of SVRaster, or a folder of nodes: `nerfviewer export RUN -o NAME`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app import cli
from engine import training
from engine.datasets.recognise import recognise
from engine.datasets.scene import Scene
from engine.methods.common import create_method, method_class
from engine.methods.svraster import SVRaster
from engine.node_store import open_store
from engine.options import build, flatten
from engine.runs import RunSpec, new_run
from tests.methods.infnerf.plane import plane_scene

SMALL = {
    "field.levels": 4, "field.log2_table": 10, "field.base_res": 4, "field.max_res": 16, "field.hidden": 16,
    "sampling.grid": 4, "tree.max_depth": 2,
}  # fmt: skip


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    found = replace(plane_scene(24, 6, 1), path="demo")
    monkeypatch.setattr(training, "load_scene", lambda path, values, report: found)
    return found


@pytest.fixture
def run(scene: Scene, tmp_path: Path) -> Path:
    """A run folder with a checkpoint of fields that nobody trained."""
    model = create_method("infnerf", scene, build(method_class("infnerf").Config, SMALL))
    model.fields.tables[:] = np.random.default_rng(0).normal(0.0, 0.5, model.fields.tables.shape)
    folder = new_run(RunSpec("demo", "infnerf", 0, {}, flatten(model.config)), tmp_path, tmp_path / "run")
    training.Training(scene, model, folder).save()
    return tmp_path / "run"


def test_a_run_becomes_voxels_that_open_as_a_run_and_train_on(
    run: Path, scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "scene.voxels"
    assert cli.main(["export", str(run), "-o", str(output), "--sh-degree", "1", "--max-voxels", "3000"]) == 0
    assert "voxels" in capsys.readouterr().err
    assert recognise(output).kind == "run"
    opened = training.open_trained(output)
    assert isinstance(opened.method, SVRaster) and opened.run.spec.scene == "demo"
    assert 0 < len(opened.method.octree) <= 3000
    assert opened.method.field.sh.shape[1] == 12  # degree 1
    picture = opened.method.render(scene.test.views[0].camera).rgb
    assert picture.std() > 0.01 and np.isfinite(picture).all()
    opened.method.train_step()


def test_a_folder_of_voxels_of_an_earlier_version_still_opens(scene: Scene, tmp_path: Path) -> None:
    """It was a run of SVRaster in a folder NAME.voxels."""
    model = create_method("svraster", scene)
    spec = RunSpec("demo", "svraster", 0, {}, flatten(model.config))
    training.Training(scene, model, new_run(spec, tmp_path, tmp_path / "old.voxels")).save()
    assert recognise(tmp_path / "old.voxels").kind == "run"
    assert isinstance(training.open_trained(tmp_path / "old.voxels").method, SVRaster)


def test_a_run_becomes_nodes_of_which_only_changes_are_written_again(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "scene.nodes"
    assert cli.main(["export", str(run), "-o", str(output)]) == 0
    store = open_store(output)
    assert f"{store.tree.nodes} nodes, {store.tree.nodes} of them new" in capsys.readouterr().err
    assert cli.main(["export", str(run), "-o", str(output)]) == 0
    assert "0 of them new" in capsys.readouterr().err
    assert open_store(output).generation == 2 and recognise(output).kind == "unknown"


def _refused(arguments: list[object], capsys: pytest.CaptureFixture[str]) -> str:
    assert cli.main(["export", *map(str, arguments)]) == 2
    return capsys.readouterr().err


def test_what_cannot_become_voxels_is_said_in_one_sentence(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run.rename(tmp_path / "a.voxels")
    assert "already holds a run" in _refused([run, "-o", run], capsys)
    empty = new_run(RunSpec("demo", "infnerf"), tmp_path, tmp_path / "empty")
    empty.begin()
    assert "no checkpoint yet" in _refused([empty.path, "-o", tmp_path / "b.voxels"], capsys)
    other = new_run(RunSpec("demo", "svraster"), tmp_path, tmp_path / "other")
    other.begin()
    assert "only infnerf runs" in _refused([other.path, "-o", tmp_path / "b.nodes"], capsys)
    assert "must be a number above 0" in _refused(
        [run, "-o", tmp_path / "b.voxels", "--fineness", "0"], capsys
    )
    assert "not a run folder" in _refused([tmp_path, "-o", tmp_path / "b.voxels"], capsys)
