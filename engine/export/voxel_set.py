# SPDX-License-Identifier: MIT
"""A scene as plain voxels of the SVRaster kind, whatever method learned it: what files are written of and read into."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.cameras import Camera
from engine.constants import DENSITY_SCALE, EXP_LINEAR_KNEE
from engine.conventions import move_pose
from engine.methods.common import Buffers
from engine.octree import Octree
from engine.options import build, flatten
from engine.sh import n_coefficients

if TYPE_CHECKING:
    from engine.datasets.scene import Scene
    from engine.methods.svraster.model import SVRaster


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
