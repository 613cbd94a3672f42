# SPDX-License-Identifier: MIT
"""Drawing dense grids in stages, and the same with buffers that are allocated once. On a card or on the processor.

A sample stands for the way through one voxel and lies in its middle. For sparse grids and for training at full speed there are
better ways (`PlenoxelModel`, `create_method`); this one shows every stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from engine.errors import OptionError
from engine.plenoxels import kernels
from engine.plenoxels.rays import composite
from engine.plenoxels.settings import PlenoxelConfig
from engine.reference.voxel_rays import corners_of
from engine.sh import n_coefficients
from engine.shapes import check_shapes


class Crossings(NamedTuple):
    """Rays [N,3] with unit directions and the voxels that they cross."""

    rays_o: Tensor
    rays_d: Tensor
    voxels: kernels.Intersections


class PlenoxelsCUDARenderer:
    """The stages of drawing a dense grid of densities [X,Y,Z] and coefficients [X,Y,Z,3K] that fills a box."""

    def __init__(
        self,
        grid_shape: Sequence[int],
        sh_degree: int,
        bbox_min: Sequence[float] | Tensor,
        bbox_max: Sequence[float] | Tensor,
        max_samples_per_ray: int = 1024,
    ) -> None:
        checked = PlenoxelConfig(
            grid_shape=grid_shape, sh_degree=sh_degree, bbox_min=bbox_min, bbox_max=bbox_max
        )
        self.grid_shape, self.sh_degree = checked.grid_shape, sh_degree
        self.bbox_min, self.bbox_max = torch.tensor(checked.bbox_min), torch.tensor(checked.bbox_max)
        self.max_samples_per_ray = max_samples_per_ray
        self._crossings: Crossings | None = None

    def ray_voxel_intersect(
        self, ray_origins: Tensor, ray_directions: Tensor, near: float = 0.0, far: float = torch.inf
    ) -> Crossings:
        """Return the voxels that rays [N,3] cross between two distances."""
        rays_d = ray_directions / ray_directions.norm(dim=-1, keepdim=True)
        box = self.bbox_min.to(ray_origins), self.bbox_max.to(ray_origins)
        voxels = kernels.intersect_rays_voxels(
            ray_origins, rays_d, *box, grid_shape=self.grid_shape, near=near, far=far,
            max_intersections=self.max_samples_per_ray,
        )  # fmt: skip
        self._crossings = Crossings(ray_origins, rays_d, voxels)
        return self._crossings

    def sample_voxels(self, crossings: Crossings, density_grid: Tensor) -> tuple[Tensor, Tensor]:
        """Return points [N,S,3] in the middle of crossed voxels that show, and which of the ray's crossings each is [N,S].

        S is the most of any ray; -1 and the ray's origin stand where a ray has fewer.
        """
        rays_o, rays_d, voxels = crossings
        middle = 0.5 * (voxels.t_in + voxels.t_out)
        points = rays_o[:, None] + middle[..., None] * rays_d[:, None]
        there = torch.arange(middle.shape[1], device=middle.device) < voxels.counts[:, None]
        there &= self._density(density_grid, points).detach() > 0.0
        count = there.sum(dim=-1)
        most = int(count.max()) if len(count) else 0
        index = torch.argsort(~there, dim=-1, stable=True)[:, :most]  # those that show, in their order, first
        index = torch.where(torch.arange(most, device=index.device) < count[:, None], index, -1)
        t = torch.where(index >= 0, middle.gather(1, index.clamp(min=0)), 0.0)
        return rays_o[:, None] + t[..., None] * rays_d[:, None], index

    def interpolate_density(self, density_grid: Tensor, sample_points: Tensor) -> Tensor:
        """Return densities max(0, trilinear) [N,S] at points [N,S,3]."""
        return self._density(density_grid, sample_points)

    def _density(self, density_grid: Tensor, points: Tensor) -> Tensor:
        return torch.relu(self._features(density_grid[..., None], points)[..., 0])

    def interpolate_sh_coeffs(self, color_grid: Tensor, sample_points: Tensor) -> Tensor:
        """Return coefficients [N,S,3K] at points [N,S,3]."""
        return self._features(color_grid, sample_points)

    def evaluate_spherical_harmonics(self, directions: Tensor, sh_coeffs: Tensor) -> Tensor:
        """Return colours [M,3] of coefficients [M,3,K] along unit directions [M,3]."""
        return kernels.evaluate_sh(directions, sh_coeffs, self.sh_degree)

    def volume_render(
        self,
        densities: Tensor,  # [N,S]
        colors: Tensor,  # [N,S,3]
        sample_indices: Tensor,  # [N,S] from `sample_voxels`
        crossings: Crossings | None = None,  # None: those of the last `ray_voxel_intersect`
        background: Tensor | float = 0.0,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return rgb [N,3], depth [N] and weights [N,S]."""
        crossings = crossings or self._crossings
        if crossings is None:
            raise OptionError("volume_render() needs crossings; call ray_voxel_intersect() first.")
        slot, voxels = sample_indices.clamp(min=0), crossings.voxels
        t_in, t_out = voxels.t_in.gather(1, slot), voxels.t_out.gather(1, slot)
        gap = torch.where(sample_indices >= 0, t_out - t_in, 0.0)
        out = composite(densities * gap, colors, 0.5 * (t_in + t_out), background)
        return out["rgb"], out["depth"], out["weights"]

    def coordinates(self, points: Tensor) -> Tensor:
        """Return points [...,3] of the box in voxels: voxel i's centre at i."""
        low, high = self.bbox_min.to(points), self.bbox_max.to(points)
        return (points - low) / (high - low) * torch.tensor(self.grid_shape).to(points) - 0.5

    def _features(self, grid: Tensor, points: Tensor) -> Tensor:
        flat = self.coordinates(points).reshape(-1, 3)
        values = kernels.trilinear_interpolate(grid, flat, align_corners=True)
        return values.reshape(*points.shape[:-1], grid.shape[-1])


class CUDAOptimizedPlenoxels(nn.Module):
    """Draws dense grids with buffers that are allocated once, in chunks of `config.max_rays_per_batch` rays.

    Grids come with each call or are kept by `set_grids`. With gradients the buffers are left aside. A ray has at most
    `config.max_samples_per_ray` samples. The name is the document's; it works on every device.
    """

    def __init__(self, config: PlenoxelConfig, device: torch.device | str | None = None) -> None:
        super().__init__()
        self.config = config
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.cuda_renderer = PlenoxelsCUDARenderer(
            config.grid_shape, config.sh_degree, config.bbox_min, config.bbox_max, config.max_samples_per_ray
        )
        self.density_grid: Tensor | None = None
        self.color_grid: Tensor | None = None
        self.preallocate_memory()

    def preallocate_memory(self) -> None:
        """Allocate the buffers of a chunk of rays."""
        rays, samples = self.config.max_rays_per_batch, self.config.max_samples_per_ray
        features = 3 * n_coefficients(self.config.sh_degree)
        sizes = {
            "rgb_buffer": (rays, 3),
            "depth_buffer": (rays,),
            "weights_buffer": (rays, samples),
            "sample_points_buffer": (rays, samples, 3),
            "features_buffer": (rays * FEATURE_SHARE, features),
            "corner_buffer": (rays * FEATURE_SHARE, features),
        }
        for name, size in sizes.items():
            self.register_buffer(name, torch.empty(size, device=self.device), persistent=False)

    def set_grids(self, density_grid: Tensor, color_grid: Tensor, trainable: bool = False) -> None:
        """Keep densities [X,Y,Z] and coefficients [X,Y,Z,3K] for calls without grids; as parameters if `trainable`."""
        for name, grid in (("density_grid", density_grid), ("color_grid", color_grid)):
            if name in self.__dict__:
                delattr(self, name)
            setattr(self, name, nn.Parameter(grid.to(self.device), requires_grad=trainable))

    def render_cuda(
        self,
        density_grid: Tensor | None = None,  # [X,Y,Z]
        color_grid: Tensor | None = None,  # [X,Y,Z,3K]
        ray_origins: Tensor | None = None,  # [N,3]
        ray_directions: Tensor | None = None,  # [N,3]
        near: float | None = None,
        far: float | None = None,
    ) -> dict[str, Tensor]:
        """Return `rgb [N,3]`, `depth [N]`, `weights [N,S]` and `sample_points [N,S,3]`.

        `near` and `far` None take the configuration's. Without gradients the results are views of the buffers if N fits into one
        chunk: the next call overwrites them.
        """
        density_grid = self.density_grid if density_grid is None else density_grid
        color_grid = self.color_grid if color_grid is None else color_grid
        if density_grid is None or color_grid is None or ray_origins is None or ray_directions is None:
            raise OptionError(
                "render_cuda() needs density_grid, color_grid, ray_origins and ray_directions; set_grids() keeps grids."
            )
        columns = f"{' '.join(map(str, self.config.grid_shape))} {3 * n_coefficients(self.config.sh_degree)}"
        check_shapes(
            "render_cuda", color_grid=(color_grid, columns), rays_o=(ray_origins, "N 3"),
            rays_d=(ray_directions, "N 3"), density_grid=(density_grid, columns.rsplit(" ", 1)[0]),
        )  # fmt: skip
        bounds = (
            self.config.near_plane if near is None else near,
            self.config.far_plane if far is None else far,
        )
        chunk = self.config.max_rays_per_batch
        parts = [
            self._chunk(
                density_grid, color_grid, ray_origins[i : i + chunk], ray_directions[i : i + chunk], *bounds,
                to_keep=len(ray_origins) > chunk,
            )
            for i in range(0, max(len(ray_origins), 1), chunk)
        ]  # fmt: skip
        return parts[0] if len(ray_origins) <= chunk else _joined(parts)

    forward = render_cuda

    def _chunk(
        self,
        density: Tensor,
        color: Tensor,
        rays_o: Tensor,
        rays_d: Tensor,
        near: float,
        far: float,
        to_keep: bool,
    ) -> dict[str, Tensor]:
        """Return the results of some rays; those that are `to_keep` are not in the buffers, where the next come."""
        stages, degree = self.cuda_renderer, self.config.sh_degree
        crossings = stages.ray_voxel_intersect(rays_o, rays_d, near, far)
        points, index = stages.sample_voxels(crossings, density)
        sigma = stages.interpolate_density(density, points)
        there = index >= 0
        directions = crossings.rays_d[:, None].expand_as(points)[there]
        tracked = torch.is_grad_enabled() and (density.requires_grad or color.requires_grad)
        raw = (stages.interpolate_sh_coeffs if tracked else self._into_buffer)(color, points[there])
        seen = stages.evaluate_spherical_harmonics(
            directions.to(raw), raw.reshape(len(raw), 3, n_coefficients(degree))
        )
        colors = torch.zeros_like(points).to(seen).masked_scatter(there[..., None], seen)
        behind = self.config.background_brightness
        rgb, depth, weights = stages.volume_render(sigma, colors, index, crossings, behind)
        out = {"rgb": rgb, "depth": depth, "weights": weights, "sample_points": points}
        return out if tracked or to_keep else {name: self._kept(name, value) for name, value in out.items()}

    def _into_buffer(self, color: Tensor, points: Tensor) -> Tensor:
        """Return coefficients [M,3K] at points [M,3], gathered in a buffer corner by corner where they fit."""
        if len(points) > len(self.features_buffer) or color.dtype != self.features_buffer.dtype:
            return self.cuda_renderer.interpolate_sh_coeffs(color, points)
        at, weight = corners_of(self.cuda_renderer.coordinates(points), self.config.grid_shape)
        rows = color.detach().reshape(-1, color.shape[-1])
        total, one = self.features_buffer[: len(points)].zero_(), self.corner_buffer[: len(points)]
        for k in range(8):
            torch.index_select(rows, 0, at[:, k], out=one)
            total.addcmul_(one, weight[:, k : k + 1].to(total.dtype))
        return total

    def _kept(self, name: str, value: Tensor) -> Tensor:
        """Return a result in its buffer."""
        buffer = getattr(self, f"{name}_buffer")
        if value.dtype != buffer.dtype:
            return value
        view = buffer[tuple(slice(size) for size in value.shape)]
        return view.copy_(value.detach())


FEATURE_SHARE = 8  # rows of coefficients that are buffered per ray: the samples of a ray that show are few


def _joined(parts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return the results of chunks as one, ragged samples filled up with zeros."""
    most = max(part["weights"].shape[1] for part in parts)
    for part in parts:
        missing = most - part["weights"].shape[1]
        part["weights"] = nn.functional.pad(part["weights"], (0, missing))
        part["sample_points"] = nn.functional.pad(part["sample_points"], (0, 0, 0, missing))
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
