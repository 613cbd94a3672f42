# SPDX-License-Identifier: MIT
"""PSNR of views as colours: red where a view is poor, green where it is good, or orange to blue for any colour vision."""

from __future__ import annotations

import math

import numpy as np

LEVELS = 16  # colours told apart: a frustum is drawn anew only when it moves to another
LEAST_SPAN_DB = (
    2.0  # between the ends of the scale: views that are all alike are not painted as if they differed
)
_OUTLIERS = (5.0, 95.0)  # per cent that decide the ends
# From poor to good, 8 bits a channel.
_PLAIN = np.array([[214, 48, 39], [246, 130, 60], [250, 214, 92], [150, 205, 95], [38, 160, 80]])
_SAFE = np.array([[213, 94, 0], [230, 150, 60], [222, 214, 196], [110, 170, 215], [0, 114, 178]])

Scale = tuple[float, float]


def scale_of(values: np.ndarray) -> Scale | None:
    """Return the whole dB at the two ends of the colours for PSNRs [C], NaN where none is known; None if none is."""
    known = values[np.isfinite(values)]
    if known.size == 0:
        return None
    low, high = (float(v) for v in np.percentile(known, _OUTLIERS))
    low, high = math.floor(low), math.ceil(high)
    if high - low < LEAST_SPAN_DB:
        high = low + LEAST_SPAN_DB
    return float(low), float(high)


def levels_of(values: np.ndarray, scale: Scale) -> np.ndarray:
    """Return a level 0 .. LEVELS - 1 for each PSNR [C], -1 where none is known."""
    low, high = scale
    share = np.clip((np.where(np.isfinite(values), values, low) - low) / (high - low), 0.0, 1.0)
    return np.where(np.isfinite(values), np.round(share * (LEVELS - 1)), -1).astype(np.int8)


def table(safe: bool = False, n: int = LEVELS) -> np.ndarray:
    """Return the colours of `n` levels from poor to good as [n,3] uint8; `safe` for any colour vision."""
    anchors = _SAFE if safe else _PLAIN
    at = np.linspace(0.0, len(anchors) - 1.0, n)
    channels = [np.interp(at, np.arange(len(anchors)), anchors[:, c]) for c in range(3)]
    return np.round(np.stack(channels, axis=1)).astype(np.uint8)
