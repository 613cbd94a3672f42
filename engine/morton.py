# SPDX-License-Identifier: MIT
"""Interleaved lattice coordinates, and the one key per voxel that sorts leaves front to back for every ray of a camera.

A path holds three bits a level, left aligned to 48 bits, x most significant of each digit. It is also the Morton code of
the voxel's low corner on the finest lattice, so ascending paths are Morton order and no level is needed to compare them.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.constants import LATTICE, MAX_LEVEL

PATH_BITS = 3 * MAX_LEVEL
_Z_BITS = sum(1 << (3 * digit) for digit in range(MAX_LEVEL))
_Y_BITS = _Z_BITS << 1
_X_BITS = _Z_BITS << 2


@njit(cache=True, nogil=True)
def spread_bits(value: int) -> int:
    """Return the low 16 bits of `value`, bit b moved to bit 3 b."""
    value = (value | (value << 16)) & 0x0000FF0000FF
    value = (value | (value << 8)) & 0x00F00F00F00F
    value = (value | (value << 4)) & 0x0C30C30C30C3
    return (value | (value << 2)) & 0x249249249249


@njit(cache=True, nogil=True)
def gather_bits(value: int) -> int:
    """Return the 16 bits of `value` at positions 0, 3, 6 ... side by side; the inverse of `spread_bits`."""
    value = value & 0x249249249249
    value = (value | (value >> 2)) & 0x0C30C30C30C3
    value = (value | (value >> 4)) & 0x00F00F00F00F
    value = (value | (value >> 8)) & 0x0000FF0000FF
    return (value | (value >> 16)) & 0xFFFF


@njit(cache=True, nogil=True)
def _path_from_ijk(ijk, path):
    for i in range(ijk.shape[0]):
        x, y, z = np.int64(ijk[i, 0]), np.int64(ijk[i, 1]), np.int64(ijk[i, 2])
        path[i] = (spread_bits(x) << 2) | (spread_bits(y) << 1) | spread_bits(z)


@njit(cache=True, nogil=True)
def _ijk_from_path(path, ijk):
    for i in range(path.shape[0]):
        ijk[i, 0] = gather_bits(path[i] >> 2)
        ijk[i, 1] = gather_bits(path[i] >> 1)
        ijk[i, 2] = gather_bits(path[i])


def path_from_ijk(ijk: np.ndarray) -> np.ndarray:
    """Return paths int64 [N] of low corners `ijk [N,3]` on the finest lattice, each coordinate in 0..65535."""
    path = np.empty(len(ijk), dtype=np.int64)
    _path_from_ijk(np.ascontiguousarray(ijk, dtype=np.int64), path)
    return path


def ijk_from_path(path: np.ndarray) -> np.ndarray:
    """Return low corners int32 [N,3] on the finest lattice of paths int64 [N]."""
    ijk = np.empty((len(path), 3), dtype=np.int32)
    _ijk_from_path(np.ascontiguousarray(path, dtype=np.int64), ijk)
    return ijk


@njit(cache=True, nogil=True)
def _smear(bits):
    """Set, per axis, every bit below a set bit: 16 digits, so four doublings."""
    bits |= bits >> 3
    bits |= bits >> 6
    bits |= bits >> 12
    return bits | (bits >> 24)


@njit(cache=True, nogil=True)
def order_key(x, code):
    """Return the key of path `x` for a camera given by its `order_code`: see `order_keys`."""
    at_or_below_top = _smear(x ^ code[0])
    below_top = at_or_below_top >> 3
    top = at_or_below_top ^ below_top
    voxel_above = _smear(x & top) >> 3
    key = top | (below_top & ~(x ^ voxel_above))
    return (key & code[1]) | (x & code[2]) | (~x & code[3])


@njit(cache=True, nogil=True)
def _order_keys(path, code, keys):
    for i in range(path.shape[0]):
        keys[i] = order_key(path[i], code)


def order_code(
    camera_position: np.ndarray, root_size: float, direction: np.ndarray | None = None
) -> np.ndarray:
    """Return int64 [4] for `order_key`: the camera's interleaved cell, then three masks that partition the 48 bits.

    The masks hold the bits of the axes on which the camera's cell lies within, below and above the lattice.
    """
    if direction is None:
        cell = np.floor(np.asarray(camera_position, dtype=np.float64) * (LATTICE / root_size)) + LATTICE // 2
    else:
        cell = np.where(np.asarray(direction) >= 0.0, -1.0, float(LATTICE))
    if not np.all(np.isfinite(cell)):
        raise ValueError(
            "order_code(): camera_position must be three finite numbers; check the camera's pose."
        )
    code = np.zeros(4, dtype=np.int64)
    for axis_bits, c, shift in zip((_X_BITS, _Y_BITS, _Z_BITS), cell, (2, 1, 0), strict=True):
        if c < 0:
            code[2] |= axis_bits
        elif c >= LATTICE:
            code[3] |= axis_bits
        else:
            code[1] |= axis_bits
            code[0] |= int(spread_bits(int(c))) << shift
    return code


def order_keys(
    path: np.ndarray, camera_position: np.ndarray, root_size: float, direction: np.ndarray | None = None
) -> np.ndarray:
    """Return int64 [V] keys; ascending keys of disjoint leaves are front to back along every ray of the camera.

    `camera_position [3]` is in engine units. Give `direction [3]`, the common direction of all rays, for an orthographic
    camera; the position then does not matter.

    At each node of the tree a child's key digit is its octant XOR the side of the node's centre planes the camera is on.
    Per axis, with x the voxel's coordinate and c the camera's cell on the finest lattice: while the node holds c, the side
    is c's own bit, so the key digit is a bit of d = x ^ c, which is 0 until the top set bit of d; below that, the camera
    is outside the node, on its low side if x > c (digits x) and on its high side otherwise (digits ~x). A ray leaves
    the camera's side of a plane at most once, so along it the digits never fall. Two disjoint leaves differ in a digit
    at or above both their levels and share the ancestors above it, so what stands in lower digits cannot matter and
    mixed levels need no care. A camera on a plane counts as on its high side (half-open cells): its rays meet one side only.
    """
    path = np.ascontiguousarray(path, dtype=np.int64)
    keys = np.empty_like(path)
    _order_keys(path, order_code(camera_position, root_size, direction), keys)
    return keys
