# SPDX-License-Identifier: MIT
"""Making a model of SVRaster One fit into so many megabytes, and measuring what that costs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from engine.cameras import Camera, look_at
from engine.errors import OptionError
from engine.matrices import camera_of, floating, matrices_of
from engine.metrics import psnr
from engine.render.rasterize import rasterize
from engine.svraster_one.losses import photo_of
from engine.svraster_one.memory import usage
from engine.svraster_one.modes import switch_to_inference_mode, switch_to_training_mode
from engine.svraster_one.photos import single_views

if TYPE_CHECKING:
    from engine.svraster_one.model import SVRasterOne

GENERATED, GENERATED_PX = 12, 128  # views that are made up when none are given, and their side
MARGIN = 0.98  # a little more is pruned than should be needed, so that few rounds do

View = tuple[Tensor, Tensor, tuple[int, int], np.ndarray | None]  # camera matrix, intrinsics, (H, W), photo


def optimize(model: SVRasterOne, target_memory_mb: float, views: Any = None) -> dict[str, Any]:
    """Make `total_memory_mb` at most the target in the mode the model is in: first what costs least.

    Gradients and drawing space are let go, then colours take half precision, then the voxels that are lightest in `views`
    are dropped. `views` are batches as loaders give them (image, camera_matrix, intrinsics); None: views all around.

    Returns `before_mb`, `after_mb`, `target_mb`, `quantised`, `pruned_voxels`, `voxels`; `picture_db`, the PSNR of pictures
    after against those before (100 where nothing changed); and, with photos, `psnr_before`, `psnr_after` and `psnr_cost`
    in dB, else None. Raises OptionError where not even one voxel would fit.
    """
    if not target_memory_mb > 0.0:
        raise OptionError(f"optimize_memory() needs a target above 0 MB, got {target_memory_mb:g}.")
    chosen = _given_views(views) if views is not None else generated_views(model)
    before, voxels = usage(model)["total_memory_mb"], len(model.voxel_grid)
    report: dict[str, Any] = {"before_mb": before, "target_mb": float(target_memory_mb), "quantised": False}
    pictures: list[np.ndarray] | None = None
    if before > target_memory_mb:
        pictures = _pictures(model, chosen)
        _let_go(model)
    if _total(model) > target_memory_mb:
        report["quantised"] = _quantise(model)
    if _total(model) > target_memory_mb:
        _prune_to(model, target_memory_mb, chosen)
    report |= {
        "after_mb": _total(model),
        "pruned_voxels": voxels - len(model.voxel_grid),
        "voxels": len(model.voxel_grid),
    }
    changed = report["quantised"] or report["pruned_voxels"] > 0
    after = _pictures(model, chosen) if changed else pictures
    report |= _cost(pictures, after, [photo for *_, photo in chosen])
    if pictures is not None:
        _let_go(model)
    report["after_mb"] = _total(model)
    return report


def _total(model: SVRasterOne) -> float:
    return usage(model)["total_memory_mb"]


def _let_go(model: SVRasterOne) -> None:
    """Drop what comes back by itself when it is needed."""
    for parameter in model.parameters():
        parameter.grad = None
    if model.training:
        model._cache = None
    elif model._cache is not None:
        model._cache.room = type(model._cache.room)()
    model.voxel_grid.forget_tables()


def _quantise(model: SVRasterOne) -> bool:
    """Hold colours in half precision; in inference mode they are already."""
    grid = model.voxel_grid
    if model.parked is not None or grid.sh.dtype == torch.float16:
        return False
    grid.set_colour_dtype(torch.float16)
    for trainer in model.trainers:
        trainer.rebind()
    if model._cache is not None:
        model.inference_cache()
    return True


def _prune_to(model: SVRasterOne, target_mb: float, views: list[View]) -> None:
    """Drop the lightest voxels until the rest fits."""
    parked = model.parked is not None
    for _ in range(12):
        total, n = _total(model), len(model.voxel_grid)
        if total <= target_mb:
            return
        wanted = int(MARGIN * n * target_mb / total)
        if wanted < 1:
            break
        weight = heaviest_weights(model, views)
        keep = np.zeros(n, dtype=bool)
        keep[np.argsort(-weight, kind="stable")[:wanted]] = True
        if parked:
            switch_to_training_mode(model)
        model.voxel_grid.keep(keep)
        if parked:
            switch_to_inference_mode(model)
        elif not model.training:
            model.inference_cache()
        _let_go(model)
    if _total(model) > target_mb:
        raise OptionError(
            f"optimize_memory() cannot fit this model into {target_mb:g} MB: {len(model.voxel_grid)} voxels still take "
            f"{_total(model):.3g} MB; choose a larger target."
        )


@torch.no_grad()
def heaviest_weights(model: SVRasterOne, views: list[View]) -> np.ndarray:
    """Return [V]: the heaviest share that each voxel has in any pixel of the views."""
    grid = model.voxel_grid
    densities = grid.densities.detach().float()
    heaviest = torch.zeros(len(grid))
    colours = torch.zeros(len(grid), 3, device=densities.device)
    for pose, lens, (height, width), _ in views:
        camera = camera_of(model.frame.pose(pose.double()), lens, width, height)
        out = rasterize(
            grid.octree,
            densities,
            colours,
            camera,
            samples_per_voxel=model.config.rendering.samples_per_voxel,
        )
        heaviest = torch.maximum(heaviest, out.max_weight.cpu())
    return heaviest.numpy()


def generated_views(model: SVRasterOne) -> list[View]:
    """Return views of the cube from all around; from inside the scene where there are shells around the cube."""
    distance = 0.6 if model.voxel_grid.octree.root_size > 1.0 else 1.6
    views: list[View] = []
    for i in range(GENERATED):
        height = 1.0 - 2.0 * (i + 0.5) / GENERATED
        turn = i * math.pi * (3.0 - math.sqrt(5.0))  # the golden angle: evenly spread on the sphere
        around = math.sqrt(1.0 - height * height)
        place = distance * np.array([around * math.cos(turn), around * math.sin(turn), height])
        pose = look_at(place, np.zeros(3), np.array([0.0, 0.0, 1.0]))
        camera = Camera.from_fov(GENERATED_PX, GENERATED_PX, 0.8, pose)
        views.append((*matrices_of(camera, model.frame), (GENERATED_PX, GENERATED_PX), None))
    return views


def _given_views(views: Any) -> list[View]:
    found: list[View] = []
    for batch in [views] if isinstance(views, dict) else views:
        for view in single_views(batch):
            photo = photo_of(view)
            pose, lens = floating("optimize_memory", view["camera_matrix"], view["intrinsics"])
            found.append((pose, lens, tuple(photo.shape[:2]), photo.cpu().numpy()))
    if not found:
        raise OptionError("optimize_memory() needs at least one view to measure with, got none.")
    return found


def _pictures(model: SVRasterOne, views: list[View]) -> list[np.ndarray]:
    return [
        model.forward(pose, lens, mode="inference", size=size)["rgb"].cpu().numpy()
        for pose, lens, size, _ in views
    ]


def _cost(
    before: list[np.ndarray] | None, after: list[np.ndarray] | None, photos: list[np.ndarray | None]
) -> dict[str, float | None]:
    if before is None or after is None:
        return {"picture_db": 100.0, "psnr_before": None, "psnr_after": None, "psnr_cost": None}
    cost: dict[str, float | None] = {
        "picture_db": float(np.mean([psnr(a, b) for a, b in zip(after, before)]))
    }
    if any(photo is None for photo in photos):
        return cost | {"psnr_before": None, "psnr_after": None, "psnr_cost": None}
    was, now = (float(np.mean([psnr(a, p) for a, p in zip(s, photos)])) for s in (before, after))
    return cost | {"psnr_before": was, "psnr_after": now, "psnr_cost": was - now}
