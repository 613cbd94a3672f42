# SPDX-License-Identifier: MIT
"""The stages of a march through a grid, each on its own: what `nerfviewer bench ops` times.

In training they are one kernel and nothing is written between them; here each runs over all samples, made of the same
functions. `Samples` holds what one stage hands to the next.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numba import njit
from torch import Tensor

from engine.cpu.crew import crew
from engine.cpu.lists import Workspace
from engine.cpu.march import PreparedRays
from engine.cpu.march_rays import (
    FX,
    FY,
    FZ,
    PER_UNIT,
    RECORD,
    STEP,
    WEIGHT,
    add_row,
    corner_weights,
    fetch_rows,
    find_live,
    weigh,
    write_basis,
)
from engine.cpu.simd import fetch_add, fma, lane_sum, load, splat, store
from engine.reference.voxel_rays import corners_of, live_samples
from engine.sh import sh_basis
from engine.voxel_grid import Grid, MarchOptions

_RAYS = 32  # that a thread takes at a time


@njit(cache=True, nogil=True)
def sample_rays(
    counter,
    geometry,
    steps,
    starts,
    params,
    cell_map,
    links,
    density,
    sizes,
    cells,
    rows,
    records,
    counts,
    light,
):
    """Find every ray's live samples: rows of corners, and places between them, from starts[ray] on."""
    while True:
        first = fetch_add(counter, 0, _RAYS)
        if first >= len(steps):
            return
        find_live(
            first, min(first + _RAYS, len(steps)), 0, geometry, steps, starts, params, cell_map, links, density,
            sizes, cells, rows, records, counts, light,
        )  # fmt: skip


@njit(cache=True, nogil=True)
def interpolate(counter, starts, counts, rows, records, sh, stride, values):
    """Write the trilinear coefficients of every sample to values, flat, `stride` floats each."""
    while True:
        first = fetch_add(counter, 0, _RAYS)
        if first >= len(counts):
            return
        for q in range(first, min(first + _RAYS, len(counts))):
            fetch_rows(sh, stride, rows, starts[q], counts[q])
            for k in range(starts[q], starts[q] + counts[q]):
                r = k * RECORD
                weights = corner_weights(records[r + FX], records[r + FY], records[r + FZ])
                for v in range(0, stride, 16):
                    lanes = splat(0.0)
                    for c in range(8):
                        lanes = add_row(sh, np.int64(rows[8 * k + c]) * stride, v, weights[c], lanes)
                    store(values, k * stride + v, lanes)


@njit(cache=True, nogil=True)
def shade(counter, starts, counts, rays_d, degree, stride, values, rgb):
    """Write every sample's colour [.,3]."""
    n_basis = (degree + 1) * (degree + 1)
    basis = np.zeros(3 * stride, dtype=np.float32)
    half, zero = np.float32(0.5), np.float32(0.0)
    while True:
        first = fetch_add(counter, 0, _RAYS)
        if first >= len(counts):
            return
        for q in range(first, min(first + _RAYS, len(counts))):
            for channel in range(3):
                at = channel * (stride + n_basis)
                write_basis(rays_d[q, 0], rays_d[q, 1], rays_d[q, 2], degree, basis, at, 1)
            for k in range(starts[q], starts[q] + counts[q]):
                r, g, b = splat(0.0), splat(0.0), splat(0.0)
                for v in range(0, stride, 16):
                    lanes = load(values, k * stride + v)
                    r = fma(lanes, load(basis, v), r)
                    g = fma(lanes, load(basis, stride + v), g)
                    b = fma(lanes, load(basis, 2 * stride + v), b)
                rgb[k, 0], rgb[k, 1] = max(half + lane_sum(r), zero), max(half + lane_sum(g), zero)
                rgb[k, 2] = max(half + lane_sum(b), zero)


@njit(cache=True, nogil=True)
def composite(counter, geometry, params, starts, counts, records, most, rgb, picture):
    """Weigh the samples and add up picture [Q,3]."""
    room = (most + 31) // 16 * 16
    lanes = np.zeros(2 * room, dtype=np.float32)
    while True:
        first = fetch_add(counter, 0, _RAYS)
        if first >= len(counts):
            return
        for q in range(first, min(first + _RAYS, len(counts))):
            at, n = starts[q], counts[q]
            if n > 0:
                weigh(n, params[STEP] / geometry[q, PER_UNIT], at, records, lanes, room)
            r, g, b = 0.0, 0.0, 0.0
            for k in range(at, at + n):
                w = np.float64(records[k * RECORD + WEIGHT])
                r, g, b = r + w * rgb[k, 0], g + w * rgb[k, 1], b + w * rgb[k, 2]
            picture[q, 0], picture[q, 1], picture[q, 2] = r, g, b


class NumbaStages:
    """The stages on the crew's threads."""

    def __init__(self, grid: Grid, rays_o: np.ndarray, rays_d: np.ndarray, options: MarchOptions) -> None:
        self.grid = grid
        self.rays = PreparedRays(grid, rays_o, rays_d, options, crew(), Workspace())
        n, self.stride = int(self.rays.starts[-1]), grid.sh.shape[1]
        self.cells, self.rows = np.zeros(n, np.int32), np.zeros(8 * n, np.int32)
        self.records, self.light = np.zeros(n * RECORD, np.float32), np.zeros(len(rays_o), np.float32)
        self.values = np.zeros(n * self.stride, np.float32)
        self.rgb, self.picture = np.zeros((n, 3), np.float32), np.zeros((len(rays_o), 3), np.float32)

    def sampling(self) -> None:
        """Find the live samples."""
        rays, grid = self.rays, self.grid
        crew().run(
            sample_rays, rays.geometry, rays.steps, rays.starts, rays.params, rays.cell_map, grid.links.reshape(-1),
            grid.density, rays.sizes, self.cells, self.rows, self.records, rays.counts, self.light,
        )  # fmt: skip

    def trilinear(self) -> None:
        """Interpolate their coefficients."""
        crew().run(
            interpolate, self.rays.starts, self.rays.counts, self.rows, self.records, self.grid.sh.reshape(-1),
            self.stride, self.values,
        )  # fmt: skip

    def harmonics(self) -> None:
        """Make colours of them."""
        crew().run(
            shade, self.rays.starts, self.rays.counts, self.rays.d, self.grid.degree, self.stride, self.values,
            self.rgb,
        )  # fmt: skip

    def compositing(self) -> None:
        """Add up the pictures."""
        rays = self.rays
        crew().run(
            composite, rays.geometry, rays.params, rays.starts, rays.counts, self.records, rays.most, self.rgb,
            self.picture,
        )  # fmt: skip


@dataclass(eq=False)
class Samples:
    """Live samples in torch: ray, t, optical depth [M], values [M,3,B], colours [M,3]."""

    ray: Tensor
    t: Tensor
    depth: Tensor
    values: Tensor
    rgb: Tensor


class TorchStages:
    """The same in plain torch, on any device, as the reference computes it."""

    def __init__(
        self, grid: Grid, rays_o: np.ndarray, rays_d: np.ndarray, options: MarchOptions, device: str
    ) -> None:
        def there(array: np.ndarray) -> Tensor:
            return torch.from_numpy(array.astype(np.float32)).to(device)

        self.resolution, self.degree, self.options = grid.resolution, grid.degree, options
        self.links = torch.from_numpy(grid.links).to(device).long()
        self.density = there(grid.density)
        self.coefficients = there(grid.coefficients.reshape(grid.n_voxels, -1))
        origin, direction = rays_o * grid.scale + grid.offset, rays_d * grid.scale
        length = np.linalg.norm(direction, axis=1)
        self.rays_o, self.rays_d, self.world = (
            there(origin),
            there(direction / length[:, None]),
            there(1.0 / length),
        )
        self.view = there(rays_d)
        self.most = int(2.0 * np.linalg.norm(grid.resolution) / options.step) + 2
        empty = torch.zeros(0, device=device)
        self.picture, self.found = empty, Samples(*[empty] * 5)

    def sampling(self) -> None:
        """Find the live samples."""
        o = self.options
        t, counts = live_samples(
            self.rays_o, self.rays_d, self.world, (o.near, o.far), o.step, self.links, self.density, o.sigma_thresh,
            o.stop_thresh, self.most,
        )  # fmt: skip
        live = torch.arange(self.most, device=t.device) < counts[:, None]
        self.found.ray, self.found.t = live.nonzero()[:, 0], t[live]

    def trilinear(self) -> None:
        """Interpolate their coefficients; the densities too, which the sampler does not hand on."""
        ray, t = self.found.ray, self.found.t
        at, weight = corners_of(self.rays_o[ray] + t[:, None] * self.rays_d[ray], self.resolution)
        rows = self.links.reshape(-1)[at]
        rows, weight = rows.clamp(min=0), weight * (rows >= 0)
        self.found.depth = (weight * self.density[rows]).sum(dim=1) * self.options.step * self.world[ray]
        values = (weight[..., None] * self.coefficients[rows]).sum(dim=1)
        self.found.values = values.unflatten(-1, (3, -1))

    def harmonics(self) -> None:
        """Make colours of them."""
        basis = sh_basis(self.view, self.degree)[self.found.ray]
        self.found.rgb = torch.relu(0.5 + torch.einsum("mk,mck->mc", basis, self.found.values))

    def compositing(self) -> None:
        """Add up the pictures."""
        found, depth = self.found, self.found.depth
        total = torch.cumsum(depth.double(), dim=0)
        first = torch.searchsorted(found.ray, torch.arange(len(self.view), device=depth.device))
        start = torch.cat([total.new_zeros(1), total])[first]
        light = torch.exp((start[found.ray] - total + depth).to(depth.dtype))
        weighted = (light * -torch.expm1(-depth))[:, None] * found.rgb
        self.picture = torch.zeros_like(self.view).index_add(0, found.ray, weighted)
