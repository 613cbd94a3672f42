# SPDX-License-Identifier: MIT
"""Looking at a grid: its cells as leaves of an octree, through the rasteriser that draws SVRaster's voxels.

The rasteriser knows cubes in an octree with a root of edge 1, the grid has R values an axis in a box anywhere. Leaves are
laid so that their corners *are* the grid's values: cells have the edge 2^-L with L the first level that has room for all
R - 1 of them on the longest axis, the grid's first value stands a whole number of leaves from the octree's low corner,
and what the octree has beyond the grid stays empty. So nothing is resampled, whatever R. Instead the *camera* moves into
the octree: world p lies at (grid(p) + low) 2^-L - 1/2, where low is that number. Cells are cubes, so this keeps angles;
lengths in the octree are `per_unit` times those in the world, which densities are divided by and depths too. Boxes with
unequal sides and cubic voxels just fill less of the octree. Voxels with unequal sides have no such map: `fits` says so.

What the picture leaves out: the outermost half voxel of the grid, where marching repeats the last value.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from engine.cameras import Camera
from engine.constants import DENSITY_SCALE, MAX_LEVEL
from engine.cpu.cells import (
    cells_of_rows,
    find_cells,
    live_cells,
    paths_of_cells,
    shade_points,
    table_of_cells,
)
from engine.cpu.crew import crew
from engine.cpu.lists import VoxelTable, Workspace, build_lists
from engine.cpu.train_view import render_lists
from engine.methods.common import Buffers
from engine.methods.svraster.view import buffers_of
from engine.region import EVERYTHING, Shown
from engine.voxel_grid import Grid

SAMPLES = 2  # of a cell along a ray; marching takes about 1.3
_CUBIC = 1e-3  # sides of a voxel may differ by this share
_SOME = 1e-6  # opacity above which there is something to have a level


def fits(grid: Grid) -> bool:
    """Whether the rasteriser can draw this grid: voxels are cubes, and no more than a lattice holds."""
    return bool(np.ptp(grid.scale) < _CUBIC * grid.scale.max()) and max(grid.resolution) <= 1 << MAX_LEVEL


@dataclasses.dataclass(frozen=True, eq=False)
class Lattice:
    """Where a grid's cells lie in the octree: made once per structure.

    `cells` int64 [C] in ascending order of `path` int64 [C]; `row_cells` int64 [N], where each row's value stands.
    """

    level: int
    low: np.ndarray  # int64 [3], leaves between the octree's low corner and the grid's first value
    per_unit: float  # octree lengths per engine unit
    cells: np.ndarray
    path: np.ndarray
    row_cells: np.ndarray

    @classmethod
    def of(cls, grid: Grid) -> Lattice:
        """Find the cells of a grid that has any value at their corners."""
        sides = np.maximum(np.array(grid.resolution) - 1, 1)
        level = max(1, int(np.ceil(np.log2(sides.max()))))
        low = ((1 << level) - sides) // 2
        cells = find_cells(grid.links, crew())
        path = paths_of_cells(cells, grid.resolution, low, level, crew())
        order = np.argsort(path)
        per_unit = float(grid.scale.mean()) / (1 << level)
        return cls(level, low, per_unit, cells[order], path[order], cells_of_rows(grid, crew()))

    def camera(self, grid: Grid, camera: Camera) -> Camera:
        """Return the camera that sees in the octree what `camera` sees in the world."""
        pose = camera.world_from_cam.copy()
        pose[:3, 3] = (grid.grid_from_world(camera.position) + self.low) / (1 << self.level) - 0.5
        if not camera.orthographic:
            return camera.moved(pose)
        pixels = camera.fx / self.per_unit, camera.fy / self.per_unit
        return dataclasses.replace(camera.moved(pose), fx=pixels[0], fy=pixels[1])


@dataclasses.dataclass(frozen=True, eq=False)
class Cells:
    """The cells that can have density, made anew when densities have changed. `density` float32 [N+1] as it is drawn."""

    grid: Grid
    lattice: Lattice
    table: VoxelTable
    density: np.ndarray

    @classmethod
    def of(cls, grid: Grid, lattice: Lattice) -> Cells:
        """Choose and lay out the cells."""
        chosen = live_cells(lattice.cells, grid, crew())
        table = table_of_cells(chosen, lattice.cells, lattice.path, grid, lattice.level, crew())
        density = np.zeros(grid.n_voxels + 1, dtype=np.float32)
        np.multiply(grid.density, np.float32(1.0 / (DENSITY_SCALE * lattice.per_unit)), out=density[:-1])
        return cls(grid, lattice, table, density)

    @property
    def edge(self) -> float:
        """The edge of a cell in engine units."""
        return 1.0 / float(self.grid.scale.mean())

    def centres(self, cells: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Return the centres float32 [n,3] in the world of all cells, or of some."""
        table, lattice, grid = self.table, self.lattice, self.grid
        first = (
            0.5 * (1 << lattice.level) - lattice.low - grid.offset
        ) / grid.scale  # of the octree's middle
        per_length = (1 << lattice.level) / grid.scale
        middles = table.soa[: 3 * table.stride].reshape(3, table.stride)[:, : table.n_voxels].T[cells]
        return middles * per_length.astype(np.float32) + first.astype(np.float32)

    def showing(self, shown: Shown) -> Cells:
        """Return the cells for pictures of some of them alone."""
        level = np.full(self.table.n_voxels, level_of(self.grid))
        hidden = ~shown.mask(self.centres(), level)
        return dataclasses.replace(self, table=self.table.hiding(hidden))


def level_of(grid: Grid) -> int:
    """Return the octree level whose cells are about as large as the grid's."""
    return min(16, max(0, round(np.log2(max(grid.resolution)))))


class CellViewer:
    """Draws a grid that goes on changing: its cells are found once per structure and chosen once per state."""

    def __init__(self) -> None:
        self._lattice: Lattice | None = None
        self._links: np.ndarray | None = None  # what the lattice was made of
        self._cells: Cells | None = None
        self._state: object = None
        self._shown: tuple[Cells, Shown, Cells] | None = None  # of the last view that did not show everything
        self._room = Workspace()

    def cells(self, grid: Grid, state: object) -> Cells:
        """Return the cells of a grid; `state` must differ whenever densities have changed since the last call."""
        if self._links is not grid.links or self._lattice is None:
            self._lattice, self._links, self._cells = Lattice.of(grid), grid.links, None
        if self._cells is None or self._cells.grid is not grid or self._state != state:
            self._cells, self._state = Cells.of(grid, self._lattice), state
        return self._cells

    def render(
        self,
        grid: Grid,
        state: object,  # see `cells`
        camera: Camera,
        want: frozenset[str],
        rays: float,
        background: np.ndarray,  # [3]
        shown: Shown = EVERYTHING,
    ) -> Buffers:
        """Return a view; see `render_cells`."""
        cells = self.cells(grid, state)
        if not shown.everything:
            if self._shown is None or self._shown[0] is not cells or self._shown[1] != shown:
                self._shown = cells, shown, cells.showing(shown)
            cells = self._shown[2]
        return render_cells(cells, camera, want, rays, background, self._room)


def render_cells(
    cells: Cells,
    camera: Camera,
    want: frozenset[str],
    rays: float,
    background: np.ndarray,  # [3]
    room: Workspace,
) -> Buffers:
    """Return a view of a grid; `rays` rays a pixel side are averaged. Fields as `engine.methods.common.Buffers` has them."""
    grid, lattice, table = cells.grid, cells.lattice, cells.table
    fine = camera if rays == 1.0 else camera.scaled(rays)
    lists = build_lists(table, lattice.camera(grid, fine), crew(), room)
    rgb = room.take("point_rgb", (grid.n_voxels + 1, 1, 3), np.float32)
    seen = room.take("point_seen", (grid.n_voxels + 1,), np.uint8)
    shade_points(
        lists.first_pair, table.corner_idx, lattice.row_cells, grid, camera.position,
        camera.forward if camera.orthographic else None, rgb, seen, crew(),
    )  # fmt: skip

    def raster(values: np.ndarray | None, bits: int) -> tuple[np.ndarray, np.ndarray]:
        return render_lists(lists, table, cells.density, rgb, crew(), room, SAMPLES, bits, cells=True)

    uniform = want & {"level", "size"}  # all leaves are alike: nothing has to be blended
    value = None
    if "density" in want:
        value = np.append(np.maximum(grid.density, np.float32(0.0)), np.float32(0.0))
    buffers = buffers_of(raster, None, camera, want - uniform, background, room, value)
    something = buffers.trans < 1.0 - _SOME
    values = {"level": float(lattice.level), "size": cells.edge}
    constant = {name: np.where(something, np.float32(values[name]), np.float32(0.0)) for name in uniform}
    scaled = {
        name: getattr(buffers, name) / np.float32(lattice.per_unit)
        for name in want & {"depth_z", "depth_median"}
    }
    return dataclasses.replace(buffers, **constant, **scaled)


def cell_boxes(cells: Cells, levels: tuple[int, ...], limit: int) -> np.ndarray:
    """Return up to `limit` cells as [n,4] float32: centre x y z and edge in engine units, if their level is asked for."""
    table, lattice = cells.table, cells.lattice
    if lattice.level not in levels or table.n_voxels == 0:
        return np.zeros((0, 4), dtype=np.float32)
    chosen = np.arange(table.n_voxels)
    if len(chosen) > limit:
        chosen = np.linspace(0, len(chosen) - 1, limit).astype(np.int64)
    lattice_place = table.box[chosen, :3].astype(np.float64) + 0.5
    middle = lattice_place * (1 << lattice.level) - lattice.low + 0.5
    centre = cells.grid.world_from_grid(middle)
    return np.concatenate([centre, np.full((len(chosen), 1), cells.edge)], axis=1).astype(np.float32)
