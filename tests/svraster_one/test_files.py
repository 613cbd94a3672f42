# SPDX-License-Identifier: MIT
"""Voxels in files and in the app's runs are the same voxels; foreign files are refused without being run."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch

from engine.errors import CheckpointError, OptionError
from engine.methods.common import create_method
from engine.metrics import psnr
from engine.options import updated
from engine.runs import RunSpec, new_run
from engine.svraster_one import SVRasterOne
from engine.training import Training
from tests.plenoxels.toy import toy_scene
from tests.svraster_one.small import small_config, small_model, view

SAME_DB = 60.0  # halves against the app's float32


@pytest.fixture(scope="module")
def method():
    """A method of the app on the toy scene, a few steps old."""
    from engine.methods.svraster.config import SVRasterConfig

    options = {"model.initial_level": 4, "model.sh_degree": 1, "schedule.supersample_from": 5}
    found = create_method("svraster", toy_scene(), updated(SVRasterConfig(), options))
    for _ in range(20):
        found.train_step()
    return found


def picture(model, camera):
    from engine.matrices import matrices_of

    out = model.forward(
        *matrices_of(camera, model.frame), mode="inference", size=(camera.height, camera.width)
    )
    return out["rgb"].numpy()


def test_everything_comes_back_from_a_file(tmp_path):
    model = small_model()
    model.voxel_grid.adaptive_subdivision(torch.rand(64, generator=torch.Generator().manual_seed(1)))
    model.export_voxels(tmp_path / "voxels.pth")
    other = SVRasterOne(small_config())
    other.config.voxel.voxel_size = 1.0
    other.import_voxels(tmp_path / "voxels.pth")
    for name in ("densities", "sh"):
        assert torch.equal(getattr(model.voxel_grid, name), getattr(other.voxel_grid, name))
    assert np.array_equal(model.voxel_grid.octree.path, other.voxel_grid.octree.path)
    assert other.frame == model.frame


def test_voxels_in_any_order_are_sorted_as_they_come_in(tmp_path):
    model = small_model()
    model.export_voxels(tmp_path / "voxels.pth")
    record = torch.load(tmp_path / "voxels.pth", weights_only=True)
    generator = torch.Generator().manual_seed(3)
    voxels, points = (torch.randperm(len(record[n]), generator=generator) for n in ("path", "densities"))
    record |= {name: record[name][voxels] for name in ("path", "level", "sh")}
    record |= {name: record[name][points] for name in ("point_ijk", "densities")}
    torch.save(record, tmp_path / "mixed.pth")
    other = SVRasterOne(small_config())
    other.import_voxels(tmp_path / "mixed.pth")
    camera_matrix, intrinsics, _ = view(model)
    pictures = [m(camera_matrix, intrinsics, mode="inference")["rgb"] for m in (model, other)]
    assert torch.equal(*pictures)


class Trap:
    def __reduce__(self):
        return os.mkdir, ("sprung",)


def test_foreign_files_are_refused_and_nothing_in_them_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = small_model()
    torch.save({"x": Trap()}, "trap.pth")
    torch.save({"state": torch.zeros(3)}, "other.pth")
    (tmp_path / "torn.pth").write_bytes(b"PK\x03\x04 not much")
    model.export_voxels("voxels.pth")
    whole = (tmp_path / "voxels.pth").read_bytes()
    (tmp_path / "cut.pth").write_bytes(whole[: len(whole) // 2])
    record = torch.load("voxels.pth", weights_only=True)
    torch.save({**record, "version": 99}, "newer.pth")
    torch.save({**record, "sh": record["sh"][:5]}, "short.pth")
    for name, match in (
        ("missing.pth", "There is no file"),
        ("trap.pth", "more than tensors"),
        ("torn.pth", "it is torn"),
        ("cut.pth", "it is torn"),
        ("other.pth", "no voxels of SVRaster One"),
        ("newer.pth", "version 99"),
        ("short.pth", "damaged"),
    ):
        with pytest.raises(CheckpointError, match=match):
            model.import_voxels(name)
    assert not (tmp_path / "sprung").exists()
    assert len(model.voxel_grid) == 64


def test_a_method_of_the_app_looks_the_same_here(method):
    model = SVRasterOne.from_method(method)
    camera = method.scene.test.views[0].camera
    assert model.frame.extent == 1.0
    assert model.config.rendering.supersample == 2
    assert psnr(picture(model, camera), method.render(camera).rgb) > SAME_DB


def test_a_run_of_the_app_can_be_opened(method, tmp_path):
    run = new_run(RunSpec("toy", "svraster"), tmp_path, tmp_path / "run")
    with pytest.raises(CheckpointError, match="not a run folder"):
        SVRasterOne.from_run(tmp_path / "run")
    run.begin()
    with pytest.raises(CheckpointError, match="no checkpoint yet"):
        SVRasterOne.from_run(tmp_path / "run")
    Training(method.scene, method, run).save()
    model = SVRasterOne.from_run(tmp_path / "run")
    camera = method.scene.test.views[1].camera
    assert psnr(picture(model, camera), method.render(camera).rgb) > SAME_DB
    other = new_run(RunSpec("toy", "plenoxels"), tmp_path, tmp_path / "other")
    other.begin()
    with pytest.raises(CheckpointError, match="run of plenoxels"):
        SVRasterOne.from_run(tmp_path / "other")


def test_voxels_go_back_to_the_app_and_train_on_there(method):
    model = SVRasterOne.from_method(method)
    model.voxel_grid.keep(model.voxel_grid.octree.center[:, 0] < 0.2)
    model.write_into(method)
    camera = method.scene.test.views[0].camera
    assert len(method.octree.path) == len(model.voxel_grid)
    assert psnr(picture(model, camera), method.render(camera).rgb) > SAME_DB
    before = method.train_step().psnr
    for _ in range(10):
        after = method.train_step().psnr
    assert after > before - 3.0
    with pytest.raises(OptionError, match="engine units"):
        small_model().write_into(method)
