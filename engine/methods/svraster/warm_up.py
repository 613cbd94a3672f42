# SPDX-License-Identifier: MIT
"""SVRaster's kernels, used once by training and looking at eight voxels; see `engine.methods.compiling`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from engine.methods.compiling import tiny_scene
from engine.parallel import Solo

if TYPE_CHECKING:
    from engine.methods.svraster.model import SVRaster

STAGES = ("training kernels", "structure kernels", "view kernels")


def stages(model: SVRaster, together: bool = False) -> Iterator[None]:
    """Do the work of each of STAGES on a small twin of a model; `together`: as one of several processes."""
    config = model.config
    small = dataclasses.replace(config, model=dataclasses.replace(config.model, initial_level=1))
    twin = type(model)(tiny_scene(model.scene.background), small, seed=0)
    if together:
        twin.join(Solo())
    twin.train_step()
    yield
    twin.octree.subdivide(np.ones(8, dtype=bool))
    twin.move_to(*twin.octree.keep(np.arange(8) < 7))
    yield
    twin.render(twin.scene.train.views[0].camera, frozenset({"depth_z"}))
    yield
