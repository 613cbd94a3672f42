# SPDX-License-Identifier: MIT
"""The sparse grid of SVRaster One: the engine's octree and the parameters that live on it, as a torch module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from engine.constants import DENSITY_SCALE
from engine.morton import ijk_from_path, path_from_ijk
from engine.octree import Carry, Octree
from engine.reference.rasterize import exp_linear
from engine.sh import n_coefficients
from engine.shapes import check_shapes
from engine.svraster_one.settings import VoxelConfig

PRUNE_LENGTH = 1.0 / 32.0  # of the cube: what a voxel's density is judged over, whatever its own size
TYPICAL = 0.99  # quantile of the gradients that stands for the largest: one outlier must not decide

OnCarry = Callable[[Carry, Octree, Octree], None]  # (carry, old octree, new octree)


class MortonCode:
    """Interleaved coordinates of the finest lattice, 0..65535 an axis: ascending codes are Morton order."""

    @staticmethod
    def encode(ijk: Tensor) -> Tensor:
        """Return codes int64 [N] of lattice coordinates [N,3]."""
        check_shapes("MortonCode.encode", ijk=(ijk, "N 3"))
        return torch.from_numpy(path_from_ijk(ijk.cpu().numpy())).to(ijk.device)

    @staticmethod
    def decode(code: Tensor) -> Tensor:
        """Return lattice coordinates int32 [N,3] of codes [N]."""
        return torch.from_numpy(ijk_from_path(code.cpu().numpy())).to(code.device)


class SparseVoxelGrid(nn.Module):
    """Leaves of an octree with densities at their shared corners and colours of their own.

    Parameters: `densities [G]` raw, at the grid points of `octree`; `sh [V,K,3]`. A structure change replaces both by new
    parameters and calls every function in `carriers` with (carry, old octree, new octree), so that optimisers move along.
    """

    def __init__(self, config: VoxelConfig | None = None, octree: Octree | None = None) -> None:
        super().__init__()
        self.config = config or VoxelConfig()
        self.carriers: list[OnCarry] = []
        if octree is None:
            octree = Octree.dense(self.config.start_level, self.config.outside_levels)
        coefficients = n_coefficients(self.config.sh_degree)
        self.octree = octree
        self._note_structure()
        self.densities = nn.Parameter(torch.full((octree.n_points,), self.config.initial_density))
        self.sh = nn.Parameter(torch.zeros(len(octree), coefficients, 3))

    def __len__(self) -> int:
        """The number of voxels V."""
        return len(self.octree)

    @property
    def sh_degree(self) -> int:
        """The degree of the colours."""
        return round(self.sh.shape[1] ** 0.5) - 1

    @property
    def corner_idx(self) -> Tensor:
        """The rows int64 [V,8] of each voxel's corners in `densities`, on their device."""
        if self._corners is None or self._corners.device != self.densities.device:
            self._corners = torch.from_numpy(self.octree.corner_idx).to(self.densities.device).long()
        return self._corners

    @property
    def centers(self) -> Tensor:
        """Centres [V,3] in engine units, where the cube has edge 1 and the origin is its middle."""
        if (
            self._centers is None
            or self._centers.device != self.densities.device
            or self._centers.dtype != self.densities.dtype
        ):
            self._centers = torch.from_numpy(self.octree.center).to(self.densities)
        return self._centers

    # --- values per voxel -----------------------------------------------------------------------------------------

    @property
    def voxel_features(self) -> Tensor:
        """A row [V, 1 + 3 K] per voxel: its mean raw density, then its coefficients, coefficient by coefficient.

        Made anew each time, without a graph. Its `.grad` is that of the parameters, None before a backward pass: column 0 is
        what the loss changes by when all eight corners of the voxel, and so its mean density, rise together.
        """
        with torch.no_grad():
            mean = self.densities[self.corner_idx].mean(dim=1, keepdim=True)
            features = torch.cat([mean, self.sh.to(mean.dtype).flatten(1)], dim=1)
            if self.densities.grad is not None or self.sh.grad is not None:
                features.grad = torch.cat(
                    [self.density_gradient()[:, None], self._gradient_of("sh").to(mean.dtype).flatten(1)],
                    dim=1,
                )
        return features

    def density_gradient(self) -> Tensor:
        """Return [V]: what the loss changes by when a voxel's mean density rises, 0 before a backward pass."""
        return self._gradient_of("densities")[self.corner_idx].sum(dim=1)

    def _gradient_of(self, name: str) -> Tensor:
        parameter = getattr(self, name)
        return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad

    def voxel_data(self) -> dict[str, Tensor]:
        """Return what the losses look at, differentiable.

        `densities [V]` per engine unit, at the corners' mean; `optical_depth [V]` across an edge; `opacity [V]` of it, 0 to 1;
        `corners [V,8]` raw; `gradients [V,3]` of the raw density inside the voxel, in voxels; `features [V,1+3K]`.
        """
        corners = self.densities[self.corner_idx]
        mean = corners.mean(dim=1)
        densities = DENSITY_SCALE * exp_linear(mean)
        depth = densities * torch.from_numpy(self.octree.size).to(densities)
        cube = corners.reshape(-1, 2, 2, 2)
        along = [cube.movedim(axis, 1).flatten(2).mean(dim=2) for axis in (1, 2, 3)]
        gradients = torch.stack([face[:, 1] - face[:, 0] for face in along], dim=1)
        features = torch.cat([mean[:, None], self.sh.to(mean.dtype).flatten(1)], dim=1)
        return {
            "densities": densities, "optical_depth": depth, "opacity": -torch.expm1(-depth), "corners": corners,
            "gradients": gradients, "features": features,
        }  # fmt: skip

    @torch.no_grad()
    def prunable_opacity(self) -> Tensor:
        """Return [V]: how opaque each voxel's densest corner would make a thirty-second of the cube."""
        densest = self.densities[self.corner_idx].amax(dim=1)
        return -torch.expm1(-DENSITY_SCALE * PRUNE_LENGTH * exp_linear(densest))

    # --- structure ------------------------------------------------------------------------------------------------

    def adaptive_subdivision(self, gradient_magnitudes: Tensor) -> int:
        """Split voxels by their gradients [V]; return how many were split.

        Split are those above `subdivision_threshold` times the largest (99th percentile of those above 0), the highest first,
        while `max_voxels` allows the seven that each split adds, and down to `grid_resolution`.
        """
        check_shapes("adaptive_subdivision", gradient_magnitudes=(gradient_magnitudes, str(len(self))))
        config = self.config
        size = gradient_magnitudes.detach().abs().double().cpu().numpy()
        if not config.adaptive_subdivision or not np.any(size > 0.0):
            return 0
        typical = np.quantile(size[size > 0.0], TYPICAL)
        level = self.octree.level.astype(np.int64) - config.outside_levels
        mask = (size > config.subdivision_threshold * typical) & (level < config.finest_level)
        most = max(0, (config.max_voxels - len(self)) // 7)
        chosen = np.flatnonzero(mask)
        if len(chosen) > most:
            chosen = chosen[np.argsort(-size[chosen], kind="stable")[:most]]
        mask[:] = False
        mask[chosen] = True
        if mask.any():
            self.move_to(*self.octree.subdivide(mask))
        return int(mask.sum())

    def adaptive_pruning(self) -> int:
        """Drop voxels of low density (see `VoxelConfig`), never the last one; return how many were dropped."""
        opacity = self.prunable_opacity().cpu().numpy()
        keep = opacity >= self.config.sparsity_threshold
        return self.keep(keep if keep.any() else opacity == opacity.max())

    def keep(self, mask: np.ndarray | Tensor) -> int:
        """Keep the voxels where `mask [V]` is true and drop the others; return how many were dropped."""
        mask = mask.cpu().numpy() if isinstance(mask, Tensor) else np.asarray(mask)
        dropped = int(len(self) - np.count_nonzero(mask))
        if dropped:
            self.move_to(*self.octree.keep(mask))
        return dropped

    def sort_by_morton(self) -> Tensor:
        """Return the order [V] that puts the voxels into Morton order: always 0, 1, 2 ..., for they never leave it.

        Structure changes keep the order, and voxels from files are sorted as they come in.
        """
        return torch.from_numpy(np.argsort(self.octree.path, kind="stable"))

    def move_to(self, octree: Octree, carry: Carry) -> None:
        """Move to another structure with every value, and tell the `carriers`."""
        device, before = self.densities.device, self.octree
        voxel_from = torch.from_numpy(carry.voxel_from).to(device).long()
        with torch.no_grad():
            densities = carry_points(self.densities.detach(), carry)
            sh = self.sh.detach()[voxel_from]
        self.replace(octree, densities, sh)
        for carrier in list(self.carriers):
            carrier(carry, before, octree)

    def replace(self, octree: Octree, densities: Tensor, sh: Tensor) -> None:
        """Take over another structure with values of its own: densities [G], sh [V,K,3]."""
        check_shapes(
            "SparseVoxelGrid.replace",
            densities=(densities, str(octree.n_points)), sh=(sh, f"{len(octree)} K 3"),
        )  # fmt: skip
        trained = self.densities.requires_grad, self.sh.requires_grad
        self.octree = octree
        self._note_structure()
        self.densities = nn.Parameter(densities.contiguous(), requires_grad=trained[0])
        self.sh = nn.Parameter(sh.contiguous(), requires_grad=trained[1])

    def set_colour_dtype(self, dtype: torch.dtype) -> None:
        """Hold colours in another precision: float16 to save memory, float32 to train on."""
        if self.sh.dtype != dtype:
            self.replace(self.octree, self.densities.detach(), self.sh.detach().to(dtype))

    def forget_tables(self) -> None:
        """Let go of tables that are made again when they are needed."""
        self._corners: Tensor | None = None
        self._centers: Tensor | None = None

    def _note_structure(self) -> None:
        self.forget_tables()
        for name, array in (("path", self.octree.path), ("level", self.octree.level)):
            self.register_buffer(name, torch.from_numpy(array))
        self.register_buffer("root_size", torch.tensor(self.octree.root_size))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Take over a state of whatever structure."""
        names = ("path", "level", "root_size", "densities", "sh")
        if all(prefix + name in state_dict for name in names):
            path, level, root, densities, sh = (state_dict[prefix + name] for name in names)
            octree = Octree.from_leaves(path.cpu().numpy(), level.cpu().numpy(), float(root))
            to = self.densities
            self.replace(octree, densities.detach().clone().to(to), sh.detach().clone().to(to.device))
        super()._load_from_state_dict(state_dict, prefix, *args)


def carry_points(values: Tensor, carry: Carry) -> Tensor:
    """Return per-point values [G'] of a new structure from those [G] of the old one."""
    point_from = torch.from_numpy(carry.point_from).to(values.device).long()
    weight = torch.from_numpy(carry.point_weight).to(values)
    return (values[point_from] * weight).sum(dim=1)
