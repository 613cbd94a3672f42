# SPDX-License-Identifier: MIT
"""Reads the files of photos, masks and depth maps; a bad one gives a sentence."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from engine.datasets.npy import read_npy
from engine.errors import SceneError

if TYPE_CHECKING:
    from PIL import Image

_T = TypeVar("_T")
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
_MOST_DEPTH_BYTES = 400_000_000  # 100 million pixels of float32
_DRAFTS = (8, 4, 2)  # a JPEG can be decoded at these parts of its size, for a part of the time


def photo_size(path: Path) -> tuple[int, int]:
    """Return width and height from the file's header."""
    with _open(path, whole=False) as image:
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


def decode(
    path: Path, background: int = 255, shrink: int = 1, size: tuple[int, int] | None = None
) -> np.ndarray:
    """Return the photo in a file as uint8 [H,W,3], transparency composited on a grey level.

    Where the format allows it, width and height come out divided by a whole number up to `shrink`, which is quicker.
    `size` (width, height) is what the file must have.
    """
    with _open(path) as image:
        if size is not None and image.size != size:
            raise SceneError(
                f"Cannot read {path}: {size[0]} x {size[1]} pixels were wanted, as when the scene was opened, "
                f"got {image.size[0]} x {image.size[1]}; open the scene again."
            )
        return _guarded(path, lambda: _pixels(_drafted(image, shrink), background))


def read_mask(path: Path) -> np.ndarray:
    """Return uint8 [h,w] from a mask's file: 0 where it is black or transparent, 255 elsewhere.

    Black is what is darker than half of the brightest pixel: masks come as 0 and 1, as 0 and 255, or as JPEGs with noise.
    """
    with _open(path) as image:
        return _guarded(path, lambda: _mask_pixels(image))


def read_depth(path: Path) -> np.ndarray:
    """Return the numbers in a depth map's file, a grey picture of 8 or 16 bits or a .npy, as float32 [h,w]."""
    if path.suffix.lower() == ".npy":
        values = _guarded(path, lambda: read_npy(path, _MOST_DEPTH_BYTES))
    else:
        with _open(path) as image:
            values = _guarded(path, lambda: np.array(image))
    values = values[..., 0] if values.ndim == 3 and values.shape[2] == 1 else values
    if values.ndim != 2 or values.dtype.kind not in "fiu" or 0 in values.shape:
        came = f"{values.dtype} {' x '.join(map(str, values.shape))}"
        raise SceneError(
            f"Cannot read {path}: a depth for each pixel was wanted, got an array {came}; "
            "use a grey picture of 16 bits or a two-dimensional .npy."
        )
    return values.astype(np.float32)


def _drafted(image: Image.Image, shrink: int) -> Image.Image:
    """Return the image, asked to decode itself smaller where that divides its size."""
    width, height = image.size
    for n in _DRAFTS:
        if n <= shrink and width % n == 0 and height % n == 0:
            image.draft(image.mode, (width // n, height // n))
            break
    return image


def _mask_pixels(image: Image.Image) -> np.ndarray:
    palette = image.mode == "P"
    alpha = np.asarray(image.convert("RGBA").getchannel("A")) if _has_alpha(image) else None
    grey = np.asarray(image if image.mode.startswith(("I", "F")) else image.convert("L")).astype(np.float32)
    threshold = 0.0 if palette else 0.5 * grey.max()  # colours of a palette are names, none is half another
    counts = grey > threshold
    if alpha is not None:
        counts &= alpha > 127
    return counts.astype(np.uint8) * np.uint8(255)


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


def _open(path: Path, whole: bool = True) -> Image.Image:
    """Return the picture in a file, not decoded yet; not `whole` reads no more than its header.

    A damaged PNG asks its file for gigabytes at once. A file on disk would try; one in memory gives what there is.
    """
    from PIL import Image

    return _guarded(path, lambda: Image.open(io.BytesIO(path.read_bytes()) if whole else path))


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
