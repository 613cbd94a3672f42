# SPDX-License-Identifier: MIT
"""A run becomes a file: `nerfviewer export RUN -o FILE`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app import cli
from engine.datasets.box import centre_of_text, with_box
from engine.errors import UserError
from engine.export.plenoxels import export_run
from engine.export.source import voxels_of
from engine.export.voxel_set import as_svraster
from engine.export.write import Source, spec_of
from engine.methods.common import create_method, method_class
from engine.methods.plenoxels import npz, quantised
from engine.metrics import psnr
from engine.options import build
from engine.runs import RunSpec, new_run
from engine.training import Training
from tests.fakes import make_scene
from tests.methods.plenoxels.boxes import boxes_scene


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
    assert "must end in" in _refused([run, "-o", tmp_path / "a.txt"], capsys)
    assert "not a run folder" in _refused([tmp_path, "-o", tmp_path / "a.npz"], capsys)
    empty = new_run(RunSpec("demo", "plenoxels"), tmp_path, tmp_path / "empty")
    empty.begin()
    assert "no checkpoint yet" in _refused([empty.path, "-o", tmp_path / "a.npz"], capsys)
    other = new_run(RunSpec("demo", "svraster"), tmp_path, tmp_path / "other")
    other.begin()
    assert "only plenoxels runs" in _refused([other.path, "-o", tmp_path / "a.npz"], capsys)
    assert "Cannot write" in _refused([run, "-o", tmp_path / "missing" / "a.npz"], capsys)


def test_cells_become_voxels_that_look_like_them() -> None:
    scene = boxes_scene(40, 2, 2)
    config = build(
        method_class("plenoxels").Config, {"schedule.resolutions": "24", "schedule.upsample_at": ""}
    )
    model = create_method("plenoxels", scene, config)
    grid = model.grid
    rows = np.argwhere(grid.links >= 0)
    places = grid.world_from_grid(rows.astype(float))
    grid.density[grid.links[tuple(rows.T)]] = 60.0 * (0.3 - np.linalg.norm(places, axis=1)) / 0.3
    grid.coefficients[:] = np.random.default_rng(0).normal(0.0, 0.3, grid.coefficients.shape)
    voxels = voxels_of(model)
    for view in scene.test.views:
        seen, drawn = model.render(view.camera), voxels.picture(view.camera)
        assert seen.rgb.std() > 0.02 and psnr(drawn.rgb, seen.rgb) > 35.0  # 38.6 seen
    assert voxels.octree.level.max() == 6  # cells of 1/32 cut in two
    np.testing.assert_allclose(voxels.scale * voxels.octree.size.min(), 0.5 / grid.scale.mean(), rtol=1e-6)
    spec = spec_of(Source(model, scene, RunSpec("a", "plenoxels")), voxels)
    again = with_box(scene, centre_of_text(spec.options["box_centre"]), spec.options["box_edge"])
    picture = as_svraster(voxels, again).render(again.test.views[0].camera).rgb
    np.testing.assert_allclose(picture, voxels.picture(scene.test.views[0].camera).rgb, atol=2e-3)


def test_cells_that_are_no_cubes_say_what_to_do_instead() -> None:
    model = create_method("plenoxels", make_scene())
    model.grid.radius[:] = (0.5, 0.25, 0.5)
    with pytest.raises(UserError, match="no cubic voxels"):
        voxels_of(model)
