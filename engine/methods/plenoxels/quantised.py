# SPDX-License-Identifier: MIT
"""A small file of a grid: densities in 8 or 16 bits, colours in 8, which voxels there are in one bit each, compressed.

Densities span from barely visible to opaque, so their code is uniform in asinh(density / knee): linear for thin haze,
relative to the value beyond. Each column of coefficients has a range of its own; the outermost ten-thousandth at either
end is cut off, because a few voxels that no photo shows would stretch it. Rows follow the voxels' order, z fastest, and columns
lie one after another, which packs better. A file is in engine units.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engine.datasets.npy import read_npz
from engine.errors import OptionError
from engine.memory import spare_bytes
from engine.methods.plenoxels.npz import (
    BACKGROUND_KEYS,
    LARGEST_SIDE,
    StoredGrid,
    background_of,
    cannot_read,
    checked,
    write_arrays,
)

SUFFIX = ".plenoxels"
FORMAT_VERSION = 1
KNEE = 0.05  # optical depth across a voxel up to which codes are linear
CUT = 1e-4  # share of a column's values that may lie outside its range at either end
_CODES = {8: np.uint8, 16: np.uint16}
_KEYS = (
    "format_version",
    "resolution",
    "center",
    "radius",
    "occupied",
    "density",
    "density_range",
    "sh",
    "sh_range",
)
_REMEDY = "export it again, or choose another file"


def write(path: str | Path, grid: StoredGrid, density_bits: int = 8) -> None:
    """Write a grid with densities in 8 or 16 bits, whole or not at all."""
    if density_bits not in _CODES:
        raise OptionError(f"Densities can be stored in 8 or 16 bits, got {density_bits}.")
    occupied = grid.links >= 0
    rows = grid.links[occupied]
    knee, most = KNEE / _edge(grid.radius, grid.links.shape), 2**density_bits - 1
    bent = np.arcsinh(grid.density[rows].astype(np.float64) / knee)
    low, high = (float(bent.min()), float(bent.max())) if len(bent) else (0.0, 0.0)
    codes = np.rint((bent - low) * (most / max(high - low, 1e-12)))
    arrays = {
        "format_version": np.int64(FORMAT_VERSION),
        "resolution": np.array(grid.links.shape, dtype=np.int32),
        "center": grid.center.astype(np.float64),
        "radius": grid.radius.astype(np.float64),
        "occupied": np.packbits(occupied.reshape(-1)),
        "density": codes.astype(_CODES[density_bits]),
        "density_range": np.array([low, high, knee]),
        **_coded_colours(grid.sh[rows]),
    }
    if grid.background_links is not None:
        arrays["background_links"] = grid.background_links.astype(np.int32)
        arrays["background_data"] = grid.background_data.astype(np.float16)
    write_arrays(Path(path), arrays, compress=True)


def read(path: str | Path) -> StoredGrid:
    """Return the grid of a quantised file, or raise CheckpointError in one sentence."""
    path = Path(path)
    try:
        arrays = read_npz(path, spare_bytes(), (*_KEYS, *BACKGROUND_KEYS))
        return checked(_grid(arrays))
    except OSError as error:
        raise cannot_read(
            path, error.strerror or str(error), "check that it exists and may be read"
        ) from error
    except KeyError as error:
        raise cannot_read(path, f"it has no {error}, which every {SUFFIX} file has", _REMEDY) from error
    except ValueError as error:
        raise cannot_read(path, str(error), _REMEDY) from error


def _coded_colours(sh: np.ndarray) -> dict[str, np.ndarray]:
    """Return the codes [3B,N] of colours [N,3B], and their `sh_range [2,3B]`: a column's lowest value, and its step."""
    low, high = np.quantile(sh, (CUT, 1.0 - CUT), axis=0) if len(sh) else np.zeros((2, sh.shape[1]))
    step = np.maximum((high - low) / 255.0, 1e-12)
    codes = np.clip(np.rint((sh - low) / step), 0, 255).astype(np.uint8)
    return {"sh": np.ascontiguousarray(codes.T), "sh_range": np.stack([low, step]).astype(np.float32)}


def _grid(arrays: dict[str, np.ndarray]) -> StoredGrid:
    version = arrays["format_version"]
    if version.size != 1 or not 1 <= int(version.reshape(())) <= FORMAT_VERSION:
        raise ValueError(
            f"it has format {version.tolist()}, and this nerfviewer reads up to {FORMAT_VERSION}"
        )
    links, rows = _links(arrays["resolution"], arrays["occupied"])
    codes, sh, sh_range = arrays["density"], arrays["sh"], arrays["sh_range"]
    if codes.dtype not in _CODES.values() or codes.shape != (rows,):
        came = f"{codes.dtype.name} {list(codes.shape)}"
        raise ValueError(f"{rows:,} densities in 8 or 16 bits are wanted, got {came}")
    if sh.dtype != np.uint8 or sh.ndim != 2 or sh.shape[1] != rows or sh_range.shape != (2, len(sh)):
        came = f"{sh.dtype.name} {list(sh.shape)} with ranges {list(sh_range.shape)}"
        raise ValueError(f"colours of {rows:,} voxels in 8 bits are wanted, got {came}")
    if arrays["density_range"].shape != (3,):
        raise ValueError(f"'density_range' must be 3 numbers, got {list(arrays['density_range'].shape)}")
    low, high, knee = arrays["density_range"].astype(np.float64)
    with np.errstate(all="ignore"):  # what overflows is found out below
        density = np.sinh(low + codes * ((high - low) / np.iinfo(codes.dtype).max)) * knee
        colours = sh_range[0] + sh.T * sh_range[1]
        return StoredGrid(
            links,
            density.astype(np.float32),
            np.ascontiguousarray(colours, dtype=np.float32),
            arrays["center"].astype(np.float64),
            arrays["radius"].astype(np.float64),
            *background_of(arrays),
        )


def _links(resolution: np.ndarray, occupied: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the links of a file and how many rows they have."""
    sides = tuple(int(n) for n in resolution.reshape(-1)[:4])
    if len(sides) != 3 or not all(1 <= n <= LARGEST_SIDE for n in sides):
        raise ValueError(f"its resolution must be 3 numbers from 1 to {LARGEST_SIDE}, got {list(sides)}")
    voxels = sides[0] * sides[1] * sides[2]
    if occupied.dtype != np.uint8 or occupied.shape != (-(-voxels // 8),):
        came = f"{occupied.dtype.name} {list(occupied.shape)}"
        raise ValueError(f"one bit for each of {voxels:,} voxels is wanted, got {came}")
    if 4 * voxels > spare_bytes():
        raise ValueError(f"{voxels:,} voxels do not fit into the free memory")
    there = np.unpackbits(occupied, count=voxels).astype(bool)
    rows = int(np.count_nonzero(there))
    links = np.full(voxels, -1, dtype=np.int32)
    links[there] = np.arange(rows, dtype=np.int32)
    return links.reshape(sides), rows


def _edge(radius: np.ndarray, resolution: tuple[int, ...]) -> float:
    """Return the edge of a voxel, the mean over axes."""
    return float(np.mean(2.0 * radius / np.array(resolution)))
