# SPDX-License-Identifier: MIT
"""Training only what is in a region: which voxels, points and pixels take part.

Voxels whose centre lies outside are frozen, and so is every grid point that one of them touches: what is drawn of them keeps
its bits. They still stand in every picture, in front of the region and behind it, so the photos are explained as before. Only
pixels whose rays pass the region count, and only views that look at it are drawn: elsewhere nothing could be learned. The
learned background and the exposures rest meanwhile, since they belong to all pictures.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

import numpy as np

from engine.cameras import Camera
from engine.cpu.lists import ViewLists
from engine.octree import Octree
from engine.region import Region

LEAST_PX = 32  # of a part of a view: SSIM's window, and a few tiles
_MASK_BYTES = 128 << 20  # of pixels that pass the region, held for the next round


class TrainRegion:
    """One region on the training views of one model."""

    def __init__(self, region: Region, cameras: list[Camera]) -> None:
        self.region = region
        self._views = [looks_at(camera, region) for camera in cameras]
        self._octree: Octree | None = None  # what follows was made of
        self._frozen = np.zeros(0, dtype=np.int64)
        self._owners: tuple[np.ndarray, np.ndarray] | None = None
        self._masks: OrderedDict[tuple[int, int], np.ndarray] = OrderedDict()
        self._bytes = 0

    @property
    def views(self) -> frozenset[int]:
        """The training views that look at the region."""
        return frozenset(view for view, looks in enumerate(self._views) if looks)

    def frozen(self, octree: Octree) -> np.ndarray:
        """Return the voxels int64 [n] that keep as they are."""
        if self._octree is not octree:
            self._frozen = np.flatnonzero(~self.region.contains(octree.center))
            self._octree, self._owners = octree, None
        return self._frozen

    def outside(self, octree: Octree) -> np.ndarray:
        """Return bool [V]: which voxels keep as they are."""
        mask = np.zeros(len(octree), dtype=bool)
        mask[self.frozen(octree)] = True
        return mask

    def freeze(
        self, lists: ViewLists, octree: Octree, owners: tuple[np.ndarray, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Take what is frozen out of a view's lists, before a step along its gradients; return the owners of free points."""
        frozen = self.frozen(octree)
        lists.first_pair[frozen] = -1  # the update passes over what a view has not seen
        if self._owners is None:
            self._owners = without_points(*owners, np.unique(octree.corner_idx[frozen]))
        return self._owners

    def part(
        self, view: int, camera: Camera, target: np.ndarray, mask: np.ndarray | None, rays: int
    ) -> tuple[Camera, np.ndarray, np.ndarray]:
        """Return (camera, photo, mask) of the part of a training view around the pixels that count: the rest costs nothing."""
        keep = self.pixels(view, camera, mask, rays)
        (top, bottom), (left, right) = (
            _around(np.flatnonzero(keep.any(axis=axis)), keep.shape[1 - axis]) for axis in (1, 0)
        )
        small = replace(
            camera,
            width=(right - left) * rays,
            height=(bottom - top) * rays,
            cx=camera.cx - left * rays,
            cy=camera.cy - top * rays,
        )
        rows, columns = slice(top, bottom), slice(left, right)
        return (
            small,
            np.ascontiguousarray(target[rows, columns]),
            np.ascontiguousarray(keep[rows, columns]),
        )

    def pixels(self, view: int, camera: Camera, mask: np.ndarray | None, rays: int) -> np.ndarray:
        """Return uint8 [h,w]: 255 where a pixel of a training view counts. `camera` has `rays` rays a pixel side."""
        small = camera if rays == 1 else camera.resized(camera.width // rays, camera.height // rays)
        key = view, small.width
        hit = self._masks.get(key)
        if hit is None:
            origins, directions = small.rays()
            hit = np.where(self.region.hit_by(origins, directions), np.uint8(255), np.uint8(0))
            self._masks[key] = hit
            self._bytes += hit.nbytes
            while self._bytes > _MASK_BYTES and len(self._masks) > 1:
                self._bytes -= self._masks.popitem(last=False)[1].nbytes
        return hit if mask is None else np.minimum(hit, mask)


def _around(on: np.ndarray, size: int) -> tuple[int, int]:
    """Return the first of LEAST_PX or more of `size` pixels that hold all of `on`, and the one behind the last."""
    first, last = (int(on[0]), int(on[-1]) + 1) if len(on) else (0, 0)
    first = max(0, min(first, size - LEAST_PX))
    return first, min(size, max(last, first + LEAST_PX))


def looks_at(camera: Camera, region: Region) -> bool:
    """Whether a camera may see a region: its corners' pixels reach into the picture, or one of them is behind it."""
    pixels, depth = camera.project(region.corners())
    if (depth <= 0.0).all():
        return False
    if (depth <= 0.0).any():
        return True
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    return bool((high > 0.0).all() and low[0] < camera.width and low[1] < camera.height)


def without_points(
    start: np.ndarray,  # [G+1]
    owners: np.ndarray,  # [8 V]
    points: np.ndarray,  # [n]
) -> tuple[np.ndarray, np.ndarray]:
    """Return what `owners_of_points` made, with nobody owning some of the points: they hear of no gradient."""
    count = np.diff(start)
    stays = np.ones(len(count), dtype=bool)
    stays[points] = False
    kept = owners[np.repeat(stays, count)]
    return np.concatenate([[0], np.cumsum(np.where(stays, count, 0))]).astype(start.dtype), kept
