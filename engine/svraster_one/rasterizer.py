# SPDX-License-Identifier: MIT
"""The rasteriser of SVRaster One as a torch module: soft or hard pictures of a grid, and its stages one by one."""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor, nn

from engine.cameras import Camera
from engine.reference.sh import rgb_from_sh
from engine.render.rasterize import rasterize
from engine.shapes import check_shapes
from engine.svraster_one.settings import RenderingConfig
from engine.svraster_one.voxels import SparseVoxelGrid

SEEN = 1e-3  # where a pixel has lost less light, there is nothing to have a depth
_TINY = 1e-12


class DifferentiableVoxelRasterizer(nn.Module):
    """Pictures of a grid, differentiable in its parameters; soft ones in the camera's pose as well.

    `sigma` and `temperature` start with the configuration's and may be changed between pictures (annealing does).
    """

    def __init__(self, config: RenderingConfig | None = None) -> None:
        super().__init__()
        self.config = config or RenderingConfig()
        self.softness = 1.0  # sigma and temperature are multiplied by it: what annealing changes
        self.colour_dtype: torch.dtype | None = None  # what colours are computed in; None: as they are

    def forward(
        self,
        grid: SparseVoxelGrid,
        camera: Camera,  # engine units
        pose: Tensor | None = None,  # [4,4] engine units, stands for the camera's own
        extent: float = 1.0,  # scene units per engine unit
        soft: bool | None = None,
    ) -> dict[str, Tensor]:
        """Return `rgb [H,W,3]`, `depth [H,W]` in scene units, the mean of what is seen, and `alpha [H,W]`."""
        soft = self.config.soft_rasterization if soft is None else soft
        if pose is None:
            pose = torch.as_tensor(camera.world_from_cam)
        pose = pose.to(grid.densities)
        colours = self.colours(grid, pose)
        if soft:
            out = self.soft_rasterization(grid, colours, camera, pose, extent)
        else:
            out = self.hard_rasterization(grid, colours, camera)
        return finished(*out, extent)

    def colours(self, grid: SparseVoxelGrid, pose: Tensor) -> Tensor:
        """Return the colours [V,3] of the voxels as seen from a pose, differentiable in it."""
        towards = grid.centers - pose[:3, 3]
        directions = towards / towards.norm(dim=1, keepdim=True).clamp(min=_TINY)
        half, kind = self.colour_dtype, grid.densities.dtype
        amp = torch.autocast(grid.sh.device.type, half) if half is not None else contextlib.nullcontext()
        with amp:
            return rgb_from_sh(grid.sh.to(kind), directions, grid.sh_degree).to(kind)

    # --- the stages of the document -------------------------------------------------------------------------------

    def soft_rasterization(
        self, grid: SparseVoxelGrid, colours: Tensor, camera: Camera, pose: Tensor, extent: float = 1.0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return (rgb [H,W,3], trans [H,W], depth_z [H,W]) with Gaussian footprints and a soft order in depth."""
        from engine.render.soft_rasterize import soft_rasterize

        config = self.config
        blurred = config.temperature / extent * self.softness if config.use_soft_sorting else 0.0
        out = soft_rasterize(
            grid.octree, grid.densities, colours, camera,
            sigma=config.sigma * self.softness, temperature=blurred, order=config.soft_order,
            background=self.background(grid.densities), pose=pose, samples_per_voxel=config.samples_per_voxel,
        )  # fmt: skip
        return out.rgb, out.trans, out.depth_z

    def hard_rasterization(
        self, grid: SparseVoxelGrid, colours: Tensor, camera: Camera
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return (rgb, trans, depth_z) as the app draws: exact footprints, exact order."""
        out = rasterize(
            grid.octree, grid.densities, colours, camera, background=self.background(grid.densities),
            samples_per_voxel=self.config.samples_per_voxel, supersample=float(self.config.supersample),
        )  # fmt: skip
        return out.rgb, out.trans, out.depth_z

    def soft_depth_sorting(self, depths: Tensor, temperature: float | None = None) -> Tensor:
        """Return [N,N]: how much voxel j lies in front of voxel i, s((z_i - z_j) / temperature), of depths [N].

        s is the logistic function; the diagonal is 0. As the temperature falls this becomes the hard order's 0 and 1.
        """
        check_shapes("soft_depth_sorting", depths=(depths, "N"))
        temperature = self.config.temperature if temperature is None else temperature
        in_front = torch.sigmoid((depths[:, None] - depths[None]) / max(temperature, _TINY))
        return in_front * (1.0 - torch.eye(len(depths), dtype=depths.dtype, device=depths.device))

    def alpha_blending(self, alphas: Tensor, colours: Tensor, in_front: Tensor | None = None) -> Tensor:
        """Return the colour [3] that voxels of one ray make: sum_i alpha_i c_i prod_j (1 - alpha_j in_front_ij).

        `alphas [N]`, `colours [N,3]`, nearest first, or in any order with `in_front [N,N]` of `soft_depth_sorting`. Without
        a background.
        """
        check_shapes("alpha_blending", alphas=(alphas, "N"), colours=(colours, "N 3"))
        if in_front is None:
            in_front = torch.ones(len(alphas), len(alphas), dtype=alphas.dtype, device=alphas.device).tril(-1)
        received = (1.0 - alphas[None] * in_front).prod(dim=1)
        return ((alphas * received)[:, None] * colours).sum(dim=0)

    def background(self, like: Tensor) -> Tensor:
        """Return what pictures are laid over, [3]: black where they are not."""
        if not self.config.alpha_blending:
            return like.new_zeros(3)
        return like.new_tensor(self.config.background)


def finished(rgb: Tensor, trans: Tensor, depth_z: Tensor, extent: float) -> dict[str, Tensor]:
    """Return the document's dictionary of a picture. A pixel in which nothing is seen has depth 0."""
    alpha = 1.0 - trans
    mean = extent * depth_z / alpha.clamp(min=SEEN)
    return {"rgb": rgb, "depth": torch.where(alpha > SEEN, mean, torch.zeros_like(mean)), "alpha": alpha}
