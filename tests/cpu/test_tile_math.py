# SPDX-License-Identifier: MIT
"""Windows of a tile: every pixel of a voxel is worked on once, and nothing outside the tile is touched."""

from __future__ import annotations

import itertools

import numpy as np
from numba import njit

from engine.cpu.tile_math import window_start, windows_of


@njit(cache=True)
def _pixels_of(rect, x0, y0, times):
    """Count how often each of a tile's pixels is worked on; return how many windows there were."""
    first, pitch, across, count = windows_of(rect, 0, x0, y0)
    for n in range(count):
        start = window_start(first, pitch, across, n)
        for lane in range(16):
            times[start + (lane >> 2) * pitch + (lane & 3)] += 1
    return count


def test_windows_cover_a_voxels_pixels_once_and_stay_in_the_tile() -> None:
    spans = [
        span
        for span in itertools.product(range(27, 50), repeat=2)
        if span[0] <= span[1] and span[1] >= 32 and span[0] < 48
    ]
    for (left, right), (top, bottom) in itertools.product(spans[::3], spans):
        times = np.zeros(256 + 64, dtype=np.int64)
        _pixels_of(np.array([[left, top, right, bottom]], dtype=np.uint16), 32, 32, times)
        inside = times[:256].reshape(16, 16)
        rows = slice(max(top - 32, 0), min(bottom - 32, 15) + 1)
        columns = slice(max(left - 32, 0), min(right - 32, 15) + 1)
        assert (inside[rows, columns] == 1).all()
        assert inside.max() == 1 and not times[256:].any()


def test_a_voxel_of_up_to_four_pixels_takes_one_window() -> None:
    for left, top in itertools.product(range(13), repeat=2):
        rect = np.array([[left, top, left + 3, top + 3]], dtype=np.uint16)
        assert _pixels_of(rect, 0, 0, np.zeros(320, dtype=np.int64)) == 1
