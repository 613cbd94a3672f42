# SPDX-License-Identifier: MIT
"""What is exported: a copy of a model that training does not touch, and any method's scene as plain voxels.

SVRaster is voxels already; a Plenoxels grid's cells become some (`cells.py`); InfNeRF is baked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.cameras import Camera
from engine.constants import DENSITY_SCALE, EXP_LINEAR_KNEE
from engine.conventions import move_pose
from engine.errors import UserError
from engine.methods.common import Buffers, Method, method_class, method_title
from engine.octree import Octree
from engine.options import build, flatten
from engine.sh import n_coefficients

if TYPE_CHECKING:
    from engine.datasets.scene import Scene
    from engine.methods.svraster.model import SVRaster

Progress = Callable[[str, int, int], None]  # (stage, done, total)


@dataclass(frozen=True, eq=False)
class VoxelSet:
    """A scene as voxels of the SVRaster kind: raw densities float32 [G], coefficients float32 [V,K,3].

    `background [3]` is behind them. `engine_from_octree [4,4]` places the octree (a scale and an offset). `values` are
    the options of SVRaster by which they are looked at, at `step`; `lost` says what of the model is not in them.
    """

    octree: Octree
    density: np.ndarray
    sh: np.ndarray
    background: np.ndarray
    values: dict[str, Any]
    step: int = 0
    engine_from_octree: np.ndarray = field(default_factory=lambda: np.eye(4))
    lost: str = ""

    def __len__(self) -> int:
        return len(self.octree)

    @property
    def degree(self) -> int:
        """Degree of the colours."""
        return round(self.sh.shape[1] ** 0.5) - 1

    @property
    def scale(self) -> float:
        """Engine units per unit of the octree."""
        return float(self.engine_from_octree[0, 0])

    def truncated(self, degree: int) -> VoxelSet:
        """Return the same voxels with colours of a lower degree."""
        return replace(self, sh=np.ascontiguousarray(self.sh[:, : n_coefficients(degree)]))

    def picture(
        self, camera: Camera, want: frozenset[str] = frozenset(), supersample: float | None = None
    ) -> Buffers:
        """Return a view, as the method SVRaster draws it."""
        from engine.methods.svraster import view
        from engine.methods.svraster.config import SVRasterConfig
        from engine.methods.svraster.schedule import rays_per_pixel_side

        config = build(SVRasterConfig, self.values)
        voxels = view.Voxels(self.octree, *self._drawn, config.model.samples_per_voxel, self.degree)
        rays = rays_per_pixel_side(config, self.step) if supersample is None else supersample
        seen = view.render_view(voxels, self.seen_by(camera), want, rays, self.background, self._room)
        lengths = {
            name: getattr(seen, name) * np.float32(self.scale) for name in want & {"depth_z", "depth_median"}
        }
        return replace(seen, **lengths)

    def seen_by(self, camera: Camera) -> Camera:
        """Return a camera of the engine in the octree's units."""
        if np.array_equal(self.engine_from_octree, np.eye(4)):
            return camera
        return camera.moved(move_pose(np.linalg.inv(self.engine_from_octree), camera.world_from_cam))

    @cached_property
    def _drawn(self) -> tuple[Any, Any]:
        from engine.cpu.lists import VoxelTable
        from engine.cpu.shade import grouped
        from engine.cpu.train_view import FieldArrays

        names = {name: np.zeros(0, np.float32) for name in FieldArrays.__dataclass_fields__}
        arrays = names | {"density": self.density, "sh": grouped(self.sh)}
        return VoxelTable.of(self.octree), FieldArrays(**arrays)

    @cached_property
    def _room(self) -> Any:
        from engine.cpu.lists import Workspace

        return Workspace()


def frozen(method: Method) -> Method:
    """Return a copy on the processor that goes its own way. Called where the method lives, between two steps."""
    if not method.card:
        return method.frozen().method
    tensors, header = method.state()
    copy = method_class(method.name)(method.scene, method.config, getattr(method, "seed", 0))
    copy.load_state({name: np.array(tensor) for name, tensor in tensors.items()}, header)
    return copy


def voxels_of(method: Method, report: Progress | None = None, bake_options: Any = None) -> VoxelSet:
    """Return what a method learned as voxels, or raise UserError. Baking InfNeRF takes seconds to minutes."""
    if method.name == "svraster":
        return _of_svraster(method)
    if method.name == "plenoxels":
        from engine.export.cells import voxels_of_grid

        return voxels_of_grid(method)
    if method.name == "infnerf":
        return _of_infnerf(method, bake_options, report)
    raise UserError(f"{method_title(method.name)} has no voxels to write; export its pictures instead.")


def as_svraster(voxels: VoxelSet, scene: Scene, seed: int = 0) -> SVRaster:
    """Return voxels as a model on a scene whose foreground cube they lie in, ready to be looked at and trained on."""
    from engine.methods.svraster.model import SVRaster

    model = SVRaster(scene, build(SVRaster.Config, voxels.values), seed)
    n_wanted = n_coefficients(model.active.model.sh_degree)
    sh = np.zeros((len(voxels), n_wanted, 3), np.float32)
    kept = min(n_wanted, voxels.sh.shape[1])
    sh[:, :kept] = voxels.sh[:, :kept]
    model.show(voxels.octree, voxels.density, sh)
    model.step = voxels.step
    model.backdrop.rgb = voxels.background.astype(np.float32).copy()
    return model


def _of_svraster(method: Any) -> VoxelSet:
    import torch

    from engine.cpu.shade import sh_rows
    from engine.methods.svraster.schedule import sh_degree

    density, groups = (
        np.array(torch.as_tensor(array).cpu().numpy(), dtype=np.float32)
        for array in (method.field.density, method.field.sh)
    )
    rows = sh_rows(groups, len(method.octree))[:, : n_coefficients(sh_degree(method.active, method.step))]
    return VoxelSet(
        method.octree, density, np.ascontiguousarray(rows), np.array(method.background), flatten(method.config),
        method.step,
    )  # fmt: skip


def _of_infnerf(method: Any, bake_options: Any, report: Progress | None) -> VoxelSet:
    from engine.methods.infnerf.bake import bake
    from engine.methods.svraster.background import Background

    baked = bake(method, bake_options, report)
    rgb = Background(method.scene.background).rgb
    return VoxelSet(
        baked.octree, baked.density, baked.sh, rgb, plain_values(round(baked.sh.shape[1] ** 0.5) - 1)
    )


def plain_values(degree: int) -> dict[str, Any]:
    """Return options of SVRaster for voxels that another method made."""
    from engine.methods.svraster.config import SVRasterConfig

    values = {"model.sh_degree": degree, "model.initial_level": 1}
    values |= {f"schedule.sh{d}_from": 0 for d in (1, 2, 3)}
    return flatten(build(SVRasterConfig, values))


def density_of(raw: np.ndarray) -> np.ndarray:
    """Return densities per unit of the octree: DENSITY_SCALE exp_linear(raw)."""
    knee = EXP_LINEAR_KNEE
    return DENSITY_SCALE * np.where(raw > knee, raw, knee * np.exp(np.minimum(raw, knee) / knee - 1.0))
