# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest

from engine.cameras import look_at
from engine.datasets.ndc import Ndc


@pytest.fixture
def ndc() -> Ndc:
    pose = look_at(np.array([1.0, 2.0, 3.0]), np.array([0.0, 0.5, 9.0]), np.array([0.0, 1.0, 0.0]))
    return Ndc(pose, slope_x=0.6, slope_y=0.4, near=0.5)


def _world(ndc: Ndc, local: list[list[float]]) -> np.ndarray:
    return np.array(local) @ ndc.world_from_cam[:3, :3].T + ndc.world_from_cam[:3, 3]


def test_the_picture_is_the_front_of_the_cube_and_infinity_its_back(ndc):
    corners = _world(ndc, [[0.3, 0.2, 0.5], [-0.3, 0.2, 0.5], [0.6e9, -0.4e9, 1e9], [0.0, 0.0, 1.0]])
    wanted = [[1, 1, -1], [-1, 1, -1], [1, -1, 1], [0, 0, 0]]
    np.testing.assert_allclose(ndc.forward(corners), wanted, atol=1e-6)


def test_there_and_back_is_the_same_place(ndc):
    random = np.random.default_rng(0)
    points = _world(ndc, np.column_stack([random.normal(size=(50, 2)), random.uniform(0.1, 50, 50)]))
    np.testing.assert_allclose(ndc.inverse(ndc.forward(points)), points, rtol=1e-9, atol=1e-9)
    cube = random.uniform(-1, 0.9, (5, 4, 3))
    np.testing.assert_allclose(ndc.forward(ndc.inverse(cube)), cube, atol=1e-9)


def test_what_lies_behind_the_camera_or_beyond_infinity_has_no_place(ndc):
    assert np.isnan(ndc.forward(_world(ndc, [[0.1, 0.1, -1.0]]))).all()
    assert np.isnan(ndc.inverse(np.array([[0.1, 0.1, 1.0]]))).all()


def test_rays_stay_straight_and_run_from_the_near_plane_to_infinity(ndc):
    random = np.random.default_rng(1)
    rays_o = _world(ndc, np.column_stack([random.normal(size=(20, 2)), random.uniform(-1, 0.4, 20)]))
    rays_d = random.normal(size=(20, 3)) * 0.2 + ndc.world_from_cam[:3, 2]
    origin, direction = ndc.rays(rays_o, rays_d)
    np.testing.assert_allclose(origin[:, 2], -1.0, atol=1e-9)
    np.testing.assert_allclose((origin + direction)[:, 2], 1.0, atol=1e-9)
    for distance in (2.0, 7.0, 100.0):
        place = ndc.forward(rays_o + distance * rays_d)
        t = (place[:, 2] - origin[:, 2]) / direction[:, 2]
        np.testing.assert_allclose(origin + t[:, None] * direction, place, atol=1e-9)
    backward = ndc.rays(rays_o, -rays_d)
    assert np.isnan(backward[0]).all() and np.isnan(backward[1]).all()
