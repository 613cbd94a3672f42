# SPDX-License-Identifier: MIT
"""Colours, corners, moments and counts: each small kernel against a line or two of numpy, in the checked build."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.constants import NEAR, RATE_DENSITY, RATE_SH0, RATE_SHS
from engine.cpu.shade import grouped, sh_groups, sh_rows
from engine.cpu.update import owners_of_points
from engine.cuda.lists import view_array
from engine.reference.sh import rgb_from_sh
from engine.sh import view_directions
from tests.cpu.scenes import VIEWS, mixed_octree
from tests.cuda import host

pytestmark = pytest.mark.usefixtures("host_compiler")

OCTREE = mixed_octree()
V, G = len(OCTREE), OCTREE.n_points
BLOCKS = (-(-V // 256),)
COLOUR = 5e-6  # of values up to 30


# --- spherical harmonics -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("view", ["outside", "inside a voxel", "orthographic"])
def test_colours_and_their_gradients_equal_the_twin(view: str, degree: int) -> None:
    rng, camera = np.random.default_rng(degree), VIEWS[view]
    rows = rng.normal(scale=3.0, size=(V, 16, 3)).astype(np.float32)  # some colours are clamped
    v_rgb = rng.normal(size=(V, 3)).astype(np.float32)
    exact_rows = torch.from_numpy(rows).double().requires_grad_()
    exact = rgb_from_sh(exact_rows, torch.from_numpy(view_directions(OCTREE.center, camera)), degree)
    (v_exact,) = torch.autograd.grad(exact, exact_rows, torch.from_numpy(v_rgb).double())
    kernels = host.load("sh.cu")
    rgb, v_sh = np.full((V, 3), np.nan, np.float32), np.zeros(sh_groups(V, 3), np.float32)
    shape = view_array(camera), grouped(rows)
    kernels.launch("shade_voxels", BLOCKS, (256,), V, OCTREE.center, *shape, 48, degree, rgb)
    kernels.launch(
        "shade_voxels_backward", BLOCKS, (256,), V, OCTREE.center, shape[0], rgb, v_rgb, 48, degree, v_sh
    )
    assert (rgb == 0.0).sum() > V / 5 and (rgb > 0.0).sum() > V
    assert np.abs(rgb - exact.detach().numpy()).max() < COLOUR
    assert np.abs(sh_rows(v_sh, V) - v_exact.numpy()).max() < COLOUR


# --- corners -------------------------------------------------------------------------------------------------------


def test_corners_are_gathered_and_scattered_as_numpy_does() -> None:
    rng, kernels = np.random.default_rng(0), host.load("corners.cu")
    values, v_corners = rng.normal(size=G).astype(np.float32), rng.normal(size=(V, 8)).astype(np.float32)
    corners, v_values = np.zeros((V, 8), np.float32), np.zeros(G, np.float32)
    grid = (-(-8 * V // 256),)
    kernels.launch("gather_corners", grid, (256,), 8 * V, OCTREE.corner_idx, values, corners)
    kernels.launch("scatter_corners", grid, (256,), 8 * V, OCTREE.corner_idx, v_corners, v_values)
    assert np.array_equal(corners, values[OCTREE.corner_idx])
    exact = np.bincount(OCTREE.corner_idx.reshape(-1), v_corners.reshape(-1).astype(float), G)
    assert np.abs(v_values - exact).max() < 1e-5


def test_owners_are_summed_whatever_stood_there() -> None:
    v_corners = np.random.default_rng(0).normal(size=(V, 8)).astype(np.float32)
    start, owners = owners_of_points(OCTREE.corner_idx, G)
    v_values = np.full(G, np.nan, np.float32)
    host.load("corners.cu").launch(
        "sum_owners", (-(-G // 256),), (256,), G, start, owners, v_corners, v_values
    )
    exact = np.bincount(OCTREE.corner_idx.reshape(-1), v_corners.reshape(-1).astype(float), G)
    assert np.abs(v_values - exact).max() < 1e-5


# --- Adam ----------------------------------------------------------------------------------------------------------


def test_a_step_of_points_is_adams_with_its_epsilon_and_clears_the_gradient() -> None:
    rng, kernels, rate, eps = np.random.default_rng(0), host.load("adam.cu"), 0.5, 0.3
    adam = np.array([0.8, 0.9, eps, rate, 0, 0, 0], np.float32)
    corrections = [(1.0 / (1.0 - b ** np.maximum(np.arange(9), 1))).astype(np.float32) for b in (0.8, 0.9)]
    x, m, v = (rng.random(G).astype(np.float32) for _ in range(3))
    g = np.where(rng.random(G) < 0.7, rng.normal(size=G), 0.0).astype(np.float32)
    age = rng.integers(0, 9, G).astype(np.uint16)
    n = np.minimum(age + 1, 8)  # the table's last stays
    m_exact, v_exact = 0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g**2
    step = rate * corrections[0][n] * m_exact / (np.sqrt(corrections[1][n] * v_exact) + eps)
    on = g != 0.0
    exact = [np.where(on, new, old) for new, old in ((x - step, x), (m_exact, m), (v_exact, v), (n, age))]
    grid = (-(-G // 256),)
    kernels.launch("update_points", grid, (256,), G, adam, 9, *corrections, g, x, m, v, age)
    for got, wanted in zip((x, m, v, age), exact, strict=True):
        assert np.abs(got - wanted).max() < 1e-5
    assert not g.any()


@pytest.mark.parametrize("view", ["outside", "orthographic"])
def test_a_step_of_colours_is_adams_and_what_was_seen_is_noted(view: str) -> None:
    """Colours clamped at 0 among them, voxels that no pixel saw, and statistics that are already better than this view's."""
    rng, camera, n, degree = np.random.default_rng(0), VIEWS[view], 64, 1
    eps, rates, betas = 0.01, (0.5, 0.25), (0.8, 0.9)
    rows = rng.normal(scale=2.0, size=(n, 4, 3)).astype(np.float32)
    packets = rng.uniform(0.5, 1.0, (n, 16)).astype(np.float32)
    offset = packets[:, :3].astype(float) + 0.5 * packets[:, 3:4]
    towards = np.broadcast_to(camera.forward, offset.shape) if camera.orthographic else offset
    direction = torch.from_numpy(towards / np.linalg.norm(towards, axis=1, keepdims=True))
    exact_rows = torch.from_numpy(rows).double().requires_grad_()
    colours = rgb_from_sh(exact_rows, direction, degree)
    packets[:, 12:15] = colours.detach().numpy()
    v_slot = rng.normal(size=(n, 4)).astype(np.float32)
    weight = np.where(rng.random(n) < 0.8, rng.random(n), 0.0).astype(np.float32)
    v_slot[:, 3] = weight
    (g,) = torch.autograd.grad(colours, exact_rows, torch.from_numpy(v_slot[:, :3]).double())
    on, g = weight > 0.0, g.numpy()
    depth = np.maximum(offset @ camera.forward, NEAR)
    pixel = (1.0 if camera.orthographic else depth) / camera.fx
    best = pixel * rng.choice([0.5, 2.0], n)
    heaviest, footprint = rng.random(n).astype(np.float32), best.astype(np.float32)
    exact_heaviest = np.where(on, np.maximum(heaviest, weight), heaviest)
    exact_footprint = np.where(on, np.minimum(best, pixel), best)
    rate = np.array([rates[0], *[rates[1]] * 3])[None, :, None]
    exact = rows - np.where(on[:, None, None], rate * g / (np.abs(g) + eps), 0.0)
    sh, moments, age = grouped(rows), np.zeros((2, *sh_groups(n, degree)), np.float32), np.zeros(n, np.uint16)
    adam = np.array([*betas, eps, 0.0, *rates, 0.0], np.float32)
    assert (RATE_DENSITY, RATE_SH0, RATE_SHS) == (3, 4, 5)
    corrections = [np.array([1.0, 1.0 / (1.0 - beta)], np.float32) for beta in betas]
    slots = np.arange(1, n + 1, dtype=np.int32)
    host.load("adam.cu").launch(
        "update_voxels", (1,), (256,), n, np.ones(n, np.int32), slots, view_array(camera), packets, v_slot, adam, 2,
        *corrections, 12, degree, sh, *moments, age, heaviest, footprint,
    )  # fmt: skip
    clamped = packets[on, 12:15] == 0.0
    assert clamped.sum() > n / 4 and (v_slot[on, :3][clamped] > 0.0).any()
    assert np.abs(sh_rows(sh, n) - exact).max() < 1e-5
    assert np.array_equal(age, on.astype(np.uint16))
    assert (
        np.abs(heaviest - exact_heaviest).max() < 1e-6
        and np.abs(footprint / exact_footprint - 1).max() < 1e-5
    )


# --- moments in bfloat16 -------------------------------------------------------------------------------------------


def test_rounding_of_moments_is_right_on_average() -> None:
    """A constant gradient's moments tend to the gradient and its square, though single steps are below half a unit."""
    rng, kernels, steps = np.random.default_rng(0), host.load("adam.cu", checks=False), 500
    n = 256
    packets, v_slot = np.zeros((n, 16), np.float32), np.zeros((n, 4), np.float32)
    packets[:, 12:15], v_slot[:, 3] = 1.0, 1.0
    v_slot[:, :3] = rng.uniform(0.5, 2.0, (n, 3))
    sh, moments = np.zeros((n // 16, 3, 16), np.float32), np.zeros((2, n // 16, 3, 16), np.uint16)
    age, heaviest, footprint = np.zeros(n, np.uint16), np.zeros(n, np.float32), np.ones(n, np.float32)
    adam = np.array([0.9, 0.99, 1e-15, 0, 0, 0, 0], np.float32)
    ones, slots = np.ones(n, np.int32), np.arange(1, n + 1, dtype=np.int32)
    corrections = np.ones(2000, np.float32)
    view = view_array(VIEWS["outside"])
    for _ in range(steps):
        kernels.launch(
            "update_voxels_half", (1,), (256,), n, ones, slots, view, packets, v_slot, adam, 2000, corrections,
            corrections, 3, 0, sh, moments[0], moments[1], age, heaviest, footprint,
        )  # fmt: skip
    m, v = (sh_rows((a.astype(np.uint32) << 16).view(np.float32), n)[:, 0] for a in moments)
    gradient = 0.28209479177387814 * v_slot[:, :3]
    assert np.array_equal(age, np.full(n, steps))
    assert abs((m / gradient).mean() - 1.0) < 0.003
    # 1 - 0.99^500 = 0.993 of the square has arrived; plain rounding stops at some 0.8 of it
    assert abs((v / gradient**2).mean() - (1.0 - 0.99**steps)) < 0.01


# --- total variation and points --------------------------------------------------------------------------------------


def test_total_variation_is_the_slope_of_the_edges_of_voxels_that_were_seen() -> None:
    rng, kernels = np.random.default_rng(0), host.load("adam.cu")
    density = rng.integers(-2, 3, G).astype(np.float32)  # some edges have equal ends
    seen = rng.random(V) < 0.7
    n_tiles, slot_end = seen.astype(np.int32), np.cumsum(seen).astype(np.int32)
    v_slot = np.zeros((seen.sum(), 4), np.float32)
    lit = rng.random(seen.sum()) < 0.8
    v_slot[lit, 3] = 0.3
    v_corners, v_density = np.zeros((V, 8), np.float32), np.zeros(G, np.float32)
    inputs = V, n_tiles, slot_end, v_slot, OCTREE.corner_idx, density, 0.5
    kernels.launch("total_variation", BLOCKS, (256,), *inputs, v_corners, None)
    kernels.launch("total_variation", BLOCKS, (256,), *inputs, None, v_density)
    corner = density[OCTREE.corner_idx]
    exact = sum(np.sign(corner - corner[:, np.arange(8) ^ bit]) for bit in (1, 2, 4)) * 0.5
    on = np.zeros(V, dtype=bool)
    on[np.flatnonzero(seen)[lit]] = True
    exact[~on] = 0.0
    assert np.array_equal(v_corners, exact.astype(np.float32))
    summed = np.bincount(OCTREE.corner_idx.reshape(-1), exact.reshape(-1), G)
    assert np.array_equal(v_density, summed.astype(np.float32))


# --- counts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blocks", [1, 3])
def test_leaves_are_counted_per_level(blocks: int) -> None:
    rng = np.random.default_rng(0)
    footprint = np.where(rng.random(V) < 0.6, 0.01, np.inf).astype(np.float32)
    heaviest, counts = rng.random(V).astype(np.float32), np.zeros((17, 3), np.int32)
    kernels = host.load("statistics.cu")
    kernels.launch("count_levels", (blocks,), (256,), V, OCTREE.level, footprint, heaviest, 0.25, counts)
    for column, on in enumerate((np.ones(V, bool), np.isfinite(footprint), heaviest >= 0.25)):
        assert np.array_equal(counts[:, column], np.bincount(OCTREE.level[on], minlength=17))
