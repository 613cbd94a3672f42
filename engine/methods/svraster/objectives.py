# SPDX-License-Identifier: MIT
"""The kinds of training steps (`objective.kind`): all change the same voxels, with the same Adam rows and statistics.

"raster" is `SVRaster.train_step` itself. Any other kind is a function in a module of its own that takes the model, draws what
it looks at, takes an Adam step by `engine.cpu.apply_step`, counts `step` and `window_views`, and returns its StepReport;
structure changes are none of its business.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from engine.errors import UserError
from engine.methods.common import StepReport

if TYPE_CHECKING:
    import numpy as np

    from engine.cameras import Camera
    from engine.cpu.lists import VoxelTable, Workspace
    from engine.methods.svraster.model import SVRaster

_STEPS = {  # kind -> module and function
    "batch": (
        "engine.methods.svraster.batch",
        "batch_step",
    ),  # raster, on several views or with a clipped gradient
    "rays": ("engine.methods.svraster.ray_objective", "step"),
    "soft": ("engine.methods.svraster.soft_objective", "soft_step"),
}


def step_of(model: SVRaster) -> Callable[[SVRaster], StepReport] | None:
    """Return the step of a model's objective; None for the model's own. Raises UserError where it cannot be taken."""
    objective = model.active.objective
    kind, asked = objective.kind, f"objective.kind={objective.kind}"
    if kind == "raster":
        if objective.views_per_step == 1 and model.active.rates.clip == 0.0:
            return None
        kind = "batch"
        asked = "rates.clip" if objective.views_per_step == 1 else "objective.views_per_step"
    where = "on a graphics card" if model.card else "by several processes" if model.team is not None else ""
    if where:
        raise UserError(
            f"{asked} cannot be used {where}; leave it as it was, or train on the processor with --device cpu in one process."
        )
    module, name = _STEPS[kind]
    return getattr(import_module(module), name)


def before_adapting(model: SVRaster) -> None:
    """Bring the statistics that a structure change reads up to date, where steps alone do not."""
    if model.active.objective.kind == "rays":
        from engine.methods.svraster import ray_objective

        ray_objective.survey(model)


def soft_picture(
    model: SVRaster, camera: Camera, rays: float, background: np.ndarray, room: Workspace, table: VoxelTable
) -> np.ndarray:
    """Return the picture [H,W,3] that the soft objective trains on, from any camera, `rays` rays a pixel side."""
    from engine.methods import compiling
    from engine.methods.svraster import soft_objective

    compiling.compile_elsewhere(
        model.name, {"objective.kind": "soft"}
    )  # who only looks may be the first to need them
    return soft_objective.soft_picture(model, camera, rays, background, room, table)
