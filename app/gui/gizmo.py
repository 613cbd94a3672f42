# SPDX-License-Identifier: MIT
"""The foreground box as something to take hold of: which handle the mouse means, and where the box goes as it is dragged.

Arrows move the box along an axis, the dot in the middle moves it across the picture, a corner makes it larger or
smaller about its middle. Engine units; mouse places are pixels of the viewport's camera. No widgets, no OpenGL.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from app.view.frusta import box_segments
from app.view.sight import across, along_line
from engine.cameras import Camera

ARROW_REACH = 0.72  # of the edge, from the middle: the arrows' tips stand outside the box
MIN_EDGE, MAX_EDGE = 0.01, 64.0
CORNERS = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
HANDLES = ("middle", "x", "y", "z", *(f"corner {n}" for n in range(8)))


@dataclass(frozen=True, eq=False)
class Box:
    """A cube: centre [3] and edge."""

    centre: np.ndarray
    edge: float

    def places(self) -> np.ndarray:
        """Return where the handles are, [12,3] in the order of HANDLES."""
        tips = self.centre + ARROW_REACH * self.edge * np.eye(3)
        return np.concatenate([self.centre[None], tips, self.centre + self.edge * CORNERS])

    def edges(self) -> np.ndarray:
        """Return the lines of the box [12,2,3]."""
        return box_segments(self.centre - 0.5 * self.edge, self.centre + 0.5 * self.edge)

    def arrows(self) -> np.ndarray:
        """Return the lines of the arrows [3,2,3], along x, y and z."""
        tips = self.places()[1:4]
        return np.stack([np.broadcast_to(self.centre, tips.shape), tips], axis=1).astype(np.float32)


def pick_handle(box: Box, camera: Camera, x: float, y: float, radius_px: float = 12.0) -> str | None:
    """Return the handle under a pixel; of several the nearest one, and of equal ones that in front."""
    pixels, depth = camera.project(box.places())
    distance = np.hypot(pixels[:, 0] - x, pixels[:, 1] - y)
    distance[depth < 0.01] = np.inf
    if distance.min() > radius_px:
        return None
    close = np.flatnonzero(distance <= distance.min() + 2.0)
    return HANDLES[int(close[np.argmin(depth[close])])]


@dataclass(frozen=True, eq=False)
class Drag:
    """A handle in hand: the box and the pixel it was taken at."""

    handle: str
    start: Box
    x: float
    y: float

    def moved(self, camera: Camera, x: float, y: float) -> Box:
        """Return the box with the mouse at another pixel; where the picture leaves that open, as it was."""
        if self.handle == "middle":
            return self._across(camera, x, y)
        if self.handle in ("x", "y", "z"):
            return self._along("xyz".index(self.handle), camera, x, y)
        return self._scaled(camera, x, y)

    def _across(self, camera: Camera, x: float, y: float) -> Box:
        step = across(self.start.centre, camera, x - self.x, y - self.y)
        return Box(self.start.centre + step, self.start.edge)

    def _along(self, axis: int, camera: Camera, x: float, y: float) -> Box:
        before = along_line(self.start.centre, np.eye(3)[axis], camera, self.x, self.y)
        now = along_line(self.start.centre, np.eye(3)[axis], camera, x, y)
        if before is None or now is None:
            return self.start
        centre = self.start.centre.copy()
        centre[axis] += np.clip(now - before, -MAX_EDGE, MAX_EDGE)
        return Box(centre, self.start.edge)

    def _scaled(self, camera: Camera, x: float, y: float) -> Box:
        pixels, _ = camera.project(self.start.centre[None])
        before = np.hypot(self.x - pixels[0, 0], self.y - pixels[0, 1])
        now = np.hypot(x - pixels[0, 0], y - pixels[0, 1])
        edge = self.start.edge * now / max(before, 1.0)
        return Box(self.start.centre, float(np.clip(edge, MIN_EDGE, MAX_EDGE)))
