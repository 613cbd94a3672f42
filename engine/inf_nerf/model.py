# SPDX-License-Identifier: MIT
"""InfNeRF as a torch module: an octree whose every node has a field, and rays through it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from engine.errors import OptionError
from engine.inf_nerf import octree, pruning, sampling
from engine.inf_nerf.chance import JITTER, PLACE, draw
from engine.inf_nerf.fields import CustomFields, FieldFactory, Fields, HashFields
from engine.inf_nerf.octree import OctreeNode, TreeTensors, footprint_radius
from engine.inf_nerf.settings import InfNeRFConfig
from engine.inf_nerf.volume import VolumeRenderer, compositing_weights
from engine.node_tree import NodeTree
from engine.shapes import check_shapes

FIRST_STREAM = PLACE + 1  # places of later rounds have streams of their own


class InfNeRF(nn.Module):
    """A tree of fields. Public: `config`, `tree`, `fields`, `octree`, `volume_renderer`.

    A fresh model has the root alone: `build_octree` makes the tree that points ask for, and a trainer does so by itself. With a
    `field_factory` every node has a module of one's own, see `CustomFields`.
    """

    def __init__(
        self,
        config: InfNeRFConfig | None = None,
        tree: NodeTree | None = None,
        field_factory: FieldFactory | None = None,
    ) -> None:
        super().__init__()
        self.config = config or InfNeRFConfig()
        self.field_factory = field_factory
        self.volume_renderer = VolumeRenderer()
        self._plant(octree.root_only(self.config) if tree is None else tree)

    def _plant(self, tree: NodeTree) -> None:
        """Begin anew with a tree."""
        self.octree = TreeTensors(tree)
        if self.field_factory is None:
            self.fields: Fields = HashFields(self.config, tree.nodes)
        else:
            self.fields = CustomFields(self.config, self.octree, self.field_factory)

    def adopt(self, other: InfNeRF) -> None:
        """Become another model: its tree, its fields, its settings."""
        self.config, self.octree, self.fields = other.config, other.octree, other.fields

    # --- the tree -------------------------------------------------------------------------------------------------

    @property
    def tree(self) -> NodeTree:
        """The nodes."""
        return self.octree.tree

    @property
    def device(self) -> torch.device:
        """Where the tree lies, and the parameters."""
        return self.octree.depth.device

    def build_octree(self, points: Any, radii: Any = None) -> int:
        """Make the tree that points [P,3] in scene units ask for, with untrained fields; return how many nodes it has.

        `radii [P]` is what one pixel of the nearest photo covers at each; None: every point asks for all the detail that
        `max_depth` allows.
        """
        points = np.asarray(torch.as_tensor(points).double().cpu()).reshape(-1, 3)
        radii = np.zeros(len(points)) if radii is None else np.asarray(torch.as_tensor(radii).double().cpu())
        device = self.device
        self._plant(octree.build_octree(points, radii, self.config))
        self.to(device)
        return self.tree.nodes

    def nodes(self) -> list[OctreeNode]:
        """Return the nodes, the root first, each after its parent."""
        return list(self.octree.nodes())

    def model_bytes(self) -> int:
        """Return the bytes of all nodes' parameters."""
        return sum(parameter.nbytes for parameter in self.fields.parameters())

    def prune(self, opacity: float = 1e-2, difference: float = 1e-3, probes: int = 512) -> Tensor:
        """Drop leaves that show next to nothing, or no more than their parents; return the kept nodes' numbers int64 [n].

        See `engine.inf_nerf.pruning`. An optimiser of the parameters has to be made anew: a trainer's `prune` does so.
        """
        rows = pruning.worth_keeping(self, opacity, difference, probes)
        if len(rows) < self.tree.nodes:
            keep = np.zeros(self.tree.nodes, dtype=bool)
            keep[rows.cpu().numpy()] = True
            device = self.device
            self.fields.keep(rows)
            self.octree = TreeTensors(self.tree.subset(keep)[0]).to(device)
        return rows

    # --- places ---------------------------------------------------------------------------------------------------

    def density_at(self, node: Tensor, positions: Tensor) -> Tensor:
        """Return the densities [M] of nodes' fields int64 [M] at positions [M,3]; 0 outside the cube of a bounded scene."""
        unit = self.octree.unit(node, positions, self.config.unbounded)
        return self.fields.density(node, unit)

    def query(
        self, positions: Tensor, radii: Tensor, directions: Tensor, photo: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return `density [M]`, `rgb [M,3]` and `node_ids [M]` at positions [M,3] seen with footprints of radii [M]."""
        m = check_shapes(
            "InfNeRF.query", positions=(positions, "M 3"), radii=(radii, "M"), directions=(directions, "M 3")
        )["M"]
        node = self.octree.route(positions, radii)
        unit = self.octree.unit(node, positions, self.config.unbounded)
        toward = nn.functional.normalize(directions, dim=-1)
        density, rgb = self.fields(node, unit, torch.arange(m, device=node.device), toward, photo)
        return {"density": density, "rgb": rgb, "node_ids": node}

    # --- rays -----------------------------------------------------------------------------------------------------

    def forward(
        self,
        rays_o: Tensor,  # [N,3] scene units
        rays_d: Tensor,  # [N,3] of any length: distances are in lengths of it
        near: Tensor | float,  # [N] or one for all, distances
        far: Tensor | float,
        focal_length: Tensor | float,  # [N] or one for all, pixels
        pixel_width: Tensor | float = 1.0,  # [N] or one for all: 2 for pixels of a picture half as large
        *,
        photo: Tensor | None = None,
        seed: int | None = None,
        ray_numbers: Tensor | None = None,
        background: Tensor | float | None = None,
        resident: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Return what rays see: `rgb [N,3]`, `depth [N]`, `acc [N]`, and of their samples `weights`, `level`, `node_ids [N,S]`.

        Besides `z_vals`, `deltas` [N,S] in lengths of rays_d, and `spacing`, `widths` in warped distance, for the loss.
        Directions whose camera-z component is 1 make depths and footprints those of z-depth. A sample at distance t has the
        radius t pixel_width / focal_length / sqrt(pi), and the node whose detail fits it.

        `photo [N]` says whose appearance colours have. With a `seed` samples are placed at random and, where the
        configuration says so, footprints jittered, alike for the same seed and `ray_numbers` int64 [N] (None: 0, 1, ...).
        `background` None is the configuration's. `resident` bool [nodes]: only these and the root are asked.
        """
        n = check_shapes("InfNeRF.forward", rays_o=(rays_o, "N 3"), rays_d=(rays_d, "N 3"))["N"]
        footprint = footprint_radius(torch.ones(n, device=rays_o.device), pixel_width, focal_length)
        if ray_numbers is None:
            ray_numbers = torch.arange(n, device=rays_o.device)
        spacing, hits = self._span(rays_o, rays_d, near, far)
        march = _March(self, rays_o, rays_d, footprint, spacing, hits, seed, ray_numbers, resident)
        edges = march.proposed()
        t, deltas, positions, node = march.samples(edges)
        samples = t.shape[1]
        unit = self.octree.unit(node, positions, self.config.unbounded)
        ray = torch.arange(n, device=node.device).repeat_interleave(samples)
        density, rgb = self.fields(node, unit, ray, nn.functional.normalize(rays_d, dim=-1), photo)
        if background is None:
            background = torch.tensor(self.config.background, device=rays_o.device)
        with torch.autocast(rays_o.device.type, enabled=False):
            out = self.volume_renderer.volume_render(
                rgb.float().view(n, samples, 3),
                density.float().view(n, samples),
                t,
                rays_d,
                deltas,
                background,
            )
        node = node.view(n, samples)
        return out | {
            "level": self.octree.depth[node], "node_ids": node, "z_vals": t, "deltas": deltas,
            "spacing": 0.5 * (edges[:, 1:] + edges[:, :-1]), "widths": edges[:, 1:] - edges[:, :-1],
        }  # fmt: skip

    def _span(
        self, rays_o: Tensor, rays_d: Tensor, near: Tensor | float, far: Tensor | float
    ) -> tuple[sampling.Spacing, Tensor]:
        """Return where samples may lie, and which rays [N] have such a place: bounded scenes end with the cube."""
        near, far = (torch.as_tensor(t, dtype=rays_o.dtype, device=rays_o.device) for t in (near, far))
        if not bool((near < far).all()):
            raise OptionError("InfNeRF.forward(): near must be below far for every ray; swap or widen them.")
        lower, edge = self.octree.lower[0].to(rays_o), self.octree.edge[0].to(rays_o)
        enter, leave = sampling.cube_span(rays_o, rays_d, lower, edge)
        near, far = near.expand(len(rays_o)), far.expand(len(rays_o))
        if not self.config.unbounded:
            near, far = torch.maximum(near, enter), torch.minimum(far, leave)
        return sampling.spacing_of(near, far, leave), far > near

    # --- files ----------------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write tree, parameters and settings to a .pth file. Whole or not at all."""
        from engine.inf_nerf import files

        files.save(self, path)

    @classmethod
    def load(cls, path: str | Path, field_factory: FieldFactory | None = None) -> InfNeRF:
        """Return the model of a file that `save` or a trainer wrote, or of a checkpoint or run folder of the app."""
        from engine.inf_nerf import files

        return files.load(path, field_factory, cls)


class _March:
    """Rays under way: from the first spread of samples to the last."""

    def __init__(
        self, model: InfNeRF, rays_o: Tensor, rays_d: Tensor, footprint: Tensor, spacing: sampling.Spacing,
        hits: Tensor, seed: int | None, numbers: Tensor, resident: Tensor | None,
    ) -> None:  # fmt: skip
        self.model, self.rays_o, self.rays_d, self.footprint = model, rays_o, rays_d, footprint
        self.spacing, self.hits, self.seed = spacing, hits, seed
        self.numbers, self.resident = numbers, resident
        self.length = rays_d.norm(dim=-1, keepdim=True)

    @torch.no_grad()
    def proposed(self) -> Tensor:
        """Return the edges [N,S+1] of the last round's intervals, in warped distance."""
        rounds = self.model.config.rounds
        edges = sampling.first_edges(len(self.rays_o), rounds[0], self.rays_o)
        for i, samples in enumerate(rounds[1:]):
            t, deltas, positions, node = self.samples(edges)
            density = self.model.density_at(node, positions).float().view(t.shape)
            weights = compositing_weights(density * deltas * self.length)
            noise = None
            if self.seed is not None:
                numbers = torch.arange(samples + 1, device=t.device)
                noise = draw(self.seed, FIRST_STREAM + i, self.numbers, numbers)
            edges = sampling.next_edges(edges, weights, samples, noise)
        return edges

    def samples(self, edges: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return of every interval the middle's distance and the width [N,S], its position [N*S,3] and node [N*S]."""
        ends = self.spacing.distance(edges)
        t, deltas = 0.5 * (ends[:, 1:] + ends[:, :-1]), ends[:, 1:] - ends[:, :-1]
        deltas = torch.where(self.hits[:, None], deltas, 0.0)
        radii = self.footprint[:, None] * t
        if self.seed is not None and self.model.config.jitter:
            numbers = torch.arange(t.shape[1], device=t.device)
            radii = radii * torch.exp2(draw(self.seed, JITTER, self.numbers, numbers) - 0.5)
        positions = (self.rays_o[:, None] + t[..., None] * self.rays_d[:, None]).reshape(-1, 3)
        return t, deltas, positions, self.model.octree.route(positions, radii.reshape(-1), self.resident)
