# SPDX-License-Identifier: MIT
"""Tile lists: every voxel in every tile that its rectangle touches, nearest first, as a brute-force sort gives them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.cameras import Camera
from engine.cpu.crew import Crew
from engine.cpu.lists import ViewLists, VoxelTable, Workspace, build_lists
from engine.morton import order_keys
from engine.octree import Octree
from tests.cpu.scenes import VIEWS, camera_at, deep_octree, empty_octree, mixed_octree, one_voxel

DEEP = deep_octree()


def lists_of(octree: Octree, camera: Camera, threads: int = 1, room: Workspace | None = None) -> ViewLists:
    """Return the lists of a view, with the slots of pairs."""
    team = Crew(threads)
    lists = build_lists(VoxelTable.of(octree), camera, team, room, keep_slots=True)
    team.close()
    return lists


def assert_lists_right(octree: Octree, camera: Camera, lists: ViewLists) -> None:
    """Compare with a loop over tiles and a sort of all voxels by their keys."""
    direction = camera.forward if camera.orthographic else None
    order = np.argsort(order_keys(octree.path, camera.position, octree.root_size, direction))
    order = order[lists.first_pair[order] >= 0]
    x0, y0, x1, y1 = (lists.rect[order].astype(np.int64) >> 4).T
    tiles_x, tiles_y = -(-camera.width // 16), -(-camera.height // 16)
    assert len(lists.tile_start) == tiles_x * tiles_y + 1 and lists.tile_start[0] == 0
    for tile in range(tiles_x * tiles_y):
        tx, ty = tile % tiles_x, tile // tiles_x
        expected = order[(x0 <= tx) & (tx <= x1) & (y0 <= ty) & (ty <= y1)]
        got = lists.pair_voxel[lists.tile_start[tile] : lists.tile_start[tile + 1]]
        assert np.array_equal(got, expected), tile
    assert lists.n_pairs == len(lists.pair_voxel)


BIG_VIEWS = {
    "outside": replace(VIEWS["outside"].resized(150, 90), cx=70.0),
    "inside a voxel": VIEWS["inside a voxel"].resized(97, 65),
    "on a node plane": VIEWS["on a node plane"].resized(64, 48),
    "in the centre of the cube": camera_at((0.0, 0.0, 0.0), (0.3, 0.2, 1.0), size=(75, 33), fov=1.5),
    "orthographic": VIEWS["orthographic"].resized(80, 70),
    "looking away": camera_at((0, 0, -1.0), (0, 0, -2.0)),
}


@pytest.mark.parametrize("view", BIG_VIEWS)
def test_lists_equal_brute_force_over_several_chunks(view: str) -> None:
    assert len(DEEP) > 512 and len(VoxelTable.of(DEEP).chunks) > 4 and len(np.unique(DEEP.level)) >= 3
    lists = lists_of(DEEP, BIG_VIEWS[view])
    assert_lists_right(DEEP, BIG_VIEWS[view], lists)
    assert (lists.n_pairs > 0) == (view != "looking away")


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (17, 15), (33, 50)])
@pytest.mark.parametrize(
    "octree", [empty_octree(), one_voxel(), mixed_octree()], ids=["none", "one", "mixed"]
)
def test_lists_equal_brute_force_for_odd_images_and_few_voxels(octree: Octree, size: tuple[int, int]) -> None:
    camera = camera_at((0.3, 0.2, -0.9), (0.2, 0.2, 0.0), size=size)
    assert_lists_right(octree, camera, lists_of(octree, camera))


def test_slots_lead_from_a_voxel_to_its_pairs_in_row_order() -> None:
    camera = BIG_VIEWS["outside"]
    lists = lists_of(DEEP, camera)
    seen = np.flatnonzero(lists.first_pair >= 0)
    n_pairs = 0
    for voxel in seen:
        x0, y0, x1, y1 = lists.rect[voxel].astype(int) >> 4
        tiles = [ty * -(-camera.width // 16) + tx for ty in range(y0, y1 + 1) for tx in range(x0, x1 + 1)]
        slots = lists.pair_slot[lists.first_pair[voxel] : lists.first_pair[voxel] + len(tiles)]
        assert np.all(lists.pair_voxel[slots] == voxel)
        assert (np.searchsorted(lists.tile_start, slots, side="right") - 1).tolist() == tiles
        n_pairs += len(tiles)
    assert n_pairs == lists.n_pairs and np.array_equal(np.sort(lists.pair_slot), np.arange(n_pairs))


def test_lists_are_the_same_bits_for_any_number_of_threads() -> None:
    camera = BIG_VIEWS["inside a voxel"]
    one = lists_of(DEEP, camera)
    for threads in (2, 3):
        other = lists_of(DEEP, camera, threads)
        seen = one.first_pair >= 0
        for name in ("n_visible", "tile_start", "pair_voxel", "first_pair", "pair_slot"):
            assert np.array_equal(getattr(one, name), getattr(other, name)), name
        assert np.array_equal(one.rect[seen], other.rect[seen])


def test_a_used_workspace_gives_the_same_lists() -> None:
    room = Workspace()
    for octree, view in [
        (DEEP, "outside"),
        (one_voxel(), "orthographic"),
        (empty_octree(), "outside"),
        (DEEP, "orthographic"),
    ]:
        assert_lists_right(octree, BIG_VIEWS[view], lists_of(octree, BIG_VIEWS[view], room=room))


def test_a_workspace_keeps_arrays_that_are_large_enough() -> None:
    room = Workspace()
    first = room.take("a", (4, 5), np.float32)
    assert room.take("a", (2, 3), np.float32).base is first.base
    assert room.take("a", (100,), np.float32).shape == (100,) and room.nbytes() >= 400
    assert room.take("a", (3,), np.int64).dtype == np.int64
    assert room.take("empty", (0, 4), np.uint16).shape == (0, 4)
