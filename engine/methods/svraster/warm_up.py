# SPDX-License-Identifier: MIT
"""SVRaster's kernels, used once by training and looking at eight voxels; see `engine.methods.compiling`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.methods.compiling import tiny_scene
from engine.methods.svraster.config import SVRasterConfig
from engine.options import updated
from engine.parallel import Solo
from engine.region import EVERYTHING

if TYPE_CHECKING:
    from engine.methods.svraster.model import SVRaster

STAGES = ("training kernels", "structure kernels", "view kernels")


def variant(config: SVRasterConfig) -> dict[str, Any]:
    """Return the options that need kernels of their own."""
    kind = config.objective.kind
    return {} if kind == "raster" else {"objective.kind": kind}


def stages(model: SVRaster, together: bool = False) -> Iterator[None]:
    """Do the work of each of STAGES on a small twin of a model; `together`: as one of several processes."""
    config = model.config
    small = dataclasses.replace(config, model=dataclasses.replace(config.model, initial_level=1))
    twin = type(model)(tiny_scene(model.scene.background), small, seed=0)
    if together:
        twin.join(Solo())
    twin.train_step()
    if config.objective.kind == "soft" and not model.card:  # with the camera's gradients it is another kernel
        refined = updated(small, {"poses.refine": True, "poses.from_step": 0, "objective.kind": "soft"})
        for each in (updated(small, {"poses.refine": False}), refined):
            twin.use(each)
            twin.train_step()
        twin.render(twin.scene.train.views[0].camera, frozenset({"soft"}))
    yield
    twin.octree.subdivide(np.ones(8, dtype=bool))
    twin.move_to(*twin.octree.keep(np.arange(8) < 7))
    yield
    camera = twin.scene.train.views[0].camera
    twin.render(camera, frozenset({"depth_z", "density"}))
    twin.inspection.pick(camera, 8.0, 8.0, EVERYTHING)
    twin.inspection.details((1,))
    yield
