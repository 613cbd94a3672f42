# SPDX-License-Identifier: MIT
"""What a view's pixels are made of: its photo, mask and depth, undistorted and at the view's resolution."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from engine.datasets.distortion import RemapTable, covered, distort
from engine.datasets.photo_files import decode, photo_size, read_depth, read_mask
from engine.datasets.shots import Lens
from engine.errors import SceneError
from engine.render.resample import area_resized

_SAME_ASPECT = 0.02  # of the ratio of width and height: what rounding of shrunk masks and depth maps explains

_MOST_ENLARGED = 4  # a mask or depth map may have this many times the photo's width and height

Tables = Callable[[Lens, Lens], RemapTable]


@dataclass(frozen=True)
class Photo:
    """How one view's pixels are made: `lens` as on disk, the pinhole `straight` as shown, no larger.

    `depth_factor` leads from the numbers in the file `depth` to engine units.
    """

    path: Path
    lens: Lens
    straight: Lens
    background: int = 255
    mask: Path | None = None
    depth: Path | None = None
    depth_factor: float = 1.0

    @property
    def nbytes(self) -> int:
        """Bytes of the decoded photo, its own mask and its depth."""
        per_pixel = 3 + (self.mask is not None) + 4 * (self.depth is not None)
        return self.straight.width * self.straight.height * per_pixel


def make_image(photo: Photo, table: Tables) -> np.ndarray:
    """Return the photo as uint8 [H,W,3]."""
    lens, target = photo.lens, photo.straight
    # Decoding at half the shrinking that is wanted leaves at least 2 x 2 pixels to average: on photos the result is
    # within 4 grey levels of averaging everything, 56 dB.
    shrink = int(_shrinking(lens, target) / 2.0 + 1e-6)
    image = decode(photo.path, photo.background, shrink, (lens.width, lens.height))
    return _straightened(image, _divided(lens, lens.width // image.shape[1], image), target, table)


def make_mask(photo: Photo, table: Tables) -> np.ndarray | None:
    """Return uint8 [H,W], 255 where a pixel is wholly inside the photo and its mask, 0 elsewhere; None: all are."""
    lens, target = photo.lens, photo.straight
    counts = covered(lens, target) if lens.distorted else np.ones((target.height, target.width), bool)
    if photo.mask is not None:
        own = _resized_lens(photo.mask, "mask", lens, *photo_size(photo.mask))
        mask = read_mask(photo.mask)
        counts &= _straightened(np.repeat(mask[..., None], 3, axis=2), own, target, table)[..., 0] == 255
    return None if counts.all() else counts.astype(np.uint8) * np.uint8(255)


def make_depth(photo: Photo) -> np.ndarray | None:
    """Return float32 [H,W] z-depth in engine units from the nearest pixel of the depth map, 0 where unknown."""
    if photo.depth is None:
        return None
    target = photo.straight
    if photo.depth.suffix.lower() != ".npy":  # an array takes no more memory than its file; a picture may
        _resized_lens(photo.depth, "depth map", photo.lens, *photo_size(photo.depth))
    depth = read_depth(photo.depth)
    lens = _resized_lens(photo.depth, "depth map", photo.lens, depth.shape[1], depth.shape[0])
    x = (np.arange(target.width) + 0.5 - target.cx) / target.fx
    y = (np.arange(target.height) + 0.5 - target.cy) / target.fy
    xd, yd = distort(lens, *np.meshgrid(x, y))
    column, row = np.floor(xd * lens.fx + lens.cx), np.floor(yd * lens.fy + lens.cy)
    known = (column >= 0) & (column < lens.width) & (row >= 0) & (row < lens.height)
    if lens.distorted:
        known &= covered(lens, target)
    values = depth[np.where(known, row, 0).astype(np.intp), np.where(known, column, 0).astype(np.intp)]
    values = values * np.float32(photo.depth_factor)
    return np.where(known & np.isfinite(values) & (values > 0.0), values, np.float32(0.0))


def _straightened(image: np.ndarray, lens: Lens, target: Lens, table: Tables) -> np.ndarray:
    """Return an image of `lens` as `target` shows it: shrunk to about twice that, remapped there, the rest averaged.

    Remapping bilinearly at twice the resolution keeps its blur below half a target pixel and costs little.
    """
    if not lens.distorted:
        return area_resized(image, target.width, target.height).copy()
    factor = _shrinking(lens, target)
    first = max(1, int(factor / 2.0 + 1e-6))
    rest = max(1, round(factor / first))
    if first > 1:
        from PIL import Image

        image = np.asarray(Image.fromarray(image).reduce(first))
        lens = _divided(lens, first, image)
    fine = table(lens, target.resized(target.width * rest, target.height * rest)).apply(image)
    return area_resized(fine, target.width, target.height).copy()


def _shrinking(lens: Lens, target: Lens) -> float:
    return min(lens.fx / target.fx, lens.fy / target.fy)


def _divided(lens: Lens, n: int, image: np.ndarray) -> Lens:
    """Return the lens of an image whose pixels are n x n pixels of the lens, the last ones perhaps cut."""
    height, width = image.shape[:2]
    return replace(
        lens,
        width=width,
        height=height,
        fx=lens.fx / n,
        fy=lens.fy / n,
        cx=lens.cx / n,
        cy=lens.cy / n,
    )


def _resized_lens(path: Path, what: str, lens: Lens, width: int, height: int) -> Lens:
    """Return the lens at the resolution of a mask or depth map, which must have the photo's shape.

    Asked before the file is decoded: one that claims to be far larger than its photo costs no memory.
    """
    most = _MOST_ENLARGED**2 * lens.width * lens.height
    if width * height > most or abs(
        lens.width * height / (lens.height * width) - 1.0
    ) > _SAME_ASPECT + 1.0 / min(width, height):
        raise SceneError(
            f"Cannot read {path}: a {what} shaped like its photo of {lens.width} x {lens.height} pixels was wanted, "
            f"got {width} x {height}; make it again from that photo or remove it."
        )
    return lens.resized(width, height)
