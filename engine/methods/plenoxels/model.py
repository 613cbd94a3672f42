# SPDX-License-Identifier: MIT
"""Plenoxels on the CPU: the grid, how it becomes finer and sparser, one training step.

Beside this file: `schedule` what the options ask for at a step, `photos` batches of rays, `optimiser` steps along
gradients, `structure` finer grids and pruning, `space` where the grid lies, `march_view` pictures, `state` checkpoints.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from engine.cameras import Camera
from engine.cpu.crew import crew
from engine.cpu.grid_update import add_total_variation
from engine.cpu.lists import Workspace
from engine.cpu.march import Complete, march_gradients
from engine.cpu.march_weights import raise_heaviest
from engine.datasets.scene import Scene
from engine.errors import OptionError
from engine.methods.common import AdaptReport, Buffers, Frozen, StepReport, StructureStats
from engine.methods.compiling import warm_up
from engine.methods.plenoxels import schedule, state, structure
from engine.methods.plenoxels.background import Spheres
from engine.methods.plenoxels.config import PlenoxelsConfig, in_scene
from engine.methods.plenoxels.grid import dense_grid, sphere_mask
from engine.methods.plenoxels.inspection import PlenoxelsInspection, places_of
from engine.methods.plenoxels.march_view import march_view
from engine.methods.plenoxels.optimiser import Optimiser
from engine.methods.plenoxels.photos import Batch, Photos
from engine.methods.plenoxels.space import space_of
from engine.methods.plenoxels.survey import Survey
from engine.methods.plenoxels.view import Cells, CellViewer, fits
from engine.options import describe, updated
from engine.region import EVERYTHING, Region, Shown
from engine.voxel_grid import Grid, LossTerms, MarchOptions

_BRIGHTNESS = {"white": 1.0, "grey": 0.5, "black": 0.0, "learned": 0.5}
_DRAWS = 8  # tries to find rays that pass a region
_THROUGH = 1.0 / 1024.0  # where less light than this comes through the grid, a picture does not show it


class Plenoxels:
    """A sparse grid in training on one scene. See `engine.methods.common.Method` for the contract."""

    name = "plenoxels"
    card = ""
    refine = "Upsample"  # what a person is told of `subdivide_now`
    Config = PlenoxelsConfig

    def __init__(self, scene: Scene, config: PlenoxelsConfig, seed: int = 0) -> None:
        self.scene = scene
        self.seed = seed
        self.step = 0
        self.rng = np.random.default_rng(seed)
        self.photos = Photos(scene.train, self.rng.permutation(len(scene.train)))
        self.finer = 0  # how many of the finer grids have begun
        self.adapted_at = -1  # step of the last structure change
        self.survey: Survey | None = None  # under way
        self.region: Region | None = None  # only what stands in it is trained
        self._frozen: tuple[np.ndarray, Region, np.ndarray] | None = (
            None  # links, region, the rows outside it
        )
        self._room, self._survey_room = Workspace(), Workspace()
        self._view_room = Workspace()
        self._viewer = CellViewer()
        self.space = space_of(scene, config.model.ndc)
        self.use(config)
        model, sizes = self.active.model, schedule.resolutions(self.active)
        self.grid = dense_grid(
            sizes[0], model.sh_degree, model.initial_density * schedule.UNIT, self.space.center, self.space.radius,
            sphere_mask(sizes[0]) if model.sphere else None,
        )  # fmt: skip
        self.optimiser = Optimiser(self.grid, config.rates.optimiser)
        if self.active.spheres.inside_from > 0 and self.has_surroundings:
            self.grid.density[:] = 0.0  # which no ray changes, until `train_step` fills it
        self.spheres = self.fresh_spheres()

    @property
    def has_surroundings(self) -> bool:
        """Whether spheres around the box show what is far away."""
        surrounded = self.scene.outside_levels > 0 and not self.space.forward_facing
        return surrounded and self.active.model.surroundings

    def fresh_spheres(self) -> Spheres | None:
        """Return spheres that have learned nothing yet, None where there are none."""
        if not self.has_surroundings:
            return None
        half = float(self.space.radius[0])
        return Spheres(self.active.spheres, self.active.rates.optimiser, self.space.center, half)

    def use(self, config: PlenoxelsConfig) -> None:
        """Take over a configuration; `active` are the options that hold in this scene."""
        self.config = config
        self.active = in_scene(config, self.space.forward_facing)

    # --- structure ------------------------------------------------------------------------------------------------

    def lay_out(self, grid: Grid, rows: np.ndarray | None) -> None:
        """Go on with another grid: `rows` of this one, or fresh ones that no optimiser knows yet."""
        self.grid = grid
        if rows is None:
            self.optimiser = Optimiser(grid, self.config.rates.optimiser)
        else:
            self.optimiser.take_rows(grid, rows)

    def sizes_at(self, finer: int) -> tuple[int, int, int]:
        """Return the size of the grid after so many refinements; beyond the schedule each doubles the one before."""
        sizes = schedule.resolutions(self.active)
        x, y, z = sizes[min(finer, len(sizes) - 1)]
        factor = 1 << max(0, finer - len(sizes) + 1)
        return x * factor, y * factor, z * factor

    def prune_now(self) -> AdaptReport:
        """Drop the cells that no training view sees, or the thin ones: whatever prune.by says."""
        return structure.change_now(self, False, "prune now")

    def subdivide_now(self) -> AdaptReport:
        """Go to the next finer grid, dropping cells on the way."""
        return structure.change_now(self, True, "subdivide now")

    def preview_adapt(self) -> AdaptReport:
        """Say what `prune_now` and `subdivide_now` would do with the present options, changing nothing."""
        return structure.preview(self)

    # --- training -------------------------------------------------------------------------------------------------

    @property
    def background(self) -> float:
        """The brightness behind everything."""
        kind = self.active.model.background
        return _BRIGHTNESS[self.scene.background if kind == "scene" else kind]

    def march_options(self) -> MarchOptions:
        """Return how rays are marched; lengths in engine units, or the device coordinates' halves."""
        model = self.active.model
        return MarchOptions(
            model.step_size, model.density_cut * schedule.UNIT, model.stop_trans, model.near / schedule.UNIT
        )

    def survey_options(self) -> MarchOptions:
        """Return how rays are marched to find out how heavily cells weigh."""
        return replace(self.march_options(), stop_thresh=self.active.prune.survey_stop)

    def exclude(self, views: frozenset[int]) -> None:
        """Pass these training views over from now on, and no others."""
        self.photos.excluded = frozenset(views)

    def settle(self) -> None:
        """See to it that `grid`, `optimiser` and `survey` hold what training has come to, wherever it runs."""

    def look_along(self, grid: Grid, rays_o: np.ndarray, rays_d: np.ndarray, heaviest: np.ndarray) -> None:
        """Raise `heaviest` [N] to what rays [Q,3] of the grid's space give each of its rows."""
        raise_heaviest(grid, rays_o, rays_d, self.survey_options(), heaviest, crew(), self._survey_room)

    def train_step(self) -> StepReport:
        """Take one step, structure changes included when they are due."""
        adapted = structure.due(self)
        losses = self.active.losses
        batch = self._draw()
        rays_o, rays_d = self.space.rays(batch.rays_o, batch.rays_d)
        terms = LossTerms(
            self.background, losses.beta, losses.sparsity, losses.l1 / schedule.UNIT / len(rays_o)
        )
        if self.spheres is None:
            mse = self._descend(rays_o, rays_d, batch.target, terms)
        else:
            mse = self._descend_with_spheres(rays_o, rays_d, batch.target, terms)
        self.step += 1
        psnr = float(-10.0 * np.log10(max(mse, 1e-12)))
        return StepReport(self.step, batch.view, (("mse", mse),), psnr, adapted)

    def _draw(self) -> Batch:
        """Return the rays of a step; of those drawn for a region alone, the ones that pass it."""
        wanted = self.active.schedule
        for _ in range(_DRAWS):
            batch = self.photos.draw(self.rng, self.step, wanted.rays, wanted.tile, crew())
            if self.region is None:
                break
            hit = self.region.hit_by(batch.rays_o, batch.rays_d)
            if hit.any():
                return replace(
                    batch, rays_o=batch.rays_o[hit], rays_d=batch.rays_d[hit], target=batch.target[hit]
                )
        return batch  # where no ray passes the region, nothing in it hears of this step

    def _rest_outside(self) -> None:
        """Forget the gradients of what stands outside the region that alone is trained."""
        if self.region is None:
            return
        if self._frozen is None or self._frozen[0] is not self.grid.links or self._frozen[1] != self.region:
            outside = ~self.region.contains(places_of(self.grid)).reshape(self.grid.links.shape)
            rows = np.zeros(self.grid.n_voxels, dtype=np.uint8)
            rows[self.grid.links[outside & (self.grid.links >= 0)]] = 1
            self._frozen = self.grid.links, self.region, rows
        gradients = self.optimiser.gradients
        still = np.flatnonzero(gradients.touched & self._frozen[2])
        gradients.rows[still], gradients.touched[still] = 0.0, 0

    def _descend_with_spheres(
        self, rays_o: np.ndarray, rays_d: np.ndarray, target: np.ndarray, terms: LossTerms
    ) -> float:
        """Go one step down the gradients, of the spheres behind the box as well."""
        spheres, active = self.spheres, self.active
        if 0 < active.spheres.inside_from == self.step:
            self.settle()
            self.lay_out(
                replace(
                    self.grid,
                    density=np.full_like(self.grid.density, active.model.initial_density * schedule.UNIT),
                ),
                None,
            )
        complete = spheres.completion(rays_o, rays_d, target, self.background, crew())
        self._descend(rays_o, rays_d, complete, terms)
        spheres.add_variation(active.spheres, active.losses.tv_share, self.rng)
        spheres.step(active.spheres, active.rates, self.step, crew())
        return complete.mse

    def _descend(
        self, rays_o: np.ndarray, rays_d: np.ndarray, target: np.ndarray | Complete, terms: LossTerms
    ) -> float:
        """Go one step down the gradients of rays [N,3] that should have colours `target`; return their squared error.

        With what completes pictures in place of colours, that knows the error, and 0 is returned.
        """
        mse = march_gradients(
            self.grid,
            rays_o,
            rays_d,
            target,
            self.march_options(),
            terms,
            self.optimiser.gradients,
            crew(),
            self._room,
        )
        self._add_variation()
        self._rest_outside()
        self.optimiser.step(self.grid, self.active.rates, self.step, crew())
        return mse

    def _add_variation(self) -> None:
        """Add total variation of a run of the grid that begins anywhere, or of all of it."""
        losses = self.active.losses
        weights = schedule.tv_weights(losses, self.finer)
        if weights == (0.0, 0.0):
            return
        cells, gradients = self.grid.links.size, self.optimiser.gradients
        run = max(1, int(losses.tv_share * cells))
        add_total_variation(
            crew(), self.grid.links, self.grid.density, self.grid.sh, gradients.rows, gradients.touched,
            3 * self.grid.n_basis, int(self.rng.integers(cells)), run, weights, schedule.UNIT,
        )  # fmt: skip

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
        """Render a view; see `engine.methods.common.Method.render`. Evaluated with one ray a pixel, as training has.

        The rasteriser draws the grid's cells, many times faster than marching; where it cannot, as in device coordinates,
        rays are marched.
        """
        if background is None and (shown.levels or (shown.crop is not None and not shown.crop_outside)):
            background = (self.background,) * 3  # the spheres are of no level, and outside any crop
        tail = self._behind_everything(background)
        if fits(self.grid) and not self.space.forward_facing:
            rays = 1.0 if supersample is None else supersample
            seen = self._viewer.render(self.grid, self.step, camera, want, rays, tail, shown)
        else:
            options = self.march_options()
            seen = march_view(self.grid, self.space, camera, options, tail, want, self._view_room)
        return self._with_spheres(seen, camera, background)

    def _behind_everything(self, background: tuple[float, float, float] | None) -> np.ndarray:
        """Return the colour [3] behind the grid: where spheres are behind it, they bring their own."""
        if background is not None:
            return np.asarray(background)
        return np.full(3, self.background if self.spheres is None else 0.0)

    def _with_spheres(
        self, seen: Buffers, camera: Camera, background: tuple[float, float, float] | None
    ) -> Buffers:
        """Return a view with the spheres behind the grid, unless a colour was asked for instead."""
        if self.spheres is None or background is not None:
            return seen
        trans = seen.trans.reshape(-1)
        through = np.flatnonzero(trans > _THROUGH)
        rays_o, rays_d = (rays.reshape(-1, 3)[through].astype(np.float32) for rays in camera.rays())
        rgb = seen.rgb.reshape(-1, 3).copy()
        far = self.spheres.behind(rays_o, rays_d, self.background, crew())
        rgb[through] += trans[through, None] * far
        return replace(seen, rgb=rgb.reshape(seen.rgb.shape))

    def cells(self) -> Cells:
        """Return the grid's cells as the rasteriser draws them."""
        return self._viewer.cells(self.grid, self.step)

    @property
    def inspection(self) -> PlenoxelsInspection:
        """What can be done with the grid beyond training it."""
        return PlenoxelsInspection(self)

    def frozen(self) -> Frozen:
        """Return a copy that only renders. Links are replaced, never changed, so they are shared."""
        other = self._without_training()
        other.grid = replace(self.grid, density=self.grid.density.copy(), sh=self.grid.sh.copy())
        spheres = 0 if other.spheres is None else other.spheres.rows.nbytes
        return Frozen(other, other.grid.density.nbytes + other.grid.sh.nbytes + spheres)

    def _without_training(self) -> Any:
        """Return a model that shares this one's grid and holds nothing else of its training."""
        other = copy.copy(self)
        other.scene = self.scene.without_photos()
        other.photos = other.survey = other.optimiser = None
        other._room, other._survey_room, other._view_room = Workspace(), Workspace(), Workspace()
        other._viewer = CellViewer()
        if self.spheres is not None:
            other.spheres = copy.copy(self.spheres)
            other.spheres.forget_training()
        return other

    def structure(self) -> StructureStats:
        """Count cells."""
        more = self.optimiser.nbytes + (0 if self.spheres is None else self.spheres.nbytes)
        return structure.count_cells(self.grid, more, self.active.prune.max_cells)

    def boxes(self, levels: tuple[int, ...], limit: int) -> np.ndarray:
        """Return up to `limit` cells of the given levels as [n,4] float32: centre x y z and edge, for wireframes."""
        return structure.cell_boxes(self.grid, self.space, levels, limit)

    # --- options and state ----------------------------------------------------------------------------------------

    def set_options(self, values: dict[str, Any]) -> None:
        """Change live options by dotted name; others raise OptionError."""
        live = {info.name: info.live for info in describe(self.config)}
        for name in values:
            if not live.get(name, True):
                raise OptionError(f"Option {name} cannot change while a model exists; set it and reset.")
        self.use(updated(self.config, values))

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return (tensors, JSON-able header) from which `load_state` continues exactly."""
        return state.state_of(self)

    def load_state(self, tensors: dict[str, np.ndarray], header: dict[str, Any]) -> None:
        """Take over a state written by `state`, by this or another process."""
        state.load_into(self, tensors, header)
