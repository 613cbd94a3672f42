# SPDX-License-Identifier: MIT
"""A file dialog's answer becomes the path that was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.gui.dialogs import file_asked_for


@pytest.mark.parametrize(
    ("typed", "path"),
    [
        ("views.csv", "/runs/lego/views.csv"),
        ("views.*", "/runs/lego/views.csv"),
        ("views", "/runs/lego/views.csv"),
        ("sub/views.csv", "/runs/lego/sub/views.csv"),
        ("/elsewhere/views.csv", "/elsewhere/views.csv"),
        ("~/views.csv", str(Path.home() / "views.csv")),
    ],
)
def test_a_typed_name_goes_into_the_folder_and_a_whole_path_is_kept(typed: str, path: str) -> None:
    answer = {"current_path": "/runs/lego", "file_name": typed, "file_path_name": f"/runs/lego/{typed}"}
    assert Path(file_asked_for(answer, ".csv")) == Path(path)
