# SPDX-License-Identifier: MIT
"""The tree grows where points ask for detail, and points ask for what the nearest photo resolves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.cameras import Camera, look_at
from engine.datasets.scene import ImageSource, Points, Scene, Split, View
from engine.methods.infnerf import points as of_scenes
from engine.methods.infnerf.build import build_tree, tree_for_scene
from engine.node_tree import NodeTree

SIZES = {"max_res": 64, "gsd_divisor": 2.0}
ROOT_GSD = 1.0 / 128.0


def _tree(points: np.ndarray, radii: np.ndarray, max_depth: int = 6, min_points: int = 0) -> NodeTree:
    return build_tree(points, radii, np.zeros(3), 0.5, **SIZES, max_depth=max_depth, min_points=min_points)


def _published(
    points: np.ndarray, radii: np.ndarray, max_depth: int, min_points: int
) -> set[tuple[int, ...]]:
    """Return {(depth, i, j, k)} by the published recursion: keep what is resolved, hand the rest to the octants."""
    found = set()

    def grow(depth: int, cell: np.ndarray, inside: np.ndarray) -> None:
        found.add((depth, *cell.tolist()))
        rest = inside[radii[inside] < ROOT_GSD * 0.5**depth]
        if depth >= max_depth - 1:
            return
        middle = -0.5 + (cell + 0.5) * 0.5**depth
        octant = points[rest] >= middle
        for bits in np.ndindex(2, 2, 2):
            mine = rest[np.all(octant == np.array(bits, bool), axis=1)]
            if len(mine) > min_points:
                grow(depth + 1, 2 * cell + bits, mine)

    grow(0, np.zeros(3, int), np.flatnonzero(np.all(np.abs(points) < 0.5, axis=1)))
    return found


@pytest.mark.parametrize("min_points", [0, 2])
@pytest.mark.parametrize("max_depth", [1, 3, 6])
def test_the_tree_is_the_published_recursions(max_depth, min_points):
    rng = np.random.default_rng(0)
    points = rng.normal(0.0, 0.25, (3000, 3))
    radii = ROOT_GSD * 2.0 ** rng.uniform(-7, 2, 3000) * (1.0 + (points[:, 0] > 0) * 20.0)
    tree = _tree(points, radii, max_depth, min_points)
    nodes = set(zip(tree.depth.tolist(), *tree.cell.T.tolist()))
    assert nodes == _published(points, radii, max_depth, min_points)


def test_a_child_exists_only_where_a_point_is_finer_than_its_parent():
    corner = np.array([[0.3, 0.3, 0.3], [-0.3, -0.3, -0.3], [0.9, 0.0, 0.0]])
    tree = _tree(corner, ROOT_GSD * np.array([0.3, 1.0, 0.01]))
    # 0.3 of the root's distance: not resolved at depth 0 nor 1 (0.5), resolved at 2 (0.25)? 0.3 >= 0.25, so it is
    assert tree.depth.tolist() == [0, 1, 2] and tree.cell.tolist() == [[0, 0, 0], [1, 1, 1], [3, 3, 3]]


def test_no_points_and_points_nobody_sees_leave_the_root_alone():
    assert _tree(np.zeros((0, 3)), np.zeros(0)).nodes == 1
    assert _tree(np.zeros((5, 3)), np.full(5, np.inf)).nodes == 1


def _camera(
    position: tuple[float, float, float], target: tuple[float, float, float] = (0.0, 0.0, 0.0)
) -> Camera:
    return Camera.from_fov(
        64, 48, 0.8, look_at(np.array(position), np.array(target), np.array([0.0, 0.0, 1.0]))
    )


def test_a_pixels_radius_is_depth_over_focal_times_the_cosine_off_the_axis():
    camera = _camera((2.0, 0.0, 0.0))
    points = np.array([[0.0, 0.0, 0.0], [0.0, 0.5, 0.0], [3.0, 0.0, 0.0]])
    radii = of_scenes.pixel_radius(points, camera)
    assert radii[:2] == pytest.approx([2.0 / camera.fx, 2.0 / camera.fx * 2.0 / np.hypot(2.0, 0.5)])
    assert np.isinf(radii[2])  # behind


def test_every_photo_counts_with_its_own_focal_length():
    wide, tele = (
        _camera((2.0, 0.0, 0.0)),
        Camera.from_fov(64, 48, 0.2, _camera((2.0, 0.0, 0.0)).world_from_cam),
    )
    assert tele.fx > 3.0 * wide.fx
    both = of_scenes.observed_radii(np.zeros((2, 3)), np.array([0, 1, 2]), np.array([0, 1]), [wide, tele])
    assert both == pytest.approx([2.0 / wide.fx, 2.0 / tele.fx])


def test_a_points_radius_is_the_smallest_over_those_who_saw_it():
    near, far = _camera((1.0, 0.0, 0.0)), _camera((3.0, 0.0, 0.0))
    xyz = np.zeros((3, 3))
    radii = of_scenes.observed_radii(xyz, np.array([0, 2, 3, 3]), np.array([1, 0, 1]), [near, far])
    assert radii == pytest.approx([1.0 / near.fx, 3.0 / far.fx, np.inf])
    xyz[1] = [0.0, 9.0, 0.0]  # beside both pictures
    assert of_scenes.radii_in_view(xyz, [near, far]) == pytest.approx([1.0 / near.fx, np.inf, 1.0 / near.fx])


class _Pictures(ImageSource):
    """Depth maps of a plane x = 0, or nothing but colour."""

    def __init__(self, cameras: list[Camera], with_depth: bool) -> None:
        self._cameras, self._with_depth = cameras, with_depth

    def load(self, index: int) -> np.ndarray:
        camera = self._cameras[index]
        return np.full((camera.height, camera.width, 3), 0.5, np.float32)

    def load_depth(self, index: int) -> np.ndarray | None:
        camera = self._cameras[index]
        o, d = camera.rays()
        t = -o[..., 0] / d[..., 0]
        return (t * (d @ camera.forward)).astype(np.float32) if self._with_depth else None


def _split(with_depth: bool) -> Split:
    cameras = [_camera((1.2, y, 0.0)) for y in (-0.3, 0.3)]
    return Split(tuple(View(str(i), c) for i, c in enumerate(cameras)), _Pictures(cameras, with_depth))


def test_depth_maps_give_points_on_the_surface_with_their_photos_radius():
    split = _split(True)
    points, radii = of_scenes.depth_points(split)
    assert len(points) == 2 * 64 * 48 and np.abs(points[:, 0]).max() < 1e-6
    assert radii[: 64 * 48] == pytest.approx(of_scenes.pixel_radius(points[: 64 * 48], split.views[0].camera))
    assert len(of_scenes.depth_points(_split(False))[0]) == 0


class _Ball(ImageSource):
    """Pictures of a grey ball of radius 0.3 at the origin, before white."""

    def __init__(self, cameras: list[Camera]) -> None:
        self._cameras = cameras

    def load(self, index: int) -> np.ndarray:
        o, d = self._cameras[index].rays()
        miss = np.linalg.norm(np.cross(o, d), axis=-1) > 0.3
        return np.repeat(miss[..., None] * np.float32(0.5) + np.float32(0.5), 3, axis=2)


@pytest.fixture(scope="module")
def ball() -> Scene:
    turns = 2.4 * np.arange(16)
    cameras = [
        _camera((1.5 * np.cos(a), 1.5 * np.sin(a), h)) for a, h in zip(turns, np.linspace(-1.2, 1.2, 16))
    ]
    split = Split(tuple(View(str(i), c) for i, c in enumerate(cameras)), _Ball(cameras))
    return Scene("ball", "", "made", split, split, "white", 0, np.eye(4), np.array([0.0, 0.0, 1.0]))


def test_without_points_or_depth_the_visual_hull_stands_in(ball):
    hull = of_scenes.hull_points(ball.train, 255, cells=32)
    distance = np.linalg.norm(hull, axis=1)
    # the hull of sixteen silhouettes, each widened by a pixel of its shrunk picture: 0.03 there, and as much between views
    assert len(hull) > 1000 and distance.min() > 0.27 and distance.max() < 0.42
    points, radii = of_scenes.scene_points(ball)
    assert np.all(np.isfinite(radii)) and np.abs(points).max() < 0.45
    tree = tree_for_scene(ball, max_res=8, gsd_divisor=2.0, max_depth=4)
    assert 9 < tree.nodes < 585 and tree.root_gsd == 1.0 / 16.0
    assert radii.min() < tree.gsd(tree.levels - 2) and np.all(
        radii.min() < tree.gsd(tree.depth[tree.parent[1:]])
    )


def test_photos_that_show_no_background_have_no_hull(ball):
    assert len(of_scenes.hull_points(ball.train, 0, cells=16)) == 0


def test_a_scenes_own_points_come_first_and_pictures_without_evidence_get_random_ones(ball):
    xyz = np.array([[0.1, 0.1, 0.1]] * 4, np.float32)
    seen = np.tile(np.arange(3, dtype=np.int32), 4)
    own = Points(xyz, np.zeros((4, 3), np.uint8), np.zeros(4, np.float32), np.arange(0, 13, 3), seen)
    points, radii = of_scenes.scene_points(replace(ball, points=own))
    assert np.allclose(points, 0.1) and len(points) == 4
    cameras = [view.camera for view in ball.train.views[:3]]
    assert radii == pytest.approx(np.full(4, min(of_scenes.pixel_radius(points[:1], c)[0] for c in cameras)))
    bare = replace(ball, train=_split(False), background="learned")
    points, radii = of_scenes.scene_points(bare)
    assert len(points) == of_scenes.N_RANDOM and np.isinf(radii).any() and np.isfinite(radii).any()
    assert np.array_equal(points, of_scenes.scene_points(bare)[0])
