# SPDX-License-Identifier: MIT
"""What a render job shows: a copy of the open model, which nothing that happens to the model changes, or the model itself."""

from __future__ import annotations

from engine import memory
from engine.cameras import Camera
from engine.errors import UserError
from engine.messages import Began, RenderJob
from engine.methods.common import Buffers, Frozen
from engine.training import Training
from engine.worker_views import choice


class ModelSource:
    """See `worker_jobs.Source`."""

    def __init__(self, training: Training, job: RenderJob) -> None:
        method = training.method
        live = job.live or job.every is not None
        copied = Frozen(method, 0) if live else _frozen(training)
        self._method = copied.method
        self._training = training if live else None
        self.slow = getattr(method, "slow_views", False)
        per_level = method.structure().per_level
        self.finest = max((level for level, count in enumerate(per_level) if count), default=16)
        self.began = Began(method.name, method.step, copied.bytes)

    def render(self, job: RenderJob, camera: Camera, want: frozenset[str]) -> Buffers:
        """Render one camera; a method whose pictures take long gives up soon after the job was cancelled."""
        method = self._method
        # A model that reads what pictures need from the disk would take an interruptible picture as one in passing.
        interruptible = self.slow and getattr(method, "resting", None) is None
        if interruptible:
            method.interrupt = job.cancelled.is_set
        try:
            return method.render(
                camera,
                want,
                supersample=job.supersample,
                background=job.background,
                **choice(method, job.shown),
            )
        finally:
            if interruptible:
                method.interrupt = None

    def progress(self) -> tuple[float, int]:
        """Return the seconds and the steps that the model was trained for by now."""
        return (0.0, 0) if self._training is None else (self._training.seconds, self._training.method.step)


def _frozen(training: Training) -> Frozen:
    try:
        return training.method.frozen()
    except Exception as error:
        if memory.ran_out(error) is None:
            raise
        memory.free_caches()
        raise UserError(
            f"There is no memory for a copy of the model beside itself ({training.method.structure().bytes / 2**20:,.0f} MB "
            "with what training needs); export the model as it trains, or make room."
        ) from error
