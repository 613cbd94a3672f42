# SPDX-License-Identifier: MIT
"""Colours of voxels from grouped spherical harmonics against `engine.sh`, and moving groups to a new structure."""

from __future__ import annotations

import numpy as np
import pytest

from engine.cameras import Camera
from engine.cpu.crew import Crew
from engine.cpu.lists import VoxelTable, Workspace
from engine.cpu.shade import carry_groups, grouped, sh_groups, sh_rows
from engine.cpu.train_view import shaded_lists
from engine.octree import Octree
from engine.sh import rgb_from_sh, view_directions
from tests.cpu.scenes import VIEWS, camera_at, mixed_octree, one_voxel

COLOUR = 3e-6  # 1.1e-6 seen: sixteen float32 products of coefficients up to 5


def rows_of(n: int, degree: int, seed: int = 0) -> np.ndarray:
    """Return random coefficients [n, (degree + 1)^2, 3]; some colours come out below zero."""
    return np.random.default_rng(seed).normal(0.0, 1.5, (n, (degree + 1) ** 2, 3)).astype(np.float32)


def shade(
    octree: Octree, sh: np.ndarray, degree: int, camera: Camera, threads: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Return rgb [V,3], NaN where nothing was written, and which voxels are visible."""
    team, room = Crew(threads), Workspace()
    room.take("rgb", (len(octree), 1, 3), np.float32)[:] = np.nan
    lists, rgb = shaded_lists(VoxelTable.of(octree), sh, degree, camera, team, room)
    team.close()
    return rgb[:, 0], lists.first_pair >= 0


@pytest.mark.parametrize("view", ["outside", "inside a voxel", "orthographic"])
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_colours_equal_the_reference(degree: int, view: str) -> None:
    octree, camera = mixed_octree(), VIEWS[view]
    rows = rows_of(len(octree), degree)
    rgb, visible = shade(octree, grouped(rows), degree, camera)
    exact = rgb_from_sh(rows, view_directions(octree.center, camera), degree)
    assert visible.any() and np.abs(rgb[visible] - exact[visible]).max() < COLOUR
    assert (exact[visible] == 0.0).any() and np.array_equal(rgb[visible] == 0.0, exact[visible] == 0.0)


@pytest.mark.parametrize("degree", [0, 1, 2])
def test_a_lower_degree_ignores_the_coefficients_above(degree: int) -> None:
    octree = mixed_octree()
    rows = rows_of(len(octree), 3)
    rgb, visible = shade(octree, grouped(rows), degree, VIEWS["outside"])
    fewer = np.ascontiguousarray(rows[:, : (degree + 1) ** 2])
    assert np.array_equal(rgb[visible], shade(octree, grouped(fewer), degree, VIEWS["outside"])[0][visible])


def test_a_camera_at_a_voxels_centre_gives_a_finite_colour() -> None:
    camera = camera_at((0.25, 0.25, 0.25), (0.25, 0.25, 1.0))
    rgb, visible = shade(one_voxel(), grouped(rows_of(1, 3)), 3, camera)
    assert visible[0] and np.isfinite(rgb).all()


def test_groups_nobody_sees_are_left_alone() -> None:
    octree = Octree.dense(3)
    rgb, visible = shade(
        octree, grouped(rows_of(512, 1)), 1, camera_at((0.0, 0.0, 0.3), (0.0, 0.0, 1.0), fov=0.4)
    )
    of_group = visible.reshape(-1, 16).any(axis=1)
    assert 0 < of_group.sum() < len(of_group)
    assert np.array_equal(np.isfinite(rgb[:, 0]).reshape(-1, 16).all(axis=1), of_group)


def test_colours_are_the_same_bits_for_any_number_of_threads() -> None:
    octree = Octree.dense(4)
    sh = grouped(rows_of(len(octree), 2))
    one = shade(octree, sh, 2, VIEWS["outside"])[0]
    assert np.array_equal(one, shade(octree, sh, 2, VIEWS["outside"], threads=3)[0], equal_nan=True)


@pytest.mark.parametrize("n", [0, 1, 15, 16, 17, 50])
@pytest.mark.parametrize("degree", [0, 2])
def test_grouping_there_and_back_is_the_identity(n: int, degree: int) -> None:
    rows = rows_of(n, degree)
    groups = grouped(rows)
    assert groups.shape == sh_groups(n, degree) and groups.dtype == np.float32
    assert np.array_equal(sh_rows(groups, n), rows)
    if n:
        assert groups[(n - 1) // 16, 3 * 0 + 2, (n - 1) % 16] == rows[n - 1, 0, 2]
        assert not groups[-1, :, n % 16 or 16 :].any()


@pytest.mark.parametrize("threads", [1, 3])
def test_carrying_groups_picks_and_scales_rows(threads: int) -> None:
    rng, rows = np.random.default_rng(3), rows_of(70, 1)
    voxel_from, factor = rng.integers(0, 70, 1203).astype(np.int32), rng.random(1203)
    team = Crew(threads)
    carried = carry_groups(grouped(rows), voxel_from, factor, team)
    team.close()
    exact = rows[voxel_from] * factor.astype(np.float32)[:, None, None]
    assert np.array_equal(carried, grouped(exact))
