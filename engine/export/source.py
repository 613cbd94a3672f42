# SPDX-License-Identifier: MIT
"""What is exported: a copy of a model that training does not touch, and any method's scene as plain voxels.

SVRaster is voxels already; a Plenoxels grid's cells become some (`cells.py`); InfNeRF is baked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import UserError
from engine.export.voxel_set import VoxelSet, plain_values
from engine.methods.common import Method, method_class, method_title
from engine.options import flatten
from engine.sh import n_coefficients

if TYPE_CHECKING:
    from engine.datasets.scene import Scene
    from engine.methods.infnerf.bake import Baked

Progress = Callable[[str, int, int], None]  # (stage, done, total)


def frozen(method: Method) -> Method:
    """Return a copy on the processor that goes its own way. Called where the method lives, between two steps."""
    if not method.card:
        return method.frozen().method
    tensors, header = method.state()
    copy = method_class(method.name)(method.scene, method.config, getattr(method, "seed", 0))
    copy.load_state({name: np.array(tensor) for name, tensor in tensors.items()}, header)
    return copy


def voxels_of(method: Method, report: Progress | None = None, bake_options: Any = None) -> VoxelSet:
    """Return what a method learned as voxels, or raise UserError. Baking InfNeRF takes seconds to minutes."""
    if method.name == "svraster":
        return _of_svraster(method)
    if method.name == "plenoxels":
        from engine.export.cells import voxels_of_grid

        return voxels_of_grid(method)
    if method.name == "infnerf":
        return _of_infnerf(method, bake_options, report)
    raise UserError(f"{method_title(method.name)} has no voxels to write; export its pictures instead.")


def _of_svraster(method: Any) -> VoxelSet:
    import torch

    from engine.cpu.shade import sh_rows
    from engine.methods.svraster.schedule import sh_degree

    density, groups = (
        np.array(torch.as_tensor(array).cpu().numpy(), dtype=np.float32)
        for array in (method.field.density, method.field.sh)
    )
    rows = sh_rows(groups, len(method.octree))[:, : n_coefficients(sh_degree(method.active, method.step))]
    return VoxelSet(
        method.octree, density, np.ascontiguousarray(rows), np.array(method.background), flatten(method.config),
        method.step,
    )  # fmt: skip


def _of_infnerf(method: Any, bake_options: Any, report: Progress | None) -> VoxelSet:
    from engine.methods.infnerf.bake import bake

    return of_baked(bake(method, bake_options, report), method.scene)


def of_baked(baked: Baked, scene: Scene) -> VoxelSet:
    """Return what baking made of a tree of fields on a scene."""
    from engine.methods.svraster.background import Background

    rgb = Background(scene.background).rgb
    return VoxelSet(
        baked.octree, baked.density, baked.sh, rgb, plain_values(round(baked.sh.shape[1] ** 0.5) - 1)
    )
