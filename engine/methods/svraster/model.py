# SPDX-License-Identifier: MIT
"""SVRaster on the CPU: the voxels, how their structure changes, one training step.

Beside this file: `objectives` other kinds of steps than `train_step`'s own, `schedule` what the options ask for at a step,
`objective` what is minimised, `view` how the voxels are looked at, `state` what a checkpoint holds, `team` how several processes
train one model, `warm_up` a use of every kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engine.cameras import Camera
from engine.cpu.crew import crew
from engine.cpu.lists import VoxelTable, Workspace
from engine.cpu.shade import carry_groups, grouped, sh_groups
from engine.cpu.shared_step import shared_step
from engine.cpu.tile_loss import SUM_BACKGROUND, SUM_SQUARED
from engine.cpu.train_view import FieldArrays, render_lists, shaded_lists, tile_squares, train_on_view
from engine.cpu.update import bias_corrections, owners_of_points
from engine.datasets.scene import Scene
from engine.errors import OptionError, UserError
from engine.methods.common import VALUE_MODES, AdaptReport, Buffers, Frozen, StepReport, StructureStats
from engine.methods.compiling import warm_up
from engine.methods.svraster import compact, objectives, schedule, state, view
from engine.methods.svraster.adapt import keep_mask, prune_threshold, split_mask
from engine.methods.svraster.background import Background
from engine.methods.svraster.config import SVRasterConfig, in_scene
from engine.methods.svraster.error_map import ErrorMap
from engine.methods.svraster.exposure import Exposure
from engine.methods.svraster.inspection import SVRasterInspection, check_objective
from engine.methods.svraster.objective import PHOTOMETRIC, loss_weights, named_losses, psnr_of
from engine.methods.svraster.picture_terms import PictureTerms, Similar, picture_terms
from engine.methods.svraster.poses import Poses
from engine.methods.svraster.sparse_points import PointDepths, put_points, refined_around
from engine.methods.svraster.targets import Targets, camera_of_target
from engine.methods.svraster.team import Team
from engine.methods.svraster.train_region import TrainRegion
from engine.methods.svraster.vitals import memory_of, vitals_of
from engine.methods.svraster.voxel_values import born_after, values_of
from engine.octree import Octree
from engine.options import describe, updated
from engine.parallel import Ranks, Solo
from engine.region import EVERYTHING, Shown


@dataclass(frozen=True, eq=False)
class Look:
    """A training view as the voxels show it now, and what is learned from it: what `_descend` takes, and its pixels."""

    view: int
    shrink: int
    shaded: Any
    terms: PictureTerms
    keep: np.ndarray | None
    weights: np.ndarray
    rays: int
    degree: int
    adam: np.ndarray
    pixels: int


_CORRECTIONS = (
    2048  # bias corrections are tabulated up to this many updates of a row; beyond they are 1 to float32
)


class SVRaster:
    """Sparse voxels in training on one scene. See `engine.methods.common.Method` for the contract."""

    name = "svraster"
    card = ""
    Config = SVRasterConfig

    def __init__(self, scene: Scene, config: SVRasterConfig, seed: int = 0) -> None:
        self.scene = scene
        self.seed = seed
        self.step = 0
        self.rng = np.random.default_rng(seed)
        self.queue: list[int] = []  # training views still to come in this round
        self.excluded: frozenset[int] = frozenset()  # training views that are passed over
        self.window_views = 0  # `field.heaviest` holds the heaviest weights in this many views
        self.team: Team | None = None  # who trains with us, each step on a view of each
        self.region: TrainRegion | None = None  # only what is in it is trained
        self._hidden: tuple[Octree, Shown, Any] | None = (
            None  # the table of the last view that did not show everything
        )
        self.backdrop = Background(scene.background)
        self.exposure = Exposure(len(scene.train))
        self.poses = Poses([view.camera for view in scene.train.views])
        self._targets = Targets(scene.train)
        sizes = [(view.camera.width, view.camera.height) for view in scene.train.views]
        self.errors = ErrorMap(sizes, lambda view: self._targets.mask(view, 1))
        self._depths = PointDepths(scene)
        self._room = Workspace()
        self._view_room = Workspace()
        self._ray_room: Any = None  # what steps on rays use again, made by the first of them
        self.use(config)
        octree = Octree.dense(config.model.initial_level, scene.outside_levels)
        if self._seeded:
            octree = refined_around(octree, scene.points.xyz, config.model.point_levels)
        self._start_with(octree)

    def use(self, config: SVRasterConfig) -> None:
        """Take over a configuration; `active` are the options that hold in this scene. Tabulate what follows."""
        self.config = config
        pixels = sum(v.camera.width * v.camera.height for v in self.scene.train.views)
        self.active = in_scene(config, self.scene.outside_levels, pixels)
        betas = config.rates.beta1, config.rates.beta2
        self._corrections = tuple(bias_corrections(beta, _CORRECTIONS) for beta in betas)

    # --- structure ------------------------------------------------------------------------------------------------

    def _start_with(self, octree: Octree) -> None:
        n, g = len(octree.path), len(octree.point_ijk)
        shape = sh_groups(n, self.active.model.sh_degree)

        def zeros(*shape: int, kind: type = np.float32) -> np.ndarray:
            return np.zeros(shape, dtype=kind)

        density = np.full(g, self.config.model.initial_density, dtype=np.float32)
        self.field = FieldArrays(
            density, zeros(g), zeros(g), zeros(g, kind=np.uint16),
            zeros(*shape), zeros(*shape), zeros(*shape), zeros(n, kind=np.uint16),
            zeros(n), zeros(n), np.full(n, np.inf, dtype=np.float32),
        )  # fmt: skip
        if self._seeded:
            put_points(octree, self.scene.points, density, self.field.sh)
        self.heaviest_before = zeros(n)
        self.born = np.full(n, self.step, dtype=np.int32)  # the step at which each voxel was made
        self.lay_out(octree)

    def show(self, octree: Octree, density: np.ndarray, sh: np.ndarray) -> None:
        """Go on with voxels made elsewhere: raw densities [G] at the points, coefficients [V,K,3] of the model's degree."""
        self._start_with(octree)
        self.field = replace(self.field, density=density.astype(np.float32), sh=grouped(sh))

    @property
    def _seeded(self) -> bool:
        return (
            self.config.model.point_levels > 0
            and self.scene.points is not None
            and len(self.scene.points) > 0
        )

    def lay_out(self, octree: Octree) -> None:
        """Lay out a structure whose parameters are already in place."""
        n = len(octree.path)
        self.octree = octree
        self.table = VoxelTable.of(octree)
        self._owners = owners_of_points(octree.corner_idx, len(octree.point_ijk))
        self._scratch = (np.zeros((n, 8), dtype=np.float32), np.zeros(n, dtype=np.uint8))
        self._per_level = np.bincount(octree.level, minlength=17)

    def move_to(self, octree: Octree, carry: Any) -> None:
        """Move to another structure, every parameter and optimiser row with it.

        A child covers a quarter of its parent's pixels and half the length, so its gradients are that much smaller;
        Adam's moments are scaled alike, else a fresh child would crawl until they had been forgotten.
        """
        f = self.field
        shrink = octree.size / self.octree.size[carry.voxel_from]
        point_shrink = np.ones(octree.n_points, dtype=np.float32)
        point_shrink[octree.corner_idx[shrink < 1.0].reshape(-1)] = 0.5
        area, volume = shrink**2, point_shrink**3
        self.field = FieldArrays(
            density=carry.carry_points(f.density),
            density_m=carry.carry_points(f.density_m) * volume,
            density_v=carry.carry_points(f.density_v) * volume**2,
            density_age=np.ascontiguousarray(f.density_age[carry.point_from[:, 0]]),
            sh=carry_groups(f.sh, carry.voxel_from, np.ones_like(area), crew()),
            sh_m=carry_groups(f.sh_m, carry.voxel_from, area, crew()),
            sh_v=carry_groups(f.sh_v, carry.voxel_from, area**2, crew()),
            sh_age=carry.carry_voxels(f.sh_age),
            priority=carry.carry_voxels(f.priority),
            heaviest=carry.carry_voxels(f.heaviest),
            footprint=carry.carry_voxels(f.footprint),
        )
        self.heaviest_before = carry.carry_voxels(self.heaviest_before)
        self.born = born_after(self.born, shrink, carry.voxel_from, self.step)
        self.lay_out(octree)

    def _weights_seen(self) -> np.ndarray:
        return np.maximum(self.field.heaviest, self.heaviest_before)

    def _statistics_here(self) -> AbstractContextManager[None]:
        """Hold the field's statistics as numpy arrays while a structure change looks at them and moves them."""
        return nullcontext()

    def here(self, name: str, index: Any = slice(None)) -> np.ndarray:
        """Return an array of the field, or a part of it, wherever it lies."""
        return getattr(self.field, name)[index]

    def _split_now(self) -> np.ndarray:
        return split_mask(
            self.octree,
            self.field.priority,
            self.field.footprint,
            self.active.adapt,
            self.scene.outside_levels,
        )

    def _keep_now(self, heaviest: np.ndarray | None = None) -> np.ndarray:
        heaviest = self._weights_seen() if heaviest is None else heaviest
        keep = keep_mask(heaviest, prune_threshold(self.active.adapt, self.step))
        return keep if self.region is None else keep | self.region.outside(self.octree)

    def prune_now(self) -> AdaptReport:
        """Drop the voxels below the pruning threshold."""
        return self._prune(self._weights_seen(), "prune now")

    def _prune(self, heaviest: np.ndarray, reason: str) -> AdaptReport:
        before = len(self.octree.path)
        keep = self._keep_now(heaviest)
        if not keep.all():
            self.move_to(*self.octree.keep(keep))
        after = len(self.octree.path)
        return AdaptReport(self.step, before, before - after, 0, after, reason)

    def subdivide_now(self) -> AdaptReport:
        """Split the voxels of highest priority."""
        return self._subdivide("subdivide now")

    def _subdivide(self, reason: str) -> AdaptReport:
        before = len(self.octree.path)
        mask = self._split_now()
        split = int(mask.sum())
        if split:
            self.move_to(*self.octree.subdivide(mask))
        self.field.priority[:] = 0.0
        return AdaptReport(self.step, before, 0, split, len(self.octree.path), reason)

    def preview_adapt(self) -> AdaptReport:
        """Say what `prune_now` and `subdivide_now` would do with the present options, changing nothing."""
        return self.inspection.preview(0, None)[0]

    def _adapt(self) -> AdaptReport:
        """Prune once every view has been seen since the last pruning, then split."""
        objectives.before_adapting(self)
        before, dropped = len(self.octree.path), 0
        seen_all = self.window_views >= len(self.scene.train)
        if seen_all:
            dropped = self._prune(self.field.heaviest, "schedule").pruned
        split = self._subdivide("schedule")
        if seen_all:
            self.window_views = 0
            seen = self.field.heaviest.copy()
            if self.region is not None:  # what is frozen was not looked at
                frozen = self.region.frozen(self.octree)
                seen[frozen] = np.maximum(seen[frozen], self.heaviest_before[frozen])
            self.heaviest_before = seen
            self.field.heaviest[:] = 0.0
        return AdaptReport(self.step, before, dropped, split.split, split.after, "schedule")

    # --- training -------------------------------------------------------------------------------------------------

    @property
    def background(self) -> np.ndarray:
        """The colour [3] behind everything: the scene's, or what was learned."""
        return self.backdrop.rgb

    @property
    def supersample(self) -> int:
        """Rays per pixel side at the present step; evaluation uses as many as training."""
        return schedule.rays_per_pixel_side(self.config, self.step)

    def exclude(self, views: frozenset[int]) -> None:
        """Pass these training views over from now on, and no others."""
        if self.region is not None and not self.region.views - views:
            raise UserError(
                "No other view looks at the region that alone is trained; keep one of them, or train everything first."
            )
        self.excluded = frozenset(views)

    def join(self, ranks: Ranks | Solo) -> None:
        """Train together with the same model in other processes from now on: a step takes a view of each."""
        self.team = Team(ranks)

    def _next_view(self) -> int:
        while True:
            if not self.queue:
                self.queue = [int(i) for i in self.rng.permutation(len(self.scene.train))]
            view = self.queue.pop()
            if view not in self.excluded and (self.region is None or view in self.region.views):
                return view

    def train_in(self, region: TrainRegion | None) -> None:
        """Train only what is in a region from now on. Statistics begin anew: what they say so far is of other voxels."""
        self.region = region
        self.heaviest_before = self._weights_seen().copy()
        self.field.heaviest[:] = 0.0
        self.field.priority[:] = 0.0  # so that nothing frozen is split
        self.window_views = 0
        self.exposure.held = region is not None

    def moved_cameras(self) -> tuple[Camera, ...] | None:
        """Return the training views' cameras where refinement has left them; None while it has moved none."""
        if not self.poses.moved:
            return None
        views = self.scene.train.views
        return tuple(self.poses.camera(index, view.camera) for index, view in enumerate(views))

    def camera_of(self, view: int, photo: np.ndarray, shrink: int, rays: int) -> Camera:
        """Return a training view's camera, where it is by now, for a photo made `shrink` times smaller, [h,w,3]."""
        return self.poses.camera(
            view, camera_of_target(self.scene.train.views[view].camera, photo, shrink, rays)
        )

    def train_step(self) -> StepReport:
        """Take one step, structure changes included when they are due."""
        options = self.active.adapt
        adapted, step = None, objectives.step_of(self)
        if 0 < self.step <= options.until_step and self.step % options.every_steps == 0:
            adapted = self._adapt()
        if step is not None:
            return replace(step(self), adapted=adapted)
        config, team = self.active, self.team
        index = self._next_view() if team is None else team.draw(self)
        look = self._look_at(index)
        self.step += 1
        sums = self._descend_from(look)
        if team is not None:
            sums = team.take(self, sums, look.pixels)
        self.window_views += 1 if team is None else team.ranks.size
        if self.backdrop.learned and self.region is None:
            self._update_background(sums[SUM_BACKGROUND : SUM_BACKGROUND + 3].astype(np.float32))
        losses = named_losses(config.losses, sums, float(look.terms.ssim_loss), look.terms.depth_loss)
        psnr = psnr_of(sums[SUM_SQUARED] / (3 * look.pixels))
        return StepReport(self.step, index, losses, psnr, adapted, () if team is None else team.others)

    def _look_at(self, index: int) -> Look:
        """Return what a training view shows and what is to be learned from it at this step."""
        config = self.active
        shrink, rays = schedule.photo_shrink(config, self.step), self.supersample
        target, keep = self._targets.get(index, shrink), self._targets.mask(index, shrink)
        whole = self.scene.train.views[index].camera
        camera = self.camera_of(index, target, shrink, rays)
        if self.region is not None:
            camera, target, keep = self.region.part(index, camera, target, keep, rays)
        degree = schedule.sh_degree(config, self.step)
        adam = schedule.adam_values(config, self.step, whole.width * whole.height)
        shaded = self._shaded(camera, degree)
        terms = picture_terms(
            config, self.step, index, target, keep, camera, self.background, self.exposure, self._depths,
            lambda want: self._picture(shaded, want), self._similar(shaded),
        )  # fmt: skip
        pixels = target.shape[0] * target.shape[1] if keep is None else max(1, np.count_nonzero(keep))
        weights = loss_weights(config.losses, self.step, pixels, rays)
        return Look(index, shrink, shaded, terms, keep, weights, rays, degree, adam, pixels)

    def _descend_from(self, look: Look, gather: bool = False) -> Any:
        """Take an Adam step on a view and return the loss sums [N_SUMS]; in a team, or to `gather`, the step not yet taken."""
        found = self._descend(
            look.shaded, look.terms, look.keep, look.weights, look.rays, look.degree, look.adam, gather
        )
        alone = self.team is None or self.team.ranks.size == 1
        # ranks hold the same bits, and each saw another view; of a region, a step sees no whole picture
        if alone and self.region is None:
            self._learn_errors(look)
        return found

    def _shaded(self, camera: Camera, degree: int) -> Any:
        """Return what `_picture` and `_descend` need of a view: here tile lists and colours."""
        return shaded_lists(self.table, self.field.sh, degree, camera, crew(), self._room, keep_slots=True)

    def _picture(self, shaded: Any, want: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the view as image [H,W,4] and planes [n,H,W]."""
        lists, rgb = shaded
        samples = self.active.model.samples_per_voxel
        return render_lists(lists, self.table, self.field.density, rgb, crew(), self._room, samples, want)

    def _similar(self, shaded: Any) -> Similar | None:
        """Return what compares the view with its photo where it is drawn, None where its picture lies here."""
        return None

    def _descend(
        self,
        shaded: Any,
        terms: PictureTerms,
        keep: np.ndarray | None,
        weights: np.ndarray,
        rays: int,
        degree: int,
        adam: np.ndarray,
        gather: bool = False,
    ) -> Any:
        """Do what `_descend_from` says."""
        lists, rgb = shaded
        config, owners = self.active, self._owners
        if self.region is not None:
            owners = self.region.freeze(lists, self.octree, owners)
        descend = train_on_view if self.team is None and not gather else shared_step
        return descend(
            self.table, self.field, owners, self._scratch, lists, rgb, crew(), self._room,
            mode=PHOTOMETRIC[config.losses.photometric], shrink=rays, target=terms.target, keep=keep, background=self.background,
            weights=weights, v_rgb=terms.v_rgb, v_trans=terms.v_trans, v_depth=terms.v_depth,
            samples=config.model.samples_per_voxel, degree=degree, adam=adam, corrections=self._corrections,
        )  # fmt: skip

    def _learn_errors(self, look: Look) -> None:
        """Tell the error map what the step just taken found in a view; nothing where its picture lies elsewhere."""
        squares = tile_squares(look.shaded[0], self._room)
        self.errors.learn_picture(look.view, squares, look.keep, look.rays, look.shrink)

    def _update_background(self, gradient: np.ndarray) -> None:
        n = min(self.step, _CORRECTIONS - 1)
        corrections = self._corrections[0][n], self._corrections[1][n]
        self.backdrop.update(gradient, self.active.rates, self.step, corrections)

    def warm_up(self, progress: Callable[[str, int, int], None] | None = None) -> None:
        """Compile (or load from the disk cache) every kernel that training and viewing use."""
        warm_up(self, progress)

    # --- looking --------------------------------------------------------------------------------------------------

    def render(
        self,
        camera: Camera,
        want: frozenset[str] = frozenset(),
        *,
        supersample: float | None = None,
        background: tuple[float, float, float] | None = None,
        shown: Shown = EVERYTHING,
    ) -> Buffers:
        """Render a view; see `engine.methods.common.Method.render`."""
        table = self._table_of(shown)
        voxels = view.Voxels(
            self.octree,
            table,
            self.field,
            self.config.model.samples_per_voxel,
            schedule.sh_degree(self.active, self.step),
        )
        rays = self.supersample if supersample is None else supersample
        tail = self.background if background is None else np.asarray(background, dtype=np.float32)
        value = self._wanted_value(want)
        buffers = view.render_view(voxels, camera, want, rays, tail, self._view_room, value)
        if "soft" in want:
            soft = objectives.soft_picture(self, camera, rays, tail, self._view_room, table)
            buffers = replace(buffers, soft=soft)
        return buffers

    def _table_of(self, shown: Shown) -> Any:
        """Return the table of the voxels that a view shows, made once per structure and choice."""
        if shown.everything:
            return self.table
        held = self._hidden
        if held is None or held[0] is not self.octree or held[1] != shown:
            hidden = ~shown.mask(self.octree.center, self.octree.level)
            held = self._hidden = self.octree, shown, self.table.hiding(hidden)
        return held[2]

    def _wanted_value(self, want: frozenset[str]) -> np.ndarray | None:
        """Return the number [V] of VALUE_MODES that a view wants, if it wants one and it is known."""
        named = next((name for name in VALUE_MODES if name in want), None)
        return None if named is None else values_of(self, named)

    @property
    def inspection(self) -> SVRasterInspection:
        """What can be done with the voxels beyond training them."""
        return SVRasterInspection(self)

    def frozen(self) -> Frozen:
        """Return a copy that only renders."""
        return compact.frozen(self)

    def structure(self) -> StructureStats:
        """Count voxels."""
        outside, budget = self.scene.outside_levels, self.active.adapt.max_voxels
        return view.count_voxels(self.octree, self.field, self._per_level, outside, budget)

    def vitals(self) -> dict[str, float]:
        """Return a few numbers that tell how training goes; see `vitals.vitals_of`."""
        return vitals_of(self)

    def memory(self) -> dict[str, int]:
        """Return the bytes that each part of the model holds."""
        return memory_of(self)

    def prune_to(self, count: int) -> AdaptReport:
        """Keep only the `count` voxels of the heaviest weights, and give back what memory the others took."""
        return compact.prune_to(self, count)

    def rest(self) -> None:
        """Drop what only training needs, until `load_state` brings it back; looking goes on."""
        compact.rest(self)

    def boxes(self, levels: tuple[int, ...], limit: int) -> np.ndarray:
        """Return up to `limit` leaves of the given levels as [n,4] float32: centre x y z and edge, for wireframes."""
        return view.leaf_boxes(self.octree, levels, limit)

    # --- options and state ----------------------------------------------------------------------------------------

    def set_options(self, values: dict[str, Any]) -> None:
        """Change live options by dotted name; others raise OptionError."""
        live = {info.name for info in describe(self.config) if info.live}
        known = {info.name for info in describe(self.config)}
        for name in values:
            if name in known and name not in live:
                raise OptionError(f"Option {name} cannot change while a model exists; set it and reset.")
        changed = updated(self.config, values)
        if self.region is not None:
            check_objective(changed.objective.kind)
        self.use(changed)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return (tensors, JSON-able header) from which `load_state` continues exactly."""
        return state.state_of(self)

    def load_state(self, tensors: dict[str, np.ndarray], header: dict[str, Any]) -> None:
        """Take over a state written by `state`, by this or another process."""
        state.load_into(self, tensors, header)
