# SPDX-License-Identifier: MIT
from __future__ import annotations

import ctypes

from app.gui.drops import Drops, one_path


def test_what_is_dropped_waits_until_it_is_taken():
    drops = Drops()
    paths = (ctypes.c_char_p * 2)("a/ä".encode(), b"b")
    drops._callback(None, 2, paths)
    drops._callback(None, 1, paths)
    assert drops.take() == [("a/ä", "b"), ("a/ä",)]
    assert drops.take() == []
    assert not drops.watching
    drops.stop()


def test_files_of_one_folder_mean_the_folder(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).touch()
    a, b = str(tmp_path / "a.jpg"), str(tmp_path / "b.jpg")
    assert one_path((a, b)) == str(tmp_path)
    assert one_path((a,)) == a
    assert one_path((str(tmp_path), a)) == str(tmp_path)
    assert one_path(()) is None
