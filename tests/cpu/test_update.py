# SPDX-License-Identifier: MIT
"""The training step: autograd's gradient through SH and blend, then Adam as plain numpy, row by row.

Adam's epsilon is as large as a typical gradient here: with a tiny one, a step is the gradient's sign, and rounding decides.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.cameras import Camera
from engine.constants import NEAR
from engine.cpu.crew import Crew
from engine.cpu.lists import VoxelTable, Workspace
from engine.cpu.shade import grouped, sh_groups, sh_rows
from engine.cpu.tile_loss import MSE, N_SUMS, N_WEIGHTS, W_PHOTO
from engine.cpu.train_view import FieldArrays, shaded_lists, train_on_view
from engine.cpu.update import bias_corrections, owners_of_points
from engine.octree import Octree
from engine.reference.rasterize import rasterize as twin
from engine.reference.sh import rgb_from_sh
from engine.sh import view_directions
from tests.cpu.scenes import VIEWS, camera_at, field_of, mixed_octree

STEP = 6e-5  # of the largest move; 1.9e-5 seen
GRADIENT = 2e-5  # of the largest entry

B1, B2, EPS = 0.9, 0.99, 1e-4
RATES = {"density": 0.05, "sh0": 0.02, "shs": 0.003}
BACKGROUND = np.array([0.9, 0.8, 0.1], dtype=np.float32)
CAMERAS = [
    camera_at((0.9, -0.7, -1.4), size=(28, 20)),
    camera_at((0.2, 0.4, 0.1), (-0.2, 0.0, 0.0), size=(20, 24)),
]


@dataclass
class Run:
    """A field in training on one octree, with what the kernels need."""

    octree: Octree
    degree: int
    field: FieldArrays
    scratch: tuple[np.ndarray, np.ndarray]
    total_variation: float = 0.0
    threads: int = 1
    corrections: int = 64

    def step(self, camera: Camera, target: np.ndarray) -> np.ndarray:
        """Take one step on a view; return the loss sums."""
        table, room, team = VoxelTable.of(self.octree), Workspace(), Crew(self.threads)
        weights = np.zeros(N_WEIGHTS)
        weights[W_PHOTO] = 1.0 / target.size
        adam = np.array([B1, B2, EPS, *RATES.values(), self.total_variation], dtype=np.float32)
        lists, rgb = shaded_lists(table, self.field.sh, self.degree, camera, team, room, keep_slots=True)
        sums = train_on_view(
            table, self.field, owners_of_points(self.octree.corner_idx, self.octree.n_points), self.scratch, lists, rgb,
            team, room, mode=MSE, shrink=1, target=target, background=BACKGROUND, weights=weights, v_rgb=None, samples=1,
            degree=self.degree, adam=adam,
            corrections=(bias_corrections(B1, self.corrections), bias_corrections(B2, self.corrections)),
        )  # fmt: skip
        team.close()
        return sums


def start(degree: int = 2, **options: object) -> Run:
    """Return a run on random densities and coefficients; some colours are clamped at zero."""
    octree = mixed_octree()
    n, g = len(octree), octree.n_points
    densities = field_of(octree)[0].float().numpy()
    rows = np.random.default_rng(4).normal(0.0, 1.5, (n, (degree + 1) ** 2, 3)).astype(np.float32)

    def zeros(*shape: int, kind: type = np.float32) -> np.ndarray:
        return np.zeros(shape, dtype=kind)

    shape = sh_groups(n, degree)
    field = FieldArrays(
        densities, zeros(g), zeros(g), zeros(g, kind=np.uint16), grouped(rows), zeros(*shape), zeros(*shape),
        zeros(n, kind=np.uint16), zeros(n), zeros(n), np.full(n, np.inf, dtype=np.float32),
    )  # fmt: skip
    return Run(octree, degree, field, (zeros(n, 8), zeros(n, kind=np.uint8)), **options)


def target_of(camera: Camera) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (camera.height, camera.width, 3), dtype=np.uint8)


def loss_and_leaves(
    run: Run, camera: Camera, target: np.ndarray
) -> tuple[Tensor, Tensor, Tensor, np.ndarray]:
    """Return the loss in torch, its leaves densities [G] and coefficients [V,K,3], and each voxel's heaviest weight."""
    densities = torch.from_numpy(run.field.density).double().requires_grad_()
    rows = torch.from_numpy(sh_rows(run.field.sh, len(run.octree))).double().requires_grad_()
    colours = rgb_from_sh(rows, torch.from_numpy(view_directions(run.octree.center, camera)), run.degree)
    out = twin(run.octree, densities, colours, camera, background=torch.from_numpy(BACKGROUND).double())
    error = out.rgb - torch.from_numpy(target).double() / 255.0
    heaviest = out.max_weight.numpy()
    loss = error.square().mean()
    if run.total_variation:
        corners = densities[torch.from_numpy(run.octree.corner_idx).long()][heaviest > 0.0].reshape(
            -1, 2, 2, 2
        )
        edges = sum(corners.diff(dim=axis).abs().sum() for axis in (1, 2, 3))
        loss = loss + run.total_variation * edges
    return loss, densities, rows, heaviest


class NumpyAdam:
    """Adam with the bias correction counted per row, in float64."""

    def __init__(self, values: np.ndarray, rate: np.ndarray | float) -> None:
        self.values, self.rate = values.astype(np.float64), rate
        self.m, self.v = np.zeros_like(self.values), np.zeros_like(self.values)
        self.age = np.zeros(len(values), dtype=np.int64)

    def step(self, gradient: np.ndarray, on: np.ndarray) -> None:
        """Move the rows of `on`."""
        self.age[on] += 1
        ages = self.age[on].reshape(-1, *[1] * (gradient.ndim - 1))
        self.m[on] = B1 * self.m[on] + (1 - B1) * gradient[on]
        self.v[on] = B2 * self.v[on] + (1 - B2) * gradient[on] ** 2
        m, v = self.m[on] / (1 - B1**ages), self.v[on] / (1 - B2**ages)
        self.values[on] -= self.rate * m / (np.sqrt(v) + EPS)


@pytest.mark.parametrize(("degree", "total_variation"), [(0, 0.0), (2, 0.0), (3, 2e-5)])
def test_steps_equal_autograd_and_plain_adam(degree: int, total_variation: float) -> None:
    run = start(degree, total_variation=total_variation)
    n = len(run.octree)
    first_density, first_rows = run.field.density.copy(), sh_rows(run.field.sh, n)
    per_coefficient = np.full((1, (degree + 1) ** 2, 1), RATES["shs"])
    per_coefficient[0, 0] = RATES["sh0"]
    density, colour = NumpyAdam(first_density, RATES["density"]), NumpyAdam(first_rows, per_coefficient)
    for k in range(4):
        camera = CAMERAS[k % 2]
        loss, densities, rows, heaviest = loss_and_leaves(run, camera, target_of(camera))
        v_density, v_rows = (t.numpy() for t in torch.autograd.grad(loss, (densities, rows)))
        run.step(camera, target_of(camera))
        density.step(v_density, v_density != 0.0)
        colour.step(v_rows, heaviest > 0.0)
    assert np.array_equal(run.field.sh_age, colour.age) and set(colour.age) == {2, 4}, (
        "not every view sees every voxel"
    )
    assert (
        np.mean(run.field.density_age == density.age) > 0.995
    )  # a sum of float32 may come out as exactly zero
    for got, exact, first in (
        (run.field.density, density.values, first_density),
        (sh_rows(run.field.sh, n), colour.values, first_rows),
    ):
        moved = np.abs(exact - first).max()
        assert moved > 1e-3 and np.abs(got - exact).max() < STEP * moved


def test_a_colour_clamped_at_zero_hears_only_what_raises_it() -> None:
    run = start(0)
    camera = CAMERAS[0]
    n = len(run.octree)
    before = sh_rows(run.field.sh, n)
    rgb = shaded_lists(VoxelTable.of(run.octree), run.field.sh, 0, camera, Crew(1), Workspace())[1][:, 0]
    loss, _, rows, heaviest = loss_and_leaves(run, camera, target_of(camera))
    run.step(camera, target_of(camera))
    moved = (sh_rows(run.field.sh, n) - before)[:, 0]
    clamped = (rgb == 0.0) & (heaviest > 1e-3)[:, None]
    assert (moved[clamped] > 0.0).any() and (moved[clamped] == 0.0).any(), "the scene must show both"
    assert not (moved[clamped] < 0.0).any()
    v_rows = torch.autograd.grad(loss, rows)[0].numpy()[:, 0]
    assert np.array_equal(moved[clamped] == 0.0, v_rows[clamped] == 0.0)


def test_what_a_view_does_not_see_does_not_move() -> None:
    run, camera = start(1), camera_at((0.0, 0.0, 0.3), (0.0, 0.0, 1.0), fov=0.4, size=(20, 24))
    before = {f.name: getattr(run.field, f.name).copy() for f in fields(run.field)}
    loss, _, _, heaviest = loss_and_leaves(run, camera, target_of(camera))
    assert loss > 0.0
    run.step(camera, target_of(camera))
    unseen = heaviest == 0.0
    points = np.ones(run.octree.n_points, dtype=bool)
    points[run.octree.corner_idx[~unseen].reshape(-1)] = False
    assert unseen.any() and (~unseen).any() and points.any()
    for name, old in before.items():
        new = getattr(run.field, name)
        if name in ("sh", "sh_m", "sh_v"):
            old, new = sh_rows(old, len(unseen)), sh_rows(new, len(unseen))
        still = points if name.startswith("density") else unseen
        assert np.array_equal(old[still], new[still]), name
        assert not np.array_equal(old, new), name


def test_statistics_of_voxels_are_gathered_over_views() -> None:
    run = start(0)
    heaviest, footprint = np.zeros(len(run.octree)), np.full(len(run.octree), np.inf)
    priorities = []
    for camera in (*CAMERAS, VIEWS["orthographic"]):
        seen = loss_and_leaves(run, camera, target_of(camera))[3]
        run.step(camera, target_of(camera))
        heaviest = np.maximum(heaviest, seen)
        depth = np.ones(len(run.octree)) if camera.orthographic else camera.project(run.octree.center)[1]
        pixel = np.maximum(depth, NEAR) / camera.fx
        footprint = np.where(seen > 0.0, np.minimum(footprint, pixel), footprint)
        priorities.append(run.field.priority.copy())
    assert np.abs(run.field.heaviest - heaviest).max() < GRADIENT
    assert np.array_equal(np.isinf(run.field.footprint), np.isinf(footprint))
    assert np.allclose(run.field.footprint, footprint, rtol=1e-5)
    assert np.all(np.diff([np.zeros(len(heaviest)), *priorities], axis=0) >= 0.0) and priorities[-1].any()


def test_a_row_that_a_later_view_misses_leaves_no_gradient_behind() -> None:
    run = start(0)
    run.step(CAMERAS[0], target_of(CAMERAS[0]))
    camera = CAMERAS[1]
    loss, densities, _, _ = loss_and_leaves(run, camera, target_of(camera))
    v_density = torch.autograd.grad(loss, densities)[0].numpy()
    run.step(camera, target_of(camera))
    summed = np.zeros(run.octree.n_points)
    np.add.at(summed, run.octree.corner_idx, run.scratch[0])
    assert np.abs(summed - v_density).max() < GRADIENT * np.abs(v_density).max()


def test_total_variation_pulls_equally_both_ways_and_rests_at_equality() -> None:
    weight = 0.5
    flat, steep = start(0, total_variation=weight), start(0, total_variation=weight)
    plain = start(0)
    for run in (flat, plain):
        run.field.density[:] = -4.0
    for run in (flat, plain, steep):
        run.step(CAMERAS[0], target_of(CAMERAS[0]))
    assert np.array_equal(flat.scratch[0], plain.scratch[0]), "equal densities have no total variation"
    tv = steep.scratch[0] - start_gradient(steep)
    seen = steep.scratch[1] == 1
    assert np.abs(tv[seen].sum(axis=1)).max() < 1e-5, "what one corner loses another gains"
    assert set(np.round(tv[seen] / weight).astype(int).reshape(-1)) <= {-3, -1, 1, 3}


def start_gradient(run: Run) -> np.ndarray:
    """Return the corner gradients of the first step without total variation."""
    plain = start(run.degree)
    plain.step(CAMERAS[0], target_of(CAMERAS[0]))
    return plain.scratch[0]


def test_ages_end_at_the_last_tabulated_correction() -> None:
    run = start(0, corrections=3)
    for _ in range(5):
        run.step(CAMERAS[0], target_of(CAMERAS[0]))
    assert run.field.sh_age.max() == run.field.density_age.max() == 2


def test_corrections_are_those_of_adam() -> None:
    table = bias_corrections(0.99, 2048)
    assert table.dtype == np.float32 and table[0] == 1.0
    assert np.allclose(table[[1, 2, 100]], [1 / 0.01, 1 / (1 - 0.99**2), 1 / (1 - 0.99**100)], rtol=1e-6)
    assert table[-1] == 1.0, "beyond the table the correction is one"


def test_owners_list_every_corner_of_every_point_once() -> None:
    octree = mixed_octree()
    first, owners = owners_of_points(octree.corner_idx, octree.n_points)
    assert np.array_equal(np.sort(owners), np.arange(8 * len(octree)))
    points = np.repeat(np.arange(octree.n_points), np.diff(first))
    assert np.array_equal(octree.corner_idx.reshape(-1)[owners], points)
    assert np.all(np.diff(owners)[np.diff(points) == 0] > 0), "in voxel order"


def test_training_is_the_same_bits_for_any_number_of_threads() -> None:
    runs = []
    for threads in (1, 2, 3):
        run = start(2, total_variation=1e-5, threads=threads)
        sums = [run.step(CAMERAS[k % 2], target_of(CAMERAS[k % 2])) for k in range(3)]
        assert sums[0].shape == (N_SUMS,)
        runs.append([*(getattr(run.field, f.name) for f in fields(run.field)), *sums])
    for other in runs[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(runs[0], other, strict=True))
