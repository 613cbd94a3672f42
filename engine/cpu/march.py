# SPDX-License-Identifier: MIT
"""Marching rays on the CPU: pictures, and one training pass from rays to gradients of the voxels' rows.

The pass keeps records of live samples only, in blocks of rays whose records fit a budget: its memory does not grow with
rays x samples. See `march_rays` (forward) and `march_grad` (backward) for what is computed and in which order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from engine.cpu.cell_map import cell_map
from engine.cpu.crew import Crew
from engine.cpu.lists import Workspace
from engine.cpu.march_grad import N_TERMS, march_backward, scatter_runs, sort_runs
from engine.cpu.march_rays import (
    N_GEOMETRY,
    N_PARAMS,
    RECORD,
    RUN_RAYS,
    march_forward,
    set_up_rays,
)
from engine.shapes import check_shapes
from engine.voxel_grid import Grid, LossTerms, MarchOptions, row_stride

__all__ = ["Complete", "GridGradients", "LossTerms", "MarchOptions", "Marched", "march", "march_gradients"]

BLOCK_SAMPLES = 1 << 21  # samples that a block of rays may have at most: bounds the records' memory
SLABS = 64  # slabs along X that gradients are sorted into

_NO_CELLS, _NO_RECORDS = np.zeros(1, dtype=np.int32), np.zeros(1, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Marched:
    """Per ray: rgb float32 [Q,3] without background, log transmittance [Q], depth [Q] = sum w t, in engine units.

    `live` int32 [Q] counts the samples that had density, where that was asked for.
    """

    rgb: np.ndarray
    log_trans: np.ndarray
    depth: np.ndarray
    live: np.ndarray | None = None

    def over(self, background: float) -> np.ndarray:
        """Return rgb [Q,3] in front of a background of this brightness."""
        return self.rgb + np.exp(self.log_trans)[:, None] * np.float32(background)


@dataclass(eq=False)
class GridGradients:
    """Gradients of a grid: rows float32 [N,S], columns as in `Grid.sh` and the density's in column 3 B; touched uint8 [N].

    `march_gradients` adds to them; whoever consumes a touched row sets it and its mark back to 0.
    """

    rows: np.ndarray
    touched: np.ndarray

    @classmethod
    def of(cls, grid: Grid) -> GridGradients:
        """Return zero gradients for a grid."""
        n = grid.n_voxels
        return cls(np.zeros((n, row_stride(grid.degree)), np.float32), np.zeros(n, np.uint8))


# Completes a block's picture: (first, last, rgb, log_trans of these rays) -> (v_rgb [n,3], v_log_trans [n]).
Complete = Callable[[int, int, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


class PreparedRays:
    """Rays made ready: where they meet the grid and how many samples they have."""

    def __init__(
        self,
        grid: Grid,
        rays_o: np.ndarray,
        rays_d: np.ndarray,
        options: MarchOptions,
        crew: Crew,
        room: Workspace,
    ) -> None:
        q = check_shapes("march", rays_o=(rays_o, "N 3"), rays_d=(rays_d, "N 3"))["N"]
        self.n = q
        self.d = np.ascontiguousarray(rays_d, dtype=np.float32)
        self.params = np.zeros(N_PARAMS)
        self.params[:] = options.step, options.sigma_thresh, options.stop_thresh, options.near, options.far
        self.geometry = room.take("march_geometry", (q, N_GEOMETRY), np.float64)
        self.steps = room.take("march_steps", (q,), np.int32)
        self.sizes = grid.resolution
        self.cell_map = cell_map(grid, crew)
        resolution = np.asarray(grid.resolution, dtype=np.float64)
        crew.run(
            set_up_rays, np.ascontiguousarray(rays_o, dtype=np.float32), self.d, grid.scale, grid.offset, resolution,
            self.params, self.geometry, self.steps,
        )  # fmt: skip
        self.most = int(self.steps.max(initial=1))
        self.starts = room.take("march_starts", (q + 1,), np.int64)
        self.starts[0] = 0
        np.cumsum(self.steps + 1, out=self.starts[1:])  # one record more than samples: see `find_live`
        self.counts = room.take("march_counts", (q,), np.int32)


def _forward(
    grid: Grid, rays: PreparedRays, first: int, last: int, keep: bool, out: Marched, cells: np.ndarray,
    rows: np.ndarray, records: np.ndarray, crew: Crew,
) -> None:  # fmt: skip
    crew.run(
        march_forward, first, last, rays.d, rays.geometry, rays.steps, rays.starts, keep, rays.most, rays.params,
        rays.cell_map, grid.links.reshape(-1), grid.density, grid.sh.reshape(-1), grid.degree, rays.sizes, cells, rows, records,
        rays.counts, out.rgb, out.log_trans, out.depth,
    )  # fmt: skip


def march(
    grid: Grid,
    rays_o: np.ndarray,  # [N,3] engine units
    rays_d: np.ndarray,  # [N,3] unit
    options: MarchOptions,
    crew: Crew,
    room: Workspace,
) -> Marched:
    """Return what rays see of a grid, in fresh arrays."""
    rays = PreparedRays(grid, rays_o, rays_d, options, crew, room)
    out = Marched(
        np.empty((rays.n, 3), np.float32), np.empty(rays.n, np.float32), np.empty(rays.n, np.float32)
    )
    _forward(grid, rays, 0, rays.n, False, out, _NO_CELLS, _NO_CELLS, _NO_RECORDS, crew)
    return replace(out, live=rays.counts.copy())


def march_gradients(
    grid: Grid,
    rays_o: np.ndarray,  # [N,3] engine units
    rays_d: np.ndarray,  # [N,3] unit
    target: np.ndarray | Complete,  # float32 [N,3], or what completes the picture and returns its gradients
    options: MarchOptions,
    terms: LossTerms,
    gradients: GridGradients,
    crew: Crew,
    room: Workspace,
) -> float:
    """Add the gradients of mean squared error + terms to `gradients`; return the mean squared error.

    With a `Complete` its gradients are taken as they are and only beta, cauchy and l1 are added; the return value is 0.
    """
    rays = PreparedRays(grid, rays_o, rays_d, options, crew, room)
    out = Marched(
        room.take("march_rgb", (rays.n, 3), np.float32),
        room.take("march_log_trans", (rays.n,), np.float32),
        room.take("march_depth", (rays.n,), np.float32),
    )
    squared = room.take("march_squared", (rays.n,), np.float64)
    squared[:] = 0.0
    first = 0
    while first < rays.n:
        last = int(np.searchsorted(rays.starts, rays.starts[first] + BLOCK_SAMPLES, side="right")) - 1
        last = min(max(last, first + 1), rays.n)
        _block(grid, rays, first, last, target, terms, out, squared, gradients, crew, room)
        first = last
    return float(squared.sum()) / (3.0 * max(rays.n, 1))


def _block(
    grid: Grid, rays: PreparedRays, first: int, last: int, target: np.ndarray | Complete, terms: LossTerms, out: Marched,
    squared: np.ndarray, gradients: GridGradients, crew: Crew, room: Workspace,
) -> None:  # fmt: skip
    """March a block of rays there and back."""
    n = int(rays.starts[last] - rays.starts[first])
    cells = room.take("march_cells", (n,), np.int32)
    rows = room.take("march_rows", (8 * n,), np.int32)
    records = room.take("march_records", (n * RECORD,), np.float32)
    _forward(grid, rays, first, last, True, out, cells, rows, records, crew)
    given = callable(target)
    v_rgb = room.take("march_v_rgb", (rays.n, 3), np.float32)
    v_log_trans = room.take("march_v_log_trans", (rays.n,), np.float32)
    v_log_trans[first:last] = 0.0
    if given:
        block = slice(first, last)
        v_rgb[block], v_log_trans[block] = target(first, last, out.rgb[block], out.log_trans[block])
    _, y, z = grid.resolution
    thickness = max(1, -(-grid.resolution[0] // SLABS))
    n_slabs, n_chunks = -(-grid.resolution[0] // thickness), -(-(last - first) // RUN_RAYS)
    runs = room.take("march_runs", (n,), np.int32)
    histogram = room.take("march_histogram", (n_slabs, n_chunks), np.int32)
    histogram[:] = 0
    outer = room.take("march_outer", ((last - first) * row_stride(grid.degree),), np.float32)
    numbers = np.zeros(N_TERMS)
    numbers[:] = terms.background, terms.beta, terms.cauchy, terms.l1, rays.n
    crew.run(
        march_backward, first, last, rays.d, rays.geometry, rays.starts, rays.counts, rays.params, numbers,
        grid.degree, out.rgb, out.log_trans, v_rgb if given else np.ascontiguousarray(target, dtype=np.float32), given, v_rgb,
        v_log_trans, y * z, thickness, cells, records, runs, histogram, outer, squared,
    )  # fmt: skip
    ends = np.cumsum(histogram.reshape(-1), dtype=np.int32)
    cursor = (ends - histogram.reshape(-1)).reshape(histogram.shape)
    slab_start = np.append(cursor[:, 0], ends[-1])
    order = room.take("march_order", (int(ends[-1]),), np.int32)
    order_ray = room.take("march_order_ray", (int(ends[-1]),), np.int32)
    crew.run(
        sort_runs,
        first,
        last,
        rays.starts,
        rays.counts,
        y * z,
        thickness,
        cells,
        runs,
        cursor,
        order,
        order_ray,
    )
    for odd in range(2):
        crew.run(
            scatter_runs, odd, slab_start, order, order_ray, runs, rows, records, outer, grid.degree,
            gradients.rows.reshape(-1), gradients.touched,
        )  # fmt: skip
