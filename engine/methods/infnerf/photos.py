# SPDX-License-Identifier: MIT
"""Batches of rays from the training photos at several scales: every pixel of every scale is as likely as any other.

So a scale has a quarter of the rays of the one before it, as the levels of the tree have a quarter of the nodes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.cameras import Camera
from engine.cpu.crew import Crew
from engine.cpu.pyramid_rays import cast_pyramid
from engine.datasets.scene import Split
from engine.methods.infnerf.config import PyramidOptions
from engine.methods.plenoxels.photos import LIMIT_BYTES, Photos
from engine.node_tree import FOOTPRINT_RADIUS
from engine.render.resample import box_downsample


@dataclass(frozen=True)
class Batch:
    """Rays in engine units: `rays_o`, `rays_d [N,3]` float32, directions of length 1 along their camera's axis, `target
    [N,3]` in [0,1], `footprint [N]` a pixel's radius at depth 1, `view [N]` int32 where they come from.
    """

    rays_o: np.ndarray
    rays_d: np.ndarray
    target: np.ndarray
    footprint: np.ndarray
    view: np.ndarray


def pyramid_of(camera: Camera, options: PyramidOptions) -> list[Camera]:
    """Return a camera at each of its scales, itself first, as far as the picture stays large enough."""
    cameras = [camera]
    while len(cameras) < options.scales:
        width, height = camera.width >> len(cameras), camera.height >> len(cameras)
        if min(width, height) < options.smallest:
            break
        cameras.append(camera.resized(width, height))
    return cameras


class PyramidPhotos(Photos):
    """Some or all training photos with their smaller scales, as bytes."""

    def __init__(
        self, split: Split, order: np.ndarray, options: PyramidOptions, limit_bytes: int = LIMIT_BYTES
    ) -> None:
        self._options = options
        super().__init__(split, order, limit_bytes)
        scales = max(len(self.scales(i)) for i in range(len(split)))
        self._scale_lenses = np.zeros((len(self._bytes), scales, 5))
        self._starts = np.zeros((len(self._bytes), scales + 1), dtype=np.int64)

    def scales(self, view: int) -> list[Camera]:
        """Return the cameras of a view's scales."""
        return pyramid_of(self._split.views[view].camera, self._options)

    def _pixels_of(self, camera: Camera) -> int:
        return sum(c.width * c.height for c in pyramid_of(camera, self._options))

    def _put(self, slot: int, view: int) -> None:
        photo, mask = self._split.images.load(view), self._split.images.load_mask(view)
        cameras, first, allowed = self.scales(view), 0, []
        self._starts[slot] = self._pixels_of(cameras[0])  # scales that this photo does not have are empty
        for k, camera in enumerate(cameras):
            small = box_downsample(photo, camera.width, camera.height).reshape(-1, 3)
            self._bytes[slot, first : first + len(small)] = np.round(small * 255.0).astype(np.uint8)
            self._scale_lenses[slot, k] = camera.width, camera.fx, camera.fy, camera.cx, camera.cy
            self._starts[slot, k] = first
            if mask is not None:
                whole = box_downsample(mask[..., None].astype(np.float32), camera.width, camera.height)
                allowed.append(first + np.flatnonzero(whole.reshape(-1) > 254.5))
            first += len(small)
        self._poses[slot] = cameras[0].world_from_cam[:3]
        some = np.concatenate(allowed) if allowed else np.zeros(0, np.int64)
        self._allowed[slot] = None if len(some) in (0, first) else some
        self.views[slot : slot + 1] = [view]

    def draw(
        self, rng: np.random.Generator, step: int, rays: int, crew: Crew, emphasis: float = 1.0
    ) -> Batch:
        """Return `rays` rays, of pixels drawn evenly from all scales of all photos held.

        With an `emphasis`, a scale's pixels are so many times as likely as those of the scale before.
        """
        usable = np.asarray(self._usable(step), dtype=np.int32)
        starts = self._starts[
            usable
        ]  # [slots, scales + 1]; where pixels are masked, of the list of those that are not
        for k, slot in enumerate(usable):
            allowed = self._allowed[slot]
            if allowed is not None:
                starts[k] = np.searchsorted(allowed, self._starts[slot])
        counts = np.diff(starts, axis=1)
        ends = np.cumsum(counts * emphasis ** np.arange(counts.shape[1]))
        chosen = np.searchsorted(ends, rng.random(rays) * ends[-1], side="right")
        which, scale = np.divmod(np.minimum(chosen, np.flatnonzero(counts)[-1]), counts.shape[1])
        pixel = starts[which, scale] + (rng.random(rays) * counts[which, scale]).astype(np.int64)
        slot = usable[which]
        for k, held in enumerate(usable):
            allowed = self._allowed[held]
            if allowed is not None:
                mine = which == k
                pixel[mine] = allowed[pixel[mine]]
        rays_o, rays_d, target = (np.empty((rays, 3), dtype=np.float32) for _ in range(3))
        footprint = np.empty(rays, dtype=np.float32)
        crew.run(
            cast_pyramid, self._bytes, self._starts, self._scale_lenses, self._poses, FOOTPRINT_RADIUS, slot, pixel,
            rays_o, rays_d, target, footprint,
        )  # fmt: skip
        view = np.asarray(self.views, dtype=np.int32)[slot]
        return Batch(rays_o, rays_d, target, footprint, view)
