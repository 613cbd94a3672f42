# SPDX-License-Identifier: MIT
"""The loops behind `visualise.py`: float buffers to 8-bit pixels, error maps.

All arrays are contiguous float32 unless said otherwise; `rgba [H,W,4]` is uint8 and opaque throughout.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def _byte(value):  # type: ignore[no-untyped-def]
    """A channel in [0,1] to 8 bits, rounded; NaN becomes 0."""
    scaled = value * np.float32(255.0) + np.float32(0.5)
    if not scaled > np.float32(0.0):
        return np.uint8(0)
    return np.uint8(np.int32(min(scaled, np.float32(255.0))))


@njit(cache=True, nogil=True)
def pack_colour(rgb, rgba):  # type: ignore[no-untyped-def]
    for i in range(rgb.shape[0]):
        for j in range(rgb.shape[1]):
            rgba[i, j, 0] = _byte(rgb[i, j, 0])
            rgba[i, j, 1] = _byte(rgb[i, j, 1])
            rgba[i, j, 2] = _byte(rgb[i, j, 2])
            rgba[i, j, 3] = 255


@njit(cache=True, nogil=True)
def pack_normal(normal, trans, dark, rgba):  # type: ignore[no-untyped-def]
    """Show 0.5 + 0.5 n, faded into `dark` where the pixel is transparent or has no normal."""
    half = np.float32(0.5)
    for i in range(trans.shape[0]):
        for j in range(trans.shape[1]):
            n = normal[i, j]
            there = np.float32(1.0) - trans[i, j]
            if n[0] * n[0] + n[1] * n[1] + n[2] * n[2] < half:
                there = np.float32(0.0)
            for c in range(3):
                behind = np.float32(dark[c] / 255.0)
                rgba[i, j, c] = _byte(behind + there * (half + half * n[c] - behind))
            rgba[i, j, 3] = 255


@njit(cache=True, nogil=True)
def pack_scalar(values, trans, fade, low, high, table, dark, rgba):  # type: ignore[no-untyped-def]
    """Look values up in a table, low to high, NaN at the low end. `fade` mixes in `dark` by transparency."""
    scale = np.float32(255.0) / (high - low)
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            at = (values[i, j] - low) * scale + np.float32(0.5)
            entry = min(np.int32(at), 255) if at > 0.0 and at < 1e6 else (255 if at >= 1e6 else 0)
            seen = np.float32(1.0)
            if fade:
                seen = min(max(np.float32(1.0) - trans[i, j], np.float32(0.0)), np.float32(1.0))
            for c in range(3):
                mixed = dark[c] + seen * (np.float32(table[entry, c]) - dark[c])
                rgba[i, j, c] = np.uint8(np.int32(mixed + np.float32(0.5)))
            rgba[i, j, 3] = 255


@njit(cache=True, nogil=True)
def mean_error(rgb, photo, out):  # type: ignore[no-untyped-def]
    """Mean over the channels of |rgb - photo|, the render clamped to what a screen shows."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            total = np.float32(0.0)
            for c in range(3):
                shown = min(max(rgb[i, j, c], np.float32(0.0)), np.float32(1.0))
                total += abs(shown - photo[i, j, c])
            out[i, j] = total * np.float32(1.0 / 3.0)
