# SPDX-License-Identifier: MIT
"""SVRaster trained by several processes: every rank holds the whole model, and takes a view of its own in each step.

All ranks draw the same shuffled round of views; of every `size` views, rank r takes the r-th. Gradients are averaged, so a step
is one of a batch of `size` views: learning rates stay as they are (Adam's steps do not grow with the gradient), schedules count
steps, and a round over the photos takes `size` times fewer of them. Statistics are put together in every step as well, so
that all ranks hold the same bits, change their structure alike and any of them can be saved; exposures are fitted by the rank
that has the view, and told to the others.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Protocol

import numpy as np

from engine.constants import SUM_BACKGROUND, SUM_SQUARED
from engine.methods.svraster.objective import psnr_of
from engine.options import flatten
from engine.parallel import ParallelError, Ranks, Solo, bits

if TYPE_CHECKING:
    from engine.methods.svraster.model import SVRaster

CHECK_EVERY = 100  # steps; the models are compared after structure changes too


class Step(Protocol):
    """What a view asks for, before anybody has taken the step."""

    sums: np.ndarray  # the loss sums [N_SUMS]

    def take(self, ranks: Ranks | Solo, extra: np.ndarray) -> None:
        """Take the step with all ranks; `extra` is replaced by its sum."""


class Team:
    """The ranks, and what the step under way is about."""

    def __init__(self, ranks: Ranks | Solo) -> None:
        self.ranks = ranks
        self.views: list[int] = []  # of this step, by rank
        self.others: tuple[tuple[int, float], ...] = ()  # (view, PSNR) of the other ranks
        self._checked = -1  # the structure of which step was compared
        self._n_voxels = 0

    def draw(self, model: SVRaster) -> int:
        """Draw the views of a step and return our own."""
        self._check(model)
        self.views = [model._next_view() for _ in range(self.ranks.size)]
        return self.views[self.ranks.rank]

    def take(self, model: SVRaster, step: Step, pixels: int) -> np.ndarray:
        """Take a step and return our loss sums, with the background's gradient averaged over all ranks."""
        size, rank, sums = self.ranks.size, self.ranks.rank, np.array(step.sums)
        rows = model.exposure.fit_of(self.views[rank], model.step - 1)
        extra = np.zeros(3 + size * (1 + len(rows)), dtype=np.float32)
        mean_gradient, errors, exposures = np.split(extra, [3, 3 + size])  # views of it
        mean_gradient[:] = sums[SUM_BACKGROUND : SUM_BACKGROUND + 3]
        errors[rank] = sums[SUM_SQUARED] / (3 * pixels)
        exposures = exposures.reshape(size, len(rows))
        exposures[rank] = rows
        try:
            step.take(self.ranks, extra)
        except ParallelError:  # nobody took it: whoever saves now saves what was before
            model.step -= 1
            model.queue += reversed(self.views)
            raise
        sums[SUM_BACKGROUND : SUM_BACKGROUND + 3] = mean_gradient / np.float32(size)
        for view, row in zip(self.views, exposures):
            model.exposure.take_fit(view, row, model.step - 1)
        pairs = [(view, psnr_of(float(error))) for view, error in zip(self.views, errors)]
        self.others = tuple(pairs[:rank] + pairs[rank + 1 :])
        return sums

    def _check(self, model: SVRaster) -> None:
        """Now and then compare the models of all ranks, and stop with a sentence if they differ."""
        first, n = self._checked < 0, len(model.octree)
        if not first and n == self._n_voxels and model.step - self._checked < CHECK_EVERY:
            return
        self._checked, self._n_voxels = model.step, n
        if first:
            self.ranks.check_same("photos and options", _fingerprint(model))
        self.ranks.check_same(
            "voxels", zlib.crc32(model.octree.path) ^ zlib.crc32(model.octree.level) ^ model.step
        )
        self.ranks.check_same("densities and colours", bits(model.field.density) ^ bits(model.field.sh))


def _fingerprint(model: SVRaster) -> int:
    """Return a number of everything that training begins with."""
    parts = [repr(flatten(model.config)), repr((model.seed, model.step, model.queue, sorted(model.excluded)))]
    parts += [f"{view.name} {view.camera}" for view in model.scene.train.views]
    return zlib.crc32("\n".join(parts).encode())
