# SPDX-License-Identifier: MIT
"""Seconds and pixels of a timeline: which time lies where, which times are labelled, which key is meant. No widgets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEAST_SPAN_S, MOST_SPAN_S = 0.25, 3600.0
MARGIN = 0.04  # of the width, left free on either side when all is shown
SHORTEST_S = 4.0  # what is shown at least when all is shown: a path of one key has no length
_STEPS = (1.0, 2.0, 5.0)
_MINUTES = (15.0, 30.0, 60.0, 120.0, 300.0, 600.0)


@dataclass(frozen=True)
class TimeScale:
    """The stretch of time from `start_s` that `span_s` seconds of `width` pixels show."""

    start_s: float
    span_s: float
    width: float

    @classmethod
    def fitting(cls, start_s: float, end_s: float, width: float) -> TimeScale:
        """Return the scale that shows a path as a whole."""
        span = max(end_s - start_s, SHORTEST_S) / (1.0 - 2.0 * MARGIN)
        return cls(start_s - MARGIN * span, min(span, MOST_SPAN_S), width)

    def x(self, time_s: float) -> float:
        """Return where a time lies."""
        return (time_s - self.start_s) / self.span_s * self.width

    def time(self, x: float) -> float:
        """Return the time at a place."""
        return self.start_s + x / max(self.width, 1.0) * self.span_s

    def zoomed(self, x: float, factor: float) -> TimeScale:
        """Return a scale that shows `factor` times as much, what is at `x` staying there."""
        span = float(np.clip(self.span_s * factor, LEAST_SPAN_S, MOST_SPAN_S))
        return TimeScale(self.time(x) - x / max(self.width, 1.0) * span, span, self.width)

    def panned(self, dx: float) -> TimeScale:
        """Return the scale pulled along by the mouse."""
        return TimeScale(self.start_s - dx / max(self.width, 1.0) * self.span_s, self.span_s, self.width)

    def resized(self, width: float) -> TimeScale:
        """Return the same stretch of time in another width."""
        return TimeScale(self.start_s, self.span_s, width)


@dataclass(frozen=True)
class Tick:
    """A mark of the ruler; without a label it is a small one."""

    time_s: float
    label: str = ""


def ticks(scale: TimeScale, fps: float, label_px: float) -> list[Tick]:
    """Return the ruler's marks, labels at least `label_px` apart; small ones are parts of a step, at last frames."""
    step = label_step(scale.span_s * label_px / max(scale.width, 1.0))
    small = max(step / 5.0, 1.0 / fps)
    small = step / max(1, round(step / small))
    first, last = int(np.ceil(scale.start_s / small)), int(np.floor((scale.start_s + scale.span_s) / small))
    per_label = round(step / small)
    marks = []
    for n in range(max(first, 0), last + 1):  # there is no time before 0
        labelled = n % per_label == 0
        marks.append(Tick(n * small, time_label(n * small, step) if labelled else ""))
    return marks


def label_step(least_s: float) -> float:
    """Return the smallest step of 1, 2, 5, 10 ... seconds or parts, or of whole minutes, that is no less."""
    if least_s > 10.0:
        return next((step for step in _MINUTES if step >= least_s), _MINUTES[-1])
    power = 10.0 ** np.floor(np.log10(max(least_s, 1e-3)))
    return float(next(m * power for m in (*_STEPS, 10.0) if m * power >= least_s * (1.0 - 1e-9)))


def time_label(time_s: float, step_s: float) -> str:
    """Return a time with as many places as a step needs."""
    if step_s >= 15.0:
        return f"{round(time_s) // 60}:{round(time_s) % 60:02d}"
    places = 0 if step_s >= 1.0 else 1 if step_s >= 0.1 else 2
    return f"{time_s:.{places}f} s"


def snapped(time_s: float, fps: float) -> float:
    """Return the time of the nearest frame."""
    return round(time_s * fps) / fps


def key_near(
    scale: TimeScale, times_s: Sequence[float] | np.ndarray, x: float, reach_px: float
) -> int | None:
    """Return the key drawn nearest to a place, None if none is within reach."""
    if len(times_s) == 0:
        return None
    distance = np.abs(np.array([scale.x(time_s) for time_s in times_s]) - x)
    nearest = int(np.argmin(distance))
    return nearest if distance[nearest] <= reach_px else None


def keys_between(times_s: Sequence[float] | np.ndarray, from_s: float, to_s: float) -> list[int]:
    """Return the keys of a stretch of time, whichever end comes first."""
    low, high = min(from_s, to_s), max(from_s, to_s)
    return [i for i, time_s in enumerate(times_s) if low <= time_s <= high]
