# SPDX-License-Identifier: MIT
"""Photos of a folder are found in order and land in the scene whole, upright and under names COLMAP can list."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from engine.sfm.photos import find_photos, gather

ORIENTATION, FOCAL_MM, EXIF_GROUP, MODEL = 0x0112, 0x920A, 0x8769, 0x0110


def _photo(path: Path, size: tuple[int, int] = (16, 12), **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.radial_gradient("L").resize(size).convert("RGB").save(path, **options)
    return path


def _gathered(folder: Path, images: Path, downscale: int = 1):
    return gather(find_photos(folder), images, downscale, lambda done, total: None)


def test_photos_come_in_natural_order_from_all_folders(tmp_path):
    for name in ("b/2.jpg", "b/10.jpg", "a/1.png", "b/notes.txt"):
        _photo(tmp_path / name) if not name.endswith("txt") else (tmp_path / name).write_text("x")
    assert find_photos(tmp_path).names == ("a/1.png", "b/2.jpg", "b/10.jpg")


def test_what_lies_beside_photos_is_not_taken_for_photos(tmp_path):
    for name in ("images/1.jpg", "images_4/1.jpg", "masks/1.jpg", ".hidden/1.jpg", "out/images/1.jpg"):
        _photo(tmp_path / name)
    found = find_photos(tmp_path, besides=tmp_path / "out")
    assert (found.base, found.names) == (tmp_path / "images", ("1.jpg",))


def test_files_stay_the_same_to_the_byte(tmp_path):
    source = _photo(tmp_path / "in" / "1.jpg")
    photos, left_out = _gathered(tmp_path / "in", tmp_path / "out")
    assert ([photo.name for photo in photos], left_out) == (["1.jpg"], [])
    assert (tmp_path / "out" / "1.jpg").read_bytes() == source.read_bytes()


def test_a_turned_photo_is_saved_upright_and_keeps_its_focal_length(tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION], exif[MODEL] = 6, "Pocket 3"
    exif.get_ifd(EXIF_GROUP)[FOCAL_MM] = 4.5
    _photo(tmp_path / "in" / "1.jpg", exif=exif)
    photos, _ = _gathered(tmp_path / "in", tmp_path / "out")
    assert (photos[0].width, photos[0].height, photos[0].device) == (12, 16, "Pocket 3 4.5 mm")
    with Image.open(tmp_path / "out" / "1.jpg") as saved:
        assert saved.size == (12, 16)
        assert saved.getexif().get(ORIENTATION, 1) == 1
        assert float(saved.getexif().get_ifd(EXIF_GROUP)[FOCAL_MM]) == 4.5


def test_photos_are_saved_smaller_where_that_is_wanted(tmp_path):
    _photo(tmp_path / "in" / "1.png", (32, 24))
    photos, _ = _gathered(tmp_path / "in", tmp_path / "out", downscale=4)
    assert (photos[0].width, photos[0].height) == (8, 6)
    assert Image.open(tmp_path / "out" / "1.png").size == (8, 6)


def test_names_are_free_of_white_space_and_unique(tmp_path):
    for name in ("a b.jpg", "a_b.jpg", "c.webp"):
        _photo(tmp_path / "in" / name)
    photos, _ = _gathered(tmp_path / "in", tmp_path / "out")
    assert sorted(photo.name for photo in photos) == ["a_b-2.jpg", "a_b.jpg", "c.jpg"]
    assert all((tmp_path / "out" / photo.name).is_file() for photo in photos)


@pytest.mark.parametrize(("share", "reason"), [(0.0, "its content is no photo"), (0.6, "cut short")])
def test_an_unreadable_photo_is_left_out_by_name_with_the_reason(tmp_path, share, reason):
    _photo(tmp_path / "in" / "good.jpg", (64, 64))
    whole = _photo(tmp_path / "in" / "bad.jpg", (64, 64)).read_bytes()
    (tmp_path / "in" / "bad.jpg").write_bytes(whole[: int(len(whole) * share)])
    (tmp_path / "in" / "phone.heic").write_bytes(b"x")
    photos, left_out = _gathered(tmp_path / "in", tmp_path / "out")
    assert [photo.name for photo in photos] == ["good.jpg"]
    assert dict(left_out).keys() == {"bad.jpg", "phone.heic"}
    assert reason in dict(left_out)["bad.jpg"]
    assert "convert it to JPEG" in dict(left_out)["phone.heic"]
