# SPDX-License-Identifier: MIT
"""Rays of single pixels or small squares of many photos, and the colours they should have."""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.cpu.simd import fetch_add

_SQUARES = 64  # squares a thread takes at a time


@njit(cache=True, nogil=True)
def cast_rays(counter, photos, lenses, poses, slot, corner, tile, rays_o, rays_d, target):
    """Write the rays through the pixels of squares of photos, and the pixels' colours.

    Inputs: photos uint8 [P,M,3], rows of pixels without gaps; lenses float64 [P,5]: width fx fy cx cy;
    poses float64 [P,3,4], world_from_cam; slot int32 [Q], the photo of a square; corner int32 [Q,2], its first x and y.
    Outputs: rays_o, rays_d [Q tile tile,3] float32, unit directions; target likewise, in [0,1]. Parallel over: squares.
    """
    n, size = slot.shape[0], tile * tile
    byte = np.float32(1.0 / 255.0)
    while True:
        first = fetch_add(counter, 0, _SQUARES)
        if first >= n:
            return
        for q in range(first, min(first + _SQUARES, n)):
            photo, pose = slot[q], poses[slot[q]]
            width, fx, fy, cx, cy = lenses[photo]
            for p in range(size):
                x, y, ray = corner[q, 0] + p % tile, corner[q, 1] + p // tile, q * size + p
                u, v = (x + 0.5 - cx) / fx, (y + 0.5 - cy) / fy
                inverse = 1.0 / np.sqrt(u * u + v * v + 1.0)
                pixel = y * np.int64(width) + x
                for axis in range(3):
                    rays_o[ray, axis] = pose[axis, 3]
                    rays_d[ray, axis] = (pose[axis, 0] * u + pose[axis, 1] * v + pose[axis, 2]) * inverse
                    target[ray, axis] = photos[photo, pixel, axis] * byte


@njit(cache=True, nogil=True)
def cast_pixels(lenses, poses, slot, x, y, rays, rays_o, rays_d):
    """Write the rays^2 rays of single pixels, evenly spread over each.

    Inputs: lenses float64 [P,4]: fx fy cx cy in pixels of the photo that x, y count in; poses float64 [P,3,4],
    world_from_cam; slot, x, y int64 [Q]. Outputs: rays_o, rays_d [Q rays^2,3] float32, directions of length 1 along the
    camera's axis.
    """
    for q in range(slot.shape[0]):
        pose, lens = poses[slot[q]], lenses[slot[q]]
        for k in range(rays * rays):
            u = (x[q] + (k % rays + 0.5) / rays - lens[2]) / lens[0]
            v = (y[q] + (k // rays + 0.5) / rays - lens[3]) / lens[1]
            for axis in range(3):
                rays_o[q * rays * rays + k, axis] = pose[axis, 3]
                rays_d[q * rays * rays + k, axis] = pose[axis, 0] * u + pose[axis, 1] * v + pose[axis, 2]
