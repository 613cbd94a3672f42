# SPDX-License-Identifier: MIT
"""A Plenoxels model as a torch module: densities and colours of a sparse grid, drawn by marching, differentiable.

Which samples of a ray count is found first, without gradients and without touching a colour; then only those are
computed with gradients. So the cost is that of the few samples near surfaces, and nothing of [rays, steps, coefficients]
is held. For training at full speed there is `engine.methods` (`create_method("plenoxels", scene)`); this module is for
losses of one's own, other optimisers, research.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint as recompute

from engine.plenoxels import kernels
from engine.plenoxels.rays import composite, sample_points_along_rays
from engine.plenoxels.settings import PlenoxelConfig
from engine.plenoxels.total_variation import total_variation
from engine.plenoxels.voxels import compute_voxel_occupancy_stats, numbered, occupied_voxels
from engine.reference.voxel_rays import corners_of, span_in_box
from engine.sh import n_coefficients
from engine.shapes import check_shapes


class PlenoxelModel(nn.Module):
    """A sparse grid of voxels. Parameters: `density [V]` raw, per unit of length, and `sh [V,3,K]`.

    `links [X,Y,Z]` int32 holds the row of each voxel or -1; an empty voxel reads as 0. Interpolation comes first, then
    max(0, density) and max(0, 0.5 + colour). A model begins dense, at `config.resolution_at(0)`.
    """

    def __init__(self, config: PlenoxelConfig | None = None) -> None:
        super().__init__()
        self.config = (config or PlenoxelConfig()).copy()
        self.colour_dtype: torch.dtype | None = None  # what colours are computed in; None: as they are
        resolution = self.config.resolution_at(0)
        count = resolution[0] * resolution[1] * resolution[2]
        bounds = torch.tensor(self.config.scene_bounds).reshape(2, 3)
        self.register_buffer("bounds", bounds, persistent=False)
        self.register_buffer("links", torch.arange(count, dtype=torch.int32).reshape(resolution))
        self.density = nn.Parameter(torch.full((count,), self.config.initial_density))
        self.sh = nn.Parameter(torch.zeros(count, 3, n_coefficients(self.config.sh_degree)))

    @property
    def resolution(self) -> tuple[int, int, int]:
        """Voxels along X, Y, Z."""
        x, y, z = self.links.shape
        return x, y, z

    # --- drawing --------------------------------------------------------------------------------------------------

    def forward(
        self,
        rays_o: Tensor,  # [N,3]
        rays_d: Tensor,  # [N,3]
        num_samples: int | None = None,
        background: Tensor | float | None = None,
    ) -> dict[str, Tensor]:
        """Return `rgb [N,3]`, `depth [N]`, `weights [N,S]`, `alpha [N]` and `t_vals [N,S]` of rays, all differentiable.

        Rays are sampled every `config.step_size` voxels, or `num_samples` times evenly within the box. S are the samples that
        count, those of density above `config.density_threshold` before the light is gone; weights are 0 beyond a ray's
        own. `depth` is the expected distance in world units, not divided by `alpha`, which is what the ray has lost of its
        light. `background` None takes `config.background_brightness`.
        """
        check_shapes("PlenoxelModel", rays_o=(rays_o, "N 3"), rays_d=(rays_d, "N 3"))
        background = self.config.background_brightness if background is None else background
        chunk = self.config.max_rays_per_batch
        if len(rays_o) <= chunk and not self.config.use_gradient_checkpointing:
            return self._march(rays_o, rays_d, num_samples, background)
        parts = []
        for i in range(0, max(len(rays_o), 1), chunk):
            behind = background[i : i + chunk] if _per_ray(background) else background
            rays = rays_o[i : i + chunk], rays_d[i : i + chunk], num_samples, behind
            again = self.config.use_gradient_checkpointing and torch.is_grad_enabled()
            parts.append(recompute(self._march, *rays, use_reentrant=False) if again else self._march(*rays))
        most = max(part["weights"].shape[1] for part in parts)
        for part in parts:
            for name in ("weights", "t_vals"):
                part[name] = nn.functional.pad(part[name], (0, most - part[name].shape[1]))
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def _march(
        self, rays_o: Tensor, rays_d: Tensor, num_samples: int | None, background: Tensor | float
    ) -> dict[str, Tensor]:
        frame = kernels.in_grid(rays_o, rays_d, *self.bounds.to(rays_o), self.resolution)
        with torch.no_grad():
            t, gap, there = self._samples(frame, num_samples)
        ray = torch.arange(len(t), device=t.device)[:, None].expand_as(t)[there]
        points = frame.rays_o[ray] + t[there][:, None] * frame.rays_d[ray]
        rows, weight = self._corners(points)
        sigma = torch.relu(kernels.gather_rows(self.density[:, None], rows, weight)[:, 0])
        unit = rays_d / rays_d.norm(dim=-1, keepdim=True)
        basis = kernels.compute_sh_basis(unit.to(sigma.dtype), self.config.sh_degree)
        rgb = self._colours(rows, weight, basis[ray])
        world = frame.world[:, None] * t
        depth = torch.zeros_like(world).to(sigma).masked_scatter(there, sigma * (frame.world[ray] * gap[ray]))
        colour = torch.zeros(*t.shape, 3, dtype=rgb.dtype, device=t.device)
        colour = colour.masked_scatter(there[..., None], rgb)
        return {**composite(depth, colour, world, background), "t_vals": world}

    def _samples(self, frame: kernels.Frame, num_samples: int | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return places t [N,S] in voxels, the way [N] that a sample stands for, and which are there [N,S]."""
        config, bounds = self.config, (self.config.near_plane, self.config.far_plane)
        if num_samples is None:
            most = int(np.ceil(np.linalg.norm(self.resolution) / config.step_size)) + 2
            t, counts = kernels.live_samples(
                frame, bounds, config.step_size, self.links, self.density, config.density_threshold,
                config.stop_threshold, most,
            )  # fmt: skip
            there = torch.arange(t.shape[1], device=t.device) < counts[:, None]
            return t, torch.full_like(frame.world, config.step_size), there
        first, last = span_in_box(*frame[:2], self.resolution, *(b / frame.world for b in bounds))
        gap = (last - first).clamp(min=0.0) / num_samples
        points, t = sample_points_along_rays(
            frame.rays_o, frame.rays_d, first + 0.5 * gap, last - 0.5 * gap, num_samples
        )
        inside = (gap > 0.0)[:, None].expand_as(t)
        rows, weight = self._corners(torch.where(inside[..., None], points, 0.0).reshape(-1, 3))
        sigma = kernels.gather_rows(self.density[:, None], rows, weight).reshape(t.shape)
        return torch.where(inside, t, 0.0), gap, inside & (sigma > config.density_threshold)

    def _corners(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return rows [M,8] and weights [M,8] of points in grid coordinates; empty voxels have weight 0."""
        at, weight = corners_of(points, self.resolution)
        rows = self.links.reshape(-1)[at].long()
        return rows.clamp(min=0), torch.where(rows >= 0, weight, 0.0).to(self.density.dtype)

    def _colours(self, rows: Tensor, weight: Tensor, basis: Tensor) -> Tensor:
        half = self.colour_dtype
        amp = torch.autocast(rows.device.type, half) if half is not None else contextlib.nullcontext()
        raw = kernels.gather_rows(self.sh.flatten(1), rows, weight).reshape(-1, *self.sh.shape[1:])
        with amp:
            return kernels.colours(basis.to(raw.dtype), raw).to(weight.dtype)

    # --- structure ------------------------------------------------------------------------------------------------

    def get_occupancy_stats(self) -> dict[str, float]:
        """Return `occupied_voxels`, `total_voxels`, `sparsity_ratio` = empty / total; see `compute_voxel_occupancy_stats`.

        A voxel is occupied if it has a row and its density is above 0.
        """
        return compute_voxel_occupancy_stats(self.dense_density())

    def dense_density(self) -> Tensor:
        """Return the densities [X,Y,Z] without gradient, 0 where there is no voxel."""
        values = self.density.detach()[self.links.long().clamp(min=0)] if len(self.density) else 0.0
        return torch.where(self.links >= 0, values, 0.0)

    def prune_voxels(self, threshold: float | None = None, dilation: int = 1) -> Tensor:
        """Drop voxels of density up to `threshold`, unless a denser one is within `dilation` voxels; return what was kept.

        The kept rows [V'] int64 are those of the voxels before, in their new order: what an optimiser has to carry.
        `threshold` None takes `config.sparsity_threshold`. The parameters are new objects afterwards.
        """
        threshold = self.config.sparsity_threshold if threshold is None else threshold
        keep = occupied_voxels(self.dense_density(), threshold, dilation) & (self.links >= 0)
        rows = self.links[keep].long()
        self._replace(numbered(keep), self.density.detach()[rows], self.sh.detach()[rows])
        return rows

    def upsample(self, resolution: tuple[int, int, int], threshold: float | None = None) -> None:
        """Move to another resolution, interpolating, and drop what is then below `threshold`; see `prune_voxels`."""
        threshold = self.config.sparsity_threshold if threshold is None else threshold
        scale = torch.tensor(self.resolution, device=self.links.device) / torch.tensor(
            resolution, device=self.links.device
        )
        with torch.no_grad():
            density = torch.cat([
                self._at_centres(_slab(x, resolution, self.links.device), scale, self.density[:, None])[:, 0]
                for x in range(resolution[0])
            ]).reshape(resolution)  # fmt: skip
            keep = occupied_voxels(density, threshold)
            sh = torch.cat([
                self._at_centres(slab[keep[x].reshape(-1)], scale, self.sh.flatten(1))
                for x in range(resolution[0])
                for slab in (_slab(x, resolution, self.links.device),)
            ])  # fmt: skip
        self._replace(numbered(keep), density[keep], sh.reshape(-1, *self.sh.shape[1:]))

    def _at_centres(self, voxels: Tensor, scale: Tensor, rows: Tensor) -> Tensor:
        """Return values at the centres of voxels [M,3] of a grid whose voxels are `scale` times as large."""
        at, weight = self._corners(((voxels + 0.5) * scale - 0.5).to(self.density.dtype))
        return kernels.gather_rows(rows, at, weight)

    def _replace(self, links: Tensor, density: Tensor, sh: Tensor) -> None:
        trained = self.density.requires_grad, self.sh.requires_grad
        self.links = links
        self.density = nn.Parameter(density.contiguous(), requires_grad=trained[0])
        self.sh = nn.Parameter(sh.contiguous(), requires_grad=trained[1])

    def total_variation(self, share: float = 0.01, generator: torch.Generator | None = None) -> Tensor:
        """Return the mean total variation of densities and colours over a run of voxels drawn at random."""
        return total_variation(self.links, self.density, self.sh.flatten(1), share, generator)

    # --- files ----------------------------------------------------------------------------------------------------

    def load_state_dict(self, state_dict: dict[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Take over parameters, of whatever resolution and number of voxels they are."""
        if {"links", "density", "sh"} <= set(state_dict):
            self._replace(*(state_dict[name].detach().clone() for name in ("links", "density", "sh")))
        return super().load_state_dict(state_dict, strict, assign)

    def save_npz(self, path: str | Path) -> None:
        """Write the public Plenoxels file; see `engine.methods.plenoxels.npz`. Colours are rounded to 16 bits."""
        from engine.methods.plenoxels.npz import FILE_FROM_ENGINE, StoredGrid, write

        low, high = self.bounds.double().cpu().numpy()
        arrays = (a.detach().cpu().numpy() for a in (self.links, self.density, self.sh.flatten(1)))
        stored = StoredGrid(*arrays, center=0.5 * (low + high), radius=0.5 * (high - low))
        write(path, stored.scaled(1.0 / FILE_FROM_ENGINE))  # this model's units are the file's

    @classmethod
    def from_npz(cls, path: str | Path, **values: Any) -> PlenoxelModel:
        """Return the model of a public Plenoxels file, in its units; `values` are further settings of the model.

        Raises CheckpointError in one sentence. A background of spheres is left out.
        """
        from engine.methods.plenoxels.npz import FILE_FROM_ENGINE, read

        stored = read(path).scaled(FILE_FROM_ENGINE)
        coefficients = stored.sh.shape[1] // 3
        corners = (*(stored.center - stored.radius), *(stored.center + stored.radius))
        config = PlenoxelConfig(
            grid_resolution=(2, 2, 2), scene_bounds=corners, use_coarse_to_fine=False,
            **{"sh_degree": round(coefficients**0.5) - 1, **values},
        )  # fmt: skip
        model = cls(config)
        links = np.where(stored.links >= 0, stored.links, -1).astype(np.int32)
        sh = stored.sh.reshape(-1, 3, coefficients)
        model._replace(*(torch.from_numpy(a) for a in (links, stored.density, sh)))
        model.config.grid_resolution = model.resolution
        return model


def _slab(x: int, resolution: tuple[int, int, int], device: torch.device) -> Tensor:
    """Return the indices [Y Z,3] of the voxels with this x, z fastest."""
    y, z = (torch.arange(side, device=device) for side in resolution[1:])
    return torch.cartesian_prod(torch.tensor([x], device=device), y, z)


def _per_ray(background: Tensor | float) -> bool:
    return isinstance(background, Tensor) and background.ndim == 2
