# SPDX-License-Identifier: MIT
from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.datasets.distortion import straight_lens
from engine.datasets.images import Photo, PhotoSource, are_cut_out, decode, photo_size
from engine.datasets.shots import Lens
from engine.errors import SceneError
from engine.render.resample import area_resized


def pinhole(width: int, height: int) -> Lens:
    return Lens(width, height, 50.0, 50.0, 0.5 * width, 0.5 * height)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def photos(tmp_path: Path) -> list[Photo]:
    """Ten noise photos of 30x20 pixels: 1,800 bytes each."""
    for i in range(10):
        Image.fromarray(noise(20, 30, i)).save(tmp_path / f"{i}.png")
    return [Photo(tmp_path / f"{i}.png", pinhole(30, 20), pinhole(30, 20)) for i in range(10)]


def test_load_returns_what_is_in_the_file_between_0_and_1(photos):
    image = PhotoSource(photos, 10**6).load(3)
    assert image.dtype == np.float32 and image.shape == (20, 30, 3)
    np.testing.assert_allclose(image, noise(20, 30, 3) / 255.0, atol=1e-7)
    assert image.max() == 1.0 and image.min() == 0.0


def test_changing_a_loaded_photo_does_not_change_the_next_load(photos):
    source = PhotoSource(photos, 10**6)
    before = source.load(0)
    source.load(0)[:] = 7.0
    np.testing.assert_array_equal(source.load(0), before)
    with pytest.raises(ValueError, match="read-only"):
        source.load_uint8(0)[:] = 7


def test_memory_never_exceeds_its_bound_and_the_least_recent_goes_first(photos):
    source = PhotoSource(photos, 3 * 1800 + 100)
    for i in (0, 1, 2):
        source.load(i)
    assert source.nbytes() == 3 * 1800
    first = source.load_uint8(0)
    source.load(3)  # 1 is now the least recently used
    assert source.nbytes() == 3 * 1800
    assert source.load_uint8(0) is first
    photos[1].path.unlink()
    with pytest.raises(
        SceneError, match=r"1\.png: a photo was wanted and the file cannot be opened \(No such file"
    ):
        source.load(1)


def test_a_photo_larger_than_the_bound_is_still_loaded(photos):
    source = PhotoSource(photos, 100)
    assert source.load(2).shape == (20, 30, 3)
    assert source.nbytes() == 0


def test_a_cached_photo_needs_no_file(photos):
    source = PhotoSource(photos, 10**6)
    source.prefetch()
    assert source.nbytes() == 10 * 1800
    photos[5].path.unlink()
    assert source.load(5).shape == (20, 30, 3)


def test_prefetch_reports_every_photo_and_stops_at_the_bound(photos):
    seen = []
    PhotoSource(photos, 4 * 1800).prefetch(lambda *args: seen.append(args), "Reading")
    assert seen == [("Reading", i, 4) for i in (1, 2, 3, 4)]


def test_prefetch_leaves_no_thread_behind_even_when_a_photo_is_bad(photos):
    photos[4].path.write_bytes(photos[4].path.read_bytes()[:200])
    threads = threading.active_count()
    with pytest.raises(SceneError, match=r"4\.png"):
        PhotoSource(photos, 10**6).prefetch()
    assert threading.active_count() == threads


def test_loads_from_many_threads_agree(photos):
    source = PhotoSource(photos, 5 * 1800)
    wrong = []

    def read(seed: int) -> None:
        for i in np.random.default_rng(seed).integers(0, 10, 40):
            if not np.array_equal(source.load_uint8(int(i)), noise(20, 30, int(i))):
                wrong.append(i)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert source.nbytes() == 5 * 1800 == sum(image.nbytes for image in source._cache.values())


def test_a_photo_that_changed_its_size_is_refused(photos):
    source = PhotoSource(photos, 10**6)
    Image.fromarray(noise(4, 4)).save(photos[0].path)
    with pytest.raises(SceneError, match=r"30 x 20 pixels were wanted, .* got 4 x 4; open the scene again"):
        source.load(0)


@pytest.mark.parametrize(("background", "wanted"), [(255, (228, 178, 153)), (0, (100, 50, 25))])
def test_transparency_is_composited_on_the_background(tmp_path, background, wanted):
    Image.new("RGBA", (4, 4), (200, 100, 50, 128)).save(tmp_path / "a.png")
    # 128 / 255 of the colour and 127 / 255 of the background, rounded: e.g. 200 * 0.502 + 255 * 0.498 = 227.4
    np.testing.assert_allclose(decode(tmp_path / "a.png", background)[0, 0], wanted, atol=1)


def test_a_palette_with_transparency_is_composited_too(tmp_path):
    image = Image.new("P", (4, 4), 0)
    image.putpalette([10, 20, 30] * 256)
    image.save(tmp_path / "p.png", transparency=0)
    assert (decode(tmp_path / "p.png", 0) == 0).all()


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "I;16"])
def test_other_pixel_formats_become_rgb(tmp_path, mode):
    if mode == "I;16":
        Image.fromarray(np.full((4, 5), 200 * 257, dtype=np.uint16)).save(tmp_path / "x.png")
        assert (decode(tmp_path / "x.png") == 200).all()
        return
    path = tmp_path / ("x.jpg" if mode == "CMYK" else "x.png")
    Image.new(mode, (5, 4)).save(path)
    assert decode(path).shape == (4, 5, 3)


def test_cut_out_objects_are_told_from_opaque_alpha(tmp_path):
    Image.new("RGBA", (4, 4), (0, 0, 0, 255)).save(tmp_path / "opaque.png")
    half = Image.new("RGBA", (4, 4), (0, 0, 0, 255))
    half.putpixel((0, 0), (0, 0, 0, 0))
    half.save(tmp_path / "cut.png")
    Image.new("RGB", (4, 4)).save(tmp_path / "rgb.png")
    assert are_cut_out([tmp_path / "cut.png"] * 5)
    assert not are_cut_out([tmp_path / "opaque.png"] * 5)
    assert not are_cut_out([tmp_path / "rgb.png"])


def test_photo_size_reads_width_then_height(photos):
    assert photo_size(photos[0].path) == (30, 20)


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 8])
def test_straightening_and_shrinking_at_once_equals_one_after_the_other(tmp_path, factor):
    lens = Lens(240, 160, 180.0, 180.0, 118.0, 82.0, 0.1, 0.02, 0.0, 0.001, 0.001)
    y, x = np.mgrid[:160, :240]
    smooth = 127 + 60 * np.sin(x / 25.0)[..., None] + 60 * np.sin(y / 20.0)[..., None]
    image = np.repeat(smooth, 3, axis=2).astype(np.uint8)
    Image.fromarray(image).save(tmp_path / "bent.png")
    straight = straight_lens(lens)
    target = straight.resized(round(straight.width / factor), round(straight.height / factor))
    whole = PhotoSource([Photo(tmp_path / "bent.png", lens, straight)], 0).load_uint8(0)
    wanted = area_resized(whole, target.width, target.height).astype(float)
    made = PhotoSource([Photo(tmp_path / "bent.png", lens, target)], 0).load_uint8(0)
    # Two roundings each way, and bilinear blur of a wave of 125 pixels sampled every 4: (pi * 4 / 125)^2 / 2 * 120 = 0.6.
    assert np.abs(made - wanted).max() <= 3.0
