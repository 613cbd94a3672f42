# SPDX-License-Identifier: MIT
"""What a view of an octree needs on a GPU before any pixel is touched: one sorted list of (voxel, tile) pairs, and packets.

The same nouns as `engine.cpu.lists`. Everything is a torch tensor on one device, from torch's allocator, and everything is
launched on torch's current stream. The host waits once per view: for the number of pairs, which sizes what follows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from engine.cameras import Camera
from engine.constants import NEAR, TILE_PX
from engine.cuda.launch import launch as launch_on_gpu
from engine.errors import UserError
from engine.morton import order_code
from engine.octree import Octree

Launch = Callable[..., None]  # name, grid, block, *arguments: see `engine.cuda.launch.launch`

THREADS = 256  # of every kernel's blocks; the rasterisers' are a tile's pixels
VIEW_SIZE = 24
PACKET, COLOUR_TERMS = 16, 24  # floats, see include/packet.cuh
_KEY_BITS = 63  # keys are sorted as signed numbers
_MOST_PAIRS = 2**31 - THREADS  # the numbers of a last block's threads fit an int, too
_MOST_PINNED = 1 << 26  # bytes


def upload(array: np.ndarray, device: torch.device) -> Tensor:
    """Return an array on the device, without waiting for what runs there.

    What is larger than a photo waits: torch keeps pinned memory for the next array of that size, and an octree comes once.
    """
    host = torch.from_numpy(np.ascontiguousarray(array))
    pinned = device.type == "cuda" and array.nbytes <= _MOST_PINNED
    return host.pin_memory().to(device, non_blocking=True) if pinned else host.to(device)


def view_array(camera: Camera) -> np.ndarray:
    """Return the float32 array [VIEW_SIZE] that the kernels read a camera from: see include/rays.cuh.

    The position is in two parts, so that what is near the camera stays exact however far it is from the origin.
    """
    view = np.zeros(VIEW_SIZE, dtype=np.float32)
    position = np.asarray(camera.position, dtype=np.float64)
    view[0:9] = camera.world_from_cam[:3, :3].T.reshape(-1)
    view[9:12] = position
    view[12:15] = position - view[9:12]
    view[15:19] = camera.fx, camera.fy, camera.cx, camera.cy
    view[19:23] = camera.width, camera.height, NEAR, float(camera.orthographic)
    return view


@dataclass(frozen=True, eq=False)
class VoxelTable:
    """An octree on a device: 41 bytes a voxel. Made once per structure.

    `path` int64 [V], `level` int8 [V], `corner_idx` int32 [V,8]; `finest` is the finest level in it.
    """

    path: Tensor
    level: Tensor
    corner_idx: Tensor
    root_size: float
    n_points: int
    finest: int
    launch: Launch
    hidden: Tensor | None = None  # bool [V], what no view sees

    @property
    def n_voxels(self) -> int:
        """How many voxels there are."""
        return len(self.path)

    @property
    def device(self) -> torch.device:
        """Where it lies."""
        return self.path.device

    @classmethod
    def of(
        cls, octree: Octree, device: torch.device | str = "cuda", launch: Launch = launch_on_gpu
    ) -> VoxelTable:
        """Lay out an octree. `launch` runs the kernels: the tests give one that runs them on the CPU."""
        device = torch.device(device)
        arrays = octree.path, octree.level, octree.corner_idx
        finest = int(octree.level.max()) if len(octree) else 1
        return cls(*(upload(a, device) for a in arrays), octree.root_size, octree.n_points, finest, launch)

    def hiding(self, hidden: np.ndarray) -> VoxelTable:
        """Return a table of the same voxels for pictures without those where `hidden` [V] is true."""
        return replace(self, hidden=upload(hidden, self.device))

    def run(self, name: str, count: int, *args: Tensor | float | None) -> None:
        """Launch a kernel with a thread for each of `count` items."""
        if count:
            self.launch(name, (-(-count // THREADS),), (THREADS,), *args)


@dataclass(eq=False)
class ViewLists:
    """The voxels that a camera sees, tile by tile, in order. S slots of visible voxels, P pairs, T tiles.

    `rect` int16 [V,4] (bits of uint16); `n_tiles`, `pair_end`, `slot_end` int32 [V] (0 tiles: unseen; inclusive sums);
    `range` int32 [T,2] of `pair_slot` int32 [P]; `origin` int64 [P], where a pair stood before sorting: there a voxel's
    pairs stand side by side. `packets` float32 [S,16] and `colour_terms` [S,24] are filled by `pack`.
    """

    camera: Camera
    view: Tensor
    rect: Tensor
    n_tiles: Tensor
    pair_end: Tensor
    slot_end: Tensor
    n_slots: int
    range: Tensor
    pair_slot: Tensor
    origin: Tensor
    packets: Tensor
    colour_terms: Tensor | None = None

    @property
    def n_pairs(self) -> int:
        """How many (voxel, tile) pairs there are."""
        return len(self.pair_slot)

    @property
    def frame(self) -> tuple[Tensor | int, ...]:
        """What every rasteriser takes first: the view, the image's size, the tile lists, packets and rectangles."""
        size = self.camera.width, self.camera.height
        return self.view, *size, self.range, self.pair_slot, self.packets, self.rect

    @property
    def tiles(self) -> tuple[Sequence[int], Sequence[int]]:
        """Grid and block of a rasteriser: a block per tile, a thread per pixel."""
        return (len(self.range),), (TILE_PX * TILE_PX,)


def build_lists(table: VoxelTable, camera: Camera, reach: float = 1.0) -> ViewLists:
    """Return the tile lists of a view of voxels `reach` times as large as they are, its packets not yet filled."""
    n, device = table.n_voxels, table.device
    tiles_x, tiles_y = -(-camera.width // TILE_PX), -(-camera.height // TILE_PX)
    order_bits = 3 * table.finest
    if tiles_x * tiles_y >= 1 << (_KEY_BITS - order_bits):
        raise UserError(
            f"A picture of {camera.width} x {camera.height} has too many tiles to be sorted with voxels of level "
            f"{table.finest}; ask for a smaller one."
        )
    view = upload(view_array(camera), device)
    code = upload(
        order_code(camera.position, table.root_size, camera.forward if camera.orthographic else None), device
    )
    rect = torch.empty((n, 4), dtype=torch.int16, device=device)
    n_tiles = torch.empty(n, dtype=torch.int32, device=device)
    table.run("project_voxels", n, n, table.path, table.level, table.root_size, reach, view, rect, n_tiles)
    if table.hidden is not None:
        n_tiles.masked_fill_(table.hidden, 0)
    pair_end = torch.cumsum(n_tiles, 0, dtype=torch.int32)
    slot_end = torch.cumsum(n_tiles > 0, 0, dtype=torch.int32)
    n_pairs, n_slots = torch.stack([n_tiles.sum(dtype=torch.int64), (n_tiles > 0).sum()]).tolist()
    if n_pairs > _MOST_PAIRS:
        raise UserError(
            f"This view has {n_pairs:,} voxels in tiles, {_MOST_PAIRS:,} can be listed; ask for a smaller picture."
        )
    keys = torch.empty(n_pairs, dtype=torch.int64, device=device)
    unsorted_slot, pair_slot = torch.empty((2, n_pairs), dtype=torch.int32, device=device)
    table.run(
        "emit_pairs", n, n, table.path, rect, n_tiles, pair_end, slot_end, code, order_bits, tiles_x, keys, unsorted_slot
    )  # fmt: skip
    keys, origin = torch.sort(keys)
    ranges = torch.zeros((tiles_x * tiles_y, 2), dtype=torch.int32, device=device)
    table.run("tile_ranges", n_pairs, n_pairs, order_bits, keys, origin, unsorted_slot, ranges, pair_slot)
    packets = torch.empty((n_slots, PACKET), dtype=torch.float32, device=device)
    return ViewLists(
        camera, view, rect, n_tiles, pair_end, slot_end, n_slots, ranges, pair_slot, origin, packets
    )


def pack(
    table: VoxelTable,
    lists: ViewLists,
    density: Tensor,  # [G] raw
    colours: Tensor | None = None,  # [V,3] or [V,8,3]
    sh: Tensor | None = None,  # else [groups, 3 K, 16], in groups of sixteen voxels
    degree: int = 0,
) -> None:
    """Fill the packets of a view's visible voxels."""
    eight = colours is not None and colours.ndim == 3
    if eight:
        shape = lists.n_slots, COLOUR_TERMS
        lists.colour_terms = torch.empty(shape, dtype=torch.float32, device=table.device)
    n_rows = 0 if sh is None else sh.shape[1]
    table.run(
        "pack_voxels", table.n_voxels, table.n_voxels, table.path, table.level, table.root_size, lists.view, lists.n_tiles,
        lists.slot_end, table.corner_idx, density, colours, int(eight), sh, n_rows, degree, lists.packets,
        lists.colour_terms,
    )  # fmt: skip


def shaded_lists(table: VoxelTable, density: Tensor, sh: Tensor, degree: int, camera: Camera) -> ViewLists:
    """Return the tile lists of a view with packets whose colours come from spherical harmonics."""
    lists = build_lists(table, camera)
    pack(table, lists, density, sh=sh, degree=degree)
    return lists


def render_lists(
    table: VoxelTable,
    lists: ViewLists,
    samples: int = 1,
    fields: bool = False,
    heaviest: Tensor | None = None,
    depth: bool = False,
) -> tuple[Tensor, Tensor]:
    """Rasterise packed lists: image [H,W,4] = T, r, g, b without background, and with `fields` also planes [6,H,W].

    With `depth` alone there is only the first plane, at little cost.

    Planes, as the CPU's, are sum of weight * z-depth, median z-depth, sum of weight * normal (3), number of voxels; with
    them, `heaviest` [V], if given, is raised to each voxel's heaviest pixel.
    """
    size = lists.camera.height, lists.camera.width
    image = torch.empty((*size, 4), dtype=torch.float32, device=table.device)
    grid, block = lists.tiles
    n_planes, eight = 6 if fields else int(depth), lists.colour_terms is not None
    planes = image.new_empty((6 if eight else n_planes, *size))
    if eight:
        inputs = *lists.frame, lists.colour_terms, samples, image, planes, heaviest
        table.launch("raster_fields_eight", grid, block, *inputs)
    elif fields:
        table.launch("raster_fields", grid, block, *lists.frame, samples, image, planes, heaviest)
    elif depth:
        table.launch("raster_depth", grid, block, *lists.frame, samples, image, planes)
    else:
        table.launch("raster_colour", grid, block, *lists.frame, samples, image)
    return image, planes[:n_planes]
