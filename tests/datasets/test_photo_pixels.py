# SPDX-License-Identifier: MIT
"""Masks, depth maps and quick JPEGs: undistorted, shrunk and cached as photos are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.datasets.distortion import covered, distort, straight_lens, undistort
from engine.datasets.images import Photo, PhotoSource
from engine.datasets.photo_files import decode, read_depth, read_mask
from engine.datasets.shots import Lens
from engine.errors import SceneError

PINHOLE = Lens(60, 40, 50.0, 50.0, 30.0, 20.0)
BARREL = Lens(240, 160, 180.0, 180.0, 118.0, 82.0, -0.2, 0.03, 0.0, 0.001, 0.001)
FISHEYE = Lens(240, 80, 70.0, 70.0, 121.0, 39.0, 0.02, -0.004, fisheye=True)
# Worst difference between decoding a JPEG at half size before averaging 2 x 2, and averaging 4 x 4 pixels, in grey
# levels: 4 on the photographs looked at, a little more on the synthetic edges here.
DRAFT_LEVELS = 8.0


def source(tmp_path: Path, lens: Lens, target: Lens | None = None, **files: object) -> PhotoSource:
    path = tmp_path / "photo.png"
    Image.new("RGB", (lens.width, lens.height), (9, 9, 9)).save(path)
    return PhotoSource([Photo(path, lens, target or straight_lens(lens), **files)], 10**7)


def save_mask(tmp_path: Path, mask: np.ndarray, name: str = "mask.png") -> Path:
    Image.fromarray(mask.astype(np.uint8)).save(tmp_path / name)
    return tmp_path / name


def test_without_a_mask_all_pixels_of_a_pinhole_count(tmp_path):
    assert source(tmp_path, PINHOLE).load_mask(0) is None
    assert source(tmp_path, PINHOLE, mask=save_mask(tmp_path, np.full((40, 60), 255))).load_mask(0) is None


def test_a_pixel_counts_only_when_wholly_inside(tmp_path):
    mask = np.full((40, 60), 255)
    mask[:10, :30] = 0
    mask[25, 41] = 0  # one pixel of a block of 4 x 4
    made = source(tmp_path, PINHOLE, PINHOLE.resized(15, 10), mask=save_mask(tmp_path, mask)).load_mask(0)
    wanted = np.full((10, 15), 255, np.uint8)
    wanted[:3, :8] = 0  # rows 8..11 and columns 28..31 are cut
    wanted[6, 10] = 0
    assert made.dtype == np.uint8 and not made.flags.writeable
    np.testing.assert_array_equal(made, wanted)


def test_masks_of_another_resolution_fit_and_of_another_shape_are_refused(tmp_path):
    small = np.full((20, 30), 255)
    small[:, :10] = 0
    made = source(tmp_path, PINHOLE, mask=save_mask(tmp_path, small)).load_mask(0)
    assert (made[:, :20] == 0).all() and (made[:, 20:] == 255).all()
    with pytest.raises(
        SceneError, match=r"mask\.png: a mask shaped like its photo of 60 x 40 pixels was wanted, got 40 x 60"
    ):
        source(tmp_path, PINHOLE, mask=save_mask(tmp_path, np.zeros((60, 40)))).load_mask(0)


def test_a_mask_is_undistorted_like_its_photo(tmp_path):
    rng = np.random.default_rng(0)
    blobs = np.kron(rng.integers(0, 2, (4, 6)), np.ones((40, 40))) * 255
    Image.fromarray(np.repeat(blobs[..., None], 3, axis=2).astype(np.uint8)).save(tmp_path / "photo.png")
    straight = straight_lens(BARREL)
    photo = Photo(tmp_path / "photo.png", BARREL, straight.resized(straight.width // 2, straight.height // 2))
    both = PhotoSource([replace(photo, mask=save_mask(tmp_path, blobs))], 10**7)
    image, mask = both.load_uint8(0)[..., 0], both.load_mask(0)
    assert (image[mask == 255] == 255).all()
    # What does not count is black, or on an edge between black and white.
    assert 0.9 < (mask == 255).sum() / (image > 127).sum() <= 1.0


@pytest.mark.parametrize("mode", ["0 and 1", "0 and 255", "1 bit", "palette", "alpha", "jpeg", "16 bit"])
def test_masks_come_in_many_ways(tmp_path, mode):
    inside = np.zeros((16, 24), bool)
    inside[4:12, 8:16] = True
    path = tmp_path / ("m.jpg" if mode == "jpeg" else "m.png")
    image = Image.fromarray(inside.astype(np.uint8) * (1 if mode == "0 and 1" else 255))
    if mode == "1 bit":
        image = Image.fromarray(inside)
    elif mode == "palette":
        image = Image.fromarray(inside.astype(np.uint8) * (1 + np.arange(24, dtype=np.uint8) % 2)).convert(
            "P"
        )
        image.putpalette([0, 0, 0, 60, 0, 0, 255, 255, 255])
        image.frombytes((inside * (1 + np.arange(24) % 2)).astype(np.uint8).tobytes())
    elif mode == "alpha":
        image = Image.merge("LA", (Image.new("L", (24, 16), 255), image))
    elif mode == "16 bit":
        image = Image.fromarray(inside.astype(np.uint16) * 65535)
    image.save(path)
    np.testing.assert_array_equal(read_mask(path), inside * 255)


@pytest.mark.parametrize("lens", [BARREL, replace(BARREL, k1=-0.35), FISHEYE])
def test_the_border_of_undistortion_is_masked_out(tmp_path, lens):
    images = source(tmp_path, lens)
    straight = straight_lens(lens)
    mask = images.load_mask(0)
    x = (np.arange(straight.width) + 0.5 - straight.cx) / straight.fx
    y = (np.arange(straight.height) + 0.5 - straight.cy) / straight.fy
    x, y = np.meshgrid(x, y)
    u, v = distort(lens, x, y)
    one_to_one = (
        np.hypot(*(np.array(undistort(lens, u, v)) - [x, y])) < 1e-6
    )  # false beyond the fold, there are NaNs
    u, v = u * lens.fx + lens.cx, v * lens.fy + lens.cy
    inside = (u > 1) & (v > 1) & (u < lens.width - 1) & (v < lens.height - 1) & one_to_one
    outside = (u < -1) | (v < -1) | (u > lens.width + 1) | (v > lens.height + 1)
    counts = np.full(inside.shape, 255) if mask is None else mask
    assert (counts[inside] == 255).all() and (counts[outside] == 0).all()
    assert outside.any() == (lens is not BARREL)


def test_views_of_one_lens_share_the_mask_of_their_border(tmp_path):
    source(tmp_path, FISHEYE)
    photo = Photo(tmp_path / "photo.png", FISHEYE, straight_lens(FISHEYE))
    both = PhotoSource([photo, photo], 10**7)
    assert both.load_mask(0) is not None and both.load_mask(0) is both.load_mask(1)
    assert both.nbytes() == both.load_mask(0).nbytes


def test_masks_and_depth_count_in_the_bytes_held(tmp_path):
    half = np.full((40, 60), 255)
    half[:, :30] = 0
    np.save(tmp_path / "d.npy", np.ones((40, 60), np.float32))
    images = source(tmp_path, PINHOLE, mask=save_mask(tmp_path, half), depth=tmp_path / "d.npy")
    images.prefetch()
    assert images.nbytes() == 60 * 40 * 4
    images.load_depth(0)
    assert images.nbytes() == 60 * 40 * 8 == images._photos[0].nbytes


@pytest.mark.parametrize("kind", ["png", "npy"])
def test_depth_is_scaled_and_taken_from_the_nearest_pixel(tmp_path, kind):
    metres = np.full((20, 30), 2.0)
    metres[:, 15:] = 5.0
    metres[3, 4] = 0.0
    path = tmp_path / f"d.{kind}"
    if kind == "png":
        Image.fromarray((metres * 1000).astype(np.uint16)).save(path)
    else:
        metres[5, 6], metres[6, 6] = np.nan, -1.0
        np.save(path, metres * 1000)
    depth = source(
        tmp_path, PINHOLE, PINHOLE.resized(30, 20), depth=path, depth_factor=0.001 * 0.25
    ).load_depth(0)
    assert depth.dtype == np.float32 and depth.shape == (20, 30)
    wanted = np.where(np.isfinite(metres) & (metres > 0), metres, 0.0) * 0.25
    np.testing.assert_allclose(depth, wanted, rtol=1e-6)


def test_depth_is_undistorted_without_mixing_near_and_far(tmp_path):
    near_far = np.where(np.arange(BARREL.width) < 90, 1.0, 9.0)[None].repeat(BARREL.height, axis=0)
    np.save(tmp_path / "d.npy", near_far)
    straight = straight_lens(BARREL)
    depth = source(tmp_path, BARREL, depth=tmp_path / "d.npy").load_depth(0)
    assert set(np.unique(depth)) == {1.0, 9.0}
    x = (np.arange(straight.width) + 0.5 - straight.cx) / straight.fx
    middle = distort(BARREL, x, np.zeros_like(x))[0] * BARREL.fx + BARREL.cx
    row = depth[int(straight.cy)]
    sure = np.abs(middle - 90) > 0.5
    np.testing.assert_array_equal(row[sure], np.where(middle < 90, 1.0, 9.0)[sure])


@pytest.mark.parametrize("content", ["colour", "words", "cut", "huge"])
def test_what_is_no_depth_map_gives_a_sentence(tmp_path, content):
    path = tmp_path / ("d.png" if content == "colour" else "d.npy")
    if content == "colour":
        Image.new("RGB", (6, 4)).save(path)
    elif content == "words":
        np.save(path, np.array([["a", "b"]]))
    else:
        np.save(path, np.ones((8, 8)))
        data = path.read_bytes()
        path.write_bytes(data[:-9] if content == "cut" else data.replace(b"(8, 8)", b"(9999999, 999999)"))
    with pytest.raises(SceneError, match=rf"Cannot read {path}: "):
        read_depth(path)


@pytest.mark.parametrize("shrink", [2, 4, 8])
def test_a_jpeg_decoded_smaller_is_close_to_its_area_average(tmp_path, shrink):
    y, x = np.mgrid[:320, :480]
    scene = 128 + 60 * np.sin(x / 9.0) + 40 * np.sin(y / 5.0) + 20 * ((x // 16 + y // 16) % 2)
    Image.fromarray(np.repeat(scene[..., None], 3, 2).clip(0, 255).astype(np.uint8)).save(
        tmp_path / "p.jpg", quality=90
    )
    quick = decode(tmp_path / "p.jpg", shrink=shrink)
    assert quick.shape == (320 // shrink, 480 // shrink, 3)
    lens = Lens(480, 320, 300.0, 300.0, 240.0, 160.0)
    target = lens.resized(480 // (2 * shrink), 320 // (2 * shrink))
    made = PhotoSource([Photo(tmp_path / "p.jpg", lens, target)], 0).load_uint8(0).astype(float)
    whole = decode(tmp_path / "p.jpg").astype(float)
    wanted = whole.reshape(target.height, 2 * shrink, target.width, 2 * shrink, 3).mean(axis=(1, 3))
    assert np.abs(made - wanted).max() <= DRAFT_LEVELS
    assert np.abs(made - wanted).mean() < 1.0


def test_sizes_that_do_not_divide_are_decoded_whole(tmp_path):
    Image.new("RGB", (30, 21)).save(tmp_path / "p.jpg")
    assert decode(tmp_path / "p.jpg", shrink=4).shape == (21, 30, 3)


@pytest.mark.parametrize("factor", [4, 8])
def test_a_distorted_jpeg_decoded_smaller_is_straightened_right(tmp_path, factor):
    y, x = np.mgrid[:160, :240]
    smooth = 127 + 60 * np.sin(x / 25.0)[..., None] + 60 * np.sin(y / 20.0)[..., None]
    image = Image.fromarray(np.repeat(smooth, 3, axis=2).clip(0, 255).astype(np.uint8))
    straight = straight_lens(BARREL)
    target = straight.resized(round(straight.width / factor), round(straight.height / factor))
    made = []
    for name in ("p.png", "p.jpg"):
        image.save(tmp_path / name, **({"quality": 95} if name == "p.jpg" else {}))
        made.append(PhotoSource([Photo(tmp_path / name, BARREL, target)], 0).load_uint8(0).astype(float))
    # JPEG of quality 95 errs by about 2 levels; a shift of half a pixel of the photo would err by 60 / 25 / 2 more.
    assert np.abs(made[0] - made[1]).max() <= 3.0 and np.abs(np.mean(made[0] - made[1])) < 0.3


def test_covered_says_where_the_straight_photo_shows_the_bent_one():
    lens = replace(
        BARREL, k1=-0.45, k2=0.0
    )  # folds at r = 0.86, inside the corners of a large straight photo
    straight = straight_lens(lens)
    good = covered(lens, straight)
    x = (np.arange(straight.width) + 0.5 - straight.cx) / straight.fx
    y = (np.arange(straight.height) + 0.5 - straight.cy) / straight.fy
    r = np.hypot(*np.meshgrid(x, y))
    assert not good[r > (1 / (3 * 0.45)) ** 0.5 + 0.02].any() and good[r < 0.3].all()
