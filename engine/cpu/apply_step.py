# SPDX-License-Identifier: MIT
"""An Adam step along gradients that were added up first: over ranks, over rays of many views, over a soft picture.

`train_view` fuses the end of a view's backward pass with the step; whoever has gradients of the field itself takes it here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from engine.cpu.crew import Crew
from engine.cpu.lists import VoxelTable
from engine.cpu.shade import GROUP
from engine.cpu.shared_update import FOUND, apply_groups, seen_groups, spread_groups
from engine.cpu.train_view import FieldArrays
from engine.cpu.update import total_variation, update_points


@dataclass(frozen=True, eq=False)
class FieldGradients:
    """Gradients of a field, and what its voxels' statistics hear. V voxels, G grid points, K coefficients a channel.

    `groups` int32 [n] are the groups of sixteen voxels with anything to say; `coefficients` float32 [n, 3 K + 1, 16] their
    gradients, row 3 k + channel, and in the last row |dL/dalpha alpha|; `v_density` float32 [G];
    `seen` float32 [2,V]: each voxel's heaviest weight and minus its pixel size, 0 and minus infinity where unseen.
    """

    groups: np.ndarray
    coefficients: np.ndarray
    v_density: np.ndarray
    seen: np.ndarray


def apply_gradients(
    field: FieldArrays,
    gradients: FieldGradients,
    crew: Crew,
    *,
    degree: int,
    adam: np.ndarray,
    corrections: tuple[np.ndarray, np.ndarray],
    share: float = 1.0,
) -> None:
    """Take one Adam step along `share` times the gradients. Rows that nobody saw stay as they are."""
    crew.run(
        apply_groups, gradients.groups, gradients.coefficients, np.float32(share), gradients.seen, degree, adam, *corrections,
        field.sh, field.sh_m, field.sh_v, field.sh_age, field.priority, field.heaviest, field.footprint,
    )  # fmt: skip
    v_density = gradients.v_density * np.float32(share)
    itself = np.arange(len(v_density) + 1, dtype=np.int32)  # each point owns one gradient: its own
    crew.run(
        update_points, itself, itself, v_density.reshape(-1, 1), adam, *corrections,
        field.density, field.density_m, field.density_v, field.density_age,
    )  # fmt: skip


def gradients_of_view(
    table: VoxelTable,
    view: np.ndarray,
    degree: int,
    rgb: np.ndarray,
    v_colours: np.ndarray,
    priority: np.ndarray,
    v_density: np.ndarray,
    seen: np.ndarray,
    crew: Crew,
) -> FieldGradients:
    """Return the field's gradients from those of one view's colours.

    `view` as `lists.view_array` makes it; `rgb [V,1,3]` the colours that it saw, `v_colours [V,3]` their gradients,
    `priority [V]`; `v_density`, `seen` as in FieldGradients.
    """
    n = table.n_voxels
    n_groups = -(-n // GROUP)
    found = np.zeros((n_groups, FOUND, GROUP), dtype=np.float32)
    _find_groups(rgb, v_colours, priority, seen, found)
    groups = seen_groups(seen)
    coefficients = np.empty((len(groups), 3 * (degree + 1) ** 2 + 1, GROUP), dtype=np.float32)
    crew.run(spread_groups, groups, table.soa, table.stride, view, degree, found, coefficients)
    return FieldGradients(groups, coefficients, v_density, seen)


@njit(cache=True, nogil=True)
def _find_groups(rgb, v_colours, priority, seen, found):
    """Lay the voxels' gradients out in groups; a colour cut off at 0 hears only what would raise it."""
    for voxel in range(len(priority)):
        if not seen[1, voxel] > -np.inf:
            continue
        group, lane = voxel // 16, voxel % 16
        for channel in range(3):
            v = v_colours[voxel, channel]
            found[group, channel, lane] = v if rgb[voxel, 0, channel] > 0.0 or v < 0.0 else 0.0
        found[group, 3, lane] = priority[voxel]


@njit(cache=True, nogil=True)
def add_total_variation(seen, corner_idx, density, weight, v_density):
    """Add to v_density [G] the gradient of weight * total variation over the voxels [V,8] that were seen."""
    corners = np.empty(8, dtype=np.float32)
    for voxel in range(corner_idx.shape[0]):
        if not seen[1, voxel] > -np.inf:
            continue
        corners[:] = 0.0
        total_variation(density, corner_idx[voxel], corners, weight)
        for c in range(8):
            v_density[corner_idx[voxel, c]] += corners[c]
