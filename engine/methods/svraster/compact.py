# SPDX-License-Identifier: MIT
"""Less memory for a model: fewer voxels, or none of what only training needs. A friend of `model.py`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from engine.cpu.lists import Workspace
from engine.methods.common import AdaptReport
from engine.methods.svraster.targets import Targets

if TYPE_CHECKING:
    from engine.methods.svraster.model import SVRaster


def prune_to(model: SVRaster, count: int) -> AdaptReport:
    """Keep the `count` voxels of the heaviest blending weights, and give back the buffers of the others."""
    before = len(model.octree)
    if count < before:
        heaviest = model._weights_seen()
        keep = np.zeros(before, dtype=bool)
        keep[np.argsort(-heaviest, kind="stable")[: max(1, count)]] = True
        model.move_to(*model.octree.keep(keep))
    model._room, model._view_room = Workspace(), Workspace()
    after = len(model.octree)
    return AdaptReport(model.step, before, before - after, 0, after, "fit to memory")


def rest(model: SVRaster) -> None:
    """Drop what only training needs: moments, statistics, buffers, shrunk photos. `load_state` brings everything back.

    The model can still be looked at; its next step, or a change of its voxels, needs its state first.
    """
    field = model.field
    nothing, ages = np.zeros(0, dtype=np.float32), np.zeros(0, dtype=np.uint16)
    model.field = replace(
        field, density_m=nothing, density_v=nothing, density_age=ages, sh_m=nothing, sh_v=nothing, sh_age=ages,
        priority=nothing, heaviest=nothing, footprint=nothing,
    )  # fmt: skip
    model.heaviest_before = nothing
    model._owners = model._scratch = (nothing, nothing)
    model._room = Workspace()
    model._targets = Targets(model.scene.train)
