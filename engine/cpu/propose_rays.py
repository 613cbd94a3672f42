# SPDX-License-Identifier: MIT
"""The pieces of rays in which something may be, by the nodes' grids: the kernel behind `propose`.

A ray's way through the cube is cut at the faces of the grids' cells, so nothing thin is missed. Cell by cell: the footprint
picks the node (as `route` does), the node's grid says whether something may be there; empty cells are left out, in aligned
cubes as large as they come. What remains are pieces of known density. Outside the cube the root's contracted grid is read
once a piece. See `place` for what samples become of the pieces.
Parallel over: rays, in runs of RUN. Early exits: behind `stop`.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.cpu.occupancy import contracted_unit
from engine.cpu.place import (
    AFTER_GAP,
    CANDIDATES,
    CONTRACTED,
    DEEPEST,
    FROM,
    LOW_X,
    LOW_Y,
    LOW_Z,
    MOST_ALPHA,
    OUTSIDE,
    PADDING,
    PER_EDGE,
    PIECE,
    POWER,
    RESOLUTION,
    ROOT_GSD,
    RUN,
    SAMPLES,
    SPACING,
    STEPS,
    STOP,
    TO,
    UNSEEN_DENSITY,
    WEIGHT,
    place,
)
from engine.cpu.route import descend, level_of
from engine.cpu.simd import fetch_add

_NEVER = 1e30
_PARALLEL = 1e-12  # a direction component below this never reaches a face
_INSIDE = 1.0 - 1e-12
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
    return min(1.0 - np.float64(np.exp(np.float32(-density * length))), params[MOST_ALPHA])


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
        bent = node == 0 and sizes[CONTRACTED] > 0
        scale = 0.5 * resolution if bent else np.float64(resolution << d)
        shift = 0.25 * resolution if bent else 0.0
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
            steps = span / (params[SPACING] * gsd * (2.0 if bent else 1.0))
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
    if sizes[CONTRACTED] == 0:
        return n, trans, True
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
