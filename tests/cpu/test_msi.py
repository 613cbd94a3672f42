# SPDX-License-Identifier: MIT
"""The spheres around the box: kernels against the twin, the twin's gradients against finite differences, what rays see."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from engine.constants import SH_C0
from engine.cpu import msi as cpu
from engine.cpu.crew import Crew
from engine.reference import msi as twin

R, L, S = 6, 5, 32  # poles, layers, floats of a row
SAME = 2e-6  # float32 texels and results against float64; 3e-7 seen
CREW = Crew(2)


def texels(seed: int = 0) -> np.ndarray:
    """Return texels [2R,R,L,4], some of negative density, some of colours below 0."""
    rng = np.random.default_rng(seed)
    values = rng.normal(0.0, 2.0, (2 * R, R, L, 4))
    values[..., 3] = rng.uniform(-2.0, 8.0, (2 * R, R, L))
    return values.astype(np.float32)


def rows_of(values: np.ndarray) -> np.ndarray:
    rows = np.zeros((2 * R * R, S), dtype=np.float32)
    rows[:, : 4 * L] = values.reshape(2 * R * R, 4 * L)
    return rows


def rays(n: int = 80, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return rays from inside the box, from beside it outwards and inwards, and past the spheres' first radius."""
    rng = np.random.default_rng(seed)
    o = rng.uniform(-0.9, 0.9, (n, 3))
    o[: n // 3] *= 4.0
    d = rng.normal(size=(n, 3))
    d[0] = [0.0, 1.0, 0.0]  # to a pole
    return o, d / np.linalg.norm(d, axis=1, keepdims=True)


def seen_by_twin(values: np.ndarray, o: np.ndarray, d: np.ndarray, brightness: float = 0.3) -> torch.Tensor:
    return twin.behind(*(torch.from_numpy(a).double() for a in (values, o, d)), brightness)


def test_rays_see_what_the_twin_shows():
    o, d = rays(300)
    found = cpu.behind(CREW, rows_of(texels()), L, o, d, 0.3)
    assert found.dtype == np.float32
    assert found.std() > 0.05
    np.testing.assert_allclose(found, seen_by_twin(texels(), o, d), atol=SAME)


def test_uniform_spheres_give_the_closed_form():
    """All the way from radius 1 to infinity has the optical depth sigma, up to the last sphere at radius 2 n."""
    values = np.zeros((2 * R, R, L, 4), np.float32)
    values[..., :3], values[..., 3] = (0.8 - 0.5) / SH_C0, 1.7
    o, d = rays(20)
    o *= 0.1
    n = 2 * L + 2
    left = math.exp(-1.7 * (1.0 - 1.0 / (2 * n)))
    expected = 0.8 * (1.0 - left) + 0.3 * left
    np.testing.assert_allclose(cpu.behind(CREW, rows_of(values), L, o, d, 0.3), expected, atol=1e-6)


def test_a_bright_place_is_seen_in_its_direction_only():
    values = np.zeros((2 * R, R, L, 4), np.float32)
    values[..., :3], values[..., 3] = -0.5 / SH_C0, 100.0
    values[R, R // 2, :, :3] = 0.5 / SH_C0  # u = R is x = 0, z > 0; v = R / 2 is the equator
    d = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    found = cpu.behind(CREW, rows_of(values), L, np.zeros((4, 3)), d, 0.0)
    np.testing.assert_allclose(found[0], 1.0, atol=1e-4)
    np.testing.assert_allclose(found[1:], 0.0, atol=1e-4)


def test_the_seam_behind_is_none():
    """Two rays a hair to either side of where u wraps see the same."""
    o, d = np.zeros((2, 3)), np.array([[1e-7, 0.2, -1.0], [-1e-7, 0.2, -1.0]])
    found = cpu.behind(CREW, rows_of(texels()), L, o, d / np.linalg.norm(d, axis=1, keepdims=True), 0.3)
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)


def test_the_twins_gradients_are_those_of_finite_differences():
    o, d = (torch.from_numpy(a) for a in rays(4, seed=3))
    values = torch.from_numpy(texels(1)).double()
    values[..., 3].abs_()
    values.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: twin.behind(x, o, d, 0.3), (values,), atol=1e-7, fast_mode=True)


def gradients(n: int = 200, crew: Crew = CREW):
    o, d = rays(n, seed=5)
    rng = np.random.default_rng(6)
    log_trans = -rng.uniform(0.0, 3.0, n).astype(np.float32)
    log_trans[::9] = -30.0
    v_rgb = rng.normal(size=(n, 3)).astype(np.float32)
    rows = rows_of(texels(2))
    seen = cpu.behind(crew, rows, L, o, d, 0.3)
    v_rows, touched = np.zeros_like(rows), np.zeros(len(rows), np.uint8)
    v_log = cpu.behind_gradients(crew, rows, L, o, d, log_trans, seen, v_rgb, v_rows, touched)
    return (o, d, log_trans, v_rgb), v_rows, touched, v_log


def test_gradients_are_those_of_the_twin_and_of_the_boxs_transmittance_too():
    (o, d, log_trans, v_rgb), v_rows, touched, v_log = gradients()
    values = torch.from_numpy(texels(2)).double().requires_grad_()
    light = torch.from_numpy(log_trans).double().requires_grad_()
    completed = torch.exp(light)[:, None] * twin.behind(values, *(torch.from_numpy(a) for a in (o, d)), 0.3)
    completed[log_trans >= cpu.DARK].backward(torch.from_numpy(v_rgb).double()[log_trans >= cpu.DARK])
    wanted = values.grad.reshape(2 * R * R, 4 * L).numpy()
    assert np.abs(wanted).max() > 0.1
    np.testing.assert_allclose(v_rows[:, : 4 * L], wanted, atol=5e-6 * np.abs(wanted).max())
    np.testing.assert_array_equal(v_rows[:, 4 * L :], 0.0)
    np.testing.assert_allclose(v_log, light.grad, atol=SAME * 10)
    assert (touched[np.abs(wanted).max(axis=1) > 0.0] == 1).all()


def test_any_number_of_threads_gives_the_same_gradients():
    first, second = gradients(crew=Crew(1)), gradients(crew=Crew(3))
    np.testing.assert_array_equal(first[1], second[1])
    np.testing.assert_array_equal(first[3], second[3])


@pytest.mark.parametrize(("first", "count"), [(0, 2 * R * R * L), (2 * R * R * L - 7, 30)])
def test_total_variation_is_that_of_the_twin(first, count):
    rows, weights = rows_of(texels(4)), (0.3, 0.7)
    v_rows, touched = np.zeros_like(rows), np.zeros(len(rows), np.uint8)
    cpu.add_total_variation(rows, L, v_rows, touched, first, count, np.array(weights), 1e-9)
    values = torch.from_numpy(texels(4)).double().requires_grad_()
    # Its gradient is the published one: the derivative of 1/2 change^2 over a norm that is held fixed.
    change = twin.total_variation(values, first, count, weights, 1e-9)
    change.backward()
    np.testing.assert_allclose(v_rows[:, : 4 * L], values.grad.reshape(len(rows), -1), atol=1e-6)
    assert (touched[np.abs(v_rows).max(axis=1) > 0.0] == 1).all()


def test_uniform_texels_vary_in_no_way():
    rows = rows_of(np.full((2 * R, R, L, 4), 0.7, np.float32))
    v_rows, touched = np.zeros_like(rows), np.zeros(len(rows), np.uint8)
    cpu.add_total_variation(rows, L, v_rows, touched, 0, 2 * R * R * L, np.array([1.0, 1.0]), 1e-9)
    assert (v_rows == 0.0).all()


def test_no_rays_give_nothing():
    none = np.zeros((0, 3))
    assert cpu.behind(CREW, rows_of(texels()), L, none, none, 0.3).shape == (0, 3)
