# SPDX-License-Identifier: MIT
"""A training step on a softened picture (`objective.kind=soft`), which may also move the camera that took the photo.

Of the losses the photometric one and transmittance act here; exposures are fitted to hard pictures, as elsewhere.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from engine.cameras import Camera
from engine.constants import SUM_BACKGROUND, SUM_SQUARED
from engine.cpu.apply_step import add_total_variation, apply_gradients, gradients_of_view
from engine.cpu.crew import crew
from engine.cpu.lists import ViewLists, VoxelTable, Workspace
from engine.cpu.shade import shade_voxels
from engine.cpu.soft_view import density_gradients, render_soft, soft_array, soft_gradients, soft_lists
from engine.cpu.update import TV
from engine.datasets.box import box_of
from engine.methods.common import StepReport
from engine.methods.svraster import schedule
from engine.methods.svraster.config import SVRasterConfig
from engine.methods.svraster.objective import PHOTOMETRIC, loss_weights, named_losses, psnr_of
from engine.methods.svraster.picture_terms import picture_terms
from engine.render.resample import box_downsample

if TYPE_CHECKING:
    from engine.methods.svraster.model import SVRaster


def soft_step(model: SVRaster) -> StepReport:
    """Take one step on a view, drawn with the blurs that hold at this step."""
    config, step = _photometric_alone(model.active), model.step
    index = model._next_view()
    shrink, rays = schedule.photo_shrink(config, step), model.supersample
    target, keep = model._targets.get(index, shrink), model._targets.mask(index, shrink)
    whole = model.scene.train.views[index].camera
    camera = model.camera_of(index, target, shrink, rays)
    degree = schedule.sh_degree(config, step)
    adam = schedule.adam_values(config, step, whole.width * whole.height)
    terms = picture_terms(
        config, step, index, target, keep, camera, model.background, model.exposure, model._depths,
        lambda want: model._picture(model._shaded(camera, degree), want),
    )  # fmt: skip
    pixels = target.shape[0] * target.shape[1] if keep is None else max(1, np.count_nonzero(keep))
    lists, rgb, soft = soft_view(model, camera, degree, model._room, model.table)
    refine = config.poses.refine and step >= config.poses.from_step
    found = soft_gradients(
        model.table, model.field.density, rgb, lists, crew(), model._room, soft,
        samples=config.model.samples_per_voxel, mode=PHOTOMETRIC[config.losses.photometric], shrink=rays, target=terms.target,
        background=model.background, weights=loss_weights(config.losses, step, pixels, rays), keep=keep, want_pose=refine,
    )  # fmt: skip
    v_density = density_gradients(found, model._owners, crew(), model._room)
    if adam[TV] > 0.0:
        add_total_variation(found.seen, model.table.corner_idx, model.field.density, adam[TV], v_density)
    gradients = gradients_of_view(
        model.table, lists.view, degree, rgb, found.v_colours, found.priority, v_density, found.seen, crew()
    )
    apply_gradients(
        model.field,
        gradients,
        crew(),
        degree=degree,
        adam=adam,
        corrections=model._corrections,
        clip=config.rates.clip,
    )
    if refine and found.v_pose is not None:
        model.poses.update(index, found.v_pose, step, config.poses)
    model.step += 1
    model.window_views += 1
    if model.backdrop.learned:
        model._update_background(found.sums[SUM_BACKGROUND : SUM_BACKGROUND + 3].astype(np.float32))
    losses = named_losses(config.losses, found.sums, 0.0)
    return StepReport(model.step, index, losses, psnr_of(found.sums[SUM_SQUARED] / (3 * pixels)))


def soft_view(
    model: SVRaster, camera: Camera, degree: int, room: Workspace, table: VoxelTable
) -> tuple[ViewLists, np.ndarray, np.ndarray]:
    """Return the lists, colours and blurs with which a camera sees the voxels softly at the model's step."""
    config = model.active
    sigma, temperature = schedule.softness(config.soft, model.step)
    lists = soft_lists(table, camera, sigma, crew(), room, keep_slots=True)
    rgb = room.take("rgb", (table.n_voxels, 1, 3), np.float32)
    crew().run(
        shade_voxels, table.n_voxels, lists.first_pair, table.soa, table.stride, lists.view, model.field.sh, degree, rgb
    )  # fmt: skip
    edge = box_of(model.scene.data_from_engine)[1]  # of an engine unit, in scene units
    return (
        lists,
        rgb,
        soft_array(sigma, temperature / edge, config.soft.order),
    )


def soft_picture(
    model: SVRaster, camera: Camera, rays: float, background: np.ndarray, room: Workspace, table: VoxelTable
) -> np.ndarray:
    """Return the softened picture float32 [H,W,3] that a camera sees at the model's step, `rays` rays a pixel side."""
    degree = schedule.sh_degree(model.active, model.step)
    lists, rgb, soft = soft_view(model, camera if rays == 1.0 else camera.scaled(rays), degree, room, table)
    samples = model.active.model.samples_per_voxel
    image, _ = render_soft(table, model.field.density, rgb, lists, crew(), room, soft, samples)
    return box_downsample(image[..., 1:4] + image[..., :1] * background, camera.width, camera.height)


def _photometric_alone(config: SVRasterConfig) -> SVRasterConfig:
    losses = replace(config.losses, ssim=0.0, colour_spread=0.0, distortion=0.0, sparse_depth=0.0)
    return replace(config, losses=losses)
