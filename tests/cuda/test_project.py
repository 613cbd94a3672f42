# SPDX-License-Identifier: MIT
"""From voxels to tile lists: the same pairs in the same order as the CPU's, which are proved against brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.cameras import Camera
from engine.constants import LATTICE
from engine.cpu.crew import Crew
from engine.cpu.lists import ViewLists as CpuLists
from engine.cpu.lists import VoxelTable as CpuTable
from engine.cpu.lists import build_lists as cpu_lists
from engine.cuda.lists import ViewLists, build_lists, pack, view_array
from engine.errors import UserError
from engine.octree import Octree
from tests.cpu.scenes import VIEWS, camera_at, deep_octree, empty_octree, field_of, mixed_octree, one_voxel
from tests.cuda.on_host import host_table

pytestmark = pytest.mark.usefixtures("host_compiler")

FAR_AWAY = camera_at((40.0, -3.0, -60.0), (39.8, -3.1, -59.0), size=(90, 70), fov=1.2)


def of_cpu(octree: Octree, camera: Camera) -> CpuLists:
    team = Crew(1)
    try:
        return cpu_lists(CpuTable.of(octree), camera, team)
    finally:
        team.close()


def voxels_of_pairs(lists: ViewLists) -> np.ndarray:
    visible = np.flatnonzero(lists.n_tiles.numpy())
    return visible[lists.pair_slot.numpy()]


@pytest.mark.parametrize("view", [*VIEWS, "shells"])
@pytest.mark.parametrize("seed", [0, 1])
def test_every_tile_has_the_voxels_of_the_cpu_in_its_order(view: str, seed: int) -> None:
    octree = mixed_octree(outside_levels=2) if view == "shells" else deep_octree()
    camera = FAR_AWAY if view == "shells" else VIEWS[view]
    lists, exact = build_lists(host_table(octree, seed=seed), camera), of_cpu(octree, camera)
    assert lists.n_pairs == exact.n_pairs > 0
    assert np.array_equal(voxels_of_pairs(lists), exact.pair_voxel)
    filled = np.diff(exact.tile_start) > 0
    ends = np.stack([exact.tile_start[:-1], exact.tile_start[1:]], axis=1)
    assert np.array_equal(lists.range.numpy()[filled], ends[filled])
    assert not lists.range.numpy()[~filled].any()
    seen = lists.n_tiles.numpy() > 0
    assert np.array_equal(seen, exact.first_pair >= 0)
    assert np.array_equal(lists.rect.numpy().view(np.uint16)[seen], exact.rect[seen])


def test_pairs_of_a_voxel_stood_side_by_side_before_sorting() -> None:
    lists = build_lists(host_table(mixed_octree()), VIEWS["inside a voxel"])
    place = np.empty(lists.n_pairs, dtype=np.int64)
    place[lists.origin.numpy()] = voxels_of_pairs(lists)
    assert np.array_equal(place, np.repeat(np.arange(len(lists.n_tiles)), lists.n_tiles.numpy()))
    assert np.array_equal(lists.pair_end.numpy(), np.cumsum(lists.n_tiles.numpy()))


@pytest.mark.parametrize("octree", [one_voxel(), empty_octree()], ids=["one voxel", "none"])
def test_few_voxels_make_few_lists(octree: Octree) -> None:
    lists = build_lists(host_table(octree, checks=True), VIEWS["outside"])
    assert lists.n_slots == len(octree) and len(lists.range) == 3 * 2
    assert (lists.n_pairs > 0) == (len(octree) > 0)


def test_a_camera_that_looks_away_lists_nothing() -> None:
    lists = build_lists(host_table(mixed_octree()), camera_at((0, 0, -3), (0, 0, -9)))
    assert lists.n_pairs == lists.n_slots == 0 and not lists.range.any()


def test_a_picture_with_too_many_tiles_for_the_keys_is_refused() -> None:
    path = np.array([0], dtype=np.int64)
    table = host_table(Octree.from_leaves(path, np.array([16])))
    assert build_lists(table, camera_at((0, 0, -3), size=(3840, 2160))).n_slots <= 1  # 32,400 tiles fit
    with pytest.raises(UserError, match="too many tiles"):
        build_lists(table, camera_at((0, 0, -3), size=(4096, 2160)))


def test_packets_hold_position_edge_and_terms() -> None:
    octree, camera = mixed_octree(), VIEWS["outside"]
    densities, colours = field_of(octree)
    table = host_table(octree, checks=True)
    lists = build_lists(table, camera)
    pack(table, lists, densities.float(), colours.float())
    packets, seen = lists.packets.numpy(), lists.n_tiles.numpy() > 0
    low = octree.center.astype(float) - 0.5 * octree.size[:, None] - camera.position
    assert np.abs(packets[:, :3] - low[seen]).max() < 2e-7
    assert np.array_equal(packets[:, 3], octree.size[seen])
    assert np.array_equal(packets[:, 15].view(np.int32), np.flatnonzero(seen))
    assert np.array_equal(packets[:, 12:15], colours.float().numpy()[seen])
    corners = densities.float().numpy()[octree.corner_idx][seen]
    assert np.array_equal(packets[:, 4], corners[:, 0])
    assert np.allclose(packets[:, 4:12].sum(axis=1), corners[:, 7], atol=1e-5)  # the value at (1, 1, 1)


def test_the_cameras_position_keeps_what_float32_drops() -> None:
    camera = camera_at((1000.0 + 1e-5, -1 / 3, 0.1))
    view = view_array(camera).astype(np.float64)
    assert np.abs(view[9:12] + view[12:15] - camera.position).max() < 1e-11
    assert LATTICE == 65536 and view.shape == (24,)
    assert view_array(camera).dtype == np.float32 and torch.from_numpy(view_array(camera)).is_contiguous()
