# SPDX-License-Identifier: MIT
"""Pictures to fewer pixels by exact area means: each pixel is the mean over the rectangle it covers."""

from __future__ import annotations

import numpy as np
from numba import njit


def area_weights(n_from: int, n_to: int) -> np.ndarray:
    """Return [n_to, n_from] float32: the share of each source pixel in each target pixel; rows sum to 1."""
    edges = np.linspace(0.0, n_from, n_to + 1)
    low, high = edges[:-1, None], edges[1:, None]
    cells = np.arange(n_from)[None, :]
    overlap = np.clip(np.minimum(high, cells + 1) - np.maximum(low, cells), 0.0, None)
    return (overlap / overlap.sum(axis=1, keepdims=True)).astype(np.float32)


def box_downsample(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return the area means [height, width, C], float32, of an image [H,W,C]; the image itself if it has that size."""
    if image.shape[:2] == (height, width):
        return image
    small = np.empty((height, width, image.shape[2]), np.float32)
    _average_areas(np.ascontiguousarray(image), small)
    return small


def area_resized(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return the area means [height, width, 3] of a photo [H,W,3], both uint8; the photo itself if it has that size."""
    if image.shape[:2] == (height, width):
        return image
    if image.shape[0] % height == 0 and image.shape[1] % width == 0:  # Pillow has a loop of its own for these
        from PIL import Image

        return np.asarray(Image.fromarray(image).reduce((image.shape[1] // width, image.shape[0] // height)))
    return (box_downsample(image, width, height) + np.float32(0.5)).astype(np.uint8)


@njit(cache=True, nogil=True)
def _average_areas(source, out):  # type: ignore[no-untyped-def]
    """Fill `out [h,w,C]` float32 with means of `source [H,W,C]`: rows are summed first, straight through memory."""
    height, width, channels = source.shape
    step_y, step_x = height / out.shape[0], width / out.shape[1]
    rows, sums = source.reshape(height, width * channels), np.empty(width * channels)
    for i in range(out.shape[0]):
        top, bottom = i * step_y, min((i + 1) * step_y, float(height))
        sums[:] = 0.0
        for y in range(int(top), min(int(np.ceil(bottom - 1e-9)), height)):  # less rounding of i * step_y
            share = (min(bottom, y + 1) - max(top, y)) / step_y
            for k in range(width * channels):
                sums[k] += share * rows[y, k]
        for j in range(out.shape[1]):
            left, right = j * step_x, min((j + 1) * step_x, float(width))
            last = min(int(np.ceil(right - 1e-9)), width)
            for c in range(channels):
                total = 0.0
                for x in range(int(left), last):
                    total += (min(right, x + 1) - max(left, x)) * sums[x * channels + c]
                out[i, j, c] = total / step_x
