# SPDX-License-Identifier: MIT
"""The region as something to take hold of: which handle the mouse means, and where the region goes as it is dragged.

The dot in the middle moves it across the picture, arrows along its axes; a dot on a face moves that face; the ring turns
it about the scene's up. Engine units; mouse places are pixels of the viewport's camera. No widgets, no OpenGL.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from app.view.regions import LEAST_HALF, MOST_HALF, turned
from app.view.sight import across, along_line, distances_px, on_plane
from engine.cameras import Camera
from engine.region import Region

ARROWS, FACES = ("x", "y", "z"), ("-x", "+x", "-y", "+y", "-z", "+z")
RING = "ring"
DOTS = ("middle", *ARROWS, *FACES)  # handles that are points, in the order of `places`
ARROW_REACH = 0.3  # of the largest half edge, beyond the face
RING_REACH = 1.12  # of the farthest corner's distance from the vertical through the middle
RING_POINTS = 72
_EDGE_ON = 0.12  # cosine between sight and up: below, the ring is seen from its edge


def places(region: Region) -> np.ndarray:
    """Return where the handles of DOTS are, [10,3]."""
    centre, half, axes = _parts(region)
    tips = [centre + (half[k] + ARROW_REACH * half.max()) * axes[:, k] for k in range(3)]
    faces = [centre + sign * half[k] * axes[:, k] for k in range(3) for sign in (-1.0, 1.0)]
    return np.array([centre, *tips, *faces])


def arrows(region: Region) -> np.ndarray:
    """Return the lines [3,2,3] of the arrows, from the faces to the tips."""
    all_places = places(region)
    return np.stack([all_places[[5, 7, 9]], all_places[1:4]], axis=1).astype(np.float32)


def edges(region: Region) -> np.ndarray:
    """Return the 12 edges [12,2,3] of the box."""
    pairs = [(a, a | bit) for bit in (1, 2, 4) for a in range(8) if not a & bit]
    return region.corners()[np.array(pairs)].astype(np.float32)


def ring(region: Region, up: np.ndarray) -> np.ndarray:
    """Return the points [RING_POINTS,3] of the ring, in the plane through the middle across `up`."""
    up = np.asarray(up, dtype=np.float64) / np.linalg.norm(up)
    centre, _, axes = _parts(region)
    out = region.corners() - centre
    radius = RING_REACH * np.linalg.norm(out - np.outer(out @ up, up), axis=1).max()
    first = axes[:, int(np.argmin(np.abs(axes.T @ up)))]
    first = first - (first @ up) * up
    first /= np.linalg.norm(first)
    angle = np.linspace(0.0, 2.0 * np.pi, RING_POINTS, endpoint=False)[:, None]
    return centre + radius * (np.cos(angle) * first + np.sin(angle) * np.cross(up, first))


def pick(region: Region, up: np.ndarray, camera: Camera, x: float, y: float, radius_px: float) -> str | None:
    """Return the handle under a pixel: the nearest dot, of equal ones that in front; else the ring."""
    pixels, depth = camera.project(places(region))
    distance = np.hypot(pixels[:, 0] - x, pixels[:, 1] - y)
    distance[depth < 0.01] = np.inf
    if distance.min() <= radius_px:
        close = np.flatnonzero(distance <= distance.min() + 2.0)
        return DOTS[int(close[np.argmin(depth[close])])]
    corners = ring(region, up)
    pieces = np.stack([corners, np.roll(corners, -1, axis=0)], axis=1)
    return RING if distances_px(camera, pieces, x, y).min() <= 0.6 * radius_px else None


@dataclass(frozen=True, eq=False)
class RegionDrag:
    """A handle in hand: the region and the pixel it was taken at."""

    handle: str
    start: Region
    up: np.ndarray
    x: float
    y: float

    def moved(self, camera: Camera, x: float, y: float) -> Region:
        """Return the region with the mouse at another pixel; where the picture leaves that open, as it was."""
        centre, _, _ = _parts(self.start)
        if self.handle == "middle":
            return replace(self.start, centre=centre + across(centre, camera, x - self.x, y - self.y))
        if self.handle == RING:
            return turned(self.start, self.up, self._angle(camera, x, y))
        return self._along(camera, x, y)

    def _along(self, camera: Camera, x: float, y: float) -> Region:
        """Move the whole box along an arrow, or one face of it."""
        centre, half, axes = _parts(self.start)
        k = ARROWS.index(self.handle[-1])
        grip = places(self.start)[DOTS.index(self.handle)]
        before = along_line(grip, axes[:, k], camera, self.x, self.y)
        now = along_line(grip, axes[:, k], camera, x, y)
        if before is None or now is None:
            return self.start
        step = float(np.clip(now - before, -MOST_HALF, MOST_HALF))
        if self.handle in ARROWS:
            return replace(self.start, centre=centre + step * axes[:, k])
        sign = 1.0 if self.handle[0] == "+" else -1.0
        longer = np.clip(half[k] + 0.5 * sign * step, LEAST_HALF, MOST_HALF) - half[k]
        half[k] += longer
        return replace(self.start, centre=centre + sign * longer * axes[:, k], half=half)

    def _angle(self, camera: Camera, x: float, y: float) -> float:
        """Return how far the ring was turned; seen from its edge, a mouse across its width turns it by half a circle."""
        up = self.up / np.linalg.norm(self.up)
        centre, _, _ = _parts(self.start)
        before, now = (on_plane(centre, up, camera, *at, _EDGE_ON) for at in ((self.x, self.y), (x, y)))
        if before is not None and now is not None:
            first, second = before - centre, now - centre
            return float(np.arctan2(np.cross(first, second) @ up, first @ second))
        pixels, _ = camera.project(ring(self.start, up))
        width = np.ptp(pixels[:, 0])
        towards = -1.0 if camera.world_from_cam[:3, 1] @ up > 0.0 else 1.0  # the image may stand on its head
        return float(np.pi * towards * (x - self.x) / max(width, 1.0))


def _parts(region: Region) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return centre [3], half edges [3] and axes [3,3], the columns, as arrays."""
    return np.array(region.centre), np.array(region.half), np.array(region.rotation)
