# SPDX-License-Identifier: MIT
"""Rays of single pixels of photos at several scales, the colours they should have, and how wide they are."""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.cpu.simd import fetch_add

_RAYS = 256  # a thread takes at a time


@njit(cache=True, nogil=True)
def cast_pyramid(
    counter, pixels, starts, lenses, poses, kappa, slot, pixel, rays_o, rays_d, target, footprint
):
    """Write the rays through pixels of image pyramids.

    Inputs: pixels uint8 [P,M,3], a photo's scales one after another, rows without gaps; starts int64 [P,L+1], where a scale
    begins; lenses float64 [P,L,5]: width fx fy cx cy; poses float64 [P,3,4], world_from_cam; kappa, radius of a pixel's disc
    in its width; slot int32 [Q], pixel int64 [Q].
    Outputs: rays_o, rays_d [Q,3] float32, directions of length 1 along the camera's axis; target [Q,3] in [0,1];
    footprint [Q] float32, a pixel's radius at depth 1. Parallel over: rays.
    """
    n, levels = slot.shape[0], starts.shape[1] - 1
    byte = np.float32(1.0 / 255.0)
    while True:
        first = fetch_add(counter, 0, _RAYS)
        if first >= n:
            return
        for q in range(first, min(first + _RAYS, n)):
            photo, level = slot[q], 0
            while level < levels - 1 and pixel[q] >= starts[photo, level + 1]:
                level += 1
            pose = poses[photo]
            width, fx, fy, cx, cy = lenses[photo, level]
            inside = pixel[q] - starts[photo, level]
            x, y = inside % np.int64(width), inside // np.int64(width)
            u, v = (x + 0.5 - cx) / fx, (y + 0.5 - cy) / fy
            for axis in range(3):
                rays_o[q, axis] = pose[axis, 3]
                rays_d[q, axis] = pose[axis, 0] * u + pose[axis, 1] * v + pose[axis, 2]
                target[q, axis] = pixels[photo, pixel[q], axis] * byte
            footprint[q] = kappa / np.sqrt(fx * fy)
