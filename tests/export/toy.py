# SPDX-License-Identifier: MIT
"""A solid ball of coloured voxels on a scene of cameras all around, and a run that holds it: nothing is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from engine.cameras import Camera, look_at
from engine.datasets.scene import Scene, Split, View
from engine.export.voxel_set import VoxelSet, as_svraster, plain_values
from engine.export.write import Source
from engine.octree import Octree
from engine.runs import RunSpec, new_run
from engine.sh import sh0_from_rgb
from engine.training import Training
from tests.methods.plenoxels.boxes import Pictures

RADIUS, MIDDLE = 0.3, np.array([0.05, -0.02, 0.03])
LEVEL = 5
UP = np.array([0.0, 0.0, 1.0])


def ball(level: int = LEVEL, degree: int = 2, hardness: float = 60.0) -> VoxelSet:
    """Return voxels of a ball: dense inside, empty outside, as red as x, as green as y, as blue as z is high."""
    octree = Octree.dense(level)
    octree, _ = octree.keep(np.linalg.norm(octree.center - MIDDLE, axis=1) < RADIUS + 0.1)
    away = np.linalg.norm(octree.point_position - MIDDLE, axis=1) - RADIUS
    density = np.clip(-hardness * away, -6.0, 3.0).astype(np.float32)
    rng = np.random.default_rng(0)
    sh = rng.normal(0.0, 0.08, (len(octree), (degree + 1) ** 2, 3)).astype(np.float32)
    sh[:, 0] = sh0_from_rgb(np.clip(octree.center + 0.5, 0.0, 1.0))
    values = plain_values(degree)
    return VoxelSet(octree, density, sh, np.ones(3, np.float32), values)


def colour_at(places: np.ndarray) -> np.ndarray:
    """Return the ball's colours at places [n,3], in [0,1]."""
    return np.clip(places + 0.5, 0.0, 1.0)


def cameras(count: int, size: int = 48) -> list[Camera]:
    """Return cameras evenly spread over a sphere around the ball."""
    found = []
    for i in range(count):
        height = 1.0 - 2.0 * (i + 0.5) / count
        turn, flat = i * 2.399963, np.sqrt(1.0 - height**2)
        eye = 1.4 * np.array([flat * np.cos(turn), flat * np.sin(turn), height])
        found.append(Camera.from_fov(size, size, 0.75, look_at(eye, np.zeros(3), UP)))
    return found


def ball_scene(
    voxels: VoxelSet | None = None, n_train: int = 24, n_test: int = 3, size: int = 48, noise: float = 0.0
) -> Scene:
    """Return photos of the ball; its data are twice as large as the engine's units, and shifted."""
    rng = np.random.default_rng(2)
    voxels = ball() if voxels is None else voxels

    def photo(camera: Camera) -> np.ndarray:
        clean = voxels.picture(camera).rgb
        return np.clip(clean + rng.normal(0.0, noise, clean.shape), 0.0, 1.0).astype(np.float32)

    def split(chosen: list[Camera]) -> Split:
        views = tuple(View(f"{i}.png", camera) for i, camera in enumerate(chosen))
        return Split(views, Pictures([photo(camera) for camera in chosen]))

    matrix = np.diag([2.0, 2.0, 2.0, 1.0])
    matrix[:3, 3] = (1.0, 2.0, 3.0)
    return Scene(
        "ball",
        "demo",
        "test",
        split(cameras(n_train, size)),
        split(cameras(n_test, size)),
        "white",
        0,
        matrix,
        UP,
    )


def ball_source(voxels: VoxelSet, scene: Scene) -> Source:
    """Return voxels as something to export."""
    model = as_svraster(voxels, scene)
    return Source(model, scene, RunSpec("demo", "svraster", 0, {}, voxels.values), 12.0)


def ball_run(voxels: VoxelSet, scene: Scene, folder: Path) -> Path:
    """Write voxels as a run; return its folder."""
    model = as_svraster(voxels, scene)
    model.step = 1  # an untrained model is not worth a checkpoint
    run = new_run(RunSpec("demo", "svraster", 0, {}, voxels.values), folder, folder / "run")
    Training(scene, model, run).save()
    return folder / "run"


def in_engine(places: np.ndarray, scene: Scene) -> np.ndarray:
    """Return places of the data in engine units."""
    inverse = np.linalg.inv(scene.data_from_engine)
    return places @ inverse[:3, :3].T + inverse[:3, 3]


def shifted(voxels: VoxelSet, seed: int = 1) -> VoxelSet:
    """Return the same leaves with points in another order, as training leaves them."""
    octree = voxels.octree
    order = np.random.default_rng(seed).permutation(octree.n_points)
    number = np.empty_like(order)
    number[order] = np.arange(len(order))
    shuffled = Octree(
        octree.path,
        octree.level,
        octree.root_size,
        number[octree.corner_idx].astype(np.int32),
        octree.point_ijk[order],
    )
    return replace(voxels, octree=shuffled, density=voxels.density[order])
