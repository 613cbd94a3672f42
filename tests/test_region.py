# SPDX-License-Identifier: MIT
"""Regions, slices and what is shown: containment, rays, other coordinates, and values that compare by what they say."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import UserError
from engine.region import EVERYTHING, Region, Shown, Slice


def turned(angle: float) -> np.ndarray:
    """Return a rotation about z."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


TILTED = Region((0.1, 0.2, -0.1), (0.3, 0.1, 0.2), turned(np.pi / 4))


def test_a_turned_box_holds_what_lies_along_its_own_axes() -> None:
    along, across = turned(np.pi / 4)[:, 0], turned(np.pi / 4)[:, 1]
    points = np.array(TILTED.centre) + np.array([0.29 * along, 0.31 * along, 0.29 * across, 0.09 * across])
    assert TILTED.contains(points).tolist() == [True, False, False, True]


def test_corners_lie_on_the_box_in_the_order_of_their_sides() -> None:
    corners = TILTED.corners()
    assert TILTED.contains(np.array(TILTED.centre) + 0.999 * (corners - TILTED.centre)).all()
    assert not TILTED.contains(np.array(TILTED.centre) + 1.001 * (corners - TILTED.centre)).any()
    np.testing.assert_allclose(corners[4] - corners[0], 0.6 * turned(np.pi / 4)[:, 0])


def test_a_ray_hits_a_box_exactly_where_a_point_of_it_lies_inside() -> None:
    rng = np.random.default_rng(3)
    origins, directions = rng.uniform(-1, 1, (300, 3)), rng.normal(size=(300, 3))
    t = np.linspace(0.0, 3.0, 4000)
    points = origins[:, None] + t[:, None] * directions[:, None]
    walked = TILTED.contains(points.reshape(-1, 3)).reshape(300, -1).any(axis=1)
    hit = TILTED.hit_by(origins, directions)
    assert 10 < walked.sum() < 290
    assert (hit >= walked).all() and (hit != walked).sum() <= 6, "steps may miss a corner, not find one more"


def test_what_a_box_holds_it_holds_in_other_coordinates() -> None:
    to_data = np.eye(4)
    to_data[:3, :3], to_data[:3, 3] = 3.0 * turned(0.7) @ np.diag([1, -1, -1]), (5.0, 6.0, 7.0)
    points = np.random.default_rng(1).uniform(-0.5, 0.5, (500, 3))
    moved = TILTED.mapped(to_data)
    there = points @ to_data[:3, :3].T + to_data[:3, 3]
    assert (moved.contains(there) == TILTED.contains(points)).all()
    back = moved.mapped(np.linalg.inv(to_data))
    np.testing.assert_allclose(back.corners(), TILTED.corners(), atol=1e-12)


def test_a_region_is_a_value_and_survives_a_file() -> None:
    assert Region.from_json(TILTED.as_json()) == TILTED
    assert hash(Region(np.array(TILTED.centre), np.array(TILTED.half), turned(np.pi / 4))) == hash(TILTED)


@pytest.mark.parametrize(
    "wrong",
    [
        {"half": (0.1, 0.0, 0.1)},
        {"centre": (0.0, np.nan, 0.0)},
        {"centre": (0.0, 0.0)},
        {"rotation": 1.1 * np.eye(3)},
        {"rotation": np.diag([1, 1, -1])},
    ],
)
def test_a_box_that_is_none_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UserError):
        Region(**{"centre": (0, 0, 0), "half": (1, 1, 1), **wrong})


def test_a_slice_hides_its_front_and_a_slab_its_back_too() -> None:
    points = np.array([[0, 0, 0.2], [0, 0, 0.05], [0, 0, -0.2]])
    assert Slice((0, 0, 0.1), (0, 0, 2)).shows(points).tolist() == [False, True, True]
    assert Slice((0, 0, 0.1), (0, 0, 2), 0.1).shows(points).tolist() == [False, True, False]


def test_shown_is_what_passes_every_choice() -> None:
    centre = np.array([[0.1, 0.2, -0.1], [0.9, 0.9, 0.9], [0.1, 0.2, 0.05]])
    level = np.array([3, 3, 4])
    assert Shown((3,), TILTED).mask(centre, level).tolist() == [True, False, False]
    assert Shown((), TILTED, True).mask(centre, level).tolist() == [False, True, False]
    assert Shown(slice=Slice((0, 0, 0), (0, 0, 1))).mask(centre, level).tolist() == [True, False, False]
    assert EVERYTHING.everything and EVERYTHING.mask(centre, level).all()
