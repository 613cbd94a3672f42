# SPDX-License-Identifier: MIT
"""Rays, points along them, light along them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import engine
from engine.cameras import Camera, look_at
from engine.conventions import opengl_from_opencv
from engine.errors import OptionError


def poses() -> np.ndarray:
    up = np.array([0.0, 0.0, 1.0])
    return np.stack([look_at(np.array(p, dtype=float), np.zeros(3), up) for p in ((2, 1, 1), (0, -3, 0.5))])


@pytest.mark.parametrize("convention", ["opengl", "opencv"])
def test_rays_are_those_of_the_engines_cameras(convention):
    given = poses() if convention == "opencv" else opengl_from_opencv(poses())
    rays_o, rays_d = engine.generate_rays(torch.from_numpy(given), 30.0, 8, 12, convention)
    for i, pose in enumerate(poses()):
        o, d = Camera(12, 8, 30.0, 30.0, 6.0, 4.0, pose).rays()
        np.testing.assert_allclose(rays_o[i], o, atol=1e-12)
        np.testing.assert_allclose(rays_d[i], d, atol=1e-12)
    one = engine.generate_rays(torch.from_numpy(given[0]), 30.0, 8, 12, convention)
    assert torch.equal(one[1], rays_d[0])


def test_an_unknown_convention_and_poses_of_another_shape_are_refused():
    with pytest.raises(OptionError, match="opengl or opencv, got 'blender'"):
        engine.generate_rays(torch.eye(4), 1.0, 2, 2, "blender")
    with pytest.raises(ValueError, match=r"\[C, 4, 4\]"):
        engine.generate_rays(torch.eye(3), 1.0, 2, 2)


def test_points_are_evenly_spaced_in_distance_or_in_disparity():
    o, d = torch.zeros(2, 3, dtype=torch.float64), torch.eye(3, dtype=torch.float64)[:2] * 2.0
    points, t = engine.sample_points_along_rays(o, d, 1.0, 5.0, 5)
    np.testing.assert_allclose(t[0], [1, 2, 3, 4, 5])
    np.testing.assert_allclose(points[1, :, 1], [2, 4, 6, 8, 10])
    _, t = engine.sample_points_along_rays(o, d, 1.0, 5.0, 5, mode="disparity")
    np.testing.assert_allclose(np.diff(1.0 / t[0]), -0.2)
    _, t = engine.sample_points_along_rays(o, d, torch.tensor([1.0, 2.0]), 5.0, 3)
    np.testing.assert_allclose(t[1], [2.0, 3.5, 5.0])


def test_stratified_points_stay_within_their_share_of_the_way():
    o, d = torch.zeros(500, 3), torch.ones(500, 3)
    generator = torch.Generator().manual_seed(0)
    _, t = engine.sample_points_along_rays(o, d, 0.0, 4.0, 5, stratified=True, generator=generator)
    edges = torch.tensor([0.0, 0.5, 1.5, 2.5, 3.5, 4.0])
    assert ((t >= edges[:-1]) & (t <= edges[1:])).all()
    assert (t.std(dim=0) > 0.1).all()


def test_compositing_is_that_of_a_loop():
    rng = np.random.default_rng(0)
    sigma, rgb = rng.uniform(-1.0, 4.0, (6, 9)), rng.random((6, 9, 3))
    t, d = np.sort(rng.random((6, 9)), axis=1), rng.normal(size=(6, 3))
    out = engine.volume_render(*(torch.from_numpy(a) for a in (sigma, rgb, t, d)), background=0.25)
    for ray in range(6):
        light, colour, depth = 1.0, np.zeros(3), 0.0
        for i in range(9):
            gap = (t[ray, i + 1] - t[ray, i] if i < 8 else t[ray, 8] - t[ray, 7]) * np.linalg.norm(d[ray])
            alpha = 1.0 - np.exp(-max(sigma[ray, i], 0.0) * gap)
            np.testing.assert_allclose(out["weights"][ray, i], light * alpha)
            colour += light * alpha * rgb[ray, i]
            depth += light * alpha * t[ray, i]
            light *= 1.0 - alpha
        np.testing.assert_allclose(out["rgb"][ray], colour + light * 0.25)
        np.testing.assert_allclose(out["depth"][ray], depth)
        np.testing.assert_allclose(out["alpha"][ray], 1.0 - light)


def test_compositings_gradients_are_those_of_finite_differences():
    rng = np.random.default_rng(1)
    sigma = torch.from_numpy(rng.uniform(0.1, 3.0, (2, 4))).requires_grad_()
    rgb = torch.from_numpy(rng.random((2, 4, 3))).requires_grad_()
    t = torch.from_numpy(np.sort(rng.random((2, 4)), axis=1))
    assert torch.autograd.gradcheck(lambda s, c: tuple(engine.volume_render(s, c, t).values()), (sigma, rgb))


def test_a_ray_without_samples_sees_the_background():
    out = engine.volume_render(torch.zeros(2, 0), torch.zeros(2, 0, 3), torch.zeros(2, 0), background=0.5)
    assert (out["rgb"] == 0.5).all()
    assert out["alpha"].tolist() == [0.0, 0.0]
