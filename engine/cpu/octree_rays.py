# SPDX-License-Identifier: MIT
"""Single rays through the octree on the CPU: forward. The readable twin is `engine/reference/octree_rays.py`.

A pixel is one ray or, with several rays a pixel side, their mean. Whoever calls sorts pixels so that neighbours in space
follow each other (`sorted_by_place`): they read the same nodes, densities and coefficients while these are in cache. A ray
keeps what it met in buffers of its thread, which grow with the busiest pixel and no further.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.constants import (
    DENSITY_SCALE,
    EXP_LINEAR_KNEE,
    MAX_ALPHA,
    MIN_ALPHA,
    NEAR,
    SH_C0,
    SH_C1,
    SH_C2,
    SH_C3,
    STOP_TRANS,
)
from engine.cpu.crew import Crew
from engine.cpu.lists import VoxelTable
from engine.cpu.octree_nodes import RAY_NUMBERS, SPAN, WALK_STATE, next_leaf, start_walk
from engine.cpu.simd import fetch_add, prefetch
from engine.cpu.tile_math import trilinear_terms
from engine.morton import spread_bits

RUN_PIXELS = 32  # pixels that a thread takes at a time

# What a ray keeps of each segment: float64 [n, MET], and int64 [n, 3] voxel, its first fine sample, how many it has.
# X, Y, Z, INVERSE: the ray's origin in the voxel's own coordinates, and one over its edge in lattice units.
T_IN, T_OUT, SIGMA, ALPHA, WEIGHT, AFTER, RED, GREEN, BLUE, X, Y, Z, INVERSE = range(13)
MET = 13
AHEAD = 3  # voxels that are found, and their memory asked for, before the first of them is looked at
_ROOM = 256  # segments of a pixel before its buffers grow

_KNEE = EXP_LINEAR_KNEE
_KNEE_SHIFT = float(np.log(EXP_LINEAR_KNEE)) - 1.0
_GOLDEN, _MIX1, _MIX2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


@njit(cache=True, nogil=True)
def uniform(seed, ray, sample):
    """Return a number in [0,1) that depends on these three only: SplitMix64's finaliser of their mixture."""
    x = np.uint64(seed) + np.uint64(_GOLDEN) * (
        np.uint64(ray) * np.uint64(65_537) + np.uint64(sample) + np.uint64(1)
    )
    x = (x ^ (x >> np.uint64(30))) * np.uint64(_MIX1)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(_MIX2)
    x = x ^ (x >> np.uint64(31))
    return np.float64(x >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@njit(cache=True, nogil=True)
def jitter_of(seed, n_rays, n_fine):
    """Return [n_rays, n_fine]: where in its share each ray's fine samples lie."""
    jitter = np.empty((n_rays, n_fine))
    for ray in range(n_rays):
        for sample in range(n_fine):
            jitter[ray, sample] = uniform(seed, ray, sample)
    return jitter


@njit(cache=True, nogil=True, inline="always")
def activated(raw):
    """Return exp_linear(raw)."""
    return raw if raw > _KNEE else np.exp(raw * (1.0 / _KNEE) + _KNEE_SHIFT)


@njit(cache=True, nogil=True, inline="always")
def terms_of(voxel, corner_idx, density):
    """Return the trilinear coefficients of a voxel's raw density."""
    return trilinear_terms(
        density[corner_idx[voxel, 0]], density[corner_idx[voxel, 1]],
        density[corner_idx[voxel, 2]], density[corner_idx[voxel, 3]],
        density[corner_idx[voxel, 4]], density[corner_idx[voxel, 5]],
        density[corner_idx[voxel, 6]], density[corner_idx[voxel, 7]],
    )  # fmt: skip


@njit(cache=True, nogil=True, inline="always")
def raw_at(terms, x, y, z):
    """Return the trilinear value at a point of the cell, each coordinate in 0..1."""
    low = terms[0] + z * terms[3] + y * (terms[2] + z * terms[6])
    high = terms[1] + z * terms[5] + y * (terms[4] + z * terms[7])
    return low + x * high


@njit(cache=True, nogil=True)
def write_basis(x, y, z, degree, basis):
    """Write the (degree + 1)^2 basis values of a direction, which need not be of length 1; order of `engine.sh`."""
    basis[0] = SH_C0
    if degree < 1:
        return
    scale = 1.0 / np.sqrt(max(x * x + y * y + z * z, 1e-24))
    x, y, z = x * scale, y * scale, z * scale
    basis[1], basis[2], basis[3] = -SH_C1 * y, SH_C1 * z, -SH_C1 * x
    if degree < 2:
        return
    xx, yy, zz = x * x, y * y, z * z
    basis[4], basis[5] = SH_C2[0] * x * y, SH_C2[1] * y * z
    basis[6], basis[7], basis[8] = SH_C2[2] * (2.0 * zz - xx - yy), SH_C2[3] * x * z, SH_C2[4] * (xx - yy)
    if degree < 3:
        return
    basis[9], basis[10] = SH_C3[0] * y * (3.0 * xx - yy), SH_C3[1] * x * y * z
    basis[11], basis[12] = (
        SH_C3[2] * y * (4.0 * zz - xx - yy),
        SH_C3[3] * z * (2.0 * zz - 3.0 * xx - 3.0 * yy),
    )
    basis[13], basis[14] = SH_C3[4] * x * (4.0 * zz - xx - yy), SH_C3[5] * z * (xx - yy)
    basis[15] = SH_C3[6] * x * (xx - 3.0 * yy)


@njit(cache=True, nogil=True)
def _more_room(met, of):
    n = met.shape[0]
    bigger, bigger_of = np.empty((2 * n, MET)), np.empty((2 * n, 3), dtype=np.int64)
    for i in range(n):
        for j in range(MET):
            bigger[i, j] = met[i, j]
        for j in range(3):
            bigger_of[i, j] = of[i, j]
    return bigger, bigger_of


@njit(cache=True, nogil=True)
def _look_ahead(children, corner_idx, density, ray, state, span, queue):
    """Fill the empty queue with the next leaves, and ask for the memory that they will want."""
    n = 0
    while n < AHEAD:
        voxel = next_leaf(children, ray, state, span, n * SPAN)
        if voxel < 0:
            break
        prefetch(corner_idx, voxel * 8)
        queue[2 + n] = voxel
        n += 1
    queue[0], queue[1] = 0, n
    for k in range(n):
        for c in range(8):
            prefetch(density, np.int64(corner_idx[queue[2 + k], c]))


@njit(cache=True, nogil=True)
def _walk_on(n, trans, norm, children, corner_idx, density, n_coarse, ray, state, span, queue, met, of):
    """Append the segments that the ray meets from where it stands until it has left, or no light is left."""
    dx, dy, dz = ray[3], ray[4], ray[5]
    while trans >= STOP_TRANS:
        if queue[0] == queue[1]:
            _look_ahead(children, corner_idx, density, ray, state, span, queue)
            if queue[1] == 0:
                break
        at = queue[0] * SPAN
        voxel = queue[2 + queue[0]]
        queue[0] += 1
        t_in, t_out, qx, qy, qz = span[at], span[at + 1], span[at + 2], span[at + 3], span[at + 4]
        inverse = span[at + 5]
        terms = terms_of(voxel, corner_idx, density)
        total = 0.0
        for k in range(n_coarse):
            t = (t_in + (k + 0.5) / n_coarse * (t_out - t_in)) * inverse
            total += activated(raw_at(terms, qx + t * dx, qy + t * dy, qz + t * dz))
        alpha = min(MAX_ALPHA, 1.0 - np.exp(-DENSITY_SCALE * norm * (t_out - t_in) * total / n_coarse))
        if alpha < MIN_ALPHA:
            continue
        if n == met.shape[0]:
            met, of = _more_room(met, of)
        met[n, T_IN], met[n, T_OUT], met[n, SIGMA], met[n, ALPHA] = t_in, t_out, total, alpha
        met[n, X], met[n, Y], met[n, Z], met[n, INVERSE] = qx, qy, qz, inverse
        of[n, 0], of[n, 1], of[n, 2] = voxel, 0, 0
        met[n, WEIGHT] = trans * alpha
        trans *= 1.0 - alpha
        met[n, AFTER] = trans
        n += 1
    return n, trans, met, of


@njit(cache=True, nogil=True)
def _draw_fine(first, n, at, seed, number, n_fine, corner_idx, density, ray, met, of, fine):
    """Draw the fine samples of a ray with segments first .. n - 1 into fine [at ..], and add their densities to SIGMA."""
    whole = 0.0
    for i in range(first, n):
        whole += met[i, WEIGHT]
    i, before = first, 0.0
    of[first, 1] = at
    for k in range(n_fine):
        target = (k + uniform(seed, number, k)) / n_fine * whole
        while i < n - 1 and before + met[i, WEIGHT] <= target:
            before += met[i, WEIGHT]
            i += 1
            of[i, 1] = at + k
        share = min(1.0, max(0.0, (target - before) / max(met[i, WEIGHT], 1e-30)))
        t = met[i, T_IN] + share * (met[i, T_OUT] - met[i, T_IN])
        fine[at + k] = t
        of[i, 2] += 1
        t *= met[i, INVERSE]
        terms = terms_of(of[i, 0], corner_idx, density)
        met[i, SIGMA] += activated(
            raw_at(terms, met[i, X] + t * ray[3], met[i, Y] + t * ray[4], met[i, Z] + t * ray[5])
        )


@njit(cache=True, nogil=True)
def _blend_again(first, n, norm, n_coarse, met, of):
    """Blend a ray's segments with their fine samples; those behind the last light get ALPHA and WEIGHT 0. Return T."""
    trans = 1.0
    for i in range(first, n):
        length = norm * (met[i, T_OUT] - met[i, T_IN])
        alpha = min(MAX_ALPHA, 1.0 - np.exp(-DENSITY_SCALE * length * met[i, SIGMA] / (n_coarse + of[i, 2])))
        if alpha < MIN_ALPHA or trans < STOP_TRANS:
            alpha = 0.0
        met[i, ALPHA], met[i, WEIGHT] = alpha, trans * alpha
        trans *= 1.0 - alpha
        met[i, AFTER] = trans
    return trans


@njit(cache=True, nogil=True)
def _shade(first, n, sh, n_rows, degree, basis, met, of):
    """Write the colours of the segments that are seen."""
    n_basis = (degree + 1) * (degree + 1)
    for i in range(first, n):
        if met[i, ALPHA] == 0.0:
            continue
        voxel = of[i, 0]
        write_basis(0.5 - met[i, X], 0.5 - met[i, Y], 0.5 - met[i, Z], degree, basis)
        at = (voxel >> 4) * n_rows * 16 + (voxel & 15)
        r, g, b = 0.5, 0.5, 0.5
        for k in range(n_basis):
            r += basis[k] * sh[at]
            g += basis[k] * sh[at + 16]
            b += basis[k] * sh[at + 32]
            at += 48
        met[i, RED], met[i, GREEN], met[i, BLUE] = max(r, 0.0), max(g, 0.0), max(b, 0.0)


@njit(cache=True, nogil=True)
def see_ray(
    n, at, number, seed, n_coarse, n_fine, root_size, o, d, children, corner_idx, density, sh, n_rows, degree,
    ray, state, span, queue, basis, met, of, fine,
):  # fmt: skip
    """Follow the ray o + t d; write what it meets from entry n on and its fine samples from fine[at] on.

    `number` and `seed` say where fine samples fall. Returns (the entry behind the last, T, met, of): the buffers may have grown.
    """
    first, trans = n, 1.0
    norm = np.sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2])
    queue[0], queue[1] = 0, 0
    if start_walk(o[0], o[1], o[2], d[0], d[1], d[2], root_size, NEAR, ray, state):
        n, trans, met, of = _walk_on(
            n, trans, norm, children, corner_idx, density, n_coarse, ray, state, span, queue, met, of
        )
    if n_fine > 0 and n > first:
        _draw_fine(first, n, at, seed, number, n_fine, corner_idx, density, ray, met, of, fine)
        trans = _blend_again(first, n, norm, n_coarse, met, of)
        if trans >= STOP_TRANS:  # if the coarse samples alone had stopped it too soon
            n, trans, met, of = _walk_on(
                n, trans, norm, children, corner_idx, density, n_coarse, ray, state, span, queue, met, of
            )
    _shade(first, n, sh, n_rows, degree, basis, met, of)
    return n, trans, met, of


@njit(cache=True, nogil=True)
def ray_arrays():
    """Return what `see_ray` works in: (ray, state, span, queue, basis, met, of)."""
    return (
        np.zeros(RAY_NUMBERS), np.zeros(WALK_STATE, dtype=np.int64), np.zeros(AHEAD * SPAN), np.zeros(2 + AHEAD, dtype=np.int64),
        np.zeros(16), np.empty((_ROOM, MET)), np.empty((_ROOM, 3), dtype=np.int64),
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _see_rays(
    counter, order, origins, directions, seed, n_coarse, n_fine, root_size, children, corner_idx, density, sh, degree,
    rgb, trans_out,
):  # fmt: skip
    n_rays, n_rows, flat = order.shape[0], sh.shape[1], sh.reshape(-1)
    ray, state, span, queue, basis, met, of = ray_arrays()
    fine, o, d = np.empty(max(1, n_fine)), np.zeros(3), np.zeros(3)
    while True:
        begin = fetch_add(counter, 0, RUN_PIXELS)
        if begin >= n_rays:
            break
        for place in range(begin, min(begin + RUN_PIXELS, n_rays)):
            q = order[place]
            for axis in range(3):
                o[axis], d[axis] = origins[q, axis], directions[q, axis]
            n, trans, met, of = see_ray(
                0, 0, q, seed, n_coarse, n_fine, root_size, o, d, children, corner_idx, density, flat, n_rows, degree,
                ray, state, span, queue, basis, met, of, fine,
            )  # fmt: skip
            r, g, b = 0.0, 0.0, 0.0
            for i in range(n):
                weight = met[i, WEIGHT]
                if weight > 0.0:
                    r, g, b = r + weight * met[i, RED], g + weight * met[i, GREEN], b + weight * met[i, BLUE]
            rgb[q, 0], rgb[q, 1], rgb[q, 2], trans_out[q] = r, g, b, trans


def see_rays(
    table: VoxelTable,
    children: np.ndarray,  # int32 [n,8], see `octree_nodes.node_table`
    density: np.ndarray,  # [G]
    sh: np.ndarray,  # grouped
    degree: int,
    origins: np.ndarray,  # [N,3]
    directions: np.ndarray,  # [N,3], of length 1 along the camera's axis
    crew: Crew,
    *,
    n_coarse: int = 1,
    n_fine: int = 0,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Return rgb [N,3] without background and transmittance [N], both float32, of rays."""
    n = len(origins)
    rgb, trans = np.empty((n, 3), dtype=np.float32), np.empty(n, dtype=np.float32)
    o, d = (np.ascontiguousarray(a, dtype=np.float32) for a in (origins, directions))
    crew.run(
        _see_rays, sorted_by_place(o, d, table.root_size), o, d, seed, n_coarse, n_fine, table.root_size, children,
        table.corner_idx, density, sh, degree, rgb, trans,
    )  # fmt: skip
    return rgb, trans


def sorted_by_place(origins: np.ndarray, directions: np.ndarray, root_size: float) -> np.ndarray:
    """Return int64 [N], the order of rays by the Morton code of where they enter the foreground cube."""
    codes = np.empty(len(origins), dtype=np.int64)
    _place_codes(origins, directions, root_size, codes)
    return np.argsort(codes, kind="stable")


@njit(cache=True, nogil=True)
def _place_codes(origins, directions, root_size, codes):
    """Code of the entry point into the cube [-0.5,0.5]^3 (of the point nearest to its centre, for a ray that misses it)."""
    for q in range(codes.shape[0]):
        first, last, along, square = 0.0, np.inf, 0.0, 0.0
        for axis in range(3):
            o, d = np.float64(origins[q, axis]), np.float64(directions[q, axis])
            along -= o * d
            square += d * d
            if d != 0.0:
                a, b = (-0.5 - o) / d, (0.5 - o) / d
                first, last = max(first, min(a, b)), min(last, max(a, b))
            elif not -0.5 <= o <= 0.5:
                last = -np.inf
        t = first if first < last else max(0.0, along / square)
        code = 0
        for axis in range(3):
            x = (origins[q, axis] + t * directions[q, axis] + 1.0) * 512.0
            code |= spread_bits(np.int64(min(max(x, 0.0), 1023.0))) << (2 - axis)
        codes[q] = code
