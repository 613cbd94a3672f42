# SPDX-License-Identifier: MIT
"""What samples become of the pieces of a ray: how many, how long their stretches, where they lie, whose they are.

A piece is a part of a ray with a weight, the share of the ray's light that probably comes from there. Pieces come from the
nodes' grids (`propose_rays`) or from the samples of an earlier round and the fields' own weights (`resample_rays`).
Parallel over: rays, in runs of RUN.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.cpu.counter_random import JITTER, PLACE, draw
from engine.cpu.route import descend, level_of
from engine.cpu.simd import fetch_add

RUN = 64  # rays per piece of parallel work

# Entries of `params`, float64.
(
    LOW_X, LOW_Y, LOW_Z, PER_EDGE, ROOT_GSD, SPACING, POWER, PADDING, STOP, MOST_ALPHA, UNSEEN_DENSITY, N_PARAMS,
) = range(12)  # fmt: skip
# Entries of `sizes`, int64.
DEEPEST, RESOLUTION, SAMPLES, CANDIDATES, OUTSIDE, CONTRACTED, N_SIZES = range(7)
# Columns of a piece: z-depths of its ends, weight, steps of `spacing` that it holds, chance, whether a gap lies before it.
FROM, TO, WEIGHT, STEPS, CHANCE, AFTER_GAP, PIECE = range(7)

EDGE = 1e-9  # a run's share of the samples that is a whole number up to rounding is one
GAP = 1e-5  # of 1 + t: what rounding of neighbouring stretches' ends in float32 stays well below


@njit(cache=True, nogil=True)
def place(pieces, n, most, power, padding, length, seed, seeded, ray, base, t, start, delta):
    """Cut n pieces into stretches, one sample each; return how many, at most `most`. Writes t, start, delta from `base` on.

    A piece's chance is (1 - padding) w^power + padding steps, both normalised. A run of pieces without a gap gets its share
    of the samples, at least one; inside it the stretches have equal chances. So stretches have no gaps, and together
    they cover the pieces. There are as many as the pieces have steps, those behind something hidden counting for less.
    A sample lies in the middle of its stretch, or where the seed says.
    """
    weights, steps, wanted, trans, runs = 0.0, 0.0, 0.0, 1.0, 0
    for p in range(n):
        if runs == most:
            pieces[p, AFTER_GAP] = 0.0  # no sample is left for this run: the gap before it counts as occupied
        runs += np.int64(pieces[p, AFTER_GAP])
        pieces[p, CHANCE] = np.float64(np.float32(pieces[p, WEIGHT]) ** np.float32(power))
        weights += pieces[p, CHANCE]
        steps += pieces[p, STEPS]
        wanted += pieces[p, STEPS] * np.sqrt(trans)
        trans = max(trans - pieces[p, WEIGHT], 0.0)
    if n == 0:
        return 0
    by_weight = (1.0 - padding) / weights if weights > 0.0 else 0.0
    by_steps = (padding if weights > 0.0 else 1.0) / max(steps, 1e-30)
    spare = min(most, max(runs, np.int64(np.ceil(min(wanted, 1e6))))) - runs
    out, p = base, 0
    while p < n:
        total, last = 0.0, p
        while last < n and (last == p or pieces[last, AFTER_GAP] == 0.0):
            pieces[last, CHANCE] = pieces[last, CHANCE] * by_weight + pieces[last, STEPS] * by_steps
            total += pieces[last, CHANCE]
            last += 1
        count = 1 + np.int64(spare * total + EDGE)
        begin, passed = pieces[p, FROM], 0.0
        for s in range(count):
            goal = total * (s + 1) / count
            while p < last - 1 and passed + pieces[p, CHANCE] <= goal:
                passed += pieces[p, CHANCE]
                p += 1
            end = pieces[last - 1, TO]
            if s < count - 1:
                inside = (goal - passed) / max(pieces[p, CHANCE], 1e-300)
                reach = pieces[p, FROM] + min(max(inside, 0.0), 1.0) * (pieces[p, TO] - pieces[p, FROM])
                end = min(max(reach, begin), end)
            where = draw(seed, PLACE, ray, out - base) if seeded else 0.5
            t[out], start[out] = begin + where * (end - begin), begin
            delta[out] = (end - begin) * length
            begin = end
            out += 1
        p = last
    return out - base


@njit(cache=True, nogil=True)
def pack_samples(
    counter, rays_o, rays_d, footprint, params, sizes, children, resident, some_resident, seed, seeded, most, offsets,
    t_from, start_from, delta_from, t, start, delta, node, position, ray,
):  # fmt: skip
    """Move each ray's samples from q most on to offsets[q] on, and say where they are and whose.

    A sample's footprint is jittered by up to half a level either way where there is a seed.
    """
    per = params[PER_EDGE]
    while True:
        first = fetch_add(counter, 0, RUN)
        if first >= rays_o.shape[0]:
            break
        for q in range(first, min(first + RUN, rays_o.shape[0])):
            for number in range(offsets[q + 1] - offsets[q]):
                s, at = offsets[q] + number, q * most + number
                t[s], start[s], delta[s], ray[s] = t_from[at], start_from[at], delta_from[at], q
                for axis in range(3):
                    position[s, axis] = rays_o[q, axis] + t[s] * rays_d[q, axis]
                x = (np.float64(position[s, 0]) - params[LOW_X]) * per
                y = (np.float64(position[s, 1]) - params[LOW_Y]) * per
                z = (np.float64(position[s, 2]) - params[LOW_Z]) * per
                owner = np.int64(0)
                if 0.0 <= x < 1.0 and 0.0 <= y < 1.0 and 0.0 <= z < 1.0:
                    radius = np.float64(footprint[q]) * t[s]
                    if seeded:
                        radius *= np.exp2(draw(seed, JITTER, q, number) - 0.5)
                    level = level_of(radius, params[ROOT_GSD], sizes[DEEPEST])
                    owner = descend(children, resident, some_resident, x, y, z, level)
                node[s] = owner


@njit(cache=True, nogil=True)
def resample_rays(
    counter, rays_d, offsets, start_old, delta_old, node_old, weights, params, sizes, depth, most, longest, seed,
    seeded, t, start, delta, counts,
):  # fmt: skip
    """Place samples anew, where the weights of the old ones are. Outputs as `propose_rays`'; `longest`: the most a ray has."""
    pieces = np.empty((max(longest, 1), PIECE), dtype=np.float64)
    while True:
        first = fetch_add(counter, 0, RUN)
        if first >= rays_d.shape[0]:
            break
        for q in range(first, min(first + RUN, rays_d.shape[0])):
            ex, ey, ez = np.float64(rays_d[q, 0]), np.float64(rays_d[q, 1]), np.float64(rays_d[q, 2])
            length = np.sqrt(ex * ex + ey * ey + ez * ez)
            n = offsets[q + 1] - offsets[q]
            for p in range(n):
                s = offsets[q] + p
                begin, span = np.float64(start_old[s]), np.float64(delta_old[s])
                gsd = params[ROOT_GSD] / (1 << depth[node_old[s]])
                pieces[p, FROM], pieces[p, TO] = begin, begin + span / length
                pieces[p, WEIGHT] = max(np.float64(weights[s]), 0.0)
                pieces[p, STEPS] = span / (
                    params[SPACING] * gsd * (1.0 + sizes[CONTRACTED] * (node_old[s] == 0))
                )
                # Neighbours' ends agree to float32's rounding; a gap is at least a cell wide.
                gap = p == 0 or begin - pieces[p - 1, TO] > GAP * (1.0 + abs(begin))
                pieces[p, AFTER_GAP] = 1.0 if gap else 0.0
                if p > 0 and not gap:
                    pieces[p, FROM] = pieces[p - 1, TO]
            counts[q] = place(
                pieces,
                n,
                most,
                params[POWER],
                params[PADDING],
                length,
                seed,
                seeded,
                q,
                q * most,
                t,
                start,
                delta,
            )
