# SPDX-License-Identifier: MIT
import moderngl
import numpy as np
import pytest

from app.gl.context import GLError, HiddenContext
from app.gl.overlays import OverlayPass, clip_from_world
from app.gl.present import PicturePass, Target
from app.gl.programs import expanded, load_program, program_names, variants
from app.resources import shader_source
from engine.cameras import Camera, look_at

pytestmark = pytest.mark.gl
W, H = 96, 64


@pytest.fixture(scope="module")
def ctx():
    try:
        hidden = HiddenContext()
    except GLError as error:
        pytest.skip(str(error))
    yield hidden.ctx
    hidden.close()


@pytest.fixture
def target(ctx):
    target = Target.new(ctx, (128, 128))
    yield target
    target.release()


@pytest.fixture
def picture(ctx):
    picture = PicturePass(ctx)
    yield picture
    picture.release()


def test_what_is_shown_pixel_by_pixel_is_not_interpolated(ctx, target):
    theirs = ctx.texture((8, 8), 4)
    around = Target.around(ctx, theirs.glo, (8, 8))
    for shown in (target, around):
        assert shown._texture.filter == (moderngl.NEAREST, moderngl.NEAREST)
    around.release()
    theirs.release()


def quadrants(width: int, height: int) -> np.ndarray:
    """Return a picture with another colour in each quarter: red green / blue white."""
    rgba = np.zeros((height, width, 4), np.uint8)
    rgba[..., 3] = 255
    rgba[: height // 2, : width // 2, 0] = 255
    rgba[: height // 2, width // 2 :, 1] = 255
    rgba[height // 2 :, : width // 2, 2] = 255
    rgba[height // 2 :, width // 2 :, :3] = 255
    return rgba


def far(width: int, height: int) -> np.ndarray:
    return np.full((height, width), np.inf, np.float32)


def camera() -> Camera:
    pose = look_at(np.array([0.0, 0.0, -2.0]), np.zeros(3), np.array([0.0, -1.0, 0.0]))
    return Camera.from_fov(W, H, 0.8, pose)


@pytest.mark.parametrize("name", program_names())
def test_every_shader_compiles_in_all_its_variants(ctx, name):
    for defines in variants(name):
        load_program(ctx, name, defines).release()


def test_an_include_keeps_the_line_numbers_of_the_file_around_it():
    text = expanded("lines.frag").splitlines()
    number = shader_source("lines.frag").splitlines().index('#include "rim.glsl"') + 1
    after = text.index(f"#line {number + 1} 0")
    assert text[after + 1] == ""
    assert text[after + 2].startswith("uniform float u_width_px")


def test_a_frame_of_the_viewports_size_arrives_unchanged(ctx, picture, target):
    rgba = np.random.default_rng(0).integers(0, 256, (H, W, 4), dtype=np.uint8)
    picture.set_frame(rgba, far(W, H))
    picture.draw(target, W, H)
    np.testing.assert_array_equal(target.read(W, H)[..., :3], rgba[..., :3])


@pytest.mark.parametrize("size", [(24, 16), (48, 32), (200, 140)])
def test_a_frame_of_another_size_fills_the_viewport_corner_to_corner(ctx, picture, target, size):
    picture.set_frame(quadrants(*size), far(*size))
    picture.draw(target, W, H)
    shown = target.read(W, H)
    assert tuple(shown[0, 0, :3]) == (255, 0, 0)
    assert tuple(shown[0, -1, :3]) == (0, 255, 0)
    assert tuple(shown[-1, 0, :3]) == (0, 0, 255)
    assert tuple(shown[-1, -1, :3]) == (255, 255, 255)


def test_the_photo_is_shown_left_of_the_split_and_only_in_its_rectangle(ctx, picture, target):
    picture.clear((0, 0, 255))
    picture.set_photo(np.full((8, 8, 3), 200, np.uint8))
    picture.draw(target, W, H, photo_rect=(0.25, 0.0, 0.5, 1.0), photo_until=0.5)
    shown = target.read(W, H)[H // 2, :, :3]
    assert tuple(shown[W // 8]) == (0, 0, 255)
    assert tuple(shown[3 * W // 8]) == (200, 200, 200)
    assert tuple(shown[5 * W // 8]) == (0, 0, 255)


def test_clip_space_agrees_with_the_engines_projection():
    view = camera()
    points = np.random.default_rng(1).uniform(-0.5, 0.5, (20, 3))
    pixels, depth = view.project(points)
    clip = np.c_[points, np.ones(20)] @ clip_from_world(view).T
    np.testing.assert_allclose(clip[:, 3], depth)
    np.testing.assert_allclose((clip[:, :2] / clip[:, 3:] + 1) / 2 * [W, H], pixels)


def drawn(ctx, picture, target, depth: float, kind: str = "lines") -> np.ndarray:
    """Return the picture of a red horizontal line (or cube) through the origin, over black at one depth."""
    picture.set_frame(np.zeros((H, W, 4), np.uint8), np.full((H, W), depth, np.float32))
    picture.draw(target, W, H)
    overlays = OverlayPass(ctx)
    if kind == "lines":
        overlays.set_lines(
            "x", np.array([[[-1, 0, 0], [1, 0, 0]]]), np.array([1, 0, 0, 1]), width_px=3, hidden=0
        )
    elif kind == "points":
        overlays.set_points("x", np.zeros((1, 3)), np.array([1, 0, 0, 1]), size_px=6, hidden=0)
    else:
        overlays.set_boxes("x", np.array([[0, 0, 0, 0.5]]), np.array([1, 0, 0, 1]), opacity=1)
    overlays.draw(target, W, H, camera(), picture.depth, ["x", "unknown"])
    overlays.release()
    return target.read(W, H)


@pytest.mark.parametrize("kind", ["lines", "boxes", "points"])
def test_an_overlay_shows_in_front_of_the_scene_and_hides_behind_it(ctx, picture, target, kind):
    assert drawn(ctx, picture, target, np.inf, kind)[..., 0].max() > 200
    assert drawn(ctx, picture, target, 2.6, kind)[..., 0].max() > 200
    assert drawn(ctx, picture, target, 1.5, kind)[..., 0].max() == 0


def test_a_line_lies_where_the_camera_projects_it(ctx, picture, target):
    rows = drawn(ctx, picture, target, np.inf)[..., 0].max(axis=1)
    bright = np.flatnonzero(rows > 200)
    assert 2 <= len(bright) <= 3
    assert abs(bright.mean() - (H / 2 - 0.5)) <= 0.5


def test_lines_are_as_much_wider_as_the_interface_is_larger(ctx, picture, target):
    picture.clear()
    overlays, wide = OverlayPass(ctx), []
    overlays.set_lines("x", np.array([[[-1, 0, 0], [1, 0, 0]]]), np.array([1, 0, 0, 1]), width_px=3)
    for scale in (1.0, 2.0):
        picture.draw(target, W, H)
        overlays.draw(target, W, H, camera(), picture.depth, ["x"], scale=scale)
        wide.append(target.read(W, H)[:, W // 2, 0].sum() / 255.0)
    overlays.release()
    assert wide[1] == pytest.approx(wide[0] + 3.0, abs=0.5)


@pytest.mark.parametrize("kind", ["lines", "points"])
def test_what_is_white_has_a_dark_rim_to_be_seen_on_white(ctx, picture, target, kind):
    picture.set_frame(np.full((H, W, 4), 255, np.uint8), far(W, H))
    overlays, seen = OverlayPass(ctx), []
    for rim_px in (0.0, 2.0):
        if kind == "lines":
            overlays.set_lines(
                "x", np.array([[[-1, 0, 0], [1, 0, 0]]]), np.ones(4), width_px=4, rim_px=rim_px
            )
        else:
            overlays.set_points("x", np.zeros((1, 3)), np.ones(4), size_px=4, rim_px=rim_px)
        picture.draw(target, W, H)
        overlays.draw(target, W, H, camera(), picture.depth, ["x"])
        seen.append(target.read(W, H)[:, W // 2, 0])
    overlays.release()
    middle = H // 2
    assert seen[0].min() == 255
    assert seen[1][middle] == 255 and seen[1].min() < 40
    dark = np.flatnonzero(seen[1] < 128)
    assert 2 <= (dark < middle).sum() <= 3 and 2 <= (dark > middle).sum() <= 3


def test_overlays_leave_the_photo_left_of_the_split_alone(ctx, picture, target):
    picture.clear()
    picture.draw(target, W, H)
    overlays = OverlayPass(ctx)
    overlays.set_lines("x", np.array([[[-1, 0, 0], [1, 0, 0]]]), np.array([1, 0, 0, 1]), width_px=3)
    overlays.draw(target, W, H, camera(), picture.depth, ["x"], left=W // 2)
    overlays.release()
    columns = target.read(W, H)[..., 0].max(axis=0)
    assert columns[: W // 2].max() == 0
    assert columns[W // 2 : 3 * W // 4].min() > 200
    picture.clear((9, 9, 9))
    picture.draw(target, W, H)
    assert (target.read(W, H)[..., 0] == 9).all()


def test_a_line_that_passes_behind_the_eye_is_cut_not_mirrored(ctx, picture, target):
    picture.clear()
    picture.draw(target, W, H)
    overlays = OverlayPass(ctx)
    segment = np.array([[[0.1, 0.05, 1.0], [0.1, 0.05, -6.0]]])
    overlays.set_lines("x", segment, np.array([1, 0, 0, 1]), width_px=2)
    overlays.draw(target, W, H, camera(), picture.depth, ["x"])
    overlays.release()
    columns = np.flatnonzero(target.read(W, H)[..., 0].max(axis=0) > 100)
    pixels, _ = camera().project(segment[0, :1])
    assert len(columns) > 5
    assert (columns.min() > pixels[0, 0] - 2) or (columns.max() < pixels[0, 0] + 2)


@pytest.mark.parametrize(("distance", "width"), [(1.0, 12), (2.0, 6)])
def test_points_stand_where_the_camera_sees_them_and_shrink_with_distance(
    ctx, picture, target, distance, width
):
    view = camera()
    place = view.position + distance * view.forward + 0.2 * distance * view.world_from_cam[:3, 0]
    picture.set_frame(np.zeros((H, W, 4), np.uint8), far(W, H))
    picture.draw(target, W, H)
    overlays = OverlayPass(ctx)
    overlays.set_points("x", place[None], np.array([0, 1, 0, 1]), size_px=12, shrinks=True)
    overlays.draw(target, W, H, view, picture.depth, ["x"])
    overlays.release()
    rows, columns = np.nonzero(target.read(W, H)[..., 1] > 127)
    (pixel,), _ = view.project(place[None])
    assert np.allclose([columns.mean() + 0.5, rows.mean() + 0.5], pixel, atol=0.6)
    assert abs(np.ptp(columns) + 1 - width) <= 1 and abs(np.ptp(rows) + 1 - width) <= 1
