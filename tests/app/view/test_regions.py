# SPDX-License-Identifier: MIT
"""Regions as people set them: presets hold what they promise, angles add up, and text comes back as it was."""

from __future__ import annotations

import numpy as np
import pytest

from app.view import regions
from engine.cameras import Camera, look_at
from engine.errors import UserError
from engine.region import Region

UPS = ([0.0, 0.0, 1.0], [0.0, -1.0, 0.0], [0.3, 0.8, -0.2])
DATA = np.array([[3.0, 0, 0, 10.0], [0, 3.0, 0, -4.0], [0, 0, 3.0, 0.5], [0, 0, 0, 1.0]])


@pytest.mark.parametrize("up", UPS)
def test_an_upright_box_has_an_axis_along_up_and_turns_no_more_than_it_must(up):
    turn, unit = regions.upright(np.array(up)), np.array(up) / np.linalg.norm(up)
    assert np.allclose(turn @ turn.T, np.eye(3)) and np.isclose(np.linalg.det(turn), 1.0)
    assert np.isclose(np.abs(turn.T @ unit).max(), 1.0)
    if np.abs(unit).max() == 1.0:
        assert np.allclose(turn, np.eye(3))


@pytest.mark.parametrize("up", UPS)
def test_angles_about_up_add_up(up):
    up = np.array(up)
    start = Region((0.1, 0.2, 0.3), (0.1, 0.2, 0.3), regions.upright(up))
    assert np.isclose(regions.angle_rad(start, up), 0.0)
    for angle in (0.3, -1.2, 3.0):
        assert np.isclose(regions.angle_rad(regions.turned(start, up, angle), up), angle)
    twice = regions.turned(regions.turned(start, up, 0.4), up, 0.5)
    assert np.isclose(regions.angle_rad(twice, up), 0.9)


def test_a_region_copied_from_one_box_of_the_scene_is_the_same_place_on_another():
    region = regions.turned(Region((0.1, -0.2, 0.3), (0.2, 0.1, 0.3)), np.array([0, 0, 1.0]), 0.7)
    other = np.diag([5.0, 5.0, 5.0, 1.0])
    pasted = regions.region_of_text(regions.text_of(region, DATA), other)
    assert np.allclose(pasted.mapped(other).corners(), region.mapped(DATA).corners())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "other text"),
        ("hello", "other text"),
        ("[1, 2]", "other text"),
        ('{"region": {"centre": [0, 0, 0]}}', "other text"),
        (
            '{"region": {"centre": [0, 0, 0], "half": [0, 1, 1], "rotation": [[1,0,0],[0,1,0],[0,0,1]]}}',
            "above 0",
        ),
    ],
)
def test_text_that_is_no_region_is_refused_with_the_reason(text, reason):
    with pytest.raises(UserError, match=reason):
        regions.region_of_text(text, DATA)


def test_what_is_seen_is_boxed_but_for_a_few_specks():
    pose = look_at(np.array([0.0, -2.0, 0.0]), np.zeros(3), np.array([0.0, 0.0, 1.0]))
    camera = Camera.from_fov(400, 300, 0.8, pose)
    depth = np.full((150, 200), np.inf, np.float32)  # rendered at half the size
    depth[60:90, 80:120] = 2.0  # a plate across the sight, through the origin
    depth[5, 5] = 40.0
    region = regions.seen(camera, depth, np.array([0.0, 0.0, 1.0]))
    wide = 2.0 * 40 / camera.resized(200, 150).fx
    assert np.allclose(region.centre, 0.0, atol=0.01)
    assert wide <= 2.0 * region.half[0] <= 1.15 * wide and region.half[1] < 0.02
    assert regions.seen(camera, np.full((4, 4), np.inf, np.float32), np.array([0.0, 0.0, 1.0])) is None


def test_the_region_round_a_voxel_holds_it_and_its_neighbours():
    region = regions.around((0.1, 0.2, 0.3), 0.01, np.array([0.2, 0.1, 1.0]))
    assert region.contains(np.array([[0.1, 0.2, 0.3], [0.13, 0.2, 0.3]])).all()
    assert not region.contains(np.array([[0.2, 0.2, 0.3]])).any()
