# SPDX-License-Identifier: MIT
"""The inference kernel itself: flags, scratch, threads, large images. What it computes is held by tests/render."""

from __future__ import annotations

import numpy as np
import pytest

from engine.cameras import Camera
from engine.cpu.crew import Crew
from engine.cpu.lists import VoxelTable, Workspace, build_lists
from engine.cpu.raster import (
    CHANNELS,
    N_PLANES,
    WANT_COUNT,
    WANT_DEPTH,
    WANT_MEDIAN,
    WANT_NORMAL,
    WANT_WEIGHT,
    planes_of,
)
from engine.cpu.reduce import heaviest_of_voxels
from engine.cpu.train_view import render_lists
from engine.octree import Octree
from tests.cpu.scenes import VIEWS, camera_at, field_of, mixed_octree, one_voxel

ALL = WANT_DEPTH | WANT_MEDIAN | WANT_NORMAL | WANT_COUNT | WANT_WEIGHT
# Channels of the image that each flag fills.
FILLED = {0: [], WANT_DEPTH: [4], WANT_MEDIAN: [5], WANT_NORMAL: [6, 7, 8], WANT_COUNT: [9], WANT_WEIGHT: []}
MODEST_BYTES = 350e6  # for 4096 x 4096: four float32 channels are 268 MB
SAME_SUM = 1e-6


def render(
    octree: Octree, camera: Camera, want: int, threads: int = 1, eight: bool = False, samples: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Return the image with its planes behind it [H,W,4+n] and the weight of each pair, all NaN before."""
    densities, colours = (t.float().numpy() for t in field_of(octree, eight))
    table, team, room = VoxelTable.of(octree), Crew(threads), Workspace()
    lists = build_lists(table, camera, team)
    weights = np.full(max(1, lists.n_pairs), np.nan, dtype=np.float32)
    room.take("image", (camera.height, camera.width, CHANNELS), np.float32)[:] = np.nan
    room.take("planes", (N_PLANES, camera.height, camera.width), np.float32)[:] = np.nan
    rgb = colours if eight else colours[:, None]
    image, planes = render_lists(lists, table, densities, rgb, team, room, samples, want, weights)
    team.close()
    return np.concatenate([image, np.moveaxis(planes, 0, -1)], axis=-1), weights


@pytest.mark.parametrize("flag", FILLED)
def test_a_flag_adds_its_channels_and_changes_no_other(flag: int) -> None:
    full, _ = render(mixed_octree(), VIEWS["outside"], ALL)
    image, weights = render(mixed_octree(), VIEWS["outside"], flag)
    assert image.shape[2] == CHANNELS + planes_of(flag)
    for channel in range(image.shape[2]):
        if channel < CHANNELS or channel in FILLED[flag]:
            assert np.array_equal(image[..., channel], full[..., channel]), channel
        else:
            assert not image[..., channel].any(), channel
    assert np.isnan(weights).all() == (flag != WANT_WEIGHT)


def test_every_pair_gets_a_weight_even_behind_what_is_opaque() -> None:
    octree, camera = Octree.dense(3), VIEWS["outside"]
    _, weights = render(octree, camera, WANT_WEIGHT)
    assert np.isfinite(weights).all() and (weights == 0.0).any() and weights.max() <= 1.0
    lists = build_lists(VoxelTable.of(octree), camera, Crew(1))
    heaviest = np.zeros(len(octree), dtype=np.float32)
    heaviest_of_voxels(lists.pair_voxel, weights, heaviest)
    for voxel in range(0, len(octree), 37):
        mine = weights[lists.pair_voxel == voxel]
        assert heaviest[voxel] == (mine.max() if len(mine) else 0.0)


def test_tiles_without_voxels_are_clear_and_every_pixel_is_written() -> None:
    camera = camera_at((0.25, 0.25, -4.0), (0.25, 0.25, 0.0), size=(70, 39), fov=0.6)
    image, _ = render(one_voxel(), camera, ALL)
    assert np.isfinite(image).all()
    empty = np.ones((39, 70), dtype=bool)
    x0, y0, x1, y1 = build_lists(VoxelTable.of(one_voxel()), camera, Crew(1)).rect[0]
    empty[y0 : y1 + 1, x0 : x1 + 1] = False
    assert empty.any() and np.all(image[empty] == np.eye(CHANNELS + N_PLANES)[0])
    assert np.all(image[~empty][:, 0] < 1.0)


@pytest.mark.parametrize(("eight", "samples"), [(False, 1), (True, 3)])
def test_the_same_bits_come_from_any_number_of_threads(eight: bool, samples: int) -> None:
    camera = camera_at((0.9, -0.7, -1.4), size=(47, 39))
    one = render(mixed_octree(), camera, ALL, 1, eight, samples)
    for threads in (2, 3):
        other = render(mixed_octree(), camera, ALL, threads, eight, samples)
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_light_is_conserved() -> None:
    """With white colours over nothing, rgb and transmittance add up to one."""
    octree = mixed_octree()
    table, team = VoxelTable.of(octree), Crew(1)
    lists = build_lists(table, VIEWS["inside a voxel"], team)
    density = field_of(octree)[0].float().numpy()
    white = np.ones((len(octree), 1, 3), dtype=np.float32)
    image, _ = render_lists(lists, table, density, white, team, Workspace())
    assert np.abs(image[..., 1] + image[..., 0] - 1.0).max() < SAME_SUM


def test_an_image_of_4096_x_4096_is_right_and_modest() -> None:
    """Its every 128th pixel is the pixel of a 32 x 32 image whose rays are those pixels' rays."""
    octree = mixed_octree()
    densities, colours = (t.float().numpy() for t in field_of(octree))
    large = camera_at((0.4, -0.3, -2.6), size=(4096, 4096), fov=0.5)
    table, team, room = VoxelTable.of(octree), Crew(1), Workspace()
    lists = build_lists(table, large, team, room)
    image, _ = render_lists(lists, table, densities, colours[:, None], team, room)
    assert image.shape == (4096, 4096, CHANNELS) and room.nbytes() < MODEST_BYTES
    picked = image[5::128, 70::128]
    rays = Camera(
        32,
        32,
        large.fx / 128,
        large.fy / 128,
        (large.cx - 70.5) / 128 + 0.5,
        (large.cy - 5.5) / 128 + 0.5,
        large.world_from_cam,
    )
    small, _ = render_lists(
        build_lists(table, rays, team), table, densities, colours[:, None], team, Workspace()
    )
    assert (
        np.abs(picked - small).max() < 1e-4
    )  # rays differ by float32 rounding of pixel coordinates up to 4096
    assert picked[..., 0].min() < 0.1
