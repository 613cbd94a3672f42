# SPDX-License-Identifier: MIT
"""PLY files hold what was asked for: two readers that are not ours, or not for this, find it again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.datasets.ply import read_ply
from engine.datasets.scene import Scene
from engine.errors import CheckpointError
from engine.export import ply, webgl
from engine.export.degree import refitted
from engine.export.voxel_set import VoxelSet, density_of
from engine.metrics import psnr
from tests.export.toy import ball, ball_scene, colour_at, in_engine


@pytest.fixture(scope="module")
def voxels() -> VoxelSet:
    return ball()


@pytest.fixture(scope="module")
def scene(voxels: VoxelSet) -> Scene:
    return ball_scene(voxels)


def _table(path: Path) -> tuple[list[str], np.ndarray]:
    """Return the header's lines and the vertices of a binary file, read in the plainest way."""
    head, _, rest = path.read_bytes().partition(b"end_header\n")
    lines = head.decode().splitlines()
    kinds = {"float": "<f4", "uchar": "u1", "uint": "<u4", "int": "<i4"}
    fields = [line.split() for line in lines if line.startswith("property ") and " list " not in line]
    dtype = np.dtype([(name, kinds[kind]) for _, kind, name in fields])
    count = next(int(line.split()[2]) for line in lines if line.startswith("element vertex"))
    return lines, np.frombuffer(rest, dtype, count)


def test_a_point_stands_at_every_voxel_in_the_datas_coordinates(
    voxels: VoxelSet, scene: Scene, tmp_path: Path
) -> None:
    path = tmp_path / "a.ply"
    count, size = ply.write_voxels(path, voxels, scene, 0.0)
    assert (count, size) == (len(voxels), path.stat().st_size)
    assert size == ply.size_of(ply.VOXEL_FIELDS, count) + len("comment voxels of nerfviewer\n")
    points, odd = read_ply(path)
    assert odd == 0
    np.testing.assert_allclose(in_engine(points.xyz, scene), voxels.octree.center, atol=1e-6)
    assert np.abs(points.rgb / 255.0 - colour_at(voxels.octree.center)).max() < 0.003
    _, table = _table(path)
    np.testing.assert_allclose(table["size"], 2.0 * voxels.octree.size)  # the data are twice as large
    np.testing.assert_array_equal(table["level"], voxels.octree.level)
    sigma = density_of(voxels.density[voxels.octree.corner_idx]).mean(axis=1)
    np.testing.assert_allclose(table["density"] * table["size"], sigma * voxels.octree.size, rtol=1e-4)
    np.testing.assert_allclose(table["opacity"], 1.0 - np.exp(-table["density"] * table["size"]), atol=1e-5)


def test_thin_voxels_are_left_out(voxels: VoxelSet, scene: Scene, tmp_path: Path) -> None:
    count, _ = ply.write_voxels(tmp_path / "a.ply", voxels, scene, 0.5)
    _, table = _table(tmp_path / "a.ply")
    assert 0 < count == len(table) < len(voxels) and table["opacity"].min() >= 0.5


def test_cubes_are_closed_boxes_around_their_voxels(voxels: VoxelSet, scene: Scene, tmp_path: Path) -> None:
    trimesh = pytest.importorskip("trimesh")
    count, size = ply.write_cubes(tmp_path / "a.ply", voxels, scene, 0.5)
    comment = len("comment voxels of nerfviewer as cubes\n")
    assert size == ply.size_of(ply.POINT_FIELDS, 8 * count, 12 * count) + comment
    mesh = trimesh.load(tmp_path / "a.ply", process=False)
    assert len(mesh.vertices) == 8 * count and len(mesh.faces) == 12 * count and mesh.is_watertight
    chosen = ply.opacity_of(voxels) >= 0.5
    assert mesh.volume == pytest.approx(
        8.0 * float((voxels.octree.size[chosen].astype(float) ** 3).sum()), rel=1e-3
    )
    middles = mesh.vertices.reshape(count, 8, 3).mean(axis=1)
    np.testing.assert_allclose(in_engine(middles, scene), voxels.octree.center[chosen], atol=1e-6)


def test_a_file_that_cannot_be_written_is_told_with_its_name(
    voxels: VoxelSet, scene: Scene, tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(CheckpointError, match=r"Cannot write .*a\.ply"):
        ply.write_voxels(tmp_path / "taken" / "a.ply", voxels, scene, 0.0)


def test_the_file_for_svraster_webgl_has_its_fields_in_its_units(voxels: VoxelSet, tmp_path: Path) -> None:
    path = tmp_path / "a.ply"
    size = webgl.write(path, voxels.truncated(1))
    lines, table = _table(path)
    assert size == path.stat().st_size
    assert {
        "comment scene_center 0.0 0.0 0.0",
        "comment scene_extent 3",
        "comment active_sh_degree 1",
    } <= set(lines)
    names = [
        "x",
        "y",
        "z",
        "octpath",
        "octlevel",
        "f_dc_0",
        "f_dc_1",
        "f_dc_2",
        *(f"f_rest_{i}" for i in range(9)),
    ]
    assert list(table.dtype.names) == [*names, *(f"grid{i}_value" for i in range(8))]
    octree = voxels.octree
    np.testing.assert_allclose(np.stack([table[a] for a in "xyz"], axis=1), 3.0 * octree.center, atol=1e-6)
    np.testing.assert_array_equal(table["octpath"], octree.path % (1 << 32))
    np.testing.assert_array_equal(table["octlevel"], octree.level)
    np.testing.assert_array_equal(table["f_dc_1"], voxels.sh[:, 0, 1])
    np.testing.assert_array_equal(
        table["f_rest_2"], voxels.sh[:, 1, 2]
    )  # blue of the first of three functions
    np.testing.assert_array_equal(table["f_rest_3"], voxels.sh[:, 2, 0])
    np.testing.assert_array_equal(table["grid4_value"], voxels.density[octree.corner_idx[:, 4]])
    low = 3.0 * (octree.center[0] - 0.5 * octree.size[0])  # corner 000, whose density is that of its place
    away = np.linalg.norm(octree.point_position - low / 3.0, axis=1)
    assert table["grid0_value"][0] == voxels.density[np.argmin(away)]


def test_colours_of_a_higher_degree_are_no_file_for_svraster_webgl(voxels: VoxelSet, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="up to degree 1"):
        webgl.write(tmp_path / "a.ply", voxels)


def test_colours_fitted_to_the_views_lose_less_than_colours_cut_off(scene: Scene, voxels: VoxelSet) -> None:
    cameras = [view.camera for view in scene.train.views]
    fitted = refitted(voxels, 1, cameras[:12], lambda *_: None, lambda seconds: None)
    assert fitted.degree == 1 and fitted.sh.shape == (len(voxels), 4, 3)

    def quality(of: VoxelSet) -> float:
        views = scene.train.views[:6]
        return float(np.mean([psnr(of.picture(v.camera).rgb, voxels.picture(v.camera).rgb) for v in views]))

    assert quality(fitted) > quality(voxels.truncated(1)) + 0.5
