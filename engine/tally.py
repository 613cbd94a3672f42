# SPDX-License-Identifier: MIT
"""What training saw of each view: how often, how well last time, how well on average."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class ViewTally:
    """A copy of the numbers at one moment. All [C] over training views; NaN where a view was not seen yet.

    `psnr_last`, `psnr_mean` float32 dB, of the training pictures; `seen` int32; `excluded` bool.
    """

    psnr_last: np.ndarray
    psnr_mean: np.ndarray
    seen: np.ndarray
    excluded: np.ndarray


class Tally:
    """Counts on one thread; `copy` gives others numbers that no longer change."""

    def __init__(self, n_train: int) -> None:
        self._last = np.full(n_train, np.nan, dtype=np.float32)
        self._sum = np.zeros(n_train, dtype=np.float64)
        self._seen = np.zeros(n_train, dtype=np.int32)

    def note(self, view: int, psnr: float) -> None:
        """Count one training step on a view."""
        self._last[view] = psnr
        self._sum[view] += psnr
        self._seen[view] += 1

    def copy(self, excluded: frozenset[int]) -> ViewTally:
        """Return the numbers as they stand."""
        mean = np.where(self._seen > 0, self._sum / np.maximum(self._seen, 1), np.nan).astype(np.float32)
        mask = np.zeros(len(self._seen), dtype=bool)
        mask[list(excluded)] = True
        return ViewTally(self._last.copy(), mean, self._seen.copy(), mask)

    def state(self) -> dict[str, np.ndarray]:
        """Return the tensors of a checkpoint."""
        return {
            "tally.last": self._last.copy(),
            "tally.sum": self._sum.copy(),
            "tally.seen": self._seen.copy(),
        }

    def load(self, tensors: dict[str, np.ndarray]) -> None:
        """Go on from a checkpoint; one of before the tally was kept, or of other views, leaves it empty."""
        if {"tally.last", "tally.sum", "tally.seen"} <= set(tensors) and tensors[
            "tally.seen"
        ].shape == self._seen.shape:
            self._last = np.array(tensors["tally.last"], dtype=np.float32)
            self._sum = np.array(tensors["tally.sum"], dtype=np.float64)
            self._seen = np.array(tensors["tally.seen"], dtype=np.int32)
