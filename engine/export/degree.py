# SPDX-License-Identifier: MIT
"""Colours of a lower degree: the least squares of how the capture's views see each voxel, by how much of it they see.

Cut off, the higher coefficients would leave a voxel with a mean over directions that no photo looked from.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from engine.cameras import Camera
from engine.cpu.normal_equations import add_rows, solved
from engine.export.source import Progress
from engine.export.voxel_set import VoxelSet
from engine.methods.infnerf.bake import weights_in
from engine.sh import n_coefficients, rgb_from_sh, sh_basis, view_directions

VIEWS = 32  # at most; more say nothing new
_PIXELS = 400  # longest side at which views are asked what they see
_SEEN = 1e-3  # weight from which a view has a say
_RIDGE = 0.02  # pulls coefficients that few directions determine to 0; of a voxel's whole weight


def refitted(
    voxels: VoxelSet,
    degree: int,
    cameras: Sequence[Camera],
    report: Progress,
    rest: Callable[[float], None],
) -> VoxelSet:
    """Return voxels with colours of a degree below theirs; those that no view sees are cut off."""
    terms = n_coefficients(degree)
    normal = np.zeros((len(voxels), terms * (terms + 1) // 2), np.float32)
    right = np.zeros((len(voxels), terms, 3), np.float32)
    chosen = np.unique(np.linspace(0, len(cameras) - 1, min(VIEWS, len(cameras))).astype(np.int64))
    for number, index in enumerate(chosen):
        begin = time.perf_counter()
        report("fitting colours", number + 1, len(chosen))
        camera = cameras[index].scaled(min(1.0, _PIXELS / max(cameras[index].width, cameras[index].height)))
        camera = voxels.seen_by(camera)
        weight = weights_in(voxels.octree, voxels.density, camera)
        seen = np.flatnonzero(weight >= _SEEN)
        towards = view_directions(voxels.octree.center[seen], camera)
        colour = rgb_from_sh(voxels.sh[seen], towards, voxels.degree).astype(np.float32) - np.float32(0.5)
        basis = sh_basis(towards, degree).astype(np.float32)
        add_rows(seen.astype(np.int32), basis, weight[seen], colour, normal, right)
        rest(time.perf_counter() - begin)
    unseen = normal[:, 0] <= 0.0
    sh = solved(normal, right, _RIDGE)
    sh[unseen] = voxels.sh[unseen, :terms]
    return replace(voxels, sh=sh)
