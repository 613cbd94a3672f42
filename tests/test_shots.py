# SPDX-License-Identifier: MIT
"""Shots: moments lie on the way, eyes see near things shifted the right way, six sides make one seamless sphere."""

from __future__ import annotations

import numpy as np
import pytest

from engine.cameras import Camera, look_at
from engine.errors import UserError
from engine.export.developing import Developing, Look, bands
from engine.methods.common import Buffers
from engine.shots import FACES, Film, Shot, between, cube_sides, eyes

UP = np.array([0.0, 0.0, 1.0])


def _on_circle(angle: float, size: tuple[int, int] = (40, 24)) -> Camera:
    place = np.array([np.cos(angle), np.sin(angle), 0.3])
    return Camera.from_fov(*size, 0.8, look_at(place, np.zeros(3), UP))


def sky(directions: np.ndarray) -> np.ndarray:
    """A smooth colour [...,3] for every direction [...,3]."""
    x, y, z = np.moveaxis(directions, -1, 0)
    waves = np.stack([np.sin(5 * x + 2 * y), np.sin(4 * y - 3 * z + 1), np.cos(6 * z + x)], axis=-1)
    return (0.5 + 0.4 * waves).astype(np.float32)


def look_around(camera: Camera, want: frozenset[str] = frozenset()) -> Buffers:
    """A world that is only sky, on a sphere of radius 3, whose normals look at the camera."""
    _, rays_d = camera.rays()
    shape = rays_d.shape[:2]
    depth = (3.0 * rays_d @ camera.forward).astype(np.float32)
    return Buffers(sky(rays_d), np.zeros(shape, np.float32), depth_z=depth, normal=-rays_d.astype(np.float32))


def develop(shot: Shot, look: Look = Look(), limit: int = 4_000_000, render=look_around):  # noqa: B008
    developing = Developing(shot, look, 1.0, None, limit)
    while not developing.done:
        developing.take(render(developing.camera, look.want))
    return developing.developed()


def test_the_camera_between_two_moves_straight_and_turns_evenly():
    a, b = _on_circle(0.0), _on_circle(0.4)
    for share in (0.0, 0.25, 1.0, 1.3):
        c = between(a, b, share)
        assert np.allclose(c.position, a.position + share * (b.position - a.position))
        turned = a.world_from_cam[:3, :3].T @ c.world_from_cam[:3, :3]
        whole = a.world_from_cam[:3, :3].T @ b.world_from_cam[:3, :3]
        angle = [np.arccos(0.5 * (np.trace(r) - 1.0)) for r in (turned, whole)]
        assert angle[0] == pytest.approx(share * angle[1], abs=1e-7)
    assert np.allclose(between(a, b, 1.0).world_from_cam, b.world_from_cam)


def test_moments_lie_symmetrically_about_the_picture_within_the_shutter():
    cameras = [_on_circle(0.1 * i) for i in range(4)]
    (moments,) = Film(cameras, moments=4, shutter=0.5)[1].takes
    places = [float(np.arctan2(c.position[1], c.position[0])) / 0.1 - 1.0 for c in moments]
    assert np.allclose(places, [-0.1875, -0.0625, 0.0625, 0.1875], atol=2e-3)


def test_motion_blur_is_the_mean_of_the_moments_in_light():
    film = Film([_on_circle(0.2 * i) for i in range(3)], moments=3, shutter=1.0)
    blurred = develop(film[1]).rgb
    (moments,) = film[1].takes
    squares = [look_around(camera).rgb.astype(np.float64) ** 2 for camera in moments]
    expected = 255.0 * np.sqrt(np.mean(squares, axis=0))
    assert np.abs(blurred - expected).max() <= 0.51
    assert np.abs(develop(Shot.of(moments[1])).rgb.astype(int) - blurred).max() > 3, "the moments differ"


def test_bands_make_the_same_picture_as_a_whole():
    shot, look = Shot.of(_on_circle(0.3, (40, 50))), Look(layers=frozenset({"colour", "depth", "normal"}))
    whole, parts = develop(shot, look), develop(shot, look, limit=40 * 16)
    assert [camera.height for camera in bands(shot.takes[0][0], 1.0, 40 * 16)] == [16, 16, 16, 2]
    assert np.array_equal(whole.rgb, parts.rgb)
    assert np.allclose(whole.depth, parts.depth) and np.allclose(whole.normal, parts.normal, atol=1e-6)


@pytest.mark.parametrize("focus", [0.0, 2.0])
def test_near_things_lie_further_left_in_the_right_eye(focus):
    camera = Camera.from_fov(64, 48, 0.8, np.eye(4))
    left, right = eyes(camera, 0.1, focus)
    disparity = []
    for depth in (1.0, 2.0, 4.0):
        x = [eye.project(np.array([[0.0, 0.0, depth]]))[0][0, 0] for eye in (left, right)]
        disparity.append(x[0] - x[1])
    assert disparity[0] > disparity[1] > disparity[2]
    assert disparity[1] == pytest.approx(0.0 if focus else 0.1 * camera.fx / 2.0, abs=1e-9)
    assert np.allclose(0.5 * (left.position + right.position), camera.position)


@pytest.mark.parametrize(("projection", "size"), [("side by side", (80, 24)), ("over-under", (40, 48))])
def test_eyes_lie_left_then_right(projection, size):
    camera = _on_circle(0.1)
    shot = Film([camera], projection=projection, eye_distance=0.2, focus=1.0)[0]
    both = develop(shot).rgb
    assert shot.size == size == both.shape[1::-1]
    left = develop(Shot.of(eyes(camera, 0.2, 1.0)[0])).rgb
    assert np.array_equal(both[:24, :40], left)
    assert not np.array_equal(both[-24:, -40:], left)


def test_the_sides_of_the_cube_are_rotations_that_look_all_ways():
    assert np.allclose(FACES @ FACES.transpose(0, 2, 1), np.eye(3))
    assert np.allclose(np.linalg.det(FACES), 1.0)
    assert len({tuple(f[:, 2]) for f in FACES.astype(int)}) == 6


def test_a_sphere_shows_what_pinhole_cameras_see_without_seams():
    camera = _on_circle(0.7, (256, 128))
    film = Film([camera], projection="360", up=tuple(UP))
    picture = develop(film[0], Look(layers=frozenset({"colour", "depth", "normal"})))
    assert picture.rgb.shape == (128, 256, 3)
    longitude = ((np.arange(256) + 0.5) / 256 - 0.5) * 2 * np.pi
    latitude = (0.5 - (np.arange(128) + 0.5) / 128) * np.pi
    level = cube_sides(camera, UP, 256)[0].world_from_cam[:3, :3]
    lon, lat = np.meshgrid(longitude, latitude)
    local = np.stack([np.cos(lat) * np.sin(lon), -np.sin(lat), np.cos(lat) * np.cos(lon)], axis=-1)
    off = np.abs(picture.rgb / 255.0 - sky(local @ level.T))
    assert off.max() < 0.02, "everywhere, at the seams and the poles too"
    assert np.allclose(picture.depth, 3.0, atol=1e-4), "distances along the rays"
    assert np.allclose(picture.normal, -local * [1, -1, -1], atol=0.03)
    assert level[:, 1] @ UP == pytest.approx(-1.0), "the horizon is level"


def test_a_sphere_agrees_with_a_narrow_pinhole_view():
    camera = Camera.from_fov(512, 256, 0.8, look_at(np.array([1.0, 0, 0]), np.zeros(3), UP))
    sphere = develop(Film([camera], projection="360", up=tuple(UP))[0]).rgb
    narrow = Camera.from_fov(64, 64, 0.6, camera.world_from_cam)
    _, rays = narrow.rays()
    local = rays @ camera.world_from_cam[:3, :3]
    x = (np.arctan2(local[..., 0], local[..., 2]) / (2 * np.pi) + 0.5) * 512
    y = (0.5 + np.arcsin(local[..., 1]) / np.pi) * 256
    seen = sphere[y.astype(int), x.astype(int)] / 255.0
    mse = np.mean((seen - look_around(narrow).rgb) ** 2)
    assert -10 * np.log10(mse) > 35.0  # the nearest pixel is taken: 41 dB measured


def test_views_of_a_sheet_lie_in_rows():
    cameras = [_on_circle(0.2 * i) for i in range(5)]
    shot = Shot.sheet(cameras)
    sheet = develop(shot).rgb
    assert shot.size == (120, 48) == sheet.shape[1::-1]
    assert np.array_equal(sheet[24:48, :40], develop(Shot.of(cameras[3])).rgb)
    assert not sheet[24:, 80:].any()


def test_maps_of_numbers_keep_their_scale_through_a_film_and_are_not_averaged():
    film = Film([_on_circle(0.2 * i) for i in range(3)], moments=5, shutter=1.0)
    first = Developing(film[0], Look("depth"), 1.0, None, 10**6)
    first.take(look_around(first.camera))
    assert first.done, "one moment"
    nearer = Developing(film[1], Look("depth"), 1.0, first.legend, 10**6)
    nearer.take(look_around(nearer.camera))
    assert nearer.legend == first.legend is not None


def test_films_that_differ_have_different_fingerprints_and_equal_ones_the_same():
    cameras = [_on_circle(0.1 * i) for i in range(3)]
    films = [Film(cameras), Film(cameras[:2]), Film(cameras, moments=2), Film(cameras, projection="360")]
    assert len({film.fingerprint() for film in films}) == 4
    assert Film(list(cameras)).fingerprint() == films[0].fingerprint()


@pytest.mark.parametrize("wrong", [{"projection": "fisheye"}, {"moments": 0}, {"shutter": 0.0}])
def test_what_no_film_can_be_is_refused(wrong):
    with pytest.raises(UserError):
        Film([_on_circle(0.0)], **wrong)
