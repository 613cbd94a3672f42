# SPDX-License-Identifier: MIT
"""What every reader finds in its files: photos with a lens and a pose, still in the files' own units."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.cameras import with_pixels

HOLD_OUT_EVERY = (
    8  # the split of the published methods: photos 0, 8, 16, ... of the sorted names are never trained on
)
MIN_TO_SPLIT = 3  # with fewer photos, holding one out would leave a single training view


@dataclass(frozen=True)
class Lens:
    """A pinhole with OpenCV's distortion: radial `k1 .. k6`, tangential `p1 p2`; `fx fy cx cy` in pixels.

    The radial factor is (1 + k1 r^2 + k2 r^4 + k3 r^6) / (1 + k4 r^2 + k5 r^4 + k6 r^6).
    With `fisheye` it is OpenCV's fisheye model instead: the angle from the axis is multiplied by
    1 + k1 a^2 + k2 a^4 + k3 a^6 + k4 a^8, and there is no tangential part.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    k1: float = 0.0
    k2: float = 0.0
    k3: float = 0.0
    p1: float = 0.0
    p2: float = 0.0
    k4: float = 0.0
    fisheye: bool = False
    k5: float = 0.0
    k6: float = 0.0

    @property
    def distorted(self) -> bool:
        """Whether straight lines come out bent."""
        return self.fisheye or any((self.k1, self.k2, self.k3, self.p1, self.p2, self.k4, self.k5, self.k6))

    def resized(self, width: int, height: int) -> Lens:
        """Return the same view with another number of pixels; distortion is free of pixels and stays."""
        return with_pixels(self, width, height)


@dataclass(frozen=True, eq=False)
class Shot:
    """One photo: `lens` of the file on disk, `world_from_cam [4,4]` with OpenCV axes in the data's units.

    `mask` is a picture whose black pixels do not count; `depth` a 16-bit picture or a .npy of z-depths, in the data's
    units after multiplication by `depth_scale`, 0 where nothing is known.
    """

    name: str
    path: Path
    lens: Lens
    world_from_cam: np.ndarray
    mask: Path | None = None
    depth: Path | None = None
    depth_scale: float = 1.0


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Return a sort key under which "r_2" comes before "r_10"."""
    parts = re.split(r"(\d+)", name.lower())
    return [(1, int(part), "") if part.isdigit() and part.isascii() else (0, 0, part) for part in parts]


def hold_out(shots: list[Shot]) -> tuple[list[Shot], list[Shot]]:
    """Return (training, held-out) shots in natural file-name order: shots 0, 8, 16, ... are held out."""
    ordered = sorted(shots, key=lambda shot: natural_key(shot.name))
    if len(ordered) < MIN_TO_SPLIT:
        return ordered, []
    held_out = ordered[::HOLD_OUT_EVERY]
    return [shot for i, shot in enumerate(ordered) if i % HOLD_OUT_EVERY], held_out
