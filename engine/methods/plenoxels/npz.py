# SPDX-License-Identifier: MIT
"""The public Plenoxels file: an .npz of links, densities and colours, read strictly and written exactly.

    radius [3] center [3] f32           half sides and centre of the box, in the file's own units
    links [X,Y,Z] i32                   row of the arrays below, or negative: empty
    density_data [N,1] f32              raw density, per file unit
    sh_data [N,3B] f16                  B coefficients of red, then of green, then of blue
    basis_type i64                      1: spherical harmonics
    background_links [2R,R] i32, background_data [M,L,4] f32     only with a background: colour, then density

Older files hold `data` (density in column 0, colours behind it) in place of two arrays, and no box: that is [-1,1]^3.
The files' unit is half an engine unit: our cube [-0.5,0.5]^3 is their [-1,1]^3, in which Blender scenes lie
exactly as the published program places them. Such a file holds no step, no optimiser and no colour behind everything.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from engine.datasets.npy import read_npz
from engine.errors import CheckpointError
from engine.files import saved_file
from engine.memory import spare_bytes
from engine.voxel_grid import EMPTY, Grid, row_stride

FILE_FROM_ENGINE = 2.0
KEYS = ("radius", "center", "links", "density_data", "sh_data", "basis_type", "data")
BACKGROUND_KEYS = ("background_links", "background_data")
SPHERICAL_HARMONICS = 1
LARGEST_SIDE = 4096  # voxels along an axis; 4096^3 links alone would take 256 GB
_COEFFICIENTS = (3, 12, 27, 48)  # columns of colour at degree 0 to 3
_F16_MOST = 65504.0
_REMEDY = "export it again, or choose another file"


@dataclass(frozen=True, eq=False)
class StoredGrid:
    """A grid as files hold it, in units of its own. `links [X,Y,Z]` int32, `density [N]` and `sh [N,3B]` float32.

    `center`, `radius [3]` float64. With a background, `background_links [2R,R]` int32 and `background_data [M,L,4]` float32.
    """

    links: np.ndarray
    density: np.ndarray
    sh: np.ndarray
    center: np.ndarray
    radius: np.ndarray
    background_links: np.ndarray | None = None
    background_data: np.ndarray | None = None

    def scaled(self, factor: float) -> StoredGrid:
        """Return the same grid with every length `factor` times as large, and densities that much smaller."""
        return replace(
            self,
            density=(self.density / factor).astype(np.float32),
            center=self.center * factor,
            radius=self.radius * factor,
        )


def stored(grid: Grid) -> StoredGrid:
    """Return a grid in training as files hold one."""
    colours = grid.coefficients.reshape(grid.n_voxels, -1)
    return StoredGrid(grid.links, grid.density, colours, grid.center, grid.radius)


def grid_of(stored: StoredGrid) -> Grid:
    """Return the grid of a file, ready to be marched through; a negative link of a file says no more than empty."""
    columns = stored.sh.shape[1]
    degree = round((columns // 3) ** 0.5) - 1
    sh = np.zeros((len(stored.sh), row_stride(degree)), dtype=np.float32)
    sh[:, :columns] = stored.sh
    links = np.where(stored.links >= 0, stored.links, EMPTY).astype(np.int32)
    return Grid(links, stored.density, sh, degree, stored.center, stored.radius)


def read(path: str | Path) -> StoredGrid:
    """Return the grid of a public .npz file in engine units, or raise CheckpointError in one sentence."""
    path = Path(path)
    try:
        arrays = read_npz(path, spare_bytes(), (*KEYS, *BACKGROUND_KEYS))
        return checked(_grid(arrays)).scaled(1.0 / FILE_FROM_ENGINE)
    except OSError as error:
        raise cannot_read(
            path, error.strerror or str(error), "check that it exists and may be read"
        ) from error
    except ValueError as error:
        raise cannot_read(path, str(error), _REMEDY) from error


def write(path: str | Path, grid: StoredGrid) -> None:
    """Write a grid in engine units as a public .npz file, whole or not at all. Uncompressed, as those are."""
    path, grid = Path(path), grid.scaled(FILE_FROM_ENGINE)
    arrays = {
        "radius": grid.radius.astype(np.float32),
        "center": grid.center.astype(np.float32),
        "links": grid.links.astype(np.int32),
        "density_data": grid.density.astype(np.float32)[:, None],
        "sh_data": np.clip(grid.sh, -_F16_MOST, _F16_MOST).astype(np.float16),
    }
    if grid.background_links is not None:
        arrays["background_links"] = grid.background_links.astype(np.int32)
        arrays["background_data"] = grid.background_data.astype(np.float32)
    arrays["basis_type"] = np.int64(SPHERICAL_HARMONICS)
    write_arrays(path, arrays, compress=False)


def write_arrays(path: Path, arrays: dict[str, np.ndarray], compress: bool) -> None:
    """Write arrays as an .npz file under exactly this name, whole or not at all."""
    with saved_file(path) as temporary, open(temporary, "wb") as file:
        (np.savez_compressed if compress else np.savez)(file, **arrays)


def cannot_read(path: Path, problem: str, remedy: str) -> CheckpointError:
    """Return the error "Cannot read PATH: problem; remedy."."""
    return CheckpointError(f"Cannot read {path}: {problem}; {remedy}.")


def _grid(arrays: dict[str, np.ndarray]) -> StoredGrid:
    basis = int(arrays["basis_type"].reshape(-1)[0]) if arrays.get("basis_type", np.zeros(0)).size else 1
    if basis != SPHERICAL_HARMONICS:
        raise ValueError(
            f"its colours have basis type {basis}, and only 1, spherical harmonics, is supported"
        )
    links = _wanted(arrays, "links", 3, "i")
    if "data" in arrays and "density_data" not in arrays:
        data = _wanted(arrays, "data", 2, "f")
        density, sh = data[:, :1], data[:, 1:]
    else:
        density, sh = _wanted(arrays, "density_data", 2, "f"), _wanted(arrays, "sh_data", 2, "f")
    if density.shape[1] != 1:
        raise ValueError(f"densities [N,1] are wanted, got {list(density.shape)}")
    center, radius = (
        np.broadcast_to(box, 3) if box.size == 1 else box
        for box in (arrays.get("center", np.zeros(3)), arrays.get("radius", np.ones(3)))
    )
    return StoredGrid(
        links.astype(np.int32),
        density[:, 0].astype(np.float32),
        sh.astype(np.float32),
        center.astype(np.float64),
        radius.astype(np.float64),
        *background_of(arrays),
    )


def background_of(arrays: dict[str, np.ndarray]) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return the links and the data of a file's background, (None, None) if it has none."""
    if not any(name in arrays for name in BACKGROUND_KEYS):
        return None, None
    links, data = _wanted(arrays, BACKGROUND_KEYS[0], 2, "i"), _wanted(arrays, BACKGROUND_KEYS[1], 3, "f")
    return links.astype(np.int32), data.astype(np.float32)


def _wanted(arrays: dict[str, np.ndarray], name: str, ndim: int, kind: str) -> np.ndarray:
    """Return an array that must be there, with so many axes, of whole numbers ("i") or of fractions ("f")."""
    if name not in arrays:
        raise ValueError(f"it has no {name!r}, which every Plenoxels file has")
    array = arrays[name]
    if array.ndim != ndim or array.dtype.kind != kind or 0 in array.shape:
        wanted = {"i": "whole numbers", "f": "fractions"}[kind]
        came = f"{array.dtype.name} {list(array.shape)}"
        raise ValueError(f"{name!r} must hold {wanted} along {ndim} axes, none of them empty, got {came}")
    return array


def checked(grid: StoredGrid) -> StoredGrid:
    """Return the grid, or raise ValueError for shapes that do not fit or numbers that are none."""
    rows = len(grid.density)
    if grid.sh.ndim != 2 or len(grid.sh) != rows or grid.sh.shape[1] not in _COEFFICIENTS:
        columns = ", ".join(map(str, _COEFFICIENTS))
        raise ValueError(
            f"colours of {rows:,} rows and {columns} columns are wanted, got {list(grid.sh.shape)}"
        )
    if grid.center.shape != (3,) or grid.radius.shape != (3,):
        came = f"{list(grid.center.shape)} and {list(grid.radius.shape)}"
        raise ValueError(f"'center' and 'radius' must be 3 numbers each, got {came}")
    _check_finite("center", grid.center)
    _check_finite("radius", grid.radius)
    if not (grid.radius > 0.0).all():
        raise ValueError(f"'radius' must be above 0 along each axis, got {grid.radius.tolist()}")
    if max(grid.links.shape) > LARGEST_SIDE:
        raise ValueError(f"at most {LARGEST_SIDE} voxels a side are supported, got {list(grid.links.shape)}")
    _check_rows("links", grid.links, rows)
    _check_finite("density", grid.density)
    _check_finite("sh", grid.sh)
    if grid.background_links is not None:
        shapes = grid.background_links.shape, grid.background_data.shape
        if shapes[0][0] != 2 * shapes[0][1] or shapes[1][2] != 4:
            raise ValueError(f"a background of links [2R,R] and data [M,L,4] is wanted, got {shapes}")
        _check_rows("background_links", grid.background_links, shapes[1][0])
        _check_finite("background_data", grid.background_data)
    return grid


def _check_rows(name: str, links: np.ndarray, rows: int) -> None:
    if int(links.max()) >= rows:
        raise ValueError(f"{name!r} points to row {int(links.max()):,} where there are {rows:,} rows")


def _check_finite(name: str, array: np.ndarray) -> None:
    bad = array.size - int(np.count_nonzero(np.isfinite(array)))
    if bad:
        raise ValueError(f"{bad:,} of the {array.size:,} numbers in {name!r} are NaN or infinite")
