# SPDX-License-Identifier: MIT
"""From rays to the samples that fields are asked at: by rounds of the fields' own densities, or by what nodes remember of them.

The second way, `by_memory`, is the app's: with `occupancy_cells` nodes keep their densities on small grids, so that no field
is asked where nothing is. It runs on the processor.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from engine.cpu.crew import crew
from engine.cpu.lists import Workspace
from engine.cpu.occupancy import EMPTY_DENSITY, probes, refresh, take_in
from engine.cpu.propose import propose, resample
from engine.inf_nerf import sampling
from engine.inf_nerf.chance import JITTER, PLACE, draw
from engine.inf_nerf.settings import InfNeRFConfig
from engine.inf_nerf.volume import compositing_weights
from engine.node_samples import ProposalOptions, Samples

if TYPE_CHECKING:
    from engine.inf_nerf.model import InfNeRF

REFRESH_EVERY = 16  # steps after which rays hear what is empty now
PROBES = 4096  # places a step at which fields are asked how dense they are
_FADE = 0.9  # of what is remembered, at every refresh
_FIRST_STREAM = PLACE + 1  # places of later rounds have streams of their own


@dataclass(frozen=True)
class Rays:
    """Rays under way: `spacing` says where samples may lie, `hits [N]` which rays have such a place at all."""

    rays_o: Tensor
    rays_d: Tensor
    footprint: Tensor  # [N] at distance 1
    spacing: sampling.Spacing
    hits: Tensor
    seed: int | None
    numbers: Tensor  # int64 [N], what random numbers are drawn by; `by_memory` takes them to be consecutive
    resident: Tensor | None


@dataclass(frozen=True)
class Places:
    """Samples of rays, dense [N,S], of which M are real: `real` bool says which; `node [M]`, `position [M,3]`, `ray [M]`.

    `t` and `deltas` in lengths of rays_d, `spacing` and `widths` in warped distance; those that are not real are 0 long.
    """

    t: Tensor
    deltas: Tensor
    spacing: Tensor
    widths: Tensor
    real: Tensor
    node: Tensor
    position: Tensor
    ray: Tensor

    def spread(self, values: Tensor) -> Tensor:
        """Return values [M,...] of the real samples as [N,S,...], 0 elsewhere."""
        dense = values.new_zeros(*self.real.shape, *values.shape[1:])
        return dense.masked_scatter(self.real[(...,) + (None,) * (values.ndim - 1)], values)


def place(model: InfNeRF, rays: Rays) -> Places:
    """Return where fields are asked along rays."""
    if model.occupancy is not None and rays.rays_o.device.type == "cpu":
        return by_memory(model, rays)
    return by_rounds(model, rays)


# --- by rounds --------------------------------------------------------------------------------------------------------


@torch.no_grad()
def by_rounds(model: InfNeRF, rays: Rays) -> Places:
    """Return samples in as many intervals of every ray, each round's drawn from the densities that the last one found."""
    rounds = model.config.rounds
    edges = sampling.first_edges(len(rays.rays_o), rounds[0], rays.rays_o)
    for i, samples in enumerate(rounds[1:]):
        places = _in_intervals(model, rays, edges)
        density = places.spread(model.density_at(places.node, places.position).float())
        weights = compositing_weights(density * places.deltas * rays.rays_d.norm(dim=-1, keepdim=True))
        noise = None
        if rays.seed is not None:
            numbers = torch.arange(samples + 1, device=edges.device)
            noise = draw(rays.seed, _FIRST_STREAM + i, rays.numbers, numbers)
        edges = sampling.next_edges(edges, weights, samples, noise)
    return _in_intervals(model, rays, edges)


def _in_intervals(model: InfNeRF, rays: Rays, edges: Tensor) -> Places:
    """Return samples in the middles of intervals with edges [N,S+1] in warped distance."""
    ends = rays.spacing.distance(edges)
    t, deltas = 0.5 * (ends[:, 1:] + ends[:, :-1]), ends[:, 1:] - ends[:, :-1]
    radii = rays.footprint[:, None] * t
    if rays.seed is not None and model.config.jitter:
        numbers = torch.arange(t.shape[1], device=t.device)
        radii = radii * torch.exp2(draw(rays.seed, JITTER, rays.numbers, numbers) - 0.5)
    real = rays.hits[:, None].expand_as(t)
    ray = torch.nonzero(real)[:, 0]
    position = rays.rays_o[ray] + t[real][:, None] * rays.rays_d[ray]
    node = model.octree.route(position, radii[real], rays.resident)
    middle, widths = 0.5 * (edges[:, 1:] + edges[:, :-1]), edges[:, 1:] - edges[:, :-1]
    return Places(t, torch.where(real, deltas, 0.0), middle, widths, real, node, position, ray)


# --- by memory --------------------------------------------------------------------------------------------------------


def proposal_of(config: InfNeRFConfig) -> ProposalOptions:
    """Return how samples are placed by what nodes remember."""
    scale = 0.5 / config.scene_bound  # the kernels' densities are per edge of the cube
    return ProposalOptions(
        samples=config.num_samples, spacing=config.sample_spacing, candidates=config.sample_candidates,
        outside=config.outside_candidates, padding=config.sample_padding, stop=config.stop_transmittance,
        unseen_density=scale,
    )  # fmt: skip


@torch.no_grad()
def by_memory(model: InfNeRF, rays: Rays) -> Places:
    """Return samples where the nodes' grids say that something may be; rays have as many as they need, at most `num_samples`."""
    before = 0 if rays.seed is None or not len(rays.numbers) else int(rays.numbers[0])
    far = torch.where(rays.hits, rays.spacing.far[:, 0], rays.spacing.near[:, 0])
    o, d, near, far, footprint = (
        _behind(before, x) for x in (rays.rays_o, rays.rays_d, rays.spacing.near[:, 0], far, rays.footprint)
    )
    options, resident = proposal_of(model.config), None if rays.resident is None else rays.resident.numpy()
    rounds, room = (*(model.config.proposal_samples or ()), model.config.num_samples), Workspace()
    kinds = [replace(options, samples=samples) for samples in rounds]
    found = propose(
        model.tree, model.occupancy, o, d, near, far, footprint, kinds[0], rays.seed, crew(), room, resident
    )
    for i, kind in enumerate(kinds[1:], 1):
        weights = _weights(model, found)
        seed = None if rays.seed is None else rays.seed + i
        found = resample(
            model.tree, model.occupancy, found, weights, o, d, footprint, kind, seed, crew(), room, resident
        )
    return _dense(model, rays, _without(found, before))


def _behind(before: int, values: Tensor) -> np.ndarray:
    """Return values [N,...] of rays behind those of so many others, which are nowhere: kernels number rays from 0."""
    return np.concatenate([np.zeros((before, *values.shape[1:]), np.float32), values.numpy()])


def _without(samples: Samples, before: int) -> Samples:
    """Return samples without the first rays, which have none."""
    samples.offsets, samples.ray = samples.offsets[before:], samples.ray - np.int32(before)
    return samples


def _weights(model: InfNeRF, samples: Samples) -> np.ndarray:
    node, position = torch.from_numpy(samples.node), torch.from_numpy(samples.position)
    real = _layout(samples)
    optical = model.density_at(node.long(), position) * torch.from_numpy(samples.delta)
    dense = torch.zeros(real.shape).masked_scatter(real, optical)
    return compositing_weights(dense)[real].numpy()


def _layout(samples: Samples) -> Tensor:
    """Return which places [N,S] of a dense layout hold samples, side by side from the left; S is 1 at least."""
    counts = torch.from_numpy(np.diff(samples.offsets))
    return torch.arange(max(1, int(counts.max())) if len(counts) else 1) < counts[:, None]


def _dense(model: InfNeRF, rays: Rays, samples: Samples) -> Places:
    real = _layout(samples)
    t, start, delta, position = (
        torch.from_numpy(x) for x in (samples.t, samples.start, samples.delta, samples.position)
    )
    ray, node = torch.from_numpy(samples.ray).long(), torch.from_numpy(samples.node).long()
    if rays.seed is not None and not model.config.jitter:
        node = model.octree.route(position, rays.footprint[ray] * t, rays.resident)
    delta = delta / rays.rays_d.norm(dim=-1)[ray]
    end = rays.spacing.far.expand_as(real)

    def dense(values: Tensor, other: Tensor) -> Tensor:
        return other.clone().masked_scatter(real, values)

    begin = rays.spacing.warped(dense(start, end))
    finish = rays.spacing.warped(dense(start + delta, end))
    middle = rays.spacing.warped(dense(t, end))
    return Places(
        dense(t, end), dense(delta, torch.zeros_like(end)), middle, finish - begin, real, node, position, ray
    )


@torch.no_grad()
def remember(model: InfNeRF, seed: tuple[int, ...], step: int) -> None:
    """Ask fields at random places how dense they are, and now and then tell rays what is empty."""
    rng = np.random.default_rng(seed)
    nodes, positions = probes(model.tree, model.occupancy, PROBES, rng)
    density = model.density_at(torch.from_numpy(nodes).long(), torch.from_numpy(positions)).float()
    take_in(model.tree, model.occupancy, nodes, positions, density.numpy())
    if step % REFRESH_EVERY == REFRESH_EVERY - 1:
        refresh(model.occupancy, crew(), _FADE, EMPTY_DENSITY * 0.5 / model.config.scene_bound)
