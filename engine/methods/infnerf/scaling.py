# SPDX-License-Identifier: MIT
"""What one frame needs of a scene that grows while its finest detail stays the same: the claim of the method, counted.

A flat ground is photographed everywhere down to 5 cm. Its side doubles from scene to scene, so the tree is one level
deeper and has four times the nodes. A camera at the near edge looks towards the horizon: what is twice as far away is seen
half as finely, so every further level adds about as many nodes to the frame as the one before. The tree is built, and
samples are placed and routed, by the code that trains and renders; the grids say where the ground is. Nothing is trained.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.cameras import Camera, look_at
from engine.cpu.crew import Crew
from engine.cpu.lists import Workspace
from engine.cpu.occupancy import refresh
from engine.cpu.propose import propose
from engine.methods.infnerf.build import build_tree
from engine.methods.infnerf.rays import near_and_far, rays_of
from engine.node_fields import FieldShape
from engine.node_occupancy import Occupancy
from engine.node_samples import ProposalOptions
from engine.node_tree import NodeTree

SHAPE = FieldShape(max_res=64)
GSD_DIVISOR = 2.0
FINEST_M = 0.05  # ground sampling distance of the deepest level
CAMERA_HEIGHT_M, PITCH_RAD = 10.0, np.radians(15.0)  # down; the horizon is at the upper edge's fourth
PICTURE, FOV_Y_RAD = (240, 180), np.radians(60.0)
SHALLOWEST, DEEPEST = 3, 10
_GRID = 4  # cells a side of a node's occupancy: a million nodes must fit into memory
_GROUND = (
    0.37  # of a deepest node's edge: how high the ground lies over the bottom of the cube, on no cell's face
)
_SOLID = 1e9  # per engine unit


@dataclass(frozen=True)
class Frame:
    """What one frame takes of a tree whose deepest level is `depth`. `per_level` counts touched nodes from the root down."""

    depth: int
    side_m: float
    nodes: int
    touched: int
    per_level: tuple[int, ...]
    samples: int
    model_bytes: int
    touched_bytes: int

    @property
    def touched_per_level(self) -> float:
        """Touched nodes, divided by the levels of the tree."""
        return self.touched / (self.depth + 1)


def ground_tree(depth: int) -> NodeTree:
    """Return the tree of a ground with a point, seen at the finest detail, in each of its 4^depth deepest cells."""
    cells = 1 << depth
    axis = (np.arange(cells) + 0.5) / cells - 0.5
    x, y = (grid.reshape(-1) for grid in np.meshgrid(axis, axis, indexing="ij"))
    points = np.stack([x, y, np.full(len(x), ground_height(depth))], axis=1)
    radii = np.full(len(points), FINEST_M / side_m(depth))
    return build_tree(
        points, radii, np.zeros(3), 0.5, max_res=SHAPE.max_res, gsd_divisor=GSD_DIVISOR, max_depth=depth + 1
    )


def side_m(depth: int) -> float:
    """Return the side of the ground whose deepest level is `depth`, in metres; an engine unit is as long."""
    return FINEST_M * SHAPE.max_res * GSD_DIVISOR * (1 << depth)


def ground_height(depth: int) -> float:
    """Return where the ground lies, in engine units."""
    return _GROUND / (1 << depth) - 0.5


def ground_occupancy(tree: NodeTree, crew: Crew) -> Occupancy:
    """Return grids that know the ground: the layer of cells that holds it is solid, all else empty."""
    occupancy = Occupancy.fresh(tree.nodes, _GRID, contracted=False)
    nodes, height = np.arange(tree.nodes), ground_height(tree.levels - 1)
    layer = np.floor((height - tree.lower(nodes)[:, 2]) / tree.edge(nodes) * _GRID).astype(np.int64)
    solid = np.arange(_GRID) == layer[:, None]
    occupancy.density[:] = np.where(np.tile(solid, _GRID * _GRID), np.float32(_SOLID), np.float32(0.0))
    refresh(occupancy, crew)
    return occupancy


def horizon_camera(depth: int) -> Camera:
    """Return the camera at the middle of the near edge."""
    height = ground_height(depth) + CAMERA_HEIGHT_M / side_m(depth)
    position = np.array([-0.5 + 1e-4, 0.0, height])
    ahead = np.array([np.cos(PITCH_RAD), 0.0, -np.sin(PITCH_RAD)])
    return Camera.from_fov(
        *PICTURE, FOV_Y_RAD, look_at(position, position + ahead, np.array([0.0, 0.0, 1.0]))
    )


def one_frame(depth: int, crew: Crew) -> Frame:
    """Build the tree of one scene and count what a frame of it needs."""
    tree = ground_tree(depth)
    occupancy, rays = ground_occupancy(tree, crew), rays_of(horizon_camera(depth), tree)
    near, far = near_and_far(rays.rays_o, rays.rays_d, tree, 0.0, None)
    samples = propose(
        tree,
        occupancy,
        rays.rays_o,
        rays.rays_d,
        near,
        far,
        rays.footprint,
        ProposalOptions(),
        None,
        crew,
        Workspace(),
    )
    touched = np.unique(samples.node)
    per_level = np.bincount(tree.depth[touched], minlength=depth + 1)
    return Frame(
        depth, side_m(depth), tree.nodes, len(touched), tuple(int(n) for n in per_level), len(samples),
        tree.nodes * SHAPE.node_bytes, len(touched) * SHAPE.node_bytes,
    )  # fmt: skip


def spread(frames: list[Frame]) -> float:
    """Return by how much touched nodes per level differ from their mean over the frames, at most, as a share of it."""
    counts = np.array([frame.touched_per_level for frame in frames])
    return float(np.abs(counts / counts.mean() - 1.0).max())
