# SPDX-License-Identifier: MIT
"""The photo of a capture view for the viewport, decoded beside the window's loop, the last few kept."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable

import numpy as np

log = logging.getLogger(__name__)

KEPT = 6

LoadPhoto = Callable[[int], "np.ndarray | None"]  # view index -> [H,W,3] float32 in [0,1]


class PhotoCache:
    """Answers at once with what it has and loads the rest; ask again at the next frame of the window."""

    def __init__(self, load: LoadPhoto) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._photos: OrderedDict[int, np.ndarray | None] = OrderedDict()
        self._loading: int | None = None
        self._generation = 0

    def clear(self) -> None:
        """Forget everything: another scene is open."""
        with self._lock:
            self._photos.clear()
            self._generation += 1
            self._loading = None

    def get(self, index: int) -> np.ndarray | None:
        """Return the photo as uint8 [H,W,3], or None while it loads or if it cannot be read."""
        with self._lock:
            if index in self._photos:
                self._photos.move_to_end(index)
                return self._photos[index]
            if self._loading is None:
                self._loading = index
                arguments = (index, self._generation)
                threading.Thread(target=self._run, args=arguments, name="photo", daemon=True).start()
        return None

    @property
    def busy(self) -> bool:
        """Whether a photo is on its way."""
        return self._loading is not None

    def _run(self, index: int, generation: int) -> None:
        photo: np.ndarray | None = None
        try:
            pixels = self._load(index)
            if pixels is not None:
                photo = np.ascontiguousarray(
                    (np.clip(pixels[..., :3], 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
                )
        except Exception as error:  # an unreadable photo is a line in the log, not the end of the viewer
            log.warning("photo not shown view=%d reason=%s", index, error)
        with self._lock:
            if generation == self._generation:
                self._photos[index] = photo
                self._loading = None
                while len(self._photos) > KEPT:
                    self._photos.popitem(last=False)
