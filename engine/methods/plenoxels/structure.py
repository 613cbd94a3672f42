# SPDX-License-Identifier: MIT
"""Which cells stay, how the grid becomes finer, and when. A friend of `model.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.cpu.crew import crew
from engine.methods.common import AdaptReport, StructureStats
from engine.methods.plenoxels import schedule
from engine.methods.plenoxels.config import parse_steps
from engine.methods.plenoxels.grid import (
    from_dense,
    keep_mask,
    pruned,
    resampled,
    resampled_density,
    to_dense,
)
from engine.methods.plenoxels.space import Cube
from engine.methods.plenoxels.survey import Survey, steps_needed
from engine.methods.plenoxels.view import level_of
from engine.voxel_grid import Grid

if TYPE_CHECKING:
    from engine.cameras import Camera
    from engine.methods.plenoxels.model import Plenoxels

_QUICK = 2  # a look at once takes so many times fewer pixels a side than one beside training


def due(model: Plenoxels) -> AdaptReport | None:
    """Go on with a survey that the next structure change needs; make the change when its step has come."""
    if model.survey is not None:
        at, finer = model.survey.at, model.survey.finer
    else:
        event = _next_change(model)
        if event is None:
            return None
        at, finer = event
    by_weight = model.active.prune.on and model.active.prune.by == "weight"
    if by_weight:
        lead = steps_needed(_cameras(model), model.active.prune.survey_shrink)
        if model.step < at - lead:
            return None
        if model.survey is None:
            grid = _finer_densities(model) if finer else model.grid
            model.survey = Survey.begin(grid, finer, at, model.active.prune.survey_shrink)
        _look(model, model.survey)
        if not model.survey.is_done(len(model.scene.train)):
            return None
    if model.step < at:
        return None
    survey, model.survey = model.survey, None
    return change(model, survey, finer, "schedule")


def _next_change(model: Plenoxels) -> tuple[int, bool] | None:
    """Return the step of the next structure change, and whether a finer grid begins with it."""
    config = model.active
    n_finer = len(schedule.resolutions(config)) - 1
    coming = [(at, True) for at in parse_steps(config.schedule.upsample_at)[model.finer : n_finer]]
    if config.prune.on:
        coming += [(at, False) for at in parse_steps(config.prune.steps) if at > model.adapted_at]
    coming = [(max(at, model.step), finer) for at, finer in coming]
    return min(coming, default=None)


def _cameras(model: Plenoxels) -> list[Camera | None]:
    views, excluded = model.scene.train.views, model.photos.excluded
    return [None if i in excluded else view.camera for i, view in enumerate(views)]


def _look(model: Plenoxels, survey: Survey) -> None:
    survey.advance(_cameras(model), model.space, model.look_along)


def _finer_densities(model: Plenoxels) -> Grid:
    """Return the next grid's densities alone."""
    model.settle()
    size = model.sizes_at(model.finer + 1)
    return from_dense(model.grid, resampled_density(model.grid, size, crew()))


def look_at_once(model: Plenoxels, finer: bool) -> Survey:
    """Return a survey of all training views, with fewer rays than one beside training."""
    shrink = _QUICK * model.active.prune.survey_shrink
    survey = Survey.begin(_finer_densities(model) if finer else model.grid, finer, model.step, shrink)
    while not survey.is_done(len(model.scene.train)):
        _look(model, survey)
    return survey


def cells_to_keep(model: Plenoxels, survey: Survey | None, finer: bool) -> np.ndarray:
    """Return bool [X,Y,Z] of the grid, or of the next one: which cells there are after a change.

    `survey` is of that very grid; without one, what is thin is dropped, or nothing if pruning is off.
    """
    model.settle()
    options, grid = model.active.prune, model.grid
    size = model.sizes_at(model.finer + 1) if finer else grid.resolution
    if not options.on:
        return _stretched(grid.links >= 0, size)
    if survey is not None:
        score, threshold = to_dense(survey.grid, survey.heaviest), options.weight / size[2]
    else:
        score = resampled_density(grid, size, crew()) if finer else to_dense(grid, grid.density)
        threshold = options.density * schedule.UNIT
    if score.max() < threshold:  # too early: everything would go
        threshold = float(score.max())
    keep = keep_mask(score, threshold, options.max_cells, options.dilations)
    return keep if finer else keep & (grid.links >= 0)


def keep_at_once(model: Plenoxels) -> np.ndarray:
    """Return bool [X,Y,Z]: which cells pruning would keep now."""
    by_weight = model.active.prune.on and model.active.prune.by == "weight"
    return cells_to_keep(model, look_at_once(model, False) if by_weight else None, False)


def _stretched(mask: np.ndarray, size: tuple[int, int, int]) -> np.ndarray:
    """Return a mask [X,Y,Z] at another size, every cell as the nearest one was."""
    for axis, (old, new) in enumerate(zip(mask.shape, size, strict=True)):
        mask = np.take(mask, (np.arange(new) * 2 + 1) * old // (2 * new), axis=axis)
    return mask


def change(model: Plenoxels, survey: Survey | None, finer: bool, reason: str) -> AdaptReport:
    """Drop cells and, if asked, go to the next grid; parameters are carried or interpolated."""
    before, keep = model.grid.n_voxels, cells_to_keep(model, survey, finer)
    model.adapted_at = model.step
    if finer:
        factor = keep.size / model.grid.links.size
        dense = resampled_density(model.grid, keep.shape, crew())
        model.finer += 1
        model.lay_out(resampled(model.grid, dense, keep, crew()), None)
        stayed = min(before, round(model.grid.n_voxels / factor))
        return AdaptReport(model.step, before, before - stayed, stayed, model.grid.n_voxels, reason)
    model.lay_out(*pruned(model.grid, keep))
    after = model.grid.n_voxels
    return AdaptReport(model.step, before, before - after, 0, after, reason)


def preview(model: Plenoxels) -> AdaptReport:
    """Say what dropping cells, then a finer grid, would do."""
    before, after = model.grid.n_voxels, int(np.count_nonzero(keep_at_once(model)))
    finer = np.prod(model.sizes_at(model.finer + 1)) / model.grid.links.size
    return AdaptReport(model.step, before, before - after, after, round(after * finer), "preview")


def change_now(model: Plenoxels, finer: bool, reason: str) -> AdaptReport:
    """Change the structure at once; a survey that was under way is of no more use."""
    model.survey = survey = None
    if model.active.prune.on and model.active.prune.by == "weight":
        survey = look_at_once(model, finer)
    return change(model, survey, finer, reason)


def count_cells(grid: Grid, more_bytes: int, budget: int) -> StructureStats:
    """Return the counts of a grid, all cells at one level, and the memory of its arrays and those of its optimiser."""
    per_level = [0] * 17
    per_level[level_of(grid)] = grid.n_voxels
    held = grid.nbytes() + more_bytes
    share = grid.n_voxels / grid.links.size
    return StructureStats(grid.n_voxels, grid.n_voxels, tuple(per_level), held, budget, share)


def cell_boxes(grid: Grid, space: Cube, levels: tuple[int, ...], limit: int) -> np.ndarray:
    """Return up to `limit` cells as [n,4] float32: centre x y z in the world and edge, none unless `levels` has theirs."""
    places = (
        np.flatnonzero(grid.links.reshape(-1) >= 0) if level_of(grid) in levels else np.zeros(0, np.int64)
    )
    return boxes_at(grid, space, places, limit)


def boxes_at(grid: Grid, space: Cube, places: np.ndarray, limit: int) -> np.ndarray:
    """Return up to `limit` of the cells at flat indices `places` as `cell_boxes` does."""
    if len(places) > limit:
        places = places[np.linspace(0, len(places) - 1, limit).astype(np.int64)]
    ijk = np.stack(np.unravel_index(places, grid.resolution), axis=1).astype(np.float64)
    center = space.world(grid.world_from_grid(ijk))
    beside = space.world(grid.world_from_grid(ijk + np.array([1.0, 0.0, 0.0])))
    boxes = np.concatenate([center, np.linalg.norm(beside - center, axis=1, keepdims=True)], axis=1)
    return boxes[np.isfinite(boxes).all(axis=1)].astype(np.float32)
