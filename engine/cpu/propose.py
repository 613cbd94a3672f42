# SPDX-License-Identifier: MIT
"""Samples for rays: where something may be, dense where it matters, none where all is empty.

`propose` asks the nodes' grids (`propose_rays`), `resample` the weights that the fields gave to an earlier round's samples.
"""

from __future__ import annotations

import numpy as np

from engine.cpu.crew import Crew
from engine.cpu.lists import Workspace
from engine.cpu.place import N_PARAMS, N_SIZES, PER_EDGE, pack_samples, resample_rays
from engine.cpu.propose_rays import propose_rays
from engine.cpu.route import ALL_RESIDENT
from engine.node_occupancy import Occupancy
from engine.node_samples import ProposalOptions, Samples
from engine.node_tree import NodeTree
from engine.shapes import check_shapes


class _Batch:
    """Rays and the tree, laid out for the kernels."""

    def __init__(
        self, tree: NodeTree, occupancy: Occupancy, rays_o: np.ndarray, rays_d: np.ndarray, footprint: np.ndarray,
        options: ProposalOptions, resident: np.ndarray | None,
    ) -> None:  # fmt: skip
        self.o, self.d, self.footprint = (
            np.ascontiguousarray(array, dtype=np.float32) for array in (rays_o, rays_d, footprint)
        )
        self.params = np.zeros(N_PARAMS)
        self.params[:PER_EDGE] = tree.centre - tree.half
        self.params[PER_EDGE:] = (
            0.5 / tree.half, tree.root_gsd, options.spacing, options.power, options.padding, options.stop,
            options.most_alpha, options.unseen_density,
        )  # fmt: skip
        self.sizes = np.zeros(N_SIZES, dtype=np.int64)
        self.sizes[:] = (
            tree.levels - 1, occupancy.resolution, options.samples, options.candidates, options.outside, occupancy.contracted,
        )  # fmt: skip
        resident_nodes = ALL_RESIDENT if resident is None else resident
        self.nodes = (tree.children.reshape(-1), resident_nodes, resident is not None)
        self.depth = tree.depth

    def packed(
        self, most: int, counts: np.ndarray, drawn: tuple[np.ndarray, ...], seed: int | None, crew: Crew
    ) -> Samples:
        """Return the samples that a kernel placed, `most` slots a ray, side by side in fresh arrays."""
        offsets = np.zeros(len(counts) + 1, dtype=np.int64)
        np.cumsum(counts, out=offsets[1:])
        m = int(offsets[-1])
        t, start, delta = (np.empty(m, dtype=np.float32) for _ in range(3))
        node, ray = np.empty(m, dtype=np.int32), np.empty(m, dtype=np.int32)
        position = np.empty((m, 3), dtype=np.float32)
        crew.run(
            pack_samples, self.o, self.d, self.footprint, self.params, self.sizes, *self.nodes, *_seeding(seed), most,
            offsets, *drawn, t, start, delta, node, position, ray,
        )  # fmt: skip
        return Samples(offsets, t, delta, node, position, ray, start)


def _seeding(seed: int | None) -> tuple[int, bool]:
    return (0, False) if seed is None else (int(seed), True)


def _room_for(room: Workspace, rays: int, most: int) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    drawn = tuple(
        room.take(f"propose_{name}", (rays * most,), np.float32) for name in ("t", "start", "delta")
    )
    return drawn, room.take("propose_counts", (rays,), np.int32)


def propose(
    tree: NodeTree,
    occupancy: Occupancy,
    rays_o: np.ndarray,  # [Q,3] engine units
    rays_d: np.ndarray,  # [Q,3] with camera-space z of 1, so that t is z-depth
    near: np.ndarray,  # [Q] z-depth
    far: np.ndarray,  # [Q] z-depth, finite
    footprint: np.ndarray,  # [Q] radius of a sample's footprint per unit of t
    options: ProposalOptions,
    seed: int | None,  # None: samples in the middle of their stretches, no jitter of the levels
    crew: Crew,
    room: Workspace,
    resident: np.ndarray | None = None,  # bool [N]: nodes that may be used besides the root; None: all
) -> Samples:
    """Return samples where the nodes' grids say that something may be; the same for any number of threads.

    A ray's stretches cover what is occupied between near and far, up to where the cache says nothing can be seen any more.
    """
    q = check_shapes(
        "propose", rays_o=(rays_o, "Q 3"), rays_d=(rays_d, "Q 3"), near=(near, "Q"), far=(far, "Q"),
        footprint=(footprint, "Q"),
    )["Q"]  # fmt: skip
    batch = _Batch(tree, occupancy, rays_o, rays_d, footprint, options, resident)
    drawn, counts = _room_for(room, q, options.samples)
    crew.run(
        propose_rays, batch.o, batch.d, np.ascontiguousarray(near, dtype=np.float32),
        np.ascontiguousarray(far, dtype=np.float32), batch.footprint, batch.params, batch.sizes, *batch.nodes, batch.depth,
        occupancy.density, occupancy.free, *_seeding(seed), *drawn, counts,
    )  # fmt: skip
    return batch.packed(options.samples, counts, drawn, seed, crew)


def resample(
    tree: NodeTree,
    occupancy: Occupancy,
    samples: Samples,
    weights: np.ndarray,  # [M] of the samples, from the fields
    rays_o: np.ndarray,  # [Q,3]
    rays_d: np.ndarray,  # [Q,3]
    footprint: np.ndarray,  # [Q]
    options: ProposalOptions,
    seed: int | None,
    crew: Crew,
    room: Workspace,
    resident: np.ndarray | None = None,
) -> Samples:
    """Return at most `options.samples` samples a ray, denser where the weights are: a further round of proposing.

    They cover the stretches of the old ones. Every round wants a seed of its own.
    """
    check_shapes(
        "resample", samples=(samples.t, "M"), weights=(weights, "M"), rays_o=(rays_o, "Q 3"), rays_d=(rays_d, "Q 3"),
        footprint=(footprint, "Q"),
    )  # fmt: skip
    batch = _Batch(tree, occupancy, rays_o, rays_d, footprint, options, resident)
    drawn, counts = _room_for(room, samples.rays, options.samples)
    longest = int(np.diff(samples.offsets).max(initial=0))
    crew.run(
        resample_rays, batch.d, samples.offsets, samples.start, samples.delta, samples.node,
        np.ascontiguousarray(weights, dtype=np.float32), batch.params, batch.sizes, batch.depth, options.samples, longest,
        *_seeding(seed), *drawn, counts,
    )  # fmt: skip
    return batch.packed(options.samples, counts, drawn, seed, crew)
