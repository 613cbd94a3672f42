# SPDX-License-Identifier: MIT
"""The heaviest weight that any ray gives each voxel: what pruning goes by.

Every live sample's weight is max-reduced into the rows of its cell's eight corners. A maximum does not depend on the order,
so threads share one array and the result is the same for any number of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from engine.cpu.cell_map import peek
from engine.cpu.crew import Crew
from engine.cpu.lists import Workspace
from engine.cpu.march import PreparedRays
from engine.cpu.march_rays import (
    PER_UNIT,
    RECORD,
    RUN_RAYS,
    STEP,
    WEIGHT,
    find_live,
    own_records,
    weigh,
)
from engine.cpu.simd import fetch_add
from engine.voxel_grid import Grid, MarchOptions

PAPER_STOP = 0.2  # the published pruning looks no further than where a ray's transmittance falls below this
_RAYS_AT_ONCE = 1 << 16


@intrinsic
def raise_to(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """Atomically make array[index] at least `value`; float32, none negative, so that their bits order as they do."""

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        struct = context.make_array(sig.args[0])(context, builder, args[0])
        bits = ir.IntType(32)
        address = builder.bitcast(builder.gep(struct.data, [args[1]]), bits.as_pointer())
        builder.atomic_rmw("umax", address, builder.bitcast(args[2], bits), "monotonic")
        return context.get_dummy_value()

    return types.void(array, types.int64, types.float32), codegen


@njit(cache=True, nogil=True)
def march_weights(
    counter, geometry, steps, starts, most, params, cell_map, links, density, sizes, counts, log_trans, heaviest
):  # fmt: skip
    """Raise heaviest float32 [N] to the weights of the rays' samples. Parallel over: rays, in runs of RUN_RAYS."""
    cells, rows, records = own_records(most)
    room = (most + 31) // 16 * 16
    lanes = np.zeros(2 * room, dtype=np.float32)
    n_rays = steps.shape[0]
    while True:
        begin = fetch_add(counter, 0, RUN_RAYS)
        if begin >= n_rays:
            break
        end, base = min(begin + RUN_RAYS, n_rays), starts[begin]
        find_live(
            begin, end, base, geometry, steps, starts, params, cell_map, links, density, sizes, cells, rows, records,
            counts, log_trans,
        )  # fmt: skip
        for q in range(begin, end):
            at = starts[q] - base
            if counts[q] > 0:
                weigh(counts[q], params[STEP] / geometry[q, PER_UNIT], at, records, lanes, room)
            for k in range(at, at + counts[q]):
                weight = peek(records, k * RECORD + WEIGHT)
                for c in range(8):
                    row = np.int64(peek(rows, 8 * k + c))
                    if row >= 0 and heaviest[row] < weight:
                        raise_to(heaviest, row, weight)


def raise_heaviest(
    grid: Grid,
    rays_o: np.ndarray,  # [Q,3] engine units
    rays_d: np.ndarray,  # [Q,3] unit
    options: MarchOptions,
    heaviest: np.ndarray,  # float32 [N]
    crew: Crew,
    room: Workspace,
) -> None:
    """Raise each voxel's heaviest weight to what these rays give it; `options.stop_thresh` says how deep they look."""
    for first in range(0, len(rays_o), _RAYS_AT_ONCE):
        part = slice(first, first + _RAYS_AT_ONCE)
        rays = PreparedRays(grid, rays_o[part], rays_d[part], options, crew, room)
        log_trans = room.take("march_log_trans", (rays.n,), np.float32)
        crew.run(
            march_weights, rays.geometry, rays.steps, rays.starts, rays.most, rays.params, rays.cell_map,
            grid.links.reshape(-1), grid.density, rays.sizes, rays.counts, log_trans, heaviest,
        )  # fmt: skip
