# SPDX-License-Identifier: MIT
"""What a batch of pixels says of the whole field: gradients as `apply_step.apply_gradients` takes them.

Works through the batch in blocks of BLOCK_PIXELS pixels, so that records of a block are all that is ever held; see `octree_rays_grad`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.constants import N_SUMS
from engine.cpu.apply_step import FieldGradients
from engine.cpu.crew import Crew
from engine.cpu.lists import VoxelTable, Workspace
from engine.cpu.octree_rays import RUN_PIXELS, sorted_by_place
from engine.cpu.octree_rays_grad import PART, RECORD, add_records, list_records, take_groups, trace_pixels
from engine.cpu.shade import GROUP
from engine.cpu.shared_update import collect_points

BLOCK_PIXELS = 4096
_FIRST_ROOM = 1 << 16  # records there is room for at first


@dataclass(frozen=True, eq=False)
class RayBatch:
    """P pixels, each the mean of `rays`^2 rays, which stand next to each other.

    `origins`, `directions` float32 [P rays^2,3], directions of length 1 along the camera's axis; `pixel_scale` float32 [P]: the
    size of a ray's pixel at depth 1; `targets` float32 [P,3]; `factors` float32 [P]: what each pixel counts, 1 in the mean.
    """

    origins: np.ndarray
    directions: np.ndarray
    pixel_scale: np.ndarray
    targets: np.ndarray
    factors: np.ndarray
    rays: int = 1


@dataclass(frozen=True, eq=False)
class Quadrature:
    """Samples of a ray: `coarse` in every voxel, `fine` where the coarse ones found weight, drawn anew for every `seed`."""

    coarse: int = 1
    fine: int = 0
    seed: int = 0


@dataclass(frozen=True, eq=False)
class RayField:
    """What rays look at: an octree's table and nodes (`octree_nodes.node_table`), densities [G], grouped coefficients."""

    table: VoxelTable
    children: np.ndarray
    density: np.ndarray
    sh: np.ndarray
    degree: int


class RayRoom:
    """What `ray_gradients` keeps from step to step. One per model."""

    def __init__(self) -> None:
        self.arrays = Workspace()
        self.records = _FIRST_ROOM
        self._dense = np.zeros((0, 0, GROUP), dtype=np.float32)

    def dense(self, n_voxels: int, degree: int) -> np.ndarray:
        """Return the gradients of all groups, all zero; who adds to them takes them out with `take_groups`."""
        shape = (-(-n_voxels // GROUP), 3 * (degree + 1) ** 2 + 1, GROUP)
        if self._dense.shape != shape:
            self._dense = np.zeros(shape, dtype=np.float32)
        return self._dense

    def forget(self) -> None:
        """Give up what a step that failed left behind."""
        self._dense = np.zeros((0, 0, GROUP), dtype=np.float32)


def ray_gradients(
    field: RayField,
    owners: tuple[np.ndarray, np.ndarray],  # of `update.owners_of_points`
    scratch: tuple[np.ndarray, np.ndarray],  # v_corners [V,8], has_gradient [V]; see `train_view.train_on_view`
    batch: RayBatch,
    quadrature: Quadrature,
    crew: Crew,
    room: RayRoom,
    *,
    mode: int,  # MSE, L1 or HUBER
    background: np.ndarray,  # [3]
    weights: np.ndarray,  # [N_WEIGHTS]
) -> tuple[FieldGradients, np.ndarray, np.ndarray]:
    """Return (gradients, loss sums [N_SUMS], squared error of each pixel [P], mean over its channels).

    Gradients are valid until the room is used again. The same for any number of threads.
    """
    n, take = field.table.n_voxels, room.arrays.take
    dense, group_seen = room.dense(n, field.degree), np.zeros(-(-n // GROUP), dtype=np.uint8)
    v_corners, has_gradient = scratch
    v_corners[:], has_gradient[:] = 0.0, 0
    seen = take("seen", (2, n), np.float32)
    seen[0], seen[1] = 0.0, -np.inf
    squared, sums = np.zeros(len(batch.targets), dtype=np.float32), np.zeros(N_SUMS)
    per_pixel = batch.rays**2
    order = sorted_by_place(batch.origins[::per_pixel], batch.directions[::per_pixel], field.table.root_size)
    try:
        for first in range(0, len(order), BLOCK_PIXELS):
            block = order[first : first + BLOCK_PIXELS]
            part_start, listed, records, voxel, ray, block_sums = _traced(
                field, block, batch, quadrature, crew, room, mode, background, weights, squared
            )
            sums += block_sums
            crew.run(
                add_records, part_start, listed, records, voxel, ray, batch.origins, field.table.box, field.degree, dense,
                group_seen, v_corners, has_gradient, seen,
            )  # fmt: skip
        groups = np.flatnonzero(group_seen).astype(np.int32)
        coefficients = take("coefficients", (len(groups), *dense.shape[1:]), np.float32)
        crew.run(take_groups, groups, dense, coefficients)
    except BaseException:
        room.forget()
        raise
    v_density = take("v_density", field.density.shape, np.float32)
    crew.run(collect_points, *owners, v_corners, v_density)
    return FieldGradients(groups, coefficients, v_density, seen), sums, squared


def _traced(
    field: RayField,
    block: np.ndarray,
    batch: RayBatch,
    quadrature: Quadrature,
    crew: Crew,
    room: RayRoom,
    mode: int,
    background: np.ndarray,
    weights: np.ndarray,
    squared: np.ndarray,
) -> tuple[np.ndarray, ...]:
    """Trace a block of pixels; return (part_start, listed, records, their voxels, their rays, loss sums [N_SUMS])."""
    take, table, n = room.arrays.take, field.table, len(block)
    runs, parts = -(-n // RUN_PIXELS), -(-table.n_voxels // PART)
    first_record, n_records = take("first_record", (n,), np.int64), take("n_records", (n,), np.int32)
    run_sums = take("run_sums", (runs, N_SUMS), np.float64)
    histogram, cursor = take("histogram", (parts, runs), np.int32), np.zeros(1, dtype=np.int64)
    while True:
        records = take("records", (room.records, RECORD), np.float32)
        voxel, ray = take("voxel", (room.records,), np.int32), take("ray", (room.records,), np.int32)
        cursor[0], histogram[:], run_sums[:] = 0, 0, 0.0
        crew.run(
            trace_pixels, cursor, block, batch.rays, batch.origins, batch.directions, batch.pixel_scale, batch.targets,
            batch.factors, mode, quadrature.seed, quadrature.coarse, quadrature.fine, table.root_size, field.children, table.box,
            table.corner_idx, field.density, field.sh, field.degree, background, weights, first_record, n_records,
            records, voxel, ray, histogram, squared, run_sums,
        )  # fmt: skip
        if cursor[0] <= room.records:
            break
        room.records = int(cursor[0]) * 5 // 4  # once more, with room for all
    ends = np.cumsum(histogram.reshape(-1), dtype=np.int32)
    places = (ends - histogram.reshape(-1)).reshape(parts, runs)
    part_start = np.append(places[:, 0], cursor[0]).astype(np.int64)
    listed = take("listed", (int(cursor[0]),), np.int32)
    crew.run(list_records, first_record, n_records, voxel, places, listed)
    return part_start, listed, records, voxel, ray, run_sums.sum(axis=0)
