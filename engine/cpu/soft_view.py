# SPDX-License-Identifier: MIT
"""One view through the soft rasteriser on the CPU: its lists, its picture, or the gradients of a training step."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numba import njit

from engine.cameras import Camera
from engine.constants import KAPPA
from engine.cpu.crew import Crew
from engine.cpu.lists import ViewLists, VoxelTable, Workspace, build_lists
from engine.cpu.raster_grad import ROW, ROW_PRIORITY, ROW_WEIGHT
from engine.cpu.shared_update import collect_points
from engine.cpu.simd import fetch_add
from engine.cpu.soft_order import HARD, LOGISTIC, SOFTMAX
from engine.cpu.soft_raster import ACROSS, ALONG, FALL, INV_TAU, N_SOFT, ORDER, REACH, TAU, WIDTH
from engine.cpu.soft_raster_grad import soft_tiles
from engine.cpu.tile_loss import GIVEN, MSE, N_SUMS, N_WEIGHTS, W_PHOTO
from engine.cpu.tile_math import corner_gradients
from engine.cpu.update import pixel_size, sum_rows
from engine.softness import spread_terms

_NO_PHOTO, _NO_MASK = np.zeros((1, 1, 3), dtype=np.uint8), np.ones((1, 1), dtype=np.uint8)
_NO_IMAGE, _NO_PLANE = np.zeros((1, 1, 4), dtype=np.float32), np.zeros((1, 1), dtype=np.float32)
_NO_SUMS = np.zeros((1, 1))
_RUN = 1024  # voxels handed to a thread at once


@dataclass(frozen=True, eq=False)
class SoftGradients:
    """What one view says of every voxel, zero where it is not seen, and of its own camera.

    `v_corners [V,8]` of the raw densities at the voxel's corners (by grid point: `density_gradients`);
    `v_colours [V,3]`, not cut off where a colour is clamped; `priority [V]` sum of |dL/dalpha alpha|; `seen [2,V]` heaviest
    weight and minus the pixel size, 0 and minus infinity where unseen, as in `apply_step.FieldGradients`; `sums [N_SUMS]` loss
    (SUM_*); `v_pose [3,4]` float64, None unless wanted; `rgb [H,W,3]` the picture with its background, None unless wanted.
    All but sums, v_pose and rgb are valid until the workspace is used again.
    """

    v_corners: np.ndarray
    v_colours: np.ndarray
    priority: np.ndarray
    seen: np.ndarray
    sums: np.ndarray
    v_pose: np.ndarray | None
    rgb: np.ndarray | None


def soft_array(sigma: float, temperature: float, order: str) -> np.ndarray:
    """Return the array `soft` of the kernels, float64 [N_SOFT]: see `soft_raster.FALL` and what follows it."""
    soft = np.zeros(N_SOFT)
    soft[FALL] = 0.5 / (sigma * sigma) if sigma > 0.0 else 0.0
    soft[REACH] = 1.0 + KAPPA * sigma
    soft[ALONG], soft[ACROSS], soft[WIDTH] = spread_terms(sigma)
    soft[TAU] = temperature
    soft[INV_TAU] = 1.0 / temperature if temperature > 0.0 else 0.0
    soft[ORDER] = HARD if temperature == 0.0 else {"logistic": LOGISTIC, "softmax": SOFTMAX}[order]
    return soft


def soft_lists(
    table: VoxelTable, camera: Camera, sigma: float, crew: Crew, room: Workspace, keep_slots: bool = False
) -> ViewLists:
    """Return the tile lists of a view of voxels that reach KAPPA sigma half edges beyond themselves."""
    stride = table.stride
    soa = room.take("soft_soa", (4 * stride,), np.float32)
    soa[: 3 * stride] = table.soa[: 3 * stride]
    soa[3 * stride :] = table.soa[3 * stride :] * np.float32((1.0 + KAPPA * sigma) * (1.0 + 1e-6))
    return build_lists(replace(table, soa=soa), camera, crew, room, keep_slots)


def render_soft(
    table: VoxelTable,
    density: np.ndarray,  # float32 [G] raw
    rgb: np.ndarray,  # float32 [V,1,3]
    lists: ViewLists,
    crew: Crew,
    room: Workspace,
    soft: np.ndarray,
    samples: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Return image [H,W,4], T and rgb without background, and depth [H,W], both in the workspace."""
    height, width = int(lists.view[17]), int(lists.view[16])
    image, plane = (
        room.take("image", (height, width, 4), np.float32),
        room.take("depth", (height, width), np.float32),
    )
    live = room.take("pair_live", (lists.n_pairs,), np.uint8)
    nothing = np.zeros(N_WEIGHTS)
    crew.run(
        soft_tiles, lists.view, lists.tile_start, lists.pair_voxel, lists.rect, table.box, table.corner_idx, density, rgb,
        samples, soft, GIVEN, 1, _NO_PHOTO, False, _NO_MASK, False, _NO_IMAGE, _NO_PLANE, _NO_PLANE,
        np.zeros(3, dtype=np.float32), nothing, True, False, None, image, plane, live, _NO_PLANE[0], _NO_SUMS, _NO_SUMS,
    )  # fmt: skip
    return image, plane


def soft_gradients(
    table: VoxelTable,
    density: np.ndarray,
    rgb: np.ndarray,
    lists: ViewLists,
    crew: Crew,
    room: Workspace,
    soft: np.ndarray,
    *,
    samples: int,
    mode: int,
    shrink: int,
    target: np.ndarray,
    background: np.ndarray,
    weights: np.ndarray,
    v_rgb: np.ndarray | None = None,
    v_trans: np.ndarray | None = None,
    v_depth: np.ndarray | None = None,
    keep: np.ndarray | None = None,
    want_pose: bool = False,
    want_picture: bool = False,
) -> SoftGradients:
    """Go forward and back. What the loss takes is what `train_view.view_gradients` takes, without distortion and R terms."""
    height, width, n, pairs = int(lists.view[17]), int(lists.view[16]), table.n_voxels, lists.n_pairs
    n_tiles = len(lists.tile_start) - 1
    live, rows = room.take("pair_live", (pairs,), np.uint8), room.take("rows", (pairs * ROW,), np.float32)
    tile_sums = room.take("tile_sums", (n_tiles, N_SUMS), np.float64)
    tile_pose = room.take("tile_pose", (n_tiles if want_pose else 1, 12), np.float64)
    given = v_rgb is not None or v_trans is not None or v_depth is not None
    size = (height, width) if given else (1, 1)
    v_rgb = np.zeros((*size, 3), dtype=np.float32) if v_rgb is None else v_rgb
    v_trans = np.zeros(size, dtype=np.float32) if v_trans is None else v_trans
    v_depth = np.zeros(size, dtype=np.float32) if v_depth is None else v_depth
    image, plane = _NO_IMAGE, _NO_PLANE
    if want_picture:
        image = room.take("image", (height, width, 4), np.float32)
        plane = room.take("depth", (height, width), np.float32)
    crew.run(
        soft_tiles, lists.view, lists.tile_start, lists.pair_voxel, lists.rect, table.box, table.corner_idx, density, rgb,
        samples, soft, mode, shrink, target, keep is not None, _NO_MASK if keep is None else keep, given, v_rgb, v_trans,
        v_depth, background, weights, want_picture, True, True if want_pose else None, image, plane, live,
        rows, tile_sums, tile_pose,
    )  # fmt: skip
    found = SoftGradients(
        v_corners=room.take("soft_v_corners", (n, 8), np.float32),
        v_colours=room.take("soft_v_colours", (n, 3), np.float32),
        priority=room.take("soft_priority", (n,), np.float32),
        seen=room.take("soft_seen", (2, n), np.float32),
        sums=tile_sums.sum(axis=0),
        v_pose=tile_pose.sum(axis=0).reshape(3, 4) if want_pose else None,
        rgb=image[..., 1:4] + image[..., :1] * background if want_picture else None,
    )
    crew.run(
        gather_rows, lists.rect, lists.first_pair, lists.pair_slot, live, rows, table.soa, table.stride, lists.view,
        found.v_corners, found.v_colours, found.priority, found.seen,
    )  # fmt: skip
    return found


def soft_view_gradients(
    table: VoxelTable,
    density: np.ndarray,  # float32 [G] raw
    camera: Camera,
    rgb: np.ndarray,  # float32 [V,1,3]
    crew: Crew,
    room: Workspace,
    *,
    sigma: float,
    temperature: float,
    target: np.ndarray,  # uint8 [H,W,3]
    background: np.ndarray,  # float32 [3]
    weight: float,
    order: str = "logistic",
    samples: int = 1,
    mode: int = MSE,
    keep: np.ndarray | None = None,  # uint8 [H,W]: pixels that count
    want_pose: bool = False,
    want_picture: bool = False,
    lists: ViewLists | None = None,  # of `soft_lists` with keep_slots, when the caller has made them
) -> SoftGradients:
    """Return the gradients of weight * sum over pixels and channels of the squared error (or of `mode`'s) in one pass.

    Colours are needed of the voxels that the soft lists hold, which are more than the hard ones: make the lists first, shade
    their voxels (`shade.shade_voxels` with lists.first_pair), hand in both. That the colours themselves depend on the direction
    they are seen from is no part of v_pose.
    """
    weights = np.zeros(N_WEIGHTS)
    weights[W_PHOTO] = weight
    lists = lists or soft_lists(table, camera, sigma, crew, room, keep_slots=True)
    return soft_gradients(
        table, density, rgb, lists, crew, room, soft_array(sigma, temperature, order), samples=samples, mode=mode,
        shrink=1, target=target, background=background, weights=weights, keep=keep, want_pose=want_pose,
        want_picture=want_picture,
    )  # fmt: skip


def density_gradients(
    found: SoftGradients, owners: tuple[np.ndarray, np.ndarray], crew: Crew, room: Workspace
) -> np.ndarray:
    """Return v_density float32 [G], the gradients of the grid points; `owners` from `update.owners_of_points`."""
    v_density = room.take("soft_v_density", (len(owners[0]) - 1,), np.float32)
    crew.run(collect_points, *owners, found.v_corners, v_density)
    return v_density


@njit(cache=True, nogil=True)
def gather_rows(
    counter, rect, first_pair, pair_slot, pair_live, rows, soa, stride, view, v_corners, v_colours, priority, seen
):  # fmt: skip
    """Add up each voxel's rows in a fixed order into SoftGradients' arrays. Parallel over: runs of voxels."""
    n = rect.shape[0]
    total = np.zeros(16, dtype=np.float32)
    while True:
        first = fetch_add(counter, 0, _RUN)
        if first >= n:
            break
        for voxel in range(first, min(first + _RUN, n)):
            live = first_pair[voxel] >= 0 and sum_rows(
                voxel, first_pair[voxel], rect, pair_slot, pair_live, rows, total
            )
            if not live:
                for k in range(16):
                    total[k] = np.float32(0.0)
            seen[0, voxel] = total[ROW_WEIGHT]
            seen[1, voxel] = -pixel_size(voxel, soa, stride, view) if live else np.float32(-np.inf)
            corners = corner_gradients(
                total[0], total[1], total[2], total[3], total[4], total[5], total[6], total[7]
            )
            for c in range(8):
                v_corners[voxel, c] = corners[c]
            for channel in range(3):
                v_colours[voxel, channel] = total[8 + channel]
            priority[voxel] = total[ROW_PRIORITY]
