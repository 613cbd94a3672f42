# SPDX-License-Identifier: MIT
"""InfNeRF as a torch module: an octree whose every node has a field, and rays through it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from engine.errors import OptionError
from engine.inf_nerf import marching, octree, pruning, sampling
from engine.inf_nerf.fields import CustomFields, FieldFactory, Fields, HashFields
from engine.inf_nerf.marching import Rays
from engine.inf_nerf.octree import OctreeNode, TreeTensors, footprint_radius
from engine.inf_nerf.settings import InfNeRFConfig
from engine.inf_nerf.volume import VolumeRenderer
from engine.node_occupancy import Occupancy
from engine.node_tree import NodeTree
from engine.shapes import check_shapes

INSET = 1e-5  # half edges inside the cube: rounding must leave nothing of a bounded ray's way outside


class InfNeRF(nn.Module):
    """A tree of fields. Public: `config`, `tree`, `fields`, `octree`, `volume_renderer`, and `occupancy`, what nodes remember
    of their densities (None: nothing).

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
        cells = self.config.occupancy_cells
        self.occupancy = Occupancy.fresh(tree.nodes, cells, self.config.unbounded) if cells else None

    def adopt(self, other: InfNeRF) -> None:
        """Become another model: its tree, its fields, its settings."""
        self.config, self.octree, self.fields = other.config, other.octree, other.fields
        self.occupancy = other.occupancy

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
            if self.occupancy is not None:
                old = self.occupancy
                self.occupancy = replace(old, density=old.density[keep], free=old.free[keep])
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
        rays = Rays(rays_o, rays_d, footprint, spacing, hits, seed, ray_numbers, resident)
        places = marching.place(self, rays)
        unit = self.octree.unit(places.node, places.position, self.config.unbounded)
        density, rgb = self.fields(
            places.node, unit, places.ray, nn.functional.normalize(rays_d, dim=-1), photo
        )
        if background is None:
            background = torch.tensor(self.config.background, device=rays_o.device)
        with torch.autocast(rays_o.device.type, enabled=False):
            out = self.volume_renderer.volume_render(
                places.spread(rgb.float()), places.spread(density.float()), places.t, rays_d, places.deltas, background
            )  # fmt: skip
        node = places.spread(places.node)
        return out | {
            "level": self.octree.depth[node], "node_ids": node, "z_vals": places.t, "deltas": places.deltas,
            "spacing": places.spacing, "widths": places.widths,
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
            inset = INSET * self.tree.half
            near, far = torch.maximum(near, enter + inset), torch.minimum(far, leave - inset)
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

    @classmethod
    def from_method(cls, method: Any) -> InfNeRF:
        """Return a copy of what a method object of the app holds (`create_method("infnerf", scene)`)."""
        from engine.inf_nerf import conversion

        return conversion.from_method(method, cls)

    def write_into(self, method: Any) -> None:
        """Give a method object of the app this model's tree and fields; its `state` is then a checkpoint of the app."""
        from engine.inf_nerf import conversion

        conversion.write_into(self, method)
