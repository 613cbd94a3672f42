# SPDX-License-Identifier: MIT
"""A mesh of an analytic ball: on its surface, closed, outside out, coloured as the pictures; and files that others read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.cameras import Camera
from engine.errors import UserError
from engine.export import mesh
from engine.export.options import FusionOptions, MeshOptions
from engine.export.pictures import Picture, PointCloud, cameras_for, drawn
from engine.export.tsdf import Volume
from engine.methods.common import Buffers
from tests.export.toy import MIDDLE, RADIUS, ball_scene, cameras, colour_at, in_engine

trimesh = pytest.importorskip("trimesh")
pytest.importorskip("skimage")


def picture(camera: Camera) -> Picture:
    """Ray-cast the ball; nothing is behind it."""
    rays_o, rays_d = camera.rays()
    middle = rays_o - MIDDLE
    along = (middle * rays_d).sum(axis=-1)
    root = along**2 - (middle**2).sum(axis=-1) + RADIUS**2
    places = rays_o + (-along - np.sqrt(np.maximum(root, 0.0)))[..., None] * rays_d
    depth = np.where(root > 0.0, (places - camera.position) @ camera.forward, np.inf)
    rgb = np.where(root[..., None] > 0.0, 255.0 * colour_at(places), 0.0)
    return Picture(camera, depth.astype(np.float32), rgb.astype(np.uint8))


def volume(resolution: int = 48, pictures: list[Picture] | None = None) -> Volume:
    found = Volume(0.5, resolution, 4.0)
    pictures = [picture(camera) for camera in cameras(24, 64)] if pictures is None else pictures
    for one in pictures:
        found.reserve(one)
    found.make()
    for one in pictures:
        found.add(one)
    return found


@pytest.fixture(scope="module")
def surface() -> mesh.Mesh:
    return mesh.surface_of(volume())


def test_vertices_lie_within_a_cell_of_the_ball(surface: mesh.Mesh) -> None:
    away = np.abs(np.linalg.norm(surface.vertices - MIDDLE, axis=1) - RADIUS) * 48
    assert away.max() < 1.0 and away.mean() < 0.3  # cells; 0.6 and 0.14 seen


def test_the_ball_is_one_closed_piece_with_its_outside_out(surface: mesh.Mesh) -> None:
    made = trimesh.Trimesh(surface.vertices, surface.faces, process=False)
    assert made.is_watertight and made.body_count == 1
    assert made.volume == pytest.approx(4.0 / 3.0 * np.pi * RADIUS**3, rel=0.05)


def test_colours_are_those_of_the_pictures(surface: mesh.Mesh) -> None:
    off = np.abs(surface.colours / 255.0 - colour_at(surface.vertices))
    assert off.max() < 0.06  # a cell and a pixel; the background is black


def test_bricks_join_without_a_seam() -> None:
    """Bricks are 48 cells wide: this ball lies in eight of them."""
    found = volume(96, [picture(camera) for camera in cameras(24, 128)])
    assert found.n_bricks == 8
    surface = mesh.surface_of(found)
    assert trimesh.Trimesh(surface.vertices, surface.faces, process=False).is_watertight


def test_what_no_picture_shows_has_no_surface() -> None:
    front = [picture(camera) for camera in cameras(24, 64) if camera.position[2] > 1.0]
    surface = mesh.surface_of(volume(48, front))
    assert not trimesh.Trimesh(surface.vertices, surface.faces, process=False).is_watertight
    assert surface.vertices[:, 2].min() > MIDDLE[2] - 0.8 * RADIUS


def test_nothing_in_the_box_is_told() -> None:
    one = picture(cameras(4, 32)[0])
    nothing = Picture(one.camera, np.full_like(one.depth, np.inf), one.rgb)
    with pytest.raises(UserError, match="no surface"):
        mesh.surface_of(volume(32, [nothing]))


def test_loose_pieces_are_dropped_and_large_ones_kept(surface: mesh.Mesh) -> None:
    small = trimesh.creation.icosphere(subdivisions=1, radius=0.01)
    count = len(surface.vertices)
    both = mesh.Mesh(
        np.concatenate([surface.vertices, small.vertices]),
        np.concatenate([surface.faces, small.faces + count]),
        np.concatenate([surface.colours, np.zeros((len(small.vertices), 3), np.uint8)]),
    )
    kept = mesh.without_loose_pieces(both, 0.05)
    np.testing.assert_array_equal(kept.vertices, surface.vertices)
    assert len(kept.faces) == len(surface.faces)
    assert len(mesh.without_loose_pieces(both, 0.0).faces) == len(both.faces)


def test_fewer_triangles_keep_the_shape_and_the_colours(surface: mesh.Mesh) -> None:
    pytest.importorskip("fast_simplification")
    fewer = mesh.finished(surface, MeshOptions(triangles=400))
    assert len(fewer.faces) <= 440
    assert np.abs(np.linalg.norm(fewer.vertices - MIDDLE, axis=1) - RADIUS).max() * 48 < 1.5
    assert np.abs(fewer.colours / 255.0 - colour_at(fewer.vertices)).max() < 0.12


@pytest.mark.parametrize("suffix", [".ply", ".obj", ".glb"])
def test_others_read_the_file_with_its_colours_in_the_datas_coordinates(
    surface: mesh.Mesh, suffix: str, tmp_path: Path
) -> None:
    scene = ball_scene(n_train=1, n_test=0, size=16)
    path = tmp_path / f"a{suffix}"
    assert mesh.write(path, surface, scene) == path.stat().st_size
    loaded = trimesh.load(path, process=False)
    if suffix == ".glb":
        node = loaded.graph.nodes_geometry[0]
        turned, _ = loaded.graph.get(node)
        np.testing.assert_allclose(turned[:3, :3] @ scene.up, [0.0, 1.0, 0.0], atol=1e-6)
        assert np.linalg.det(turned[:3, :3]) == pytest.approx(1.0)
        loaded = next(iter(loaded.geometry.values()))
    assert len(loaded.faces) == len(surface.faces)
    np.testing.assert_allclose(in_engine(np.asarray(loaded.vertices), scene), surface.vertices, atol=1e-5)
    np.testing.assert_array_equal(np.asarray(loaded.visual.vertex_colors)[:, :3], surface.colours)


def test_a_missing_extra_is_told_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mesh, "find_spec", lambda name: None if name == "skimage" else object())
    with pytest.raises(
        UserError, match=r"needs scikit-image, which is not installed; run: pip install 'nerfviewer\[mesh\]'"
    ):
        mesh.require_tools()
    monkeypatch.setattr(mesh, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="trimesh and scikit-image and fast-simplification, which are not"):
        mesh.require_tools(simplify=True)


def test_points_lie_on_the_ball_one_in_a_cell() -> None:
    cloud = PointCloud(0.5, 64)
    shown = [picture(camera) for camera in cameras(24, 64)]
    for one in shown[:12]:
        cloud.add(one)
    guessed = cloud.cells_of_all(24)
    for one in shown[12:]:
        cloud.add(one)
    xyz, rgb = cloud.points()
    assert np.abs(np.linalg.norm(xyz - MIDDLE, axis=1) - RADIUS).max() * 64 < 1.0
    assert np.abs(rgb / 255.0 - colour_at(xyz)).max() < 0.03
    cells = np.floor((xyz + 0.5) * 64).astype(int)
    assert len(np.unique(cells, axis=0)) == len(cells)
    assert 0.7 < guessed / len(xyz) < 1.4


def test_cameras_are_those_asked_for_and_small_enough() -> None:
    scene = ball_scene(n_train=9, n_test=0, size=64)
    chosen = cameras_for(scene, FusionOptions(views=4, orbit=6, picture=32))
    assert len(chosen) == 10 and {camera.width for camera in chosen} == {32}
    for camera in chosen[4:]:
        towards = -camera.position / np.linalg.norm(camera.position)
        assert towards @ camera.forward == pytest.approx(1.0)
    with pytest.raises(UserError, match="none is to be drawn"):
        cameras_for(scene, FusionOptions(views=0))


def test_depth_is_unknown_where_light_is_half_through_and_endless_where_nothing_is() -> None:
    camera = cameras(2, 16)[0].resized(3, 1)

    def draw(camera: Camera, want: frozenset[str], rays: float) -> Buffers:
        trans = np.array([[0.1, 0.7, 0.99]], np.float32)
        depth = np.array([[1.5, 1.0, 0.0]], np.float32)
        return Buffers(np.full((1, 3, 3), 0.5, np.float32), trans, depth_median=depth)

    (found,) = drawn([camera], draw, "median")
    np.testing.assert_array_equal(found.depth, [[1.5, 0.0, np.inf]])
