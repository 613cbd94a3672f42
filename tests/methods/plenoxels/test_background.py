# SPDX-License-Identifier: MIT
"""Spheres in training: they learn what is far away, with a box in front; state, files, the optimiser's first step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.cpu.crew import Crew
from engine.cpu.lists import Workspace
from engine.cpu.march import GridGradients, LossTerms, MarchOptions, march, march_gradients
from engine.methods.plenoxels import npz
from engine.methods.plenoxels.background import Spheres
from engine.methods.plenoxels.config import RateOptions, SpheresOptions
from engine.reference import msi as twin
from engine.reference.march import march as readable_march
from tests.methods.plenoxels.stored import ball

CREW = Crew(2)
SMALL = SpheresOptions(layers=4, height=8, density=1.0, density_final=0.1, colour=0.1, colour_final=0.01)
RATES = RateOptions(decay_steps=200, delay_steps=0)
CENTRE, HALF = np.array([0.1, 0.0, -0.2]), 0.5


def rays(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    d = rng.normal(size=(n, 3))
    o = rng.uniform(-0.4, 0.4, (n, 3)) + CENTRE
    return o.astype(np.float32), (d / np.linalg.norm(d, axis=1, keepdims=True)).astype(np.float32)


def sky(d: np.ndarray) -> np.ndarray:
    """Return colours [n,3] of a sky that changes with the direction."""
    return (0.5 + 0.4 * np.stack([d[:, 0], d[:, 1], d[:, 2] * d[:, 0]], axis=1)).astype(np.float32)


def empty_box() -> npz.Grid:
    grid = npz.grid_of(ball(8))
    grid.density[:] = -1.0
    grid.center[:], grid.radius[:] = CENTRE, HALF
    return grid


def error_after(kind: str, steps: int) -> tuple[float, float, Spheres]:
    spheres, grid = Spheres(SMALL, kind, CENTRE, HALF), empty_box()
    gradients, room, errors = GridGradients.of(grid), Workspace(), []
    for step in range(steps):
        o, d = rays(400, seed=step)
        complete = spheres.completion(o, d, sky(d), 1.0, CREW)
        march_gradients(grid, o, d, complete, MarchOptions(), LossTerms(), gradients, CREW, room)
        spheres.add_variation(SMALL, 0.05, np.random.default_rng(step))
        spheres.step(SMALL, RATES, step, CREW)
        errors.append(complete.mse)
    return errors[0], errors[-1], spheres


@pytest.mark.parametrize("kind", ["rmsprop", "adam"])
def test_a_sky_is_learned_through_an_empty_box(kind):
    first, last, _ = error_after(kind, 60)
    assert last < 0.05 * first


def test_with_a_box_in_front_all_gradients_are_those_of_the_twins():
    """Marching and spheres as one differentiable function, against the kernels' way back."""
    grid = npz.grid_of(ball(8))
    grid.density *= 0.02  # half transparent
    o, d = rays(60)
    o = (o * 0.5).astype(np.float32)
    spheres = Spheres(SMALL, "rmsprop", np.zeros(3), HALF)
    rng = np.random.default_rng(1)
    spheres.texels[:] = rng.normal(0.0, 1.0, spheres.texels.shape)
    spheres.texels[..., 3] += 2.0
    target = rng.random((60, 3)).astype(np.float32)
    gradients = GridGradients.of(grid)
    complete = spheres.completion(o, d, target, 0.5, CREW)
    march_gradients(grid, o, d, complete, MarchOptions(), LossTerms(), gradients, CREW, Workspace())

    density = torch.from_numpy(grid.density).double().requires_grad_()
    texels = torch.from_numpy(spheres.texels.copy()).double().requires_grad_()
    rays64 = [torch.from_numpy(a).double() for a in (o, d)]
    rays64[1] = rays64[1] / rays64[1].norm(dim=1, keepdim=True)
    colours = torch.from_numpy(grid.coefficients.copy()).double()
    seen = readable_march(grid, density, colours, *rays64, MarchOptions())
    far = twin.behind(texels, rays64[0] / HALF, rays64[1], 0.5)
    rgb = seen.rgb + torch.exp(seen.log_trans)[:, None] * far
    loss = (rgb - torch.from_numpy(target)).square().mean()
    loss.backward()
    assert complete.mse == pytest.approx(float(loss.detach()), rel=1e-5)
    wanted = density.grad.numpy()
    column = 3 * grid.n_basis
    np.testing.assert_allclose(gradients.rows[:, column], wanted, atol=1e-4 * np.abs(wanted).max())
    wanted = texels.grad.reshape(len(spheres.rows), -1).numpy()
    assert np.abs(wanted).max() > 1e-4
    np.testing.assert_allclose(spheres._v_rows[:, :16], wanted, atol=1e-4 * np.abs(wanted).max())
    picture = march(grid, o, d, MarchOptions(), CREW, Workspace())
    completed = spheres.completed(picture.rgb, picture.log_trans, o, d, 0.5, CREW)
    np.testing.assert_allclose(completed, rgb.detach().numpy(), atol=1e-4)


def test_the_first_step_moves_by_the_rate_against_the_gradients_sign():
    spheres = Spheres(SMALL, "rmsprop", CENTRE, HALF)
    before = spheres.texels.copy()
    o, d = rays(200)
    spheres.completion(o, d, sky(d), 1.0, CREW)(
        0, 200, np.zeros((200, 3), np.float32), np.zeros(200, np.float32)
    )
    gradient = spheres._v_rows[:, :16].reshape(before.shape).copy()
    spheres.step(SMALL, RATES, 0, CREW)
    moved = spheres.texels - before
    strong = np.abs(gradient) > 1e-5
    rate = np.broadcast_to([0.1, 0.1, 0.1, 1.0], before.shape)
    np.testing.assert_allclose(moved[strong], (-rate * np.sign(gradient))[strong], rtol=2e-3)
    assert strong.any()
    np.testing.assert_array_equal(spheres.rows[:, 16:], 0.0)
    np.testing.assert_array_equal(spheres._v_rows, 0.0)


def test_training_goes_on_the_same_from_its_state():
    _, _, spheres = error_after("adam", 3)
    again = Spheres(SMALL, "adam", CENTRE, HALF)
    again.load({name: array.copy() for name, array in spheres.tensors().items()})
    o, d = rays(50, seed=9)
    for one in (spheres, again):
        none = np.zeros((50, 3), np.float32), np.zeros(50, np.float32)
        one.completion(o, d, sky(d), 1.0, CREW)(0, 50, *none)
        one.step(SMALL, RATES, 4, CREW)
    np.testing.assert_array_equal(spheres.rows, again.rows)


def test_the_public_file_holds_the_spheres(tmp_path):
    _, _, spheres = error_after("rmsprop", 2)
    npz.write(tmp_path / "a.npz", replace(ball(8), **spheres.stored()))
    back = npz.read(tmp_path / "a.npz")
    np.testing.assert_array_equal(back.background_links, np.arange(128).reshape(16, 8))
    np.testing.assert_array_equal(back.background_data.reshape(spheres.texels.shape), spheres.texels)
    again = Spheres(SMALL, "rmsprop", CENTRE, HALF)
    again.load({"spheres.texels": back.background_data[back.background_links]})
    np.testing.assert_array_equal(again.texels, spheres.texels)


def test_a_box_that_lets_nothing_through_leaves_the_spheres_alone():
    spheres = Spheres(SMALL, "rmsprop", CENTRE, HALF)
    o, d = rays(10)
    dark = np.full(10, -30.0, np.float32)
    v_rgb, v_log = spheres.completion(o, d, sky(d), 1.0, CREW)(0, 10, np.zeros((10, 3), np.float32), dark)
    assert np.abs(v_rgb).max() > 0.0
    assert (v_log == 0.0).all()
    assert not spheres._touched.any()
