# SPDX-License-Identifier: MIT
"""A training step along the mean gradient of several views (`objective.views_per_step`), or of one that is clipped.

What each view says is collected as in `engine.cpu.shared_step`, by one process instead of several; one view after the other,
so memory does not grow with their number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.constants import SUM_BACKGROUND, SUM_SQUARED
from engine.cpu.apply_step import GradientSum, apply_gradients
from engine.cpu.crew import crew
from engine.methods.common import StepReport
from engine.methods.svraster.objective import named_losses, psnr_of

if TYPE_CHECKING:
    from engine.methods.svraster.model import SVRaster


def batch_step(model: SVRaster) -> StepReport:
    """Take one step of `model`; losses are means over its views, `others` are all views but the first."""
    config = model.active
    views = [model._next_view() for _ in range(config.objective.views_per_step)]
    gathered, seen = GradientSum(), []
    all_losses: list[tuple[tuple[str, float], ...]] = []
    v_background = np.zeros(3, dtype=np.float64)
    for index in views:
        look = model._look_at(index)
        step = model._descend_from(look, gather=True)
        gathered.add(step.gradients())
        v_background += step.sums[SUM_BACKGROUND : SUM_BACKGROUND + 3]
        losses = named_losses(config.losses, step.sums, float(look.terms.ssim_loss), look.terms.depth_loss)
        all_losses.append(losses)
        seen.append((index, psnr_of(step.sums[SUM_SQUARED] / (3 * look.pixels))))
    model.step += 1
    apply_gradients(
        model.field, gathered.total(), crew(),
        degree=look.degree, adam=look.adam, corrections=model._corrections, share=1.0 / len(views), clip=config.rates.clip,
    )  # fmt: skip
    model.window_views += len(views)
    if model.backdrop.learned and model.region is None:
        model._update_background((v_background / len(views)).astype(np.float32))
    means = tuple((named[0][0], float(np.mean([value for _, value in named]))) for named in zip(*all_losses))
    return StepReport(model.step, views[0], means, seen[0][1], others=tuple(seen[1:]))
