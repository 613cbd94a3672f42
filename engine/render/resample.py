# SPDX-License-Identifier: MIT
"""Pictures to fewer pixels by exact area means."""

from __future__ import annotations

import numpy as np


def area_weights(n_from: int, n_to: int) -> np.ndarray:
    """Return [n_to, n_from] float32: the share of each source pixel in each target pixel; rows sum to 1."""
    edges = np.linspace(0.0, n_from, n_to + 1)
    low, high = edges[:-1, None], edges[1:, None]
    cells = np.arange(n_from)[None, :]
    overlap = np.clip(np.minimum(high, cells + 1) - np.maximum(low, cells), 0.0, None)
    return (overlap / overlap.sum(axis=1, keepdims=True)).astype(np.float32)


def box_downsample(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return the area means [height, width, C] of a float32 image [H,W,C]; whole factors are exact block means."""
    rows, columns, channels = image.shape
    if (rows, columns) == (height, width):
        return image
    if rows % height == 0 and columns % width == 0:
        blocks = image.reshape(height, rows // height, width, columns // width, channels)
        return blocks.mean(axis=(1, 3), dtype=np.float32)
    across = np.tensordot(image, area_weights(columns, width), axes=([1], [1]))  # [H, C, w]
    return np.ascontiguousarray(np.einsum("hcw,vh->vwc", across, area_weights(rows, height), optimize=True))
