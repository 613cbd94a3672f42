# SPDX-License-Identifier: MIT
"""A Plenoxels run as one file for other programs (.npz, the public format) or as a small one (.plenoxels)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from engine.errors import CheckpointError, UserError
from engine.methods.plenoxels import npz, quantised
from engine.methods.plenoxels.background import stored_texels
from engine.runs import open_run
from engine.voxel_grid import Grid

NAME = "plenoxels"
SUFFIXES = (".npz", quantised.SUFFIX)


def export_run(run: str | Path, output: str | Path, density_bits: int = 8) -> npz.StoredGrid:
    """Write the newest checkpoint of a run into a file whose suffix says in which format; return what was written.

    `density_bits` 8 or 16 are those of a .plenoxels file. Raises UserError in one sentence.
    """
    output = Path(output)
    if output.suffix.lower() not in SUFFIXES:
        raise UserError(f"Cannot export to {output}: its name must end in {' or '.join(SUFFIXES)}.")
    grid = grid_of_run(run)
    if output.suffix.lower() == quantised.SUFFIX:
        quantised.write(output, grid, density_bits)
    else:
        npz.write(output, grid)
    return grid


def grid_of_run(run: str | Path) -> npz.StoredGrid:
    """Return the grid in the newest checkpoint of a run, in engine units."""
    folder = open_run(run)
    if folder.spec.method != NAME:
        raise UserError(f"{run} holds a {folder.spec.method} run, and only {NAME} runs can be exported.")
    newest = folder.newest()
    if newest is None:
        raise UserError(f"{run} has no checkpoint yet; train it first.")
    tensors, header = newest.tensors, newest.header["state"]
    try:
        grid = Grid(
            *(tensors[f"grid.{name}"] for name in ("links", "density", "sh")),
            degree=int(header["options"]["model.sh_degree"]),
            center=np.array(header["center"]),
            radius=np.array(header["radius"]),
        )
    except KeyError as error:
        raise CheckpointError(f"{newest.path} has no {error}; train again to export it.") from error
    if "spheres.texels" not in tensors:
        return npz.stored(grid)
    return replace(npz.stored(grid), **stored_texels(tensors["spheres.texels"]))
