# SPDX-License-Identifier: MIT
from __future__ import annotations

import ctypes

from app.gui.drops import Drops, one_path, too_many


def test_what_is_dropped_waits_until_it_is_taken():
    drops = Drops()
    paths = (ctypes.c_char_p * 2)("a/ä".encode(), b"b")
    drops._callback(None, 2, paths)
    drops._callback(None, 1, paths)
    assert drops.take() == [("a/ä", "b"), ("a/ä",)]
    assert drops.take() == []
    assert not drops.watching
    drops.stop()


def test_photos_of_one_folder_mean_the_folder(tmp_path):
    for name in ("a.jpg", "b.jpg", "c.json"):
        (tmp_path / name).touch()
    a, b, c = (str(tmp_path / name) for name in ("a.jpg", "b.jpg", "c.json"))
    assert one_path((a, b)) == str(tmp_path)
    assert one_path((a,)) == a and one_path((c,)) == c
    assert one_path((a, c)) is None and one_path((str(tmp_path), a)) is None
    assert one_path(()) is None


def test_several_things_get_one_sentence():
    told = too_many(("x/a.json", "y/run", "z/b.png"))
    assert told.startswith("3 things were dropped at once (a.json, run and 1 more)") and told.endswith(".")
