# SPDX-License-Identifier: MIT
"""A folder is chosen by its path or by walking there, and what can be opened is marked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dearpygui.dearpygui as dpg
import pytest

from app.gui import theme
from app.gui.chooser import LISTED, FolderChooser, mark, subfolders


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Folders of which one is a run, a hidden one, and a file."""
    for name in ("shoot_10", "shoot_9", ".hidden", "shoot_9/deep"):
        (tmp_path / name).mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("x")
    return tmp_path


class Choosing:
    """A chooser on a folder, and what was chosen."""

    def __init__(self, folder: Path) -> None:
        self.chosen: list[str] = []
        look = theme.Theme(theme.Sizes(1.0))
        self.chooser = FolderChooser(look, (900, 700), "scene", str(folder), self.chosen.append)

    @property
    def rows(self) -> list[str]:
        return [path.name for path in self.chooser._rows.values()]

    def click(self, name: str) -> None:
        row = next(row for row, path in self.chooser._rows.items() if path.name == name)
        self.chooser._clicked(row)

    def enter(self, text: str) -> None:
        dpg.set_value(self.chooser._path, text)
        self.chooser._entered()

    @property
    def open(self) -> bool:
        return dpg.does_item_exist(self.chooser.window)


@pytest.fixture
def choosing(place: Path) -> Iterator[Choosing]:
    dpg.create_context()
    yield Choosing(place)
    dpg.destroy_context()


def test_folders_are_listed_as_people_count_without_hidden_ones_and_files(place: Path) -> None:
    assert [path.name for path in subfolders(place)] == ["run", "shoot_9", "shoot_10"]
    assert subfolders(place / "nowhere") == []


def test_a_crowd_of_folders_is_cut_off(tmp_path: Path) -> None:
    for i in range(LISTED + 5):
        (tmp_path / str(i)).mkdir()
    assert len(subfolders(tmp_path)) == LISTED


def test_what_can_be_opened_is_marked(place: Path) -> None:
    assert [mark(path) for path in subfolders(place)] == ["run", "", ""]


def test_a_typed_path_is_taken_as_it_is_wherever_the_window_looks(choosing: Choosing, place: Path) -> None:
    choosing.enter(str(place / "shoot_9"))
    assert choosing.rows == ["deep"] and not choosing.chosen  # a plain folder is shown, not opened
    choosing.enter("deep")
    assert choosing.chooser.path == place / "shoot_9" / "deep"
    choosing.enter(str(place / "run"))
    assert choosing.chosen == [str(place / "run")] and not choosing.open


def test_a_click_chooses_and_another_looks_inside(choosing: Choosing, place: Path) -> None:
    choosing.click("shoot_9")
    assert choosing.chooser.path == place / "shoot_9" and "run" in choosing.rows
    choosing.click("shoot_9")
    assert choosing.rows == ["deep"]


def test_a_path_that_is_not_there_is_told_and_nothing_is_opened(choosing: Choosing) -> None:
    choosing.enter("/no/such/place")
    assert choosing.open and not choosing.chosen
    assert dpg.get_value(choosing.chooser._word).startswith("Nothing is there.")


def test_a_folder_that_is_gone_begins_with_the_one_above(choosing: Choosing, place: Path) -> None:
    assert Choosing(place / "gone" / "deeper").chooser.path == place


def test_compact_files_are_listed_as_runs_and_a_second_click_opens_them(
    choosing: Choosing, place: Path
) -> None:
    (place / "ball.voxels").write_bytes(b"NVVOXELS")
    choosing.chooser.show(place)
    assert choosing.rows[-1] == "ball.voxels" and mark(place / "ball.voxels") == "run"
    choosing.click("ball.voxels")
    assert choosing.chosen == []
    choosing.click("ball.voxels")
    assert choosing.chosen == [str(place / "ball.voxels")]
