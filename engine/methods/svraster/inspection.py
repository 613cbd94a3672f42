# SPDX-License-Identifier: MIT
"""SVRaster's structure for people: previews, picking, region by region changes. A friend of `model.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.cameras import Camera
from engine.constants import MAX_LEVEL
from engine.errors import UserError
from engine.methods.common import AdaptReport, Histogram, PickedVoxel
from engine.methods.inspection import Inspection
from engine.methods.svraster.adapt import keep_mask, prune_threshold
from engine.methods.svraster.pick import pick
from engine.methods.svraster.train_region import TrainRegion
from engine.methods.svraster.voxel_values import histograms_of
from engine.octree import Octree
from engine.region import Region, Shown

if TYPE_CHECKING:
    from engine.methods.svraster.model import SVRaster


class SVRasterInspection(Inspection):
    """What can be done with the voxels."""

    method: SVRaster

    @property
    def cannot(self) -> dict[str, str]:
        """What this model cannot do, each with a sentence that says why."""
        if self.method.card:
            return {
                "train_region": "A graphics card trains the whole scene; start with --device cpu to train a region alone."
            }
        return {}

    @property
    def train_region(self) -> Region | None:  # type: ignore[override]
        """What alone is trained, None: everything."""
        return None if self.method.region is None else self.method.region.region

    def preview(self, limit: int, region: Region | None) -> tuple[AdaptReport, np.ndarray, np.ndarray]:
        """Say what pruning and splitting would do, changing nothing."""
        model, octree = self.method, self.method.octree
        with model._statistics_here():
            keep, split = model._keep_now(), model._split_now()
        if region is not None:
            inside = region.contains(octree.center)
            keep, split = keep | ~inside, split & inside
        split &= keep
        before, pruned, splits = len(octree), int(np.count_nonzero(~keep)), int(np.count_nonzero(split))
        report = AdaptReport(model.step, before, pruned, splits, before - pruned + 7 * splits, "preview")
        return (
            report,
            boxes_of(octree, np.flatnonzero(~keep), limit),
            boxes_of(octree, np.flatnonzero(split), limit),
        )

    def pick(self, camera: Camera, x: float, y: float, shown: Shown) -> PickedVoxel | None:
        """Return the voxel that weighs most in a pixel."""
        return pick(self.method, camera, x, y, shown)

    def details(self, levels: tuple[int, ...]) -> tuple[Histogram, ...]:
        """Return how density, age, weight and priority are distributed."""
        return histograms_of(self.method, levels)

    def set_train_region(self, region: Region | None) -> None:
        """Train only what is in a region from now on, None: everything."""
        self.need("train_region")
        model = self.method
        if region is None:
            model.train_in(None)
            return
        if model.team is not None:
            raise UserError(
                "Several processes train the whole scene; train in one process to train a region alone."
            )
        check_objective(model.active.objective.kind)
        chosen = TrainRegion(region, [view.camera for view in model.scene.train.views])
        if not chosen.views - model.excluded:
            raise UserError(
                "No training view looks at the region, so nothing could be learned; move or enlarge it."
            )
        if len(chosen.frozen(model.octree)) == len(model.octree):
            raise UserError("There are no voxels in the region to train; move or enlarge it.")
        model.train_in(chosen)

    def delete(self, region: Region, outside: bool) -> AdaptReport:
        """Delete the voxels in a region, or all outside it."""
        inside = region.contains(self.method.octree.center)
        keep = inside if outside else ~inside
        if not keep.any():
            where = (
                "There are no voxels in the region, so nothing would be left"
                if outside
                else "The region holds every voxel"
            )
            raise UserError(f"{where}; move the region, or reset the model to start again.")
        return self._keep(keep, "delete outside" if outside else "delete in region")

    def prune(self, region: Region) -> AdaptReport:
        """Drop the voxels in a region that are below the pruning threshold."""
        model = self.method
        with model._statistics_here():
            threshold = prune_threshold(model.active.adapt, model.step)
            keep = keep_mask(model._weights_seen(), threshold) | ~region.contains(model.octree.center)
        return self._keep(keep, "prune in region")

    def _keep(self, keep: np.ndarray, reason: str) -> AdaptReport:
        model, before, after = self.method, len(keep), int(np.count_nonzero(keep))
        if after < before:
            with model._statistics_here():
                model.move_to(*model.octree.keep(keep))
        return AdaptReport(model.step, before, before - after, 0, after, reason)

    def subdivide(self, region: Region) -> AdaptReport:
        """Split every voxel in a region once."""
        model, octree = self.method, self.method.octree
        mask = region.contains(octree.center) & (octree.level < MAX_LEVEL)
        split, before, budget = int(np.count_nonzero(mask)), len(octree), model.active.adapt.max_voxels
        if not split:
            raise UserError("There is no voxel in the region that can be split; move or enlarge it.")
        if before + 7 * split > budget:
            raise UserError(
                f"Splitting the {split:,} voxels in the region would make {before + 7 * split:,}, but the budget is {budget:,}; "
                "make the region smaller or raise the largest number of voxels (adapt.max_voxels)."
            )
        with model._statistics_here():
            model.move_to(*octree.subdivide(mask))
        return AdaptReport(model.step, before, 0, split, len(model.octree), "subdivide region")


def boxes_of(octree: Octree, voxels: np.ndarray, limit: int) -> np.ndarray:
    """Return up to `limit` of some voxels as [n,4] float32: centre x y z and edge."""
    if len(voxels) > limit:
        voxels = voxels[np.linspace(0, len(voxels) - 1, limit).astype(np.int64)]
    return np.concatenate([octree.center[voxels], octree.size[voxels, None]], axis=1).astype(np.float32)


def check_objective(kind: str) -> None:
    """Raise UserError if a region cannot be trained alone by a kind of steps."""
    if kind in ("rays", "soft"):
        raise UserError(
            f"A region alone cannot be trained with objective.kind={kind}; set it to raster, or train everything."
        )
