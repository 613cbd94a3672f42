# SPDX-License-Identifier: MIT
"""SVRaster on a GPU: the same model, its field as tensors on a device, every kernel a CUDA kernel.

What differs from `model.SVRaster` is here: where the field lies, and how a view is shaded, drawn and trained on. Structure,
schedules, losses, checkpoints and everything else are inherited. The octree stays on the host; a structure change brings three
numbers a voxel over, decides, and carries the field on the device. Checkpoints are those of the CPU, so a run may change
sides.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from engine import devices
from engine.cameras import Camera
from engine.constants import TV
from engine.cpu.lists import Workspace
from engine.cpu.raster import PLANE_DEPTH, WANT_DEPTH, planes_of
from engine.cpu.train_view import FieldArrays
from engine.cuda import lists as device_lists
from engine.cuda.gradients import Goal
from engine.cuda.launch import launch as launch_on_gpu
from engine.cuda.lists import Launch, ViewLists, VoxelTable, upload
from engine.cuda.shared_step import shared_step
from engine.cuda.ssim import ssim_term
from engine.cuda.train_view import SH_GROUP, FieldTensors, Scratch, train_on_view
from engine.cuda.warm_up import compile_all
from engine.datasets.scene import Scene
from engine.methods.common import AdaptReport, Buffers, Frozen
from engine.methods.svraster import schedule, view
from engine.methods.svraster.config import SVRasterConfig
from engine.methods.svraster.model import Look, SVRaster
from engine.methods.svraster.objective import PHOTOMETRIC
from engine.methods.svraster.picture_terms import PictureTerms, Similar
from engine.methods.svraster.vitals import vitals_from
from engine.methods.svraster.voxel_values import born_after
from engine.octree import Octree
from engine.region import EVERYTHING, Shown

_STATISTICS = ("priority", "heaviest", "footprint")


class SVRasterOnCuda(SVRaster):
    """Sparse voxels in training on one scene, on a CUDA device."""

    field: FieldTensors

    def __init__(
        self,
        scene: Scene,
        config: SVRasterConfig,
        seed: int = 0,
        *,
        device: torch.device | str = "cuda",
        half_moments: bool = True,
        launch: Launch = launch_on_gpu,
    ) -> None:
        self._device = torch.device(device)
        self.card = devices.card_name(str(device))
        if self._device.type == "cuda":
            torch.cuda.set_device(self._device)  # of this thread, which is the model's own
        self._half_moments, self._launch = half_moments, launch
        super().__init__(scene, config, seed)

    def use(self, config: SVRasterConfig) -> None:
        """Take over a configuration."""
        super().use(config)
        self._corrections_there = tuple(upload(table, self._device) for table in self._corrections)

    def _up(self, array: np.ndarray | Tensor | None) -> Tensor | None:
        return upload(array, self._device) if isinstance(array, np.ndarray) else array

    # --- structure ------------------------------------------------------------------------------------------------

    def lay_out(self, octree: Octree) -> None:
        """Lay out a structure whose parameters are already in place, here or on the device."""
        self.octree = octree
        self.table = VoxelTable.of(octree, self._device, self._launch)
        if isinstance(self.field, FieldArrays):
            self.field = FieldTensors.of(vars(self.field), self._device, self._half_moments)
        self._scratch = Scratch.of(self.table, self.config.model.deterministic)
        self._per_level = np.bincount(octree.level, minlength=17)

    def move_to(self, octree: Octree, carry: Any) -> None:
        """Move to another structure, every parameter and optimiser row with it; see `SVRaster.move_to`."""
        f = self.field
        voxel_from, point_from = self._up(carry.voxel_from).long(), self._up(carry.point_from).long()
        point_weight = self._up(carry.point_weight)
        shrunk = octree.size / self.octree.size[carry.voxel_from]
        shrink = self._up(shrunk)
        split = np.ones(octree.n_points, dtype=np.float32)
        split[octree.corner_idx[shrunk < 1.0].reshape(-1)] = 0.5
        area, volume = shrink**2, self._up(split) ** 3

        def points(values: Tensor) -> Tensor:
            return (values[point_from] * point_weight).sum(dim=1)

        self.field = FieldTensors(
            density=points(f.density),
            density_m=points(f.density_m) * volume,
            density_v=points(f.density_v) * volume**2,
            density_age=f.density_age[point_from[:, 0]],
            sh=carried_groups(f.sh, voxel_from, torch.ones_like(area)),
            sh_m=carried_groups(f.sh_m, voxel_from, area),
            sh_v=carried_groups(f.sh_v, voxel_from, area**2),
            sh_age=f.sh_age[voxel_from],
            **{name: carry.carry_voxels(getattr(f, name)) for name in _STATISTICS},
        )
        self.heaviest_before = carry.carry_voxels(self.heaviest_before)
        self.born = born_after(self.born, shrunk, carry.voxel_from, self.step)
        self.lay_out(octree)

    @contextmanager
    def _statistics_here(self) -> Iterator[None]:
        """Hold the field's statistics as numpy arrays while a structure change looks at them and moves them."""
        for name in _STATISTICS:
            setattr(self.field, name, getattr(self.field, name).cpu().numpy())
        try:
            yield
        finally:
            for name in _STATISTICS:
                setattr(self.field, name, self._up(getattr(self.field, name)))

    def here(self, name: str, index: Any = slice(None)) -> np.ndarray:
        """Return an array of the field, or a part of it, wherever it lies."""
        part = getattr(self.field, name)[index]
        return part if isinstance(part, np.ndarray) else part.float().cpu().numpy()

    def prune_now(self) -> AdaptReport:
        """Drop the voxels below the pruning threshold."""
        with self._statistics_here():
            return super().prune_now()

    def subdivide_now(self) -> AdaptReport:
        """Split the voxels of highest priority."""
        with self._statistics_here():
            return super().subdivide_now()

    def _adapt(self) -> AdaptReport:
        with self._statistics_here():
            return super()._adapt()

    # --- training and looking -------------------------------------------------------------------------------------

    def _shaded(self, camera: Camera, degree: int) -> ViewLists:
        return device_lists.shaded_lists(self.table, self.field.density, self.field.sh, degree, camera)

    def _picture(self, shaded: ViewLists, want: int) -> tuple[np.ndarray, np.ndarray]:
        image, planes = self._drawn(shaded, want)
        return image.cpu().numpy(), planes.cpu().numpy()

    def _drawn(self, shaded: ViewLists, want: int, rays: float = 1.0) -> tuple[Tensor, Tensor]:
        """Return the view as image [H,W,4] and planes [n,H,W] on the device; so many whole rays a pixel side are averaged."""
        samples = self.active.model.samples_per_voxel
        image, planes = device_lists.render_lists(
            self.table, shaded, samples, fields=want & ~WANT_DEPTH != 0, depth=want != 0
        )
        planes = planes[: planes_of(want)]
        if rays == 1.0 or rays != int(rays):
            return image, planes
        both = torch.cat([image.permute(2, 0, 1), planes])
        small = avg_pool2d(both, int(rays))
        return small[:4].permute(1, 2, 0).contiguous(), small[4:].contiguous()

    def _similar(self, shaded: ViewLists) -> Similar:
        def compare(
            target: np.ndarray, mask: np.ndarray | None, rays: int, weight: float
        ) -> tuple[Tensor, Tensor]:
            image, _ = self._drawn(shaded, 0)
            picture = image[..., 1:] + image[..., :1] * self._up(
                np.asarray(self.background, dtype=np.float32)
            )
            v_rgb, loss = ssim_term(picture, self._up(target), rays, weight)
            if mask is not None:
                counts = self._up(mask).bool().repeat_interleave(rays, 0).repeat_interleave(rays, 1)
                v_rgb *= counts[..., None]
            return v_rgb, loss

        return compare

    def _descend(
        self,
        shaded: ViewLists,
        terms: PictureTerms,
        keep: np.ndarray | None,
        weights: np.ndarray,
        rays: int,
        degree: int,
        adam: np.ndarray,
        gather: bool = False,
    ) -> Any:
        given = self._up(terms.v_rgb), self._up(terms.v_trans), self._up(terms.v_depth)
        goal = Goal(
            self._up(np.asarray(self.background, dtype=np.float32)), self._up(weights.astype(np.float32)),
            PHOTOMETRIC[self.active.losses.photometric], rays, self._up(terms.target), self._up(keep), *given,
        )  # fmt: skip
        descend = train_on_view if self.team is None else shared_step
        try:
            sums = descend(
                self.table, self.field, self._scratch, shaded, goal, samples=self.active.model.samples_per_voxel,
                degree=degree, adam=self._up(adam), corrections=self._corrections_there, total_variation=float(adam[TV]),
            )  # fmt: skip
        except Exception:  # such as no memory left: the next step must not find half of this one's gradients
            self._scratch.v_density.zero_()
            raise
        return sums.cpu().numpy() if self.team is None else sums

    def _learn_errors(self, look: Look) -> None:
        """Nothing: the step's errors stay on the device."""

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
        rays, tail = self._rays_and_tail(supersample, background)
        shaded = self._seen(camera, rays, shown)

        def raster(values: np.ndarray | None, bits: int) -> tuple[np.ndarray, np.ndarray]:
            if values is not None:
                device_lists.pack(self.table, shaded, self.field.density, self._up(values[:, 0]))
            image, planes = self._drawn(shaded, bits, rays)
            return image.cpu().numpy(), planes.cpu().numpy()

        value = self._wanted_value(want)
        return view.buffers_of(raster, self.octree, camera, want, tail, self._view_room, value)

    def frozen(self) -> Frozen:
        """Return a copy that only renders, on the same device."""
        f, nothing = self.field, self.field.density.new_empty(0)
        rest = {name: nothing for name in vars(f)}
        other = copy.copy(self)
        other.field = replace(f, **rest | {"density": f.density.clone(), "sh": f.sh.clone()})
        other._scratch, other._view_room, other.backdrop = None, Workspace(), copy.copy(self.backdrop)
        other.scene, other.team = self.scene.without_photos(), None
        return Frozen(other, other.field.density.nbytes + other.field.sh.nbytes)

    def render_on_card(
        self,
        camera: Camera,
        background: tuple[float, float, float] | None = None,
        shown: Shown = EVERYTHING,
    ) -> tuple[Tensor, Tensor]:
        """Return a view where it was drawn: rgba [h,w,4] uint8 and depth_z [h,w] float32, inf where nothing is."""
        rays, tail = self._rays_and_tail(None, background)
        image, planes = self._drawn(self._seen(camera, rays, shown), WANT_DEPTH, rays)
        trans = image[..., :1]
        rgb = image[..., 1:] + trans * self._up(tail)
        rgba = torch.full((*trans.shape[:2], 4), 255, dtype=torch.uint8, device=self._device)
        rgba[..., :3] = (rgb.clamp(0.0, 1.0) * 255.0 + 0.5).to(torch.uint8)
        trans = trans[..., 0]
        depth = torch.where(trans < view.CLEAR, planes[PLANE_DEPTH] / (1.0 - trans), torch.inf)
        return rgba, depth

    def _rays_and_tail(
        self, supersample: float | None, background: tuple[float, float, float] | None
    ) -> tuple[float, np.ndarray]:
        rays = self.supersample if supersample is None else supersample
        return rays, self.background if background is None else np.asarray(background, dtype=np.float32)

    def _seen(self, camera: Camera, rays: float, shown: Shown) -> ViewLists:
        fine, degree = (
            camera if rays == 1.0 else camera.scaled(rays),
            schedule.sh_degree(self.active, self.step),
        )
        return device_lists.shaded_lists(
            self._table_of(shown), self.field.density, self.field.sh, degree, fine
        )

    def warm_up(self, progress: Callable[[str, int, int], None] | None = None) -> None:
        """Compile every kernel file that was never compiled on this machine."""
        compile_all(self._device, progress)

    def vitals(self) -> dict[str, float]:
        """Return a few numbers that tell how training goes; see `vitals.vitals_of`."""
        f = self.field
        per_voxel = f.sh_v.float().sum(dim=1).reshape(-1)
        of_rows = (f.heaviest, f.density_v.float(), f.density_age, per_voxel, f.sh_age)
        return vitals_from(self, *(rows.cpu().numpy() for rows in of_rows))

    def memory(self) -> dict[str, int]:
        """Return the bytes that each part of the model holds, on the device and here."""
        held = {name: tensor.nbytes for name, tensor in vars(self.field).items()}
        parameters, statistics = ("density", "sh"), sum(held[name] for name in _STATISTICS)
        moments = sum(count for name, count in held.items() if name not in (*parameters, *_STATISTICS))
        octree = self.octree
        return {
            "parameters": sum(held[name] for name in parameters),
            "optimiser": moments,
            "structure": octree.path.nbytes + octree.level.nbytes + octree.corner_idx.nbytes,
            "statistics": statistics + self.heaviest_before.nbytes,
            "view buffers": self._view_room.nbytes(),
            "photos": self._targets.nbytes(),
        }

    # --- state ----------------------------------------------------------------------------------------------------

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return (tensors, JSON-able header) from which either side goes on."""
        there, self.field = self.field, FieldArrays(**self.field.arrays())  # type: ignore[assignment]
        try:
            return super().state()
        finally:
            self.field = there


def carried_groups(groups: Tensor, voxel_from: Tensor, factor: Tensor) -> Tensor:
    """Return grouped rows of a new structure: voxel v gets factor[v] times the row of old voxel voxel_from[v].

    One coefficient at a time, so that nothing as large as the field is needed in between.
    """
    n = len(voxel_from)
    n_groups = -(-n // SH_GROUP)
    carried = groups.new_zeros((n_groups, groups.shape[1], SH_GROUP))
    line = groups.new_zeros(n_groups * SH_GROUP)
    for row in range(groups.shape[1]):
        line[:n] = (groups[:, row].reshape(-1)[voxel_from] * factor).to(groups.dtype)
        carried[:, row] = line.view(n_groups, SH_GROUP)
    return carried
