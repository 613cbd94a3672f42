# SPDX-License-Identifier: MIT
"""From photo files to pixels: decode, composite, straighten, shrink; and a bounded cache over all that.

Decoded photos are kept as 8-bit sRGB, the least recently used goes first. Any thread may call any of it.
"""

from __future__ import annotations

import os
import struct
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from engine.datasets.distortion import RemapTable, remap_table
from engine.datasets.scene import ImageSource
from engine.datasets.shots import Lens
from engine.errors import SceneError
from engine.render.resample import area_resized

if TYPE_CHECKING:
    from PIL import Image

_T = TypeVar("_T")
Progress = Callable[[str, int, int], None]

MAX_THREADS = 8  # decoding is bound by memory bandwidth beyond this
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
)  # what Pillow raises on bad files
_ALPHA_SAMPLES = (
    3  # photos looked at to tell cut-out objects from photographs that merely carry an alpha channel
)


@dataclass(frozen=True)
class Photo:
    """How one view's pixels are made: `lens` as on disk, the pinhole `straight` as shown, no larger."""

    path: Path
    lens: Lens
    straight: Lens
    background: int = 255

    @property
    def nbytes(self) -> int:
        """Bytes of the decoded photo."""
        return self.straight.width * self.straight.height * 3


def photo_size(path: Path) -> tuple[int, int]:
    """Return width and height from the file's header."""
    with _open(path) as image:
        return image.size


def are_cut_out(paths: Sequence[Path]) -> bool:
    """Whether the photos show objects cut out of their surroundings: a few are looked at for transparency."""
    step = max(1, len(paths) // _ALPHA_SAMPLES)
    for path in paths[::step][:_ALPHA_SAMPLES]:
        with _open(path) as image:
            if not _has_alpha(image):
                return False
            alpha = _guarded(path, lambda image=image: image.convert("RGBA").getchannel("A").getextrema())
            if alpha[0] > 127:
                return False
    return True


def decode(path: Path, background: int = 255) -> np.ndarray:
    """Return the photo in a file as uint8 [H,W,3], transparency composited on a grey level."""
    with _open(path) as image:
        return _guarded(path, lambda: _pixels(image, background))


class PhotoSource(ImageSource):
    """The `ImageSource` of photos on disk. Thread-safe; keeps at most `cache_bytes` of decoded photos."""

    def __init__(self, photos: Sequence[Photo], cache_bytes: int) -> None:
        self._photos = tuple(photos)
        self._cache_bytes = cache_bytes
        self._cache: OrderedDict[int, np.ndarray] = OrderedDict()
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
        with self._lock:
            image = self._cache.get(index)
            if image is not None:
                self._cache.move_to_end(index)
                return image
        image = self._make(self._photos[index])
        image.flags.writeable = False
        self._keep(index, image)
        return image

    def nbytes(self) -> int:
        """Return the bytes held by decoded photos right now."""
        return self._held

    def prefetch(self, progress: Progress | None = None, stage: str = "Reading photos") -> None:
        """Decode as many photos as the cache holds, in parallel; raises on the first bad one."""
        fits = np.cumsum([photo.nbytes for photo in self._photos]) <= self._cache_bytes
        count = int(fits.sum())
        pool = ThreadPoolExecutor(min(MAX_THREADS, _cores()), thread_name_prefix="photos")
        try:
            futures = [pool.submit(self.load_uint8, index) for index in range(count)]
            for done, future in enumerate(as_completed(futures), start=1):
                future.result()
                if progress is not None:
                    progress(stage, done, count)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        if count == len(self._photos):
            self._table.cache_clear()

    def _keep(self, index: int, image: np.ndarray) -> None:
        with self._lock:
            if index in self._cache or image.nbytes > self._cache_bytes:
                return
            self._cache[index] = image
            self._held += image.nbytes
            while self._held > self._cache_bytes:
                self._held -= self._cache.popitem(last=False)[1].nbytes

    def _make(self, photo: Photo) -> np.ndarray:
        image = decode(photo.path, photo.background)
        lens, target = photo.lens, photo.straight
        if image.shape[:2] != (lens.height, lens.width):
            came = f"{image.shape[1]} x {image.shape[0]}"
            raise SceneError(
                f"Cannot read {photo.path}: {lens.width} x {lens.height} pixels were wanted, as when the "
                f"scene was opened, got {came}; open the scene again."
            )
        if not lens.distorted:
            return area_resized(image, target.width, target.height).copy()
        return _straightened(image, lens, target, self._table)


def _straightened(
    image: np.ndarray, lens: Lens, target: Lens, table: Callable[[Lens, Lens], RemapTable]
) -> np.ndarray:
    """Undistort and shrink: shrink to about twice the target, remap bilinearly there, average the rest.

    Remapping at twice the resolution keeps bilinear blur below half a target pixel and costs little.
    """
    factor = min(lens.fx / target.fx, lens.fy / target.fy)
    first = max(1, int(factor / 2.0 + 1e-6))
    rest = max(1, round(factor / first))
    if first > 1:
        from PIL import Image

        image = np.asarray(Image.fromarray(image).reduce(first))
        height, width = image.shape[:2]
        lens = replace(
            lens,
            width=width,
            height=height,
            fx=lens.fx / first,
            fy=lens.fy / first,
            cx=lens.cx / first,
            cy=lens.cy / first,
        )
    fine = table(lens, target.resized(target.width * rest, target.height * rest)).apply(image)
    return area_resized(fine, target.width, target.height).copy()


def _pixels(image: Image.Image, background: int) -> np.ndarray:
    if _has_alpha(image):
        rgba = np.asarray(image.convert("RGBA"), dtype=np.float32)
        alpha = rgba[..., 3:] * np.float32(1.0 / 255.0)
        return (rgba[..., :3] * alpha + (background * (1.0 - alpha) + np.float32(0.5))).astype(np.uint8)
    if image.mode.startswith("I"):  # 16-bit grey, which Pillow's own conversion would clip instead of scale
        grey = np.clip(np.asarray(image, dtype=np.float32) / 257.0 + 0.5, 0.0, 255.0).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    return np.array(image.convert("RGB"))


def _has_alpha(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info


def _open(path: Path) -> Image.Image:
    from PIL import Image

    return _guarded(path, lambda: Image.open(path))


def _guarded(path: Path, action: Callable[[], _T]) -> _T:
    """Do something with a photo file and turn what Pillow raises on a bad one into a sentence."""
    from PIL import Image, UnidentifiedImageError

    try:
        return action()
    except UnidentifiedImageError as error:
        raise SceneError(
            f"Cannot read {path}: a photo (PNG, JPEG, ...) was expected and its content is none; "
            "replace the file or remove its frame."
        ) from error
    except (*_BROKEN, Image.DecompressionBombError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise SceneError(
                f"Cannot read {path}: a photo was wanted and the file cannot be opened ({error.strerror}); "
                "check that it exists and may be read."
            ) from error
        detail = str(error).strip().rstrip(".") or type(error).__name__
        raise SceneError(
            f"Cannot read {path}: a whole photo was expected and it is damaged or cut short ({detail}); "
            "copy the file again or remove its frame."
        ) from error


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1
