# SPDX-License-Identifier: MIT
"""Signed distances to a surface, averaged over many depth pictures, in blocks of cells where the surface is.

Order of work: every picture reserves the blocks around what it shows; then every picture is averaged into them. A distance
is along the ray, in units of the truncation, from -1 behind the surface to 1 before it; what lies farther behind hears
nothing, as something else may be there. Values stand at the middles of cells.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numba import njit

from engine.cameras import Camera
from engine.errors import UserError
from engine.export.pictures import Picture
from engine.memory import spare_bytes

BLOCK = 8  # cells of a block's edge
BRICK = 6  # blocks of a brick's edge: what marching cubes gets at once
BYTES_A_CELL = 14
_WANTED = -2  # of a block that is not made yet


@dataclass(frozen=True, eq=False)
class Brick:
    """A dense piece: `distance`, `seen`, `near` [n,n,n], `rgb` [n,n,n,3] in 65535; `first [3]` is its first cell."""

    first: np.ndarray
    distance: np.ndarray
    seen: np.ndarray
    near: np.ndarray
    rgb: np.ndarray


class Volume:
    """A cube of edge 2 `half` around the origin, `resolution` cells an edge."""

    def __init__(self, half: float, resolution: int, truncation_cells: float) -> None:
        self.half, self.resolution = half, resolution
        self.cell = 2.0 * half / resolution
        self.truncation = truncation_cells * self.cell
        side = -(-resolution // BLOCK)
        self._table = np.full((side, side, side), -1, np.int32)

    def reserve(self, picture: Picture) -> None:
        """Mark the blocks around what a picture shows."""
        block = BLOCK * self.cell
        count = int(np.ceil(2.0 * self.truncation / (0.5 * block)))  # half a block apart none is missed
        step = 2.0 * self.truncation / count
        _reserve(
            picture.depth, _view(picture.camera), self._table, self.half, block, self.truncation, step, count
        )

    def make(self) -> int:
        """Make the blocks that were reserved; return how many cells they have. Raises UserError if memory is short."""
        wanted = np.argwhere(self._table == _WANTED)
        need, free = len(wanted) * BLOCK**3 * BYTES_A_CELL, spare_bytes()
        if need > free:
            raise UserError(
                f"A mesh of {self.resolution} cells an edge needs {need / 2**30:.1f} GiB here and {free / 2**30:.1f} GiB are "
                "free; lower its resolution."
            )
        self._table[tuple(wanted.T)] = np.arange(len(wanted), dtype=np.int32)
        self._blocks = wanted.astype(np.int32)
        shape = (len(wanted), BLOCK, BLOCK, BLOCK)
        self._distance = np.zeros(shape, np.float32)
        self._seen, self._near = np.zeros(shape, np.uint16), np.zeros(shape, np.uint16)
        self._rgb = np.zeros((*shape, 3), np.uint16)
        return len(wanted) * BLOCK**3

    def add(self, picture: Picture) -> None:
        """Average a picture in."""
        _add(
            picture.depth, picture.rgb, _view(picture.camera), self._blocks, self.half, self.cell, self.truncation,
            self._distance, self._seen, self._near, self._rgb,
        )  # fmt: skip

    @property
    def n_bricks(self) -> int:
        """How many pieces `bricks` yields."""
        return len(np.unique(self._blocks // BRICK, axis=0))

    def bricks(self) -> Iterator[Brick]:
        """Yield dense pieces that cover all blocks; each has one layer of its next neighbours."""
        side = BRICK * BLOCK + 1
        for brick in np.unique(self._blocks // BRICK, axis=0):
            first = brick * BRICK * BLOCK
            found = Brick(
                first, np.ones((side, side, side), np.float32), np.zeros((side, side, side), np.uint16),
                np.zeros((side, side, side), np.uint16), np.zeros((side, side, side, 3), np.uint16),
            )  # fmt: skip
            _gather(
                first, self._table, self._distance, self._seen, self._near, self._rgb,
                found.distance, found.seen, found.near, found.rgb,
            )  # fmt: skip
            yield found

    def place(self, cells: np.ndarray) -> np.ndarray:
        """Return where points [n,3] in cells are, in engine units."""
        return (cells + 0.5) * self.cell - self.half


def _view(camera: Camera) -> np.ndarray:
    """Return float64 [16]: rotation cam from world, position, fx fy cx cy."""
    rotation = camera.world_from_cam[:3, :3].T.reshape(-1)
    return np.concatenate([rotation, camera.position, [camera.fx, camera.fy, camera.cx, camera.cy]])


@njit(cache=True, nogil=True)
def _reserve(depth, view, table, half, edge, truncation, step, count):
    """Mark the blocks on each pixel's ray from `truncation` before its surface to as far behind it."""
    side = table.shape[0]
    fx, fy, cx, cy = view[12], view[13], view[14], view[15]
    for row in range(depth.shape[0]):
        for column in range(depth.shape[1]):
            z = depth[row, column]
            if not (0.0 < z < np.inf):
                continue
            x, y = (column + 0.5 - cx) / fx, (row + 0.5 - cy) / fy
            stretch = np.sqrt(x * x + y * y + 1.0)
            for k in range(count + 1):
                at = z + (k * step - truncation) / stretch
                i = int(
                    np.floor((view[0] * x * at + view[3] * y * at + view[6] * at + view[9] + half) / edge)
                )
                j = int(
                    np.floor((view[1] * x * at + view[4] * y * at + view[7] * at + view[10] + half) / edge)
                )
                m = int(
                    np.floor((view[2] * x * at + view[5] * y * at + view[8] * at + view[11] + half) / edge)
                )
                if 0 <= i < side and 0 <= j < side and 0 <= m < side:
                    table[i, j, m] = -2


@njit(cache=True, nogil=True)
def _depth_at(depth, u, v, most):
    """Return the depth at pixel coordinates: between four pixels where they are of one surface, else the nearest one's."""
    height, width = depth.shape
    row, column = int(v), int(u)
    nearest = depth[row, column]
    i, j = int(np.floor(v - 0.5)), int(np.floor(u - 0.5))
    if i < 0 or j < 0 or i + 1 >= height or j + 1 >= width or not (0.0 < nearest < np.inf):
        return nearest
    a, b, c, d = depth[i, j], depth[i, j + 1], depth[i + 1, j], depth[i + 1, j + 1]
    low, high = min(min(a, b), min(c, d)), max(max(a, b), max(c, d))
    if not (low > 0.0 and high - low < most):
        return nearest
    s, t = u - 0.5 - j, v - 0.5 - i
    return (1.0 - t) * ((1.0 - s) * a + s * b) + t * ((1.0 - s) * c + s * d)


@njit(cache=True, nogil=True)
def _add(depth, rgb, view, blocks, half, cell, truncation, distance, seen, near, colour):
    """Average a picture into all blocks that it may show."""
    height, width = depth.shape
    fx, fy, cx, cy = view[12], view[13], view[14], view[15]
    reach = 0.5 * np.sqrt(3.0) * BLOCK * cell
    for b in range(blocks.shape[0]):
        x0 = (blocks[b, 0] * BLOCK + 0.5) * cell - half - view[9]
        y0 = (blocks[b, 1] * BLOCK + 0.5) * cell - half - view[10]
        z0 = (blocks[b, 2] * BLOCK + 0.5) * cell - half - view[11]
        middle = 0.5 * (BLOCK - 1) * cell
        mx, my, mz = x0 + middle, y0 + middle, z0 + middle
        at_x, at_y = view[0] * mx + view[1] * my + view[2] * mz, view[3] * mx + view[4] * my + view[5] * mz
        at_z = view[6] * mx + view[7] * my + view[8] * mz
        if at_z < -reach:
            continue
        z_far = at_z + reach
        if at_z > reach:  # else the block is around the camera
            wide, high = reach * fx * 1.8 / (at_z - 0.99 * reach), reach * fy * 1.8 / (at_z - 0.99 * reach)
            u, v = fx * at_x / at_z + cx, fy * at_y / at_z + cy
            if u + wide < 0.0 or u - wide > width or v + high < 0.0 or v - high > height or z_far <= 0.0:
                continue
        for i in range(BLOCK):
            for j in range(BLOCK):
                for k in range(BLOCK):
                    x, y, z = x0 + i * cell, y0 + j * cell, z0 + k * cell
                    c_z = view[6] * x + view[7] * y + view[8] * z
                    if c_z <= 1e-6:
                        continue
                    c_x, c_y = (
                        view[0] * x + view[1] * y + view[2] * z,
                        view[3] * x + view[4] * y + view[5] * z,
                    )
                    u, v = fx * c_x / c_z + cx, fy * c_y / c_z + cy
                    if not (0.0 <= u < width and 0.0 <= v < height):
                        continue
                    away = _depth_at(depth, u, v, truncation)
                    if not away > 0.0:
                        continue
                    value = 1.0
                    if away < np.inf:
                        length = np.sqrt(c_x * c_x + c_y * c_y + c_z * c_z)
                        value = (away - c_z) * length / c_z / truncation
                        if value < -1.0:
                            continue
                    n = seen[b, i, j, k]
                    if n == 65535:
                        continue
                    distance[b, i, j, k] += (min(value, 1.0) - distance[b, i, j, k]) / (n + 1.0)
                    seen[b, i, j, k] = n + 1
                    if value < 1.0:
                        m = near[b, i, j, k]
                        for channel in range(3):
                            before = float(colour[b, i, j, k, channel])
                            now = 257.0 * rgb[int(v), int(u), channel]
                            colour[b, i, j, k, channel] = int(before + (now - before) / (m + 1.0) + 0.5)
                        near[b, i, j, k] = m + 1


@njit(cache=True, nogil=True)
def _gather(first, table, distance, seen, near, colour, to_distance, to_seen, to_near, to_colour):
    """Copy the cells of a brick, and of the blocks behind it, from their blocks."""
    side, blocks = to_distance.shape[0], table.shape[0]
    for i in range(side):
        a, x = (first[0] + i) // BLOCK, (first[0] + i) % BLOCK
        for j in range(side):
            b, y = (first[1] + j) // BLOCK, (first[1] + j) % BLOCK
            for k in range(side):
                c, z = (first[2] + k) // BLOCK, (first[2] + k) % BLOCK
                if a >= blocks or b >= blocks or c >= blocks:
                    continue
                block = table[a, b, c]
                if block < 0:
                    continue
                to_distance[i, j, k] = distance[block, x, y, z]
                to_seen[i, j, k] = seen[block, x, y, z]
                to_near[i, j, k] = near[block, x, y, z]
                for channel in range(3):
                    to_colour[i, j, k, channel] = colour[block, x, y, z, channel]
