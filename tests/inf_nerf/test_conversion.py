# SPDX-License-Identifier: MIT
"""The app's models in the library and back: the same pictures, the same checkpoints."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from engine import checkpoint
from engine.cameras import Camera
from engine.datasets.scene import Scene
from engine.errors import CheckpointError, OptionError
from engine.inf_nerf import InfNeRF, InfNeRFRenderer, InfNeRFRendererConfig
from engine.methods.infnerf import InfNeRF as Method
from engine.methods.infnerf import InfNeRFConfig as MethodConfig
from engine.options import updated
from tests.inf_nerf.small import scene, small_model

OPTIONS = {
    "field.levels": 3, "field.log2_table": 10, "field.max_res": 16, "field.base_res": 4, "field.hidden": 16,
    "field.appearance": 4, "tree.max_depth": 3, "schedule.rays": 256, "sampling.probes": 512,
}  # fmt: skip


def trained(where: Scene, **values) -> Method:
    method = Method(where, updated(MethodConfig(), OPTIONS | values), seed=1)
    for _ in range(40):
        method.train_step()
    return method


def matrices(camera: Camera) -> tuple[torch.Tensor, torch.Tensor]:
    lens = [[camera.fx, 0.0, camera.cx], [0.0, camera.fy, camera.cy], [0.0, 0.0, 1.0]]
    return torch.tensor(camera.world_from_cam), torch.tensor(lens, dtype=torch.float64)


@pytest.fixture(scope="module")
def method() -> Method:
    return trained(scene())


def rendered(draws: InfNeRFRenderer, camera: Camera) -> dict:
    draws.config = InfNeRFRendererConfig(image_width=camera.width, image_height=camera.height)
    return draws.render_image(*matrices(camera))


def assert_same_picture(method: Method, draws: InfNeRFRenderer) -> None:
    camera = method.scene.test.views[1].camera
    wanted, found = method.render(camera, frozenset({"depth_z", "level"})), rendered(draws, camera)
    assert np.ptp(wanted.rgb) > 0.2  # there is something in it
    assert np.abs(found["rgb"].numpy() - wanted.rgb).max() < 1e-5  # float32; worst seen 1e-6
    assert np.abs(found["alpha"].numpy() - (1.0 - wanted.trans)).max() < 1e-5
    there = wanted.trans < 0.9
    assert np.abs(found["depth"].numpy() - wanted.depth_z)[there].max() < 1e-3
    assert np.abs(found["level"].numpy() - wanted.level)[there].max() < 1e-3
    assert found["stats"]["touched_nodes"].tolist() == method.last_touched.tolist()


def test_the_library_renders_the_apps_model_as_the_app_does(method):
    assert_same_picture(method, InfNeRFRenderer(InfNeRF.from_method(method)))


def test_so_it_does_with_surroundings_and_rounds_of_samples():
    around = dataclasses.replace(scene(), outside_levels=2, background="black")
    assert_same_picture(method := trained(around), InfNeRFRenderer(InfNeRF.from_method(method)))
    assert InfNeRF.from_method(method).config.unbounded
    rounds = trained(scene(), **{"sampling.rounds": "24 16"})
    assert_same_picture(rounds, InfNeRFRenderer(InfNeRF.from_method(rounds)))


def test_a_renderer_opens_the_apps_checkpoints(method, tmp_path):
    tensors, header = method.state()
    file = tmp_path / "step-0000040.safetensors"
    checkpoint.save(file, tensors, {"state": header})
    assert_same_picture(method, InfNeRFRenderer.from_checkpoint(file))
    checkpoint.save(file, tensors, {"state": header | {"method": "plenoxels"}})
    with pytest.raises(CheckpointError, match="holds a model of plenoxels; InfNeRF opens those of infnerf"):
        InfNeRFRenderer.from_checkpoint(file)


def test_a_model_of_the_library_becomes_the_apps(method):
    library = InfNeRF.from_method(method)
    other = Method(scene(), method.config, seed=9)
    library.write_into(other)
    assert_same_picture(other, InfNeRFRenderer(library))
    tensors, _ = other.state()
    for name in (
        "tree.depth",
        "tree.cell",
        "fields.tables",
        "fields.mlp",
        "appearance.rows",
        "occupancy.density",
    ):
        assert np.array_equal(tensors[name], method.state()[0][name]), name
    other.train_step()  # goes on


def test_what_does_not_fit_the_method_is_refused_with_a_sentence(method):
    with pytest.raises(OptionError, match=r"fields of .* do not fit the method's"):
        small_model().write_into(method)
    library = InfNeRF.from_method(method)
    library.octree.tree = dataclasses.replace(library.tree, half=2.0)
    with pytest.raises(OptionError, match="in engine units"):
        library.write_into(method)
