# SPDX-License-Identifier: MIT
"""Voxels of SVRaster One in files, and to and from the app's own runs. Nothing is unpickled but tensors and plain values."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from engine import torch_files
from engine.constants import MAX_LEVEL
from engine.errors import CheckpointError, OptionError
from engine.octree import Octree
from engine.runs import open_run
from engine.sh import n_coefficients
from engine.svraster_one.settings import SVRasterOneConfig

if TYPE_CHECKING:
    from engine.svraster_one.model import SVRasterOne

KIND, VERSION = "svraster one voxels", 1
_TENSORS = ("path", "level", "point_ijk", "densities", "sh")


def export_voxels(model: SVRasterOne, path: str | Path) -> None:
    """Write a .pth file: structure, densities, colours and every setting. Whole or not at all."""
    grid = model.voxel_grid
    record = {
        "kind": KIND,
        "version": VERSION,
        "root_size": float(grid.octree.root_size),
        "path": torch.from_numpy(np.array(grid.octree.path)),
        "level": torch.from_numpy(np.array(grid.octree.level)),
        "point_ijk": torch.from_numpy(np.array(grid.octree.point_ijk)),
        "densities": grid.densities.detach().cpu().clone(),
        "sh": grid.sh.detach().cpu().clone(),
        "config": model.config.to_dict(),
    }
    torch_files.write(path, record)


def import_voxels(model: SVRasterOne, path: str | Path) -> None:
    """Take over what `export_voxels` wrote: voxels, in Morton order, and the settings of the grid."""
    record = torch_files.read(
        path, KIND, VERSION, "no voxels of SVRaster One", "one that export_voxels wrote"
    )
    try:
        config = SVRasterOneConfig.from_dict(record["config"])
        octree, densities, sh = _voxels(record)
    except (KeyError, ValueError, TypeError, OptionError) as error:
        raise CheckpointError(
            f"Cannot read {path}: its voxels are damaged ({error}). Export them again."
        ) from error
    model.config.voxel.__dict__.update(config.voxel.__dict__)
    to = model.voxel_grid.densities
    model.voxel_grid.replace(octree, densities.to(to), sh.to(to.device))


def _voxels(record: dict[str, Any]) -> tuple[Octree, Tensor, Tensor]:
    """Return (octree, densities, sh) with leaves in Morton order, whatever order the file has."""
    path, level, point_ijk, densities, sh = (record[name] for name in _TENSORS)
    octree = Octree.from_leaves(path.numpy(), level.numpy(), float(record["root_size"]))
    if sh.ndim != 3 or len(sh) != len(octree) or len(densities) != len(point_ijk):
        raise ValueError(f"{len(octree)} voxels, but colours {list(sh.shape)}")
    given, wanted = (_codes(ijk) for ijk in (point_ijk.numpy(), octree.point_ijk))
    order = np.argsort(given)
    found = order[np.minimum(np.searchsorted(given[order], wanted), len(given) - 1)]
    if not np.array_equal(given[found], wanted):
        raise ValueError("corners of voxels are missing")
    rows = torch.from_numpy(np.argsort(path.numpy(), kind="stable"))
    return octree, densities[torch.from_numpy(found)], sh[rows]


def _codes(ijk: np.ndarray) -> np.ndarray:
    """Return one number per lattice point, which has 17 bits an axis."""
    ijk = ijk.astype(np.int64)
    return ijk[:, 0] << 34 | ijk[:, 1] << 17 | ijk[:, 2]


# --- the app's runs ---------------------------------------------------------------------------------------------------


def from_run(cls: type[SVRasterOne], path: str | Path) -> SVRasterOne:
    """Return the model of the newest checkpoint of a run folder."""
    run = open_run(path)
    if run.spec.method != "svraster":
        raise CheckpointError(f"{path} is a run of {run.spec.method}; SVRasterOne opens runs of svraster.")
    resumed = run.newest()
    if resumed is None:
        raise CheckpointError(f"{path} has no checkpoint yet; train it first.")
    tensors, state = resumed.tensors, resumed.header["state"]
    options = state["options"]
    octree = Octree.from_leaves(tensors["octree.path"], tensors["octree.level"], float(state["root_size"]))
    return _model(
        cls, octree, tensors["field.density"], tensors["field.sh"], tensors["background"][0],
        int(options["model.samples_per_voxel"]), int(options["model.supersample"]),
    )  # fmt: skip


def from_method(cls: type[SVRasterOne], method: Any) -> SVRasterOne:
    """Return a copy of what an SVRaster object holds, of the processor or of a card."""
    field, active = method.field, method.active
    density, sh = (np.array(torch.as_tensor(a).cpu().numpy()) for a in (field.density, field.sh))
    return _model(
        cls, method.octree, density, sh, method.background, active.model.samples_per_voxel, method.supersample
    )


def _model(
    cls: type[SVRasterOne],
    octree: Octree,
    density: np.ndarray,
    groups: np.ndarray,
    background: np.ndarray,
    samples: int,
    supersample: int,
) -> SVRasterOne:
    from engine.cpu.shade import sh_rows

    sh = sh_rows(groups, len(octree))
    outside = round(np.log2(octree.root_size))
    finest = max(int(octree.level.max(initial=1)) - outside, 1)
    config = SVRasterOneConfig()
    config.voxel.grid_resolution = 1 << min(finest + 1, MAX_LEVEL - outside)  # room for one more split
    config.voxel.voxel_size = 1.0 / config.voxel.grid_resolution
    config.voxel.outside_levels = outside
    config.voxel.sh_degree = round((sh.shape[1]) ** 0.5) - 1
    config.voxel.max_voxels = max(config.voxel.max_voxels, len(octree))
    config.rendering.background = tuple(float(v) for v in np.asarray(background))
    config.rendering.samples_per_voxel, config.rendering.supersample = samples, supersample
    model = cls(config, octree)
    model.voxel_grid.replace(octree, torch.from_numpy(np.array(density)), torch.from_numpy(sh))
    return model


def write_into(model: SVRasterOne, method: Any) -> None:
    """Give an SVRaster object on the processor this model's voxels. Statistics and Adam's moments start anew."""
    from engine.cpu.shade import grouped
    from engine.cpu.train_view import FieldArrays

    grid, wanted = model.voxel_grid, method.active.model.sh_degree
    if not isinstance(method.field, FieldArrays):
        raise OptionError("SVRasterOne.write_into() takes a method on the processor, not one on a card.")
    frame = model.frame
    if abs(frame.extent - 1.0) > 1e-6 or any(frame.center):
        raise OptionError(
            "SVRasterOne.write_into() takes models in engine units, an extent of 1 around the origin; "
            f"this one is {frame.extent:g} wide around {frame.center}."
        )
    rows = np.zeros((len(grid), n_coefficients(wanted), 3), dtype=np.float32)
    kept = min(rows.shape[1], grid.sh.shape[1])
    rows[:, :kept] = grid.sh.detach().float().cpu().numpy()[:, :kept]
    n, g, sh = len(grid), grid.octree.n_points, grouped(rows)
    values = {f.name: np.zeros(n, dtype=np.float32) for f in dataclasses.fields(FieldArrays)}
    values |= {name: np.zeros(g, dtype=np.float32) for name in ("density_m", "density_v")}
    values |= {"density": np.array(grid.densities.detach().float().cpu().numpy()), "sh": sh}
    values |= {"sh_m": np.zeros_like(sh), "sh_v": np.zeros_like(sh)}
    values |= {"density_age": np.zeros(g, dtype=np.uint16), "sh_age": np.zeros(n, dtype=np.uint16)}
    values["footprint"] = np.full(n, np.inf, dtype=np.float32)
    method.field = FieldArrays(**values)
    method.heaviest_before = np.zeros(n, dtype=np.float32)
    method.born = np.full(n, method.step, dtype=np.int32)
    method.window_views = 0
    method.lay_out(grid.octree)
