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
    from engine.methods.svraster.model import SVRaster

_STEPS: dict[str, tuple[str, str]] = {  # kind -> module and function
    "rays": ("engine.methods.svraster.ray_objective", "step"),
}


def step_of(model: SVRaster) -> Callable[[SVRaster], StepReport] | None:
    """Return the step of a model's objective; None for the model's own. Raises UserError where it cannot be taken."""
    kind = model.active.objective.kind
    if kind == "raster":
        return None
    where = "on a graphics card" if model.card else "by several processes" if model.team is not None else ""
    if where:
        raise UserError(
            f"objective.kind={kind} cannot be trained {where}; choose raster, or train on the processor with --device cpu "
            "in one process."
        )
    module, name = _STEPS[kind]
    return getattr(import_module(module), name)
