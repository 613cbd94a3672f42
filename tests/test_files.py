# SPDX-License-Identifier: MIT
"""A file is whole or not there; on Windows a rename waits for whoever only looks at the file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine import files


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "ein Pfad mit Ümlauten 漢字.txt"
    path.write_text("old")
    with files.whole_file(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_whatever_goes_wrong_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), files.whole_file(path) as temporary:
        temporary.write_text("ne")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("on_windows", [True, False])
def test_only_windows_waits_for_a_file_that_somebody_looks_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_windows: bool
) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_text("new")
    refusals, replace = [PermissionError(13, "in use"), PermissionError(13, "in use")], os.replace

    def busy(old: Path, new: Path) -> None:
        if refusals:
            raise refusals.pop()
        replace(old, new)

    monkeypatch.setattr(os, "replace", busy)
    monkeypatch.setattr(files, "_ON_WINDOWS", on_windows)
    if on_windows:
        files.replace(source, target)
        assert target.read_text() == "new"
    else:
        with pytest.raises(PermissionError):
            files.replace(source, target)


def test_waiting_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: object) -> None:
        raise PermissionError(13, "in use")

    monkeypatch.setattr(os, "replace", busy)
    monkeypatch.setattr(files, "_ON_WINDOWS", True)
    monkeypatch.setattr(files, "_PATIENCE_S", 0.05)
    with pytest.raises(PermissionError):
        files.replace(tmp_path / "a", tmp_path / "b")
