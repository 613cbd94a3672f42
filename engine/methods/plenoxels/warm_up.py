# SPDX-License-Identifier: MIT
"""Plenoxels' kernels, used once on a grid of a few cells; see `engine.methods.compiling`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine.methods.compiling import tiny_scene
from engine.options import updated
from engine.region import EVERYTHING

if TYPE_CHECKING:
    from engine.methods.plenoxels.model import Plenoxels

STAGES = ("training kernels", "structure kernels", "view kernels")
_SMALL = {"schedule.resolutions": "8 16", "schedule.upsample_at": "", "prune.steps": "", "schedule.rays": 64}


def stages(model: Plenoxels, together: bool = False) -> Iterator[None]:
    """Do the work of each of STAGES on a small twin of a model; it never trains `together` with other processes."""
    twin = type(model)(tiny_scene(model.scene.background), updated(model.config, _SMALL), seed=0)
    twin.train_step()
    yield
    twin.prune_now()
    twin.subdivide_now()
    yield
    camera = twin.scene.train.views[0].camera
    twin.render(camera, frozenset({"depth_z"}))
    if "pick" in twin.inspection.can:
        twin.inspection.pick(camera, 8.0, 8.0, EVERYTHING)
    twin.inspection.details((3,))
    yield
