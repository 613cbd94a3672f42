# SPDX-License-Identifier: MIT
"""Rays of a camera: depth along its axis, width of a pixel, where they meet the cube."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.cameras import Camera, look_at
from engine.methods.infnerf.rays import near_and_far, rays_of
from engine.node_tree import FOOTPRINT_RADIUS, NodeTree

TREE = NodeTree.of(np.zeros(3), 0.5, 1.0 / 64, np.zeros(1, np.int32), np.zeros((1, 3), np.int32))
POSE = look_at(np.array([1.1, -0.9, 0.7]), np.array([0.1, 0.0, 0.0]), np.array([0.0, 0.0, 1.0]))
CAMERA = Camera.from_fov(12, 9, 0.7, POSE)
FLAT = replace(CAMERA, fx=10.0, fy=10.0, orthographic=True)


def test_t_is_depth_along_the_axis() -> None:
    rays = rays_of(CAMERA, TREE)
    pixel, z = CAMERA.project(rays.rays_o + 1.3 * rays.rays_d.astype(np.float64))
    assert np.allclose(z, 1.3, atol=1e-6)
    assert np.allclose(pixel[:, 0], np.tile(np.arange(12) + 0.5, 9), atol=1e-4)
    assert rays.footprint[0] == pytest.approx(FOOTPRINT_RADIUS / CAMERA.fx, rel=1e-6)


def test_half_the_pixels_are_twice_as_wide() -> None:
    assert rays_of(CAMERA.scaled(0.5), TREE).footprint[0] == pytest.approx(
        2 * rays_of(CAMERA, TREE).footprint[0], rel=0.15
    )
    exact = CAMERA.resized(6, 9)  # half as many along one axis: the area doubles
    assert rays_of(exact, TREE).footprint[0] == pytest.approx(np.sqrt(2) * rays_of(CAMERA, TREE).footprint[0])


def test_an_orthographic_pixel_is_as_wide_everywhere_in_the_cube() -> None:
    rays = rays_of(FLAT, TREE)
    near, far = near_and_far(rays.rays_o, rays.rays_d, TREE, 0.0, None)
    for t in (near[near < far], far[near < far]):
        assert np.allclose(t * rays.footprint[0], FOOTPRINT_RADIUS / FLAT.fx, rtol=0.03)
    z = (rays.rays_o + near[:, None] * rays.rays_d - FLAT.position) @ FLAT.forward
    assert np.allclose(near - rays.back, z, atol=1e-4)


@pytest.mark.parametrize(
    "camera", [CAMERA, FLAT, CAMERA.moved(look_at(np.array([0.0, 0, 2]), np.zeros(3), np.eye(3)[0]))]
)
def test_rays_enter_and_leave_at_the_cubes_walls(camera: Camera) -> None:
    """Also those along an axis."""
    rays = rays_of(camera, TREE)
    near, far = near_and_far(rays.rays_o, rays.rays_d, TREE, 0.02, None)
    hit = near < far
    assert hit.any()
    for t in (near, far):
        place = (rays.rays_o + t[:, None] * rays.rays_d)[hit]
        assert np.allclose(np.abs(place).max(axis=1), 0.5, atol=1e-4)
    along = np.linspace(0.0, 1.0, 50)[:, None, None] * 40.0
    misses = (rays.rays_o + along * rays.rays_d)[:, ~hit]
    assert np.all(np.abs(misses).max(axis=-1) > 0.5 - 1e-4)


def test_a_camera_in_the_cube_sees_from_near_on_and_surroundings_up_to_far() -> None:
    inside = CAMERA.moved(look_at(np.zeros(3), np.ones(3), np.array([0.0, 0.0, 1.0])))
    rays = rays_of(inside, TREE)
    near, far = near_and_far(rays.rays_o, rays.rays_d, TREE, 0.02, None)
    assert np.all(near == np.float32(0.02)) and np.all(far > 0.2)
    near, far = near_and_far(rays.rays_o, rays.rays_d, TREE, 0.05, 16.0)
    assert np.all(near == np.float32(0.05)) and np.all(far == 16.0)
