# SPDX-License-Identifier: MIT
"""Training on single rays: forward, loss and backward of a pixel in one go, then gradients by voxel in a fixed order.

Computes, from a ray's last segment to its first, with v = dL/drgb, A = T_end <v, background> + the transmittance's term
behind the last:
    g_i = <v, c_i> + distortion,  dL/dI_i = T_(i+1) g_i - A,  A += w_i g_i,
and a segment's optical depth hears all of its samples alike: dI/draw_k = DENSITY_SCALE length exp_linear'(raw_k) / n.
A record is what one ray tells one voxel. Memory: records of the live segments of BLOCK_PIXELS pixels, whatever the step's size.
Order of work: `trace_pixels` writes records and counts them by part of the voxels and run of pixels, `list_records` lists
them by part in the order of pixels, `add_records` adds each part's. No two threads write to one voxel and the order of
additions is fixed: any number of threads gives the same bits.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.constants import (
    DENSITY_SCALE,
    DISTORTION_KNEE,
    EXP_LINEAR_KNEE,
    HUBER_KNEE,
    L1,
    LATTICE,
    MAX_ALPHA,
    MSE,
    SUM_BACKGROUND,
    SUM_DISTORTION,
    SUM_PHOTO,
    SUM_R_CONCENTRATION,
    SUM_SQUARED,
    SUM_T_CONCENTRATION,
    W_DISTORTION,
    W_PHOTO,
    W_R_CONCENTRATION,
    W_T_CONCENTRATION,
)
from engine.cpu.octree_rays import (
    AFTER,
    ALPHA,
    BLUE,
    GREEN,
    INVERSE,
    RED,
    RUN_PIXELS,
    T_IN,
    T_OUT,
    WEIGHT,
    X,
    Y,
    Z,
    activated,
    raw_at,
    ray_arrays,
    see_ray,
    terms_of,
    write_basis,
)
from engine.cpu.shade import GROUP
from engine.cpu.simd import fetch_add
from engine.cpu.tile_math import corner_gradients

PART = 1024  # voxels that one thread adds records to at a time, a multiple of GROUP
# A record, float32: eight density moments (1 x y z xy xz yz xyz), the colour's gradient, |dL/dalpha alpha|, weight, pixel size.
PRIORITY, HEAVIEST, PIXEL, RECORD = 11, 12, 13, 14


@njit(cache=True, nogil=True, inline="always")
def _photometric(mode, error):
    """Return (loss, slope); see `tile_loss`."""
    size = abs(error)
    if mode == MSE or (mode != L1 and size < HUBER_KNEE):
        return error * error, 2.0 * error
    sign = 1.0 if error > 0.0 else (-1.0 if error < 0.0 else 0.0)
    if mode == L1:
        return size, sign
    return 2.0 * HUBER_KNEE * size - HUBER_KNEE * HUBER_KNEE, 2.0 * HUBER_KNEE * sign


@njit(cache=True, nogil=True, inline="always")
def _contracted(t, knee):
    u = t / knee
    return u if u < 1.0 else 2.0 - 1.0 / u


@njit(cache=True, nogil=True)
def _distortion(first, n, norm, knee, met):
    """Return (sum_ij w_i w_j |m_i - m_j| + 1/3 sum_i w_i^2 len_i, sum w, sum w m) of a ray; see `engine.reference.rasterize`."""
    loss, nearer, moment = 0.0, 0.0, 0.0
    for i in range(first, n):
        a, b = _contracted(met[i, T_IN] * norm, knee), _contracted(met[i, T_OUT] * norm, knee)
        weight, middle = met[i, WEIGHT], 0.5 * (a + b)
        loss += 2.0 * weight * (middle * nearer - moment) + weight * weight * (b - a) / 3.0
        nearer += weight
        moment += weight * middle
    return loss, nearer, moment


@njit(cache=True, nogil=True)
def _pixel_loss(rgb, target, factor, mode, weights, sums, v):
    """Write dL/drgb of a pixel's mean colour to v [3]; return its squared error, summed over the channels."""
    squared = 0.0
    for channel in range(3):
        error = rgb[channel] - target[channel]
        loss, slope = _photometric(mode, error)
        v[channel] = slope * weights[W_PHOTO] * factor
        sums[SUM_PHOTO] += loss * weights[W_PHOTO] * factor
        squared += error * error
    sums[SUM_SQUARED] += squared * factor
    return squared


@njit(cache=True, nogil=True)
def _ray_back(
    first, n, trans, factor, pixel_scale, d, lattice, v, target, n_coarse, corner_idx, density, background, weights,
    met, of, fine, slot, room, records, record_voxel, sums,
):  # fmt: skip
    """Write the records of a ray's segments from `slot` on while there is room, last segment first; add its losses to sums.

    `v` is dL/drgb of this ray, `lattice` how many lattice units a unit has. Returns the slot behind the last that it wanted.
    """
    norm = np.sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2])
    rest = trans * (1.0 - trans)
    behind = 2.0 * weights[W_T_CONCENTRATION] * factor * rest * (1.0 - 2.0 * trans)
    sums[SUM_T_CONCENTRATION] += weights[W_T_CONCENTRATION] * factor * rest * rest
    for channel in range(3):
        behind += v[channel] * background[channel]
        sums[SUM_BACKGROUND + channel] += v[channel] * trans
    behind *= trans
    concentrate, distort = weights[W_R_CONCENTRATION] * factor, weights[W_DISTORTION] * factor
    knee, later, later_moment = weights[DISTORTION_KNEE], 0.0, 0.0
    if distort > 0.0:
        loss, total, total_moment = _distortion(first, n, norm, knee, met)
        sums[SUM_DISTORTION] += distort * loss
    else:
        total, total_moment = 0.0, 0.0
    for i in range(n - 1, first - 1, -1):
        alpha, weight = met[i, ALPHA], met[i, WEIGHT]
        if alpha == 0.0:
            continue
        g = v[0] * met[i, RED] + v[1] * met[i, GREEN] + v[2] * met[i, BLUE]
        if distort > 0.0:
            a, b = _contracted(met[i, T_IN] * norm, knee), _contracted(met[i, T_OUT] * norm, knee)
            middle = 0.5 * (a + b)
            nearer, nearer_moment = total - later - weight, total_moment - later_moment - weight * middle
            sides = middle * (nearer - later) - (nearer_moment - later_moment)
            g += distort * (weight * (b - a) * (2.0 / 3.0) + 2.0 * sides)
            later += weight
            later_moment += weight * middle
        v_depth = met[i, AFTER] * g - behind if alpha < MAX_ALPHA else 0.0
        behind += weight * g
        if slot < room:
            _write_record(
                i, v_depth, norm, pixel_scale, d, lattice, v, target, concentrate, n_coarse, corner_idx, density,
                met, of, fine, slot, records, record_voxel, sums,
            )  # fmt: skip
        slot += 1
    return slot


@njit(cache=True, nogil=True)
def _write_record(
    i, v_depth, norm, pixel_scale, d, lattice, v, target, concentrate, n_coarse, corner_idx, density,
    met, of, fine, slot, records, record_voxel, sums,
):  # fmt: skip
    """Write the record of segment i."""
    voxel, n_fine = of[i, 0], of[i, 2]
    t_in, t_out, weight, alpha = met[i, T_IN], met[i, T_OUT], met[i, WEIGHT], met[i, ALPHA]
    qx, qy, qz, inverse = met[i, X], met[i, Y], met[i, Z], met[i, INVERSE]
    terms = terms_of(voxel, corner_idx, density)
    share = v_depth * DENSITY_SCALE * norm * (t_out - t_in) / (n_coarse + n_fine)
    m0, mx, my, mz, mxy, mxz, myz, mxyz = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(n_coarse + n_fine):
        t = t_in + (k + 0.5) / n_coarse * (t_out - t_in) if k < n_coarse else fine[of[i, 1] + k - n_coarse]
        t *= inverse * lattice
        x, y, z = qx + t * d[0], qy + t * d[1], qz + t * d[2]
        raw = raw_at(terms, x, y, z)
        slope = share if raw > EXP_LINEAR_KNEE else share * activated(raw) * (1.0 / EXP_LINEAR_KNEE)
        sx, sy = slope * x, slope * y
        m0, mx, my, mz = m0 + slope, mx + sx, my + sy, mz + slope * z
        mxy, mxz, myz, mxyz = mxy + sx * y, mxz + sx * z, myz + sy * z, mxyz + sx * y * z
    records[slot, 0], records[slot, 1], records[slot, 2], records[slot, 3] = m0, mx, my, mz
    records[slot, 4], records[slot, 5], records[slot, 6], records[slot, 7] = mxy, mxz, myz, mxyz
    spread = 0.0
    for channel in range(3):
        colour = met[i, RED + channel]
        error = colour - target[channel]
        spread += error * error
        passed = weight * (v[channel] + 2.0 * concentrate * error)
        # a colour clamped at 0 hears only gradients that would raise it
        records[slot, 8 + channel] = passed if colour > 0.0 or passed < 0.0 else 0.0
    sums[SUM_R_CONCENTRATION] += concentrate * weight * spread
    records[slot, PRIORITY] = abs(v_depth) * alpha / (1.0 - alpha)
    records[slot, HEAVIEST] = weight
    records[slot, PIXEL] = 0.5 * (t_in + t_out) * pixel_scale
    record_voxel[slot] = voxel


@njit(cache=True, nogil=True)
def trace_pixels(
    counter, cursor, order, rays, origins, directions, pixel_scale, targets, factors, mode, seed, n_coarse, n_fine,
    root_size, children, corner_idx, density, sh, degree, background, weights,
    first_record, n_records, records, record_voxel, record_ray, histogram, squared, run_sums,
):  # fmt: skip
    """Follow the rays of pixels, form the loss and go back: records.

    Inputs: order int64 [n], the pixels in the order in which they are worked on; rays: a pixel is the mean of so many squared;
    origins, directions float32 [P rays^2,3]; pixel_scale [P]: size of a ray's pixel at depth 1; targets [P,3]; factors [P]: what
    a pixel counts; weights float64 [N_WEIGHTS]; mode MSE, L1 or HUBER.
    Outputs: first_record int64, n_records int32 [n] by place in `order`; records [room,RECORD], record_voxel, record_ray
    int32 [room], as far as there is room: cursor [1] is how many are wanted; histogram int32 [parts, runs]; squared float32
    [P]: squared error, mean over the channels; run_sums float64 [runs, N_SUMS]. Parallel over: runs of RUN_PIXELS pixels.
    """
    n_pixels, per_pixel, lattice = order.shape[0], rays * rays, LATTICE / root_size
    room, n_rows, flat = records.shape[0], sh.shape[1], sh.reshape(-1)
    ray, state, span, queue, basis, met, of = ray_arrays()
    fine = np.empty(max(1, n_fine * per_pixel))
    o, d, v, rgb = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3)
    ends, light = np.zeros(per_pixel + 1, dtype=np.int64), np.zeros(per_pixel)
    while True:
        begin = fetch_add(counter, 0, RUN_PIXELS)
        if begin >= n_pixels:
            break
        run = begin // RUN_PIXELS
        sums = run_sums[run]
        for place in range(begin, min(begin + RUN_PIXELS, n_pixels)):
            q = order[place]
            n = 0
            for channel in range(3):
                rgb[channel] = 0.0
            for k in range(per_pixel):
                number = q * per_pixel + k
                for axis in range(3):
                    o[axis], d[axis] = origins[number, axis], directions[number, axis]
                n, trans, met, of = see_ray(
                    n, k * n_fine, number, seed, n_coarse, n_fine, root_size, o, d, children, corner_idx, density, flat,
                    n_rows, degree, ray, state, span, queue, basis, met, of, fine,
                )  # fmt: skip
                ends[k + 1], light[k] = n, trans
                for channel in range(3):
                    rgb[channel] += trans * background[channel] / per_pixel
            live = 0
            for i in range(n):
                if met[i, ALPHA] > 0.0:
                    live += 1
                    for channel in range(3):
                        rgb[channel] += met[i, WEIGHT] * met[i, RED + channel] / per_pixel
            squared[q] = _pixel_loss(rgb, targets[q], factors[q], mode, weights, sums, v) / 3.0
            for channel in range(3):
                v[channel] /= per_pixel
            slot = fetch_add(cursor, 0, live)
            first_record[place], n_records[place] = slot, live
            for k in range(per_pixel):
                number, start = q * per_pixel + k, slot
                for axis in range(3):
                    d[axis] = directions[number, axis]
                slot = _ray_back(
                    ends[k], ends[k + 1], light[k], factors[q], pixel_scale[q], d, lattice, v, targets[q], n_coarse,
                    corner_idx, density, background, weights, met, of, fine, slot, room, records, record_voxel, sums,
                )  # fmt: skip
                for i in range(start, min(slot, room)):
                    record_ray[i] = number
                    histogram[record_voxel[i] // PART, run] += 1


@njit(cache=True, nogil=True)
def list_records(counter, first_record, n_records, record_voxel, cursor, listed):
    """List the records by part: cursor int32 [parts, runs] holds where each run's go in listed int32."""
    n_pixels = first_record.shape[0]
    while True:
        begin = fetch_add(counter, 0, RUN_PIXELS)
        if begin >= n_pixels:
            break
        run = begin // RUN_PIXELS
        for place in range(begin, min(begin + RUN_PIXELS, n_pixels)):
            for slot in range(first_record[place], first_record[place] + n_records[place]):
                part = record_voxel[slot] // PART
                listed[cursor[part, run]] = slot
                cursor[part, run] += 1


@njit(cache=True, nogil=True)
def add_records(
    counter, part_start, listed, records, record_voxel, record_ray, origins, box, degree,
    slot_of_group, gradients, v_corners, seen,
):  # fmt: skip
    """Add the records of each part to its voxels.

    Inputs: part_start int64 [parts + 1] into listed; slot_of_group int32 [all groups]. In and out: gradients float32 [slots,
    3 K + 1, 16]: of the coefficients and the priority; v_corners float32 [V,8]; seen float32 [2,V]: heaviest weight and minus
    the smallest pixel size. Parallel over: parts.
    """
    n_parts, n_basis = part_start.shape[0] - 1, (degree + 1) * (degree + 1)
    start = np.zeros(PART // GROUP + 1, dtype=np.int64)
    basis, flat = np.zeros(16), gradients.reshape(-1)
    while True:
        part = fetch_add(counter, 0, 1)
        if part >= n_parts:
            break
        first, last = part_start[part], part_start[part + 1]
        if first == last:
            continue
        by_group = np.empty(last - first, dtype=np.int32)
        start[:] = 0
        for i in range(first, last):  # a counting sort by group: a group's rows then stay in cache
            start[(record_voxel[listed[i]] % PART) // GROUP + 1] += 1
        for group in range(PART // GROUP):
            start[group + 1] += start[group]
        for i in range(first, last):
            group = (record_voxel[listed[i]] % PART) // GROUP
            by_group[start[group]] = listed[i]
            start[group] += 1
        for i in range(by_group.shape[0]):
            slot = np.int64(by_group[i])
            voxel = np.int64(record_voxel[slot])
            seen[0, voxel] = max(seen[0, voxel], records[slot, HEAVIEST])
            seen[1, voxel] = max(seen[1, voxel], -records[slot, PIXEL])
            corners = corner_gradients(
                records[slot, 0], records[slot, 1], records[slot, 2], records[slot, 3],
                records[slot, 4], records[slot, 5], records[slot, 6], records[slot, 7],
            )  # fmt: skip
            for c in range(8):
                v_corners[voxel, c] += corners[c]
            half, number = 0.5 * box[voxel, 3], record_ray[slot]
            write_basis(
                box[voxel, 0] + half - origins[number, 0], box[voxel, 1] + half - origins[number, 1],
                box[voxel, 2] + half - origins[number, 2], degree, basis,
            )  # fmt: skip
            r, g, b = records[slot, 8], records[slot, 9], records[slot, 10]
            at = (np.int64(slot_of_group[voxel // GROUP]) * (3 * n_basis + 1)) * GROUP + voxel % GROUP
            for k in range(n_basis):
                flat[at] += basis[k] * r
                flat[at + 16] += basis[k] * g
                flat[at + 32] += basis[k] * b
                at += 48
            flat[at] += records[slot, PRIORITY]


@njit(cache=True, nogil=True)
def number_groups(listed, record_voxel, slot_of_group, groups, n):
    """Give every group of voxels that has records and no slot yet the next one; return how many slots are taken."""
    for i in range(listed.shape[0]):
        group = record_voxel[listed[i]] // GROUP
        if slot_of_group[group] < 0:
            slot_of_group[group] = n
            groups[n] = group
            n += 1
    return n


@njit(cache=True, nogil=True)
def points_of_corners(groups, corner_idx, v_corners, v_density):
    """Add the corners' gradients of some groups' voxels to those of the grid's points [G],"""
    for i in range(groups.shape[0]):
        first = np.int64(groups[i]) * GROUP
        for voxel in range(first, min(first + GROUP, corner_idx.shape[0])):
            for c in range(8):
                v_density[corner_idx[voxel, c]] += v_corners[voxel, c]
