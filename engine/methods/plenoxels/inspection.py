# SPDX-License-Identifier: MIT
"""A grid's structure for people: what pruning would drop, picking, deleting and training by regions. A friend of `model.py`.

What a region holds are the grid's values, each a row, by where they stand; what a view shows or a click finds are the cells
between them, by their centres.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.cameras import Camera
from engine.errors import UserError
from engine.methods.common import VALUE_MODES, AdaptReport, Histogram, PickedVoxel
from engine.methods.inspection import Inspection
from engine.methods.plenoxels import structure
from engine.methods.plenoxels.grid import pruned
from engine.methods.plenoxels.view import SAMPLES, Cells, fits, level_of
from engine.methods.svraster.pick import ray_of_pixel, trilinear, voxels_along, weights_along
from engine.methods.svraster.voxel_values import histogram
from engine.region import Region, Shown
from engine.sh import sh_basis
from engine.voxel_grid import Grid

if TYPE_CHECKING:
    from engine.methods.plenoxels.model import Plenoxels

_CANNOT = {
    "age": "All cells of a Plenoxels grid are made at once, so they are of one age.",
    "weight": "Plenoxels weighs its cells only while it prunes, and keeps no weights.",
    "priority": "Plenoxels makes all cells finer at once, so none comes before another.",
    "subdivide_region": "All cells of a Plenoxels grid have one size, so no part of it can be made finer alone.",
}
_DRAWN = ("density", "levels", "crop", "slice", "pick")  # by the rasteriser alone


class PlenoxelsInspection(Inspection):
    """What can be done with the grid."""

    method: Plenoxels

    @property
    def cannot(self) -> dict[str, str]:
        """What this model cannot do, each with a sentence that says why."""
        model, missing = self.method, dict(_CANNOT)
        if model.card or not fits(model.grid) or model.space.forward_facing:
            where = "on a graphics card" if model.card else "in device coordinates"
            missing |= dict.fromkeys(
                _DRAWN, f"A Plenoxels grid {where} is drawn by marching, which shows all of it."
            )
        if model.card:
            missing["train_region"] = (
                "A graphics card trains the whole grid; start with --device cpu to train a region alone."
            )
        elif model.spheres is not None:
            missing["train_region"] = (
                "The surroundings are trained with every ray, so a region alone cannot be."
            )
        if model.space.forward_facing:
            why = "The grid of a forward-facing capture lies in device coordinates, where regions are not boxes."
            missing |= dict.fromkeys(("train_region", "delete_region", "prune_region"), why)
        return missing

    @property
    def train_region(self) -> Region | None:  # type: ignore[override]
        """What alone is trained, None: everything."""
        return self.method.region

    def preview(self, limit: int, region: Region | None) -> tuple[AdaptReport, np.ndarray, np.ndarray]:
        """Say what dropping cells would do; a finer grid changes all cells, so no box stands for that."""
        model, grid = self.method, self.method.grid
        keep, report = structure.keep_at_once(model), structure.preview(model)
        goes = (grid.links >= 0) & ~keep
        if region is not None:
            goes &= self._inside(region)
            n, before = int(np.count_nonzero(goes)), grid.n_voxels
            report = AdaptReport(model.step, before, n, 0, before - n, "preview")
        nothing = np.zeros((0, 4), dtype=np.float32)
        return report, structure.boxes_at(grid, model.space, np.flatnonzero(goes.reshape(-1)), limit), nothing

    def _inside(self, region: Region) -> np.ndarray:
        """Return bool [X,Y,Z]: which values stand in a region."""
        return region.contains(places_of(self.method.grid)).reshape(self.method.grid.links.shape)

    def delete(self, region: Region, outside: bool) -> AdaptReport:
        """Delete the values in a region, or all outside it."""
        self.need("delete_region")
        inside = self._inside(region)
        return self._keep(inside if outside else ~inside, "delete outside" if outside else "delete in region")

    def prune(self, region: Region) -> AdaptReport:
        """Drop what pruning would drop, in a region alone."""
        self.need("prune_region")
        return self._keep(structure.keep_at_once(self.method) | ~self._inside(region), "prune in region")

    def _keep(self, keep: np.ndarray, reason: str) -> AdaptReport:
        model, before = self.method, self.method.grid.n_voxels
        model.settle()
        keep = keep & (model.grid.links >= 0)
        if not keep.any():
            raise UserError(
                "Nothing would be left of the grid; choose another region, or reset the model to start again."
            )
        model.survey = None  # of another grid
        model.lay_out(*pruned(model.grid, keep))
        after = model.grid.n_voxels
        return AdaptReport(model.step, before, before - after, 0, after, reason)

    def set_train_region(self, region: Region | None) -> None:
        """Train only what is in a region from now on, None: everything."""
        self.need("train_region")
        if region is not None:
            if not (self._inside(region) & (self.method.grid.links >= 0)).any():
                raise UserError("There are no cells in the region to train; move or enlarge it.")
        self.method.region = region

    def details(self, levels: tuple[int, ...]) -> tuple[Histogram, ...]:
        """Return how densities above 0 are distributed."""
        grid, row = self.method.grid, np.full(17, -1, dtype=np.int64)
        self.method.settle()
        level = level_of(grid)
        row[list(levels)] = np.arange(len(levels))
        dense = grid.density[grid.density > 0.0]
        if not len(dense):
            return ()
        return (histogram(VALUE_MODES[0], dense, np.full(len(dense), level, np.int8), row, len(levels)),)

    def pick(self, camera: Camera, x: float, y: float, shown: Shown) -> PickedVoxel | None:
        """Return the cell that weighs most in a pixel."""
        self.need("pick")
        model = self.method
        cells = model.cells()
        table, lattice = cells.table, cells.lattice
        inner = lattice.camera(model.grid, camera)
        origin, direction, t_near = ray_of_pixel(inner, x, y)
        found, spans = voxels_along(table.path, table.level, table.root_size, origin, direction, t_near)
        centres = cells.centres(found)
        drawn = shown.mask(centres, np.full(len(found), level_of(model.grid)))
        found, spans, centres = found[drawn], spans[drawn], centres[drawn]
        if not len(found):
            return None
        raw = _corner_densities(cells, found)
        alpha = -np.expm1(-_depths(cells, found, spans, origin, direction, raw))
        weight = weights_along(alpha)
        best = int(np.argmax(weight))
        if weight[best] <= 0.0:
            return None
        colours = _colours(cells, int(found[best]), camera, centres[best])
        return PickedVoxel(
            index=int(found[best]),
            centre=tuple(centres[best].tolist()),
            edge=cells.edge,
            level=level_of(model.grid),
            densities=tuple(raw[best].tolist()),
            density=float(max(raw[best].mean(), 0.0)),
            colour_dc=colours[0],
            colour=colours[1],
            alpha=float(alpha[best]),
            contribution=float(weight[best]),
            depth=float(spans[best, 0] / lattice.per_unit),
        )


def places_of(grid: Grid) -> np.ndarray:
    """Return where each value of a grid stands, float32 [X*Y*Z,3] in the world."""
    axes = [
        ((np.arange(size) - offset) / scale).astype(np.float32)
        for size, offset, scale in zip(grid.resolution, grid.offset, grid.scale, strict=True)
    ]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)


def _corner_densities(cells: Cells, found: np.ndarray) -> np.ndarray:
    """Return raw densities [n,8] per engine unit at the corners of cells; 0 where a value is empty."""
    known = np.append(cells.grid.density, np.float32(0.0))
    return known[cells.table.corner_idx[found]].astype(np.float64)


def _depths(
    cells: Cells,
    found: np.ndarray,
    spans: np.ndarray,
    origin: np.ndarray,
    direction: np.ndarray,
    raw: np.ndarray,
) -> np.ndarray:
    """Return the optical depths [n] of a ray's segments, sampled as the rasteriser does."""
    box = cells.table.box[found].astype(np.float64)
    length = spans[:, 1] - spans[:, 0]
    middles = spans[:, :1] + (np.arange(SAMPLES) + 0.5) / SAMPLES * length[:, None]
    places = origin + middles[..., None] * direction - box[:, None, :3]
    dense = np.maximum(trilinear(raw, places / box[:, None, 3:]), 0.0).mean(axis=1)
    return dense * length / cells.lattice.per_unit


def _colours(cells: Cells, cell: int, camera: Camera, centre: np.ndarray) -> tuple[tuple[float, ...], ...]:
    """Return the mean colour of a cell's corners without what depends on the view, and as the camera sees it."""
    grid, corners = cells.grid, cells.table.corner_idx[cell]
    rows = grid.coefficients[corners[corners < grid.n_voxels]].astype(np.float64).mean(axis=0)  # [3,B]
    towards = camera.forward if camera.orthographic else centre - camera.position
    basis = sh_basis(np.asarray(towards, np.float64)[None] / np.linalg.norm(towards), grid.degree)[0]
    plain = np.maximum(0.5 + rows[:, :1] @ basis[:1], 0.0)
    return tuple(plain.tolist()), tuple(np.maximum(0.5 + rows @ basis, 0.0).tolist())
