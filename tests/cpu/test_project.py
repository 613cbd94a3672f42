# SPDX-License-Identifier: MIT
"""Chunks and screen rectangles: no pixel that meets a voxel is left out, and boxes in front get no more than they need."""

from __future__ import annotations

import numpy as np
import pytest

from engine.cameras import Camera
from engine.constants import NEAR
from engine.cpu.crew import Crew
from engine.cpu.lists import VoxelTable, build_lists
from engine.cpu.project import CHUNK_LEAVES
from engine.morton import order_keys, path_from_ijk
from engine.octree import Octree
from engine.reference.segments import box_intervals
from tests.cpu.scenes import VIEWS, camera_at, deep_octree, empty_octree, mixed_octree, one_voxel

SURE = 1e-6  # a ray that stays this long inside a box meets it whatever the rounding
SLACK_PX = 0.01  # how much larger than the exact projection a rectangle may be

MORE_VIEWS = VIEWS | {
    "straight at a wall of near boxes": camera_at((0.01, 0.02, -0.5049), (0.01, 0.02, 0.0), fov=2.6),
    "behind everything": camera_at((0.2, 0.1, 0.9), (0.2, 0.1, 2.0)),
    "half behind": camera_at((0.6, 0.1, 0.0), (0.6, 0.1, 1.0), fov=1.9),
    "rolled and off centre": camera_at(
        (0.45, 0.4, -0.2), (-0.3, 0.2, 0.1), cx=-3.0, cy=40.0, fx=20.0, fy=60.0
    ),
    "orthographic from within, wide": camera_at(
        (0.1, 0.05, 0.0), (1.0, 0.1, 0.3), fx=9.0, fy=14.0, orthographic=True
    ),
}
OCTREES = {"mixed": mixed_octree(), "shells": mixed_octree(outside_levels=2), "one": one_voxel()}


def rectangles(octree: Octree, camera: Camera, threads: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return which voxels are visible [V] and rect [V,4]."""
    team = Crew(threads)
    lists = build_lists(VoxelTable.of(octree), camera, team)
    team.close()
    return lists.first_pair >= 0, lists.rect.astype(np.int64)


def hits_of(octree: Octree, camera: Camera) -> np.ndarray:
    """Return bool [H,W,V]: which rays surely meet which voxels in front of the near plane."""
    origins, directions = (a.reshape(-1, 3) for a in camera.rays())
    half = 0.5 * octree.size[:, None].astype(float)
    t_in, t_out = box_intervals(origins, directions, octree.center - half, octree.center + half)
    t_in = np.maximum(t_in, (NEAR / (directions @ camera.forward))[:, None])
    return (t_out > t_in + SURE).reshape(camera.height, camera.width, -1)


@pytest.mark.parametrize("view", MORE_VIEWS)
@pytest.mark.parametrize("name", OCTREES)
def test_rectangles_hold_every_pixel_whose_ray_meets_the_box(name: str, view: str) -> None:
    octree, camera = OCTREES[name], MORE_VIEWS[view]
    visible, rect = rectangles(octree, camera)
    rows, columns, voxel = np.nonzero(hits_of(octree, camera))
    assert np.all(visible[voxel])
    x0, y0, x1, y1 = rect[voxel].T
    assert np.all((x0 <= columns) & (columns <= x1) & (y0 <= rows) & (rows <= y1))
    inside = rect[visible]
    assert np.all(inside[:, 2] < camera.width) and np.all(inside[:, 3] < camera.height)


def test_rectangles_hold_every_pixel_from_anywhere_around_a_box() -> None:
    """Random poses in and just outside one voxel: its corners lie before and behind the camera in every way."""
    rng, octree = np.random.default_rng(7), one_voxel()
    met = 0
    for _ in range(300):
        position = rng.uniform(-0.1, 0.6, 3)
        camera = camera_at(position, position + rng.normal(size=3), size=(14, 11), fov=rng.uniform(0.5, 2.5))
        visible, rect = rectangles(octree, camera)
        rows, columns, _ = np.nonzero(hits_of(octree, camera))
        if len(rows):
            x0, y0, x1, y1 = rect[0]
            assert (
                visible[0]
                and x0 <= columns.min()
                and columns.max() <= x1
                and y0 <= rows.min()
                and rows.max() <= y1
            )
            met += len(rows) < 14 * 11
    assert met > 50


def test_rectangles_hold_every_pixel_far_from_the_origin_and_close_up() -> None:
    """A camera position of 13 has float32 steps of 1e-6: at 4000 pixels a radian and 0.1 away, 0.04 pixels.

    The camera looks along z at an edge that runs along a column, so that a whole column of rays can be lost.
    """
    rng = np.random.default_rng(8)
    path = path_from_ijk(np.array([[59_000, 58_000, 57_000]]) & ~15)
    octree = Octree.from_leaves(path, [12], 32.0)
    corner = octree.center[0].astype(float) - 0.5 * octree.size[0]
    met = 0
    for _ in range(500):
        position = corner + np.array([*rng.uniform(-3e-4, 3e-4, 2), -0.1])
        camera = camera_at(position, position + np.array([0.0, 0.0, 1.0]), size=(16, 16), fov=16 / 4000)
        visible, rect = rectangles(octree, camera)
        rows, columns, _ = np.nonzero(hits_of(octree, camera))
        if len(rows):
            x0, y0, x1, y1 = rect[0]
            assert (
                visible[0]
                and x0 <= columns.min()
                and columns.max() <= x1
                and y0 <= rows.min()
                and rows.max() <= y1
            )
            met += len(rows) < 256
    assert met > 50


@pytest.mark.parametrize("view", MORE_VIEWS)
def test_rectangles_in_front_are_the_projection_of_the_corners(view: str) -> None:
    octree, camera = OCTREES["mixed"], MORE_VIEWS[view]
    visible, rect = rectangles(octree, camera)
    signs = np.array([[c >> 2, c >> 1 & 1, c & 1] for c in range(8)]) - 0.5
    corners = octree.center[:, None].astype(float) + signs * octree.size[:, None, None]
    pixels, depth = camera.project(corners.reshape(-1, 3))
    pixels, depth = pixels.reshape(-1, 8, 2), depth.reshape(-1, 8)
    in_front = visible & np.all(depth > 1.01 * NEAR, axis=1)
    low, high = pixels[in_front].min(axis=1) - 0.5, pixels[in_front].max(axis=1) - 0.5
    top = np.array([camera.width, camera.height]) - 1
    assert np.all(rect[in_front, :2] >= np.ceil(np.maximum(low - SLACK_PX, 0)))
    assert np.all(rect[in_front, 2:] <= np.floor(np.minimum(high + SLACK_PX, top)))
    assert not np.any(visible & np.all(depth < NEAR * 0.99, axis=1)), "a voxel behind the camera is seen"


def test_boxes_around_the_camera_that_miss_the_frustum_are_left_out() -> None:
    octree, camera = OCTREES["mixed"], MORE_VIEWS["half behind"]
    visible, _ = rectangles(octree, camera)
    straddling = np.abs(octree.center[:, 2] - NEAR) < 0.5 * octree.size
    aside = octree.center[:, 0] < 0.0  # the camera at x = 0.6 looks along z
    assert np.any(straddling & aside)
    assert not np.any(visible & straddling & aside)


def test_a_pixel_centre_on_a_face_belongs_to_the_rectangle() -> None:
    """Rays exactly through edges, which float32 may place on either side."""
    camera = camera_at((0.25, 0.25, -1.0), (0.25, 0.25, 0.0), size=(33, 33), fx=32.0, fy=32.0)
    visible, rect = rectangles(
        one_voxel(), camera
    )  # at z = 0 a pixel is 1/32, the faces are 8 pixels from the middle
    assert visible[0] and rect[0].tolist() == [8, 8, 24, 24]


@pytest.mark.parametrize(
    "octree", [deep_octree(), deep_octree(3, 3000), Octree.dense(4)], ids=["deep", "deeper", "dense"]
)
def test_chunks_are_nodes_that_partition_the_leaves(octree: Octree) -> None:
    chunks = VoxelTable.of(octree).chunks
    assert len(chunks) > 1
    assert chunks[0, 0] == 0 and chunks[-1, 1] == len(octree) and np.all(chunks[1:, 0] == chunks[:-1, 1])
    assert np.all(chunks[:, 1] > chunks[:, 0]) and np.all(chunks[:, 1] - chunks[:, 0] <= CHUNK_LEAVES)
    for start, end, node, level in chunks:
        span = 1 << (48 - 3 * level)
        assert np.all((octree.path[start:end] >= node) & (octree.path[start:end] < node + span))
        assert np.all(octree.level[start:end] >= level)


def test_small_octrees_are_one_chunk_and_empty_ones_none() -> None:
    assert VoxelTable.of(one_voxel()).chunks.tolist() == [[0, 1, 0, 0]]
    assert len(VoxelTable.of(empty_octree()).chunks) == 0
    assert len(VoxelTable.of(Octree.dense(3)).chunks) == 1


@pytest.mark.parametrize("view", ["outside", "inside a voxel", "on a node plane", "orthographic"])
def test_visible_voxels_of_a_chunk_are_in_order(view: str) -> None:
    octree, camera = deep_octree(), VIEWS[view]
    table, team = VoxelTable.of(octree), Crew(1)
    lists = build_lists(table, camera, team)
    direction = camera.forward if camera.orthographic else None
    keys = order_keys(octree.path, camera.position, octree.root_size, direction)
    for (start, _, _, _), n in zip(table.chunks, lists.n_visible, strict=True):
        assert np.all(np.diff(keys[lists.visible[start : start + n]]) > 0)
    seen = np.concatenate(
        [lists.visible[s : s + n] for s, n in zip(table.chunks[:, 0], lists.n_visible, strict=True)]
    )
    assert np.array_equal(np.sort(seen), np.flatnonzero(lists.first_pair >= 0))
