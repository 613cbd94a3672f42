# SPDX-License-Identifier: MIT
"""The colour behind everything: the scene's, or one that is learned with Adam."""

from __future__ import annotations

import numpy as np

from engine.methods.svraster.config import RateOptions
from engine.methods.svraster.schedule import ADAM_EPSILON, rate_share

_FIXED = {"white": 1.0, "black": 0.0}


class Background:
    """`rgb [3]` float32, and the mean and mean square of its gradients."""

    def __init__(self, kind: str) -> None:
        self.learned = kind == "learned"
        self.rgb = np.full(3, _FIXED.get(kind, 0.5), dtype=np.float32)
        self._mean = np.zeros(3, dtype=np.float32)
        self._square = np.zeros(3, dtype=np.float32)

    def update(
        self, gradient: np.ndarray, rates: RateOptions, step: int, corrections: tuple[float, float]
    ) -> None:
        """Take one step of Adam along a gradient [3]; `corrections` undo the bias of both means."""
        self._mean = rates.beta1 * self._mean + (1.0 - rates.beta1) * gradient
        self._square = rates.beta2 * self._square + (1.0 - rates.beta2) * gradient**2
        mean, square = self._mean * corrections[0], self._square * corrections[1]
        delta = rates.background * rate_share(rates, step) * mean / (np.sqrt(square) + ADAM_EPSILON)
        self.rgb = np.clip(self.rgb - delta, 0.0, 1.0).astype(np.float32)

    def rows(self) -> np.ndarray:
        """Return everything as [3,3] for a checkpoint."""
        return np.stack([self.rgb, self._mean, self._square])

    def load_rows(self, rows: np.ndarray) -> None:
        """Take over what `rows` returned."""
        self.rgb, self._mean, self._square = (row.copy() for row in rows)
