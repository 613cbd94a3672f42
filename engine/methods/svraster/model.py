# SPDX-License-Identifier: MIT
"""SVRaster on the CPU: the voxels, their optimiser, one training step, one rendered view."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np

from engine.cameras import Camera
from engine.cpu.crew import crew
from engine.cpu.lists import VoxelTable, Workspace
from engine.cpu.raster import WANT_COUNT, WANT_DEPTH, WANT_MEDIAN, WANT_NORMAL
from engine.cpu.raster_grad import (
    HUBER,
    L1,
    MSE,
    N_WEIGHTS,
    SUM_BACKGROUND,
    SUM_DISTORTION,
    SUM_PHOTO,
    SUM_R_CONCENTRATION,
    SUM_SQUARED,
    SUM_T_CONCENTRATION,
)
from engine.cpu.shade import carry_groups, sh_groups
from engine.cpu.train_view import FieldArrays, render_lists, shaded_lists, train_on_view
from engine.cpu.update import N_ADAM, bias_corrections, owners_of_points
from engine.datasets.scene import Scene, Split, View
from engine.errors import CheckpointError, OptionError
from engine.losses import ssim_and_gradient
from engine.methods.common import AdaptReport, Buffers, StepReport, StructureStats
from engine.methods.svraster.adapt import keep_mask, prune_threshold, split_mask
from engine.methods.svraster.config import SVRasterConfig
from engine.methods.svraster.targets import Targets
from engine.octree import Octree
from engine.options import describe, flatten, updated
from engine.render.resample import box_downsample

_PHOTOMETRIC = {"mse": MSE, "l1": L1, "huber": HUBER}
_CORRECTIONS = 2048  # bias corrections are tabulated up to this many updates of a row; beyond they are 1 to float32
_WHITE, _BLACK = (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)


class SVRaster:
    """Sparse voxels in training on one scene. See `engine.methods.common.Method` for the contract."""

    name = "svraster"
    Config = SVRasterConfig

    def __init__(self, scene: Scene, config: SVRasterConfig, seed: int = 0) -> None:
        self.scene = scene
        self.config = config
        self.seed = seed
        self.step = 0
        self._rng = np.random.default_rng(seed)
        self._queue: list[int] = []
        self._window_start = 0  # `field.heaviest` holds the heaviest weights since this step
        self._targets = Targets(scene.train)
        self._room = Workspace()
        self._view_room = Workspace()
        self._background = np.full(3, 0.5, dtype=np.float32)
        self._background_m = np.zeros(3, dtype=np.float32)
        self._background_v = np.zeros(3, dtype=np.float32)
        if scene.background == "white":
            self._background[:] = 1.0
        elif scene.background == "black":
            self._background[:] = 0.0
        self._start_with(Octree.dense(config.model.initial_level, scene.outside_levels))
        self._corrections = (
            bias_corrections(config.rates.beta1, _CORRECTIONS),
            bias_corrections(config.rates.beta2, _CORRECTIONS),
        )

    # --- structure ------------------------------------------------------------------------------------------------

    def _start_with(self, octree: Octree) -> None:
        n, g = len(octree.path), len(octree.point_ijk)
        shape = sh_groups(n, self.config.model.sh_degree)

        def zeros(*shape: int, kind: type = np.float32) -> np.ndarray:
            return np.zeros(shape, dtype=kind)

        density = np.full(g, self.config.model.initial_density, dtype=np.float32)
        self.field = FieldArrays(
            density, zeros(g), zeros(g), zeros(g, kind=np.uint16),
            zeros(*shape), zeros(*shape), zeros(*shape), zeros(n, kind=np.uint16),
            zeros(n), zeros(n), np.full(n, np.inf, dtype=np.float32),
        )  # fmt: skip
        self._heaviest_before = zeros(n)
        self._take_octree(octree)

    def _take_octree(self, octree: Octree) -> None:
        """Lay out a structure whose parameters are already in place."""
        n = len(octree.path)
        self.octree = octree
        self.table = VoxelTable.of(octree)
        self._owners = owners_of_points(octree.corner_idx, len(octree.point_ijk))
        self._scratch = (np.zeros((n, 8), dtype=np.float32), np.zeros(n, dtype=np.uint8))
        self._per_level = np.bincount(octree.level, minlength=17)

    def _change(self, octree: Octree, carry: Any) -> None:
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
        self._heaviest_before = carry.carry_voxels(self._heaviest_before)
        self._take_octree(octree)

    def _weights_seen(self) -> np.ndarray:
        return np.maximum(self.field.heaviest, self._heaviest_before)

    def _split_now(self) -> np.ndarray:
        return split_mask(
            self.octree, self.field.priority, self.field.footprint, self.config.adapt, self.scene.outside_levels
        )

    def prune_now(self) -> AdaptReport:
        """Drop the voxels below the pruning threshold."""
        return self._prune(self._weights_seen(), "prune now")

    def _prune(self, heaviest: np.ndarray, reason: str) -> AdaptReport:
        before = len(self.octree.path)
        keep = keep_mask(heaviest, prune_threshold(self.config.adapt, self.step))
        if not keep.all():
            self._change(*self.octree.keep(keep))
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
            self._change(*self.octree.subdivide(mask))
        self.field.priority[:] = 0.0
        return AdaptReport(self.step, before, 0, split, len(self.octree.path), reason)

    def preview_adapt(self) -> AdaptReport:
        """Say what `prune_now` and `subdivide_now` would do with the present options, changing nothing."""
        before = len(self.octree.path)
        keep = keep_mask(self._weights_seen(), prune_threshold(self.config.adapt, self.step))
        split = int((self._split_now() & keep).sum())
        pruned = before - int(keep.sum())
        return AdaptReport(self.step, before, pruned, split, before - pruned + 7 * split, "preview")

    def _adapt(self) -> AdaptReport:
        """Prune once every view has been seen since the last pruning, then split."""
        before, dropped = len(self.octree.path), 0
        if self.step - self._window_start >= len(self.scene.train):
            dropped = self._prune(self.field.heaviest, "schedule").pruned
        split = self._subdivide("schedule")
        if self.step - self._window_start >= len(self.scene.train):
            self._window_start = self.step
            self._heaviest_before = self.field.heaviest.copy()
            self.field.heaviest[:] = 0.0
        return AdaptReport(self.step, before, dropped, split.split, split.after, "schedule")

    # --- training -------------------------------------------------------------------------------------------------

    def _next_view(self) -> int:
        if not self._queue:
            self._queue = [int(i) for i in self._rng.permutation(len(self.scene.train))]
        return self._queue.pop()

    def _degree(self) -> int:
        s = self.config.schedule
        starts = (s.sh1_from, s.sh2_from, s.sh3_from)[: self.config.model.sh_degree]
        return sum(self.step >= start for start in starts)

    def _shrink(self) -> int:
        s = self.config.schedule
        return 4 if self.step < s.quarter_until else (2 if self.step < s.half_until else 1)

    @property
    def background(self) -> np.ndarray:
        """The colour [3] behind everything: the scene's, or what was learned."""
        return self._background

    @property
    def supersample(self) -> int:
        """Rays per pixel side at the present step; evaluation uses as many as training."""
        return self.config.model.supersample if self.step >= self.config.schedule.supersample_from else 1

    def _rate_share(self) -> float:
        rates = self.config.rates
        share = 1.0 if rates.half_life <= 0.0 else max(rates.floor, 1.0 / (1.0 + self.step / rates.half_life))
        return share * (0.1 if rates.drop_at and self.step >= rates.drop_at else 1.0)

    def _adam(self) -> np.ndarray:
        rates, share = self.config.rates, self._rate_share()
        losses = self.config.losses
        tv = losses.total_variation if self.step < losses.total_variation_until else 0.0
        values = (rates.beta1, rates.beta2, 1e-15, rates.density * share, rates.sh0 * share, rates.shs * share, tv)
        assert len(values) == N_ADAM
        return np.array(values, dtype=np.float32)

    def _loss_weights(self, pixels: int) -> np.ndarray:
        losses = self.config.losses
        distortion = losses.distortion if self.step >= losses.distortion_from else 0.0
        weights = np.zeros(N_WEIGHTS)
        weights[:] = 1.0 / (3 * pixels), losses.transmittance, losses.colour_spread, distortion, 1.0
        weights[1:4] /= pixels
        return weights

    def train_step(self) -> StepReport:
        """Take one step, structure changes included when they are due."""
        options = self.config.adapt
        adapted = None
        if 0 < self.step <= options.until_step and self.step % options.every_steps == 0:
            adapted = self._adapt()
        view = self._next_view()
        shrink, rays = self._shrink(), self.supersample
        target = self._targets.get(view, shrink)
        camera = shrunk(self.scene.train.views[view].camera, target, shrink, rays)
        degree, adam = self._degree(), self._adam()
        lists, rgb = shaded_lists(self.table, self.field.sh, degree, camera, crew(), self._room, keep_slots=True)
        v_rgb, ssim_loss = self._ssim(lists, rgb, target, rays)
        pixels = target.shape[0] * target.shape[1]
        weights = self._loss_weights(pixels)
        weights[1:4] /= rays * rays
        self.step += 1
        sums = train_on_view(
            self.table, self.field, self._owners, self._scratch, lists, rgb, crew(), self._room,
            mode=_PHOTOMETRIC[self.config.losses.photometric], shrink=rays, target=target, background=self._background,
            weights=weights, v_rgb=v_rgb, samples=self.config.model.samples_per_voxel, degree=degree, adam=adam,
            corrections=self._corrections,
        )  # fmt: skip
        if self.scene.background == "learned":
            self._update_background(sums[SUM_BACKGROUND : SUM_BACKGROUND + 3].astype(np.float32))
        mse = sums[SUM_SQUARED] / (3 * pixels)
        psnr = float(-10.0 * np.log10(max(mse, 1e-12)))
        return StepReport(self.step, view, self._named_losses(sums, ssim_loss), psnr, adapted)

    def _named_losses(self, sums: np.ndarray, ssim_loss: float) -> tuple[tuple[str, float], ...]:
        losses = self.config.losses
        terms = [(losses.photometric, float(sums[SUM_PHOTO]))]
        for name, weight, value in (
            ("ssim", losses.ssim, ssim_loss),
            ("transmittance", losses.transmittance, sums[SUM_T_CONCENTRATION]),
            ("colour spread", losses.colour_spread, sums[SUM_R_CONCENTRATION]),
            ("distortion", losses.distortion, sums[SUM_DISTORTION]),
        ):
            if weight > 0.0:
                terms.append((name, float(value)))
        return tuple(terms)

    def _ssim(self, lists: Any, rgb: np.ndarray, target: np.ndarray, rays: int) -> tuple[np.ndarray | None, float]:
        """Return (gradient of weight * (1 - SSIM) at every ray [H,W,3], the loss), or (None, 0) when it is off."""
        weight = self.config.losses.ssim
        if weight <= 0.0:
            return None, 0.0
        image = render_lists(lists, self.table, self.field.density, rgb, crew(), self._room)
        picture = image[..., 1:4] + image[..., :1] * self._background
        small = np.ascontiguousarray(box_downsample(picture, target.shape[1], target.shape[0]))
        value, gradient = ssim_and_gradient(small, target.astype(np.float32) / np.float32(255.0))
        v_rgb = np.repeat(np.repeat(gradient, rays, axis=0), rays, axis=1) * np.float32(-weight / (rays * rays))
        return np.ascontiguousarray(v_rgb, dtype=np.float32), weight * (1.0 - value)

    def _update_background(self, gradient: np.ndarray) -> None:
        rates = self.config.rates
        self._background_m = rates.beta1 * self._background_m + (1.0 - rates.beta1) * gradient
        self._background_v = rates.beta2 * self._background_v + (1.0 - rates.beta2) * gradient**2
        n = min(self.step, _CORRECTIONS - 1)
        mean, square = self._background_m * self._corrections[0][n], self._background_v * self._corrections[1][n]
        delta = rates.background * self._rate_share() * mean / (np.sqrt(square) + 1e-15)
        self._background = np.clip(self._background - delta, 0.0, 1.0).astype(np.float32)

    def warm_up(self, progress: Any = None) -> None:
        """Compile (or load from the disk cache) every kernel that training and viewing use, on eight voxels."""
        stages = ("training kernels", "structure kernels", "view kernels")
        small = dataclasses.replace(self.config, model=dataclasses.replace(self.config.model, initial_level=1))
        twin = SVRaster(_tiny_scene(self.scene.background), small, seed=0)
        for done, stage in enumerate(stages):
            if progress is not None:
                progress(stage, done, len(stages))
            if stage == "training kernels":
                twin.train_step()
            elif stage == "structure kernels":
                twin.octree.subdivide(np.ones(8, dtype=bool))
                twin._change(*twin.octree.keep(np.arange(8) < 7))
            else:
                twin.render(twin.scene.train.views[0].camera, frozenset({"depth_z"}))
        if progress is not None:
            progress(stages[-1], len(stages), len(stages))

    # --- looking --------------------------------------------------------------------------------------------------

    def render(
        self,
        camera: Camera,
        want: frozenset[str] = frozenset(),
        *,
        supersample: float | None = None,
        background: tuple[float, float, float] | None = None,
    ) -> Buffers:
        """Render a view; see `engine.methods.common.Method.render`."""
        rays = self.supersample if supersample is None else supersample
        fine = camera if rays == 1.0 else camera.scaled(rays)
        room = self._view_room
        lists, rgb = shaded_lists(self.table, self.field.sh, self._degree(), fine, crew(), room)
        flags = {"depth_z": WANT_DEPTH, "depth_median": WANT_MEDIAN, "normal": WANT_NORMAL, "count": WANT_COUNT}
        bits = sum(flag for name, flag in flags.items() if name in want)
        samples = self.config.model.samples_per_voxel
        image = render_lists(lists, self.table, self.field.density, rgb, crew(), room, samples, bits)
        image = box_downsample(image, camera.width, camera.height) if fine is not camera else image
        trans = image[..., 0].copy()
        tail = self._background if background is None else np.asarray(background, dtype=np.float32)
        picture = image[..., 1:4] + image[..., :1] * tail
        opacity = np.maximum(1.0 - trans, 1e-6)
        fields: dict[str, np.ndarray] = {}
        if "depth_z" in want:
            fields["depth_z"] = np.where(trans < 0.999, image[..., 4] / opacity, 0.0).astype(np.float32)
        if "depth_median" in want:
            fields["depth_median"] = image[..., 5].copy()
        if "normal" in want:
            length = np.linalg.norm(image[..., 6:9], axis=-1, keepdims=True)
            fields["normal"] = np.where(length > 1e-6, image[..., 6:9] / np.maximum(length, 1e-6), 0.0)
        if "count" in want:
            fields["count"] = image[..., 9].astype(np.int32)
        if "level" in want or "size" in want:
            values = room.take("values", (len(self.octree.path), 1, 3), np.float32)
            values[:, 0, 0], values[:, 0, 1], values[:, 0, 2] = self.octree.level, self.octree.size, 0.0
            scalars = render_lists(lists, self.table, self.field.density, values, crew(), room, samples, 0)
            scalars = box_downsample(scalars, camera.width, camera.height) if fine is not camera else scalars
            fields |= {"level": scalars[..., 1] / opacity, "size": scalars[..., 2] / opacity}
        return Buffers(picture, trans, **{name: fields[name] for name in want if name in fields})

    def structure(self) -> StructureStats:
        """Count voxels."""
        n, g = len(self.octree.path), len(self.octree.point_ijk)
        held = sum(getattr(self.field, f.name).nbytes for f in dataclasses.fields(self.field))
        held += self.octree.path.nbytes + self.octree.level.nbytes + self.octree.corner_idx.nbytes
        inside = np.arange(17) - self.scene.outside_levels
        volume = float(np.sum(np.where(inside > 0, self._per_level / 8.0 ** np.maximum(inside, 0), 0.0)))
        per_level = tuple(int(k) for k in self._per_level)
        return StructureStats(n, g, per_level, held, self.config.adapt.max_voxels, min(volume, 1.0))

    def boxes(self, levels: tuple[int, ...], limit: int) -> np.ndarray:
        """Return up to `limit` leaves of the given levels as [n,4] float32: centre x y z and edge, for wireframes."""
        chosen = np.flatnonzero(np.isin(self.octree.level, levels))
        if len(chosen) > limit:
            chosen = chosen[np.linspace(0, len(chosen) - 1, limit).astype(np.int64)]
        return np.concatenate([self.octree.center[chosen], self.octree.size[chosen, None]], axis=1).astype(np.float32)

    # --- options and state ----------------------------------------------------------------------------------------

    def set_options(self, values: dict[str, Any]) -> None:
        """Change live options by dotted name; others raise OptionError."""
        live = {info.name for info in describe(self.config) if info.live}
        known = {info.name for info in describe(self.config)}
        for name in values:
            if name in known and name not in live:
                raise OptionError(f"Option {name} cannot change while a model exists; set it and reset.")
        self.config = updated(self.config, values)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return (tensors, JSON-able header) from which `load_state` continues exactly."""
        tensors = {f"field.{f.name}": getattr(self.field, f.name) for f in dataclasses.fields(self.field)}
        tensors |= {
            "octree.path": self.octree.path,
            "octree.level": self.octree.level,
            "octree.point_ijk": self.octree.point_ijk,
            "octree.corner_idx": self.octree.corner_idx,
            "heaviest_before": self._heaviest_before,
            "background": np.stack([self._background, self._background_m, self._background_v]),
            "queue": np.array(self._queue, dtype=np.int64),
        }
        header = {
            "method": self.name,
            "step": self.step,
            "seed": self.seed,
            "options": flatten(self.config),
            "window_start": self._window_start,
            "root_size": float(self.octree.root_size),
            "rng": json.dumps(self._rng.bit_generator.state),
        }
        return tensors, header

    def load_state(self, tensors: dict[str, np.ndarray], header: dict[str, Any]) -> None:
        """Take over a state written by `state`, by this or another process."""
        if header.get("method") != self.name:
            raise CheckpointError(f"The checkpoint holds a {header.get('method')} model, not {self.name}.")
        self.config = updated(self.config, header["options"])
        self._corrections = (
            bias_corrections(self.config.rates.beta1, _CORRECTIONS),
            bias_corrections(self.config.rates.beta2, _CORRECTIONS),
        )
        self.step, self.seed = int(header["step"]), int(header["seed"])
        self._rng = np.random.default_rng(self.seed)
        self._rng.bit_generator.state = json.loads(header["rng"])
        self._queue = [int(i) for i in tensors["queue"]]
        self._window_start = int(header["window_start"])
        self._background, self._background_m, self._background_v = (row.copy() for row in tensors["background"])
        names = [f.name for f in dataclasses.fields(FieldArrays)]
        self.field = FieldArrays(**{name: np.array(tensors[f"field.{name}"]) for name in names})
        self._heaviest_before = np.array(tensors["heaviest_before"])
        self._take_octree(
            Octree(
                np.array(tensors["octree.path"]),
                np.array(tensors["octree.level"]),
                float(header["root_size"]),
                np.array(tensors["octree.corner_idx"]),
                np.array(tensors["octree.point_ijk"]),
            )
        )


def shrunk(camera: Camera, target: np.ndarray, shrink: int, rays: int) -> Camera:
    """Return the camera of a photo that was made `shrink` times smaller (target [h,w,3]), `rays` rays a pixel side."""
    factor = rays / shrink
    return dataclasses.replace(
        camera,
        width=target.shape[1] * rays,
        height=target.shape[0] * rays,
        fx=camera.fx * factor,
        fy=camera.fy * factor,
        cx=camera.cx * factor,
        cy=camera.cy * factor,
    )


class _Flat:
    """An image source with one grey picture."""

    def load(self, index: int) -> np.ndarray:
        return np.full((16, 16, 3), 0.5, dtype=np.float32)

    def nbytes(self) -> int:
        return 0


def _tiny_scene(background: str) -> Scene:
    pose = np.eye(4)
    pose[2, 3] = -1.5
    views = (View("warm-up", Camera.from_fov(16, 16, 0.8, pose)),)
    split = Split(views, _Flat())
    up = np.array([0.0, -1.0, 0.0])
    return Scene("warm-up", "", "built-in", split, Split((), _Flat()), background, 0, np.eye(4), up)
