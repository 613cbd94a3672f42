# SPDX-License-Identifier: MIT
"""The training photos as the kernels want them: uint8, at full, half or quarter size, in bounded memory; their cameras."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict

import numpy as np

from engine.cameras import Camera
from engine.datasets.scene import Split


def halved(image: np.ndarray) -> np.ndarray:
    """Return the 2 x 2 means of a float image [H,W,3]; an odd last row or column is repeated."""
    height, width = image.shape[:2]
    if height % 2 or width % 2:
        image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return 0.25 * (image[0::2, 0::2] + image[1::2, 0::2] + image[0::2, 1::2] + image[1::2, 1::2])


class Targets:
    """`get(view, shrink)` returns uint8 [H,W,3]; the least recently used pictures are dropped beyond `limit_bytes`."""

    def __init__(self, split: Split, limit_bytes: int = 1 << 30) -> None:
        self._split = split
        self._limit = limit_bytes
        self._held: OrderedDict[tuple[int, int], np.ndarray] = OrderedDict()
        self._bytes = 0

    def get(self, view: int, shrink: int) -> np.ndarray:
        """Return the photo of a view, `shrink` (1, 2 or 4) times smaller, box filtered."""
        key = (view, shrink)
        if key in self._held:
            self._held.move_to_end(key)
            return self._held[key]
        image = self._split.images.load(view)
        size = 1
        while size < shrink:
            image, size = halved(image), size * 2
        pixels = np.ascontiguousarray(np.round(image * 255.0).astype(np.uint8))
        self._held[key] = pixels
        self._bytes += pixels.nbytes
        while self._bytes > self._limit and len(self._held) > 1:
            self._bytes -= self._held.popitem(last=False)[1].nbytes
        return pixels

    def nbytes(self) -> int:
        """Return the bytes held."""
        return self._bytes


def camera_of_target(camera: Camera, target: np.ndarray, shrink: int, rays: int) -> Camera:
    """Return the camera of a photo that was made `shrink` times smaller (target [h,w,3]), `rays` rays a pixel side."""
    factor = rays / shrink
    return dataclasses.replace(
        camera,
        width=target.shape[1] * rays,
        height=target.shape[0] * rays,
        fx=camera.fx * factor,
        fy=camera.fy * factor,
        cx=camera.cx * factor,
        cy=camera.cy * factor,
    )
