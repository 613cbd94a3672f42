# SPDX-License-Identifier: MIT
"""What is written down while a model trains: quality, losses, times, memory, gradients, dead voxels, small looks at views.

Records follow one another quickly at first and every few seconds later; between them only sums are kept, so that watching
costs training next to nothing.
"""

from __future__ import annotations

import math
from typing import Any

from engine.datasets.scene import Scene
from engine.methods.common import Method, StepReport
from engine.probe import probe

EVERY_S = 5.0  # of training, between records
FIRST_S = 0.5  # the first one; then each after a fifth more of training
GROWTH = 0.2
LAST_LOOKS = 4  # at as many views when training pauses or ends
VITALS = (
    "step_ms",
    "memory_mb",
    "waiting",
    "dead",
    "gradient_densities",
    "gradient_colours",
)  # drawn as curves
KEPT = 2_000  # records in memory; then every other one of the older half is dropped


class Monitor:
    """Listens to one model's training. `records` are those of this session and of the run's folder before it."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self.vitals: tuple[tuple[str, float], ...] = ()  # the newest, by the names of curves
        self._due_s = FIRST_S
        self._looked = 0  # at so many views
        self._steps = 0  # since the last record
        self._psnr = 0.0
        self._begin_s = 0.0

    def begin(self, seconds: float, records: list[dict[str, Any]]) -> None:
        """Start at so many seconds of training, after the records that a run's folder holds."""
        self.records = list(records)
        self._start(seconds)

    def note(self, report: StepReport) -> None:
        """Hear of a step."""
        values = [report.psnr, *(psnr for _, psnr in report.others)]
        self._steps += 1
        self._psnr += sum(values) / len(values)

    def due(self, seconds: float) -> bool:
        """Whether a record is wanted after so many seconds of training."""
        return self._steps > 0 and seconds >= self._due_s

    @property
    def pending(self) -> bool:
        """Whether there were steps since the last record."""
        return self._steps > 0

    def record(
        self,
        method: Method,
        scene: Scene,
        seconds: float,
        losses: tuple[tuple[str, float], ...],
        psnr: float,
        facts: dict[str, float],
        looks: int = 1,
    ) -> dict[str, Any]:
        """Return, and keep, a record of the training as it stands; `facts` are known to whoever asks, such as memory."""
        steps, quality, begin_s = self._steps, self._psnr, self._begin_s
        self._start(
            seconds
        )  # whatever happens below: what cannot be looked at now is not tried again at once
        vitals = dict(getattr(method, "vitals", dict)())
        made: dict[str, Any] = {
            "kind": "training",
            "seconds": seconds,
            "step": method.step,
            "psnr": float(psnr),
            "voxels": method.structure().voxels,
            "losses": {name: float(value) for name, value in losses},
            "psnr_mean": quality / max(1, steps),
            "step_ms": 1000.0 * (seconds - begin_s) / max(1, steps),
            "budget": method.structure().budget,
            **facts,
            **vitals,
            "probes": [self._look(method, scene) for _ in range(min(looks, len(scene.train)))],
        }
        known = {name: float(made[name]) for name in VITALS if name in made}
        self.vitals = tuple((name, value) for name, value in known.items() if math.isfinite(value))
        self.add(made)
        return made

    def add(self, record: dict[str, Any]) -> None:
        """Keep a record, of training or of an evaluation."""
        self.records.append(record)
        if len(self.records) > KEPT:
            half = KEPT // 2
            self.records = self.records[:half:2] + self.records[half:]

    def _start(self, seconds: float) -> None:
        self._steps, self._psnr, self._begin_s = 0, 0.0, seconds
        self._due_s = seconds + min(EVERY_S, max(FIRST_S, GROWTH * seconds))

    def _look(self, method: Method, scene: Scene) -> dict[str, Any]:
        """Look at the next view; a stride without a common divisor with most numbers spreads them over the capture."""
        index = self._looked * 37 % len(scene.train)
        self._looked += 1
        return probe(method, scene, index)
