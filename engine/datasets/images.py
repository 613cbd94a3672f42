# SPDX-License-Identifier: MIT
"""The pixels of a scene's views, made when they are wanted: a bounded cache over photos, masks and depth maps.

Photos are kept as 8-bit sRGB, masks as bytes, depth as floats; the least recently used goes first. Any thread may
call any of it.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import lru_cache

import numpy as np

from engine.datasets.distortion import remap_table
from engine.datasets.photo_files import are_cut_out, decode, photo_size
from engine.datasets.photo_pixels import Photo, make_depth, make_image, make_mask
from engine.datasets.scene import ImageSource

__all__ = ["MAX_THREADS", "Photo", "PhotoSource", "Progress", "are_cut_out", "decode", "photo_size"]

Progress = Callable[[str, int, int], None]

MAX_THREADS = 8  # decoding is bound by memory bandwidth beyond this
_ALL_COUNT = np.zeros((0, 0), dtype=np.uint8)  # stands in the cache for a mask that leaves nothing out


class PhotoSource(ImageSource):
    """The `ImageSource` of photos on disk. Thread-safe; keeps at most `cache_bytes` of what was decoded."""

    def __init__(self, photos: Sequence[Photo], cache_bytes: int) -> None:
        self._photos = tuple(photos)
        self._cache_bytes = cache_bytes
        self._cache: OrderedDict[Hashable, np.ndarray] = OrderedDict()
        self._held = 0
        self._lock = threading.Lock()
        # A table is as large as its photo, and one lens usually serves all; two let a second lens interleave.
        self._table = lru_cache(maxsize=2)(remap_table)

    def __len__(self) -> int:
        return len(self._photos)

    def load(self, index: int) -> np.ndarray:
        """Return photo `index` as float32 [H,W,3] sRGB in [0,1]; the caller may change it."""
        return np.multiply(self.load_uint8(index), np.float32(1.0 / 255.0), dtype=np.float32)

    def load_uint8(self, index: int) -> np.ndarray:
        """Return photo `index` as read-only uint8 [H,W,3] sRGB, without a copy where it is in the cache."""
        photo = self._photos[index]
        return self._cached(("photo", index), lambda: make_image(photo, self._table))

    def load_mask(self, index: int) -> np.ndarray | None:
        """Return read-only uint8 [H,W], 255 where a pixel of photo `index` counts and 0 where not; None: all count."""
        photo = self._photos[index]
        if photo.mask is None and not photo.lens.distorted:
            return None
        # Photos without a mask of their own share the border that undistortion left.
        key = ("border", photo.lens, photo.straight) if photo.mask is None else ("mask", index)
        mask = self._cached(key, lambda: _or_all(make_mask(photo, self._table)))
        return mask if mask.size else None

    def load_depth(self, index: int) -> np.ndarray | None:
        """Return read-only float32 [H,W] z-depth of photo `index` in engine units, 0 where unknown; None: no depth."""
        photo = self._photos[index]
        return None if photo.depth is None else self._cached(("depth", index), lambda: make_depth(photo))

    def nbytes(self) -> int:
        """Return the bytes held by decoded photos, masks and depth maps right now."""
        return self._held

    def prefetch(self, progress: Progress | None = None, stage: str = "Reading photos") -> None:
        """Decode as many photos and masks as the cache holds, in parallel; raises on the first bad one."""
        fits = np.cumsum([photo.nbytes for photo in self._photos]) <= self._cache_bytes
        count = int(fits.sum())
        pool = ThreadPoolExecutor(min(MAX_THREADS, _cores()), thread_name_prefix="photos")
        try:
            futures = [pool.submit(self._fetch, index) for index in range(count)]
            for done, future in enumerate(as_completed(futures), start=1):
                future.result()
                if progress is not None:
                    progress(stage, done, count)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        if count == len(self._photos):
            self._table.cache_clear()

    def _fetch(self, index: int) -> None:
        self.load_uint8(index)
        self.load_mask(index)

    def _cached(self, key: Hashable, make: Callable[[], np.ndarray]) -> np.ndarray:
        with self._lock:
            array = self._cache.get(key)
            if array is not None:
                self._cache.move_to_end(key)
                return array
        array = make()
        array.flags.writeable = False
        self._keep(key, array)
        return array

    def _keep(self, key: Hashable, array: np.ndarray) -> None:
        with self._lock:
            if key in self._cache or array.nbytes > self._cache_bytes:
                return
            self._cache[key] = array
            self._held += array.nbytes
            while self._held > self._cache_bytes:
                self._held -= self._cache.popitem(last=False)[1].nbytes


def _or_all(mask: np.ndarray | None) -> np.ndarray:
    return _ALL_COUNT if mask is None else mask


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1
