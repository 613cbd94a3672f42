# SPDX-License-Identifier: MIT
"""Samples for rays: where the nodes' grids say that something may be, dense where it matters, none where all is empty.

A ray's way through the cube is cut at the faces of the grids' cells, so nothing thin is missed. Cell by cell: the footprint
picks the node (as `route` does), the node's grid says whether something may be there; empty cells are left out, in aligned
cubes as large as they come. What remains are pieces of known density. Outside the cube the root's contracted grid is read
once a piece. See `place` for what samples become of the pieces.
Parallel over: rays, in runs of RUN. Early exits: behind `stop`.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.cpu.counter_random import JITTER, PLACE, draw
from engine.cpu.crew import Crew
from engine.cpu.lists import Workspace
from engine.cpu.occupancy import contracted_unit
from engine.cpu.route import ALL_RESIDENT, descend, level_of
from engine.cpu.simd import fetch_add
from engine.node_occupancy import Occupancy
from engine.node_samples import ProposalOptions, Samples
from engine.node_tree import NodeTree
from engine.shapes import check_shapes

RUN = 64  # rays per piece of parallel work

# Entries of `params`, float64.
(
    LOW_X, LOW_Y, LOW_Z, PER_EDGE, ROOT_GSD, SPACING, POWER, PADDING, STOP, MOST_ALPHA, UNSEEN_DENSITY, N_PARAMS,
) = range(12)  # fmt: skip
# Entries of `sizes`, int64.
DEEPEST, RESOLUTION, SAMPLES, CANDIDATES, OUTSIDE, N_SIZES = range(6)
# Columns of a piece: z-depths of its ends, weight, steps of `spacing` that it holds, chance, whether a gap lies before it.
FROM, TO, WEIGHT, STEPS, CHANCE, AFTER_GAP, PIECE = range(7)

_NEVER = 1e30
_PARALLEL = 1e-12  # a direction component below this never reaches a face
_INSIDE = 1.0 - 1e-12
GAP = 1e-5  # of 1 + t: what rounding of neighbouring stretches' ends in float32 stays well below
_NUDGE = 1e-7  # of a cell: how far behind a face the next cell is looked for


@njit(cache=True, nogil=True, inline="always")
def _add_piece(pieces, n, begin, end, gap, shortest, alpha, trans, steps):
    """Add [begin, end] to n pieces, to the last one where that is short or no room is left; return n."""
    last = n - 1
    joined = n > 0 and not gap and pieces[last, TO] - pieces[last, FROM] < shortest
    if joined or n == pieces.shape[0]:
        pieces[last, TO] = end
        pieces[last, WEIGHT] += trans * alpha
        pieces[last, STEPS] += steps
        return n
    pieces[n, FROM], pieces[n, TO] = begin, end
    pieces[n, WEIGHT], pieces[n, STEPS] = trans * alpha, steps
    pieces[n, AFTER_GAP] = 1.0 if gap or n == 0 else 0.0
    return n + 1


@njit(cache=True, nogil=True, inline="always")
def _alpha(density, length, params):
    """Return the share that a piece hides by the cache, at most MOST_ALPHA: its density may lie beside the ray."""
    density = params[UNSEEN_DENSITY] if density < 0.0 else np.float64(density)
    return min(1.0 - np.exp(-density * length), params[MOST_ALPHA])


@njit(cache=True, nogil=True, inline="always")
def _to_face(o, d, inverse, low, high):
    """Return the t at which a ray leaves a slab."""
    if abs(d) < _PARALLEL:
        return _NEVER
    return ((high if d > 0.0 else low) - o) * inverse


@njit(cache=True, nogil=True)
def _through_the_cube(
    ox, oy, oz, dx, dy, dz, begin, end, length, footprint, params, sizes, children, resident, some_resident, depth,
    density, free, pieces, n, trans, gap,
):  # fmt: skip
    """Add the pieces from z-depth begin to end, inside the cube, to n pieces; return (n, transmittance, gap before the next).

    o + t d is in edges of the cube; `length` is |direction| in engine units.
    """
    resolution, root_gsd = sizes[RESOLUTION], params[ROOT_GSD]
    shortest = (end - begin) / sizes[CANDIDATES]
    ix = 0.0 if abs(dx) < _PARALLEL else 1.0 / dx
    iy = 0.0 if abs(dy) < _PARALLEL else 1.0 / dy
    iz = 0.0 if abs(dz) < _PARALLEL else 1.0 / dz
    nudge = _NUDGE / max(abs(dx), max(abs(dy), abs(dz)))
    t = begin
    while t < end and trans >= params[STOP]:
        x = min(max(ox + t * dx, 0.0), _INSIDE)
        y = min(max(oy + t * dy, 0.0), _INSIDE)
        z = min(max(oz + t * dz, 0.0), _INSIDE)
        level = level_of(footprint * t, root_gsd, sizes[DEEPEST])
        node = descend(children, resident, some_resident, x, y, z, level)
        d = depth[node]
        # The cube's coordinate c is the grid's scale c + shift; cells of a node below the root are those of the whole cube.
        scale = 0.5 * resolution if node == 0 else np.float64(resolution << d)
        shift = 0.25 * resolution if node == 0 else 0.0
        i, j, k = np.int64(x * scale + shift), np.int64(y * scale + shift), np.int64(z * scale + shift)
        mask = resolution - 1
        at = ((i & mask) * resolution + (j & mask)) * resolution + (k & mask)
        code = np.int64(free[node, at])
        s = max(code - 1, 0)
        i, j, k = (i >> s) << s, (j >> s) << s, (k >> s) << s
        per, edge = 1.0 / scale, 1 << s
        until = min(
            _to_face(ox, dx, ix, (i - shift) * per, (i + edge - shift) * per),
            min(
                _to_face(oy, dy, iy, (j - shift) * per, (j + edge - shift) * per),
                _to_face(oz, dz, iz, (k - shift) * per, (k + edge - shift) * per),
            ),
        )
        gsd = root_gsd / (1 << d)
        if d > 0:  # from here on the footprint asks for the parent
            until = min(until, 2.0 * gsd / footprint)
        until = min(max(until, t) + nudge * per, end)
        if code > 0:
            gap = True
        else:
            span = (until - t) * length
            alpha = _alpha(density[node, at], span, params)
            steps = span / (params[SPACING] * gsd * (2.0 if node == 0 else 1.0))
            n = _add_piece(pieces, n, t, until, gap, shortest, alpha, trans, steps)
            trans *= 1.0 - alpha
            gap = False
        t = until
    return n, trans, gap


@njit(cache=True, nogil=True)
def _outside_the_cube(
    ox, oy, oz, dx, dy, dz, begin, end, length, params, sizes, density, free, pieces, n, trans, gap
):  # fmt: skip
    """Add the pieces from z-depth begin to end, outside the cube, to n pieces; return (n, transmittance, gap before the next).

    Their ends are even in 1 / (1 + distance from begin, in half edges): short near the cube, long far out.
    """
    count, resolution = sizes[OUTSIDE], sizes[RESOLUTION]
    half = 0.5 / (params[PER_EDGE] * length)  # half an edge, as z-depth of this ray
    far = half / (half + end - begin)
    t = begin
    for piece in range(count):
        if trans < params[STOP]:
            break
        share = (piece + 1) / count
        until = begin + half * (1.0 / (1.0 - share * (1.0 - far)) - 1.0)
        middle = 0.5 * (t + until)
        x, y, z, most = contracted_unit(ox + middle * dx, oy + middle * dy, oz + middle * dz)
        i = min(np.int64(x * resolution), resolution - 1)
        j = min(np.int64(y * resolution), resolution - 1)
        k = min(np.int64(z * resolution), resolution - 1)
        at = (i * resolution + j) * resolution + k
        if free[0, at] > 0:
            gap = True
        else:
            span = (until - t) * length
            alpha = _alpha(density[0, at], span, params)
            steps = span / (2.0 * params[SPACING] * params[ROOT_GSD] * most * most)
            n = _add_piece(pieces, n, t, until, gap, 0.0, alpha, trans, steps)
            trans *= 1.0 - alpha
            gap = False
        t = until
    return n, trans, gap


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
        pieces[p, CHANCE] = pieces[p, WEIGHT] ** power
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
        count = 1 + np.int64(spare * min(total, 1.0))
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
def propose_rays(
    counter, rays_o, rays_d, near, far, footprint, params, sizes, children, resident, some_resident, depth, density,
    free, seed, seeded, t, start, delta, counts,
):  # fmt: skip
    """Propose samples for rays: counts int32 [Q]; t, start, delta float32 [Q most], ray q's from q most on."""
    pieces = np.empty((sizes[CANDIDATES] + 2 * sizes[OUTSIDE], PIECE), dtype=np.float64)
    n_rays, most, per = rays_o.shape[0], sizes[SAMPLES], params[PER_EDGE]
    while True:
        first = fetch_add(counter, 0, RUN)
        if first >= n_rays:
            break
        for q in range(first, min(first + RUN, n_rays)):
            ex, ey, ez = np.float64(rays_d[q, 0]), np.float64(rays_d[q, 1]), np.float64(rays_d[q, 2])
            length = np.sqrt(ex * ex + ey * ey + ez * ez)
            ox = (np.float64(rays_o[q, 0]) - params[LOW_X]) * per
            oy = (np.float64(rays_o[q, 1]) - params[LOW_Y]) * per
            oz = (np.float64(rays_o[q, 2]) - params[LOW_Z]) * per
            dx, dy, dz = ex * per, ey * per, ez * per
            begin, end = np.float64(near[q]), np.float64(far[q])
            enter, leave = begin, end
            for axis in range(3):
                o = ox if axis == 0 else (oy if axis == 1 else oz)
                d = dx if axis == 0 else (dy if axis == 1 else dz)
                if abs(d) < _PARALLEL:
                    if o < 0.0 or o >= 1.0:
                        leave = -_NEVER
                else:
                    enter = max(enter, min(-o / d, (1.0 - o) / d))
                    leave = min(leave, max(-o / d, (1.0 - o) / d))
            n, trans, gap = 0, 1.0, True
            if leave <= enter:
                enter = end
            if enter > begin:
                n, trans, gap = _outside_the_cube(
                    ox, oy, oz, dx, dy, dz, begin, enter, length, params, sizes, density, free, pieces, n, trans, gap
                )  # fmt: skip
            if leave > enter:
                n, trans, gap = _through_the_cube(
                    ox, oy, oz, dx, dy, dz, enter, leave, length, np.float64(footprint[q]), params, sizes, children,
                    resident, some_resident, depth, density, free, pieces, n, trans, gap,
                )  # fmt: skip
                if end > leave:
                    n, trans, gap = _outside_the_cube(
                        ox, oy, oz, dx, dy, dz, leave, end, length, params, sizes, density, free, pieces, n, trans, gap
                    )  # fmt: skip
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
                pieces[p, STEPS] = span / (params[SPACING] * gsd * (2.0 if node_old[s] == 0 else 1.0))
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


class _Batch:
    """Rays and the tree, laid out for the kernels."""

    def __init__(
        self, tree: NodeTree, rays_o: np.ndarray, rays_d: np.ndarray, footprint: np.ndarray,
        options: ProposalOptions, resolution: int, resident: np.ndarray | None,
    ) -> None:  # fmt: skip
        self.o, self.d, self.footprint = (
            np.ascontiguousarray(array, dtype=np.float32) for array in (rays_o, rays_d, footprint)
        )
        self.params = np.zeros(N_PARAMS)
        self.params[:PER_EDGE] = tree.centre - tree.half
        self.params[PER_EDGE:] = (
            0.5 / tree.half, tree.root_gsd, options.spacing, options.power, options.padding, options.stop,
            options.most_alpha, options.unseen_density,
        )  # fmt: skip
        self.sizes = np.zeros(N_SIZES, dtype=np.int64)
        self.sizes[:] = tree.levels - 1, resolution, options.samples, options.candidates, options.outside
        resident_nodes = ALL_RESIDENT if resident is None else resident
        self.nodes = (tree.children.reshape(-1), resident_nodes, resident is not None)
        self.depth = tree.depth

    def packed(
        self, most: int, counts: np.ndarray, drawn: tuple[np.ndarray, ...], seed: int | None, crew: Crew
    ) -> Samples:
        """Return the samples that a kernel placed, `most` slots a ray, side by side in fresh arrays."""
        offsets = np.zeros(len(counts) + 1, dtype=np.int64)
        np.cumsum(counts, out=offsets[1:])
        m = int(offsets[-1])
        t, start, delta = (np.empty(m, dtype=np.float32) for _ in range(3))
        node, ray = np.empty(m, dtype=np.int32), np.empty(m, dtype=np.int32)
        position = np.empty((m, 3), dtype=np.float32)
        crew.run(
            pack_samples, self.o, self.d, self.footprint, self.params, self.sizes, *self.nodes, *_seeding(seed), most,
            offsets, *drawn, t, start, delta, node, position, ray,
        )  # fmt: skip
        return Samples(offsets, t, delta, node, position, ray, start)


def _seeding(seed: int | None) -> tuple[int, bool]:
    return (0, False) if seed is None else (int(seed), True)


def _room_for(room: Workspace, rays: int, most: int) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    drawn = tuple(
        room.take(f"propose_{name}", (rays * most,), np.float32) for name in ("t", "start", "delta")
    )
    return drawn, room.take("propose_counts", (rays,), np.int32)


def propose(
    tree: NodeTree,
    occupancy: Occupancy,
    rays_o: np.ndarray,  # [Q,3] engine units
    rays_d: np.ndarray,  # [Q,3] with camera-space z of 1, so that t is z-depth
    near: np.ndarray,  # [Q] z-depth
    far: np.ndarray,  # [Q] z-depth, finite
    footprint: np.ndarray,  # [Q] radius of a sample's footprint per unit of t
    options: ProposalOptions,
    seed: int | None,  # None: samples in the middle of their stretches, no jitter of the levels
    crew: Crew,
    room: Workspace,
    resident: np.ndarray | None = None,  # bool [N]: nodes that may be used besides the root; None: all
) -> Samples:
    """Return samples where the nodes' grids say that something may be; the same for any number of threads.

    A ray's stretches cover what is occupied between near and far, up to where the cache says nothing can be seen any more.
    """
    q = check_shapes(
        "propose", rays_o=(rays_o, "Q 3"), rays_d=(rays_d, "Q 3"), near=(near, "Q"), far=(far, "Q"),
        footprint=(footprint, "Q"),
    )["Q"]  # fmt: skip
    batch = _Batch(tree, rays_o, rays_d, footprint, options, occupancy.resolution, resident)
    drawn, counts = _room_for(room, q, options.samples)
    crew.run(
        propose_rays, batch.o, batch.d, np.ascontiguousarray(near, dtype=np.float32),
        np.ascontiguousarray(far, dtype=np.float32), batch.footprint, batch.params, batch.sizes, *batch.nodes, batch.depth,
        occupancy.density, occupancy.free, *_seeding(seed), *drawn, counts,
    )  # fmt: skip
    return batch.packed(options.samples, counts, drawn, seed, crew)


def resample(
    tree: NodeTree,
    samples: Samples,
    weights: np.ndarray,  # [M] of the samples, from the fields
    rays_o: np.ndarray,  # [Q,3]
    rays_d: np.ndarray,  # [Q,3]
    footprint: np.ndarray,  # [Q]
    options: ProposalOptions,
    seed: int | None,
    crew: Crew,
    room: Workspace,
    resident: np.ndarray | None = None,
) -> Samples:
    """Return at most `options.samples` samples a ray, denser where the weights are: a further round of proposing.

    They cover the stretches of the old ones. Every round wants a seed of its own.
    """
    check_shapes(
        "resample", samples=(samples.t, "M"), weights=(weights, "M"), rays_o=(rays_o, "Q 3"), rays_d=(rays_d, "Q 3"),
        footprint=(footprint, "Q"),
    )  # fmt: skip
    batch = _Batch(tree, rays_o, rays_d, footprint, options, 1, resident)
    drawn, counts = _room_for(room, samples.rays, options.samples)
    longest = int(np.diff(samples.offsets).max(initial=0))
    crew.run(
        resample_rays, batch.d, samples.offsets, samples.start, samples.delta, samples.node,
        np.ascontiguousarray(weights, dtype=np.float32), batch.params, batch.sizes, batch.depth, options.samples, longest,
        *_seeding(seed), *drawn, counts,
    )  # fmt: skip
    return batch.packed(options.samples, counts, drawn, seed, crew)
