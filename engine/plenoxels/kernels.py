# SPDX-License-Identifier: MIT
"""The steps of drawing a voxel grid, by the names of the document; the device of the tensors decides who computes them.

Walking along rays is Numba's on the processor and torch's elsewhere; interpolation and colours are torch's everywhere, and
differentiable. Axes are X, Y, Z. Rays need not have unit length; distances are along them in world units.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from engine.errors import OptionError
from engine.reference import voxel_rays
from engine.sh import MAX_DEGREE, n_coefficients, sh_basis
from engine.shapes import check_shapes

STOP_TRANSMITTANCE = 1e-4  # early termination: what is behind changes a pixel by less than this


class Intersections(NamedTuple):
    """Voxels that rays cross, front to back: `voxel_indices [N,S,3]` int32 x y z, -1 beyond `counts [N]`.

    A ray is in a voxel from `t_in` to `t_out [N,S]`, world units; both are 0 beyond `counts`.
    """

    voxel_indices: Tensor
    t_in: Tensor
    t_out: Tensor
    counts: Tensor


class Frame(NamedTuple):
    """Rays in grid coordinates: `rays_o`, unit `rays_d [N,3]`, and `world [N]`, world units per unit of length there."""

    rays_o: Tensor
    rays_d: Tensor
    world: Tensor


def _on_processor(rays: Tensor) -> bool:
    """Say whether Numba can work on a tensor's memory."""
    return rays.device.type == "cpu"


def in_grid(
    rays_o: Tensor, rays_d: Tensor, bbox_min: Tensor, bbox_max: Tensor, resolution: tuple[int, int, int]
) -> Frame:
    """Return rays [N,3] in the coordinates of a grid that fills a box: voxel i's centre at i."""
    sides = torch.tensor(resolution, device=rays_o.device, dtype=rays_o.dtype)
    scale = sides / (bbox_max - bbox_min)
    direction = rays_d * scale
    length = direction.norm(dim=-1, keepdim=True)
    world = rays_d.norm(dim=-1) / length[:, 0]
    return Frame((rays_o - bbox_min) * scale - 0.5, direction / length, world)


def live_samples(
    frame: Frame,
    bounds: tuple[float, float],
    step: float,  # voxels
    links: Tensor | None,  # [X,Y,Z], None: densities are dense
    density: Tensor,  # [rows], dense: [X,Y,Z]
    threshold: float,
    stop: float,
    most: int,
) -> tuple[Tensor, Tensor]:
    """Return `t [N,most]` in grid units and `counts [N]`: the samples whose density is above the threshold."""
    resolution = tuple((density if links is None else links).shape)
    if frame.rays_o.is_cuda:
        if links is None:
            links = torch.arange(density.numel(), device=density.device).reshape(resolution)
        return voxel_rays.live_samples(
            *frame, bounds, step, links, density.reshape(-1), threshold, stop, most
        )
    from engine.cpu import voxel_rays as cpu
    from engine.cpu.crew import crew

    arrays = (a.detach().double().contiguous().numpy() for a in frame)
    links_array = cpu.NO_LINKS if links is None else links.contiguous().numpy()
    values = density.detach().float().contiguous().numpy()
    t, counts = cpu.live_samples(
        crew(), *arrays, bounds, step, links_array, values, resolution, threshold, stop, most
    )
    longest = int(counts.max(initial=0))
    return torch.from_numpy(t[:, :longest]).to(frame.rays_o.dtype), torch.from_numpy(counts).long()


def sample_voxel_grid(
    density_grid: Tensor,  # [X,Y,Z] density per world unit
    ray_origins: Tensor,  # [N,3]
    ray_directions: Tensor,  # [N,3]
    bbox_min: Tensor,  # [3]
    bbox_max: Tensor,  # [3]
    step_size: float = 0.01,  # world units
    max_samples_per_ray: int = 512,
    early_termination: bool = True,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return points [M,3], the ray of each [M] int64, and their distances [M]: ray after ray, front to back.

    Rays are sampled where they enter the box and then every `step_size`, where the trilinear density is above 0; with
    `early_termination` until less than 1e-4 of the light is left. A box that is not cubic has a step of its own per ray.
    No gradients.
    """
    check_shapes(
        "sample_voxel_grid",
        density_grid=(density_grid, "X Y Z"),
        ray_origins=(ray_origins, "N 3"),
        ray_directions=(ray_directions, "N 3"),
    )
    if not step_size > 0.0:
        raise OptionError(f"sample_voxel_grid(): step_size must be above 0, got {step_size}.")
    box = (
        torch.as_tensor(b, dtype=ray_origins.dtype, device=ray_origins.device) for b in (bbox_min, bbox_max)
    )
    frame = in_grid(ray_origins, ray_directions, *box, tuple(density_grid.shape))
    # The samplers step alike on all rays, so rays are scaled until a step of each is a step in the world.
    stretch = frame.world[:, None]
    even = Frame(frame.rays_o, frame.rays_d / stretch, torch.ones_like(frame.world))
    stop = STOP_TRANSMITTANCE if early_termination else 0.0
    t, counts = live_samples(
        even, (0.0, torch.inf), step_size, None, density_grid, 0.0, stop, max_samples_per_ray
    )
    there = torch.arange(t.shape[1], device=t.device) < counts[:, None]
    ray = torch.arange(len(t), device=t.device)[:, None].expand_as(t)[there]
    distance = t[there]
    unit = ray_directions / ray_directions.norm(dim=-1, keepdim=True)
    return ray_origins[ray] + distance[:, None] * unit[ray], ray, distance


def trilinear_interpolate(
    feature_grid: Tensor,  # [X,Y,Z,F]
    coordinates: Tensor,  # [M,3] in voxels
    align_corners: bool = False,
) -> Tensor:
    """Return features [M,F], differentiable in the grid and in the coordinates.

    With `align_corners` coordinates are 0 to R - 1, the value of voxel i at i. Without, they are 0 to R and the value of
    voxel i lies at i + 0.5, its centre. Beyond the outermost values the nearest holds.
    """
    check_shapes(
        "trilinear_interpolate", feature_grid=(feature_grid, "X Y Z F"), coordinates=(coordinates, "M 3")
    )
    coordinates = coordinates if align_corners else coordinates - 0.5
    at, weight = voxel_rays.corners_of(coordinates, tuple(feature_grid.shape[:3]))
    return gather_rows(feature_grid.reshape(-1, feature_grid.shape[3]), at, weight)


class _GatherRows(torch.autograd.Function):
    """The weighted sum of eight rows. torch's own way back of `embedding_bag` sorts all rows and takes five times as long."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, at: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(rows, at, weight)
        return torch.nn.functional.embedding_bag(at, rows, mode="sum", per_sample_weights=weight)

    @staticmethod
    def backward(ctx: Any, v_out: Tensor) -> tuple[Tensor | None, None, Tensor | None]:
        rows, at, weight = ctx.saved_tensors
        v_rows = torch.zeros_like(rows) if ctx.needs_input_grad[0] else None
        v_weight = torch.zeros_like(weight) if ctx.needs_input_grad[2] else None
        for k in range(
            at.shape[1]
        ):  # in a fixed order, so on the processor the same run gives the same numbers
            if v_rows is not None:
                v_rows.index_add_(0, at[:, k], v_out * weight[:, k : k + 1])
            if v_weight is not None:
                v_weight[:, k] = (rows[at[:, k]] * v_out).sum(dim=1)
        return v_rows, None, v_weight


def gather_rows(rows: Tensor, at: Tensor, weight: Tensor) -> Tensor:
    """Return sum_k weight[m,k] rows[at[m,k]] as [M,F]; rows of another precision are converted one by one."""
    if rows.dtype != weight.dtype and not rows.requires_grad:
        return (weight[..., None] * rows[at].to(weight.dtype)).sum(dim=1)
    return _GatherRows.apply(rows, at, weight.to(rows.dtype))


def compute_sh_basis(directions: Tensor, sh_degree: int) -> Tensor:
    """Return the basis [N,K], K = (degree + 1)^2, of unit directions [N,3]."""
    check_shapes("compute_sh_basis", directions=(directions, "N 3"))
    return sh_basis(directions, sh_degree)


def evaluate_sh(
    directions: Tensor,  # [N,3] unit
    sh_coeffs: Tensor,  # [N,3,K]
    sh_degree: int,
    activate: bool = True,
) -> Tensor:
    """Return colours [N,3] = max(0, 0.5 + sum_k basis_k coeffs_k); without `activate` only the sum.

    The degree decides how many coefficients there are: K must be (degree + 1)^2.
    """
    if not 0 <= sh_degree <= MAX_DEGREE:
        raise OptionError(f"evaluate_sh(): sh_degree must be 0 to {MAX_DEGREE}, got {sh_degree}.")
    wanted = f"N 3 {n_coefficients(sh_degree)}"
    check_shapes("evaluate_sh", directions=(directions, "N 3"), sh_coeffs=(sh_coeffs, wanted))
    return colours(sh_basis(directions, sh_degree), sh_coeffs, activate)


def colours(basis: Tensor, sh_coeffs: Tensor, activate: bool = True) -> Tensor:
    """Return what `evaluate_sh` does, of a basis [N,K] that is there already."""
    total = torch.einsum("nk,nck->nc", basis, sh_coeffs)
    return torch.relu(total + 0.5) if activate else total


def intersect_rays_voxels(
    ray_origins: Tensor,  # [N,3]
    ray_directions: Tensor,  # [N,3]
    bbox_min: Tensor,  # [3]
    bbox_max: Tensor,  # [3]
    voxel_size: float | Tensor | None = None,  # world units, one number or [3]
    grid_shape: tuple[int, int, int] | Tensor | None = None,
    max_intersections: int = 1024,
    near: float = 0.0,
    far: float = torch.inf,
) -> Intersections:
    """Return the voxels that each ray crosses, front to back. One of `voxel_size` and `grid_shape` may be left out.

    Raises OptionError if both are given and do not fill the box together. No gradients.
    """
    check_shapes(
        "intersect_rays_voxels",
        ray_origins=(ray_origins, "N 3"),
        ray_directions=(ray_directions, "N 3"),
    )
    like = dict(dtype=ray_origins.dtype, device=ray_origins.device)
    bbox_min, bbox_max = torch.as_tensor(bbox_min).to(**like), torch.as_tensor(bbox_max).to(**like)
    resolution = _resolution(bbox_max - bbox_min, voxel_size, grid_shape)
    frame = in_grid(ray_origins, ray_directions, bbox_min, bbox_max, resolution)
    rays_d = frame.rays_d / frame.world[:, None]  # so that t is a distance in the world
    if not _on_processor(ray_origins):
        found = voxel_rays.crossed_voxels(frame.rays_o, rays_d, (near, far), resolution, max_intersections)
        return Intersections(*found)
    from engine.cpu import voxel_rays as cpu
    from engine.cpu.crew import crew

    arrays = (a.detach().double().contiguous().numpy() for a in (frame.rays_o, rays_d))
    found = cpu.crossed_voxels(crew(), *arrays, (float(near), float(far)), resolution, max_intersections)
    voxel, t_in, t_out, counts = (torch.from_numpy(a) for a in found)
    return Intersections(voxel, t_in.to(**like), t_out.to(**like), counts.long())


def _resolution(extent: Tensor, size: float | Tensor | None, shape: object) -> tuple[int, int, int]:
    if size is None and shape is None:
        raise OptionError("intersect_rays_voxels(): voxel_size or grid_shape is needed, got neither.")
    if shape is None:
        sides = (extent / torch.as_tensor(size).to(extent)).round()
    else:
        sides = torch.as_tensor(shape).to(extent)
    if size is not None:
        apart = (torch.as_tensor(size).to(extent) * sides / extent - 1.0).abs().max()
        if apart > 1e-3:
            raise OptionError(
                f"intersect_rays_voxels(): {sides.int().tolist()} voxels of size {size} do not fill a box of "
                f"{extent.tolist()}; leave voxel_size or grid_shape out."
            )
    x, y, z = (int(side) for side in sides)
    return x, y, z
