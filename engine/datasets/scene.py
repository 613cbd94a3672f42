# SPDX-License-Identifier: MIT
"""A scene: posed photos in engine units, split into training and held-out views."""

from __future__ import annotations

from dataclasses import dataclass, field
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
    """Where the pixels of a list of views come from. Thread-safe; decodes lazily."""

    def load(self, index: int) -> np.ndarray:
        """Return image `index` as float32 [H,W,3] sRGB in [0,1], undistorted, composited, at the view's resolution."""

    def nbytes(self) -> int:
        """Return the bytes held by decoded images right now."""


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
    extras: dict[str, object] = field(default_factory=dict)
