# SPDX-License-Identifier: MIT
"""Exposure of single photos: a gain and an offset per channel, for captures whose exposure or white balance drifts.

photo = gain * scene + offset. Both come from least squares between a rendered view and its photo, drawn towards
(1, 0): where a photo is nearly flat, nothing tells gain and offset apart. The scene keeps the mean exposure of its
photos, so held-out views and views from new places are shown as the average photo would have been taken.
"""

from __future__ import annotations

import numpy as np

from engine.methods.svraster.config import ExposureOptions

_RIDGE = 2e-3  # pull towards (1, 0); beside it a photo's variance is typically 0.04
_DARKEST, _BRIGHTEST = 3, 252  # what lies beyond was clipped by the camera and says nothing of its exposure
_LEAST_PIXELS = 64
_LEAST_GAIN, _MOST_GAIN, _MOST_OFFSET = 0.5, 2.0, 0.25


class Exposure:
    """`gain, offset [C,3]` float32 of the training views, and the step [C] of each one's last fit (-1: none)."""

    def __init__(self, n_views: int) -> None:
        self.gain = np.ones((n_views, 3), dtype=np.float32)
        self.offset = np.zeros((n_views, 3), dtype=np.float32)
        self.fitted_at = np.full(n_views, -1, dtype=np.int64)
        self.held = False  # nothing is fitted

    def due(self, view: int, step: int, options: ExposureOptions) -> bool:
        """Whether a view's exposure is to be fitted at a step."""
        if self.held or not options.on or step < options.from_step:
            return False
        last = self.fitted_at[view]
        return last < 0 or step - last >= options.every_steps

    def fit(
        self, view: int, picture: np.ndarray, photo: np.ndarray, mask: np.ndarray | None, step: int
    ) -> None:
        """Fit a view: `picture [h,w,3]` as rendered, `photo` uint8 [h,w,3], `mask` uint8 [h,w] (0: does not count)."""
        self.fitted_at[view] = step
        usable = (photo >= _DARKEST) & (photo <= _BRIGHTEST)
        if mask is not None:
            usable &= mask[..., None] > 0
        for channel in range(3):
            on = usable[..., channel]
            if int(on.sum()) < _LEAST_PIXELS:
                continue
            r = picture[..., channel][on].astype(np.float64)
            error = photo[..., channel][on] / 255.0 - r
            normal = np.array([[np.mean(r * r) + _RIDGE, r.mean()], [r.mean(), 1.0 + _RIDGE]])
            gain, offset = np.linalg.solve(normal, [np.mean(r * error), error.mean()])
            self.gain[view, channel] = np.clip(1.0 + gain, _LEAST_GAIN, _MOST_GAIN)
            self.offset[view, channel] = np.clip(offset, -_MOST_OFFSET, _MOST_OFFSET)

    def relative(self, view: int) -> tuple[np.ndarray, np.ndarray]:
        """Return gain [3] and offset [3] of a view against the mean of the views that were fitted."""
        fitted = self.fitted_at >= 0
        if not fitted[view]:
            return np.ones(3, dtype=np.float32), np.zeros(3, dtype=np.float32)
        mean_gain = np.exp(np.log(self.gain[fitted]).mean(axis=0))
        return self.gain[view] / mean_gain, self.offset[view] - self.offset[fitted].mean(axis=0)

    def neutral(self, view: int, photo: np.ndarray) -> np.ndarray:
        """Return a photo uint8 [h,w,3] as the mean exposure would have shown it."""
        gain, offset = self.relative(view)
        grey = np.arange(256.0)[:, None] / 255.0
        table = np.clip(np.round((grey - offset) / gain * 255.0), 0.0, 255.0).astype(np.uint8)  # [256,3]
        return np.stack([table[:, c][photo[..., c]] for c in range(3)], axis=-1)

    def fit_of(self, view: int, step: int) -> np.ndarray:
        """Return what other processes must know of a step: float32 [7], 1, gain, offset; zeros if nothing was fitted."""
        if self.fitted_at[view] != step:
            return np.zeros(7, dtype=np.float32)
        return np.concatenate([np.ones(1, dtype=np.float32), self.gain[view], self.offset[view]])

    def take_fit(self, view: int, row: np.ndarray, step: int) -> None:
        """Take over what `fit_of` returned in another process."""
        if row[0] > 0.0:
            self.gain[view], self.offset[view], self.fitted_at[view] = row[1:4], row[4:7], step

    def rows(self) -> np.ndarray:
        """Return everything as [C,7] for a checkpoint."""
        return np.concatenate([self.gain, self.offset, self.fitted_at[:, None]], axis=1, dtype=np.float64)

    def load_rows(self, rows: np.ndarray) -> None:
        """Take over what `rows` returned."""
        self.gain, self.offset = rows[:, :3].astype(np.float32), rows[:, 3:6].astype(np.float32)
        self.fitted_at = rows[:, 6].astype(np.int64)
