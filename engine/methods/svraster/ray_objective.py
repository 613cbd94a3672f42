# SPDX-License-Identifier: MIT
"""objective.kind = rays: a training step on single pixels of several views, drawn where the model is still wrong.

A pixel is as many rays as in a picture of this step (`model.supersample`), so both objectives minimise the same mean; terms
that need a whole picture (SSIM, depth of sparse points) are left out. A step takes VIEWS views in the order in which whole
pictures would come: their photos stay in memory together, and each view has its turn.

Pruning asks how heavily a voxel weighs in any view, and random rays meet most voxels rarely: what they saw is too light. So
before a structure change every view is drawn once by the rasteriser (`survey`), a tenth of the time on lego; steps on rays
count no view as seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.constants import MSE, N_WEIGHTS, SUM_BACKGROUND, SUM_SQUARED, TV, WANT_WEIGHT
from engine.cpu.apply_step import add_total_variation, apply_gradients
from engine.cpu.crew import crew
from engine.cpu.lists import build_lists
from engine.cpu.octree_nodes import node_table
from engine.cpu.octree_rays_step import Quadrature, RayBatch, RayField, RayRoom, ray_gradients
from engine.cpu.raster_grad import ROW, ROW_WEIGHT
from engine.cpu.ray_batch import cast_pixels
from engine.cpu.reduce import heaviest_of_voxels
from engine.cpu.train_view import render_lists, view_gradients
from engine.methods.common import StepReport
from engine.methods.svraster import schedule
from engine.methods.svraster.error_map import Drawn
from engine.methods.svraster.objective import PHOTOMETRIC, loss_weights, named_losses, psnr_of
from engine.render.resample import box_downsample

if TYPE_CHECKING:
    from engine.methods.svraster.model import SVRaster

VIEWS = 16  # of a step


def step(model: SVRaster) -> StepReport:
    """Take one step on rays."""
    config, degree = model.active, schedule.sh_degree(model.active, model.step)
    shrink, rays = schedule.photo_shrink(config, model.step), model.supersample
    options, n = config.objective, config.objective.rays_per_step
    views = _next_views(model)
    seed = int(model.rng.integers(1 << 62))
    drawn = model.errors.draw(views, n, options.importance, seed)
    batch = _batch(model, drawn, shrink, rays)
    field = RayField(model.table, node_table(model.octree), model.field.density, model.field.sh, degree)
    weights = loss_weights(config.losses, model.step, n, rays)
    adam = schedule.adam_values(config, model.step, n)
    model.step += 1
    room = model._ray_room = model._ray_room or RayRoom()
    gradients, sums, squared = ray_gradients(
        field, batch, Quadrature(1, options.fine_samples, seed), crew(), room,
        mode=PHOTOMETRIC[config.losses.photometric], background=model.background, weights=weights,
    )  # fmt: skip
    if adam[TV] > 0.0:
        add_total_variation(
            gradients.seen, model.table.corner_idx, field.density, adam[TV], gradients.v_density
        )
    apply_gradients(
        model.field, gradients, crew(), degree=degree, adam=adam, corrections=model._corrections, clip=config.rates.clip
    )  # fmt: skip
    if model.backdrop.learned:
        model._update_background(sums[SUM_BACKGROUND : SUM_BACKGROUND + 3].astype(np.float32))
    model.errors.learn(Drawn(views, drawn.slot, drawn.x, drawn.y, batch.factors), squared)
    of_views = _psnr_of_views(drawn.slot, batch.factors, squared, views)
    psnr = psnr_of(sums[SUM_SQUARED] / (3 * n))
    return StepReport(
        model.step, int(views[0]), named_losses(config.losses, sums, 0.0), psnr, None, of_views[1:]
    )


def _next_views(model: SVRaster) -> np.ndarray:
    """Return the views of a step, none twice."""
    wanted = min(VIEWS, len(model.scene.train) - len(model.excluded))
    views: list[int] = []
    while len(views) < wanted:
        view = model._next_view()
        if view not in views:  # a round ended between them
            views.append(view)
    return np.array(views, dtype=np.int64)


def _batch(model: SVRaster, drawn: Drawn, shrink: int, rays: int) -> RayBatch:
    """Return the drawn pixels' rays and what they should show, in photos made `shrink` times smaller."""
    n, x, y = len(drawn.slot), drawn.x // shrink, drawn.y // shrink
    targets, factors = np.zeros((n, 3), dtype=np.float32), drawn.factor.copy()
    lenses, poses = np.empty((len(drawn.views), 4)), np.empty((len(drawn.views), 3, 4))
    fitted = False
    for k, view in enumerate(drawn.views):
        view, photo, mask = int(view), model._targets.get(view, shrink), model._targets.mask(view, shrink)
        camera = model.camera_of(view, photo, shrink, 1)
        lenses[k], poses[k] = (camera.fx, camera.fy, camera.cx, camera.cy), camera.world_from_cam[:3]
        if not fitted and model.exposure.due(view, model.step, model.active.exposure):
            _fit_exposure(model, view, shrink, photo, mask)
            fitted = True
        mine = np.flatnonzero(drawn.slot == k)
        pixels = photo[y[mine], x[mine]]
        if model.active.exposure.on:
            pixels = model.exposure.neutral(view, pixels)
        targets[mine] = pixels.astype(np.float32) / np.float32(255.0)
        if mask is not None:
            factors[mine[mask[y[mine], x[mine]] == 0]] = 0.0
    origins, directions = (np.empty((n * rays**2, 3), dtype=np.float32) for _ in range(2))
    cast_pixels(lenses, poses, drawn.slot, x, y, rays, origins, directions)
    scale = (1.0 / (lenses[:, 0] * rays)).astype(np.float32)[drawn.slot]
    return RayBatch(origins, directions, scale, targets, factors, rays)


def _fit_exposure(
    model: SVRaster, view: int, shrink: int, photo: np.ndarray, mask: np.ndarray | None
) -> None:
    """Fit one view's exposure to what the model shows of it; at most one a step, since it takes a picture."""
    camera = model.camera_of(view, photo, shrink, 1)
    image, _ = model._picture(model._shaded(camera, schedule.sh_degree(model.active, model.step)), 0)
    picture = image[..., 1:4] + image[..., :1] * model.background
    small = box_downsample(picture, photo.shape[1], photo.shape[0])
    model.exposure.fit(view, small, photo, mask, model.step)


def _psnr_of_views(
    slot: np.ndarray, factors: np.ndarray, squared: np.ndarray, views: np.ndarray
) -> tuple[tuple[int, float], ...]:
    """Return (view, PSNR) of each view, from its drawn pixels."""
    counted = np.bincount(slot, factors, len(views))
    error = np.bincount(slot, factors * squared, len(views)) / np.maximum(counted, 1e-12)
    return tuple(
        (int(v), psnr_of(float(e))) for v, e, c in zip(views, error, counted, strict=True) if c > 0.0
    )


def survey(model: SVRaster) -> None:
    """Draw every view once, as large as it is trained on now, and raise the voxels' heaviest weights to what is found."""
    config, rays = model.active, model.supersample
    shrink, room, table = schedule.photo_shrink(config, model.step), model._room, model.table
    rgb = np.zeros((table.n_voxels, 1, 3), dtype=np.float32)
    for view in range(len(model.scene.train)):
        if view in model.excluded:
            continue
        photo, mask = model._targets.get(view, shrink), model._targets.mask(view, shrink)
        camera = model.camera_of(view, photo, shrink, rays)
        lists = build_lists(table, camera, crew(), room)
        if mask is None:
            weight = room.take("pair_weight", (max(1, lists.n_pairs),), np.float32)
            render_lists(
                lists, table, model.field.density, rgb, crew(), room, config.model.samples_per_voxel, WANT_WEIGHT, weight
            )  # fmt: skip
        else:  # only the pass with gradients knows of masks
            live, rows, _ = view_gradients(
                table, model.field.density, lists, rgb, crew(), room, mode=MSE, shrink=rays, target=photo,
                background=model.background, weights=np.zeros(N_WEIGHTS), samples=config.model.samples_per_voxel, keep=mask,
            )  # fmt: skip
            weight = np.where(live > 0, rows.reshape(-1, ROW)[:, ROW_WEIGHT], np.float32(0.0))
        heaviest_of_voxels(lists.pair_voxel, weight, model.field.heaviest)
    model.window_views = len(model.scene.train)
