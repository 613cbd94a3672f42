# SPDX-License-Identifier: MIT
"""Batches of rays from the training photos, drawn with replacement, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.cameras import Camera
from engine.cpu.crew import Crew
from engine.cpu.ray_batch import cast_rays
from engine.datasets.scene import Split

LIMIT_BYTES = 1 << 30  # of photos held
_FIRST = (
    4  # photos read before the first step; one more is read with each step, so no step waits for all of them
)
_STAY = 8  # steps between exchanges, where not all photos fit


@dataclass(frozen=True)
class Batch:
    """Rays in engine units, `rays_o`, `rays_d [N,3]` float32, unit directions, and `target [N,3]` in [0,1]."""

    rays_o: np.ndarray
    rays_d: np.ndarray
    target: np.ndarray
    view: int  # one of the views they come from


class Photos:
    """Some or all training photos, as bytes. `views` says which; they and `waiting` are what a checkpoint keeps."""

    def __init__(self, split: Split, order: np.ndarray, limit_bytes: int = LIMIT_BYTES) -> None:
        self._split = split
        cameras = [view.camera for view in split.views]
        self._pixels = max(self._pixels_of(camera) for camera in cameras)
        room = int(max(1, min(len(split), limit_bytes // (3 * self._pixels))))
        self._bytes = np.zeros((room, self._pixels, 3), dtype=np.uint8)
        self._lenses = np.zeros((room, 5))
        self._poses = np.zeros((room, 3, 4))
        self._allowed: list[np.ndarray | None] = [
            None
        ] * room  # pixels that count, where a mask leaves some out
        self.views: list[int] = []
        self.waiting = [int(i) for i in order]
        self.excluded: frozenset[int] = frozenset()

    def _pixels_of(self, camera: Camera) -> int:
        """Return how many pixels are held of a photo."""
        return camera.width * camera.height

    def restore(self, views: list[int], waiting: list[int]) -> None:
        """Hold these views, in this order, with these to come."""
        self.views, self.waiting = [], list(waiting)
        for view in views:
            self._put(len(self.views), view)

    def _put(self, slot: int, view: int) -> None:
        camera = self._split.views[view].camera
        photo = np.round(self._split.images.load(view) * 255.0).astype(np.uint8)
        mask = self._split.images.load_mask(view)
        self._bytes[slot, : camera.width * camera.height] = photo.reshape(-1, 3)
        self._lenses[slot] = camera.width, camera.fx, camera.fy, camera.cx, camera.cy
        self._poses[slot] = camera.world_from_cam[:3]
        allowed = None if mask is None else np.flatnonzero(mask.reshape(-1) > 127)
        self._allowed[slot] = None if allowed is None or len(allowed) in (0, mask.size) else allowed
        self.views[slot : slot + 1] = [view]

    def _advance(self, step: int) -> None:
        """Take in the next photo, or exchange one; photos that are left out keep their place but are not drawn from."""
        room = len(self._bytes)
        while len(self.views) < min(_FIRST, room):
            self._put(len(self.views), self.waiting.pop(0))
        if len(self.views) < room:
            self._put(len(self.views), self.waiting.pop(0))
        elif self.waiting and step % _STAY == 0:
            slot = step // _STAY % room
            self.waiting.append(self.views[slot])
            self._put(slot, self.waiting.pop(0))

    def _usable(self, step: int) -> list[int]:
        """Take in what is due at a step, and return the slots to draw from, one at least."""
        self._advance(step)
        usable = [slot for slot, view in enumerate(self.views) if view not in self.excluded]
        while not usable:  # few are held, and all of those are left out
            self.waiting.append(self.views[0])
            self._put(0, self.waiting.pop(0))
            usable = [0] if self.views[0] not in self.excluded else []
        return usable

    def draw(self, rng: np.random.Generator, step: int, rays: int, tile: int, crew: Crew) -> Batch:
        """Return about `rays` rays, in squares of `tile` pixels a side (single pixels where photos have masks)."""
        usable = self._usable(step)
        masked = any(self._allowed[slot] is not None for slot in usable)
        smallest = min(min(self._size(slot)) for slot in usable)
        tile = 1 if masked else min(tile, smallest)
        squares = max(1, round(rays / (tile * tile)))
        slot = np.asarray(usable, dtype=np.int32)[rng.integers(len(usable), size=squares)]
        corner = self._corners(rng.random((squares, 2)), slot, tile, masked)
        shape = (squares * tile * tile, 3)
        rays_o, rays_d = np.empty(shape, dtype=np.float32), np.empty(shape, dtype=np.float32)
        target = np.empty(shape, dtype=np.float32)
        crew.run(
            cast_rays, self._bytes, self._lenses, self._poses, slot, corner, tile, rays_o, rays_d, target
        )
        return Batch(rays_o, rays_d, target, self.views[int(slot[0])])

    def _size(self, slot: int) -> tuple[int, int]:
        camera = self._split.views[self.views[slot]].camera
        return camera.width, camera.height

    def _corners(self, chance: np.ndarray, slot: np.ndarray, tile: int, masked: bool) -> np.ndarray:
        """Return first pixels [Q,2] int32 for chances [Q,2] in [0,1)."""
        sizes = np.array([self._size(i) for i in range(len(self.views))])
        corner = (chance * (sizes[slot] - tile + 1)).astype(np.int32)
        if masked:
            for i in np.unique(slot):
                allowed = self._allowed[i]
                if allowed is not None:
                    mine = np.flatnonzero(slot == i)
                    pixel = allowed[(chance[mine, 0] * len(allowed)).astype(np.int64)]
                    corner[mine, 0], corner[mine, 1] = pixel % sizes[i, 0], pixel // sizes[i, 0]
        return corner

    def nbytes(self) -> int:
        """Return the bytes held."""
        return self._bytes.nbytes
