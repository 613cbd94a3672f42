# SPDX-License-Identifier: MIT
"""Spherical harmonics of voxels: colours for a view, and the basis that the way back needs.

A voxel's coefficients are one row of floats, coefficient major and rgb last (3 k + channel), padded to whole vectors of
sixteen: `sh_stride(degree)`. The direction is from the camera to the voxel's centre.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.constants import SH_C0, SH_C1, SH_C2, SH_C3
from engine.cpu.simd import fetch_add

MAX_COEFFICIENTS = 16
_C0, _C1 = np.float32(SH_C0), np.float32(SH_C1)
_C2 = tuple(np.float32(c) for c in SH_C2)
_C3 = tuple(np.float32(c) for c in SH_C3)
_ONE, _TWO, _THREE, _FOUR = np.float32(1), np.float32(2), np.float32(3), np.float32(4)


def sh_stride(degree: int) -> int:
    """Return the floats per voxel row: 3 (degree + 1)^2, rounded up to a multiple of 16."""
    return -(-3 * (degree + 1) ** 2 // 16) * 16


@njit(cache=True, nogil=True)
def sh_basis_into(x, y, z, degree, basis):
    """Write the (degree + 1)^2 basis values of the unit direction (x, y, z); order and signs of `engine.sh`."""
    basis[0] = _C0
    if degree < 1:
        return
    basis[1] = -_C1 * y
    basis[2] = _C1 * z
    basis[3] = -_C1 * x
    if degree < 2:
        return
    xx, yy, zz = x * x, y * y, z * z
    basis[4] = _C2[0] * x * y
    basis[5] = _C2[1] * y * z
    basis[6] = _C2[2] * (_TWO * zz - xx - yy)
    basis[7] = _C2[3] * x * z
    basis[8] = _C2[4] * (xx - yy)
    if degree < 3:
        return
    basis[9] = _C3[0] * y * (_THREE * xx - yy)
    basis[10] = _C3[1] * x * y * z
    basis[11] = _C3[2] * y * (_FOUR * zz - xx - yy)
    basis[12] = _C3[3] * z * (_TWO * zz - _THREE * xx - _THREE * yy)
    basis[13] = _C3[4] * x * (_FOUR * zz - xx - yy)
    basis[14] = _C3[5] * z * (xx - yy)
    basis[15] = _C3[6] * x * (xx - _THREE * yy)


@njit(cache=True, nogil=True)
def direction_to(soa, stride, voxel, view):
    """Return the unit direction from the camera to a voxel's centre; all rays' direction when orthographic."""
    if view[19] > 0.5:
        return np.float32(view[6]), np.float32(view[7]), np.float32(view[8])
    x = np.float32(soa[voxel] - view[9])
    y = np.float32(soa[stride + voxel] - view[10])
    z = np.float32(soa[2 * stride + voxel] - view[11])
    scale = _ONE / max(np.sqrt(x * x + y * y + z * z), np.float32(1e-12))
    return x * scale, y * scale, z * scale


@njit(cache=True, nogil=True)
def shade_voxels(counter, chunks, visible, n_visible, soa, stride, view, sh, degree, rgb):
    """Write rgb float32 [V,1,3] = max(0, 0.5 + SH) of the visible voxels. sh float32 [V, row]. Parallel over: chunks."""
    n_chunks = chunks.shape[0]
    basis = np.empty(MAX_COEFFICIENTS, dtype=np.float32)
    n_basis = (degree + 1) * (degree + 1)
    half = np.float32(0.5)
    zero = np.float32(0.0)
    while True:
        first = fetch_add(counter, 0, 4)
        if first >= n_chunks:
            break
        for chunk in range(first, min(first + 4, n_chunks)):
            start = chunks[chunk, 0]
            for n in range(start, start + n_visible[chunk]):
                voxel = visible[n]
                x, y, z = direction_to(soa, stride, voxel, view)
                sh_basis_into(x, y, z, degree, basis)
                row = sh[voxel]
                r, g, b = half, half, half
                for k in range(n_basis):
                    r += basis[k] * row[3 * k]
                    g += basis[k] * row[3 * k + 1]
                    b += basis[k] * row[3 * k + 2]
                rgb[voxel, 0, 0] = max(r, zero)
                rgb[voxel, 0, 1] = max(g, zero)
                rgb[voxel, 0, 2] = max(b, zero)
