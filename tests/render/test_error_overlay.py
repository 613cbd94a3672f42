# SPDX-License-Identifier: MIT
"""Heat over a picture: it lies where the view's blocks are, seen from there or from elsewhere, and only where they are known."""

from __future__ import annotations

import numpy as np

from engine.cameras import Camera, look_at
from engine.render.colour_maps import colour_table
from engine.render.error_overlay import FAINTEST, STRONGEST, lay_over, nearest_view

UP = np.array([0.0, 0.0, 1.0])


def camera(eye: tuple, size: int = 64) -> Camera:
    """Return a camera that looks at the origin."""
    return Camera.from_fov(size, size, 0.8, look_at(np.array(eye, dtype=float), np.zeros(3), UP))


def grey(size: int) -> np.ndarray:
    picture = np.full((size, size, 4), 100, np.uint8)
    picture[..., 3] = 255
    return picture


def one_hot(row: int, column: int) -> np.ndarray:
    """Return errors of 8 x 8 blocks: one is large, the others are tiny."""
    errors = np.full((8, 8), 1e-8, np.float32)
    errors[row, column] = 0.25
    return errors


def hottest(heated: np.ndarray) -> tuple[int, int]:
    """Return the row and column of the middle of what is brighter than the rest."""
    rows, columns = np.nonzero(heated[..., 0] > 150)
    return round(rows.mean()), round(columns.mean())


def test_from_the_views_own_place_a_block_covers_its_pixels_at_any_depth() -> None:
    here = camera((1.2, 0.3, 0.4))
    errors = np.linspace(0.0, 0.6, 64, dtype=np.float32).reshape(8, 8) ** 2
    for depth in (
        np.zeros((64, 64)),
        np.full((64, 64), np.inf),
        np.random.default_rng(0).uniform(0.5, 3.0, (64, 64)),
    ):
        heated, legend = lay_over(grey(64), depth, here, errors, 8, here, "turbo")
        low, top, _ = legend
        assert (low, top) == (0.0, 1.0)
        share = np.kron(np.sqrt(errors), np.ones((8, 8)))[..., None]
        mix = FAINTEST + (STRONGEST - FAINTEST) * share
        wanted = 100.0 * (1.0 - mix) + colour_table("turbo")[np.round(share[..., 0] * 255).astype(int)] * mix
        assert np.abs(heated[..., :3] - wanted).max() <= 1.5
        assert (heated[..., 3] == 255).all()


def test_from_elsewhere_a_block_is_found_through_the_depth() -> None:
    taken, other = camera((1.2, 0.0, 0.0)), camera((0.9, 0.8, 0.0), 96)
    origins, directions = other.rays()
    t = -origins[..., 0] / directions[..., 0]  # a wall at x = 0
    depth = (t * (directions @ other.forward)).astype(np.float32)
    heated, _ = lay_over(grey(96), depth, other, one_hot(2, 5), 8, taken, "grey")
    pixel = np.array([[5 * 8 + 4.0, 2 * 8 + 4.0]])
    ray = np.append((pixel[0] - [taken.cx, taken.cy]) / taken.fx, 1.0) @ taken.world_from_cam[:3, :3].T
    point = taken.position - taken.position[0] / ray[0] * ray
    (x, y), _ = (a[0] for a in other.project(point[None]))
    row, column = hottest(heated)
    assert abs(row - y) <= 2.0 and abs(column - x) <= 2.0


def test_what_the_view_does_not_show_or_know_stays_as_it_is() -> None:
    taken = camera((1.2, 0.0, 0.0))
    behind = camera((2.6, 0.0, 0.0))
    turned = behind.moved(look_at(behind.position, np.array([4.0, 0.0, 0.0]), UP))
    picture = grey(64)
    heated, _ = lay_over(picture, np.full((64, 64), 1.0), turned, one_hot(3, 3), 8, taken, "turbo")
    np.testing.assert_array_equal(heated, picture)
    errors = one_hot(3, 3)
    errors[:4] = np.nan
    heated, _ = lay_over(picture, np.zeros((64, 64)), taken, errors, 8, taken, "turbo")
    np.testing.assert_array_equal(heated[:32], picture[:32])
    assert (heated[32:] != picture[32:]).any()
    assert lay_over(picture, np.zeros((64, 64)), taken, np.full((8, 8), np.nan), 8, taken, "turbo") is None


def test_the_nearest_view_stands_and_looks_alike() -> None:
    cameras = [camera((1.2, 0.0, 0.0)), camera((0.0, 1.2, 0.0)), camera((-1.2, 0.0, 0.0))]
    assert nearest_view(cameras, camera((0.2, 1.0, 0.1))) == 1
    away = cameras[0].moved(look_at(np.array([0.3, 0.0, 0.0]), np.array([5.0, 0.0, 0.0]), UP))
    assert nearest_view(cameras, away) == 2  # the others look the other way
