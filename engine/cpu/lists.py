# SPDX-License-Identifier: MIT
"""What a view of an octree needs before any pixel is touched: visible voxels, their order, their tile lists."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from engine.cameras import Camera
from engine.constants import NEAR, TILE_PX
from engine.cpu.crew import Crew
from engine.cpu.project import PAD, VIEW_SIZE, chunk_keys, cut_into_chunks, project_chunks
from engine.cpu.tiles import GROUPS, count_pairs, group_bounds, prefix_sums, scatter_pairs
from engine.morton import order_code
from engine.octree import Octree

_NOWHERE = -1e9  # half edge of what is hidden: it ends behind every camera before it begins


@dataclass(frozen=True, eq=False)
class VoxelTable:
    """An octree laid out for the kernels. Made once per structure.

    `soa` float32 [4 * stride]: centre x, y, z and half edge; `box` float32 [V,4]: low corner and edge; `chunks` int64 [n,4].
    """

    path: np.ndarray
    level: np.ndarray
    corner_idx: np.ndarray
    root_size: float
    soa: np.ndarray
    stride: int
    box: np.ndarray
    chunks: np.ndarray

    @property
    def n_voxels(self) -> int:
        """How many voxels there are."""
        return len(self.path)

    @classmethod
    def of(cls, octree: Octree) -> VoxelTable:
        """Lay out an octree."""
        n = len(octree.path)
        stride = n + PAD
        soa = np.zeros((4, stride), dtype=np.float32)
        soa[:3, :n] = octree.center.T
        soa[3, :n] = octree.size * 0.5
        box = np.empty((n, 4), dtype=np.float32)
        box[:, :3] = octree.center - octree.size[:, None] * 0.5
        box[:, 3] = octree.size
        chunks = np.empty((max(1, n), 4), dtype=np.int64)
        n_chunks = cut_into_chunks(octree.path, octree.level, chunks) if n else 0
        return cls(
            octree.path,
            octree.level,
            octree.corner_idx,
            octree.root_size,
            soa.reshape(-1),
            stride,
            box,
            chunks[:n_chunks].copy(),
        )

    def hiding(self, hidden: np.ndarray) -> VoxelTable:
        """Return a table of the same voxels for pictures without those where `hidden` [V] is true: no view sees them."""
        soa = self.soa.copy()
        soa[3 * self.stride : 3 * self.stride + self.n_voxels][hidden] = _NOWHERE
        return replace(self, soa=soa)


class Workspace:
    """Arrays that are used again frame after frame, so that no frame pays for fresh pages.

    What `take` returns is valid until the next `take` of the same name. One workspace per thread that renders.
    """

    def __init__(self) -> None:
        self._held: dict[str, np.ndarray] = {}

    def take(self, name: str, shape: tuple[int, ...], dtype: type) -> np.ndarray:
        """Return an uninitialised array, at least one entry long in memory, growing by half when it must."""
        n = int(np.prod(shape))
        held = self._held.get(name)
        if held is None or len(held) < max(1, n) or held.dtype != dtype:
            held = np.empty(max(1, n + n // 2 if held is not None else n), dtype=dtype)
            self._held[name] = held
        return held[:n].reshape(shape)

    def nbytes(self) -> int:
        """Return the bytes held."""
        return sum(array.nbytes for array in self._held.values())


def view_array(camera: Camera) -> np.ndarray:
    """Return the float64 array that the kernels read a camera from: see `project.VIEW_*`."""
    view = np.zeros(VIEW_SIZE)
    view[0:9] = camera.world_from_cam[:3, :3].T.reshape(-1)
    view[9:12] = camera.position
    view[12:16] = camera.fx, camera.fy, camera.cx, camera.cy
    view[16:20] = camera.width, camera.height, NEAR, float(camera.orthographic)
    return view


@dataclass(frozen=True, eq=False)
class ViewLists:
    """The voxels that a camera sees, in order, per tile.

    `visible` int32 [V] holds chunk c's visible voxels from chunks[c,0] on, `n_visible` [n] of them; `rect` uint16 [V,4] their
    pixels; `tile_start` int64 [T+1] and `pair_voxel` int32 [P] the tile lists; `first_pair` int32 [V] (-1: unseen) and,
    when kept, `pair_slot` int32 [P] lead from a voxel to its pairs (see `tiles.scatter_pairs`).
    """

    view: np.ndarray
    visible: np.ndarray
    n_visible: np.ndarray
    rect: np.ndarray
    tile_start: np.ndarray
    pair_voxel: np.ndarray
    first_pair: np.ndarray
    pair_slot: np.ndarray

    @property
    def n_pairs(self) -> int:
        """How many (voxel, tile) pairs there are."""
        return int(self.tile_start[-1])


def build_lists(
    table: VoxelTable, camera: Camera, crew: Crew, room: Workspace | None = None, keep_slots: bool = False
) -> ViewLists:
    """Return the tile lists of a view. `keep_slots` records where each voxel's pairs are, for the backward pass.

    With a workspace the lists are valid until it is used for the next ones.
    """
    room = room or Workspace()
    view = view_array(camera)
    direction = camera.forward if camera.orthographic else None
    code = order_code(camera.position, table.root_size, direction)
    n, n_chunks = table.n_voxels, len(table.chunks)
    visible = room.take("visible", (n,), np.int32)
    rect = room.take("rect", (n, 4), np.uint16)
    first_pair = room.take("first_pair", (n,), np.int32)
    n_visible = np.zeros(n_chunks, dtype=np.int64)
    n_pairs = np.zeros(n_chunks, dtype=np.int64)
    crew.run(
        project_chunks, table.chunks, n_chunks, table.soa, table.stride, table.path, table.level, view, code,
        visible, n_visible, n_pairs, rect, first_pair,
    )  # fmt: skip
    keys = np.empty(n_chunks, dtype=np.int64)
    chunk_keys(table.chunks, n_chunks, code, keys)
    order = np.argsort(keys, kind="stable")
    order = order[n_visible[order] > 0]
    chunk_pair = np.zeros(n_chunks, dtype=np.int64)
    chunk_pair[order] = np.cumsum(n_pairs[order]) - n_pairs[order]

    tiles_x = (camera.width + TILE_PX - 1) // TILE_PX
    n_tiles = tiles_x * ((camera.height + TILE_PX - 1) // TILE_PX)
    bounds = np.empty(GROUPS + 1, dtype=np.int64)
    group_bounds(order, n_visible, bounds)
    counts = np.empty((GROUPS, n_tiles), dtype=np.int64)
    crew.run(count_pairs, table.chunks, order, bounds, visible, n_visible, rect, tiles_x, counts)
    tile_start = np.empty(n_tiles + 1, dtype=np.int64)
    total = prefix_sums(counts, tile_start)
    pair_voxel = room.take("pair_voxel", (total,), np.int32)
    pair_slot = room.take("pair_slot", (total if keep_slots else 1,), np.int32)
    crew.run(
        scatter_pairs, table.chunks, order, bounds, visible, n_visible, rect, tiles_x, counts, chunk_pair, first_pair,
        pair_voxel, pair_slot, keep_slots,
    )  # fmt: skip
    return ViewLists(view, visible, n_visible, rect, tile_start, pair_voxel, first_pair, pair_slot)
