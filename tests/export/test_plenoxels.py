# SPDX-License-Identifier: MIT
"""A run becomes a file: `nerfviewer export RUN -o FILE`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app import cli
from engine.export.plenoxels import export_run
from engine.methods.common import create_method, method_class
from engine.methods.plenoxels import npz, quantised
from engine.options import build
from engine.runs import RunSpec, new_run
from engine.training import Training
from tests.fakes import make_scene


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder with a checkpoint of an untrained model of 8 x 8 x 8 cells."""
    config = build(
        method_class("plenoxels").Config, {"schedule.resolutions": "8", "schedule.upsample_at": ""}
    )
    model = create_method("plenoxels", make_scene(), config)
    model.grid.density[:] = np.linspace(-3.0, 50.0, model.grid.n_voxels)
    model.grid.coefficients[:] = np.random.default_rng(0).normal(0.0, 0.3, model.grid.coefficients.shape)
    folder = new_run(RunSpec("demo", "plenoxels"), tmp_path, tmp_path / "run")
    Training(model.scene, model, folder).save()
    return tmp_path / "run"


def test_a_run_becomes_a_public_file(run, tmp_path, capsys):
    assert cli.main(["export", str(run), "-o", str(tmp_path / "a.npz")]) == 0
    back = npz.read(tmp_path / "a.npz")
    assert back.links.shape == (8, 8, 8)
    np.testing.assert_allclose(back.density, np.linspace(-3.0, 50.0, len(back.density)), rtol=1e-5)
    assert "voxels" in capsys.readouterr().err


@pytest.mark.parametrize("bits", [8, 16])
def test_a_run_becomes_a_small_file(run, tmp_path, bits):
    output = tmp_path / "a.plenoxels"
    assert cli.main(["export", str(run), "-o", str(output), "--density-bits", str(bits)]) == 0
    with np.load(output) as file:
        assert file["density"].dtype.itemsize * 8 == bits
    assert quantised.read(output).links.shape == (8, 8, 8)


def test_the_grid_is_that_of_the_newest_checkpoint_without_padding(run, tmp_path):
    grid = export_run(run, tmp_path / "a.npz")
    assert grid.sh.shape == (len(grid.density), 27)


def _refused(arguments, capsys):
    assert cli.main(["export", *map(str, arguments)]) == 2
    return capsys.readouterr().err


def test_what_cannot_be_exported_is_said_in_one_sentence(run, tmp_path, capsys):
    assert "must end in .npz or .plenoxels" in _refused([run, "-o", tmp_path / "a.ply"], capsys)
    assert "not a run folder" in _refused([tmp_path, "-o", tmp_path / "a.npz"], capsys)
    empty = new_run(RunSpec("demo", "plenoxels"), tmp_path, tmp_path / "empty")
    empty.begin()
    assert "no checkpoint yet" in _refused([empty.path, "-o", tmp_path / "a.npz"], capsys)
    other = new_run(RunSpec("demo", "svraster"), tmp_path, tmp_path / "other")
    other.begin()
    assert "only plenoxels runs" in _refused([other.path, "-o", tmp_path / "a.npz"], capsys)
    assert "Cannot write" in _refused([run, "-o", tmp_path / "missing" / "a.npz"], capsys)
