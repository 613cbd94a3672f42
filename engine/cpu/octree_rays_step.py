# SPDX-License-Identifier: MIT
"""What a batch of pixels says of the whole field: gradients as `apply_step.apply_gradients` takes them.

Works through the batch in blocks of BLOCK_PIXELS pixels, so that records of a block are all that is ever held; see
`octree_rays_grad`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.constants import N_SUMS
from engine.cpu.apply_step import FieldGradients
from engine.cpu.crew import Crew
from engine.cpu.lists import VoxelTable, Workspace
from engine.cpu.octree_rays import RUN_PIXELS, sorted_by_place
from engine.cpu.octree_rays_grad import (
    PART,
    RECORD,
    add_records,
    list_records,
    number_groups,
    points_of_corners,
    trace_pixels,
)
from engine.cpu.shade import GROUP

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
        self._coefficients = np.zeros((0, 0, GROUP), dtype=np.float32)

    def coefficients(self, used: int, wanted: int, rows: int) -> np.ndarray:
        """Return gradients of at least `wanted` groups: the first `used` as they were, the others up to `wanted` zero."""
        held = self._coefficients
        if held.shape[0] < wanted or held.shape[1] != rows:
            bigger = np.empty((wanted * 5 // 4, rows, GROUP), dtype=np.float32)
            if used:
                bigger[:used] = held[:used]
            held = self._coefficients = bigger
        held[used:wanted] = 0.0
        return held


def ray_gradients(
    field: RayField,
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
    table, take, n = field.table, room.arrays.take, field.table.n_voxels
    all_groups, rows, used = -(-n // GROUP), 3 * (field.degree + 1) ** 2 + 1, 0
    groups, slot_of_group = take("groups", (all_groups,), np.int32), np.full(all_groups, -1, dtype=np.int32)
    v_corners, seen = take("v_corners", (n, 8), np.float32), take("seen", (2, n), np.float32)
    v_corners[:], seen[0], seen[1] = 0.0, 0.0, -np.inf
    coefficients = room.coefficients(0, 0, rows)
    squared, sums = np.zeros(len(batch.targets), dtype=np.float32), np.zeros(N_SUMS)
    per_pixel = batch.rays**2
    order = sorted_by_place(batch.origins[::per_pixel], batch.directions[::per_pixel], table.root_size)
    for first in range(0, len(order), BLOCK_PIXELS):
        block = order[first : first + BLOCK_PIXELS]
        part_start, listed, records, voxel, ray, block_sums = _traced(
            field, block, batch, quadrature, crew, room, mode, background, weights, squared
        )
        sums += block_sums
        before, used = used, number_groups(listed, voxel, slot_of_group, groups, used)
        coefficients = room.coefficients(before, used, rows)
        crew.run(
            add_records, part_start, listed, records, voxel, ray, batch.origins, table.box, field.degree,
            slot_of_group, coefficients, v_corners, seen,
        )  # fmt: skip
    v_density = take("v_density", field.density.shape, np.float32)
    v_density[:] = 0.0
    points_of_corners(groups[:used], table.corner_idx, v_corners, v_density)
    return FieldGradients(groups[:used], coefficients[:used], v_density, seen), sums, squared


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
            batch.factors, mode, quadrature.seed, quadrature.coarse, quadrature.fine, table.root_size, field.children,
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
