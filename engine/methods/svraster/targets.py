# SPDX-License-Identifier: MIT
"""The training photos and masks as the kernels want them: uint8, whole, half or quarter size, in bounded memory; cameras."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable

import numpy as np

from engine.cameras import Camera
from engine.datasets.scene import Split


def halved(image: np.ndarray) -> np.ndarray:
    """Return the 2 x 2 means of a float image [H,W,3]; an odd last row or column is repeated."""
    height, width = image.shape[:2]
    if height % 2 or width % 2:
        image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return 0.25 * (image[0::2, 0::2] + image[1::2, 0::2] + image[0::2, 1::2] + image[1::2, 1::2])


def halved_mask(mask: np.ndarray) -> np.ndarray:
    """Return the 2 x 2 minima of a mask [H,W]: a shrunk pixel counts if all it is made of counts."""
    height, width = mask.shape
    if height % 2 or width % 2:
        mask = np.pad(mask, ((0, height % 2), (0, width % 2)), mode="edge")
    return np.minimum(
        np.minimum(mask[0::2, 0::2], mask[1::2, 0::2]), np.minimum(mask[0::2, 1::2], mask[1::2, 1::2])
    )


class Targets:
    """Photos and masks at the size asked for; the least recently used are dropped beyond `limit_bytes`."""

    def __init__(self, split: Split, limit_bytes: int = 1 << 30) -> None:
        self._split = split
        self._limit = limit_bytes
        self._held: OrderedDict[tuple[int, int, str], np.ndarray | None] = OrderedDict()
        self._bytes = 0

    def get(self, view: int, shrink: int) -> np.ndarray:
        """Return the photo of a view as uint8 [H,W,3], `shrink` (1, 2 or 4) times smaller, box filtered."""
        pixels = self._cached(view, shrink, "photo", self._photo)
        assert pixels is not None
        return pixels

    def mask(self, view: int, shrink: int) -> np.ndarray | None:
        """Return the mask of `get(view, shrink)` as uint8 [H,W], 255 where a pixel counts, else 0; None: all count."""
        return self._cached(view, shrink, "mask", self._mask)

    def _photo(self, view: int, shrink: int) -> np.ndarray:
        image = self._split.images.load(view)
        for _ in range(shrink.bit_length() - 1):
            image = halved(image)
        return np.ascontiguousarray(np.round(image * 255.0).astype(np.uint8))

    def _mask(self, view: int, shrink: int) -> np.ndarray | None:
        mask = self._split.images.load_mask(view)
        if mask is None or mask.all():
            return None
        mask = np.where(mask > 127, np.uint8(255), np.uint8(0))
        for _ in range(shrink.bit_length() - 1):
            mask = halved_mask(mask)
        return np.ascontiguousarray(mask)

    def _cached(
        self, view: int, shrink: int, kind: str, make: Callable[[int, int], np.ndarray | None]
    ) -> np.ndarray | None:
        key = (view, shrink, kind)
        if key in self._held:
            self._held.move_to_end(key)
            return self._held[key]
        made = self._held[key] = make(view, shrink)
        self._bytes += 0 if made is None else made.nbytes
        while self._bytes > self._limit and len(self._held) > 1:
            dropped = self._held.popitem(last=False)[1]
            self._bytes -= 0 if dropped is None else dropped.nbytes
        return made

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
