# SPDX-License-Identifier: MIT
"""A scene: posed photos in engine units, split into training and held-out views."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from engine.cameras import Camera


@dataclass(frozen=True)
class View:
    """One posed photo. `name` is what people call it (the file name); `camera` is in engine units at load resolution."""

    name: str
    camera: Camera
    path: Path | None = None


class ImageSource(Protocol):
    """Where the pixels of a list of views come from. Thread-safe; decodes lazily. Masks and depth may be left out."""

    def load(self, index: int) -> np.ndarray:
        """Return image `index` as float32 [H,W,3] sRGB in [0,1], undistorted, composited, at the view's resolution."""

    def load_mask(self, index: int) -> np.ndarray | None:
        """Return uint8 [H,W] of image `index`, 255 where a pixel counts and 0 where not; None: all count."""
        return None

    def load_depth(self, index: int) -> np.ndarray | None:
        """Return float32 [H,W] z-depth of image `index` in engine units, 0 where unknown; None: there is none."""
        return None

    def nbytes(self) -> int:
        """Return the bytes held by decoded images right now."""


@dataclass(frozen=True, eq=False)
class Points:
    """Sparse points of the capture, in engine units, and which views saw them.

    `xyz [P,3]` float32, `rgb [P,3]` uint8, `error_px [P]` float32 reprojection error (0: unknown). Views of a point:
    `seen_by[seen_start[p] : seen_start[p + 1]]`, int32 indices into the scene's views, training views first, then held-out.
    """

    xyz: np.ndarray
    rgb: np.ndarray
    error_px: np.ndarray
    seen_start: np.ndarray
    seen_by: np.ndarray

    def __len__(self) -> int:
        return len(self.xyz)


class NoPhotos(ImageSource):
    """The pixels of views that are only looked from."""

    def load(self, index: int) -> np.ndarray:
        """Raise: there are none."""
        raise ValueError(f"Photo {index} was asked of a scene that holds no photos.")

    def nbytes(self) -> int:
        """Return 0."""
        return 0


@dataclass(frozen=True)
class Split:
    """Views and their images: `images.load(i)` belongs to `views[i]`."""

    views: tuple[View, ...]
    images: ImageSource

    def __len__(self) -> int:
        return len(self.views)


@dataclass(frozen=True)
class Scene:
    """Posed photos, ready to train on.

    Cameras are in engine units: the foreground cube is [-0.5, 0.5]^3 (`data_from_engine [4,4]` leads back to the file's
    coordinates). `outside_levels` shells, each doubling the cube, hold what is around it (0: nothing is). `background`
    is what a ray sees that leaves the world: "white", "black" or "learned". `up [3]` is estimated from the cameras.
    `points` are the capture's sparse points where it has any.
    """

    name: str
    path: str
    kind: str
    train: Split
    test: Split
    background: str
    outside_levels: int
    data_from_engine: np.ndarray
    up: np.ndarray
    warnings: tuple[str, ...] = ()
    points: Points | None = None
    extras: dict[str, object] = field(default_factory=dict)

    def without_photos(self) -> Scene:
        """Return the same views without their pixels, for who only looks: it keeps no photo in memory."""
        nothing = NoPhotos()
        return replace(self, train=Split(self.train.views, nothing), test=Split(self.test.views, nothing))
