# SPDX-License-Identifier: MIT
"""A tree of fields becomes voxels that look like it: a ball whose levels and sides all differ, against the same ball marched."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from engine.cameras import Camera, look_at
from engine.constants import DENSITY_SCALE
from engine.cpu.crew import crew
from engine.cpu.route import route
from engine.datasets.scene import Scene, Split, View
from engine.export.source import of_baked
from engine.export.voxel_set import as_svraster
from engine.methods.infnerf.bake import Baked, BakeOptions, bake, raw_density
from engine.metrics import psnr
from engine.node_occupancy import Occupancy
from engine.node_tree import NodeTree
from engine.reference.rasterize import exp_linear

RADIUS, DENSITY = 0.3, 1000.0
STEPS = 300
MAX_RES = 32
SOFT = 0.01  # width of the ball's rim
# dB of the baked ball against the marched one, the worst of four new views: seen 34.1.
BAR = 32.0


def coloured(normals: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Stripes on the ball, and a tint that depends on which way one looks."""
    stripes = 0.5 + 0.3 * (np.sin(9.0 * np.arctan2(normals[:, 1], normals[:, 0])))
    base = np.stack([stripes, 0.5 + 0.3 * normals[:, 2], 0.6 - 0.2 * stripes], axis=1)
    return np.clip(base + 0.25 * directions, 0.0, 1.0)


class Ball:
    """What baking asks of a model: a ball with finer nodes on one side, and nothing right in the coarse nodes there."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.has_background = scene, False
        cells = np.stack(np.meshgrid(*[np.arange(2)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
        fine = 2 * cells[:, None] + cells  # eight children of each; only the half with x >= 0 has them
        fine = fine[cells[:, 0] == 1].reshape(-1, 3)
        depth = np.concatenate([[0], np.full(8, 1), np.full(len(fine), 2)])
        self.tree = NodeTree.of(
            np.zeros(3), 0.5, 1.0 / 32, depth, np.concatenate([np.zeros((1, 3)), cells, fine])
        )
        self.config = SimpleNamespace(field=SimpleNamespace(max_res=MAX_RES))
        self.marched = [picture(view.camera) for view in scene.test.views]
        self.occupancy = Occupancy.fresh(self.tree.nodes, 4, False)

    def density(self, nodes: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """The ball, of its true size only in the finest node at a place."""
        finest = route(self.tree, positions, np.zeros(len(positions), np.float32), None, crew())
        inside = np.clip((RADIUS - np.linalg.norm(positions, axis=1)) / SOFT + 0.5, 0.0, 1.0)
        return np.where(nodes == finest, DENSITY * inside, 0.0).astype(np.float32)

    def query(
        self, positions: np.ndarray, radii: np.ndarray, directions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Density and colour by the nodes that fit the footprints; a node that is not the finest is black."""
        nodes = route(self.tree, positions, radii, None, crew())
        density = self.density(nodes, positions)
        normals = positions / np.maximum(np.linalg.norm(positions, axis=1, keepdims=True), 1e-9)
        finest = route(self.tree, positions, np.zeros(len(positions), np.float32), None, crew())
        return density, (coloured(normals, directions) * (nodes == finest)[:, None]).astype(np.float32)


def picture(camera: Camera) -> np.ndarray:
    """The ball marched in small steps before white, two rays a pixel side."""
    fine = camera.scaled(2)
    rays_o, rays_d = (rays.reshape(-1, 3) for rays in fine.rays())
    step = 2.2 * RADIUS / STEPS
    rgb, left = np.zeros((len(rays_o), 3)), np.ones(len(rays_o))
    start = np.linalg.norm(rays_o, axis=1) - 1.1 * RADIUS
    for k in range(STEPS):
        at = rays_o + (start + (k + 0.5) * step)[:, None] * rays_d
        distance = np.linalg.norm(at, axis=1)
        alpha = -np.expm1(-DENSITY * np.clip((RADIUS - distance) / SOFT + 0.5, 0.0, 1.0) * step)
        rgb += (left * alpha)[:, None] * coloured(at / distance[:, None], rays_d)
        left *= 1.0 - alpha
    rgb += left[:, None]
    return rgb.reshape(camera.height, 2, camera.width, 2, 3).mean(axis=(1, 3)).astype(np.float32)


def around(n: int, turn: float) -> Split:
    """Cameras on a sphere around the ball."""
    views = []
    for k in range(n):
        z = 0.85 * (2.0 * (k + 0.5) / n - 1.0)
        angle = 2.399963 * k + turn
        eye = 1.3 * np.array([np.sqrt(1 - z * z) * np.cos(angle), np.sqrt(1 - z * z) * np.sin(angle), z])
        views.append(
            View(f"{k}", Camera.from_fov(64, 64, 0.6, look_at(eye, np.zeros(3), np.array([0.0, 0.0, 1.0]))))
        )
    return Split(tuple(views), None)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def ball() -> Ball:
    up = np.array([0.0, 0.0, 1.0])
    return Ball(Scene("ball", "", "test", around(24, 0.0), around(4, 0.5), "white", 0, np.eye(4), up))


@pytest.fixture(scope="module")
def baked(ball: Ball) -> Baked:
    return bake(ball, BakeOptions(degree=1))  # type: ignore[arg-type]


def quality(ball: Ball, baked: Baked) -> float:
    """Return the PSNR of the worst held-out view."""
    voxels = as_svraster(of_baked(baked, ball.scene), ball.scene)
    shown = (voxels.render(view.camera, supersample=2.0).rgb for view in ball.scene.test.views)
    return min(psnr(rgb, photo) for rgb, photo in zip(shown, ball.marched, strict=True))


def test_the_voxels_look_like_the_fields_from_new_sides(ball: Ball, baked: Baked) -> None:
    assert quality(ball, baked) > BAR


def test_mixed_up_directions_levels_or_voxels_would_be_seen(
    ball: Ball, baked: Baked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the bar of the test before is worth: each of these mistakes falls below it."""
    turned = baked.sh * np.array([1.0, -1.0, -1.0, -1.0], np.float32)[:, None]
    assert quality(ball, replace(baked, sh=turned)) < BAR - 3.0
    assert quality(ball, replace(baked, sh=np.roll(baked.sh, 40, axis=0))) < BAR - 3.0
    assert quality(ball, replace(baked, density=baked.density - 3.0)) < BAR - 1.0
    coarse = lambda tree, at, radii, *rest: route(tree, at, np.full(len(at), 0.02, np.float32), *rest)  # noqa: E731
    monkeypatch.setattr("engine.methods.infnerf.bake.route", coarse)  # as if distant views' nodes were asked
    assert quality(ball, bake(ball, BakeOptions(degree=1))) < BAR - 3.0  # type: ignore[arg-type]


def test_voxels_are_as_fine_as_the_finest_node_there(ball: Ball, baked: Baked) -> None:
    octree = baked.octree
    nodes = route(ball.tree, octree.center, np.zeros(len(octree), np.float32), None, crew())
    assert np.array_equal(octree.size, ball.tree.edge(nodes) / MAX_RES)
    assert set(ball.tree.depth[nodes]) == {1, 2}
    coarser = bake(ball, BakeOptions(degree=0, fineness=0.5))  # type: ignore[arg-type]
    assert coarser.octree.size.min() == 2.0 * octree.size.min() and coarser.sh.shape[1] == 1


def test_only_voxels_on_the_surface_are_kept(baked: Baked) -> None:
    octree = baked.octree
    distance = np.linalg.norm(octree.center, axis=1) - RADIUS
    assert np.abs(distance).max() < 0.15  # what is deep inside nobody sees
    assert len(octree) < 0.5 * (2 * RADIUS / octree.size.min()) ** 3


def test_the_heaviest_voxels_stay_within_a_limit(ball: Ball, baked: Baked) -> None:
    fewer = bake(ball, BakeOptions(degree=0, max_voxels=1000))  # type: ignore[arg-type]
    assert len(fewer.octree) == 1000 < len(baked.octree)


def test_what_the_grids_know_to_be_empty_is_left_out(ball: Ball) -> None:
    ball.occupancy.free[:] = 1
    try:
        assert len(bake(ball, BakeOptions(degree=0)).octree) == 1  # type: ignore[arg-type]
    finally:
        ball.occupancy.free[:] = 0


def test_raw_density_is_the_inverse_of_the_activation() -> None:
    density = np.array([1e-3, 1.0, 50.0, 329.0, 331.0, 9000.0])
    back = DENSITY_SCALE * exp_linear(torch.from_numpy(raw_density(density))).numpy()
    np.testing.assert_allclose(back, density, rtol=1e-9)
