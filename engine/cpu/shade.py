# SPDX-License-Identifier: MIT
"""Spherical harmonics of voxels, sixteen voxels at a time: colours for a view, and the basis that the way back needs.

Coefficients are stored in groups of sixteen voxels: `sh float32 [groups, 3 (degree + 1)^2, 16]`, coefficient major and rgb
last (row 3 k + channel), voxel v in lane v % 16 of group v // 16. So one vector holds one coefficient of sixteen
neighbours, and a group is one run of memory. The direction is from the camera to the voxel's centre.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.constants import SH_C0, SH_C1, SH_C2, SH_C3
from engine.cpu.crew import Crew
from engine.cpu.halves import load_wide
from engine.cpu.simd import fetch_add, fma, load, splat, store, vmax, vsqrt

MAX_COEFFICIENTS = 16
GROUP = 16  # voxels per group
RUN_GROUPS = 32  # groups per piece of parallel work


def sh_groups(n_voxels: int, degree: int) -> tuple[int, int, int]:
    """Return the shape of the coefficient array of n voxels."""
    return (-(-n_voxels // GROUP), 3 * (degree + 1) ** 2, GROUP)


def sh_rows(groups: np.ndarray, n_voxels: int) -> np.ndarray:
    """Return the coefficients [V, K, 3] of grouped ones."""
    rows = groups.transpose(0, 2, 1).reshape(-1, groups.shape[1])[:n_voxels]
    return np.ascontiguousarray(rows).reshape(n_voxels, groups.shape[1] // 3, 3)


def grouped(rows: np.ndarray) -> np.ndarray:
    """Return the grouped form of coefficients [V, K, 3]; lanes behind the last voxel are zero."""
    n, k, _ = rows.shape
    shape = (-(-n // GROUP), 3 * k, GROUP)
    padded = np.zeros((shape[0] * GROUP, 3 * k), dtype=np.float32)
    padded[:n] = rows.reshape(n, 3 * k)
    return np.ascontiguousarray(padded.reshape(shape[0], GROUP, 3 * k).transpose(0, 2, 1))


@njit(cache=True, nogil=True)
def basis_of_group(soa, stride, first, view, degree, basis):
    """Write the (degree + 1)^2 basis values of voxels first .. first + 15 to basis [16 k + lane]; order of `engine.sh`."""
    store(basis, 0, splat(SH_C0))
    if degree < 1:
        return
    if view[19] > 0.5:
        x, y, z = splat(view[6]), splat(view[7]), splat(view[8])
    else:
        x = load(soa, first) - view[9]
        y = load(soa, stride + first) - view[10]
        z = load(soa, 2 * stride + first) - view[11]
        scale = 1.0 / vsqrt(vmax(fma(x, x, fma(y, y, z * z)), 1e-24))
        x, y, z = x * scale, y * scale, z * scale
    store(basis, 16, y * -SH_C1)
    store(basis, 32, z * SH_C1)
    store(basis, 48, x * -SH_C1)
    if degree < 2:
        return
    xx, yy, zz = x * x, y * y, z * z
    store(basis, 64, x * y * SH_C2[0])
    store(basis, 80, y * z * SH_C2[1])
    store(basis, 96, (zz * 2.0 - xx - yy) * SH_C2[2])
    store(basis, 112, x * z * SH_C2[3])
    store(basis, 128, (xx - yy) * SH_C2[4])
    if degree < 3:
        return
    store(basis, 144, y * (xx * 3.0 - yy) * SH_C3[0])
    store(basis, 160, x * y * z * SH_C3[1])
    store(basis, 176, y * (zz * 4.0 - xx - yy) * SH_C3[2])
    store(basis, 192, z * (zz * 2.0 - xx * 3.0 - yy * 3.0) * SH_C3[3])
    store(basis, 208, x * (zz * 4.0 - xx - yy) * SH_C3[4])
    store(basis, 224, z * (xx - yy) * SH_C3[5])
    store(basis, 240, x * (xx - yy * 3.0) * SH_C3[6])


@njit(cache=True, nogil=True)
def shade_voxels(counter, n_voxels, first_pair, soa, stride, view, sh, degree, rgb):
    """Write rgb float32 [V,1,3] = max(0, 0.5 + SH) of every group with a visible voxel (first_pair >= 0).

    `sh` float32, or int16 that holds halves. Parallel over: runs of groups.
    """
    basis = np.empty(MAX_COEFFICIENTS * GROUP, dtype=np.float32)
    lanes = np.empty(3 * GROUP, dtype=np.float32)
    flat, n_rows, out = sh.reshape(-1), sh.shape[1], rgb.reshape(-1)
    n_basis = (degree + 1) * (degree + 1)
    n_groups = sh.shape[0]
    while True:
        first_group = fetch_add(counter, 0, RUN_GROUPS)
        if first_group >= n_groups:
            break
        for group in range(first_group, min(first_group + RUN_GROUPS, n_groups)):
            start = group * GROUP
            end = min(start + GROUP, n_voxels)
            seen = False
            for voxel in range(start, end):
                seen |= first_pair[voxel] >= 0
            if not seen:
                continue
            basis_of_group(soa, stride, start, view, degree, basis)
            r, g, b = splat(0.5), splat(0.5), splat(0.5)
            at = group * n_rows * GROUP
            for k in range(n_basis):
                value = load(basis, 16 * k)
                r = fma(value, load_wide(flat, at), r)
                g = fma(value, load_wide(flat, at + 16), g)
                b = fma(value, load_wide(flat, at + 32), b)
                at += 48
            store(lanes, 0, vmax(r, 0.0))
            store(lanes, 16, vmax(g, 0.0))
            store(lanes, 32, vmax(b, 0.0))
            for lane in range(end - start):
                to = 3 * (start + lane)
                out[to], out[to + 1], out[to + 2] = lanes[lane], lanes[16 + lane], lanes[32 + lane]


@njit(cache=True, nogil=True)
def _carry_groups(counter, old, voxel_from, factor, new):
    n, rows = voxel_from.shape[0], old.shape[1]
    while True:
        first = fetch_add(counter, 0, RUN_GROUPS)
        if first >= new.shape[0]:
            break
        for group in range(first, min(first + RUN_GROUPS, new.shape[0])):
            for lane in range(GROUP):
                voxel = group * GROUP + lane
                if voxel >= n:
                    new[group, :, lane] = 0.0
                    continue
                source, share = voxel_from[voxel], factor[voxel]
                for row in range(rows):
                    new[group, row, lane] = old[source >> 4, row, source & 15] * share


def carry_groups(groups: np.ndarray, voxel_from: np.ndarray, factor: np.ndarray, crew: Crew) -> np.ndarray:
    """Return grouped rows of a new structure: voxel v gets factor[v] times the row of old voxel voxel_from[v]."""
    new = np.empty((-(-len(voxel_from) // GROUP), *groups.shape[1:]), dtype=np.float32)
    crew.run(_carry_groups, groups, voxel_from, factor.astype(np.float32), new)
    return new
