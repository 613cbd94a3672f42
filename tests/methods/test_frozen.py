# SPDX-License-Identifier: MIT
"""A frozen copy shows the same bits whatever becomes of its model, and holds neither photos nor what trains it."""

from __future__ import annotations

import numpy as np
import pytest

from engine.methods.common import Method, create_method
from engine.methods.infnerf import InfNeRFConfig
from engine.methods.plenoxels import PlenoxelsConfig
from engine.methods.svraster import SVRasterConfig
from engine.options import updated
from tests.methods.infnerf import test_model as infnerf
from tests.methods.plenoxels import test_model as plenoxels
from tests.methods.plenoxels.boxes import boxes_scene
from tests.methods.test_svraster import QUICK as SVRASTER

INDOORS = boxes_scene()
SPHERES = {"spheres.layers": 4, "spheres.height": 16, "model.sh_degree": 0}


# Name -> options, those that make it quick, and what it is trained on.
MODELS = {
    "svraster": (SVRasterConfig(), SVRASTER, INDOORS),
    "plenoxels": (PlenoxelsConfig(), plenoxels.QUICK, INDOORS),
    "spheres": (PlenoxelsConfig(), plenoxels.QUICK | SPHERES, boxes_scene(n_train=12, outdoors=True)),
    "infnerf": (InfNeRFConfig(), infnerf.QUICK, INDOORS),
}


def _model(name: str) -> Method:
    config, values, scene = MODELS[name]
    made = create_method("plenoxels" if name == "spheres" else name, scene, updated(config, values), 1)
    _train(made, 16)
    return made


def _train(made: Method, steps: int) -> None:
    for _ in range(steps):
        made.train_step()


def _seen(made: Method, background: tuple[float, float, float] | None = None) -> bytes:
    camera = INDOORS.test.views[0].camera.resized(24, 24)
    seen = made.render(camera, frozenset({"depth_z"}), supersample=1.0, background=background)
    return seen.rgb.tobytes() + seen.depth_z.tobytes()


@pytest.mark.parametrize("name", ["svraster", "plenoxels", "spheres", "infnerf"])
def test_a_copy_keeps_showing_what_it_was_made_of(name: str) -> None:
    made = _model(name)
    before, red = _seen(made), _seen(made, (1.0, 0.0, 0.0))
    frozen = made.frozen()
    assert frozen.bytes > 0
    assert _seen(frozen.method) == before
    _train(made, 12)
    made.prune_now()
    made.subdivide_now()
    _train(made, 2)
    assert _seen(made) != before, "the model went on"
    assert _seen(frozen.method) == before
    assert _seen(frozen.method, (1.0, 0.0, 0.0)) == red
    with pytest.raises(ValueError, match="holds no photos"):
        frozen.method.scene.train.images.load(0)


@pytest.mark.parametrize("name", ["svraster", "plenoxels", "infnerf"])
def test_a_model_trains_on_as_if_no_copy_were_made_and_looked_at(name: str) -> None:
    alone, looked_at = _model(name), _model(name)
    frozen = looked_at.frozen()
    for _ in range(3):
        _seen(frozen.method)
        _train(looked_at, 3)
    _train(alone, 9)
    assert _seen(alone) == _seen(looked_at)
    tensors = [made.state()[0] for made in (alone, looked_at)]
    assert all(np.array_equal(tensors[0][key], tensors[1][key]) for key in tensors[0])
