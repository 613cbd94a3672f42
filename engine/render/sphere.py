# SPDX-License-Identifier: MIT
"""Six sides of a cube resampled to a 2:1 picture of the whole sphere."""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.shots import FACES, side_focal


def sphere_of(sides: list[np.ndarray], width: int, height: int, smooth: bool = True) -> np.ndarray:
    """Return [height,width,C] float32 from the pictures [n,n,C] of `engine.shots.cube_sides`.

    Ahead is in the middle, up at the top, right to the right. `smooth` mixes neighbouring pixels; without, the nearest is
    taken, as depths need.
    """
    cube = np.ascontiguousarray(np.stack(sides), dtype=np.float32)
    longitude = ((np.arange(width) + 0.5) / width - 0.5) * 2.0 * np.pi
    latitude = (0.5 - (np.arange(height) + 0.5) / height) * np.pi
    out = np.empty((height, width, cube.shape[-1]), np.float32)
    _resample(cube, side_focal(width), np.sin(longitude), np.cos(longitude), latitude, FACES, smooth, out)
    return out


def along_rays(depth_z: np.ndarray, width: int) -> np.ndarray:
    """Return the distances [n,n] from the centre of a cube's side, given its depths along its axis."""
    n, focal = depth_z.shape[0], side_focal(width)
    at = (np.arange(n) + 0.5 - 0.5 * n) / focal
    return (depth_z * np.sqrt(1.0 + at[:, None] ** 2 + at[None, :] ** 2)).astype(np.float32)


@njit(cache=True, nogil=True)
def _resample(cube, focal, sines, cosines, latitude, faces, smooth, out):  # type: ignore[no-untyped-def]
    n, channels = cube.shape[1], cube.shape[3]
    for i in range(out.shape[0]):
        level, height = np.cos(latitude[i]), -np.sin(latitude[i])
        for j in range(out.shape[1]):
            x, y, z = level * sines[j], height, level * cosines[j]
            side, most = 0, -1.0
            for k in range(6):
                along = x * faces[k, 0, 2] + y * faces[k, 1, 2] + z * faces[k, 2, 2]
                if along > most:
                    side, most = k, along
            f = faces[side]
            u = (x * f[0, 0] + y * f[1, 0] + z * f[2, 0]) / most * focal + 0.5 * n - 0.5
            v = (x * f[0, 1] + y * f[1, 1] + z * f[2, 1]) / most * focal + 0.5 * n - 0.5
            if smooth:
                u0, v0 = int(np.floor(u)), int(np.floor(v))
                a, b = np.float32(u - u0), np.float32(v - v0)
                for c in range(channels):
                    top = cube[side, v0, u0, c] + a * (cube[side, v0, u0 + 1, c] - cube[side, v0, u0, c])
                    low = cube[side, v0 + 1, u0, c] + a * (
                        cube[side, v0 + 1, u0 + 1, c] - cube[side, v0 + 1, u0, c]
                    )
                    out[i, j, c] = top + b * (low - top)
            else:
                for c in range(channels):
                    out[i, j, c] = cube[side, int(np.floor(v + 0.5)), int(np.floor(u + 0.5)), c]
